/* workloads/token_chain.c */
#include "workloads/token_chain.h"

#include <stdbool.h>

#include "workloads/top_k.h"

mb_status mb_token_chain_init(mb_token_chain *chain, size_t n_experts, uint32_t top_k,
                              const double *inclusion, double *scratch) {
  double *odds = scratch;

  mb_top_k_solve(n_experts, top_k, inclusion, odds, scratch + n_experts);
  *chain = (mb_token_chain){.n_experts = n_experts, .top_k = top_k};
  chain->odds = gsl_ran_discrete_preproc(n_experts, odds);
  return chain->odds != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for the odds of %zu experts", n_experts);
}

void mb_token_chain_fini(mb_token_chain *chain) {
  if (chain->odds != NULL) {
    gsl_ran_discrete_free(chain->odds);
  }
  chain->odds = NULL;
}

static bool is_among(uint32_t n, const uint16_t *expert, uint32_t except, uint16_t wanted) {
  bool found = false;

  for (uint32_t i = 0; i < n; i++) {
    found = found || (i != except && expert[i] == wanted);
  }
  return found;
}

/* Draws expert[i] anew, given the others of the first n. So many misses in a row come only where
   the others have nearly all of the odds; then it stays. */
static void redraw(const mb_token_chain *chain, gsl_rng *rng, uint32_t n, uint32_t i,
                   uint16_t *expert) {
  enum { TRIES = 1000 };

  for (int t = 0; t < TRIES; t++) {
    uint16_t drawn = (uint16_t)gsl_ran_discrete(rng, chain->odds);
    if (!is_among(n, expert, i, drawn)) {
      expert[i] = drawn;
      return;
    }
  }
}

/* Any experts to begin with, then each is drawn anew often enough to forget that. */
void mb_token_chain_start(const mb_token_chain *chain, gsl_rng *rng, uint16_t *expert) {
  enum { SWEEPS = 10 };

  for (uint32_t i = 0; i < chain->top_k; i++) {
    expert[i] = (uint16_t)i;
  }
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    mb_token_chain_step(chain, rng, 0.0, expert);
  }
}

void mb_token_chain_step(const mb_token_chain *chain, gsl_rng *rng, double keep, uint16_t *expert) {
  for (uint32_t i = 0; chain->top_k < chain->n_experts && i < chain->top_k; i++) {
    if (gsl_rng_uniform(rng) >= keep) {
      redraw(chain, rng, chain->top_k, i, expert);
    }
  }
}
