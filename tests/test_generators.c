/* tests/test_generators.c - what every generator in the registry has to do, and the stationary ones
 * against their moments and the skew that they promise. Seeds are fixed. */
#include "workloads/generator.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdbool.h>

#include "tests/generators.h"
#include "workloads/stationary.h"

enum { SEED = 20240613 };

static const char small[] = "model=gpt-oss-20b layers=5 steps=40";

/* Sums that are top_k times the tokens, the same in all layers, and no expert with more. */
static void check_counts(const taken *made) {
  uint64_t top_k = (uint64_t)made->info.top_k;

  for (size_t t = 0; t < made->info.n_steps; t++) {
    uint64_t first = 0;
    for (size_t l = 0; l < made->info.n_layers; l++) {
      uint64_t sum = 0;
      uint64_t highest = 0;
      for (size_t e = 0; e < made->info.n_experts; e++) {
        uint32_t count = row_of(made, t, l)[e];
        sum += count;
        highest = count > highest ? count : highest;
      }
      first = l == 0 ? sum : first;
      CU_ASSERT(sum > 0 && sum % top_k == 0 && sum == first);
      CU_ASSERT(highest <= sum / top_k);
    }
  }
}

static void test_registry(void) {
  size_t n = 0;

  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++, n++) {
    taken made = take_steps((*type)->name, small, SEED);
    CU_ASSERT_PTR_EQUAL(mb_generator_find((*type)->name), *type);
    CU_ASSERT(strlen((*type)->summary) > 0 && strlen((*type)->summary) <= 80);
    CU_ASSERT_EQUAL(made.info.n_steps, 40);
    CU_ASSERT_EQUAL(made.info.n_layers, 5);
    CU_ASSERT_EQUAL(made.info.n_experts, 32);
    CU_ASSERT_STRING_EQUAL(made.info.model, "gpt-oss-20b, resized");
    CU_ASSERT_PTR_NOT_NULL(strstr(made.info.source, (*type)->name));
    CU_ASSERT_PTR_NOT_NULL(strstr(made.info.source, "seed=20240613"));
    CU_ASSERT((made.info.objects == 0) == ((*type)->next_steps == NULL));
    check_counts(&made);
    drop(&made);
  }
  CU_ASSERT(n >= 5);
}

/* Every second layer of Maverick has experts. */
static void test_layer_ids(void) {
  taken made = take_steps("steady", "model=llama-4-maverick steps=1", SEED);

  CU_ASSERT_EQUAL(made.info.n_layers, 24);
  CU_ASSERT_EQUAL(made.info.layer_ids[0], 1);
  CU_ASSERT_EQUAL(made.info.layer_ids[1], 3);
  CU_ASSERT_EQUAL(made.info.layer_ids[23], 47);
  CU_ASSERT_STRING_EQUAL(made.info.model, "llama-4-maverick");
  drop(&made);
}

static bool same_loads(const taken *a, const taken *b, size_t n_steps) {
  size_t size = n_steps * a->info.n_layers * a->info.n_experts * sizeof(uint32_t);

  return memcmp(a->steps.load, b->steps.load, size) == 0;
}

static void test_deterministic(void) {
  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++) {
    taken whole = take_in_chunks((*type)->name, small, SEED, 100, 1);
    taken parts = take_in_chunks((*type)->name, small, SEED, 7, 4);
    taken other = take_in_chunks((*type)->name, small, SEED + 1, 100, 1);
    taken longer =
        take_in_chunks((*type)->name, "model=gpt-oss-20b layers=5 steps=70", SEED, 33, 2);
    CU_ASSERT(same_loads(&whole, &parts, 40));
    CU_ASSERT(!same_loads(&whole, &other, 40));
    CU_ASSERT(same_loads(&whole, &longer, 40));
    drop(&whole);
    drop(&parts);
    drop(&other);
    drop(&longer);
  }
}

