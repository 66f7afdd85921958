/* tests/test_fit.c - a fit to a generated trace finds the parameters that it was generated with. */
#include "workloads/fit.h"

#include <gsl/gsl_errno.h>
#include <math.h>
#include <omp.h>

#include "tests/fit.h"

enum { WINDOW = 32, L = 6, E = 32 };

static void set(mb_drift_params *params, const char *key, const char *value) {
  CHECK_OK(mb_params_set(mb_generator_drift.params, key, value, params));
}

/* A trace of known parameters, 150 windows long. */
static mb_drift_params known_params(void) {
  mb_drift_params params;

  mb_params_init(mb_generator_drift.params, &params);
  set(&params, "model", "gpt-oss-20b");
  set(&params, "phase", "prefill");
  set(&params, "layers", "6");
  set(&params, "steps", "4800");
  set(&params, "tokens", "128");
  set(&params, "sigma", "0.4 0.6 0.8 1 1.2 0.5");
  set(&params, "skew", "0 -0.4 0.2 -0.8 -0.5 0.4");
  set(&params, "drift_fast", "0.1");
  set(&params, "steps_fast", "40");
  set(&params, "drift_slow", "0.25");
  set(&params, "steps_slow", "600");
  set(&params, "cold_drift", "0.5");
  return params;
}

