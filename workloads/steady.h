/* workloads/steady.h - the generator `steady`: its parameters. */
#ifndef MB_WORKLOADS_STEADY_H
#define MB_WORKLOADS_STEADY_H

#include "workloads/stationary.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The same traffic for ever: shares that differ between the experts and stay.
 *
 *   sigma[l]   = sigma (1 + sigma_spread u),  u uniform in [-1, 1]
 *   share[l,e] ~ exp(sigma[l] z), z standard normal, cut at head_cap times their mean, summing to 1
 *
 * Without the cut a layer's Gini index is erf(sigma[l] / 2). Loads and their moments:
 * workloads/stationary.h.
 */
typedef struct mb_steady_params {
  mb_stationary_params stationary;
  double sigma, sigma_spread, head_cap;
} mb_steady_params;

extern const mb_generator_type mb_generator_steady;

#ifdef __cplusplus
}
#endif

#endif
