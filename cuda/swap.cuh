/* cuda/swap.cuh - internal: the refinements by one block; reference: balancer/swap.h, l2.c,
 * maxmin.c, whose reasons hold here too.
 *
 * Which search suits a block? Brute force looks at n^2/2 pairs of items: for 448 items and 512
 * threads some 200 pairs a thread and round, 5 double operations each. Searching pairs of packs
 * instead, for each item of the heavier one the place in the lighter one where d passes delta/2
 * (bisection, then the outward walk), takes k log k steps for a pair of packs; a round needs it for
 * the 2m pairs of the two packs that changed, and a look through a table of all pairs. For m = 64,
 * k = 7 that is one bisection of 3 steps a thread, and 4 entries of the table: some tenfold less.
 * So it is the pack pairs, and a few lanes share a pair where there are more threads than pairs.
 * Where the table of m(m-1)/2 entries does not fit into shared memory (m above some 160 on sm_80,
 * 190 on sm_90), every round searches all pairs: still n k log k / 2 against n^2 / 2 steps of m.
 */
#ifndef MB_CUDA_SWAP_CUH
#define MB_CUDA_SWAP_CUH

#include <float.h>
#include <stdint.h>

#include "balancer/gain.h"
#include "cuda/gpu.h"
#include "cuda/packing.cuh"
#include "cuda/warp.cuh"

/** The smallest positive double; DBL_TRUE_MIN is C's. */
#define MB_DOUBLE_TRUE_MIN 4.9406564584124654e-324

/** The best swap so far: positions i < j in one word, so that it orders ties. */
struct mb_cuda_swap {
  double gain;
  uint32_t swap; /* i << 16 | j; MB_NO_SWAP with the gain that has to be exceeded */
};
#define MB_NO_SWAP UINT32_MAX

/** The gains of balancer/gain.h as types, for the templates. */
struct mb_l2_gain {
  __device__ static double of(double d, double delta) {
    return mb_gain_l2(d, delta);
  }
};

struct mb_maxmin_gain {
  __device__ static double of(double d, double delta) {
    return mb_gain_maxmin(d, delta);
  }
};

/** The entry of packs a != b in a table of pairs. */
__device__ inline int mb_pair_index(int a, int b) {
  int low = a < b ? a : b;
  int high = a < b ? b : a;

  return high * (high - 1) / 2 + low;
}

/** Takes a swap that gains more, or the same with smaller positions. False: none beyond can win. */
template <class Gain>
__device__ bool mb_consider(const mb_cuda_packing &p, double min_gain, double delta, uint32_t i,
                            uint32_t j, mb_cuda_swap *best) {
  double gain = Gain::of(p.weight[i] - p.weight[j], delta);
  uint32_t swap = i << 16 | j;

  if (!(gain * (1 + 8 * DBL_EPSILON) + MB_DOUBLE_TRUE_MIN >= best->gain)) {
    return false;
  }
  if (gain > min_gain && (gain > best->gain || (gain == best->gain && swap < best->swap))) {
    *best = mb_cuda_swap{gain, swap};
  }
  return true;
}

