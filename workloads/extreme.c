/* workloads/extreme.c - what extreme.h says. Switch-128 and -256 are
 * recorded with rank-share slopes of .72 to .77, Gini indices of .5 to .65 and hottest experts of
 * 10 to 30 times the mean. */
#include "workloads/extreme.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stddef.h>

#include "workloads/sampling.h"

static const mb_param params_table[] = {
#define MB_PARAMS mb_extreme_params
#include "workloads/stationary_params.def"
#undef MB_PARAMS
    {.key = "exponent",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.85",
     .min = 0,
     .max = 5,
     .help = "the experts' popularity falls with their rank to this power",
     .offset = offsetof(mb_extreme_params, exponent)},
    {.key = "exponent_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.1",
     .min = 0,
     .max = 1,
     .help = "a layer's own exponent is within this share of it, uniformly",
     .offset = offsetof(mb_extreme_params, exponent_spread)},
    {.key = "head_cap",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "30",
     .min = 1,
     .max = 1e6,
     .help = "no expert is more popular than this many times the mean",
     .offset = offsetof(mb_extreme_params, head_cap)},
    {.key = NULL},
};

static void draw_share(const void *params, gsl_rng *rng, size_t n_experts, double *share) {
  const mb_extreme_params *own = params;
  double u = 2.0 * gsl_rng_uniform(rng) - 1.0;
  double exponent = own->exponent * (1.0 + own->exponent_spread * u);

  for (size_t e = 0; e < n_experts; e++) {
    share[e] = pow((double)(e + 1), -exponent);
  }
  gsl_ran_shuffle(rng, share, n_experts, sizeof *share);
  mb_shares_cap(n_experts, fmin(1.0, own->head_cap / (double)n_experts), share);
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  const mb_extreme_params *own = params;

  return mb_stationary_init(state, &mb_generator_extreme, &own->stationary, draw_share, seed, info);
}

const mb_generator_type mb_generator_extreme = {
    .name = "extreme",
    .summary = "a few experts take most of the load, for ever: popularity by a power of the rank",
    .params = params_table,
    .params_size = sizeof(mb_extreme_params),
    .state_size = sizeof(mb_stationary),
    .init = init,
    .next = mb_stationary_next,
    .fini = mb_stationary_fini,
};
