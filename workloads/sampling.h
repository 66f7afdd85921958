/* workloads/sampling.h - internal: random counts of loads, and what the shares do that they are
 * drawn from. */
#ifndef MB_WORKLOADS_SAMPLING_H
#define MB_WORKLOADS_SAMPLING_H

#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes the weights sum to 1 with none above `cap` (>= 1/n): what is cut off a head is spread over
 * the others in proportion to their weight, which may lift some of them to the cap in turn.
 */
void mb_shares_cap(size_t n, double cap, double *weight);

/**
 * Lognormal shares: share[e] ~ exp(s z[e]), z standard normal, s = sigma (1 + spread u) with u
 * uniform in [-1, 1]; cut at head_cap times their mean, summing to 1. Without the cut the Gini
 * index is erf(s / 2).
 */
void mb_shares_draw_lognormal(gsl_rng *rng, double sigma, double spread, double head_cap, size_t n,
                              double *share);

/**
 * Counts of n_tokens tokens that pick top_k experts each, multinomial: mean n p, variance
 * n p (1 - p), n = top_k x n_tokens. No expert gets more than n_tokens: what exceeds that is drawn
 * again among the others.
 *
 * @param weight [E] p up to a factor; spoiled.
 * @param tail   [E] scratch.
 * @param count  [E] written; their sum is n.
 */
void mb_counts_draw_multinomial(gsl_rng *rng, uint32_t n_tokens, uint32_t top_k, size_t n_experts,
                                double *weight, double *tail, uint32_t *count);

/** A stationary AR(1) process: x = keep x + fresh z, with z standard normal. */
typedef struct mb_ar1 {
  double rms, keep, fresh;
} mb_ar1;

/** Of standard deviation `rms`, and that autocorrelation at a distance of `lag` steps. */
mb_ar1 mb_ar1_make(double rms, double autocorrelation, double lag);
/** Puts x[n] into the stationary state. */
void mb_ar1_start(const mb_ar1 *process, gsl_rng *rng, size_t n, double *x);
/** A step of x[n]; nothing is drawn where nothing changes. */
void mb_ar1_step(const mb_ar1 *process, gsl_rng *rng, size_t n, double *x);

#ifdef __cplusplus
}
#endif

#endif