/** The best partner of item i among the members of the lighter pack. */
template <class Gain>
__device__ void mb_search_item(const mb_cuda_packing &p, double min_gain, double delta, uint32_t i,
                               const uint16_t *light, mb_cuda_swap *best) {
  double weight = p.weight[i];
  int low = 0;
  int high = p.k;

  while (low < high) {
    int middle = (low + high) / 2;
    if (2 * (weight - p.weight[light[middle]]) < delta) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (int x = low - 1; x >= 0; x--) {
    if (!mb_consider<Gain>(p, min_gain, delta, i, light[x], best)) {
      break;
    }
  }
  for (int x = low; x < p.k; x++) {
    if (!mb_consider<Gain>(p, min_gain, delta, i, light[x], best)) {
      break;
    }
  }
}

/** The best swap between packs a and b; `lanes` threads share it, this being number `part`. */
template <class Gain>
__device__ mb_cuda_swap mb_search_pair(const mb_cuda_packing &p, double min_gain, int a, int b,
                                       int part, int lanes) {
  int heavy = p.pack_load[a] > p.pack_load[b] ? a : b;
  int light = heavy == a ? b : a;
  double delta = p.pack_load[heavy] - p.pack_load[light];
  mb_cuda_swap best = {min_gain, MB_NO_SWAP};

  for (int x = part; delta > 0 && x < p.k; x += lanes) {
    mb_search_item<Gain>(p, min_gain, delta, p.member[heavy * p.k + x],
                         p.member + ptrdiff_t{light} * p.k, &best);
  }
  return best;
}

/** The better of both; with no swap in either, one without. */
__device__ inline mb_cuda_swap mb_better_swap(mb_cuda_swap a, mb_cuda_swap b) {
  return b.gain > a.gain || (b.gain == a.gain && b.swap < a.swap) ? b : a;
}

/** The best of a run of `lanes` lanes, a power of two; all of them get it. */
__device__ inline mb_cuda_swap mb_best_of_lanes(mb_cuda_swap mine, int lanes) {
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    double gain = __shfl_xor_sync(MB_WARP_ALL, mine.gain, distance);
    uint32_t swap = __shfl_xor_sync(MB_WARP_ALL, mine.swap, distance);
    mine = mb_better_swap(mine, mb_cuda_swap{gain, swap});
  }
  return mine;
}

/** How many lanes share a pair of packs, so that no thread idles as far as that can be. */
__device__ inline int mb_lanes_for(int n_pairs, int k) {
  int lanes = mb_power_of_two(k);

  lanes = lanes < MB_WARP_SIZE ? lanes : MB_WARP_SIZE;
  while (lanes > 1 && n_pairs * lanes > (int)blockDim.x) {
    lanes /= 2;
  }
  return lanes;
}

/** Pairs of packs, numbered: all of them, in the order of the table. */
struct mb_all_pairs {
  int m;

  __device__ int count() const {
    return m * (m - 1) / 2;
  }
  __device__ bool get(int number, int *a, int *b) const {
    int high = (int)((1 + sqrtf(1 + 8 * (float)number)) / 2);
    while (high * (high - 1) / 2 > number) {
      high--;
    }
    while ((high + 1) * high / 2 <= number) {
      high++;
    }
    *b = high;
    *a = number - high * (high - 1) / 2;
    return true;
  }
};

/** The pairs that the packs `first` and `second` are in; with first == second those of one. */
struct mb_pairs_of {
  int m, first, second;

  __device__ int count() const {
    return first == second ? m : 2 * m;
  }
  __device__ bool get(int number, int *a, int *b) const {
    *a = number < m ? first : second;
    *b = number < m ? number : number - m;
    return *a != *b && (number < m || *b != first);
  }
};

/**
 * Searches the pairs, and keeps each one's best in the table where there is one. Returns the best
 * of those that this thread's lanes looked at.
 */
template <class Gain, class Pairs>
__device__ mb_cuda_swap mb_search_pairs(const mb_cuda_packing &p, double min_gain, Pairs pairs,
                                        bool keep) {
  int lanes = mb_lanes_for(pairs.count(), p.k);
  int n_teams = (int)blockDim.x / lanes;
  int team = (int)threadIdx.x / lanes;
  int part = (int)threadIdx.x % lanes;
  mb_cuda_swap best = {min_gain, MB_NO_SWAP};

  /* The whole warp stays together, since it shuffles. */
  for (int first = 0; first < pairs.count(); first += n_teams) {
    int a = 0;
    int b = 0;
    bool is_pair = first + team < pairs.count() && pairs.get(first + team, &a, &b);
    mb_cuda_swap found = {min_gain, MB_NO_SWAP};
    if (is_pair) {
      found = mb_search_pair<Gain>(p, min_gain, a, b, part, lanes);
    }
    found = mb_best_of_lanes(found, lanes);
    if (is_pair && keep && part == 0) {
      int entry = mb_pair_index(a, b);
      p.table_gain[entry] = found.swap != MB_NO_SWAP ? found.gain : 0.0;
      p.table_swap[entry] = found.swap;
    }
    best = mb_better_swap(best, found);
  }
  return best;
}

