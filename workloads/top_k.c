/* workloads/top_k.c */
#include "workloads/top_k.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/sampling.h"

/* An expert that every token wants would have infinite odds. It is given these times the highest of
   the others instead. */
#define CERTAIN (1.0 - 1e-6)
#define CERTAIN_ODDS 1e12

const char *const mb_top_k_samplings[] = {"auto", "exact", "fast", NULL};

bool mb_top_k_is_exact(const char *sampling, uint32_t n_tokens) {
  return strcmp(sampling, "exact") == 0 ||
         (strcmp(sampling, "auto") == 0 && n_tokens <= MB_TOP_K_EXACT_TOKENS);
}

mb_status mb_top_k_init(mb_top_k *picks, size_t n_experts, uint32_t top_k, bool exact) {
  *picks = (mb_top_k){.n_experts = n_experts, .top_k = top_k};
  picks->inclusion = calloc(n_experts, sizeof *picks->inclusion);
  picks->spread = calloc(n_experts, sizeof *picks->spread);
  picks->scratch = calloc(n_experts, sizeof *picks->scratch);
  picks->picked = calloc(top_k, sizeof *picks->picked);
  if (exact) {
    picks->odds = calloc(n_experts, sizeof *picks->odds);
    picks->survival = calloc(top_k * (n_experts + 1), sizeof *picks->survival);
  }
  if (picks->inclusion == NULL || picks->spread == NULL || picks->scratch == NULL ||
      picks->picked == NULL || (exact && (picks->odds == NULL || picks->survival == NULL))) {
    mb_top_k_fini(picks);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the choice of %u among %zu experts", top_k,
                   n_experts);
  }
  return MB_OK;
}

void mb_top_k_fini(mb_top_k *picks) {
  free(picks->inclusion);
  free(picks->spread);
  free(picks->scratch);
  free(picks->picked);
  free(picks->odds);
  free(picks->survival);
  *picks = (mb_top_k){.n_experts = 0};
}

static void set_inclusion(mb_top_k *picks, const double *share) {
  memcpy(picks->inclusion, share, picks->n_experts * sizeof *share);
  mb_shares_cap(picks->n_experts, 1.0 / picks->top_k, picks->inclusion);
  for (size_t e = 0; e < picks->n_experts; e++) {
    picks->inclusion[e] = fmin(picks->inclusion[e] * picks->top_k, 1.0);
  }
}

/* --- token by token */

/* The inclusion probabilities that these odds give: one expert more a round (Chen, Dempster and
   Liu, equation 3), all terms positive, so that nothing is lost to rounding. */
static void find_inclusion(size_t n, uint32_t top_k, const double *odds, double *inclusion) {
  memset(inclusion, 0, n * sizeof *inclusion);
  for (uint32_t k = 1; k <= top_k; k++) {
    double sum = 0.0;
    for (size_t e = 0; e < n; e++) {
      inclusion[e] = odds[e] * (1.0 - inclusion[e]);
      sum += inclusion[e];
    }
    for (size_t e = 0; e < n; e++) {
      inclusion[e] = fmin(inclusion[e] * (k / sum), 1.0);
    }
  }
}

/* Each expert's log odds move by what its inclusion's log odds lack; an error shrinks some k times
   a round. Among a few experts that is too much: for equal inclusions the exponent makes a round
   exact. Returns the largest relative error there was. */
static double improve_odds(size_t n, const double *inclusion, double factor, const double *found,
                           double *odds) {
  double exponent = 1.0 - 1.0 / (double)n;
  double error = 0.0;

  for (size_t e = 0; e < n; e++) {
    double wanted = inclusion[e] * factor;
    if (odds[e] > 0.0 && found[e] > 0.0 && found[e] < 1.0 && wanted < 1.0) {
      double lack = wanted * (1.0 - found[e]) / (found[e] * (1.0 - wanted));
      odds[e] *= n < 16 ? pow(lack, exponent) : lack;
      error = fmax(error, fabs(found[e] / wanted - 1.0));
    }
  }
  return error;
}

