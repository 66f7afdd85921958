/* balancer/swap.h - internal: the best swap of two items between two packs, and making it.
 *
 * Two packs' items swapped, i of the heavier pack A and j of the lighter B, move d = w_i - w_j from
 * A to B. What that gains is a function of d and of delta = S_A - S_B, in exact arithmetic rising
 * up to d = delta/2 and falling from there: the best pair is the one whose d is nearest to delta/2.
 *
 * Between small packs all k^2 pairs of items are looked at, eight packs at a time side by side,
 * which SIMD makes the fastest. Between large ones the search goes down both sorted lists at once.
 * Where d of the two items at hand is delta/2 or more, the rest of B with the same item of A is
 * farther off still, and that item is done with; where d is less, B's item is. So one look each at
 * 2k pairs finds the best. Going up from the lists' ends at the same time halves the wait for what
 * is next.
 *
 * Rounding blurs this: items a few ulps apart give the same computed gain, and the smallest
 * position has to win. So from a pair that comes up to the best the search walks along the rest
 * that it would leave aside, for as long as the gains there, rounded, may still reach the best. A
 * computed gain is within (1 + eps)^2 of the exact one, or within the smallest subnormal; so what
 * falls short of the best by a factor of 1 - 16 eps has nothing beyond it that reaches the best.
 * Equal weights would make for long walks and never for another answer than their first, so only
 * the first of a run is looked at.
 *
 * Most pairs of packs need no search, since a bound on what they may gain falls short of the best:
 * the gain at d = delta/2, or where no d comes near that, the larger gain on either side of the
 * gap. Such gaps are what a single heavy item leaves: with A's heaviest, d is at least h_A - h_B,
 * and without it, at most A's second less B's lightest. The gains are those of (A, B) whichever of
 * the two is heavier, for gain(-d, -delta) = gain(d, delta).
 */
#ifndef MB_BALANCER_SWAP_H
#define MB_BALANCER_SWAP_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "balancer/pack.h"
#include "balancer/simd.h"

/** What a swap gains; the order of its operations decides ties, and so is part of the result. */
typedef double (*mb_swap_gain)(double d, double delta);

/** Packs that are looked at side by side, and the size up to which they are. */
enum { MB_SWAP_LANES = 8, MB_SWAP_SIZE_WIDE = 16 };

/** Items i < j by position; one that is not there has the gain that has to be exceeded, i = j. */
typedef struct mb_swap {
  double gain;
  int32_t i, j;
} mb_swap;

/** Each pack's items, kept in order while swaps are made; k = n/m. */
typedef struct mb_swap_lists {
  size_t n_packs, pack_size;
  double *weight;      /* [m,k] the weights in a pack, each once, descending */
  double *heaviest;    /* [m] the first of them */
  double *second;      /* [m] the next, or -INFINITY */
  double *lightest;    /* [m] the last */
  double *across;      /* [k or k+1,stride] the same weights across packs, INFINITY where there is
                          none; an even number of rows, and none for large packs */
  size_t stride;       /* m, rounded up to MB_SWAP_LANES */
  int32_t *member;     /* [m,k] positions of a pack's items, ascending */
  int32_t *first;      /* [m,k] the first position of each weight */
  int32_t *n_distinct; /* [m] how many weights there are */
} mb_swap_lists;

/** The packs rounded up to lanes. */
size_t mb_swap_stride(size_t n_packs);

/** Bytes that the lists of so many items and packs take. */
size_t mb_swap_lists_size(size_t n_items, size_t n_packs);

/** @param memory of mb_swap_lists_size() bytes, aligned for doubles. Borrowed by the lists. */
void mb_swap_lists_init(mb_swap_lists *lists, const mb_packing *packing, void *memory);

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

/** Below this gain there is nothing beyond that comes up to `best`. */
static inline double mb_swap_floor(double best) {
  return best * (1 - 16 * DBL_EPSILON) - DBL_TRUE_MIN;
}

