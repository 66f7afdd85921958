/* balancer/replicate.h - internal: how many replicas each expert of a node gets, by one load each.
 */
#ifndef MB_BALANCER_REPLICATE_H
#define MB_BALANCER_REPLICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/tournament.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One replica each, then, until all slots are taken, one more for the expert with the largest load
 * a replica, the first in the list on a tie. Where no expert has load, the extra replicas go one
 * each down the list, wrapping round; with reference_quirks all to the first.
 *
 * @param n        experts of the node's list, >= 1.
 * @param n_slots  >= n.
 * @param load     [n] by place in the list.
 * @param neediest [2n] scratch.
 * @param count    [n] replicas of each expert.
 * @param item     [n_slots] place in the list of each item: one of each expert in the list's order,
 *                 then the extra replicas in the order they were given.
 * @param replica  [n_slots] which copy of its expert an item is.
 *
 * This lowers the largest load a replica as far as replicas can: the greedy choice is optimal.
 * Cost: O(n + (n_slots - n) log n). Source: DeepSeek EPLB, replicate_experts.
 */
void mb_replicate(size_t n, size_t n_slots, const double *load, bool reference_quirks,
                  mb_player *neediest, int32_t *count, int32_t *item, int32_t *replica);

#ifdef __cplusplus
}
#endif

#endif
