/* balancer/naive/slices.h - the twin that defines what the swaps of balancer/slices_swap.h come to.
 */
#ifndef MB_BALANCER_NAIVE_SLICES_H
#define MB_BALANCER_NAIVE_SLICES_H

#include "balancer/slices_swap.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The objectives of balancer/slices_swap.h. */
typedef enum mb_naive_objective { MB_NAIVE_SQUARES, MB_NAIVE_MAXIMA } mb_naive_objective;

/**
 * mb_slices_squares() and mb_slices_maxima(), defined: every round makes all sums anew and looks at
 * every pair of items.
 *
 *   squares  v_x . v_y: over the slices in their order. P_a . v_x: over the pack's items, in their
 *            order, of those products. The objective: over packs, then items, of P_a . v_i.
 *   maxima   P_a(s): over the pack's items in their order. A sum over slices: slice s to lane s mod
 *            8, then mb_slices_sum().
 *
 * The gains are those of balancer/slices_gain.h.
 *
 * @param stats written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY, with pack_of as it was.
 *
 * Cost: O(n^2) a round and for maxima O(n^2 S m). Reentrant.
 */
MB_NODISCARD mb_status mb_naive_slices(const mb_slices_items *items, const mb_slices_rule *rule,
                                       mb_naive_objective objective, int32_t *pack_of,
                                       mb_pack_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
