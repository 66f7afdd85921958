/* balancer/slices_gain.h - internal: what a swap gains where loads have slices, once for the fast
 * search and for the twin that defines it: the order of the operations decides ties, and so is part
 * of the result.
 */
#ifndef MB_BALANCER_SLICES_GAIN_H
#define MB_BALANCER_SLICES_GAIN_H

#include <stddef.h>

/** Lanes that sums over slices are made in: slice s belongs to lane s % 8. */
#define MB_SLICES_LANES 8

/** A phase ends the search unless it has left less than this share of what was above the floor. */
#define MB_SLICES_PHASE 0.9

/** What rounding can make of an objective, as a share of it. */
#define MB_SLICES_ROUNDING 1e-12

/**
 * squares: by how much sum over packs of |sum of v_i in the pack|^2 falls where items i of pack A
 * and j of pack B are swapped.
 *
 * @param rest_i A . v_i - v_i . v_i, the item's product with the others of its pack; rest_j with B.
 * @param a_j, b_i A . v_j and B . v_i. @param i_j v_i . v_j.
 */
static inline double mb_slices_gain(double rest_i, double rest_j, double a_j, double b_i,
                                    double i_j) {
  return 2 * (((rest_i + rest_j) - (a_j + b_i)) + 2 * i_j);
}

/** maxima: a slice's largest load after the swap. `others` is that of the other packs. */
static inline double mb_slices_max(double others, double a, double b, double v_i, double v_j) {
  double d = v_i - v_j;
  double after_a = a - d;
  double after_b = b + d;
  double larger = after_a > after_b ? after_a : after_b;

  return others > larger ? others : larger;
}

/** The sum of the lanes' sums. */
static inline double mb_slices_sum(const double *lane) {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/** A gain less than or equal to this is none. */
static inline double mb_slices_least(double min_gain, double above, double objective) {
  double least = min_gain * above;
  double rounding = MB_SLICES_ROUNDING * objective;

  return least > rounding ? least : rounding;
}

#endif
