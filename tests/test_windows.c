/* tests/test_windows.c - the statistics of windows: worked by hand, and of multinomial loads. */
#include "workloads/windows.h"

#include <math.h>

#include "tests/test.h"

static mb_windows *windows_of(size_t n_steps, size_t n_layers, size_t n_experts, size_t steps,
                              const uint32_t *load) {
  mb_windows *windows = NULL;

  CHECK_OK(mb_windows_create(n_steps, n_layers, n_experts, steps, &windows));
  CU_ASSERT_PTR_NOT_NULL_FATAL(windows);
  mb_windows_add(windows, n_steps, load);
  return windows;
}

/* Two windows of two steps, and a step that is left out. Layer 0: 6 2, then 2 6. Layer 1: 1 3 0,
   then 4 0 4. */
static void test_by_hand(void) {
  static const uint32_t load[5][2][3] = {{{4, 0, 0}, {1, 0, 0}},
                                         {{2, 2, 0}, {0, 3, 0}},
                                         {{0, 3, 0}, {4, 0, 1}},
                                         {{2, 3, 0}, {0, 0, 3}},
                                         {{9, 9, 9}, {9, 9, 9}}};
  mb_windows *windows = windows_of(5, 2, 3, 2, &load[0][0][0]);
  mb_windows_layer layer[2];

  CU_ASSERT(mb_windows_count(windows) == 2 && mb_windows_steps(windows) == 2);
  CU_ASSERT(mb_windows_layers(windows) == 2 && mb_windows_experts(windows) == 3);
  CU_ASSERT(mb_windows_load(windows, 1, 1)[2] == 4);
  CHECK_OK(mb_windows_measure(windows, layer));

  /* Shares .75 .25 0, then .25 .75 0: an expert without load counts for peak, Gini and r. */
  CU_ASSERT_DOUBLE_EQUAL(layer[0].peak, 2.25, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[0].gini, 0.5, 1e-12);
  /* Off the mean of 1/3: (5, -1, -4) and (-1, 5, -4) twelfths. */
  CU_ASSERT_DOUBLE_EQUAL(layer[0].r[0], (-5.0 - 5.0 + 16.0) / 42.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[0].moved[0], 0.5, 1e-12);
  /* Pooled .5 .5: 2 (.5^2 / (.5 (1/8 + 1/8))), one degree of freedom; all: 4 (2^2 / 4). */
  CU_ASSERT_DOUBLE_EQUAL(layer[0].chi2, 4.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[0].chi2_all, 4.0, 1e-12);
  CU_ASSERT(isnan(layer[0].r[1]) && isnan(layer[0].moved[1]));

  /* Shares .25 .75 0 of 4, then .5 0 .5 of 8. */
  CU_ASSERT_DOUBLE_EQUAL(layer[1].peak, (2.25 + 1.5) / 2.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[1].gini, (0.5 + 1.0 / 3.0) / 2.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[1].moved[0], 0.75, 1e-12);
  /* Pooled 5/12 3/12 4/12, 1/4 + 1/8 = 3/8. */
  double chi2 = (0.0625 / (5.0 / 12.0) + 0.5625 / 0.25 + 0.25 / (1.0 / 3.0)) / (3.0 / 8.0) / 2.0;
  CU_ASSERT_DOUBLE_EQUAL(layer[1].chi2, chi2, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer[1].chi2_all, chi2, 1e-12); /* two windows: it is the same */

  mb_windows_layer mean = mb_windows_mean(2, layer);
  CU_ASSERT_DOUBLE_EQUAL(mean.peak, (2.25 + 1.875) / 2.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(mean.moved[0], 0.625, 1e-12);
  CU_ASSERT(isnan(mean.moved[4]));
  mb_windows_destroy(windows);
}

/* Lag 2 skips the window between; windows without load are left out. */
static void test_lags(void) {
  static const uint32_t load[4][2] = {{3, 1}, {1, 1}, {1, 3}, {0, 0}};
  mb_windows *windows = windows_of(4, 1, 2, 1, &load[0][0]);
  mb_windows_layer layer;

  CHECK_OK(mb_windows_measure(windows, &layer));
  CU_ASSERT_DOUBLE_EQUAL(layer.peak, (1.5 + 1.0 + 1.5) / 3.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer.moved[0], 0.25, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(layer.moved[1], 0.5, 1e-12);
  CU_ASSERT(isnan(layer.r[0])); /* equal shares have no correlation */
  CU_ASSERT_DOUBLE_EQUAL(layer.r[1], -1.0, 1e-12);
  mb_windows_destroy(windows);
}

/* The stationary twin keeps every window's load, has the pooled shares, and no dispersion but a
   multinomial's: chi2 has a standard error of sqrt(2 / dof) there. */
static void test_stationary(void) {
  enum { T = 200, L = 2, E = 16 };
  static uint32_t load[T][L][E];
  mb_windows *made = NULL;
  mb_windows *again = NULL;
  mb_windows_layer drifting[L];
  mb_windows_layer still[L];

  for (size_t t = 0; t < T; t++) {
    for (size_t e = 0; e < E; e++) {
      load[t][0][e] = (uint32_t)(10 + (e + t / 20) % E * 10);
      load[t][1][e] = (uint32_t)(t % 7 + e);
    }
  }
  mb_windows *windows = windows_of(T, L, E, 2, &load[0][0][0]);
  CHECK_OK(mb_windows_draw_stationary(windows, 5, &made));
  CHECK_OK(mb_windows_draw_stationary(windows, 5, &again));
  CU_ASSERT_EQUAL(mb_windows_count(made), 100);
  for (size_t w = 0; w < 100; w++) {
    for (size_t l = 0; l < L; l++) {
      uint64_t sums[2] = {0, 0};
      for (size_t e = 0; e < E; e++) {
        sums[0] += mb_windows_load(windows, w, l)[e];
        sums[1] += mb_windows_load(made, w, l)[e];
      }
      CU_ASSERT_EQUAL(sums[0], sums[1]);
      CU_ASSERT(memcmp(mb_windows_load(made, w, l), mb_windows_load(again, w, l),
                       E * sizeof(uint64_t)) == 0);
    }
  }
  CHECK_OK(mb_windows_measure(windows, drifting));
  CHECK_OK(mb_windows_measure(made, still));
  CU_ASSERT(drifting[0].chi2_all > 2.0);
  for (size_t l = 0; l < L; l++) {
    CU_ASSERT_DOUBLE_EQUAL(still[l].chi2_all, 1.0, 5.0 * sqrt(2.0 / (99.0 * (E - 1))));
    /* Neighbouring pairs share a window, which adds to the error: a factor of sqrt(1.5). */
    CU_ASSERT_DOUBLE_EQUAL(still[l].chi2, 1.0, 5.0 * sqrt(3.0 / (99.0 * (E - 1))));
  }
  mb_windows_destroy(made);
  mb_windows_destroy(again);
  mb_windows_destroy(windows);
}

static void test_refused(void) {
  mb_windows *windows = NULL;

  CHECK_FAILS(mb_windows_create(63, 1, 4, 64, &windows), MB_ERR_SHAPE,
              "windows of 64 steps, but the trace has 63");
  CHECK_FAILS(mb_windows_create(63, 1, 4, 0, &windows), MB_ERR_SHAPE, "windows of 0 steps");
  CHECK_FAILS(mb_windows_create(SIZE_MAX / 4, 1 << 20, 1 << 20, 1, &windows), MB_ERR_MEMORY,
              "no memory for");
  CU_ASSERT_PTR_NULL(windows);
}

static void test_gini(void) {
  static const double even[] = {2.0, 2.0, 2.0};
  static const double one[] = {0.0, 0.0, 0.0, 5.0};
  static const double none[] = {0.0, 0.0};

  CU_ASSERT(mb_gini(3, even) == 0.0);
  CU_ASSERT_DOUBLE_EQUAL(mb_gini(4, one), 0.75, 1e-15);
  CU_ASSERT(isnan(mb_gini(2, none)));
}

int main(void) {
  CU_TestInfo tests[] = {
      {"by hand", test_by_hand},         {"lags", test_lags}, {"stationary", test_stationary},
      {"what is refused", test_refused}, {"Gini", test_gini}, CU_TEST_INFO_NULL};

  return run_suite("windows", tests);
}