void mb_top_k_solve(size_t n_experts, uint32_t top_k, const double *inclusion, double *odds,
                    double *scratch) {
  enum { ROUNDS = 200 };
  uint32_t left = top_k; /* to choose among those that aren't certain */
  double sum = 0.0;
  double error = INFINITY;
  double highest = 1.0;

  for (size_t e = 0; e < n_experts; e++) {
    bool certain = inclusion[e] > CERTAIN;
    odds[e] = certain ? 0.0 : inclusion[e] / (1.0 - inclusion[e]);
    sum += certain ? 0.0 : inclusion[e];
    left -= certain ? 1 : 0;
  }
  for (int round = 0; round < ROUNDS && error > 1e-9 && left > 0; round++) {
    find_inclusion(n_experts, left, odds, scratch);
    error = improve_odds(n_experts, inclusion, left / sum, scratch, odds);
  }
  for (size_t e = 0; e < n_experts; e++) {
    highest = fmax(highest, odds[e]);
  }
  for (size_t e = 0; e < n_experts; e++) {
    odds[e] = inclusion[e] > CERTAIN ? highest * CERTAIN_ODDS : odds[e];
  }
}

/* survival[r-1,j] is, up to a factor of r's own, the sum over all sets of r experts from j on of
   the product of their odds: an elementary symmetric polynomial. */
static void fill_survival(mb_top_k *picks) {
  size_t n = picks->n_experts;

  for (uint32_t r = 1; r <= picks->top_k; r++) {
    double *row = picks->survival + (r - 1) * (n + 1);
    const double *fewer = row - (n + 1);
    row[n] = 0.0;
    for (size_t e = n; e-- > 0;) {
      row[e] = row[e + 1] + picks->odds[e] * (r > 1 ? fewer[e + 1] : 1.0);
    }
    double scale = 1.0 / row[0];
    for (size_t e = 0; e < n; e++) {
      row[e] *= scale;
    }
  }
}

void mb_top_k_set_exact(mb_top_k *picks, const double *share) {
  set_inclusion(picks, share);
  mb_top_k_solve(picks->n_experts, picks->top_k, picks->inclusion, picks->odds, picks->scratch);
  fill_survival(picks);
}

/* The next expert is j or a later one with probability survival[r-1,j] / survival[r-1,first], where
   r are still to be picked, from `first` on. */
void mb_top_k_pick(const mb_top_k *picks, gsl_rng *rng, uint32_t *expert) {
  size_t first = 0;

  for (uint32_t r = picks->top_k; r > 0; r--) {
    const double *row = picks->survival + (r - 1) * (picks->n_experts + 1);
    double limit = row[first] * gsl_rng_uniform(rng);
    size_t low = first;
    size_t high = picks->n_experts;
    while (high - low > 1) {
      size_t middle = (low + high) / 2;
      bool later = row[middle] > limit;
      low = later ? middle : low;
      high = later ? high : middle;
    }
    expert[picks->top_k - r] = (uint32_t)low;
    first = low + 1;
  }
}

void mb_top_k_draw_exact(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count) {
  for (uint32_t t = 0; t < n_tokens; t++) {
    mb_top_k_pick(picks, rng, picks->picked);
    for (uint32_t i = 0; i < picks->top_k; i++) {
      count[picks->picked[i]]++;
    }
  }
}

/* --- fast */

/* c with c[e] - c[e]^2 / sum c = pi[e] (1 - pi[e]) (Deville and Tille, 2005): independent counts of
   variance n c[e], made to sum to k n, have the exact variance. It has no solution where one expert
   has half of all variance; the rounds then end near. */
void mb_top_k_find_spread(size_t n_experts, const double *inclusion, double *spread) {
  enum { ROUNDS = 100 };
  double sum = 0.0;
  double change = INFINITY;

  for (size_t e = 0; e < n_experts; e++) {
    spread[e] = inclusion[e] * (1.0 - inclusion[e]);
    sum += spread[e];
  }
  for (int round = 0; round < ROUNDS && sum > 0.0 && change > 1e-6 * sum; round++) {
    double next_sum = 0.0;
    change = 0.0;
    for (size_t e = 0; e < n_experts; e++) {
      double pi = inclusion[e];
      double next = fmin(pi, pi * (1.0 - pi) + spread[e] * spread[e] / sum);
      change += fabs(next - spread[e]);
      spread[e] = next;
      next_sum += next;
    }
    sum = next_sum;
  }
}

