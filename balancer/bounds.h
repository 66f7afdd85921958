/* balancer/bounds.h - what no placement of a layer gets below, whatever a balancer does.
 *
 * A bound is in tokens, for the largest GPU load; over the mean GPU load it is the imbalance that
 * the shape forces. "Gap to bound" is what is left of a placement's: load_max / bound - 1.
 */
#ifndef MB_BALANCER_BOUNDS_H
#define MB_BALANCER_BOUNDS_H

#include <stddef.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * For every placement in these slots, under every dispatch: the larger of
 *
 *   mean          sum of the loads / D
 *   replication   min over replica counts c with c[e] >= 1 and sum of c = P of
 *                 max over experts of load[e] / c[e]
 *
 * Proof of the second: an expert's tokens lie on as many GPUs as hold it, at most c[e] of them, so
 * one has load[e] / c[e] of them or more. That there are no more than D such GPUs adds nothing:
 * load[e] / D is at most the mean.
 *
 * The value is, to the bit, that of giving one replica after the other to the largest load[e] /
 * c[e], which is optimal for this end. n_layers, n_groups and n_nodes don't matter.
 *
 * @param load [E] tokens, each finite and in [0, 2^53], their sum at most 2^60. Borrowed.
 * @return >= the mean; 0 without load.
 *
 * Cost: O(E) where the mean is the larger, as it is unless few replicas meet a steep load; else
 * O(E) for each of some 10 to 50 halvings. No allocation. Reentrant.
 * Source: the optimality of the replication of DeepSeek EPLB for its end.
 */
double mb_bound_replication(const mb_shape *shape, const double *load);

/**
 * The same for placements of the hierarchical policy, which keep groups whole on nodes, G/N groups,
 * P/N slots and D/N GPUs each: the least value v >= mb_bound_replication() with
 *
 *   B2(group loads) <= v D/N     no node gets below the mean of its GPUs
 *   B2(needs(v))    <= P/N       every node has the slots for its experts' replicas,
 *                                needs(v)[g] = sum over the experts e of group g of the least
 *                                c >= 1 with load[e] / c <= v
 *
 * where B2 is mb_bound_cardinality() of packing G groups onto N nodes. It follows, for one, that no
 * expert has more than P/N - (E/N - 1) replicas; that they are on at most D/N GPUs is in the first
 * line. Both lines are necessary for a largest GPU load of v, under every dispatch; with G = N they
 * are all that nodes cost. Where the policy is global (mb_shape_is_hierarchical()) or N = 1, it is
 * mb_bound_replication().
 *
 * @param load as above.
 * @return >= mb_bound_replication().
 *
 * Cost: as above, and a sort of G numbers each. Allocates only for G > 512, and where there is no
 * memory it takes max(mean, largest) for B2, which is a bound too. Reentrant.
 * Source: here; B2 as below.
 */
double mb_bound_hierarchy(const mb_shape *shape, const double *load);

/**
 * B2: for every packing of n items into m packs of exactly k = n/m each, the largest pack load is
 * at least
 *
 *   max over j = 0..k-1 of  the sum of the j+1 smallest among the j m + 1 largest items
 *                         + the sum of the k-j-1 smallest of all
 *
 * (for k > 256 the first 256 of these) since one pack has at least j+1 of the j m + 1 largest
 * items, and k-j-1 others. Never below the mean pack load and the largest item. For slots, whose
 * weight is that of their expert over a fixed number of replicas, it bounds every placement with
 * these numbers under even dispatch; it is mostly within a percent of what can be had, where the
 * mean is not.
 *
 * @param n_items >= 1, a multiple of n_packs >= 1.
 * @param weight  [n] in any order, within the same bounds as loads. Borrowed.
 *
 * Cost: a sort, and O(k min(k, 256)). Allocates only for n > 512, as above. Reentrant.
 * Source: the pigeonhole bounds of k-partitioning, as in Babel, Kellerer, Kotov, The k-partitioning
 * problem (1998).
 */
double mb_bound_cardinality(size_t n_items, size_t n_packs, const double *weight);

#ifdef __cplusplus
}
#endif

#endif
