/* cuda/host/emulator.h - CUDA for a machine without a GPU: the same kernel source compiled as C++,
 * each CUDA thread a fiber. Include it through cuda/gpu.h.
 *
 * It proves logic, not speed: blocks run one after the other, threads of a block take turns at
 * barriers, warp operations and, if asked, atomics, in an order the test chooses. Memory is
 * sequentially consistent; what a GPU may reorder is found by ThreadSanitizer, for which only
 * barriers, __syncwarp, fences and launches order memory.
 *
 *   runtime.h       the part of the runtime's interface that there is
 *   device.h        what kernels say: qualifiers, indices, barriers, warp operations, shared memory
 *   atomics.h       atomic operations
 *   intrinsics.h    bit counting, reinterpretation, min and max
 *   launch.h        LAUNCH
 *
 * and behind them: block.cpp (a block and its schedule), barrier.cpp, warp.cpp, shared_memory.cpp,
 * fiber.cpp (stacks and switching), runtime.cpp (device, memory, errors), stream.cpp (streams,
 * events, graphs), options.cpp and report.cpp.
 */
#ifndef MB_CUDA_HOST_EMULATOR_H
#define MB_CUDA_HOST_EMULATOR_H

#ifndef __cplusplus
#error "kernels are C++; tests in C include cuda/host/emulator_control.h"
#endif

#include "cuda/host/atomics.h"
#include "cuda/host/device.h"
#include "cuda/host/emulator_control.h"
#include "cuda/host/intrinsics.h"
#include "cuda/host/launch.h"
#include "cuda/host/runtime.h"

#endif
