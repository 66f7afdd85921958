/* tests/test_stat_resampling.c - the bootstrap and the sign-flip test against all resamples and all
 * flips, enumerated.
 *
 * The bootstrap's answers are the quantiles of t over all B^B R^R resamples, enumerated by numpy
 * with the formulas of stat_units.h written anew; t = (mean* - mean) / error*, and the bounds are
 * mean - t(1 - tail) error and mean - t(tail) error.
 */
#include <math.h>

#include "experiments/stat_bootstrap.h"
#include "experiments/stat_sign_flip.h"
#include "tests/test.h"
#include "workloads/stream.h"

static const double equal[] = {1, 1, 1, 1, 1, 1};

static mb_stat_interval bootstrap(const mb_stat_units *units, double confidence, size_t n,
                                  uint64_t seed) {
  gsl_rng *rng = mb_stream_create(seed, "test", 0);
  mb_stat_interval interval = {NAN, NAN, ""};

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  CHECK_OK(mb_stat_bootstrap(units, confidence, n, rng, &interval));
  gsl_rng_free(rng);
  return interval;
}

static double sign_flip(const mb_stat_units *units, size_t n) {
  gsl_rng *rng = mb_stream_create(1, "test", 0);
  double p = NAN;

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  CHECK_OK(mb_stat_sign_flip(units, n, rng, &p));
  gsl_rng_free(rng);
  return p;
}

/* A quantile of 200,000 draws is some 1 % off. */
static void test_bootstrap(void) {
  static const double difference[] = {1, 2, 4, 8, 16, 3};
  static const double weight[] = {1, 2, 1, 3, 1, 2};
  mb_stat_units units = {1, 6, difference, equal};
  mb_stat_interval interval = bootstrap(&units, 0.9, 200000, 1);

  CU_ASSERT_STRING_EQUAL(interval.method, "bootstrap-t");
  CU_ASSERT_DOUBLE_EQUAL(interval.low, 2.436970, 0.05);
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 21.106351, 0.3);
  units.weight = weight;
  interval = bootstrap(&units, 0.8, 200000, 1);
  CU_ASSERT_DOUBLE_EQUAL(interval.low, 3.386408, 0.08);
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 7.913428, 0.08);
}

static void test_bootstrap_relabelled(void) {
  static const double difference[] = {1, 2, 6, 4, 3, 2, 6, 7, 1, 9, 0, 4, 6, 3, 4};
  static const double weight[] = {1, 1, 2, 1, 1};
  mb_stat_units units = {3, 5, difference, weight};
  mb_stat_interval interval = bootstrap(&units, 0.8, 200000, 1);

  CU_ASSERT_DOUBLE_EQUAL(interval.low, 2.782128, 0.03);
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 7.012993, 0.05);
}

static void test_reproducible(void) {
  static const double difference[] = {1, 2, 4, 8, 16, 3};
  mb_stat_units units = {1, 6, difference, equal};
  mb_stat_interval one = bootstrap(&units, 0.9, 999, 7);
  mb_stat_interval same = bootstrap(&units, 0.9, 999, 7);
  mb_stat_interval other = bootstrap(&units, 0.9, 999, 8);

  CU_ASSERT_DOUBLE_EQUAL(one.low, same.low, 0);
  CU_ASSERT_DOUBLE_EQUAL(one.high, same.high, 0);
  CU_ASSERT(one.low != other.low && one.high != other.high);
}

/* All alike but one: of the resamples (5/6)^6 = 33 % lack it, and have no spread. */
static void test_without_spread(void) {
  static const double alike[] = {2, 2, 2, 2, 2, 2};
  static const double but_one[] = {0, 0, 0, 0, 0, 6};
  mb_stat_units units = {1, 6, alike, equal};
  mb_stat_interval interval = bootstrap(&units, 0.95, 999, 1);

  CU_ASSERT_DOUBLE_EQUAL(interval.low, 2, 0);
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 2, 0);
  units.difference = but_one;
  interval = bootstrap(&units, 0.95, 999, 1);
  CU_ASSERT_STRING_EQUAL(interval.method, "Student's t");
  CU_ASSERT_DOUBLE_EQUAL(interval.high, 1 + 2.570581836, 1e-8); /* t(0.975) of 5 degrees */
}

