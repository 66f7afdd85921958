/* workloads/sampling.c */
#include "workloads/sampling.h"

#include <assert.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

void mb_shares_cap(size_t n, double cap, double *weight) {
  double limit = INFINITY;
  double scale = 0.0;
  double rest = 1.0;
  size_t n_capped = 0;
  size_t n_above = 0;

  for (;;) {
    double below = 0.0;
    n_above = 0;
    for (size_t e = 0; e < n; e++) {
      n_above += weight[e] > limit ? 1 : 0;
      below += weight[e] > limit ? 0.0 : weight[e];
    }
    rest = 1.0 - (double)n_above * cap;
    scale = below > 0.0 && rest > 0.0 ? rest / below : 0.0;
    if (scale == 0.0 || (limit < INFINITY && n_above == n_capped)) {
      break;
    }
    n_capped = n_above;
    limit = cap / scale;
  }
  /* Where the others have no weight, they get what is left in equal parts. */
  double each = scale == 0.0 && rest > 0.0 ? rest / (double)(n - n_above) : 0.0;
  for (size_t e = 0; e < n; e++) {
    weight[e] = weight[e] > limit ? cap : scale > 0.0 ? weight[e] * scale : each;
  }
}

void mb_shares_draw_lognormal(gsl_rng *rng, double sigma, double spread, double head_cap, size_t n,
                              double *share) {
  double own_sigma = sigma * (1.0 + spread * (2.0 * gsl_rng_uniform(rng) - 1.0));

  for (size_t e = 0; e < n; e++) {
    share[e] = exp(gsl_ran_gaussian_ziggurat(rng, own_sigma));
  }
  mb_shares_cap(n, fmin(1.0, head_cap / (double)n), share);
}

/* Adds a multinomial sample of n to count[n_experts]: one binomial an expert, given those before.
   The sums from the back make the last quotient exactly 1, so that nothing is ever left over. */
static void add_multinomial(gsl_rng *rng, uint32_t n, size_t n_experts, const double *weight,
                            double *tail, uint32_t *count) {
  double sum = 0.0;

  for (size_t e = n_experts; e-- > 0;) {
    sum += weight[e];
    tail[e] = sum;
  }
  for (size_t e = 0; e < n_experts && n > 0; e++) {
    if (weight[e] > 0.0) {
      uint32_t drawn = weight[e] < tail[e] ? gsl_ran_binomial(rng, weight[e] / tail[e], n) : n;
      count[e] += drawn;
      n -= drawn;
    }
  }
  assert(n == 0);
}

/* Cuts the counts at n_tokens, takes the full experts out of the draw, and returns what was cut. */
static uint32_t take_excess(uint32_t n_tokens, size_t n_experts, double *weight, uint32_t *count) {
  uint32_t excess = 0;

  for (size_t e = 0; e < n_experts; e++) {
    if (count[e] >= n_tokens) {
      excess += count[e] - n_tokens;
      count[e] = n_tokens;
      weight[e] = 0.0;
    }
  }
  return excess;
}

/* top_k x tokens <= E x tokens, so while there is an excess some expert isn't full. Each further
   round fills at least one expert or ends. */
void mb_counts_draw_multinomial(gsl_rng *rng, uint32_t n_tokens, uint32_t top_k, size_t n_experts,
                                double *weight, double *tail, uint32_t *count) {
  uint32_t left = top_k * n_tokens;

  memset(count, 0, n_experts * sizeof *count);
  while (left > 0) {
    add_multinomial(rng, left, n_experts, weight, tail, count);
    left = take_excess(n_tokens, n_experts, weight, count);
  }
}

mb_ar1 mb_ar1_make(double rms, double autocorrelation, double lag) {
  double keep = pow(autocorrelation, 1.0 / lag);

  return (mb_ar1){.rms = rms, .keep = keep, .fresh = rms * sqrt(1.0 - keep * keep)};
}

void mb_ar1_start(const mb_ar1 *process, gsl_rng *rng, size_t n, double *x) {
  for (size_t i = 0; process->rms > 0.0 && i < n; i++) {
    x[i] = gsl_ran_gaussian_ziggurat(rng, process->rms);
  }
}

void mb_ar1_step(const mb_ar1 *process, gsl_rng *rng, size_t n, double *x) {
  for (size_t i = 0; process->fresh > 0.0 && i < n; i++) {
    x[i] = process->keep * x[i] + gsl_ran_gaussian_ziggurat(rng, process->fresh);
  }
}
