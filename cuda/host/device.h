/* cuda/host/device.h - what a kernel can say: qualifiers, indices, barriers, warp operations,
 * shared memory. Left out on purpose: __activemask and everything warp-wide without a mask. */
#ifndef MB_CUDA_HOST_DEVICE_H
#define MB_CUDA_HOST_DEVICE_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/host/vector_types.h"

/* The names below are CUDA's, underscores and all. */
// NOLINTBEGIN(bugprone-reserved-identifier)

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __shared__ \
  static_assert(false, "use GPU_SHARED_ARRAY, GPU_SHARED_VAR or GPU_DYN_SHARED of cuda/gpu.h");
#define __constant__ static_assert(false, "pass small constants by value, in a structure");

/* The place of the thread that runs now; kernels only read them. */
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
static constexpr int warpSize = 32;

namespace mb_emulator {

/** A line of the kernel's source; as a default argument, the line of the call. */
struct location {
  const char *file;
  int line;

  static constexpr location here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

enum class barrier_kind { plain, any, all, count };

enum class warp_kind {
  sync,
  shuffle,
  ballot,
  reduce_add,
  reduce_min_unsigned,
  reduce_max_unsigned,
  reduce_min_signed,
  reduce_max_signed,
  reduce_and,
  reduce_or,
  reduce_xor
};

/** How the lane that a shuffle reads from is found from its third argument. */
enum class shuffle_kind { index, exclusive_or, up, down };

/** What one lane brings to a warp operation. */
struct warp_request {
  warp_kind kind;
  uint32_t mask;
  uint64_t value;
  int source; /* of a shuffle: the lane whose value comes back */
};

/** Waits for all threads of the block that have not ended. */
int barrier(barrier_kind kind, bool predicate, location at);

/** Waits for all lanes in the mask, and answers what the operation gives this lane. */
uint64_t warp_operation(const warp_request &request, location at);

/** The lane that this one's shuffle reads. */
int shuffle_source(shuffle_kind kind, int argument, int width, location at);

/** Makes earlier writes visible to those that fence after them. */
void fence();

/** The block's storage for the variable that `key` stands for; filled with garbage. */
void *shared_variable(const void *key, size_t bytes, size_t alignment);
void *shared_dynamic();

template <class T>
inline T shuffle(shuffle_kind kind, unsigned mask, T value, int argument, int width, location at) {
  static_assert(std::is_arithmetic<T>::value && (sizeof(T) == 4 || sizeof(T) == 8),
                "shuffles take 32- and 64-bit numbers");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  int source = shuffle_source(kind, argument, width, at);
  bits = warp_operation({warp_kind::shuffle, mask, bits, source}, at);
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline unsigned reduce(warp_kind kind, unsigned mask, unsigned value, location at) {
  return static_cast<unsigned>(warp_operation({kind, mask, value, 0}, at));
}

} // namespace mb_emulator

#define MB_HERE ::mb_emulator::location at = ::mb_emulator::location::here()

inline void __syncthreads(MB_HERE) {
  (void)mb_emulator::barrier(mb_emulator::barrier_kind::plain, false, at);
}
inline int __syncthreads_or(int predicate, MB_HERE) {
  return mb_emulator::barrier(mb_emulator::barrier_kind::any, predicate != 0, at);
}
inline int __syncthreads_and(int predicate, MB_HERE) {
  return mb_emulator::barrier(mb_emulator::barrier_kind::all, predicate != 0, at);
}
inline int __syncthreads_count(int predicate, MB_HERE) {
  return mb_emulator::barrier(mb_emulator::barrier_kind::count, predicate != 0, at);
}

inline void __syncwarp(unsigned mask = 0xffffffffU, MB_HERE) {
  (void)mb_emulator::warp_operation({mb_emulator::warp_kind::sync, mask, 0, 0}, at);
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize, MB_HERE) {
  return mb_emulator::shuffle(mb_emulator::shuffle_kind::index, mask, value, lane, width, at);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize, MB_HERE) {
  return mb_emulator::shuffle(mb_emulator::shuffle_kind::exclusive_or, mask, value, lanes, width,
                              at);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, MB_HERE) {
  return mb_emulator::shuffle(mb_emulator::shuffle_kind::up, mask, value, static_cast<int>(delta),
                              width, at);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, MB_HERE) {
  return mb_emulator::shuffle(mb_emulator::shuffle_kind::down, mask, value, static_cast<int>(delta),
                              width, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::ballot, mask, predicate != 0, at);
}
inline int __any_sync(unsigned mask, int predicate, MB_HERE) {
  return __ballot_sync(mask, predicate, at) != 0;
}
inline int __all_sync(unsigned mask, int predicate, MB_HERE) {
  return __ballot_sync(mask, predicate, at) == mask;
}

inline unsigned __reduce_add_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_add, mask, value, at);
}
inline unsigned __reduce_min_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_min_unsigned, mask, value, at);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_max_unsigned, mask, value, at);
}
inline int __reduce_add_sync(unsigned mask, int value, MB_HERE) {
  auto bits = static_cast<unsigned>(value);
  return static_cast<int>(mb_emulator::reduce(mb_emulator::warp_kind::reduce_add, mask, bits, at));
}
inline int __reduce_min_sync(unsigned mask, int value, MB_HERE) {
  auto bits = static_cast<unsigned>(value);
  return static_cast<int>(
      mb_emulator::reduce(mb_emulator::warp_kind::reduce_min_signed, mask, bits, at));
}
inline int __reduce_max_sync(unsigned mask, int value, MB_HERE) {
  auto bits = static_cast<unsigned>(value);
  return static_cast<int>(
      mb_emulator::reduce(mb_emulator::warp_kind::reduce_max_signed, mask, bits, at));
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_and, mask, value, at);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_or, mask, value, at);
}
inline unsigned __reduce_xor_sync(unsigned mask, unsigned value, MB_HERE) {
  return mb_emulator::reduce(mb_emulator::warp_kind::reduce_xor, mask, value, at);
}

#undef MB_HERE

inline void __threadfence() {
  mb_emulator::fence();
}
inline void __threadfence_block() {
  mb_emulator::fence();
}

// NOLINTEND(bugprone-reserved-identifier)

// NOLINTBEGIN(bugprone-macro-parentheses): types and names of variables stand bare.

/* The address of a static stands for the variable, so that every block gets storage of its own. */
#define MB_EMULATOR_SHARED(type, name)          \
  static const char mb_emulator_key_##name = 0; \
  type &name = *static_cast<type *>(            \
      ::mb_emulator::shared_variable(&mb_emulator_key_##name, sizeof(type), alignof(type)))

#define GPU_SHARED_ARRAY(type, name, n)    \
  using mb_emulator_type_##name = type[n]; \
  MB_EMULATOR_SHARED(mb_emulator_type_##name, name)
#define GPU_SHARED_VAR(type, name) MB_EMULATOR_SHARED(type, name)
#define GPU_DYN_SHARED(type, name) \
  type *const name = static_cast<type *>(::mb_emulator::shared_dynamic())

// NOLINTEND(bugprone-macro-parentheses)

#endif
