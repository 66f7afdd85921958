/* balancer/bounds.h - how even a layer's GPUs can be at best: lower bounds of the largest GPU load.
 *
 * What a bound holds for grows with what it leaves open:
 *
 *   bound         | fixed                            | holds for every
 *   mean          | -                                | placement and dispatch
 *   replication   | number of slots, limits of nodes | placement and dispatch
 *   node          | which experts form a group       | hierarchical placement, and dispatch
 *   largest       | replicas of each expert          | placement with these, and dispatch
 *   cardinality   | the items and their weights      | packing with as many items a pack
 *   packing       | replicas, and nodes of each slot | placement with these, under even dispatch
 *   mb_split      | the placement (balancer/split.h) | dispatch
 *
 * All are in the unit of the loads. None is above the largest GPU load that is attained but for the
 * rounding of sums, relatively some 1e-15 times the number of GPUs. Reentrant; no allocation but
 * what is said.
 */
#ifndef MB_BALANCER_BOUNDS_H
#define MB_BALANCER_BOUNDS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * (sum of load) / D. Somebody has to do as much as all do on average.
 *
 * @param load [E] tokens of one layer, as everywhere here: finite, >= 0. Borrowed. O(E).
 */
double mb_bound_mean(const mb_shape *shape, const double *load);

/**
 * The most replicas that an expert can have: P - (E - 1), all others having one. In hierarchical
 * mode all are on its group's node, hence P/N - (E/N - 1).
 */
size_t mb_bound_replica_limit(const mb_shape *shape);

/**
 * min over counts c of max over e of load[e] / c[e], where c[e] is in 1..mb_bound_replica_limit()
 * and the sum of c is P. However an expert's tokens are split, one of its replicas gets as much.
 * Giving each replica to the expert with the largest load / count attains the minimum; an expert
 * that has all it may have ends it.
 *
 * @param scratch mb_bounds_scratch_size() bytes, aligned for doubles; contents unspecified.
 *
 * Cost: O(E + (P - E) log E).
 */
double mb_bound_replication(const mb_shape *shape, const double *load, void *scratch);

/**
 * Hierarchical: G/N groups go to each node, whole, so that mb_bound_cardinality() of the groups'
 * loads in N packs bounds a node's load; by D/N that bounds its GPUs. Otherwise 0.
 *
 * Cost: O(E + G log G).
 */
double mb_bound_node(const mb_shape *shape, const double *load, void *scratch);

/** max over e of load[e] / expert_count[e]: some replica gets as much. [E] each; O(E). */
double mb_bound_largest(const mb_shape *shape, const double *load, const int32_t *expert_count);

/**
 * n items, exactly k = n/m in each of m packs, w sorted descending from w[0]:
 *
 *   max over j in 0..k-1 of  sum of w[i] over i in jm-j .. jm  +  sum of the k-1-j smallest
 *
 * Of the jm+1 largest items, j+1 are in one pack, and these are no lighter than the last j+1 of
 * them; the pack's others are no lighter than the smallest there are. The mean, sum(w) / m, is
 * taken in. j = 0 says that the heaviest item is somewhere, with k-1 others.
 *
 * @param weight [n] >= 0; overwritten. n % m == 0, m >= 1, n >= 1.
 *
 * Cost: O(n log n); the C library's qsort may allocate.
 * Source: pigeonhole, as in the bounds for bin packing with cardinality constraints (k items a
 * bin).
 */
double mb_bound_cardinality(size_t n_items, size_t n_packs, double *weight);

/**
 * How well these replicas could be packed: max over nodes of mb_bound_cardinality() of the node's
 * slots, weight load / count, in the node's GPUs. In global mode all GPUs are one node.
 *
 * @param physical_to_logical_map [P] of one layer. Borrowed.
 * @param expert_count            [E] its replicas. Borrowed.
 *
 * Cost: O(P log P).
 */
double mb_bound_packing(const mb_shape *shape, const double *load,
                        const int32_t *physical_to_logical_map, const int32_t *expert_count,
                        void *scratch);

/** The largest of mean, replication and node: nothing that fits the shape does better. */
double mb_bound_any(const mb_shape *shape, const double *load, void *scratch);

/** Bytes of scratch: 36 an expert or 8 a slot, whichever is more. */
size_t mb_bounds_scratch_size(const mb_shape *shape);

#ifdef __cplusplus
}
#endif

#endif
