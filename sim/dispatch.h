/* sim/dispatch.h - how a layer's tokens are split over an expert's replicas. */
#ifndef MB_SIM_DISPATCH_H
#define MB_SIM_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Even dispatch: a replica gets an equal share of its expert's load,
 *   slot_load[p] = load[e] / expert_count[e],  e = physical_to_logical_map[p]   [tokens]
 *
 * @param load                    [E] tokens of one layer and step. Borrowed.
 * @param physical_to_logical_map [P] Borrowed.
 * @param expert_count            [E] replicas of each expert, >= 1. Borrowed.
 * @param slot_load               [P] Caller-owned.
 *
 * Cost: O(P). Reentrant.
 */
void mb_dispatch_even(const mb_shape *shape, const uint32_t *load,
                      const int32_t *physical_to_logical_map, const int32_t *expert_count,
                      double *slot_load);

#ifdef __cplusplus
}
#endif

#endif
