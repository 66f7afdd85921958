/* tests/test_stat_blocks.c - how long blocks are, and where they begin. */
#include <gsl/gsl_randist.h>
#include <math.h>

#include "experiments/stat_block_length.h"
#include "experiments/stat_blocks.h"
#include "tests/test.h"
#include "workloads/stream.h"

enum { LONG = 200000 };

static double length_of(size_t n, const double *series) {
  double length = NAN;

  CHECK_OK(mb_stat_block_length(n, series, &length));
  return length;
}

/* Answers of numpy, with the formulas of stat_block_length.h written anew. */
static void test_numpy(void) {
  static double x[300];

  for (int t = 0; t < 200; t++) {
    x[t] = sin(0.05 * t) + (t * 7919 % 101) / 50.0;
  }
  CU_ASSERT_DOUBLE_EQUAL(length_of(200, x), 24.76434321180566, 1e-9);
  for (int t = 0; t < 120; t++) {
    x[t] = (t * 7919 % 101) / 50.0;
  }
  CU_ASSERT_DOUBLE_EQUAL(length_of(120, x), 11.726362629153504, 1e-9);
  x[0] = 0;
  for (int t = 1; t < 300; t++) {
    x[t] = 0.7 * x[t - 1] + (t * 7919 % 101 - 50) / 29.0;
  }
  CU_ASSERT_DOUBLE_EQUAL(length_of(300, x), 52, 0); /* 3 sqrt(n), rounded up */
}

static double length_of_autoregression(double phi, double *x, gsl_rng *rng) {
  x[0] = 0;
  for (size_t t = 1; t < LONG; t++) {
    x[t] = phi * x[t - 1] + gsl_ran_ugaussian(rng);
  }
  return length_of(LONG, x);
}

/* (6 phi^2 / (1 - phi^2)^2)^(1/3) n^(1/3): 81.1 for phi 0.5, 299.7 for 0.9. A single series is up
   to 20 % off, as in numpy. */
static void test_autoregression(void) {
  enum { N_SERIES = 8 };
  static const double phis[] = {0.5, 0.9};
  double *x = calloc(LONG, sizeof *x);
  gsl_rng *rng = mb_stream_create(1, "test", 0);

  CU_ASSERT_PTR_NOT_NULL_FATAL(x);
  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  for (size_t i = 0; i < 2; i++) {
    double expected = cbrt(6 * pow(phis[i] / (1 - phis[i] * phis[i]), 2) * LONG);
    double sum = 0;
    for (size_t j = 0; j < N_SERIES; j++) {
      sum += length_of_autoregression(phis[i], x, rng);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum / N_SERIES, expected, 0.1 * expected);
  }
  CU_ASSERT(length_of_autoregression(0, x, rng) < 5);
  gsl_rng_free(rng);
  free(x);
}

static void test_without_variance(void) {
  double x[100] = {0};

  CU_ASSERT_DOUBLE_EQUAL(length_of(100, x), 1, 0);
  CU_ASSERT_DOUBLE_EQUAL(length_of(7, x), 1, 0);
}

static void check_blocks(mb_stat_steps steps, const char *from, size_t length, size_t n_blocks,
                         const size_t *edge) {
  static const double series[4096];
  mb_stat_blocks blocks;

  CHECK_OK(mb_stat_blocks_cut(&steps, series, &blocks));
  CU_ASSERT_STRING_EQUAL(blocks.from, from);
  CU_ASSERT_EQUAL(blocks.length, length);
  CU_ASSERT_EQUAL_FATAL(blocks.n_blocks, n_blocks);
  for (size_t b = 0; b <= n_blocks; b++) {
    CU_ASSERT_EQUAL(blocks.edge[b], edge[b]);
  }
  mb_stat_blocks_fini(&blocks);
}

static void test_edges(void) {
  /* Summaries begin with the first plan. */
  check_blocks((mb_stat_steps){10, 40, 10, 10, 0, 0}, "interval", 10, 3,
               (size_t[]){10, 20, 30, 40});
  /* Plans take effect 3 steps late; 4 steps are left over, and less than half a block. */
  check_blocks((mb_stat_steps){13, 47, 10, 10, 3, 0}, "interval", 10, 3,
               (size_t[]){13, 23, 33, 47});
  /* 5 steps are half a block. */
  check_blocks((mb_stat_steps){13, 48, 10, 10, 3, 0}, "interval", 10, 4,
               (size_t[]){13, 23, 33, 43, 48});
  /* Summaries begin elsewhere: 3 steps before a plan, then 7. */
  check_blocks((mb_stat_steps){17, 50, 10, 10, 0, 0}, "interval", 10, 3,
               (size_t[]){17, 30, 40, 50});
  check_blocks((mb_stat_steps){13, 50, 10, 10, 0, 0}, "interval", 10, 4,
               (size_t[]){13, 20, 30, 40, 50});
  /* Windows and requests are rounded up to whole intervals. */
  check_blocks((mb_stat_steps){10, 70, 10, 15, 0, 0}, "window", 20, 3, (size_t[]){10, 30, 50, 70});
  check_blocks((mb_stat_steps){10, 70, 10, 15, 0, 21}, "lifetime", 30, 2, (size_t[]){10, 40, 70});
  /* Less than a block. */
  check_blocks((mb_stat_steps){10, 13, 10, 10, 0, 0}, "interval", 10, 1, (size_t[]){10, 13});
  check_blocks((mb_stat_steps){17, 18, 10, 10, 0, 0}, "interval", 10, 1, (size_t[]){17, 18});
}

/* A period of 40 steps, of which 10 a plan know nothing. */
static void test_from_data(void) {
  double series[800];
  mb_stat_steps steps = {0, 800, 10, 10, 0, 0};
  mb_stat_blocks blocks;

  for (int t = 0; t < 800; t++) {
    series[t] = t / 40 % 2 == 0 ? (t / 80 * 29) % 10 : (t / 80 * 31) % 7;
  }
  double length = length_of(800, series);
  CHECK_OK(mb_stat_blocks_cut(&steps, series, &blocks));
  CU_ASSERT_STRING_EQUAL(blocks.from, "data");
  CU_ASSERT(length > 20);
  CU_ASSERT_EQUAL(blocks.length, 10 * (size_t)ceil(length / 10));
  mb_stat_blocks_fini(&blocks);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"block length as numpy has it", test_numpy},
      {"block length of autoregressions", test_autoregression},
      {"block length without variance", test_without_variance},
      {"blocks begin with plans", test_edges},
      {"blocks as long as the data ask for", test_from_data},
      CU_TEST_INFO_NULL,
  };
  return run_suite("stat_blocks", tests);
}
