/* cuda/gpu.h - one dialect for kernels, two builds: nvcc for a GPU, or any C++17 compiler, which
 * runs them in the emulator of cuda/host/. Kernel files include this header and no other of CUDA.
 *
 * What differs between the two is said through these macros and nothing else:
 *
 *   GPU_SHARED_ARRAY(type, name, n);  an array in the block's shared memory
 *   GPU_SHARED_VAR(type, name);       a variable there
 *   GPU_DYN_SHARED(type, name);       the launch's dynamic shared memory, 16-byte aligned; one a
 * kernel LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...) a cudaError_t; in
 * parentheses where the kernel's name has commas: LAUNCH((k<int, 8>), ...)
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

/* Shared memory that every kernel may have; beyond it, a kernel has to ask. */
static constexpr size_t gpu_shared_bytes_unasked = 48 * 1024;

template <class... Parameters, class... Arguments>
static inline cudaError_t gpu_launch(void (*kernel)(Parameters...), dim3 grid, dim3 block,
                                     size_t shared_bytes, cudaStream_t stream,
                                     Arguments... arguments) {
  if (shared_bytes > gpu_shared_bytes_unasked) {
    cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                             cudaFuncAttributeMaxDynamicSharedMemorySize,
                                             static_cast<int>(shared_bytes));
    if (error != cudaSuccess) {
      return error;
    }
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
