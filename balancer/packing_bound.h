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
 * largest over the nodes of mb_bound_cardinality() (balancer/bounds.h) of the weights
 *
 *   share[physical_to_logical_map[p]],  share[e] = load of e / its replicas
 *
 * of the node's slots p, in the node's GPUs. It holds for every placement with as many replicas of
 * each expert on each node; in global mode all GPUs are one node. A placement's distance from it is
 * what its packing leaves; what replicas and nodes cost is in mb_bound_hierarchy().
 *
 * @param share                   [E] tokens of one layer that each replica of an expert gets,
 * finite and in [0, 2^53]. Borrowed.
 * @param physical_to_logical_map [P] Borrowed.
 * @param weight                  [P / nodes] scratch, caller-owned; contents unspecified.
 * @return >= the mean, but for rounding; 0 without load.
 *
 * Cost: that of a sort of the slots; allocates as mb_bound_cardinality() does. Reentrant.
 */
double mb_bound_packing(const mb_shape *shape, const double *share,
                        const int32_t *physical_to_logical_map, double *weight);

#ifdef __cplusplus
}
#endif

#endif