/** The best swap of all threads; all of them get it. */
__device__ inline uint32_t mb_best_of_block(const mb_cuda_packing &p, mb_cuda_swap mine) {
  bool found = mine.swap != MB_NO_SWAP;

  return mb_block_best(mb_choice{found ? mb_key_of(mine.gain) : 0, mine.swap}, p.best_of_warp).id;
}

/** The best swap in the table, of the entries that fall to this thread. */
__device__ inline mb_cuda_swap mb_best_of_table(const mb_cuda_packing &p) {
  mb_cuda_swap best = {0, MB_NO_SWAP};

  for (int x = (int)threadIdx.x; x < p.m * (p.m - 1) / 2; x += (int)blockDim.x) {
    best = mb_better_swap(best, mb_cuda_swap{p.table_gain[x], p.table_swap[x]});
  }
  return best;
}

/**
 * By one warp: item `out` leaves the pack's list, which is ascending, and `in` comes into it. What
 * stands between them moves by one place, 32 at a time, away from where is still to be read.
 */
__device__ inline void mb_replace_member(uint16_t *member, int k, int out, int in) {
  int n_parts = (k + MB_WARP_SIZE - 1) / MB_WARP_SIZE;

  for (int part = 0; part < n_parts; part++) {
    int x = (in > out ? part : n_parts - 1 - part) * MB_WARP_SIZE + mb_lane();
    int here = x < k ? member[x] : 0;
    int place = here;
    if (x < k && in > out && here >= out) {
      int next = x + 1 < k ? member[x + 1] : in;
      place = next < in ? next : here < in ? in : here;
    } else if (x < k && in < out && here <= out) {
      int previous = x > 0 ? member[x - 1] : in;
      place = previous > in ? previous : here > in ? in : here;
    }
    __syncwarp();
    if (x < k) {
      member[x] = (uint16_t)place;
    }
    __syncwarp();
  }
}

/** By one warp, which reads 32 weights at once and adds them one after the other, in order. */
__device__ inline double mb_sum_pack(const mb_cuda_packing &p, const uint16_t *member) {
  double sum = 0;

  for (int first = 0; first < p.k; first += MB_WARP_SIZE) {
    int x = first + mb_lane();
    double weight = x < p.k ? p.weight[member[x]] : 0.0;
    int count = p.k - first < MB_WARP_SIZE ? p.k - first : MB_WARP_SIZE;
    for (int lane = 0; lane < count; lane++) {
      sum += __shfl_sync(MB_WARP_ALL, weight, lane);
    }
  }
  return sum;
}

/** By one warp: `in` takes the place of `out` in the pack. */
__device__ inline void mb_change_pack(const mb_cuda_packing &p, int pack, int out, int in) {
  uint16_t *member = p.member + ptrdiff_t{pack} * p.k;

  mb_replace_member(member, p.k, out, in);
  double sum = mb_sum_pack(p, member);
  if (mb_lane() == 0) {
    p.pack_load[pack] = sum;
    p.pack_of[in] = (uint16_t)pack;
  }
}

/** By the block: i and j change places. The same call again undoes it. Barriers before and after.
 */
__device__ inline void mb_make_swap(const mb_cuda_packing &p, int i, int j) {
  int pack_i = p.pack_of[i];
  int pack_j = p.pack_of[j];

  __syncthreads();
  if (mb_warp() == 0) {
    mb_change_pack(p, pack_i, i, j);
  } else if (mb_warp() == 1) {
    mb_change_pack(p, pack_j, j, i);
  }
  __syncthreads();
}

