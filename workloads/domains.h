/* workloads/domains.h - the generator `domains`: its parameters and its exact moments. */
#ifndef MB_WORKLOADS_DOMAINS_H
#define MB_WORKLOADS_DOMAINS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "workloads/generator.h"
#include "workloads/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Traffic that drifts between two domains (say, mathematics and code).
 *
 *   sigma[l]      = sigma (1 + sigma_spread u),  u uniform in [-1, 1]
 *   share[d][l,e] ~ exp(sigma[l] z[d]), cut at head_cap times their mean, summing to 1;
 *                   z[0], z[1] standard normal with that `correlation`
 *   p[t,l,e]      ~ ((1 - w(t)) share[0] + w(t) share[1]) exp(a[t,l,e])
 *   a             = AR(1) over the steps, standard deviation noise_rms,
 *                   autocorrelation noise_autocorrelation at a distance of noise_lag steps
 *   load[t,l,:]   ~ multinomial(top_k x tokens, p[t,l,:])
 *
 * A token picks top_k different experts, so p is cut at 1 / top_k, and no expert gets more loads
 * than there are tokens: what exceeds that is drawn again among the others. Where neither cut
 * bites, the loads are exactly multinomial: mean n p, variance n p (1 - p), n = top_k x tokens.
 */
typedef struct mb_domains_params {
  mb_workload_params workload;
  double sigma, sigma_spread, correlation, head_cap;
  char drift[MB_PARAM_TEXT_SIZE];
  int64_t drift_period;
  double noise_rms, noise_autocorrelation;
  int64_t noise_lag;
} mb_domains_params;

/** w(t), the weight of the second domain: mb_mixture_weight(). */
double mb_domains_weight(const mb_domains_params *params, uint64_t step);

/** share[domain] of an initialised state, [L,E], domain 0 or 1. Borrowed from the state. */
const double *mb_domains_share(const void *state, size_t domain);

extern const mb_generator_type mb_generator_domains;

#ifdef __cplusplus
}
#endif

#endif
