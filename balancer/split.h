/* balancer/split.h - the best split of a layer's tokens over the replicas that a placement gives.
 */
#ifndef MB_BALANCER_SPLIT_H
#define MB_BALANCER_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One layer's placement, made ready for splitting many steps' loads, with the memory to do so.
 *
 * The split minimises the largest GPU load, with tokens divisible at will:
 *
 *   min over x >= 0 of max_g (base[g] + sum of x[p] over the slots p of g) / speed[g]
 *   with sum of x[p] over the slots p that hold e = load[e] for every expert e
 *
 * By duality that is the largest ratio of what only some GPUs S can take to how fast they are,
 *
 *   max over S of (base(S) + load of the experts whose replicas are all in S) / speed(S)     (*)
 *
 * and the S that attains it proves the answer. It bounds every dispatch under this placement, with
 * whole or divisible tokens; even dispatch attains it only by luck.
 */
typedef struct mb_split mb_split;

/* Relative speeds of GPUs. */
#define MB_SPLIT_SPEED_MIN 1e-6
#define MB_SPLIT_SPEED_MAX 1e6

/** What a split attains, and why no other is better. */
typedef struct mb_split_result {
  double load_max;  /* (*), the optimum; tokens, or tokens / speed */
  size_t n_gpus;    /* |S|, the GPUs that attain (*); 0 where there is no load */
  const bool *gpus; /* [D] whether a GPU is in S; the split's, until its next use */
} mb_split_result;

/**
 * Takes some 100 bytes a slot and GPU.
 *
 * @param shape E, P and D matter; the layers are one at a time.
 * @param split Transferred: mb_split_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE as mb_shape_check() does; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_split_create(const mb_shape *shape, mb_split **split);

/**
 * Takes in a placement, in place of the one before.
 *
 * @param physical_to_logical_map [P] Borrowed, not kept. Several slots of one GPU may hold the same
 *                                expert.
 * @param speed                   [D] in [MB_SPLIT_SPEED_MIN, MB_SPLIT_SPEED_MAX], relative; not
 * kept. NULL: 1 each.
 * @return MB_OK; MB_ERR_RANGE naming the slot, the expert or the GPU. After a failure another
 *         placement has to be taken in before the split is used.
 *
 * Cost: O(E + P + D), no allocation.
 */
MB_NODISCARD mb_status mb_split_prepare(mb_split *split, const int32_t *physical_to_logical_map,
                                        const double *speed);

/**
 * The best split of a step's loads.
 *
 * Of the many best splits it gives one that starts from a greedy one: the experts with replicas on
 * several GPUs are poured, in the order of their number, onto the lowest of their GPUs, twice; then
 * only what the optimum needs is moved, along shortest ways from the GPUs above it to those below.
 * GPUs that do not bound the optimum are thus about as level as pouring makes them. Where several
 * slots of a GPU hold an expert, the first gets all. The same input gives the same bytes.
 *
 * @param load      [E] tokens, each finite and in [0, 2^53], their sum at most 2^60. Borrowed.
 * @param base      [D] what a GPU has to do anyway, within the same bounds; NULL: nothing.
 *                  Borrowed.
 * @param slot_load [P] >= 0; an expert's slots add up to its load but for rounding (some ulps of
 *                  the load), and no GPU gets more than load_max (1 + 1e-12). Caller-owned, written
 *                  only on MB_OK.
 * @param result    Caller-owned; likewise. load_max is exact but for the rounding of two sums and a
 *                  quotient: some 1e-15 relative for integer loads.
 * @return MB_OK; MB_ERR_RANGE naming expert or GPU.
 *
 * Cost: O(E + P) and, for the A slots of experts with several GPUs, a few maximal flows over A arcs
 * (Newton's method on (*); never more than D). The layers of a step of DeepSeek-V3 (58 layers, 256
 * experts, 288 slots, 32 GPUs) take some 0.8 ms on one core. No allocation. One caller
 * at a time for a split; different splits are independent.
 * Source: the dispatch of LPLB (DeepSeek), there solved as a linear program; parametric flow by
 * discrete Newton as in Radzik, Fractional Combinatorial Optimization (1998); the flow is Dinic's.
 */
MB_NODISCARD mb_status mb_split_solve(mb_split *split, const double *load, const double *base,
                                      double *slot_load, mb_split_result *result);

void mb_split_destroy(mb_split *split); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