static mb_source *open_known(const mb_drift_params *params, uint64_t seed) {
  mb_source *source = NULL;

  CHECK_OK(mb_source_open_generator(&mb_generator_drift, params, seed, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  return source;
}

static void read_list(const char *list, double number[L]) {
  char *end = NULL;

  for (size_t l = 0; l < L; l++) {
    number[l] = strtod(list, &end);
    list = end;
  }
  CU_ASSERT(*list == '\0');
}

static void check_within(const char *what, double found, double wanted, double error) {
  CU_ASSERT(fabs(found - wanted) <= error);
  if (!(fabs(found - wanted) <= error)) {
    (void)printf("\n    %s: %g, but %g +- %g is wanted\n", what, found, wanted, error);
  }
}

/* Of one trace of 150 windows: sigma within 25 %, all that drifts within .1, the slow time within a
   factor of 2, the skew within .5. What drifts fast is small beside the slow one's own rise from
   window to window, so its share and time are known together only: that is what the statistics
   show. They agree within a quarter of what is asked of a fit, but for lags as long as the slow
   time, of which a single trace has but few. */
static void test_recovers(void) {
  mb_drift_params wanted = known_params();
  mb_drift_params found;
  double list[2][L];

  mb_source *source = open_known(&wanted, 11);
  mb_windows *windows = windows_of(source, WINDOW);
  CHECK_OK(mb_fit_drift(windows, mb_source_get_info(source), NULL, &found));
  CU_ASSERT_STRING_EQUAL(found.workload.model, "gpt-oss-20b");
  CU_ASSERT_STRING_EQUAL(found.workload.phase, "prefill");
  CU_ASSERT(found.workload.n_steps == 4800 && found.workload.n_tokens == 128);
  CU_ASSERT(found.workload.n_layers == L && found.workload.n_experts == E);
  CU_ASSERT(found.workload.top_k == 4 && found.workload.n_groups == 1);
  read_list(wanted.sigma, list[0]);
  read_list(found.sigma, list[1]);
  for (size_t l = 0; l < L; l++) {
    check_within("sigma", list[1][l], list[0][l], 0.25 * list[0][l]);
  }
  read_list(wanted.skew, list[0]);
  read_list(found.skew, list[1]);
  for (size_t l = 0; l < L; l++) {
    check_within("skew", list[1][l], list[0][l], 0.5);
  }
  check_within("all drift", found.drift_fast + found.drift_slow, 0.35, 0.1);
  check_within("log of the slow time", log(found.steps_slow), log(600.0), log(2.0));
  (void)printf("\n    sigma %s\n    skew %s\n    drift %g %g, steps %g %g, cold %g\n", found.sigma,
               found.skew, found.drift_fast, found.drift_slow, found.steps_fast, found.steps_slow,
               found.cold_drift);
  mb_windows_destroy(windows);
  mb_source_destroy(source);
}

static bool same_params(const mb_drift_params *a, const mb_drift_params *b) {
  char text[2][MB_PARAM_TEXT_SIZE];

  for (const mb_param *param = mb_generator_drift.params; param->key != NULL; param++) {
    (void)mb_param_format(param, a, text[0], sizeof text[0]);
    (void)mb_param_format(param, b, text[1], sizeof text[1]);
    if (strcmp(text[0], text[1]) != 0) {
      return false;
    }
  }
  return true;
}

/* Threads do not change it; and what it shows is what the trace shows. */
static void test_deterministic(void) {
  mb_drift_params params = known_params();
  mb_drift_params found[2];
  mb_windows_layer wanted[L];
  mb_windows_layer shown[L] = {{0}};
  int before = omp_get_max_threads();

  set(&params, "steps", "1600");
  mb_source *source = open_known(&params, 3);
  mb_windows *windows = windows_of(source, WINDOW);
  for (int i = 0; i < 2; i++) {
    omp_set_num_threads(i == 0 ? 1 : 3);
    CHECK_OK(mb_fit_drift(windows, mb_source_get_info(source), NULL, &found[i]));
  }
  omp_set_num_threads(before);
  CU_ASSERT(same_params(&found[0], &found[1]));

  CHECK_OK(mb_windows_measure(windows, wanted));
  measure_generated(&mb_generator_drift, &found[0], WINDOW, 8, L, shown);
  mb_windows_layer a = mb_windows_mean(L, wanted);
  mb_windows_layer b = mb_windows_mean(L, shown);
  check_within("max/mean", b.peak / a.peak, 1.0, 0.05);
  check_within("Gini", b.gini / a.gini, 1.0, 0.05);
  check_within("1 - r, lag 1", (1.0 - b.r[0]) / (1.0 - a.r[0]), 1.0, 0.15);
  check_within("1 - r, lag 4", (1.0 - b.r[2]) / (1.0 - a.r[2]), 1.0, 0.15);
  check_within("1 - r, lag 16", (1.0 - b.r[4]) / (1.0 - a.r[4]), 1.0, 0.25);
  check_within("total variation, lag 1", b.moved[0] / a.moved[0], 1.0, 0.1);
  check_within("chi2/dof, lag 1", b.chi2 / a.chi2, 1.0, 0.15);
  mb_windows_destroy(windows);
  mb_source_destroy(source);
}

/* --- a fit that is stopped */

static int n_checks;

static mb_status stop_at_last(void) {
  return --n_checks > 0 ? MB_OK : MB_FAIL(MB_ERR_CANCELLED, "enough");
}

/* At the first check, between layers, and within the search for the drift. */
static void test_stopped(void) {
  mb_drift_params params = known_params();
  mb_drift_params found = {.drift_fast = 42.0};

  set(&params, "steps", "640");
  mb_source *source = open_known(&params, 3);
  mb_windows *windows = windows_of(source, WINDOW);
  for (int n = 1; n < 12; n += 5) {
    n_checks = n;
    CHECK_FAILS(mb_fit_drift(windows, mb_source_get_info(source), stop_at_last, &found),
                MB_ERR_CANCELLED, "enough");
    CU_ASSERT(found.drift_fast == 42.0);
  }
  mb_windows_destroy(windows);
  mb_source_destroy(source);
}

/* --- what cannot be fitted */

static void check_refused(size_t n_steps, size_t n_layers, size_t n_experts, const uint32_t *load,
                          mb_status status, const char *text) {
  static const int32_t ids[256] = {0};
  mb_trace_info info = {.n_steps = n_steps,
                        .n_layers = n_layers,
                        .n_experts = n_experts,
                        .top_k = 1,
                        .n_groups = 1,
                        .layer_ids = ids,
                        .model = "",
                        .source = "",
                        .created_by = "",
                        .padding = "",
                        .counts = "",
                        .source_semantics = ""};
  mb_windows *windows = NULL;
  mb_drift_params params = {.drift_fast = 42.0};

  CHECK_OK(mb_windows_create(n_steps, n_layers, n_experts, 2, &windows));
  CU_ASSERT_PTR_NOT_NULL_FATAL(windows);
  mb_windows_add(windows, n_steps, load);
  CHECK_FAILS(mb_fit_drift(windows, &info, NULL, &params), status, text);
  CU_ASSERT(params.drift_fast == 42.0);
  mb_windows_destroy(windows);
}

static void test_refused(void) {
  enum { T = 20, FEW = 2 };
  static uint32_t load[T][FEW][FEW];

  for (size_t t = 0; t < T; t++) {
    for (size_t i = 0; i < (size_t)FEW * FEW; i++) {
      load[t][i / FEW][i % FEW] = (uint32_t)(1 + i + t % 3);
    }
  }
  check_refused(15, FEW, FEW, &load[0][0][0], MB_ERR_SHAPE,
                "7 windows of 2 steps, but a fit needs 8: take shorter ones");
  check_refused(T, (size_t)FEW * FEW, 1, &load[0][0][0], MB_ERR_SHAPE, "1 expert");
  load[6][1][0] = load[6][1][1] = load[7][1][0] = load[7][1][1] = 0;
  check_refused(T, FEW, FEW, &load[0][0][0], MB_ERR_RANGE,
                "layer 1 (from 0) has no load in steps 6 to 7");
  for (size_t i = 0; i < (size_t)T * FEW * FEW; i++) {
    load[i / FEW / FEW][i / FEW % FEW][i % FEW] = 3;
  }
  check_refused(T, FEW, FEW, &load[0][0][0], MB_ERR_RANGE, "all experts have equal loads");
  for (size_t t = 0; t < T; t++) {
    load[t][0][0] = load[t][1][1] = 1;
  }
  check_refused(T, FEW, FEW, &load[0][0][0], MB_ERR_RANGE, "all windows have the same shares");
}

int main(void) {
  CU_TestInfo tests[] = {{"known parameters", test_recovers},
                         {"deterministic, and alike", test_deterministic},
                         {"stopped", test_stopped},
                         {"what is refused", test_refused},
                         CU_TEST_INFO_NULL};

  gsl_set_error_handler_off();
  return run_suite("fit", tests);
}
