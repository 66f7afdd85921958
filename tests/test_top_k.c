/* tests/test_top_k.c - tokens that pick different experts: the exact way against all sets of a
 * small case and against its moments, the fast way against the exact distribution. Seeds are fixed.
 */
#include "workloads/top_k.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>

#include "tests/test.h"
#include "workloads/sampling.h"
#include "workloads/stream.h"

enum { SEED = 20240611, E_MAX = 512 };

static mb_top_k prepare(size_t n_experts, uint32_t top_k, double sigma, double head_cap,
                        double *share) {
  gsl_rng *rng = mb_stream_create(SEED, "test/share", n_experts);
  mb_top_k picks;

  mb_shares_draw_lognormal(rng, sigma, 0.0, head_cap, n_experts, share);
  gsl_rng_free(rng);
  CHECK_OK(mb_top_k_init(&picks, n_experts, top_k, true));
  mb_top_k_set_fast(&picks, share);
  mb_top_k_set_exact(&picks, share);
  return picks;
}

/* pi[e,f], by the formula of top_k.h. */
static double joint(const mb_top_k *picks, size_t e, size_t f) {
  const double *odds = picks->odds;
  const double *pi = picks->inclusion;

  return (odds[e] * pi[f] - odds[f] * pi[e]) / (odds[e] - odds[f]);
}

/* All sets of 3 among 6: probabilities by enumeration, frequencies by chi-square. */
static void test_all_sets(void) {
  enum { E = 6, K = 3, N = 200000 };
  double share[E] = {0.30, 0.25, 0.2, 0.15, 0.08, 0.02};
  double chance[1 << E] = {0};
  double frequency[1 << E] = {0};
  double sum = 0.0;
  mb_top_k picks;
  gsl_rng *rng = mb_stream_create(SEED, "test/sets", 0);

  CHECK_OK(mb_top_k_init(&picks, E, K, true));
  mb_top_k_set_exact(&picks, share);
  for (unsigned set = 0; set < 1U << E; set++) {
    if (__builtin_popcount(set) == K) {
      chance[set] = 1.0;
      for (size_t e = 0; e < E; e++) {
        chance[set] *= (set >> e & 1U) != 0 ? picks.odds[e] : 1.0;
      }
      sum += chance[set];
    }
  }
  for (size_t e = 0; e < E; e++) {
    double inclusion = 0.0;
    for (unsigned set = 0; set < 1U << E; set++) {
      inclusion += (set >> e & 1U) != 0 ? chance[set] / sum : 0.0;
    }
    CU_ASSERT_DOUBLE_EQUAL(inclusion, K * share[e], 1e-8);
  }
  for (size_t i = 0; i < N; i++) {
    uint32_t expert[K];
    mb_top_k_pick(&picks, rng, expert);
    CU_ASSERT(expert[0] < expert[1] && expert[1] < expert[2] && expert[2] < E);
    frequency[1U << expert[0] | 1U << expert[1] | 1U << expert[2]]++;
  }
  double statistic = 0.0;
  for (unsigned set = 0; set < 1U << E; set++) {
    double expected = N * chance[set] / sum;
    statistic += expected > 0.0 ? pow(frequency[set] - expected, 2) / expected : 0.0;
  }
  CU_ASSERT(gsl_cdf_chisq_Q(statistic, 19) > 1e-6);
  CU_ASSERT(gsl_cdf_chisq_P(statistic, 19) > 1e-6);
  gsl_rng_free(rng);
  mb_top_k_fini(&picks);
}

/* Hajek's approximation of pi[e,f], for odds too near for the formula. */
static double joint_near(const mb_top_k *picks, double variance, size_t e, size_t f) {
  double pi = picks->inclusion[e];
  double pj = picks->inclusion[f];

  return pi * pj * (1.0 - (1.0 - pi) * (1.0 - pj) / variance);
}

