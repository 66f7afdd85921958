/* cuda/host/launch.h - LAUNCH: the kernel and its arguments, kept until its stream runs them. */
#ifndef MB_CUDA_HOST_LAUNCH_H
#define MB_CUDA_HOST_LAUNCH_H

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>

#include "cuda/host/runtime.h"
#include "cuda/host/vector_types.h"

namespace mb_emulator {

struct launch_shape {
  const char *kernel;
  dim3 grid;
  dim3 block;
  size_t dynamic_shared_bytes;
};

/** Puts a launch on a stream; `thread` is what each CUDA thread runs. */
cudaError_t launch_submit(const launch_shape &shape, cudaStream_t stream,
                          std::function<void()> thread);

/** Fails the device if a pointer that a kernel is given is none that a device could follow. */
cudaError_t launch_check_pointer(const char *kernel, int position, const void *pointer);

template <class T> inline cudaError_t check_argument(const char *kernel, int position, T value) {
  if constexpr (std::is_pointer<T>::value && !std::is_function<std::remove_pointer_t<T>>::value) {
    return launch_check_pointer(kernel, position, value);
  } else {
    return cudaSuccess;
  }
}

/** Arguments are converted to the kernel's parameters and copied, as a launch does. */
template <class... Parameters, class... Arguments>
cudaError_t launch(const char *name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                   size_t dynamic_shared_bytes, cudaStream_t stream, Arguments... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "an argument for each parameter");
  cudaError_t error = cudaSuccess;
  int position = 0;

  (void)position;
  ((error = error != cudaSuccess ? error : check_argument(name, ++position, arguments)), ...);
  if (error != cudaSuccess) {
    return error;
  }
  std::tuple<std::decay_t<Parameters>...> held(static_cast<Parameters>(arguments)...);
  return launch_submit({name, grid, block, dynamic_shared_bytes}, stream,
                       [kernel, held] { std::apply(kernel, held); });
}

} // namespace mb_emulator

/* The stream stands in the dots, which must not be empty. */
#define LAUNCH(kernel, grid, block, shared_bytes, ...) \
  ::mb_emulator::launch(#kernel, kernel, grid, block, shared_bytes, __VA_ARGS__)

#endif
