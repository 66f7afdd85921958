/* workloads/near_balanced.h - the generator `near-balanced`: its parameters. */
#ifndef MB_WORKLOADS_NEAR_BALANCED_H
#define MB_WORKLOADS_NEAR_BALANCED_H

#include "workloads/stationary.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Nearly even loads, where moving weights costs more than it gains.
 *
 *   sigma[l]   = sigma (1 + sigma_spread u),  u uniform in [-1, 1]
 *   share[l,e] ~ exp(sigma[l] z), z standard normal, cut at head_cap times their mean, summing to 1
 *
 * Without the cut a layer's Gini index is erf(sigma[l] / 2): .06 to .14 by default. Loads and their
 * moments: workloads/stationary.h.
 */
typedef struct mb_near_balanced_params {
  mb_stationary_params stationary;
  double sigma, sigma_spread, head_cap;
} mb_near_balanced_params;

extern const mb_generator_type mb_generator_near_balanced;

#ifdef __cplusplus
}
#endif

#endif
