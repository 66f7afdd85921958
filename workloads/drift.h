/* workloads/drift.h - the generator `drift`: its parameters and its exact moments. */
#ifndef MB_WORKLOADS_DRIFT_H
#define MB_WORKLOADS_DRIFT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "workloads/generator.h"
#include "workloads/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Expert popularity that wanders around a mean of its own, quickly (requests come and go) and
 * slowly (topics do), as AR(1) processes on its logarithm. For layer l, with sigma, skew of l:
 *
 *   z[i]  = the i-th of E normal scores, gsl_cdf_ugaussian_Pinv((i + 1/2) / E), i = 0..E-1
 *   y[i]  = (exp(skew z) - 1) / skew (z where skew is 0), centred, with mean square 1
 *   m[e]  = exp(sigma y[i(e)]) / their sum: the mean share; i(e) is a random order
 *   V     = E sum m^2 - 1, the spread of the mean shares: their squared coefficient of variation
 *   r[e]  = V (E m)^(-2 h) / mean((E m)^(2 - 2 h)), h = cold_drift: how much the drift of expert e
 *           counts, so that the sum of m^2 r is V/E whatever h is
 *   v_j   = c_j r,  c_j = drift_j / (1 - drift_fast - drift_slow),  j = fast, slow
 *   a_j   = AR(1) over the steps, variance ln(1 + v_j[e]), autocorrelation exp(-d / steps_j) at a
 *           distance of d steps
 *   q     = m exp(a_fast - ln(1 + v_fast) / 2 + a_slow - ln(1 + v_slow) / 2)
 *   load  ~ multinomial(top_k x tokens, p), p = q / sum q
 *
 * The moments of q are exact:
 *   mean q = m,  var q = m^2 (prod_j (1 + v_j) - 1),
 *   cov(q(t), q(t + d)) = m^2 (prod_j (1 + v_j)^exp(-d / steps_j) - 1).
 *
 * So drift_fast and drift_slow are the shares of all the spread of a layer's shares that wander;
 * what is left stays for ever. Over few experts and windows of few steps, 1 - r at a lag of d steps
 * is nearly sum_j drift_j (1 - exp(-d / steps_j)), r being Pearson's correlation of two windows'
 * shares. h = 0 moves all experts by the same factor; h = 0.5 moves shares as a changing sample of
 * requests does, with a variance in proportion to the share; h = 1 moves all shares by as much, and
 * beyond that popular ones move less.
 * A skew below 0 means a flat head and a long cold tail, as recorded routing has it.
 *
 * As the scores are no random draws, a layer's skew is what its parameters say, for every seed.
 * A token picks top_k different experts: p is cut at 1 / top_k, and no expert gets more loads than
 * there are tokens; see mb_counts_draw_multinomial().
 *
 * `sigma` and `skew` are lists: one number for all layers, or one for each, with spaces between.
 */
typedef struct mb_drift_params {
  mb_workload_params workload;
  char sigma[MB_PARAM_TEXT_SIZE]; /* numbers in [0, MB_DRIFT_SIGMA_MAX] */
  char skew[MB_PARAM_TEXT_SIZE];  /* in [-MB_DRIFT_SKEW_MAX, MB_DRIFT_SKEW_MAX] */
  double drift_fast, drift_slow;  /* their sum below 1 */
  double steps_fast, steps_slow;
  double cold_drift;
} mb_drift_params;

#define MB_DRIFT_SIGMA_MAX 5.0
#define MB_DRIFT_SKEW_MAX 4.0

/** Fills m[n] in ascending order. */
void mb_drift_mean_shares(size_t n, double sigma, double skew, double *share);

/** Fills r[n] from the mean shares m[n], which sum to 1. */
void mb_drift_spread(size_t n, const double *share, double cold_drift, double *spread);

/** m[L,E] of an initialised state. Borrowed from the state. */
const double *mb_drift_share(const void *state);

/** q[L,E] before the step that comes next. @param popularity [L,E] caller-owned. */
void mb_drift_popularity(const void *state, double *popularity);

extern const mb_generator_type mb_generator_drift;

#ifdef __cplusplus
}
#endif

#endif