/* The odds found give the wanted inclusion: else the joint ones would not sum to (k - 1) pi. */
static void check_odds(size_t n_experts, uint32_t top_k, double sigma, double head_cap) {
  static double share[E_MAX];
  mb_top_k picks = prepare(n_experts, top_k, sigma, head_cap, share);
  double total = 0.0;
  double variance = 0.0;

  for (size_t e = 0; e < n_experts; e++) {
    total += picks.inclusion[e];
    variance += picks.inclusion[e] * (1.0 - picks.inclusion[e]);
  }
  CU_ASSERT_DOUBLE_EQUAL(total, top_k, 1e-9 * top_k);
  for (size_t e = 0; e < n_experts; e++) {
    double pi = picks.inclusion[e];
    double sum = 0.0;
    for (size_t f = 0; pi < 1.0 - 1e-6 && f < n_experts; f++) {
      bool near = fabs(picks.odds[e] / picks.odds[f] - 1.0) < 1e-4;
      sum += f == e ? 0.0 : near ? joint_near(&picks, variance, e, f) : joint(&picks, e, f);
    }
    if (pi < 1.0 - 1e-6) {
      CU_ASSERT_DOUBLE_EQUAL(sum / ((top_k - 1.0) * pi), 1.0, 1e-3);
    }
  }
  mb_top_k_fini(&picks);
}

static void test_odds(void) {
  check_odds(32, 4, 0.7, 8.0);
  check_odds(256, 8, 1.1, 30.0);
  check_odds(512, 10, 2.2, 1e6);
  check_odds(8, 2, 1.5, 1e6);
  check_odds(64, 6, 3.0, 1e6);
}

typedef void draw_counts(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count);

static void draw_exact(const mb_top_k *picks, gsl_rng *rng, uint32_t n_tokens, uint32_t *count) {
  memset(count, 0, picks->n_experts * sizeof *count);
  mb_top_k_draw_exact(picks, rng, n_tokens, count);
}

/* counts[e,i], N draws of T tokens. */
static double *take(const mb_top_k *picks, draw_counts *draw, uint32_t n_tokens, size_t n) {
  double *counts = malloc(picks->n_experts * n * sizeof *counts);
  uint32_t count[E_MAX];
  gsl_rng *rng = mb_stream_create(SEED, "test/draw", n_tokens);

  CU_ASSERT_PTR_NOT_NULL_FATAL(counts);
  for (size_t i = 0; i < n; i++) {
    uint64_t sum = 0;
    bool fits = true;
    draw(picks, rng, n_tokens, count);
    for (size_t e = 0; e < picks->n_experts; e++) {
      counts[e * n + i] = count[e];
      sum += count[e];
      fits = fits && count[e] <= n_tokens;
    }
    CU_ASSERT(fits && sum == (uint64_t)n_tokens * picks->top_k);
  }
  gsl_rng_free(rng);
  return counts;
}

/* Means and variances within 5 standard errors of the formulas, covariances likewise. `bias` and
   `off` are what an approximation may add: relative, to mean and variance. */
static void check_moments(const mb_top_k *picks, const double *counts, uint32_t n_tokens, size_t n,
                          double bias, double off) {
  double root = 5.0 / sqrt((double)n);

  for (size_t e = 0; e < picks->n_experts; e++) {
    double pi = picks->inclusion[e];
    double mean = n_tokens * pi;
    double variance = mean * (1.0 - pi);
    /* A binomial's excess kurtosis, for the error of a variance. */
    double kurtosis = (1.0 - 6.0 * pi * (1.0 - pi)) / variance;
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(counts + e * n, 1, n), mean,
                           root * sqrt(variance) + bias * mean);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_variance(counts + e * n, 1, n), variance,
                           (root * sqrt(2.0 + kurtosis) + off) * variance);
  }
  for (size_t e = 0; e + 1 < picks->n_experts && picks->top_k > 1; e++) {
    double pi = picks->inclusion[e];
    double pj = picks->inclusion[e + 1];
    double scale = n_tokens * sqrt(pi * (1.0 - pi) * pj * (1.0 - pj));
    double covariance = n_tokens * (joint(picks, e, e + 1) - pi * pj);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_covariance(counts + e * n, 1, counts + (e + 1) * n, 1, n),
                           covariance, (1.5 * root + off) * scale);
  }
}

static void test_exact_moments(void) {
  enum { N = 20000 };
  double share[E_MAX];
  mb_top_k picks = prepare(32, 4, 0.8, 6.0, share);
  double *counts = take(&picks, draw_exact, 16, N);

  check_moments(&picks, counts, 16, N, 0.0, 0.0);
  free(counts);
  mb_top_k_fini(&picks);
}

/* Total variation between the counts and binomial(T, pi), over up to 12 bins of like probability.
 */