/* Mean and variance of every count, by the share that the state says, within 5 standard errors. */
static void check_moments(const char *name, const char *settings, double n_tokens) {
  taken made = take_steps(name, settings, SEED);
  const mb_stationary *state = made.state;
  size_t n = made.info.n_steps;
  double *counts = malloc(n * sizeof *counts);
  double root = 5.0 / sqrt((double)n);

  CU_ASSERT_PTR_NOT_NULL_FATAL(counts);
  for (size_t i = 0; i < made.info.n_layers * made.info.n_experts; i++) {
    double pi = made.info.top_k * state->share[i];
    double variance = n_tokens * pi * (1.0 - pi);
    for (size_t t = 0; t < n; t++) {
      counts[t] = row_of(&made, t, 0)[i];
    }
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(counts, 1, n), n_tokens * pi,
                           root * sqrt(variance) + 0.002 * n_tokens * pi);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_variance(counts, 1, n), variance,
                           root * sqrt(2.0 + 1.0 / variance) * variance + 0.02 * variance);
  }
  check_counts(&made);
  free(counts);
  drop(&made);
}

static void test_moments(void) {
  check_moments("steady", "model=gpt-oss-20b layers=3 steps=4000 tokens=32", 32);
  check_moments("steady", "model=gpt-oss-20b layers=3 steps=4000 tokens=1000", 1000);
  check_moments("near-balanced", "model=deepseek-v3 layers=1 steps=4000 tokens=512", 512);
  check_moments("extreme", "model=deepseek-v3 layers=1 steps=4000 tokens=512", 512);
  check_moments("extreme", "layers=2 experts=16 groups=1 top_k=1 steps=4000 tokens=20", 20);
}

static double gini(const double *share, size_t n) {
  double sorted[512];
  double weighted = 0.0;

  memcpy(sorted, share, n * sizeof *share);
  gsl_sort(sorted, 1, n);
  for (size_t i = 0; i < n; i++) {
    weighted += (2.0 * (double)i + 1.0 - (double)n) * sorted[i];
  }
  return weighted / (double)n;
}

/* Each layer's hottest expert and Gini index within these. */
static void check_skew(const char *name, const char *model, double head_low, double head_high,
                       double gini_low, double gini_high) {
  char settings[64];

  (void)snprintf(settings, sizeof settings, "model=%s steps=1", model);
  taken made = take_steps(name, settings, SEED);
  const mb_stationary *state = made.state;
  size_t n = made.info.n_experts;
  for (size_t l = 0; l < made.info.n_layers; l++) {
    const double *share = state->share + l * n;
    double head = gsl_stats_max(share, 1, n) * (double)n;
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(share, 1, n) * (double)n, 1.0, 1e-9);
    CU_ASSERT(head >= head_low && head <= head_high);
    CU_ASSERT(gini(share, n) >= gini_low && gini(share, n) <= gini_high);
  }
  drop(&made);
}

static void test_skew(void) {
  check_skew("near-balanced", "deepseek-v3", 1.1, 1.8 + 1e-9, 0.05, 0.15);
  check_skew("extreme", "qwen3-235b-a22b", 10.0, 30.0 + 1e-9, 0.45, 0.65);
  check_skew("extreme", "deepseek-v3", 10.0, 30.0 + 1e-9, 0.5, 0.65);
  check_skew("steady", "deepseek-v3", 2.0, 8.0 + 1e-9, 0.2, 0.6);
}

static void check_refused(const char *name, const char *settings, mb_status status,
                          const char *text) {
  const mb_generator_type *type = mb_generator_find(name);
  mb_generator *generator = NULL;
  void *params = calloc(1, type->params_size);

  CU_ASSERT_PTR_NOT_NULL_FATAL(params);
  set_params(type, settings, params);
  CHECK_FAILS(mb_generator_create(type, params, 1, &generator), status, text);
  CU_ASSERT_PTR_NULL(generator);
  free(params);
}

static void test_refusals(void) {
  check_refused("steady", "layers=100 experts=65536 top_k=64 tokens=1", MB_ERR_SHAPE,
                "too many for that; fast isn't");
  check_refused("extreme", "top_k=9 experts=8", MB_ERR_SHAPE, "top_k: 9");
  check_refused("near-balanced", "groups=3", MB_ERR_SHAPE, "groups: 3");
}

int main(void) {
  CU_TestInfo tests[] = {
      {"every generator's counts and attributes", test_registry},
      {"numbers of the layers", test_layer_ids},
      {"same loads for any chunks and threads", test_deterministic},
      {"moments of the stationary ones", test_moments},
      {"the skew they promise", test_skew},
      {"refusals", test_refusals},
      CU_TEST_INFO_NULL,
  };
  (void)gsl_set_error_handler_off();
  return run_suite("generators", tests);
}
