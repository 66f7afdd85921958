/* workloads/top_k.h - internal: tokens that pick top_k different experts each, with given shares.
 */
#ifndef MB_WORKLOADS_TOP_K_H
#define MB_WORKLOADS_TOP_K_H

#include <gsl/gsl_rng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Tokens pick independently of each other. A token picks the set S of k = top_k experts with
 *
 *   P(S) = product over S of odds[e] / sum of that over all sets of k experts
 *
 * (conditional Poisson sampling, of all designs with these probabilities the one of most entropy),
 * the odds being such that expert e is in S with probability pi[e] = k share[e], where the shares
 * are cut at 1 / k. So the counts of n tokens have
 *
 *   mean n pi[e],   variance n pi[e] (1 - pi[e]),   covariance n (pi[e,f] - pi[e] pi[f]),
 *   pi[e,f] = (odds[e] pi[f] - odds[f] pi[e]) / (odds[e] - odds[f])
 *
 * (Chen, Dempster and Liu, Biometrika 81, 1994), and a single count is binomial(n, pi[e]).
 */
typedef struct mb_top_k {
  size_t n_experts;
  uint32_t top_k;
  double *inclusion; /* [E] pi */
  double *odds;      /* [E] up to a factor; after mb_top_k_set_exact() */
  double *survival;  /* [k,E+1] of mb_top_k_pick(); likewise */
  double *spread;    /* [E] of mb_top_k_draw_fast(); after mb_top_k_set_fast() */
  double *scratch;   /* [E] */
  uint32_t *picked;  /* [k] scratch */
} mb_top_k;

/** Zeroes, and memory for both ways to draw or for the fast one only. mb_top_k_fini() it. */
MB_NODISCARD mb_status mb_top_k_init(mb_top_k *picks, size_t n_experts, uint32_t top_k, bool exact);
void mb_top_k_fini(mb_top_k *picks); /* a struct of zeros is fine */

/** Sets the shares (up to a factor, borrowed for the call). O(k E) a round, 5 to 10 rounds. */
void mb_top_k_set_exact(mb_top_k *picks, const double *share);
/** Likewise, for mb_top_k_draw_fast() only. O(E) a round. */
void mb_top_k_set_fast(mb_top_k *picks, const double *share);

/** One token's experts, ascending, to expert[k]. O(k log E). */
void mb_top_k_pick(const mb_top_k *picks, gsl_rng *rng, uint32_t *expert);

/** Counts of n_tokens tokens, token by token. @param count [E] added to. */
void mb_top_k_draw_exact(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count);

/**
 * Counts of n_tokens tokens in O(E): independent binomials whose sum is then put right. Mean and
 * variance of each count are those above, the covariances those of Hajek's approximation; counts
 * are at most n_tokens and sum to k n_tokens. From 64 tokens on, a count's distribution is within a
 * total variation of 0.015 of the exact one, means within 0.2 %, variances within 2 %, where no pi
 * exceeds 0.9 (tests/test_top_k.c measures it).
 *
 * @param count [E] written.
 */
void mb_top_k_draw_fast(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count);

/** The odds of picking with those inclusion probabilities, which sum to k, each at most 1.
 * @param odds [E] written. @param scratch [E]. */
void mb_top_k_solve(size_t n_experts, uint32_t top_k, const double *inclusion, double *odds,
                    double *scratch);

/** What mb_top_k_draw_fast() needs beside them. @param spread [E] written. */
void mb_top_k_find_spread(size_t n_experts, const double *inclusion, double *spread);

/* --- the parameter `sampling` */

/** auto: token by token up to this many tokens, fast above. */
#define MB_TOP_K_EXACT_TOKENS 128

/** "auto", "exact", "fast", NULL. Static. */
extern const char *const mb_top_k_samplings[];

/** Whether that many tokens are drawn token by token under that name. */
bool mb_top_k_is_exact(const char *sampling, uint32_t n_tokens);

#ifdef __cplusplus
}
#endif

#endif
