/* tests/test_replay_shared.c - real traces give the figures of an independent replay. */
#include <math.h>
#include <stdint.h>

#include "sim/replay.h"
#include "tests/test.h"

enum { N_STRATEGIES = 5, MOST_STRATEGIES = 6 };

/* The shared folder's traces/README.md: over steps t >= interval. */
typedef struct figures {
  double mean;
  double max;
  int64_t moved;
} figures;

typedef struct seen {
  size_t from, n_layers;
  double imbalance_max[MOST_STRATEGIES];
} seen;

static mb_status see_steps(void *context, size_t strategy, size_t first, size_t n,
                           const double *step_imbalance, const float *imbalance,
                           const int32_t *active_experts) {
  seen *s = context;
  (void)step_imbalance;
  (void)active_experts;
  for (size_t t = first; t < first + n; t++) {
    for (size_t l = 0; l < s->n_layers && t >= s->from; l++) {
      double value = (double)imbalance[(t - first) * s->n_layers + l];
      s->imbalance_max[strategy] = fmax(s->imbalance_max[strategy], value);
    }
  }
  return MB_OK;
}

static mb_status see_plan(void *context, const mb_plan_record *record) {
  (void)context;
  (void)record;
  return MB_OK;
}

static void replay(const char *name, mb_shape shape, size_t interval, size_t window,
                   const figures expected[N_STRATEGIES]) {
  char path[256];
  mb_source *source = NULL;
  mb_replay_summary summary[N_STRATEGIES];
  mb_replay_strategy strategies[N_STRATEGIES] = {
      {"none", MB_REPLAY_NONE, NULL, NULL, NULL},
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, NULL},
      {"maxmin", MB_REPLAY_ONLINE, mb_strategy_find("maxmin"), NULL, NULL},
      {"l2", MB_REPLAY_ONLINE, mb_strategy_find("l2"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, NULL}};

  (void)snprintf(path, sizeof path, "traces/%s.h5", name);
  CHECK_OK(mb_source_open_trace(shared_path(path), &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  shape.n_layers = mb_source_get_info(source)->n_layers;
  shape.n_experts = mb_source_get_info(source)->n_experts;
  mb_replay_config config = {.shape = shape,
                             .interval = interval,
                             .window = window,
                             .summary_from = interval,
                             .n_strategies = N_STRATEGIES,
                             .strategies = strategies};
  seen s = {.from = interval, .n_layers = shape.n_layers};
  mb_replay_sink sink = {.context = &s, .steps = see_steps, .plan = see_plan};
  mb_status status = mb_replay(&config, source, &sink, summary);
  CHECK_OK(status);
  for (size_t i = 0; i < N_STRATEGIES && status == MB_OK; i++) {
    /* The figures are printed with six decimals. */
    CU_ASSERT(fabs(summary[i].step_imbalance_mean - expected[i].mean) <= 1e-6 * expected[i].mean);
    CU_ASSERT(fabs(s.imbalance_max[i] - expected[i].max) <= 1e-6 * expected[i].max);
    if (strategies[i].role != MB_REPLAY_HINDSIGHT) {
      CU_ASSERT_EQUAL(summary[i].moved_experts, expected[i].moved);
    }
  }
  mb_source_destroy(source);
}

static void gpt_oss_decode64(void) {
  static const figures expected[] = {{1.715302, 3.8125, 0},
                                     {1.216230, 3.3125, 36558},
                                     {1.215604, 3.25, 36724},
                                     {1.214780, 4.0625, 36726},
                                     {1.187669, 2.78125, 0}};
  replay("gpt-oss-20b-decode64-drift",
         (mb_shape){.n_slots = 40, .n_groups = 1, .n_nodes = 1, .n_gpus = 8}, 64, 64, expected);
}

static void gpt_oss_decode256(void) {
  static const figures expected[] = {{1.457195, 3.289062, 0},
                                     {1.189937, 3.979167, 21915},
                                     {1.165865, 4.031250, 23380},
                                     {1.167831, 4.212240, 22853},
                                     {1.140974, 3.101562, 0}};
  replay("gpt-oss-20b-decode256-mixed",
         (mb_shape){.n_slots = 64, .n_groups = 1, .n_nodes = 1, .n_gpus = 16}, 32, 64, expected);
}

static void deepseek_v2_lite(void) {
  static const figures expected[] = {{2.158879, 6.375, 0},
                                     {1.425111, 4.838542, 54916},
                                     {1.419290, 3.677083, 55852},
                                     {1.423221, 4.734375, 55907},
                                     {1.296838, 2.5625, 0}};
  replay("deepseek-v2-lite-prefill-tasks",
         (mb_shape){.n_slots = 80, .n_groups = 8, .n_nodes = 2, .n_gpus = 16}, 8, 16, expected);
}

/* --- post-passes --- */

/* Lanes 3.. are 0.. with a pass: the same balance, and on these traces at least a fifth fewer
   experts move. */
static void assigned(const char *name, mb_shape shape, size_t interval, size_t window) {
  static const char *const names[] = {"lpt", "maxmin", "l2", "lpt-a", "maxmin-a", "l2-a"};
  char path[256];
  mb_source *source = NULL;
  mb_replay_summary summary[6];
  mb_replay_strategy strategies[6];
  mb_lane_options options;

  mb_lane_options_init(&options);
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "assign", "gpus", &options));
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "keep_slots", "true", &options));
  for (size_t i = 0; i < 6; i++) {
    strategies[i] = (mb_replay_strategy){names[i], MB_REPLAY_ONLINE, mb_strategy_find(names[i % 3]),
                                         NULL, i < 3 ? NULL : &options};
  }
  (void)snprintf(path, sizeof path, "traces/%s.h5", name);
  CHECK_OK(mb_source_open_trace(shared_path(path), &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  shape.n_layers = mb_source_get_info(source)->n_layers;
  shape.n_experts = mb_source_get_info(source)->n_experts;
  mb_replay_config config = {.shape = shape,
                             .interval = interval,
                             .window = window,
                             .summary_from = interval,
                             .n_strategies = 6,
                             .strategies = strategies};
  seen s = {.from = interval, .n_layers = shape.n_layers};
  mb_replay_sink sink = {.context = &s, .steps = see_steps, .plan = see_plan};
  CHECK_OK(mb_replay(&config, source, &sink, summary));
  for (size_t i = 0; i < 3; i++) {
    CU_ASSERT(fabs(summary[i].run_imbalance - summary[i + 3].run_imbalance) < 1e-12);
    CU_ASSERT(summary[i + 3].moved_experts * 5 < summary[i].moved_experts * 4);
  }
  mb_source_destroy(source);
}

static void fewer_moved(void) {
  assigned("gpt-oss-20b-decode64-drift",
           (mb_shape){.n_slots = 40, .n_groups = 1, .n_nodes = 1, .n_gpus = 8}, 64, 64);
  assigned("gpt-oss-20b-decode256-mixed",
           (mb_shape){.n_slots = 64, .n_groups = 1, .n_nodes = 1, .n_gpus = 16}, 32, 64);
  assigned("deepseek-v2-lite-prefill-tasks",
           (mb_shape){.n_slots = 80, .n_groups = 8, .n_nodes = 2, .n_gpus = 16}, 8, 16);
}

int main(void) {
  CU_TestInfo tests[] = {{"gpt-oss-20b, decode, 64 at once", gpt_oss_decode64},
                         {"gpt-oss-20b, decode, 256 at once", gpt_oss_decode256},
                         {"DeepSeek-V2-Lite, prefill, two nodes", deepseek_v2_lite},
                         {"the same for fewer experts moved", fewer_moved},
                         CU_TEST_INFO_NULL};
  return run_suite("replay of shared traces", tests);
}
