/* tests/test_forecast.c - forecasts against sums written out here, and when a replay makes them. */
#include "sim/forecast.h"

#include <math.h>
#include <omp.h>

#include "balancer/planner.h"
#include "sim/lane_options.h"
#include "sim/replay.h"
#include "tests/test.h"

enum { L = 2, E = 4, T = 40, S = 3 };

static const mb_shape SHAPE = {L, E, E, 1, 1, 2};
static const int32_t ids[L] = {0, 1};

static mb_source *open_source(const uint32_t *load) {
  const mb_trace_info info = {.n_steps = T,
                              .n_layers = L,
                              .n_experts = E,
                              .top_k = 1,
                              .n_groups = 1,
                              .layer_ids = ids,
                              .model = "made up",
                              .source = "made up",
                              .created_by = "test",
                              .padding = "",
                              .counts = "",
                              .source_semantics = ""};
  mb_source *source = NULL;

  CHECK_OK(mb_source_open_memory(&info, load, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  return source;
}

/* All T steps. mb_history_fini() it. */
static mb_history read_all(const uint32_t *load) {
  mb_history history;
  mb_source *source = open_source(load);

  CHECK_OK(mb_history_init(&history, L, E, T));
  CHECK_OK(mb_history_read(&history, source, T));
  mb_source_destroy(source);
  return history;
}

static mb_forecast *make(const char *name, double decay, int64_t parts) {
  mb_forecast_options options = {.forecast_decay = decay, .forecast_parts = parts};
  mb_forecast *made = NULL;

  (void)snprintf(options.forecast, sizeof options.forecast, "%s", name);
  CHECK_OK(mb_forecast_create(&SHAPE, &options, &made));
  return made;
}

/* Steps [first, end) in slices, as a replay cuts them. */
static void slice(const uint32_t *load, size_t first, size_t end, size_t n_slices, double *slices) {
  size_t n = end - first;

  memset(slices, 0, n_slices * L * E * sizeof *slices);
  for (size_t s = 0; s < n_slices; s++) {
    for (size_t t = first + s * n / n_slices; t < first + (s + 1) * n / n_slices; t++) {
      for (size_t i = 0; i < (size_t)L * E; i++) {
        slices[s * L * E + i] += load[t * L * E + i];
      }
    }
  }
}

static void check_near(double a, double b) {
  CU_ASSERT(fabs(a - b) <= 1e-12 * (1.0 + fabs(b)));
  if (!(fabs(a - b) <= 1e-12 * (1.0 + fabs(b)))) {
    (void)printf("\n    %.17g should be %.17g\n", a, b);
  }
}

/* What slices have become: each layer's total is kept, its experts have the shares of `expected`
   [L,E], and each expert's slices the proportions that they had. */
static void check_scaled(const double *was, const double *is, size_t n_slices,
                         const double *expected) {
  for (size_t l = 0; l < L; l++) {
    double total = 0.0;
    double expected_total = 0.0;
    for (size_t e = 0; e < E; e++) {
      expected_total += expected[l * E + e];
      for (size_t s = 0; s < n_slices; s++) {
        total += was[(s * L + l) * E + e];
      }
    }
    for (size_t e = 0; e < E; e++) {
      double wanted = expected[l * E + e] * total / expected_total;
      double sum = 0.0;
      for (size_t s = 0; s < n_slices; s++) {
        sum += was[(s * L + l) * E + e];
      }
      for (size_t s = 0; s < n_slices; s++) {
        size_t i = (s * L + l) * E + e;
        check_near(is[i], sum > 0.0 ? wanted * was[i] / sum : wanted / (double)n_slices);
      }
    }
  }
}

/* Step t of expert e: all differ, expert 3 has nothing from step 20 on. */
static void fill(uint32_t *load) {
  for (size_t i = 0; i < (size_t)T * L * E; i++) {
    size_t e = i % E;
    size_t t = i / ((size_t)L * E);
    load[i] = e == 3 && t >= 20 ? 0 : (uint32_t)(7 + i * i % 31 + e * t);
  }
}

static void ewma(void) {
  uint32_t load[T * L * E];
  double was[S * L * E];
  double is[S * L * E];
  double expected[L * E] = {0};
  mb_forecast *forecast = make("ewma", 0.75, 2);

  fill(load);
  mb_history history = read_all(load);
  CU_ASSERT_PTR_NOT_NULL_FATAL(forecast);
  for (size_t end = 5; end <= T; end += 5) {
    memset(expected, 0, sizeof expected);
    for (size_t t = 0; t < end; t++) {
      for (size_t i = 0; i < (size_t)L * E; i++) {
        expected[i] += pow(0.75, (double)(end - 1 - t)) * load[t * L * E + i];
      }
    }
    size_t n_slices = 1 + end / 5 % S;
    size_t first = end > 9 ? end - 9 : 0;
    slice(load, first, end, n_slices, was);
    memcpy(is, was, sizeof is);
    mb_forecast_absorb(forecast, &history, end);
    mb_forecast_apply(forecast, &history, first, end, 2.0, n_slices, is);
    check_scaled(was, is, n_slices, expected);
  }
  mb_forecast_destroy(forecast);
  mb_history_fini(&history);
}

/* Loads on straight lines, each as far on as asked, and none below 0; parts of unequal lengths. */
static void trend(void) {
  uint32_t load[T * L * E];
  double was[S * L * E];
  double is[S * L * E];
  static const double slope[L * E] = {0, 2, -1, -3, 5, 1, 0, -2};
  static const double at_0[L * E] = {50, 0, 200, 120, 0, 10, 1, 100};

  for (size_t i = 0; i < (size_t)T * L * E; i++) {
    size_t t = i / ((size_t)L * E);
    load[i] = (uint32_t)(at_0[i % ((size_t)L * E)] + slope[i % ((size_t)L * E)] * (double)t);
  }
  mb_history history = read_all(load);
  for (size_t parts = 2; parts <= 50; parts += parts < 8 ? 1 : 21) {
    mb_forecast *forecast = make("trend", 0.0, (int64_t)parts);
    CU_ASSERT_PTR_NOT_NULL_FATAL(forecast);
    for (size_t first = 3; first < 26; first += 11) {
      double expected[L * E];
      size_t end = first + 13;
      double ahead = 4.5;
      for (size_t i = 0; i < (size_t)L * E; i++) {
        expected[i] = fmax(0.0, at_0[i] + slope[i] * ((double)end + ahead));
      }
      slice(load, first, end, S, was);
      memcpy(is, was, sizeof is);
      mb_forecast_absorb(forecast, &history, end);
      mb_forecast_apply(forecast, &history, first, end, ahead, S, is);
      check_scaled(was, is, S, expected);
    }
    mb_forecast_destroy(forecast);
  }
  mb_history_fini(&history);
}

/* One step has no slope: its own load. */
static void trend_of_one_step(void) {
  uint32_t load[T * L * E];
  double was[L * E];
  double is[L * E];
  mb_forecast *forecast = make("trend", 0.0, 8);

  fill(load);
  mb_history history = read_all(load);
  slice(load, 6, 7, 1, was);
  memcpy(is, was, sizeof is);
  mb_forecast_apply(forecast, &history, 6, 7, 3.0, 1, is);
  check_scaled(was, is, 1, was);
  mb_forecast_destroy(forecast);
  mb_history_fini(&history);
}

/* Layer 0: shares (q) of 10 steps are 1/2, 1/2, 0, 0; the window's two steps have 3/4 and 1/4 of
   expert 0, then 1 and 0, so p = 7/8, 1/8. Their variances are 2 (1/8)^2 / (1 * 2) = 1/64 each,
   noise 1/32; distance 2 (3/8)^2 = 9/32; weight 8/9: 1/2 + 8/9 * 3/8 = 5/6. Layer 1: the window
   wavers about the long shares, as noise does, and is given up. */
static void shrink(void) {
  uint32_t load[T * L * E] = {0};
  double was[L * E];
  double is[L * E];
  static const double expected[L * E] = {5, 1, 0, 0, 1, 1, 1, 1};
  mb_forecast *forecast = make("shrink", 0.0, 2);

  CU_ASSERT_PTR_NOT_NULL_FATAL(forecast);
  /* What comes before makes up for the window. */
  load[0] = 40 - 14;
  load[1] = 40 - 2;
  for (size_t e = 0; e < E; e++) {
    load[E + e] = 10;
  }
  load[(size_t)8 * L * E] = 6;
  load[(size_t)8 * L * E + 1] = 2;
  load[(size_t)9 * L * E] = 8;
  static const uint32_t wavering[2][E] = {{10, 6, 10, 6}, {7, 9, 6, 10}};
  for (size_t t = 0; t < 2; t++) {
    memcpy(load + ((8 + t) * L + 1) * E, wavering[t], sizeof wavering[t]);
  }
  for (size_t e = 0; e < E; e++) { /* all add up to 100 */
    load[(size_t)(L + 1) * E + e] = 90 - wavering[0][e] - wavering[1][e];
  }
  mb_history history = read_all(load);
  slice(load, 8, 10, 1, was);
  memcpy(is, was, sizeof is);
  mb_forecast_absorb(forecast, &history, 4);
  mb_forecast_absorb(forecast, &history, 10);
  mb_forecast_apply(forecast, &history, 8, 10, 2.0, 1, is);
  check_scaled(was, is, 1, expected);
  /* One part says nothing of noise. */
  slice(load, 8, 9, 1, was);
  memcpy(is, was, sizeof is);
  mb_forecast *again = make("shrink", 0.0, 2);
  mb_forecast_absorb(again, &history, 9);
  mb_forecast_apply(again, &history, 8, 9, 2.0, 1, is);
  check_scaled(was, is, 1, was);
  mb_forecast_destroy(again);
  mb_forecast_destroy(forecast);
  mb_history_fini(&history);
}

/* Nothing to scale, and too much. */
static void left_alone(void) {
  uint32_t load[T * L * E] = {0};
  double is[L * E] = {0};
  mb_forecast *forecast = make("ewma", 0.5, 2);

  CU_ASSERT_PTR_NOT_NULL_FATAL(forecast);
  CU_ASSERT_PTR_NULL(make("window", 0.5, 2));
  load[0] = 5; /* step 0: expert 0 of layer 0 */
  load[(size_t)L * E + 1] = 10;
  mb_history history = read_all(load);
  mb_forecast_absorb(forecast, &history, 3);
  mb_forecast_apply(forecast, &history, 2, 3, 0.0, 1, is);
  for (size_t i = 0; i < (size_t)L * E; i++) {
    CU_ASSERT_EQUAL(is[i], 0.0);
  }
  is[2] = 100.0;
  is[E] = 3.0; /* layer 1 has no forecast */
  mb_forecast_apply(forecast, &history, 2, 3, 0.0, 1, is);
  CU_ASSERT(is[0] == 20.0 && is[1] == 80.0 && is[2] == 0.0 && is[3] == 0.0 && is[E] == 3.0);
  double large[L * E] = {0x1p53, 0x1p53};
  mb_forecast_apply(forecast, &history, 2, 3, 0.0, 1, large);
  CU_ASSERT(large[0] == 0x1p53 && large[1] == 0x1p53 && large[2] == 0.0);
  mb_forecast_destroy(forecast);
  mb_history_fini(&history);
}

/* --- in a replay --- */

/* A planner that writes down what it is given, and keeps every placement. */
typedef struct diary {
  size_t n;
  size_t step[T], n_window[T];
  double load[T][S * L * E];
} diary;

static size_t three_slices(const void *params) {
  (void)params;
  return S;
}

static mb_status note(void *state, const void *params, const mb_plan_input *input,
                      mb_plan_output *output) {
  diary *d = *(diary *const *)params;

  (void)state;
  (void)output;
  CU_ASSERT_FATAL(d->n < T && input->n_slices == S);
  d->step[d->n] = input->step;
  d->n_window[d->n] = input->n_window_steps;
  memcpy(d->load[d->n], input->load, sizeof d->load[0]);
  d->n++;
  return MB_OK;
}

static const mb_planner_type note_planner = {.name = "note",
                                             .summary = "notes what it is given",
                                             .params_size = sizeof(diary *),
                                             .n_slices = three_slices,
                                             .plan = note};
static const mb_strategy note_strategy = {.name = "note",
                                          .summary = "notes what it is given",
                                          .params_size = sizeof(diary *),
                                          .planner = &note_planner};

static mb_status no_steps(void *context, size_t s, size_t first, size_t n,
                          const double *step_imbalance, const float *imbalance,
                          const int32_t *active) {
  (void)context, (void)s, (void)first, (void)n;
  (void)step_imbalance, (void)imbalance, (void)active;
  return MB_OK;
}

static mb_status no_plan(void *context, const mb_plan_record *record) {
  (void)context;
  (void)record;
  return MB_OK;
}

static void replay(const uint32_t *load, size_t interval, size_t window, size_t delay,
                   const mb_replay_strategy *strategies, size_t n) {
  const mb_replay_config config = {.shape = SHAPE,
                                   .interval = interval,
                                   .window = window,
                                   .delay = delay,
                                   .n_strategies = n,
                                   .strategies = strategies};
  const mb_replay_sink sink = {.steps = no_steps, .plan = no_plan};
  mb_replay_summary summary[2];
  mb_source *source = open_source(load);

  CHECK_OK(mb_replay(&config, source, &sink, summary));
  mb_source_destroy(source);
}

/* Whatever the interval, the window and the delay, an online planner is given the forecast from all
   that was before the plan, and hindsight what really comes. */
static void check_replay(const char *name, size_t interval, size_t window, size_t delay) {
  static diary given, seen, plain;
  diary *diaries[] = {&given, &seen, &plain};
  uint32_t load[T * L * E];
  mb_lane_options options;
  double is[S * L * E];

  fill(load);
  mb_lane_options_init(&options);
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "forecast", name, &options));
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "forecast_parts", "3", &options));
  const mb_replay_strategy strategies[] = {
      {"given", MB_REPLAY_ONLINE, &note_strategy, &diaries[0], &options},
      {"seen", MB_REPLAY_HINDSIGHT, &note_strategy, &diaries[1], &options}};
  const mb_replay_strategy hindsight = {"seen", MB_REPLAY_HINDSIGHT, &note_strategy, &diaries[2],
                                        NULL};
  given = seen = plain = (diary){0};
  replay(load, interval, window, delay, strategies, 2);
  replay(load, interval, window, delay, &hindsight, 1);
  CU_ASSERT(given.n > 0 && seen.n > 0 && memcmp(&seen, &plain, sizeof seen) == 0);
  mb_history history = read_all(load);
  for (size_t k = 0; k < given.n; k++) {
    size_t end = given.step[k];
    size_t first = end - given.n_window[k];
    mb_forecast *forecast = NULL;
    CHECK_OK(mb_forecast_create(&SHAPE, &options.forecast, &forecast));
    slice(load, first, end, S, is);
    mb_forecast_absorb(forecast, &history, end);
    mb_forecast_apply(forecast, &history, first, end,
                      (double)delay + ((double)interval - 1.0) / 2.0, S, is);
    CU_ASSERT(memcmp(is, given.load[k], sizeof is) == 0);
    mb_forecast_destroy(forecast);
  }
  mb_history_fini(&history);
}