void mb_top_k_set_fast(mb_top_k *picks, const double *share) {
  set_inclusion(picks, share);
  mb_top_k_find_spread(picks->n_experts, picks->inclusion, picks->spread);
}

/* A count of mean n pi and variance n c, below the mean: binomial, or Poisson at the limit. */
static double draw_few(gsl_rng *rng, double mean, double success) {
  double trials = success > 1e-6 ? fmax(round(mean / success), ceil(mean)) : INFINITY;

  return trials < 1e6 ? gsl_ran_binomial(rng, mean / trials, (unsigned)trials)
                      : gsl_ran_poisson(rng, mean);
}

/* The same by a normal variable with the binomial's skewness (Cornish and Fisher). Rounding to
   whole numbers adds 1/12 to a variance, which is taken off before (Sheppard). */
static double draw_many(gsl_rng *rng, double mean, double variance, double success) {
  double z = gsl_ran_gaussian_ziggurat(rng, 1.0);

  return mean + sqrt(variance - 1.0 / 12.0) * z + (1.0 - 2.0 * success) / 6.0 * (z * z - 1.0);
}

static int64_t draw_counts(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens,
                           uint32_t *count) {
  const double many = 14.0;
  double n = n_tokens;
  int64_t sum = 0;

  for (size_t e = 0; e < picks->n_experts; e++) {
    double mean = n * picks->inclusion[e];
    double success = mean > 0.0 ? 1.0 - picks->spread[e] / picks->inclusion[e] : 0.0;
    double drawn = mean < many || n - mean < many
                       ? draw_few(rng, mean, success)
                       : draw_many(rng, mean, n * picks->spread[e], success);
    count[e] = (uint32_t)fmin(n, fmax(0.0, drawn) + 0.5);
    sum += count[e];
  }
  return sum;
}

/* How readily an expert gives a load away, or takes one; in the mean n c[e] either way. */
static double find_weights(const mb_top_k *picks, uint32_t n_tokens, bool take,
                           const uint32_t *count, double *weight) {
  double sum = 0.0;

  for (size_t e = 0; e < picks->n_experts; e++) {
    double kept = picks->inclusion[e] > 0.0 ? picks->spread[e] / picks->inclusion[e] : 1.0;
    double mean = n_tokens * picks->inclusion[e];
    weight[e] = !take                 ? count[e] * kept
                : count[e] < n_tokens ? fmax(0.0, mean - count[e] * (1.0 - kept))
                                      : 0.0;
    sum += weight[e];
  }
  return sum;
}

/* One round of moving `wrong` loads, systematically along the sums of the weights: each expert gets
   its part rounded down or up. Returns how many could be moved. */
static uint64_t move_counts(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, bool take,
                            uint64_t wrong, uint32_t *count) {
  double *weight = picks->scratch;
  double sum = find_weights(picks, n_tokens, take, count, weight);
  double reached = gsl_rng_uniform(rng);
  uint64_t moved = 0;

  for (size_t e = 0; e < picks->n_experts && moved < wrong; e++) {
    uint64_t room = take ? n_tokens - count[e] : count[e];
    /* Where nobody is ready any more, whoever can has to. */
    reached += sum > 0.0 ? weight[e] / sum * (double)wrong : (double)room;
    uint64_t part = (uint64_t)reached - moved;
    part = part < room ? part : room;
    part = part < wrong - moved ? part : wrong - moved;
    count[e] = take ? count[e] + (uint32_t)part : count[e] - (uint32_t)part;
    moved += part;
  }
  return moved;
}

void mb_top_k_draw_fast(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count) {
  int64_t excess =
      draw_counts(picks, rng, n_tokens, count) - (int64_t)n_tokens * (int64_t)picks->top_k;
  bool take = excess < 0;
  uint64_t wrong = (uint64_t)(take ? -excess : excess);

  while (wrong > 0) {
    wrong -= move_counts(picks, rng, n_tokens, take, wrong, count);
  }
}
