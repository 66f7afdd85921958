/* workloads/token_chain.h - internal: the experts of one token after another of a request. */
#ifndef MB_WORKLOADS_TOKEN_CHAIN_H
#define MB_WORKLOADS_TOKEN_CHAIN_H

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Every token picks top_k different experts with the chances of workloads/top_k.h, and so inclusion
 * probabilities pi that can be chosen. From a token to the next each expert stays with probability
 * `keep`; else it is drawn anew, by its odds among those that the token hasn't got (a Gibbs step,
 * so that the chances stay what they are), which may be the same one again. Of two tokens h apart,
 * at least the share keep^h of the experts is the same, in the mean.
 */
typedef struct mb_token_chain {
  size_t n_experts;
  uint32_t top_k;
  gsl_ran_discrete_t *odds;
} mb_token_chain;

/** @param inclusion [E] pi, sums to top_k. @param scratch [2E]. mb_token_chain_fini() it. */
MB_NODISCARD mb_status mb_token_chain_init(mb_token_chain *chain, size_t n_experts, uint32_t top_k,
                                           const double *inclusion, double *scratch);
void mb_token_chain_fini(mb_token_chain *chain); /* a struct of zeros is fine */

/** A token without one before it. @param expert [k] written, in no order. */
void mb_token_chain_start(const mb_token_chain *chain, gsl_rng *rng, uint16_t *expert);
/** The next token. @param expert [k] the last one's. */
void mb_token_chain_step(const mb_token_chain *chain, gsl_rng *rng, double keep, uint16_t *expert);

#ifdef __cplusplus
}
#endif

#endif
