/* tests/test_figures_shared.c - `moebal run` on recorded loads gives the figures that an
 * independent replay (Python, float64) gave. They cover the steps from the first plan on. */
#include "tests/test.h"

#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define OUTPUT "test_figures_shared.h5"

typedef struct figures {
  const char *strategy;
  double step_imbalance_mean;
  double imbalance_max;
  int64_t moved_experts; /* -1: not known */
} figures;

/* Relative error of a mean that was printed with six digits after the point. */
static const double TOLERANCE = 1e-6;

static void run_config(const char *config, const char *trace) {
  char command[8192];
  const char *moebal = getenv("MOEBAL");
  const char *source = getenv("MOEBAL_SOURCE");

  (void)snprintf(command, sizeof command,
                 "'%s' run '%s/tests/configs/%s.yaml' --set 'trace.file=%s' --quiet -o " OUTPUT,
                 moebal != NULL ? moebal : "moebal", source != NULL ? source : "..", config, trace);
  CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

/* All values of a dataset; free() them. */
static void *read_all(hid_t file, const char *path, hid_t type, size_t *n) {
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
  CU_ASSERT_FATAL(dataset >= 0);
  hid_t space = H5Dget_space(dataset);

  *n = (size_t)H5Sget_simple_extent_npoints(space);
  void *values = calloc(*n + 1, H5Tget_size(type));
  CU_ASSERT_PTR_NOT_NULL_FATAL(values);
  CU_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  (void)H5Sclose(space);
  (void)H5Dclose(dataset);
  return values;
}

static void check_near(const char *what, const figures *expected, double value, double should) {
  /* The expected figure is rounded; half its last digit comes on top. */
  bool near = fabs(value - should) <= TOLERANCE * should + 0.5e-6;

  CU_ASSERT(near);
  if (!near) {
    (void)printf("\n    %s: %s is %.9f, not %.9f\n", expected->strategy, what, value, should);
  }
}

static void check_strategy(hid_t file, const char *run, size_t from, const figures *expected) {
  char path[256];
  size_t n = 0;
  size_t n_values = 0;
  double sum = 0;
  double max = 0;
  int64_t moved = 0;

  (void)snprintf(path, sizeof path, "/runs/%s/%s/step_imbalance", run, expected->strategy);
  double *steps = read_all(file, path, H5T_NATIVE_DOUBLE, &n);
  for (size_t t = from; t < n; t++) {
    sum += steps[t];
  }
  (void)snprintf(path, sizeof path, "/runs/%s/%s/imbalance", run, expected->strategy);
  double *imbalance = read_all(file, path, H5T_NATIVE_DOUBLE, &n_values);
  for (size_t i = from * (n_values / n); i < n_values; i++) {
    max = fmax(max, imbalance[i]);
  }
  check_near("mean of step_imbalance", expected, sum / (double)(n - from),
             expected->step_imbalance_mean);
  check_near("maximum of imbalance", expected, max, expected->imbalance_max);
  (void)snprintf(path, sizeof path, "/runs/%s/%s/plans/moved_experts", run, expected->strategy);
  int64_t *plans = read_all(file, path, H5T_NATIVE_INT64, &n_values);
  for (size_t i = 0; i < n_values; i++) {
    moved += plans[i];
  }
  if (expected->moved_experts >= 0) {
    CU_ASSERT_EQUAL(moved, expected->moved_experts);
  }
  free(plans);
  free(imbalance);
  free(steps);
}

static void check_config(const char *config, const char *trace, size_t from,
                         const figures expected[5]) {
  run_config(config, shared_path(trace));
  hid_t file = H5Fopen(OUTPUT, H5F_ACC_RDONLY, H5P_DEFAULT);
  CU_ASSERT_FATAL(file >= 0);
  for (size_t i = 0; i < 5; i++) {
    check_strategy(file, config, from, &expected[i]);
  }
  (void)H5Fclose(file);
}

static void test_decode64_drift(void) {
  static const figures expected[] = {{"none", 1.715302, 3.8125, 0},
                                     {"lpt", 1.216230, 3.3125, 36558},
                                     {"maxmin", 1.215604, 3.25, 36724},
                                     {"l2", 1.214780, 4.0625, 36726},
                                     {"hindsight", 1.187669, 2.78125, -1}};

  check_config("decode64-drift", "traces/gpt-oss-20b-decode64-drift.h5", 64, expected);
}

static void test_decode256_mixed(void) {
  static const figures expected[] = {{"none", 1.457195, 3.289062, 0},
                                     {"lpt", 1.189937, 3.979167, 21915},
                                     {"maxmin", 1.165865, 4.031250, 23380},
                                     {"l2", 1.167831, 4.212240, 22853},
                                     {"hindsight", 1.140974, 3.101562, -1}};

  check_config("decode256-mixed", "traces/gpt-oss-20b-decode256-mixed.h5", 32, expected);
}

static void test_prefill_tasks(void) {
  static const figures expected[] = {{"none", 2.158879, 6.375, 0},
                                     {"lpt", 1.425111, 4.838542, 54916},
                                     {"maxmin", 1.419290, 3.677083, 55852},
                                     {"l2", 1.423221, 4.734375, 55907},
                                     {"hindsight", 1.296838, 2.5625, -1}};

  check_config("prefill-tasks", "traces/deepseek-v2-lite-prefill-tasks.h5", 8, expected);
}

int main(void) {
  CU_TestInfo tests[] = {{"decode, 64 at once, drifting", test_decode64_drift},
                         {"decode, 256 at once, mixed", test_decode256_mixed},
                         {"prefill, four tasks, hierarchical", test_prefill_tasks},
                         CU_TEST_INFO_NULL};

  (void)shared_path("traces/gpt-oss-20b-decode64-drift.h5");
  int status = run_suite("figures_shared", tests);
  (void)remove(OUTPUT);
  return status;
}
