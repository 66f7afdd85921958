/* cuda/packing.cuh - internal: balanced packing by one block; reference: balancer/pack.c.
 *
 * Everything lies in shared memory. An item is known by its position in the sorted order, and 16
 * bits are enough for it: shared memory ends before they do.
 */
#ifndef MB_CUDA_PACKING_CUH
#define MB_CUDA_PACKING_CUH

#include <stdint.h>

#include "cuda/gpu.h"
#include "cuda/warp.cuh"

/** One packing: n items into m packs of k = n/m. Arrays are shared by the block. */
struct mb_cuda_packing {
  int n, m, k;
  double *weight;          /* [n, up to a power of two] by position, descending */
  uint16_t *order;         /* [n, likewise] the item at each position */
  uint16_t *pack_of;       /* [n] by position */
  uint16_t *member;        /* [m,k] a pack's positions, ascending: its items by rank */
  double *pack_load;       /* [m] */
  uint16_t *filled;        /* [m] items in each pack, while they are being filled */
  double *table_gain;      /* [m(m-1)/2] each pair's best swap; 0: none. NULL: no table */
  uint32_t *table_swap;    /* [m(m-1)/2] */
  mb_choice *best_of_warp; /* [MB_WARPS_MAX] */
};

/** Rounds and swaps that a packing took. */
struct mb_cuda_stats {
  long long rounds, swaps;
};

/** The least power of two that is not below n. */
__host__ __device__ inline int mb_power_of_two(int n) {
  int power = 1;

  while (power < n) {
    power *= 2;
  }
  return power;
}

/** Whether the item at x has to stand before the one at y. */
__device__ inline bool mb_stands_before(const mb_cuda_packing &p, int x, int y) {
  return p.weight[x] > p.weight[y] || (p.weight[x] == p.weight[y] && p.order[x] < p.order[y]);
}

/** Bitonic: heaviest first, equal weights by index. Fills up with -1, below every weight. */
__device__ inline void mb_sort_items(const mb_cuda_packing &p) {
  int padded = mb_power_of_two(p.n);

  for (int x = (int)threadIdx.x; x < padded; x += (int)blockDim.x) {
    p.order[x] = (uint16_t)x;
    p.weight[x] = x < p.n ? p.weight[x] : -1.0;
  }
  for (int run = 2; run <= padded; run *= 2) {
    for (int gap = run / 2; gap > 0; gap /= 2) {
      __syncthreads();
      for (int pair = (int)threadIdx.x; pair < padded / 2; pair += (int)blockDim.x) {
        int x = 2 * gap * (pair / gap) + pair % gap;
        int y = x + gap;
        bool forward = (x & run) == 0;
        if (mb_stands_before(p, forward ? y : x, forward ? x : y)) {
          double weight = p.weight[x];
          p.weight[x] = p.weight[y];
          p.weight[y] = weight;
          uint16_t item = p.order[x];
          p.order[x] = p.order[y];
          p.order[y] = item;
        }
      }
    }
  }
  __syncthreads();
}

/** The lane's lightest pack with room: of packs lane, lane + 32, ... Keys are turned round. */
__device__ inline mb_choice mb_lightest_of_lane(const mb_cuda_packing &p) {
  mb_choice lightest = {0, (uint32_t)mb_lane()};

  for (int pack = mb_lane(); pack < p.m; pack += MB_WARP_SIZE) {
    uint64_t key = ~mb_key_of(p.pack_load[pack]);
    if ((int)p.filled[pack] < p.k && key > lightest.key) {
      lightest = mb_choice{key, (uint32_t)pack};
    }
  }
  return lightest;
}

/**
 * Each item to the lightest pack with room, by one warp: a step needs the one before, so n steps of
 * a warp's minimum are the least that this rule takes. A lane alone touches its packs.
 */
__device__ inline void mb_pack_greedily(const mb_cuda_packing &p) {
  for (int pack = mb_lane(); pack < p.m; pack += MB_WARP_SIZE) {
    p.pack_load[pack] = 0;
    p.filled[pack] = 0;
  }
  mb_choice lightest = mb_lightest_of_lane(p);
  for (int t = 0; t < p.n; t++) {
    double weight = p.weight[t];
    if (mb_warp_is_best(lightest)) {
      int pack = (int)lightest.id;
      p.pack_load[pack] = mb_value_of(~lightest.key) + weight;
      p.pack_of[t] = (uint16_t)pack;
      p.member[pack * p.k + p.filled[pack]] = (uint16_t)t;
      p.filled[pack]++;
      lightest = mb_lightest_of_lane(p);
    }
  }
}

/** A single item a pack: item i is pack i's, and nothing is sorted. */
__device__ inline void mb_pack_singly(const mb_cuda_packing &p) {
  for (int x = (int)threadIdx.x; x < p.n; x += (int)blockDim.x) {
    p.order[x] = (uint16_t)x;
    p.member[x] = (uint16_t)x;
  }
  __syncthreads();
}

/**
 * mb_pack() by all threads of the block: `order` and `member` are the answer. `weight` has been
 * written, and a barrier passed.
 *
 * @tparam Refinement has `static mb_cuda_stats refine(packing, max_rounds, min_gain)`.
 */
template <class Refinement>
__device__ mb_cuda_stats mb_pack_items(const mb_cuda_packing &p, long long max_rounds,
                                       double min_gain) {
  if (p.k == 1) {
    mb_pack_singly(p);
    return mb_cuda_stats{0, 0};
  }
  mb_sort_items(p);
  if (mb_warp() == 0) {
    mb_pack_greedily(p);
  }
  __syncthreads();
  return Refinement::refine(p, max_rounds, min_gain);
}

#endif