static void test_single_unit(void) {
  mb_stat_units units = {1, 1, equal, equal};
  mb_stat_interval interval;
  gsl_rng *rng = mb_stream_create(1, "test", 0);

  CHECK_FAILS(mb_stat_bootstrap(&units, 0.95, 99, rng, &interval), MB_ERR_RANGE, "two units");
  gsl_rng_free(rng);
}

/* 1 - 2 + 3 + 4 + 5 = 11: all signs but the 2's are the same, or one of the flips that reach 11 or
   13 or 15: of 32 flips 6. With weights 1, 3, 1, 1, 1: 1, -6, 3, 4, 5, sum 7 of 19, which flips
   reach that leave all or none but a sum of up to 6 its sign: none, 1, 3, 4, 5, 6, 1 + 3, 1 + 4, 1
   + 5. */
static void test_all_flips(void) {
  static const double difference[] = {1, -2, 3, 4, 5};
  static const double weight[] = {1, 3, 1, 1, 1};
  mb_stat_units units = {1, 5, difference, equal};

  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 6.0 / 32, 0);
  units.weight = weight;
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 18.0 / 32, 0);
  units = (mb_stat_units){1, 4, equal, equal};
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 2.0 / 16, 0);
  units = (mb_stat_units){1, 1, equal, equal};
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 1, 0);
}

static void test_no_difference(void) {
  static const double zero[] = {0, 0, 0, 0};
  mb_stat_units units = {2, 2, zero, equal};

  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 1, 0);
}

/* 17 of 20 units are +1: P(|17 - 3| or more) = 2 (1 + 20 + 190 + 1140) / 2^20 = 0.0025768. */
static void test_drawn_flips(void) {
  double difference[20];
  double weight[20];
  mb_stat_units units = {1, 20, difference, weight};

  for (size_t b = 0; b < 20; b++) {
    difference[b] = b < 17 ? 0.1 : -0.1;
    weight[b] = 3;
  }
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 400000), 0.0025768, 0.0003);
  for (size_t b = 0; b < 20; b++) {
    difference[b] = 1;
  }
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 999), 0.001, 0); /* (1 + 0) / (1 + 999) */
}

/* Units' sums 4, 6, 30, U = 104.67. Relabellings alike: flips reach 40 with all signs alike only (2
   of 8). Relabellings that differ by 8, L = 96: 40 shrinks by sqrt(U / (U + L)) to 28.9, and 30 + 6
   - 4 is far enough too (4 of 8). */
static void test_relabelled_flips(void) {
  static const double together[] = {2, 3, 15, 2, 3, 15};
  static const double apart[] = {-2, -1, 11, 6, 7, 19};
  mb_stat_units units = {2, 3, together, equal};

  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 2.0 / 8, 0);
  units.difference = apart;
  mb_stat_estimate estimate = mb_stat_units_estimate(&units);
  CU_ASSERT_DOUBLE_EQUAL(estimate.error_units / estimate.error, 0.722222, 1e-4);
  CU_ASSERT_DOUBLE_EQUAL(sign_flip(&units, 99), 4.0 / 8, 0);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"bootstrap-t against all resamples", test_bootstrap},
      {"bootstrap-t of units and relabellings", test_bootstrap_relabelled},
      {"the same seed gives the same interval", test_reproducible},
      {"resamples without spread", test_without_spread},
      {"a single unit is refused", test_single_unit},
      {"all flips", test_all_flips},
      {"no difference", test_no_difference},
      {"drawn flips", test_drawn_flips},
      {"relabellings make the mean smaller", test_relabelled_flips},
      CU_TEST_INFO_NULL,
  };
  return run_suite("stat_resampling", tests);
}