/** The same sum in every thread: all read the same words, which shared memory gives at once. */
__device__ inline double mb_sum_of_squares(const mb_cuda_packing &p) {
  double sum = 0;

  for (int pack = 0; pack < p.m; pack++) {
    sum += p.pack_load[pack] * p.pack_load[pack];
  }
  return sum;
}

/** LPT alone. */
struct mb_cuda_lpt {
  __device__ static mb_cuda_stats refine(const mb_cuda_packing &, long long, double) {
    return mb_cuda_stats{0, 0};
  }
};

struct mb_cuda_l2 {
  __device__ static mb_cuda_swap search_all(const mb_cuda_packing &p, double min_gain) {
    return mb_search_pairs<mb_l2_gain>(p, min_gain, mb_all_pairs{p.m}, p.table_gain != NULL);
  }

  __device__ static mb_cuda_stats refine(const mb_cuda_packing &p, long long max_rounds,
                                         double min_gain) {
    const bool unlimited = max_rounds == INT64_MAX;
    const bool table = p.table_gain != NULL;
    mb_cuda_stats stats = {0, 0};
    double before = unlimited ? mb_sum_of_squares(p) : 0;

    if (table && max_rounds > 0) {
      (void)search_all(p, min_gain);
      __syncthreads();
    }
    while (stats.rounds < max_rounds) {
      stats.rounds++;
      mb_cuda_swap mine = table ? mb_best_of_table(p) : search_all(p, min_gain);
      uint32_t swap = mb_best_of_block(p, mine);
      if (swap == MB_NO_SWAP) {
        break;
      }
      int i = (int)(swap >> 16);
      int j = (int)(swap & 0xffff);
      mb_make_swap(p, i, j);
      if (unlimited) {
        double after = mb_sum_of_squares(p);
        if (!(after < before)) {
          mb_make_swap(p, i, j);
          break;
        }
        before = after;
      }
      stats.swaps++;
      if (table) {
        (void)mb_search_pairs<mb_l2_gain>(
            p, min_gain, mb_pairs_of{p.m, (int)p.pack_of[i], (int)p.pack_of[j]}, true);
        __syncthreads();
      }
    }
    return stats;
  }
};

struct mb_cuda_maxmin {
  /** The heaviest pack; every warp finds it for itself. */
  __device__ static int heaviest(const mb_cuda_packing &p) {
    mb_choice mine = {0, UINT32_MAX};

    for (int pack = mb_lane(); pack < p.m; pack += MB_WARP_SIZE) {
      uint64_t key = mb_key_of(p.pack_load[pack]);
      if (mine.id == UINT32_MAX || key > mine.key) {
        mine = mb_choice{key, (uint32_t)pack};
      }
    }
    return (int)mb_warp_best(mine).id;
  }

  __device__ static mb_cuda_stats refine(const mb_cuda_packing &p, long long max_rounds,
                                         double min_gain) {
    mb_cuda_stats stats = {0, 0};

    while (stats.rounds < max_rounds) {
      stats.rounds++;
      int pack = heaviest(p);
      mb_cuda_swap mine =
          mb_search_pairs<mb_maxmin_gain>(p, min_gain, mb_pairs_of{p.m, pack, pack}, false);
      uint32_t swap = mb_best_of_block(p, mine);
      if (swap == MB_NO_SWAP) {
        break;
      }
      int i = (int)(swap >> 16);
      int j = (int)(swap & 0xffff);
      int a = p.pack_of[i];
      int b = p.pack_of[j];
      double before_a = p.pack_load[a];
      double before_b = p.pack_load[b];
      mb_make_swap(p, i, j);
      if (max_rounds == INT64_MAX &&
          !mb_loads_are_smaller(p.pack_load[a], p.pack_load[b], before_a, before_b)) {
        mb_make_swap(p, i, j);
        break;
      }
      stats.swaps++;
    }
    return stats;
  }
};

#endif
