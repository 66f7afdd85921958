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
 * Borrowed.
 * @param refinement How packings are improved. Borrowed.
 * @param options    NULL: MB_BALANCE_OPTIONS_DEFAULT.
 * @param placement  Arrays caller-owned, written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE; MB_ERR_RANGE naming layer, expert and value; MB_ERR_PARAM;
 *         MB_ERR_MEMORY.
 *
 * Layers run in parallel (OpenMP); the answer does not depend on the number of threads. Reentrant.
 * Source: DeepSeek EPLB, rebalance_experts; the maps are those of vLLM.
 */
MB_NODISCARD mb_status mb_rebalance(const mb_shape *shape, const double *load,
                                    const mb_refinement_type *refinement,
                                    const mb_balance_options *options, mb_placement *placement);

#ifdef __cplusplus
}
#endif

#endif
