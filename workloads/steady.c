/* workloads/steady.c - what steady.h says. Lognormal sigma .5 to 1.1
 * gives 128-256 experts a Gini index of .27 to .56, as recordings of GLM-4.5-Air and Qwen3-235B
 * have; real heads end near 6 to 9 times the mean, hence head_cap. */
#include "workloads/steady.h"

#include <stddef.h>

#include "workloads/sampling.h"

static const mb_param params_table[] = {
#define MB_PARAMS mb_steady_params
#include "workloads/stationary_params.def"
#undef MB_PARAMS
    {.key = "sigma",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.7",
     .min = 0,
     .max = 5,
     .help = "standard deviation of the experts' log popularity",
     .offset = offsetof(mb_steady_params, sigma)},
    {.key = "sigma_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = 0,
     .max = 1,
     .help = "a layer's own sigma is within this share of sigma, uniformly",
     .offset = offsetof(mb_steady_params, sigma_spread)},
    {.key = "head_cap",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "8",
     .min = 1,
     .max = 1e6,
     .help = "no expert is more popular than this many times the mean",
     .offset = offsetof(mb_steady_params, head_cap)},
    {.key = NULL},
};

static void draw_share(const void *params, gsl_rng *rng, size_t n_experts, double *share) {
  const mb_steady_params *own = params;

  mb_shares_draw_lognormal(rng, own->sigma, own->sigma_spread, own->head_cap, n_experts, share);
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  const mb_steady_params *own = params;

  return mb_stationary_init(state, &mb_generator_steady, &own->stationary, draw_share, seed, info);
}

const mb_generator_type mb_generator_steady = {
    .name = "steady",
    .summary = "one workload that never changes: lognormal expert popularity, no drift",
    .params = params_table,
    .params_size = sizeof(mb_steady_params),
    .state_size = sizeof(mb_stationary),
    .init = init,
    .next = mb_stationary_next,
    .fini = mb_stationary_fini,
};
