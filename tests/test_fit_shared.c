/* tests/test_fit_shared.c - the bar for a fit: a recorded trace whose requests come in the order of
 * their topics. A stationary trace with its shares must fail it, and passes where only Pearson's r
 * at lags 1 and 4 is asked for. */
#include <gsl/gsl_errno.h>
#include <math.h>

#include "tests/fit.h"
#include "workloads/fit.h"

enum { WINDOW = 64, N_SEEDS = 8, L = 24 };

static int count_off(const mb_windows_layer *recorded, const mb_windows_layer *shown) {
  mb_windows_layer a = mb_windows_mean(L, recorded);
  mb_windows_layer b = mb_windows_mean(L, shown);
  int n = 0;

  for (size_t l = 0; l < L; l++) {
    n += fabs(shown[l].peak / recorded[l].peak - 1.0) > 0.10 ? 1 : 0;
    n += fabs(shown[l].gini / recorded[l].gini - 1.0) > 0.10 ? 1 : 0;
  }
  for (size_t k = 0; k < MB_WINDOWS_LAGS; k += 2) { /* lags 1, 4 and 16 */
    n += fabs((1.0 - b.r[k]) / (1.0 - a.r[k]) - 1.0) > 0.25 ? 1 : 0;
  }
  n += fabs(b.moved[0] / a.moved[0] - 1.0) > 0.25 ? 1 : 0;
  n += fabs(b.chi2 / a.chi2 - 1.0) > 0.25 ? 1 : 0;
  return n;
}

static bool passes_by_r(const mb_windows_layer *recorded, const mb_windows_layer *shown) {
  mb_windows_layer a = mb_windows_mean(L, recorded);
  mb_windows_layer b = mb_windows_mean(L, shown);

  return fabs(b.r[0] / a.r[0] - 1.0) <= 0.25 && fabs(b.r[2] / a.r[2] - 1.0) <= 0.25;
}

static void test_drifting(void) {
  mb_source *source = NULL;
  mb_windows *still = NULL;
  mb_drift_params params;
  mb_windows_layer recorded[L];
  mb_windows_layer stationary[L];
  mb_windows_layer fitted[L] = {{0}};

  CHECK_OK(mb_source_open_trace(shared_path("traces/gpt-oss-20b-decode64-drift.h5"), &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  CU_ASSERT_EQUAL_FATAL(mb_source_get_info(source)->n_layers, L);
  mb_windows *windows = windows_of(source, WINDOW);
  CHECK_OK(mb_windows_measure(windows, recorded));
  CHECK_OK(mb_fit_drift(windows, mb_source_get_info(source), NULL, &params));
  measure_generated(&mb_generator_drift, &params, WINDOW, N_SEEDS, L, fitted);
  CU_ASSERT_EQUAL(count_off(recorded, fitted), 0);

  CHECK_OK(mb_windows_draw_stationary(windows, 1, &still));
  CHECK_OK(mb_windows_measure(still, stationary));
  CU_ASSERT(count_off(recorded, stationary) > 5);
  CU_ASSERT(passes_by_r(recorded, stationary));

  /* Found by an independent program (numpy) in the same trace. */
  mb_windows_layer mean = mb_windows_mean(L, recorded);
  CU_ASSERT_DOUBLE_EQUAL(mean.peak, 3.039115646258503, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(mean.gini, 0.4402117599435404, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(1.0 - mean.r[0], 0.02220844799937305, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(1.0 - mean.r[4], 0.26411006022657857, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(mean.moved[0], 0.052504539489746094, 1e-9);
  mb_windows_destroy(still);
  mb_windows_destroy(windows);
  mb_source_destroy(source);
}

/* Parameters come out that generate a trace of the same shape: some layers, as all take long. */
static void check_generates(const char *name, size_t window) {
  enum { N_LAYERS = 4 };
  mb_source *source = NULL;
  mb_source *generated = NULL;
  mb_drift_params params;

  CHECK_OK(mb_source_open_trace(shared_path(name), &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  mb_trace_info info = *mb_source_get_info(source);
  info.n_layers = N_LAYERS;
  mb_windows *windows = windows_of_layers(source, window, N_LAYERS);
  CHECK_OK(mb_fit_drift(windows, &info, NULL, &params));
  CHECK_OK(mb_source_open_generator(&mb_generator_drift, &params, 1, &generated));
  CU_ASSERT_PTR_NOT_NULL_FATAL(generated);
  const mb_trace_info *b = mb_source_get_info(generated);
  CU_ASSERT(info.n_steps == b->n_steps && b->n_layers == N_LAYERS && info.top_k == b->top_k);
  CU_ASSERT(info.n_experts == b->n_experts && info.phase == b->phase);
  mb_source_destroy(generated);
  mb_windows_destroy(windows);
  mb_source_destroy(source);
}

static void test_tasks(void) {
  check_generates("traces/deepseek-v2-lite-prefill-tasks.h5", 16);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"drifting", test_drifting}, {"tasks one after the other", test_tasks}, CU_TEST_INFO_NULL};

  gsl_set_error_handler_off();
  return run_suite("fit of recorded traces", tests);
}
