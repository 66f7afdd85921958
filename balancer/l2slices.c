/* balancer/l2slices.c - l2 over the window's slices: swaps that lower the sum, over GPUs and slices
 * of time, of the squared GPU loads.
 *
 * l2 sees what experts are loaded with on average; the slices tell which are hot at the same time.
 * With packs of equal size, what lowers the sum of squares is anticlustering of the replicas' load
 * vectors, by exchange of pairs. Its definition is in balancer/slices.h (what is planned) and
 * balancer/slices_swap.h (which swaps).
 *
 * Sources: anticlustering and the exchange method, Papenberg and Klau 2021 (Psychological Methods
 * 26:161) and Spaeth 1986; loads placed by their correlation, Xing, Zdonik and Hwang (ICDE 2005),
 * who part streams that rise together; that what counts is the distribution of a sum, not its
 * mean, Kleinberg, Rabani and Tardos (stochastic load balancing, SIAM J. Comput. 30:191); for
 * experts, GEM (arXiv 2605.19945) and FlashLB (vLLM pull request 37656), whose placement by stages
 * is greedy.
 *
 * Complexity, a layer: O(S E^2 / N) for the products, O((P/N)^2 N) for the first round of swaps,
 * and each round O(P k / N) for k slots a GPU: a gain takes O(1), whatever S.
 */
#include "balancer/slices.h"

static const mb_param l2slices_table[] = {MB_SLICES_TABLE("64", "squares", "lpt", "0"), {0}};

const mb_planner_type mb_planner_l2slices = {
    .name = "l2slices",
    .summary = "LPT, then swaps that part experts which are hot in the same slices of the window",
    .params = l2slices_table,
    .params_size = sizeof(mb_slices_params),
    .keeps_groups = true,
    .state_size = sizeof(mb_slices),
    .n_slices = mb_slices_n_slices,
    .init = mb_slices_init,
    .plan = mb_slices_plan,
    .fini = mb_slices_fini,
};