/** The largest of x[0..n-1], n > 0; the first of equals. Written for SIMD. */
static inline size_t mb_argmax(const double *x, size_t n) {
  double most[4] = {x[0], x[0], x[0], x[0]};
  size_t at = 0;

  for (; at + 4 <= n; at += 4) {
    for (size_t lane = 0; lane < 4; lane++) {
      most[lane] = x[at + lane] > most[lane] ? x[at + lane] : most[lane];
    }
  }
  for (; at < n; at++) {
    most[0] = x[at] > most[0] ? x[at] : most[0];
  }
  double low = most[0] > most[1] ? most[0] : most[1];
  double high = most[2] > most[3] ? most[2] : most[3];
  double all = low > high ? low : high;
  for (at = 0; x[at] < all;) {
    at++;
  }
  return at;
}

/**
 * bound[b]: what no swap between packs a and b gains more than, but for rounding; for all b. O(m).
 * Without branches, for SIMD. Inline, so that `gain` is too.
 */
static inline void mb_swap_bounds(const mb_swap_lists *lists, const double *pack_load, size_t a,
                                  double *restrict bound, mb_swap_gain gain) {
  const double *heaviest = lists->heaviest;
  const double *second = lists->second;
  const double *lightest = lists->lightest;
  const double load = pack_load[a];
  const double a_heaviest = heaviest[a];
  const double a_second = second[a];
  const double a_lightest = lightest[a];

  for (size_t b = 0; b < lists->n_packs; b++) {
    double delta = load - pack_load[b];
    double optimum = delta / 2;
    double border = a_heaviest - heaviest[b];
    double below = a_second - lightest[b];
    double above = a_lightest - second[b];
    below = below < optimum ? below : optimum;
    above = above > optimum ? above : optimum;
    double gain_border = gain(border, delta);
    double gain_beyond = gain(border > optimum ? below : above, delta);
    bound[b] = gain_border > gain_beyond ? gain_border : gain_beyond;
  }
}

/**
 * most[lane]: the largest gain between packs a and b + lane; a's load must be the larger, or
 * gain(-d, -delta) the same. All pairs of items are looked at, packs side by side: O(k^2), and the
 * fastest for packs of up to MB_SWAP_SIZE_WIDE items, for which alone it works. Inline, so that
 * `gain` is too.
 */
static inline void mb_swap_gains(const mb_swap_lists *lists, const double *pack_load, size_t a,
                                 size_t b, double most[restrict MB_SWAP_LANES], mb_swap_gain gain) {
  const double *w = lists->weight + a * lists->pack_size;
  const size_t n = (size_t)lists->n_distinct[a];
  const size_t n_lanes = lists->n_packs - b < MB_SWAP_LANES ? lists->n_packs - b : MB_SWAP_LANES;
  double delta[MB_SWAP_LANES] = {0};
  double even[MB_SWAP_LANES]; /* of every other item of the packs, so that neither waits for the */
  double odd[MB_SWAP_LANES];  /* other */

  memcpy(delta, pack_load + b, n_lanes * sizeof *delta);
  MB_SIMD_LOOP
  for (size_t lane = 0; lane < MB_SWAP_LANES; lane++) {
    delta[lane] = pack_load[a] - delta[lane];
    even[lane] = odd[lane] = 0;
  }
  for (size_t j = 0; j < lists->pack_size; j += 2) {
    const double *across = lists->across + j * lists->stride + b;
    for (size_t i = 0; i < n; i++) {
      MB_SIMD_LOOP
      for (size_t lane = 0; lane < MB_SWAP_LANES; lane++) {
        double g = gain(w[i] - across[lane], delta[lane]);
        double h = gain(w[i] - across[lists->stride + lane], delta[lane]);
        even[lane] = g > even[lane] ? g : even[lane];
        odd[lane] = h > odd[lane] ? h : odd[lane];
      }
    }
  }
  MB_SIMD_LOOP
  for (size_t lane = 0; lane < MB_SWAP_LANES; lane++) {
    most[lane] = even[lane] > odd[lane] ? even[lane] : odd[lane];
  }
}

