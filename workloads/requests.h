/* workloads/requests.h - the generator `requests`: serving, request by request. */
#ifndef MB_WORKLOADS_REQUESTS_H
#define MB_WORKLOADS_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "workloads/generator.h"
#include "workloads/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Requests come, have their prompts read in chunks, write one token a step, and go; each has its
 * own favourite experts, and each token keeps some of the last one's. So the noise of a step, the
 * drift from window to window and the time constant of both come from the requests in work, as in
 * serving.
 *
 *   sigma[l]       = sigma (1 + sigma_spread u),  u uniform in [-1, 1]; likewise request_sigma[l]
 *   share[m,l,e]   ~ exp(sigma[l] z[d(m)] + request_sigma[l] y[m]), summing to 1
 *   pi[m,l,e]      = top_k share[m,l,e]
 *   load[t,l,e]    = tokens of step t that pick e
 *
 * There are `kinds` kinds m of requests in each domain d(m). z[0], z[1] are standard normal with
 * that `correlation`, y standard normal; both sigmas of a layer have the same u. Shares are cut at
 * head_cap times their mean and at 0.9 / top_k (where top_k is over 0.8 E, half-way from 1 / E to
 * 1 / top_k). A token of a request of kind m picks e with probability pi[m,l,e], one token after
 * the other as in workloads/token_chain.h.
 *
 * So, given which requests are in work, n[m] tokens of kind m in the step: mean sum of
 * n[m] pi[m,l,e] over m; variance sum of n[m] pi (1 - pi), where no request has more than a token.
 * A new request is of the second domain with probability mb_mixture_weight(), and of any of the
 * domain's kinds alike.
 *
 * The phase says what is served: `decode`, all prompts having been read elsewhere; `prefill`, only
 * prompts are read; `mixed`, both, and /step_phase says which there were in a step. Slots of
 * requests are dealt to the dp_ranks in turn, and each rank reads its part of the chunk. Lengths
 * are lognormal. A warm-up of one request's life comes before the first step.
 */
typedef struct mb_requests_params {
  mb_workload_params workload;
  int64_t concurrency, dp_ranks, chunk, kinds;
  double utilisation;
  double prompt_tokens, prompt_spread, output_tokens, output_spread;
  double reuse;
  double sigma, correlation, request_sigma, sigma_spread, head_cap;
  char drift[MB_PARAM_TEXT_SIZE];
  int64_t drift_period;
  char sampling[MB_PARAM_TEXT_SIZE];
} mb_requests_params;

/** Steps that a request is in work, in the mean, as the parameters say. */
double mb_requests_lifetime(const mb_requests_params *params);

/** pi of a kind of requests (those of the second domain follow the first's) in a layer, [E].
 * Borrowed from an initialised state. */
const double *mb_requests_inclusion(const void *state, size_t kind, size_t layer);

extern const mb_generator_type mb_generator_requests;

#ifdef __cplusplus
}
#endif

#endif
