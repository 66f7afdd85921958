/* tests/test_stat_coverage.c - how often 95 % intervals hold the truth, on series whose truth is 0.
 *
 * With the argument `long` many more settings, as a table: the one that the README has.
 */
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdbool.h>

#include "experiments/stat_blocks.h"
#include "experiments/stat_bootstrap.h"
#include "experiments/stat_sign_flip.h"
#include "experiments/stat_student.h"
#include "tests/test.h"
#include "workloads/stream.h"

enum { INTERVAL = 50, INTERVALS_MAX = 800, STEPS_MAX = INTERVALS_MAX * INTERVAL };
enum { RELABELLINGS_MAX = 32, UNITS_MAX = 256 };

/* Points of percent that bounds are wider by: few series, as under sanitizers, say less. */
static double slack = 0;
static size_t n_series = 2000;
static size_t n_resamples = 399;

/* In percent of the series. */
typedef struct coverage {
  double bootstrap, student, by_step; /* hold the truth */
  double by_interval;                 /* likewise, were every block a single interval */
  double rejected;                    /* p <= 0.05 */
  double n_units;                     /* mean number */
} coverage;

static double percent(size_t count) {
  return 100.0 * (double)count / (double)n_series;
}

static bool holds(mb_stat_interval interval) {
  return interval.low <= 0 && interval.high >= 0;
}

/* --- series of steps: an autoregression of variance 1, an effect that all steps of a plan share,
   loads that vary --- */

typedef struct series {
  size_t n_steps;
  double phi, effect; /* coefficient; standard deviation of the effect of a plan */
  double *value, *load, *residual, *block, *block_load;
} series;

static void draw_series(series *x, gsl_rng *rng) {
  double innovation = sqrt(1 - x->phi * x->phi);
  double state = gsl_ran_ugaussian(rng);
  double effect = 0;
  double sum = 0;
  double load = 0;

  for (size_t t = 0; t < x->n_steps; t++) {
    effect = t % INTERVAL == 0 ? gsl_ran_gaussian(rng, x->effect) : effect;
    x->value[t] = state + effect;
    x->load[t] = 0.5 + gsl_rng_uniform(rng);
    state = x->phi * state + gsl_ran_gaussian(rng, innovation);
    sum += x->load[t] * x->value[t];
    load += x->load[t];
  }
  for (size_t t = 0; t < x->n_steps; t++) {
    x->residual[t] = x->load[t] * (x->value[t] - sum / load);
  }
}

static mb_stat_units average(const series *x, size_t n_blocks, const size_t *edge) {
  for (size_t b = 0; b < n_blocks; b++) {
    x->block[b] = 0;
    x->block_load[b] = 0;
    for (size_t t = edge[b]; t < edge[b + 1]; t++) {
      x->block[b] += x->load[t] * x->value[t];
      x->block_load[b] += x->load[t];
    }
    x->block[b] /= x->block_load[b];
  }
  return (mb_stat_units){1, n_blocks, x->block, x->block_load};
}

/* As comparisons do it, with a length that the data decide. */
static mb_stat_units average_blocks(const series *x) {
  mb_stat_steps steps = {0, x->n_steps, INTERVAL, INTERVAL, 0, 0};
  mb_stat_blocks blocks;

  CHECK_OK(mb_stat_blocks_cut(&steps, x->residual, &blocks));
  mb_stat_units units = average(x, blocks.n_blocks, blocks.edge);
  mb_stat_blocks_fini(&blocks);
  return units;
}

static mb_stat_units average_intervals(const series *x) {
  size_t edge[INTERVALS_MAX + 1];
  size_t n = x->n_steps / INTERVAL;

  for (size_t b = 0; b <= n; b++) {
    edge[b] = b * INTERVAL;
  }
  return average(x, n, edge);
}

static bool bootstrap_holds(const mb_stat_units *units, gsl_rng *rng) {
  mb_stat_interval interval = {NAN, NAN, ""};

  CHECK_OK(mb_stat_bootstrap(units, 0.95, n_resamples, rng, &interval));
  return holds(interval);
}

