/* workloads/near_balanced.c - what near_balanced.h says. DeepSeek-V2-Lite on
 * pooled chat prompts is recorded with Gini indices of .08 to .16 and hottest experts of 1.3 to 2.6
 * times the mean, Qwen1.5-MoE on GSM8K with .11 to .20 and 1.5 to 2.0. */
#include "workloads/near_balanced.h"

#include <stddef.h>

#include "workloads/sampling.h"

static const mb_param params_table[] = {
#define MB_PARAMS mb_near_balanced_params
#include "workloads/stationary_params.def"
#undef MB_PARAMS
    {.key = "sigma",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.18",
     .min = 0,
     .max = 5,
     .help = "standard deviation of the experts' log popularity",
     .offset = offsetof(mb_near_balanced_params, sigma)},
    {.key = "sigma_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = 0,
     .max = 1,
     .help = "a layer's own sigma is within this share of sigma, uniformly",
     .offset = offsetof(mb_near_balanced_params, sigma_spread)},
    {.key = "head_cap",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "1.8",
     .min = 1,
     .max = 1e6,
     .help = "no expert is more popular than this many times the mean",
     .offset = offsetof(mb_near_balanced_params, head_cap)},
    {.key = NULL},
};

static void draw_share(const void *params, gsl_rng *rng, size_t n_experts, double *share) {
  const mb_near_balanced_params *own = params;

  mb_shares_draw_lognormal(rng, own->sigma, own->sigma_spread, own->head_cap, n_experts, share);
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  const mb_near_balanced_params *own = params;

  return mb_stationary_init(state, &mb_generator_near_balanced, &own->stationary, draw_share, seed,
                            info);
}

const mb_generator_type mb_generator_near_balanced = {
    .name = "near-balanced",
    .summary = "nearly even loads that never change: a case where rebalancing has little to gain",
    .params = params_table,
    .params_size = sizeof(mb_near_balanced_params),
    .state_size = sizeof(mb_stationary),
    .init = init,
    .next = mb_stationary_next,
    .fini = mb_stationary_fini,
};
