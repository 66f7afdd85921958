/* balancer/slices_swap.h - internal: items with a load in every slice of time, swapped between
 * packs.
 *
 * Item i has the vector v_i in R^S: the load a replica of its expert in each slice. Two objectives,
 * P_a(s) being the load of pack a in slice s:
 *
 *   squares  sum over packs of |P_a|^2 = sum over packs and slices of P_a(s)^2
 *            floor: every pack has its equal share of every slice
 *   maxima   sum over slices of max over packs of P_a(s)
 *            floor: the sum over slices of the mean
 *
 * The expected square of a pack's load has two parts: the square of its mean, which a load without
 * slices shows, and its variance, the sum of its items' covariances. So squares parts items that
 * are hot together even where they are warm on average. With packs of equal size this is
 * anticlustering, or maximally diverse grouping, of the vectors, by exchange of pairs.
 *
 * A round looks for the swap of items i, j in different packs with the largest score,
 *
 *   score = fall of the objective - move_cost x above x moved
 *
 * above being how far the objective was above its floor when the phase began, and moved by how much
 * the swap raises the number of experts that packs hold and held not before (-2..2). It is made if
 * its score is more than min_gain x above, and than rounding can be; ties: the smallest (i, j).
 * When none is, and the phase has made swaps and left less than 0.9 of `above`, the next phase
 * begins: what was dear beside a bad placement may pay beside a good one.
 *
 * balancer/naive/slices.c defines the result; both agree bit for bit.
 */
#ifndef MB_BALANCER_SLICES_SWAP_H
#define MB_BALANCER_SLICES_SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/arena.h"
#include "balancer/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is packed. Borrowed for the call. */
typedef struct mb_slices_items {
  size_t n_items, n_packs; /* n, m >= 2; k = n/m >= 2 items a pack */
  size_t n_kinds, n_slices;
  const double *load;  /* [S,n_kinds] of each item of a kind, finite */
  const int32_t *kind; /* [n] */
  const bool *held;    /* [m,n_kinds] what packs held before, or NULL: nothing moves */
} mb_slices_items;

/** How far the search goes. */
typedef struct mb_slices_rule {
  double move_cost; /* of an expert that moves, as a share of what is above the floor; >= 0 */
  double min_gain;  /* likewise, of a swap; >= 0 */
  int64_t max_rounds;
} mb_slices_rule;

/** Bytes of scratch that either search wants for such sizes. */
size_t mb_slices_squares_size(size_t n_items, size_t n_packs, size_t n_kinds);
size_t mb_slices_maxima_size(size_t n_items, size_t n_packs, size_t n_kinds, size_t n_slices);

/**
 * Lowers `squares`.
 *
 * @param pack_of [n] each pack n/m times; changed in place.
 * @param scratch of mb_slices_squares_size() bytes, aligned as malloc() does.
 *
 * Cost: O(S n_kinds^2) for the vectors' products and O(n^2) for the first round; then each gain is
 * O(1), and a round O(n k): only pairs with an item in one of the two changed packs are looked at
 * again, and rows of the table that have lost their best.
 * Sources: Papenberg and Klau 2021 (anticlustering by exchange, of the within-group sum of
 * squares, Spaeth 1986).
 */
mb_pack_stats mb_slices_squares(const mb_slices_items *items, const mb_slices_rule *rule,
                                int32_t *pack_of, void *scratch);

/**
 * Lowers `maxima`; all else as above.
 *
 * Cost: a round bounds all pairs of packs in O(m^2 S), and searches those, best bound first, that
 * can still beat the best: O(n^2 S) at worst.
 * Source: the objective is that of FlashLB (vLLM pull request 37656), there of a greedy placement.
 */
mb_pack_stats mb_slices_maxima(const mb_slices_items *items, const mb_slices_rule *rule,
                               int32_t *pack_of, void *scratch);

/** How far `maxima` is above its floor. The scratch is mb_slices_maxima()'s. */
double mb_slices_maxima_above(const mb_slices_items *items, int32_t *pack_of, void *scratch);

/* --- shared by both searches and their twins --- */

/** [m,n_kinds] how many items of each kind a pack has. */
void mb_slices_count(const mb_slices_items *items, const int32_t *pack_of, int32_t *now);

/** Experts that packs hold and held not before. */
int64_t mb_slices_moved_all(const mb_slices_items *items, const int32_t *now);

/** `moved` of swapping items i and j, which are in packs a and b and of different kinds. */
int mb_slices_moved(const mb_slices_items *items, const int32_t *now, size_t a, size_t b, size_t i,
                    size_t j);

/** Swaps them in pack_of and in `now`. */
void mb_slices_exchange(const mb_slices_items *items, size_t i, size_t j, int32_t *pack_of,
                        int32_t *now);

#ifdef __cplusplus
}
#endif

#endif
