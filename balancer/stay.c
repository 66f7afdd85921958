/* balancer/stay.c - experts stay where they are unless moving them pays: l2slices from the
 * placement in force, each expert that moves charged for.
 *
 * A placement made anew moves most experts, for two reasons that have nothing to do with load:
 * GPUs with the same experts change names, and swaps follow what is noise in the window. Starting
 * from where experts are avoids the first, a price for moves the second: what is left moves a
 * fraction, and often balances better. As little of a placement is changed a plan, long windows
 * of many slices serve it well, with a forecast of the loads' means beside them. `objective: both`
 * goes on to lower the sum of the slices' largest GPU loads: up to 4 % less excess on recorded
 * traces of 32 experts in 40 and 64 slots, more on 256 experts, of which it learns the noise.
 *
 * Its definition is in balancer/slices.h and balancer/slices_swap.h, the sources in
 * balancer/l2slices.c. That few moves can be had by improving what there is: SwiftBalancer (vLLM
 * pull request 37656).
 *
 * Complexity: that of l2slices; with `objective: both` a round may take O(P^2 S / N).
 */
#include "balancer/slices.h"

static const mb_param stay_table[] = {MB_SLICES_TABLE("256", "squares", "current", "0.001"), {0}};

const mb_planner_type mb_planner_stay = {
    .name = "stay",
    .summary = "swaps from the placement in force, by slices of the window, that pay for moves",
    .params = stay_table,
    .params_size = sizeof(mb_slices_params),
    .keeps_groups = true,
    .state_size = sizeof(mb_slices),
    .n_slices = mb_slices_n_slices,
    .init = mb_slices_init,
    .plan = mb_slices_plan,
    .fini = mb_slices_fini,
};
