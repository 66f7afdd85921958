/* tests/test_stat_units.c - means of paired differences, their errors, Student's interval, Holm's
 * correction: worked out by hand.
 */
#include <math.h>

#include "experiments/stat_holm.h"
#include "experiments/stat_student.h"
#include "experiments/stat_units.h"
#include "tests/test.h"

static const double equal[] = {1, 1, 1, 1, 1};

/* Mean 4, variance (9 + 4 + 1 + 0 + 36) / 4. */
static void test_one_way(void) {
  static const double difference[] = {1, 2, 3, 4, 10};
  mb_stat_units units = {1, 5, difference, equal};
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);

  CU_ASSERT_DOUBLE_EQUAL(estimate.mean, 4, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error, sqrt(12.5 / 5), 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error_units, estimate.error, 0);
  CU_ASSERT_DOUBLE_EQUAL(estimate.freedom, 4, 0);
}

/* A ratio: mean (1 + 9) / 4; residuals -+ 0.75, so that error^2 = (2 x 0.75^2) / 1 / 2. The
   weights' scale makes no difference. */
static void test_weights(void) {
  static const double difference[] = {1, 3};
  static const double weight[] = {1000, 3000};
  mb_stat_units units = {1, 2, difference, weight};
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);

  CU_ASSERT_DOUBLE_EQUAL(estimate.mean, 2.5, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error, 0.75, 1e-15);
}

/* Mean 4. Of the sum of squares 34, units make 25 (U = 25 / 2), relabellings 6 (L = 6), and 3 are
   left (E = 3 / 2). */
static void test_two_way(void) {
  static const double difference[] = {1, 2, 6, 2, 6, 7};
  mb_stat_units units = {2, 3, difference, equal};
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);

  CU_ASSERT_DOUBLE_EQUAL(estimate.mean, 4, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error, sqrt(17.0 / 6), 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error_units, sqrt(12.5 / 6), 1e-14);
  CU_ASSERT_DOUBLE_EQUAL(estimate.freedom, 289 / (156.25 / 2 + 36 + 2.25 / 2), 1e-13);
}

/* Where relabellings differ by less than the residual lets expect, units alone count, and the other
   way round. */
static void test_bounds(void) {
  /* Means of relabellings 2 and 2, of units 1, 2, 3: U = 2 x 2 / 2, L = 0, E = 1. */
  static const double few[] = {2, 1, 3, 0, 3, 3};
  static const double turned[] = {2, 0, 1, 3, 3, 3};
  mb_stat_units units = {2, 3, few, equal};
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);

  CU_ASSERT_DOUBLE_EQUAL(estimate.error, sqrt(2.0 / 6), 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.freedom, 2, 0);
  /* The same table turned: 3 relabellings of means 1, 2, 3 and 2 units of means 2 and 2. */
  units = (mb_stat_units){3, 2, turned, equal};
  estimate = mb_stat_units_estimate(&units);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error, sqrt(2.0 / 6), 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error_units, 0, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(estimate.freedom, 2, 0);
}

static void test_single_unit(void) {
  static const double difference[] = {1, 3};
  mb_stat_units units = {2, 1, difference, equal};
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);

  CU_ASSERT_DOUBLE_EQUAL(estimate.mean, 2, 0);
  CU_ASSERT(isnan(estimate.error) && isnan(estimate.freedom) && isnan(estimate.error_units));
  mb_stat_interval interval = mb_stat_student(&units, 0.95);
  CU_ASSERT(isnan(interval.low) && isnan(interval.high));
}

/* t(0.975) of 4 degrees of freedom is 2.776445105, as tables have it. */
static void test_student(void) {
  static const double difference[] = {1, 2, 3, 4, 10};
  mb_stat_units units = {1, 5, difference, equal};
  mb_stat_interval interval = mb_stat_student(&units, 0.95);

  CU_ASSERT_DOUBLE_EQUAL(interval.low, 4 - 2.776445105 * sqrt(2.5), 1e-8);
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 4 + 2.776445105 * sqrt(2.5), 1e-8);
  CU_ASSERT_STRING_EQUAL(interval.method, "Student's t");
}

/* 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not be below the one before. */
static void test_holm(void) {
  static const double p[] = {0.01, 0.04, NAN, 0.03, 0.005};
  double adjusted[5];

  CHECK_OK(mb_stat_holm(5, p, adjusted));
  CU_ASSERT_DOUBLE_EQUAL(adjusted[0], 0.03, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(adjusted[1], 0.06, 1e-15);
  CU_ASSERT(isnan(adjusted[2]));
  CU_ASSERT_DOUBLE_EQUAL(adjusted[3], 0.06, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(adjusted[4], 0.02, 1e-15);
}

static void test_holm_bounds(void) {
  double p[] = {0.7, 0.6};

  CHECK_OK(mb_stat_holm(2, p, p));
  CU_ASSERT_DOUBLE_EQUAL(p[0], 1, 0);
  CU_ASSERT_DOUBLE_EQUAL(p[1], 1, 0);
  CHECK_OK(mb_stat_holm(0, NULL, NULL));
}

int main(void) {
  CU_TestInfo tests[] = {
      {"units alone", test_one_way},
      {"weights", test_weights},
      {"units and relabellings", test_two_way},
      {"never below either alone", test_bounds},
      {"a single unit has no error", test_single_unit},
      {"Student's interval", test_student},
      {"Holm's correction", test_holm},
      {"Holm's correction stops at 1", test_holm_bounds},
      CU_TEST_INFO_NULL,
  };
  return run_suite("stat_units", tests);
}
