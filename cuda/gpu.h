/* cuda/gpu.h - one dialect for kernels, two builds: nvcc for a GPU, or any C++17 compiler, which
 * runs them in the emulator of cuda/host/. Kernel files include this header and no other of CUDA.
 *
 * What differs between the two is said through these macros and nothing else:
 *
 * GPU_SHARED_ARRAY(type, name, n); is an array in the block's shared memory,
 * GPU_SHARED_VAR(type, name); a variable there, and
 * GPU_DYN_SHARED(type, name); the launch's dynamic shared memory, aligned to 16 bytes, one a
 * kernel.
 *
 * LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...) gives a cudaError_t. A kernel's
 * name with commas in it stands in parentheses: LAUNCH((k<int, 8>), ...).
 *
 * Rules for kernels, which the emulator checks as far as it can:
 * - blocks are a multiple of 32 threads; warp operations take the mask of those that really come;
 * - steps through shared memory within a warp need __syncwarp(): shuffles do not order memory;
 * - one barrier or warp operation on a source line, or the two cannot be told apart;
 * - no __constant__, no cooperative groups, no inline PTX, no waiting for another block;
 * - only + - * / and sqrt on floating-point numbers, for results equal to the CPU's bit for bit.
 */
#ifndef MB_CUDA_GPU_H
#define MB_CUDA_GPU_H

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define GPU_SHARED_ARRAY(type, name, n) __shared__ type name[n]
#define GPU_SHARED_VAR(type, name) __shared__ type name
/* One external symbol a translation unit, hence bytes, whatever the type. */
#define GPU_DYN_SHARED(type, name)                                     \
  extern __shared__ __align__(16) unsigned char gpu_dynamic_shared_[]; \
  type *const name = reinterpret_cast<type *>(gpu_dynamic_shared_)

/* Shared memory that every kernel may have, its own arrays included; for more it has to ask. What
   it asks for is all that there is, so that one launch never takes from another what that asked
   for. */
static constexpr size_t gpu_shared_bytes_unasked = 48 * 1024;

static inline cudaError_t gpu_ask_for_shared(const void *kernel, size_t shared_bytes) {
  cudaFuncAttributes attributes;
  int device = 0;
  int limit = 0;
  cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);

  if (error != cudaSuccess ||
      shared_bytes + attributes.sharedSizeBytes <= gpu_shared_bytes_unasked) {
    return error;
  }
  error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&limit, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  return error != cudaSuccess
             ? error
             : cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    limit - static_cast<int>(attributes.sharedSizeBytes));
}

template <class... Parameters, class... Arguments>
static inline cudaError_t gpu_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                     size_t shared_bytes, cudaStream_t stream,
                                     Arguments... arguments) {
  cudaError_t error = gpu_ask_for_shared(reinterpret_cast<const void *>(kernel), shared_bytes);
  if (error != cudaSuccess) {
    return error;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

/* The stream stands in the dots, which must not be empty. */
#define LAUNCH(kernel, grid, block, shared_bytes, ...) \
  gpu_launch(kernel, grid, block, shared_bytes, __VA_ARGS__)

#else

#include "cuda/host/emulator.h"

#endif

#endif
