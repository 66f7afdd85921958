/* balancer/rebalance.h - from loads to a placement, as DeepSeek EPLB does it. */
#ifndef MB_BALANCER_REBALANCE_H
#define MB_BALANCER_REBALANCE_H

#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Places every layer's experts for the loads given.
 *
 * Hierarchical where G % N == 0: (1) the groups are packed onto the nodes; (2) each node's experts
 * are replicated up to P/N slots: one more replica, P/N - E/N times, for the expert with the
 * largest load a replica, the first in the node's list on a tie; (3) these slots are packed onto
 * the node's GPUs. Otherwise global: the same with one group and one node. Both packings use the
 * refinement. A node's list is ordered by the rank of the group in the node's pack, then by expert.
 * Where a node's experts have no load at all, the extra replicas go one each down the list,
 * wrapping round (options->reference_quirks: all to the first).
 *
 * @param shape      Checked as mb_shape_check() does.
 * @param load       [L,E] tokens, each finite and in [0, 2^53], a layer's sum at most 2^60.
 *                   Borrowed.
 * @param refinement How packings are improved. Borrowed.
 * @param options    NULL: MB_BALANCE_OPTIONS_DEFAULT.
 * @param placement  Arrays caller-owned, written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE; MB_ERR_RANGE naming layer, expert and value; MB_ERR_PARAM;
 *         MB_ERR_MEMORY.
 *
 * Cost: a layer takes O(E + (P - E) log E) to replicate and what mb_pack() does for each packing.
 * Layers run in parallel (OpenMP); the answer does not depend on the number of threads. Reentrant.
 * Source: DeepSeek EPLB, rebalance_experts; the maps are those of vLLM.
 *
 * A whole program, with the example of DeepSeek EPLB's README; it is built with
 * `cc example.c $(pkg-config --cflags --libs moebal)`:
 *
 * @code{.c}
 * #include <stdio.h>
 *
 * #include "balancer/rebalance.h"
 *
 * enum { L = 2, E = 12, P = 16 };
 *
 * int main(void) {
 *   // Two layers of 12 experts in 4 groups; 2 nodes with 4 GPUs each, and 2 slots a GPU.
 *   const mb_shape shape = {
 *       .n_layers = L, .n_experts = E, .n_slots = P, .n_groups = 4, .n_nodes = 2, .n_gpus = 8};
 *   // The tokens that each expert of each layer was given.
 *   const double load[L * E] = {90, 132, 40, 61,  104, 165, 39,  4,   73,  56, 183, 86,
 *                               20, 107, 104, 64, 19,  197, 187, 157, 172, 86, 16,  27};
 *   int32_t map[L * P];
 *   mb_placement placement = {.physical_to_logical_map = map}; // The other maps are not wanted.
 *
 *   if (mb_rebalance(&shape, load, mb_refinement_find("lpt"), NULL, &placement) != MB_OK) {
 *     (void)fprintf(stderr, "%s\n", mb_error_message());
 *     return 1;
 *   }
 *   for (int l = 0; l < L; l++) {
 *     printf("layer %d: slots hold experts", l);
 *     for (int p = 0; p < P; p++) {
 *       printf(" %d", (int)map[l * P + p]);
 *     }
 *     printf("\n");
 *   }
 *   return 0;
 * }
 * @endcode
 */
MB_NODISCARD mb_status mb_rebalance(const mb_shape *shape, const double *load,
                                    const mb_refinement_type *refinement,
                                    const mb_balance_options *options, mb_placement *placement);

/** The memory of mb_rebalance() for one shape, to be made once and used again and again. */
typedef struct mb_workspace mb_workspace;

/**
 * Takes a few dozen bytes a slot and thread, and for l2's bounds m^2 doubles a thread, m being the
 * GPUs of a node, or 8 MB at most.
 *
 * @param n_threads 0: as many as OpenMP would use now. More than there are layers are not used.
 * @param workspace Transferred: mb_workspace_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_workspace_create(const mb_shape *shape, size_t n_threads,
                                           mb_workspace **workspace);

/** mb_workspace_create() with room for a refinement of the caller's own too. */
MB_NODISCARD mb_status mb_workspace_create_for(const mb_shape *shape, size_t n_threads,
                                               const mb_refinement_type *refinement,
                                               mb_workspace **workspace);

/**
 * mb_rebalance() of the workspace's shape, on its threads, without any allocation. Not for two
 * callers at once.
 *
 * @param stats or NULL: rounds and swaps of all packings together, of groups and of slots. Written
 *              only on MB_OK.
 * @return as mb_rebalance(), but neither MB_ERR_SHAPE nor MB_ERR_MEMORY; MB_ERR_PARAM also for a
 *         refinement of the caller's own that wants more memory than the workspace was made with.
 */
MB_NODISCARD mb_status mb_workspace_rebalance(mb_workspace *workspace, const double *load,
                                              const mb_refinement_type *refinement,
                                              const mb_balance_options *options,
                                              mb_placement *placement, mb_pack_stats *stats);

void mb_workspace_destroy(mb_workspace *workspace); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