static double find_distance(const double *counts, size_t n, double pi, uint32_t n_tokens) {
  enum { BINS = 12 };
  double excess[BINS] = {0}; /* of the found over the expected */
  size_t *bin = calloc(n_tokens + 1, sizeof *bin);
  double below = 0.0;
  double distance = 0.0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(bin);
  for (uint32_t count = 0; count <= n_tokens; count++) {
    double chance = gsl_ran_binomial_pdf(count, pi, n_tokens);
    bin[count] = (size_t)fmin(BINS - 1, (below + chance / 2.0) * BINS);
    excess[bin[count]] -= chance;
    below += chance;
  }
  for (size_t i = 0; i < n; i++) {
    excess[bin[(size_t)counts[i]]] += 1.0 / (double)n;
  }
  for (size_t i = 0; i < BINS; i++) {
    distance += fabs(excess[i]) / 2.0;
  }
  free(bin);
  return distance;
}

static void check_fast(size_t n_experts, uint32_t top_k, double sigma, double head_cap,
                       uint32_t n_tokens) {
  enum { N = 40000, TRIED = 16 };
  double share[E_MAX];
  mb_top_k picks = prepare(n_experts, top_k, sigma, head_cap, share);
  double *counts = take(&picks, mb_top_k_draw_fast, n_tokens, N);
  double worst = 0.0;

  check_moments(&picks, counts, n_tokens, N, 0.002, 0.02);
  for (size_t i = 0; i < TRIED; i++) {
    size_t e = i * n_experts / TRIED;
    worst = fmax(worst, find_distance(counts + e * N, N, picks.inclusion[e], n_tokens));
  }
  (void)printf("\n    %zu experts, top %u, %u tokens: total variation at most %.4f", n_experts,
               top_k, n_tokens, worst);
  /* Of this many exact draws a distance near 0.005 is expected. */
  CU_ASSERT(worst < 0.015);
  free(counts);
  mb_top_k_fini(&picks);
}

static void test_fast(void) {
  check_fast(256, 8, 0.7, 8.0, 64);
  check_fast(256, 8, 0.7, 8.0, 4096);
  check_fast(256, 8, 1.2, 30.0, 1024);
  check_fast(32, 4, 0.9, 6.0, 300);
  check_fast(128, 1, 1.2, 30.0, 500);
  check_fast(8, 2, 0.3, 2.0, 257);
  check_fast(64, 6, 0.2, 2.0, 100000);
}

/* Sums and bounds where there is no choice, hardly any, or one token. */
static void check_bounds(size_t n_experts, uint32_t top_k, const double *share, uint32_t n_tokens) {
  mb_top_k picks;

  CHECK_OK(mb_top_k_init(&picks, n_experts, top_k, true));
  mb_top_k_set_fast(&picks, share);
  free(take(&picks, mb_top_k_draw_fast, n_tokens, 500));
  mb_top_k_set_exact(&picks, share);
  free(take(&picks, draw_exact, n_tokens, 500));
  mb_top_k_fini(&picks);
}

static void test_bounds(void) {
  double equal[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  double certain[8] = {1e9, 1, 1e9, 1e-9, 1, 1e9, 2, 1e-300};
  double lone[8] = {1e9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9};
  static const uint32_t tokens[] = {1, 3, 37, 1000};

  for (size_t i = 0; i < 4; i++) {
    for (uint32_t top_k = 1; top_k <= 8; top_k++) {
      check_bounds(8, top_k, equal, tokens[i]);
      check_bounds(8, top_k, certain, tokens[i]);
      check_bounds(8, top_k, lone, tokens[i]);
    }
    check_bounds(1, 1, equal, tokens[i]);
  }
}

static void test_sampling(void) {
  CU_ASSERT(mb_top_k_is_exact("auto", MB_TOP_K_EXACT_TOKENS));
  CU_ASSERT(!mb_top_k_is_exact("auto", MB_TOP_K_EXACT_TOKENS + 1));
  CU_ASSERT(mb_top_k_is_exact("exact", 1000000));
  CU_ASSERT(!mb_top_k_is_exact("fast", 1));
}

int main(void) {
  CU_TestInfo tests[] = {
      {"the chance of every set", test_all_sets},
      {"odds for given inclusion", test_odds},
      {"moments of the exact way", test_exact_moments},
      {"the fast way against the exact distribution", test_fast},
      {"sums and bounds at the edges", test_bounds},
      {"exact or fast", test_sampling},
      CU_TEST_INFO_NULL,
  };
  (void)gsl_set_error_handler_off();
  return run_suite("top_k", tests);
}