/** The items of two packs whose swaps are looked at. */
typedef struct mb_swap_pair {
  double delta;
  const double *w_i, *w_j;    /* of the heavier pack, of the lighter */
  const int32_t *i_of, *j_of; /* their first positions */
  size_t n_i, n_j;            /* how many */
} mb_swap_pair;

static inline mb_swap_pair mb_swap_pair_of(const mb_swap_lists *lists, const double *pack_load,
                                           size_t a, size_t b) {
  const size_t k = lists->pack_size;
  const size_t heavy = pack_load[a] > pack_load[b] ? a : b;
  const size_t light = heavy == a ? b : a;

  return (mb_swap_pair){.delta = pack_load[heavy] - pack_load[light],
                        .w_i = lists->weight + heavy * k,
                        .w_j = lists->weight + light * k,
                        .i_of = lists->first + heavy * k,
                        .j_of = lists->first + light * k,
                        .n_i = (size_t)lists->n_distinct[heavy],
                        .n_j = (size_t)lists->n_distinct[light]};
}

/** The first swap of packs a and b that gains just so much. O(k^2). */
static inline mb_swap mb_swap_of_gain(const mb_swap_lists *lists, const double *pack_load, size_t a,
                                      size_t b, double wanted, mb_swap_gain gain) {
  const mb_swap_pair p = mb_swap_pair_of(lists, pack_load, a, b);

  for (size_t i = 0; i < p.n_i; i++) {
    for (size_t j = 0; j < p.n_j; j++) {
      if (gain(p.w_i[i] - p.w_j[j], p.delta) == wanted) {
        return (mb_swap){wanted, p.i_of[i], p.j_of[j]};
      }
    }
  }
  return (mb_swap){wanted, 0, 0};
}

/** From items x and y on, by one item of one of the packs at a time, for as long as the gain comes
 * up to the best. */
static inline void mb_swap_walk(const mb_swap_pair *p, size_t x, size_t y, size_t step_x,
                                size_t step_y, double min_gain, mb_swap *best, mb_swap_gain gain) {
  while (x < p->n_i && y < p->n_j) { /* stepping below 0 ends beyond n */
    mb_swap swap = {gain(p->w_i[x] - p->w_j[y], p->delta), p->i_of[x], p->j_of[y]};
    if (swap.gain < mb_swap_floor(best->gain)) {
      return;
    }
    *best = swap.gain > min_gain && mb_swap_better(swap, *best) ? swap : *best;
    x += step_x;
    y += step_y;
  }
}

/**
 * Makes `best` the best swap between packs a and b, if that is better. Returns what no swap between
 * them gains more than, but for rounding.
 * O(k), unless many weights lie within a few ulps of each other. Inline, so that `gain` is too.
 */
static inline double mb_swap_search(const mb_swap_lists *lists, const double *pack_load, size_t a,
                                    size_t b, double min_gain, mb_swap *best, mb_swap_gain gain) {
  const mb_swap_pair p = mb_swap_pair_of(lists, pack_load, a, b);
  const size_t back = SIZE_MAX;
  size_t i = 0;
  size_t j = 0;
  size_t i_end = p.n_i;
  size_t j_end = p.n_j;
  double most = 0;
  double floor = mb_swap_floor(best->gain);

  while (i < i_end && j < j_end) {
    double d = p.w_i[i] - p.w_j[j];
    double d_end = p.w_i[i_end - 1] - p.w_j[j_end - 1];
    double g = gain(d, p.delta);
    double g_end = gain(d_end, p.delta);
    bool over = 2 * d >= p.delta;
    bool over_end = 2 * d_end >= p.delta;
    most = g > most ? g : most;
    most = g_end > most ? g_end : most;
    if (MB_RARELY((g >= floor) | (g_end >= floor))) {
      mb_swap_walk(&p, i, j, !over, over, min_gain, best, gain);
      mb_swap_walk(&p, i_end - 1, j_end - 1, over_end ? back : 0, over_end ? 0 : back, min_gain,
                   best, gain);
      floor = mb_swap_floor(best->gain);
    }
    i += over;
    j += !over;
    i_end -= !over_end;
    j_end -= over_end;
  }
  return most;
}

#endif
