/* balancer/packing_bound.h - how well the replicas that a placement has could be packed. */
#ifndef MB_BALANCER_PACKING_BOUND_H
#define MB_BALANCER_PACKING_BOUND_H

#include <stdint.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * What of the largest GPU load, under even dispatch, no exchange of replicas takes away: the
 * largest over the nodes of mb_bound_cardinality() (balancer/bounds.h) of
 *
 *   weight[p] = load[e] / expert_count[e],  e = physical_to_logical_map[p]
 *
 * over the node's slots, in the node's GPUs. It holds for every placement with as many replicas of
 * each expert on each node; in global mode all GPUs are one node. A placement's distance from it is
 * what its packing leaves; what replicas and nodes cost is in mb_bound_hierarchy().
 *
 * @param load                    [E] tokens of one layer, finite and in [0, 2^53]. Borrowed.
 * @param physical_to_logical_map [P] Borrowed.
 * @param expert_count            [E] its replicas of each expert, >= 1. Borrowed.
 * @param weight                  [P / nodes] scratch, caller-owned; contents unspecified.
 * @return >= the mean, but for rounding; 0 without load.
 *
 * Cost: that of a sort of the slots; allocates as mb_bound_cardinality() does. Reentrant.
 */
double mb_bound_packing(const mb_shape *shape, const double *load,
                        const int32_t *physical_to_logical_map, const int32_t *expert_count,
                        double *weight);

#ifdef __cplusplus
}
#endif

#endif
