/* balancer/gain.h - internal: what the refinements' swaps gain, once for the CPU and for the GPU:
 * the order of the operations decides ties, and so is part of the result.
 *
 * Items i of pack A and j of pack B are swapped; d = w_i - w_j, delta = S_A - S_B.
 */
#ifndef MB_BALANCER_GAIN_H
#define MB_BALANCER_GAIN_H

#include <stdbool.h>

#ifdef __CUDACC__
#define MB_GPU_TOO __host__ __device__
#else
#define MB_GPU_TOO
#endif

/** l2: by how much the sum of squared pack loads falls. */
MB_GPU_TOO static inline double mb_gain_l2(double d, double delta) {
  return 2 * d * (delta - d);
}

/** maxmin: what A loses, or what it stays above B, whichever is less. */
MB_GPU_TOO static inline double mb_gain_maxmin(double d, double delta) {
  double rest = delta - d;

  return d < rest ? d : rest;
}

/**
 * maxmin: whether the loads of all packs, sorted descending, have become lexicographically smaller.
 * All but two are as they were, and what two sorted lists share does not decide between them.
 */
MB_GPU_TOO static inline bool mb_loads_are_smaller(double a, double b, double before_a,
                                                   double before_b) {
  double high = a > b ? a : b;
  double before_high = before_a > before_b ? before_a : before_b;

  if (high != before_high) {
    return high < before_high;
  }
  return (a > b ? b : a) < (before_a > before_b ? before_b : before_a);
}

#endif
