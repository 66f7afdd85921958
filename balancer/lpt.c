/* balancer/lpt.c - no refinement: the packing stays as the longest-processing-time rule made it.
 *
 *   item i, heaviest first, goes to the pack with the smallest load among those with room
 *
 * Source: R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17
 * (1969), 416-429, with packs of equal size as in DeepSeek EPLB, balanced_packing.
 * Complexity: O(n log n). The rule itself is in balancer/pack.c, since every refinement starts
 * from its packing.
 */
#include "balancer/options.h"
#include "balancer/pack.h"

static const mb_param lpt_params[] = {MB_OPTION_REFERENCE_QUIRKS, {0}};

const mb_refinement_type mb_refinement_lpt = {
    .name = "lpt",
    .summary = "heaviest first, to the lightest GPU with room, as DeepSeek EPLB does",
    .params = lpt_params,
    .refine = NULL,
};
