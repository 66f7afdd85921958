/* tests/test_metrics.c - a layer's score by hand, quantiles against GSL, the list of metrics. */
#include "sim/metrics.h"

#include <gsl/gsl_rng.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "sim/top.h"
#include "tests/test.h"

/* GPU loads 5, 9, 0, 6: the mean is 5. The busiest GPU isn't the one with the most active slots. */
static void layer_by_hand(void) {
  mb_shape shape = {1, 12, 12, 1, 2, 4};
  double slot_load[] = {1, 3, 1, 0, 9, 0, 0, 0, 0, 2.5, 0, 3.5};
  mb_layer_score score = {0};

  mb_metrics_layer(&shape, slot_load, &score);
  CU_ASSERT_EQUAL(score.load_max, 9.0);
  CU_ASSERT_EQUAL(score.load_mean, 5.0);
  CU_ASSERT_EQUAL(score.active_experts, 3);
  CU_ASSERT_EQUAL(score.active_slots, 6);
}

static void layer_without_load(void) {
  mb_shape shape = {1, 4, 4, 1, 1, 2};
  double slot_load[] = {0, 0, 0, 0};
  mb_layer_score score = {1, 1, 1, 1};

  mb_metrics_layer(&shape, slot_load, &score);
  CU_ASSERT_EQUAL(score.load_max, 0.0);
  CU_ASSERT_EQUAL(score.load_mean, 0.0);
  CU_ASSERT_EQUAL(score.active_experts, 0);
  CU_ASSERT_EQUAL(score.active_slots, 0);
}

static void one_gpu_is_balanced(void) {
  mb_shape shape = {1, 3, 3, 1, 1, 1};
  double slot_load[] = {0.1, 0.2, 0.7};
  mb_layer_score score;

  mb_metrics_layer(&shape, slot_load, &score);
  CU_ASSERT_EQUAL(score.load_max, score.load_mean);
  CU_ASSERT_EQUAL(score.active_experts, 3);
}

static void quantiles_by_hand(void) {
  double sorted[] = {1, 2, 4, 8};

  CU_ASSERT_EQUAL(mb_quantile_sorted(4, sorted, 0.0), 1.0);
  CU_ASSERT_EQUAL(mb_quantile_sorted(4, sorted, 0.5), 3.0);
  CU_ASSERT_EQUAL(mb_quantile_sorted(4, sorted, 0.75), 5.0);
  CU_ASSERT_EQUAL(mb_quantile_sorted(4, sorted, 1.0), 8.0);
  CU_ASSERT_EQUAL(mb_quantile_sorted(1, sorted, 0.99), 1.0);
  CU_ASSERT_EQUAL(mb_quantile_top(4, 2, sorted + 2, 0.75), 5.0);
}

static void quantiles_like_gsl(void) {
  enum { N = 1000 };
  static double values[N];
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  CU_ASSERT_PTR_NOT_NULL_FATAL(random);

  for (size_t n = 1; n <= N; n = n < 30 ? n + 1 : n + 97) {
    for (size_t i = 0; i < n; i++) {
      values[i] = 1.0 + gsl_rng_uniform(random);
    }
    gsl_sort(values, 1, n);
    for (int i = 0; i <= 32; i++) {
      double q = i / 32.0;
      double expected = gsl_stats_quantile_from_sorted_data(values, 1, n, q);
      CU_ASSERT_DOUBLE_EQUAL(mb_quantile_sorted(n, values, q), expected, 1e-15 * 4);
    }
  }
  gsl_rng_free(random);
}

/* Keeping one value in a hundred must give the very quantile of them all. */
static void top_is_exact(void) {
  enum { N = 20000 };
  static double values[N];
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  CU_ASSERT_PTR_NOT_NULL_FATAL(random);

  for (size_t n = 1; n <= N; n = n < 320 ? n + 1 : 3 * n) {
    mb_top top;
    double quantile = 0.0;
    CHECK_OK(mb_top_init(&top, n + (n % 3) * 500, 0.99)); /* often fewer come than might have */
    for (size_t i = 0; i < n; i++) {
      /* Coarse, so that there are ties. */
      float value = (float)gsl_rng_uniform_int(random, 500) / 64.0F;
      values[i] = (double)value;
      mb_top_push(&top, value);
    }
    gsl_sort(values, 1, n);
    CHECK_OK(mb_top_quantile(&top, &quantile));
    CU_ASSERT_EQUAL(quantile, mb_quantile_sorted(n, values, 0.99));
    CU_ASSERT(top.capacity <= 8 + (n + 1000) / 100);
    mb_top_fini(&top);
  }
  gsl_rng_free(random);
}

static void top_of_nothing(void) {
  mb_top top;
  double quantile = 0.0;

  CHECK_OK(mb_top_init(&top, 0, 0.99));
  CHECK_OK(mb_top_quantile(&top, &quantile));
  CU_ASSERT(isnan(quantile));
  mb_top_fini(&top);
}

/* Every metric says all there is to say, under one name. */
static void registry(void) {
  const mb_metric *all = mb_metrics();
  size_t n = 0;

  for (const mb_metric *metric = all; metric->name != NULL; metric++, n++) {
    CU_ASSERT_PTR_EQUAL(mb_metric_find(metric->name), metric);
    CU_ASSERT(strlen(metric->unit) > 0 && strlen(metric->formula) > 10);
    CU_ASSERT(strcmp(metric->better, "lower") == 0 || strcmp(metric->better, "higher") == 0 ||
              strcmp(metric->better, "none") == 0);
    CU_ASSERT(strcmp(metric->dims, "") == 0 || strcmp(metric->dims, "T") == 0 ||
              strcmp(metric->dims, "T,L") == 0 || strcmp(metric->dims, "K,L") == 0 ||
              strcmp(metric->dims, "K") == 0 || strcmp(metric->dims, "K,L,D") == 0);
  }
  CU_ASSERT_EQUAL(n, 43);
  CU_ASSERT_PTR_NULL(mb_metric_find("balancedness"));
  CU_ASSERT_STRING_EQUAL(mb_metric_find("imbalance")->dims, "T,L");
  CU_ASSERT_STRING_EQUAL(mb_metric_find("run_imbalance")->better, "lower");
}

int main(void) {
  CU_TestInfo tests[] = {{"a layer by hand", layer_by_hand},
                         {"a layer without load", layer_without_load},
                         {"one GPU is balanced", one_gpu_is_balanced},
                         {"quantiles by hand", quantiles_by_hand},
                         {"quantiles like GSL's", quantiles_like_gsl},
                         {"the largest values give the exact quantile", top_is_exact},
                         {"the largest of no values", top_of_nothing},
                         {"the list of metrics", registry},
                         CU_TEST_INFO_NULL};
  return run_suite("metrics", tests);
}