static coverage cover_series(series *x) {
  gsl_rng *rng = mb_stream_create(1, "coverage", x->n_steps);
  size_t bootstrap = 0;
  size_t student = 0;
  size_t by_step = 0;
  size_t by_interval = 0;
  size_t rejected = 0;
  size_t n_units = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  for (size_t i = 0; i < n_series; i++) {
    double p = NAN;
    draw_series(x, rng);
    mb_stat_units steps = {1, x->n_steps, x->value, x->load};
    by_step += holds(mb_stat_student(&steps, 0.95));
    mb_stat_units intervals = average_intervals(x);
    by_interval += bootstrap_holds(&intervals, rng);
    mb_stat_units blocks = average_blocks(x);
    CHECK_OK(mb_stat_sign_flip(&blocks, n_resamples, rng, &p));
    bootstrap += bootstrap_holds(&blocks, rng);
    student += holds(mb_stat_student(&blocks, 0.95));
    rejected += p <= 0.05;
    n_units += blocks.n_units;
  }
  gsl_rng_free(rng);
  return (coverage){.bootstrap = percent(bootstrap),
                    .student = percent(student),
                    .by_step = percent(by_step),
                    .by_interval = percent(by_interval),
                    .rejected = percent(rejected),
                    .n_units = (double)n_units / (double)n_series};
}

static coverage cover(size_t n_intervals, double phi, double effect) {
  double *storage = calloc(5 * (size_t)STEPS_MAX, sizeof *storage);
  series x = {n_intervals * INTERVAL,
              phi,
              effect,
              storage,
              storage + STEPS_MAX,
              storage + 2 * (size_t)STEPS_MAX,
              storage + 3 * (size_t)STEPS_MAX,
              storage + 4 * (size_t)STEPS_MAX};

  CU_ASSERT_PTR_NOT_NULL_FATAL(storage);
  coverage found = cover_series(&x);
  free(storage);
  (void)printf("\n    %3zu intervals, phi %.1f, effect %.1f: by interval %.1f; %5.1f blocks: "
               "bootstrap-t %.1f, Student's t %.1f, p <= 0.05 %.1f; by step %.1f",
               n_intervals, phi, effect, found.by_interval, found.n_units, found.bootstrap,
               found.student, found.rejected, found.by_step);
  return found;
}

static void test_series(void) {
  static const size_t n_intervals[] = {50, 200};
  static const double phis[] = {0.5, 0.9};

  for (size_t i = 0; i < 2; i++) {
    for (size_t j = 0; j < 2; j++) {
      coverage found = cover(n_intervals[i], phis[j], 0.5);
      CU_ASSERT(found.bootstrap >= 92 - slack && found.bootstrap <= 98 + slack);
      CU_ASSERT(found.by_interval >= 92 - slack && found.by_interval <= 98 + slack);
      CU_ASSERT(found.by_step < 80);
      CU_ASSERT(found.rejected >= 2 && found.rejected <= 8 + slack);
    }
  }
}

static void table_of_series(void) {
  static const size_t n_intervals[] = {20, 50, 100, 200, 400, 800};
  static const double phis[] = {0.5, 0.9};
  static const double effects[] = {0.5, 2};

  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < 4; j++) {
      coverage found = cover(n_intervals[i], phis[j / 2], effects[j % 2]);
      CU_ASSERT(n_intervals[i] < 50 ||
                (found.bootstrap >= 92 - slack && found.bootstrap <= 98 + slack));
      CU_ASSERT(n_intervals[i] < 50 ||
                (found.by_interval >= 92 - slack && found.by_interval <= 98 + slack));
    }
  }
}

/* --- units crossed with relabellings: an effect of variance 1 that all relabellings of a unit
   share, one that all units of a relabelling share, and what is left --- */

typedef struct crossed {
  size_t n_relabellings, n_units;
  double relabelling, rest; /* standard deviations */
  bool seeds;               /* units of equal weight */
} crossed;

static void draw_crossed(const crossed *x, gsl_rng *rng, double *difference, double *weight) {
  double relabelling[RELABELLINGS_MAX];

  for (size_t r = 0; r < x->n_relabellings; r++) {
    relabelling[r] = gsl_ran_gaussian(rng, x->relabelling);
  }
  for (size_t b = 0; b < x->n_units; b++) {
    double unit = gsl_ran_ugaussian(rng);
    weight[b] = x->seeds ? 1 : 0.5 + gsl_rng_uniform(rng);
    for (size_t r = 0; r < x->n_relabellings; r++) {
      difference[r * x->n_units + b] = unit + relabelling[r] + gsl_ran_gaussian(rng, x->rest);
    }
  }
}