static void in_replays(void) {
  for (const char *const *name = mb_forecast_words + 1; *name != NULL; name++) {
    check_replay(*name, 5, 2, 0);
    check_replay(*name, 5, 12, 2);
    check_replay(*name, 3, 3, 1);
    check_replay(*name, 7, 100, 6);
  }
}

static void threads(void) {
  uint32_t load[T * L * E];
  double was[S * L * E];
  double is[2][S * L * E];
  int n_threads = omp_get_max_threads();

  fill(load);
  mb_history history = read_all(load);
  for (const char *const *name = mb_forecast_words + 1; *name != NULL; name++) {
    slice(load, 10, 21, S, was);
    for (size_t i = 0; i < 2; i++) {
      omp_set_num_threads(i == 0 ? 1 : 2);
      mb_forecast *forecast = make(*name, 0.9, 4);
      memcpy(is[i], was, sizeof was);
      mb_forecast_absorb(forecast, &history, 21);
      mb_forecast_apply(forecast, &history, 10, 21, 3.0, S, is[i]);
      mb_forecast_destroy(forecast);
    }
    CU_ASSERT(memcmp(is[0], is[1], sizeof was) == 0);
    CU_ASSERT(memcmp(is[0], was, sizeof was) != 0);
  }
  omp_set_num_threads(n_threads);
  mb_history_fini(&history);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"ewma", ewma},       {"trend", trend},           {"trend of one step", trend_of_one_step},
      {"shrink", shrink},   {"left alone", left_alone}, {"in replays", in_replays},
      {"threads", threads}, CU_TEST_INFO_NULL};
  return run_suite("forecast", tests);
}
