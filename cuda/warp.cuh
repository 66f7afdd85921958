/* cuda/warp.cuh - internal: the extremes over a warp's lanes, and over a block's threads.
 *
 * Loads and gains are never negative, and the bits of such doubles, read as integers, are in the
 * doubles' order. Integers of 32 bits are compared over a whole warp in one instruction (sm_80 and
 * later), so that a double takes two of them and the tie-break a third; shuffles would take 15.
 */
#ifndef MB_CUDA_WARP_CUH
#define MB_CUDA_WARP_CUH

#include <stdint.h>

#include "cuda/gpu.h"

#define MB_WARP_SIZE 32
#define MB_WARP_ALL 0xffffffffu
#define MB_WARPS_MAX 32

/** Something to choose by the largest key, then by the smallest id. */
struct mb_choice {
  uint64_t key;
  uint32_t id;
};

__device__ inline int mb_lane() {
  return (int)(threadIdx.x % MB_WARP_SIZE);
}

__device__ inline int mb_warp() {
  return (int)(threadIdx.x / MB_WARP_SIZE);
}

/** The key of a double >= 0. */
__device__ inline uint64_t mb_key_of(double value) {
  return (uint64_t)__double_as_longlong(value);
}

__device__ inline double mb_value_of(uint64_t key) {
  return __longlong_as_double((long long)key);
}

/** The best of the warp; all lanes get it. */
__device__ inline mb_choice mb_warp_best(mb_choice mine) {
  uint32_t high = (uint32_t)(mine.key >> 32);
  uint32_t low = (uint32_t)mine.key;
  uint32_t high_best = __reduce_max_sync(MB_WARP_ALL, high);
  uint32_t low_best = __reduce_max_sync(MB_WARP_ALL, high == high_best ? low : 0u);
  bool has = high == high_best && low == low_best;
  uint32_t id = __reduce_min_sync(MB_WARP_ALL, has ? mine.id : UINT32_MAX);

  return mb_choice{(uint64_t)high_best << 32 | low_best, id};
}

/** Whether this lane has the best of the warp. Ids differ, but for lanes with nothing to offer,
 * whose UINT32_MAX loses. Most often the upper half decides. */
__device__ inline bool mb_warp_is_best(mb_choice mine) {
  uint32_t high = (uint32_t)(mine.key >> 32);
  uint32_t low = (uint32_t)mine.key;
  uint32_t high_best = __reduce_max_sync(MB_WARP_ALL, high);
  uint32_t tied = __ballot_sync(MB_WARP_ALL, high == high_best);

  if ((tied & (tied - 1)) == 0) {
    return high == high_best;
  }
  uint32_t low_best = __reduce_max_sync(MB_WARP_ALL, high == high_best ? low : 0u);
  bool has = high == high_best && low == low_best;
  uint32_t id = __reduce_min_sync(MB_WARP_ALL, has ? mine.id : UINT32_MAX);
  return has && id == mine.id;
}

/**
 * The best of the block; all threads get it. One barrier; the caller sees to another one before
 * `of_warp` is written again.
 */
__device__ inline mb_choice mb_block_best(mb_choice mine, mb_choice *of_warp) {
  mb_choice best = mb_warp_best(mine);

  if (mb_lane() == 0) {
    of_warp[mb_warp()] = best;
  }
  __syncthreads();
  int n_warps = (int)(blockDim.x / MB_WARP_SIZE);
  best = mb_lane() < n_warps ? of_warp[mb_lane()] : mb_choice{0, UINT32_MAX};
  return mb_warp_best(best);
}

#endif
