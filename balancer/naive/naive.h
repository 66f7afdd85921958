/* balancer/naive/naive.h - the twins that define what mb_pack() and mb_rebalance() answer.
 *
 * Written to be read beside the definition, not to be fast: every round looks at every pair of
 * items. The implementations that people use must give the same answer bit for bit. Tests and
 * benchmarks alone link this.
 */
#ifndef MB_BALANCER_NAIVE_NAIVE_H
#define MB_BALANCER_NAIVE_NAIVE_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/rebalance.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * mb_pack(), defined. A round looks for the best swap of two items in different packs, and makes it
 * if it gains more than min_gain; the smallest (i, j) of positions in the sorted order wins a tie.
 *
 *   lpt:    no rounds.
 *   maxmin: A is the heaviest pack, the first of equals. Over i in A and j in another pack B with
 *           d = w_i - w_j > 0, the gain is min(d, (S_A - S_B) - d): what A loses, or what it stays
 *           above B, whichever is less.                                                  [tokens]
 *   l2:     over all i, j in different packs A, B the gain is 2 d ((S_A - S_B) - d), by which the
 *           sum of the squared pack loads falls.                                       [tokens^2]
 *
 * At most max_rounds rounds. With MB_ROUNDS_UNLIMITED a swap after which the objective (l2: the sum
 * of squares in pack order; maxmin: the loads sorted descending, compared lexicographically) is not
 * strictly smaller in floating point is undone, and ends it.
 *
 * @param refinement "lpt", "maxmin" or "l2".
 * @return MB_OK; MB_ERR_SHAPE if n or m is 0 or n % m != 0; MB_ERR_PARAM for an unknown name;
 *         MB_ERR_MEMORY. Weights and options are taken as valid. All else as mb_pack().
 *
 * Cost: O(n^2) a round for l2, O(n k) for maxmin. Reentrant.
 */
MB_NODISCARD mb_status mb_naive_pack(size_t n_items, size_t n_packs, const double *weight,
                                     const char *refinement, const mb_balance_options *options,
                                     int32_t *pack_index, int32_t *rank_in_pack, double *pack_load,
                                     mb_pack_stats *stats);

/**
 * mb_rebalance(), defined, one layer after the other on one thread.
 *
 * @param stats or NULL: rounds and swaps of all packings together, of groups and of slots. Written
 *              only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE; MB_ERR_PARAM for an unknown refinement; MB_ERR_MEMORY. Loads and
 *         options are taken as valid. On failure the contents of the placement are unspecified.
 */
MB_NODISCARD mb_status mb_naive_rebalance(const mb_shape *shape, const double *load,
                                          const char *refinement, const mb_balance_options *options,
                                          mb_placement *placement, mb_pack_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