static coverage cover_crossed(const crossed *x) {
  static double difference[RELABELLINGS_MAX * UNITS_MAX];
  static double weight[UNITS_MAX];
  gsl_rng *rng = mb_stream_create(2, "coverage", x->n_units);
  mb_stat_units units = {x->n_relabellings, x->n_units, difference, weight};
  mb_stat_units ignored = {1, x->n_units, difference, weight};
  size_t bootstrap = 0;
  size_t student = 0;
  size_t rejected = 0;
  size_t by_step = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  for (size_t i = 0; i < n_series; i++) {
    mb_stat_interval interval = {NAN, NAN, ""};
    double p = NAN;
    draw_crossed(x, rng, difference, weight);
    CHECK_OK(mb_stat_bootstrap(&units, 0.95, n_resamples, rng, &interval));
    CHECK_OK(mb_stat_sign_flip(&units, n_resamples, rng, &p));
    bootstrap += holds(interval);
    student += holds(mb_stat_student(&units, 0.95));
    by_step += holds(mb_stat_student(&ignored, 0.95));
    rejected += p <= 0.05;
  }
  gsl_rng_free(rng);
  coverage found = {.bootstrap = percent(bootstrap),
                    .student = percent(student),
                    .by_step = percent(by_step),
                    .rejected = percent(rejected),
                    .n_units = (double)x->n_units};
  (void)printf("\n    %3zu %s, %2zu relabellings of %.1f, rest %.1f: bootstrap-t %.1f, Student's t "
               "%.1f, of one relabelling %.1f; p <= 0.05: %.1f",
               x->n_units, x->seeds ? "seeds" : "units", x->n_relabellings, x->relabelling, x->rest,
               found.bootstrap, found.student, found.by_step, found.rejected);
  return found;
}

static void test_crossed(void) {
  static const crossed settings[] = {
      {32, 50, 0.4, 1, false}, {8, 50, 0.4, 1, false}, {8, 20, 0, 1, false}};

  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    coverage found = cover_crossed(&settings[i]);
    CU_ASSERT(found.bootstrap >= 92 - slack && found.bootstrap <= 98 + slack);
    CU_ASSERT(found.rejected <= 8 + slack);
  }
}

/* Few seeds: Student's interval is the one. Satterthwaite's degrees of freedom err a little to
   either side. */
static void test_seeds(void) {
  static const crossed settings[] = {
      {1, 3, 0, 1, true}, {1, 8, 0, 1, true}, {32, 5, 0.4, 1, true}, {8, 5, 0.4, 1, true}};

  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    coverage found = cover_crossed(&settings[i]);
    CU_ASSERT(found.student >= 92 - slack && found.student <= 98 + slack);
    CU_ASSERT(found.rejected <= 8 + slack);
  }
}

static void table_of_crossed(void) {
  static const size_t n_units[] = {3, 5, 10, 20, 50, 200};
  static const size_t n_relabellings[] = {8, 32};
  static const double relabelling[] = {0, 0.4, 2};

  for (size_t i = 0; i < 6; i++) {
    for (size_t j = 0; j < 6; j++) {
      crossed x = {n_relabellings[j / 3], n_units[i], relabelling[j % 3], 1, n_units[i] < 20};
      coverage found = cover_crossed(&x);
      double held = x.seeds ? found.student : found.bootstrap;
      CU_ASSERT(held >= (x.n_units < 50 ? 91 : 92) && held <= 98.5);
    }
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"blocks of steps", test_series},
      {"units and relabellings", test_crossed},
      {"few seeds", test_seeds},
      CU_TEST_INFO_NULL,
  };
  CU_TestInfo tables[] = {
      {"blocks of steps", table_of_series},
      {"units and relabellings", table_of_crossed},
      CU_TEST_INFO_NULL,
  };
  bool with_tables = argc == 2 && strcmp(argv[1], "long") == 0;

#ifdef MB_TEST_SANITIZED
  slack = 3;
  n_series = 400;
  n_resamples = 199;
#else
  n_series = with_tables ? 4000 : n_series;
  n_resamples = with_tables ? 999 : n_resamples;
#endif
  return run_suite("stat_coverage", with_tables ? tables : tests);
}
