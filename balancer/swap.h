/* balancer/swap.h - internal: the best swap of two items between two packs, and making it.
 *
 * Two packs' items swapped, i of the heavier pack A and j of the lighter B, move d = w_i - w_j from
 * A to B. What that gains is a function of d and of delta = S_A - S_B, in exact arithmetic rising
 * up to d = delta/2 and falling from there. For one i, and j going down B's sorted items, d only
 * grows, so the best j stands where d passes delta/2; for the next i that is the same j or a later
 * one. Two pointers find all these places in O(k).
 *
 * Rounding blurs this: items a few ulps apart give the same computed gain, and the smallest
 * position has to win. So the search walks outward from each such place for as long as the
 * gains beyond may, rounded, still reach the best. A computed gain g is within (1 + eps)^2 of the
 * exact one, or within the smallest subnormal; hence nothing beyond exceeds
 * g (1 + 8 eps) + the smallest subnormal. Equal weights would make for long walks and never for
 * another answer than their first, so only the first of a run is looked at.
 */
#ifndef MB_BALANCER_SWAP_H
#define MB_BALANCER_SWAP_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/pack.h"

/** What a swap gains; the order of its operations decides ties, and so is part of the result. */
typedef double (*mb_swap_gain)(double d, double delta);

/** Items i < j by position; one that is not there has the gain that has to be exceeded, i = j. */
typedef struct mb_swap {
  double gain;
  int32_t i, j;
} mb_swap;

/** Each pack's items, kept in order while swaps are made; k = n/m. */
typedef struct mb_swap_lists {
  size_t n_packs, pack_size;
  int32_t *member;    /* [m,k] positions of a pack's items, ascending */
  int32_t *first;     /* [m,k] positions that begin a run of equal weights */
  double *weight;     /* [m,k] their weights, strictly descending */
  size_t *n_distinct; /* [m] how many there are */
} mb_swap_lists;

/** @return MB_OK, and mb_swap_lists_fini() is due; MB_ERR_MEMORY, and nothing is owned. */
MB_NODISCARD mb_status mb_swap_lists_init(mb_swap_lists *lists, const mb_packing *packing);
void mb_swap_lists_fini(mb_swap_lists *lists);

/** Swaps items i and j of different packs and sums both packs' loads anew, in sorted order. O(k).
 * The same call again undoes it. */
void mb_swap_make(mb_swap_lists *lists, mb_packing *packing, int32_t i, int32_t j);

/** Whether `a` is to be preferred: the larger gain, then the smaller (i, j). */
static inline bool mb_swap_better(mb_swap a, mb_swap b) {
  return a.gain > b.gain || (a.gain == b.gain && (a.i < b.i || (a.i == b.i && a.j < b.j)));
}

static inline bool mb_swap_found(mb_swap swap) {
  return swap.i != swap.j;
}

/** Whether items beyond one of this gain can still come up to the best. */
static inline bool mb_swap_may_reach(double gain, double best) {
  return gain * (1 + 8 * DBL_EPSILON) + DBL_TRUE_MIN >= best;
}

/**
 * The best swap between packs `heavy` and `light` that gains more than min_gain.
 * O(k), unless many weights lie within a few ulps of each other. Inline, so that `gain` is too.
 */
static inline mb_swap mb_swap_search(const mb_swap_lists *lists, const double *pack_load,
                                     size_t heavy, size_t light, double min_gain,
                                     mb_swap_gain gain) {
  size_t k = lists->pack_size;
  const double *w_i = lists->weight + heavy * k;
  const double *w_j = lists->weight + light * k;
  const int32_t *i_of = lists->first + heavy * k;
  const int32_t *j_of = lists->first + light * k;
  size_t n_i = lists->n_distinct[heavy];
  size_t n_j = lists->n_distinct[light];
  double delta = pack_load[heavy] - pack_load[light];
  mb_swap best = {min_gain, 0, 0};

  for (size_t a = 0, middle = 0; delta > 0 && a < n_i; a++) {
    while (middle < n_j && 2 * (w_i[a] - w_j[middle]) < delta) {
      middle++;
    }
    for (size_t b = middle; b-- > 0;) {
      mb_swap swap = {gain(w_i[a] - w_j[b], delta), i_of[a], j_of[b]};
      if (!mb_swap_may_reach(swap.gain, best.gain)) {
        break;
      }
      best = swap.gain > min_gain && mb_swap_better(swap, best) ? swap : best;
    }
    for (size_t b = middle; b < n_j; b++) {
      mb_swap swap = {gain(w_i[a] - w_j[b], delta), i_of[a], j_of[b]};
      if (!mb_swap_may_reach(swap.gain, best.gain)) {
        break;
      }
      best = swap.gain > min_gain && mb_swap_better(swap, best) ? swap : best;
    }
  }
  return best;
}

#endif
