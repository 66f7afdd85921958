/* tests/test_replay.c - replays worked out by hand, through a planner that keeps a diary. */
#include "sim/replay.h"

#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <sys/resource.h>

#include "sim/lane.h"
#include "tests/test.h"

enum { L = 2, E = 4, T = 10, MOST = 64, MOST_STEPS = 512 };

/* What the planner was told, and what the sink got. */
typedef struct diary {
  size_t n;
  size_t step[MOST], n_window[MOST], n_slices;
  double load[MOST][4 * L * E];
  double imbalance[MOST][L];
} diary;

typedef struct got {
  size_t n_steps[2], n_plans[2], progress_calls, cancel_at, fail_at;
  double step_imbalance[2][MOST_STEPS];
  float imbalance[2][MOST_STEPS * L];
  int32_t active[2][MOST_STEPS * L];
  int64_t plan_step[2][MOST], effect[2][MOST][L];
  int32_t moved[2][MOST][L], map[2][MOST][L * E], duplicates[2][MOST][L];
  float node[2][MOST][L], planned[2][MOST][L], gap[2][MOST][L];
  float before[2][MOST][2 * L], after[2][MOST][2 * L]; /* of 2 GPUs */
  size_t n_loads;
  double step_load[MOST_STEPS];
} got;

typedef struct script {
  diary *diary;
  size_t n_slices;
  bool keep_all;
} script;

static const int32_t LINEAR[E] = {0, 1, 2, 3};
static const int32_t SPREAD[E] = {0, 2, 1, 3};

static size_t script_slices(const void *params) {
  return ((const script *)params)->n_slices;
}

/* Plan 0 spreads layer 0 alone; from then on both layers change to and fro. */
static mb_status script_plan(void *state, const void *params, const mb_plan_input *input,
                             mb_plan_output *output) {
  const script *s = params;
  size_t *n = state;
  diary *d = s->diary;
  size_t cells = input->n_slices * L * E;

  d->step[d->n] = input->step;
  d->n_window[d->n] = input->n_window_steps;
  d->n_slices = input->n_slices;
  memcpy(d->load[d->n], input->load, cells * sizeof(double));
  memcpy(d->imbalance[d->n], input->imbalance, L * sizeof(double));
  d->n++;
  for (size_t l = 0; l < L && !s->keep_all; l++) {
    output->replaced[l] = l == 0 || *n > 0;
    memcpy(output->physical_to_logical_map + l * E, *n % 2 == 0 ? SPREAD : LINEAR, sizeof LINEAR);
  }
  ++*n;
  return MB_OK;
}

static const mb_planner_type script_planner = {.name = "script",
                                               .summary = "as the test says",
                                               .params_size = sizeof(script),
                                               .state_size = sizeof(size_t),
                                               .n_slices = script_slices,
                                               .plan = script_plan};
static const mb_strategy script_strategy = {.name = "script",
                                            .summary = "as the test says",
                                            .params_size = sizeof(script),
                                            .planner = &script_planner};

static mb_status take_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  got *g = context;
  CU_ASSERT_EQUAL(first, g->n_steps[s]);
  memcpy(g->step_imbalance[s] + first, step_imbalance, n * sizeof *step_imbalance);
  memcpy(g->imbalance[s] + first * L, imbalance, n * L * sizeof *imbalance);
  memcpy(g->active[s] + first * L, active, n * L * sizeof *active);
  g->n_steps[s] += n;
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;
  size_t s = record->strategy;
  size_t k = g->n_plans[s]++;
  CU_ASSERT_EQUAL(record->plan, k);
  g->plan_step[s][k] = record->step;
  memcpy(g->effect[s][k], record->effect_step, L * sizeof *record->effect_step);
  memcpy(g->moved[s][k], record->moved_experts, L * sizeof *record->moved_experts);
  memcpy(g->duplicates[s][k], record->duplicate_slots, L * sizeof *record->duplicate_slots);
  memcpy(g->map[s][k], record->physical_to_logical_map, sizeof g->map[s][k]);
  memcpy(g->planned[s][k], record->planned_imbalance, L * sizeof *record->planned_imbalance);
  memcpy(g->gap[s][k], record->planned_gap, L * sizeof *record->planned_gap);
  memcpy(g->before[s][k], record->gpu_load_before, sizeof g->before[s][k]);
  memcpy(g->after[s][k], record->gpu_load_after, sizeof g->after[s][k]);
  for (size_t l = 0; l < L; l++) {
    g->node[s][k][l] = record->node_imbalance != NULL ? record->node_imbalance[l] : -1.0F;
  }
  return g->fail_at > 0 && g->n_plans[s] == g->fail_at ? MB_FAIL(MB_ERR_IO, "the disk is full")
                                                       : MB_OK;
}

static mb_status take_progress(void *context, size_t n_steps_done) {
  got *g = context;
  g->progress_calls++;
  return g->cancel_at > 0 && n_steps_done >= g->cancel_at ? MB_FAIL(MB_ERR_CANCELLED, "enough")
                                                          : MB_OK;
}

static mb_status take_load(void *context, size_t first, size_t n, const double *step_load) {
  got *g = context;
  CU_ASSERT_EQUAL(first, g->n_loads);
  memcpy(g->step_load + first, step_load, n * sizeof *step_load);
  g->n_loads += n;
  return MB_OK;
}

/* Layer 0: all on experts 0 and 1, 4 (t + 1) each. Layer 1: t each on 2 and 3, so nothing at 0. */
static void fill(uint32_t *load, size_t n_steps) {
  memset(load, 0, n_steps * L * E * sizeof *load);
  for (size_t t = 0; t < n_steps; t++) {
    load[t * L * E] = load[t * L * E + 1] = (uint32_t)(4 * (t + 1));
    load[(t * L + 1) * E + 2] = load[(t * L + 1) * E + 3] = (uint32_t)t;
  }
}

static mb_status run(mb_replay_config config, size_t n_steps, const uint32_t *load, got *g,
                     mb_replay_summary *summary) {
  static const int32_t ids[L] = {0, 1};
  mb_trace_info info = {.n_steps = n_steps,
                        .n_layers = L,
                        .n_experts = E,
                        .top_k = 1,
                        .n_groups = 1,
                        .layer_ids = ids,
                        .model = "hand",
                        .source = "hand",
                        .created_by = "test",
                        .padding = "",
                        .counts = "",
                        .source_semantics = ""};
  mb_source *source = NULL;
  MB_TRY(mb_source_open_memory(&info, load, &source));
  mb_replay_sink sink = {.context = g,
                         .steps = take_steps,
                         .plan = take_plan,
                         .progress = take_progress,
                         .step_load = take_load};
  mb_status status = mb_replay(&config, source, &sink, summary);
  mb_source_destroy(source);
  return status;
}

static mb_replay_config by_hand(const mb_replay_strategy *strategies, size_t n) {
  return (mb_replay_config){.shape = {L, E, E, 2, 2, 2},
                            .interval = 3,
                            .window = 2,
                            .delay = 1,
                            .summary_from = 4,
                            .n_strategies = n,
                            .strategies = strategies};
}

/* Plans at 3 and 6 take effect at 4 and 7; the one at 9 would at 10, after the end. */
static void worked_example(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_summary summary = {0};

  d = (diary){0};
  g = (got){0};
  fill(load, T);
  CHECK_OK(run(by_hand(strategies, 1), T, load, &g, &summary));
  CU_ASSERT_EQUAL(d.n, 2);
  CU_ASSERT(d.step[0] == 3 && d.step[1] == 6 && d.n_window[0] == 2 && d.n_window[1] == 2);
  CU_ASSERT(d.load[0][0] == 4 * (2 + 3) && d.load[0][E + 2] == 1 + 2 && d.load[0][2] == 0);
  CU_ASSERT(d.load[1][0] == 4 * (5 + 6) && d.load[1][E + 3] == 4 + 5);
  CU_ASSERT(d.imbalance[0][0] == 2.0 && d.imbalance[0][1] == 2.0);
  CU_ASSERT(d.imbalance[1][0] == 1.0 && d.imbalance[1][1] == 2.0);
  CU_ASSERT(g.n_plans[0] == 2 && g.plan_step[0][0] == 3 && g.plan_step[0][1] == 6);
  CU_ASSERT(g.effect[0][0][0] == 4 && g.effect[0][0][1] == -1);
  CU_ASSERT(g.effect[0][1][0] == 7 && g.effect[0][1][1] == 7);
  CU_ASSERT(g.moved[0][0][0] == 2 && g.moved[0][0][1] == 0);
  /* The second plan undoes layer 0 and leaves layer 1 as it is: all in place already. */
  CU_ASSERT(g.moved[0][1][0] == 2 && g.moved[0][1][1] == 0);
  CU_ASSERT(memcmp(g.map[0][0], SPREAD, sizeof SPREAD) == 0);
  CU_ASSERT(memcmp(g.map[0][0] + E, LINEAR, sizeof LINEAR) == 0);
  CU_ASSERT(g.node[0][0][0] == 1.0F && g.node[0][0][1] == 2.0F && g.node[0][1][0] == 2.0F);
  CU_ASSERT(g.duplicates[0][0][0] == 0);
  /* Plan 0 was made from layer 0's 20 on each of experts 0 and 1, which it spreads, and from layer
     1's 3 on each of 2 and 3, both on GPU 1, which it keeps; plan 1 puts both on one GPU. */
  CU_ASSERT(g.planned[0][0][0] == 1.0F && g.planned[0][0][1] == 2.0F);
  CU_ASSERT(g.planned[0][1][0] == 2.0F && g.planned[0][1][1] == 2.0F);
  /* A node of one GPU has nothing to exchange. */
  CU_ASSERT(g.gap[0][0][1] == 0.0F && g.gap[0][1][0] == 0.0F);
  /* Steps 3, 4, 5 have 16 + 20 + 24 = 60 on each of experts 0 and 1, and 12 on each of layer 1's 2
     and 3; steps 6, 7, 8 have 28 + 32 + 36 = 96, and 21. */
  static const float before[2][2 * L] = {{120, 0, 0, 24}, {96, 96, 0, 42}};
  static const float after[2][2 * L] = {{60, 60, 0, 24}, {192, 0, 0, 42}};
  for (size_t k = 0; k < 2; k++) {
    CU_ASSERT(memcmp(g.before[0][k], before[k], sizeof before[k]) == 0);
    CU_ASSERT(memcmp(g.after[0][k], after[k], sizeof after[k]) == 0);
  }
  CU_ASSERT_EQUAL(g.n_loads, T);
  for (size_t t = 0; t < T; t++) {
    CU_ASSERT_EQUAL(g.step_load[t], (double)(8 * (t + 1) + 2 * t));
    bool spread = t >= 4 && t < 7;
    double max = (double)(spread ? 4 * (t + 1) : 8 * (t + 1)) + (double)(2 * t);
    double mean = (double)(4 * (t + 1)) + (double)t;
    CU_ASSERT_EQUAL(g.imbalance[0][t * L], spread ? 1.0F : 2.0F);
    CU_ASSERT_EQUAL(g.active[0][t * L], spread ? 1 : 2);
    CU_ASSERT(t == 0 ? isnan(g.imbalance[0][1]) : g.imbalance[0][t * L + 1] == 2.0F);
    CU_ASSERT_EQUAL(g.step_imbalance[0][t], max / mean);
  }
  CU_ASSERT(g.n_steps[0] == T && g.progress_calls > 0);
  /* Steps 4..9: layer 0 has mean 20, 24, ... 40 = 180, max 20+24+28 + 64+72+80 = 288; layer 1 mean
     39, max 78. Loads are twice the means, on 2 slots a layer: 438 / 24. */
  CU_ASSERT_DOUBLE_EQUAL(summary.run_imbalance, (288.0 + 78.0) / (180.0 + 39.0), 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary.tokens_per_active_slot, 438.0 / 24.0, 1e-13);
  CU_ASSERT(summary.plans == 2 && summary.moved_experts == 4 && summary.skipped_plans == 0);
  CU_ASSERT(summary.steps_scored == 6 && summary.empty_layer_steps == 0);
  CU_ASSERT(summary.worst_layer == 1 && summary.worst_layer_imbalance == 2.0);
  CU_ASSERT_EQUAL(summary.imbalance_p99, 2.0);
}

/* With both GPUs on one node: 20, 20, 0, 0 can be packed into 20 each, as plan 0 has layer 0, and
 * plan 1 not; layer 1 is twice what it could be under both. */
static void gaps(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_config config = by_hand(strategies, 1);
  mb_replay_summary summary = {0};

  d = (diary){0};
  g = (got){0};
  config.shape.n_nodes = 1;
  config.shape.n_groups = 1;
  fill(load, T);
  CHECK_OK(run(config, T, load, &g, &summary));
  CU_ASSERT(g.gap[0][0][0] == 0.0F && g.gap[0][0][1] == 1.0F);
  CU_ASSERT(g.gap[0][1][0] == 1.0F && g.gap[0][1][1] == 1.0F);
  memset(load, 0, sizeof load);
  g = (got){0};
  d = (diary){0};
  load[(size_t)(T - 1) * L * E] = 1;
  CHECK_OK(run(config, T, load, &g, &summary));
  CU_ASSERT(isnan(g.gap[0][0][0]) && isnan(g.gap[0][1][1]));
}

/* A plan counts in the summary where it takes effect within it. */
static void summary_from(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_config config = by_hand(strategies, 1);
  mb_replay_summary summary = {0};

  fill(load, T);
  for (size_t from = 0; from <= 8; from++) {
    d = (diary){0};
    g = (got){0};
    config.summary_from = from;
    CHECK_OK(run(config, T, load, &g, &summary));
    CU_ASSERT_EQUAL(summary.plans, (from <= 4) + (from <= 7));
    CU_ASSERT_EQUAL(summary.moved_experts, 2 * (int64_t)((from <= 4) + (from <= 7)));
    CU_ASSERT_EQUAL(summary.empty_layer_steps, from == 0);
    CU_ASSERT_EQUAL(summary.steps_scored, (int64_t)(T - from));
  }
}

static void windows(void) {
  static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 100, SIZE_MAX};
  static uint32_t load[40 * L * E];
  static diary d;
  static got g;
  mb_replay_summary summary = {0};

  fill(load, 40);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (size_t n_slices = 1; n_slices <= 4; n_slices++) {
      script s = {&d, n_slices, false};
      mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
      mb_replay_config config = by_hand(strategies, 1);
      config.window = sizes[i];
      d = (diary){0};
      g = (got){0};
      CHECK_OK(run(config, 40, load, &g, &summary));
      CU_ASSERT(d.n == 12 && d.n_slices == n_slices);
      for (size_t k = 0; k < d.n; k++) {
        size_t t = d.step[k];
        size_t n = t < sizes[i] ? t : sizes[i];
        CU_ASSERT(t == 3 * (k + 1) && d.n_window[k] == n);
        for (size_t c = 0; c < n_slices; c++) {
          double sum = 0.0;
          for (size_t u = t - n + c * n / n_slices; u < t - n + (c + 1) * n / n_slices; u++) {
            sum += 4.0 * (double)(u + 1);
          }
          CU_ASSERT_EQUAL(d.load[k][c * L * E], sum);
        }
      }
    }
  }
}

/* Hindsight sees the very steps to come, clipped at the end, from step 0 on. */
static void hindsight(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {
      {"none", MB_REPLAY_NONE, NULL, NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, &script_strategy, &s, NULL}};
  mb_replay_config config = by_hand(strategies, 2);
  mb_replay_summary summary[2] = {0};

  d = (diary){0};
  g = (got){0};
  fill(load, T);
  config.summary_from = 0;
  CHECK_OK(run(config, T, load, &g, summary));
  CU_ASSERT_EQUAL(d.n, 4);
  CU_ASSERT(d.load[0][0] == 4 * (1 + 2 + 3) && d.load[1][0] == 4 * (4 + 5 + 6));
  CU_ASSERT(d.step[3] == 9 && d.n_window[3] == 1 && d.load[3][0] == 40);
  CU_ASSERT(isnan(d.imbalance[0][0]) && d.imbalance[1][0] == 1.0);
  CU_ASSERT(g.n_plans[0] == 0 && g.n_plans[1] == 4);
  CU_ASSERT(g.plan_step[1][0] == 0 && g.effect[1][0][0] == 0 && g.moved[1][0][0] == 0);
  CU_ASSERT(g.effect[1][1][0] == 3 && g.moved[1][1][0] == 2);
  CU_ASSERT(g.imbalance[1][0] == 1.0F && g.imbalance[1][(size_t)3 * L] == 2.0F);
  CU_ASSERT(summary[0].plans == 0 && summary[0].moved_experts == 0);
  CU_ASSERT(summary[1].plans == 4 && summary[1].moved_experts == 2 + 4 + 4);
}

static void planner_that_keeps(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, true};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_summary summary = {0};

  d = (diary){0};
  g = (got){0};
  fill(load, T);
  CHECK_OK(run(by_hand(strategies, 1), T, load, &g, &summary));
  CU_ASSERT(g.n_plans[0] == 2 && g.effect[0][0][0] == -1 && g.effect[0][1][1] == -1);
  CU_ASSERT(summary.plans == 0 && summary.skipped_plans == 0 && summary.moved_experts == 0);
  CU_ASSERT(memcmp(g.map[0][1], LINEAR, sizeof LINEAR) == 0);
}

/* Layers that take effect at steps of their own; a plan that falls due meanwhile is skipped. */
static void layers_one_by_one(void) {
  static diary d;
  static got g;
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_config config = by_hand(strategies, 1);
  mb_replay_sink sink = {.context = &g, .steps = take_steps, .plan = take_plan};
  double load[L * E] = {0};
  mb_lane lane;

  d = (diary){.n = 0};
  g = (got){0};
  config.summary_from = 0;
  CHECK_OK(mb_lane_init(&lane, &config, 0, T, NULL));
  CHECK_OK(mb_lane_plan(&lane, 3, 1, 2, load, load)); /* layer 0 alone */
  CHECK_OK(mb_lane_land(&lane, 4, &sink));
  CHECK_OK(mb_lane_plan(&lane, 5, 1, 2, load, load)); /* both layers, to linear */
  lane.flight.effect_step[1] = 8;
  CU_ASSERT_EQUAL(mb_lane_next_effect(&lane, 5), 6);
  CHECK_OK(mb_lane_land(&lane, 6, &sink));
  CU_ASSERT(g.n_plans[0] == 1 && lane.layer[0].physical_to_logical_map[1] == 1);
  CU_ASSERT_EQUAL(mb_lane_next_effect(&lane, 6), 8);
  CHECK_OK(mb_lane_land(&lane, 6, &sink)); /* once more, as the replay does around a plan */
  CHECK_OK(mb_lane_plan(&lane, 7, 1, 2, load, load));
  CU_ASSERT(d.n == 2 && lane.tally.skipped_plans == 1);
  CHECK_OK(mb_lane_land(&lane, 8, &sink));
  CU_ASSERT(g.n_plans[0] == 2 && g.effect[0][1][0] == 6 && g.effect[0][1][1] == 8);
  CU_ASSERT(g.moved[0][1][0] == 2 && g.moved[0][1][1] == 0 && lane.tally.moved_experts == 4);
  CHECK_OK(mb_lane_plan(&lane, 9, 1, 2, load, load));
  CU_ASSERT_EQUAL(d.n, 3);
  mb_lane_fini(&lane);
}

static void refusals(void) {
  static got g;
  uint32_t load[T * L * E];
  mb_replay_strategy none[] = {{"none", MB_REPLAY_NONE, NULL, NULL, NULL},
                               {"none", MB_REPLAY_NONE, NULL, NULL, NULL}};
  mb_replay_summary summary = {.plans = 77};
  mb_replay_config c;
#define REFUSED(change, status, text)                         \
  do {                                                        \
    c = by_hand(none, 1);                                     \
    change;                                                   \
    g = (got){0};                                             \
    CHECK_FAILS(run(c, T, load, &g, &summary), status, text); \
    CU_ASSERT(g.n_steps[0] == 0 && summary.plans == 77);      \
  } while (0)
  fill(load, T);
  REFUSED(c.interval = 0, MB_ERR_PARAM, "interval 0");
  REFUSED(c.window = 0, MB_ERR_PARAM, "window 0");
  REFUSED(c.delay = 3, MB_ERR_PARAM, "delay 3 with interval 3");
  REFUSED(c.summary_from = T, MB_ERR_PARAM,
          "summaries begin at step 10, but the loads have 10 steps");
  REFUSED(c.n_strategies = 0, MB_ERR_PARAM, "0 strategies");
  REFUSED(c.n_strategies = 2, MB_ERR_PARAM, "both called none");
  REFUSED(c.shape.n_layers = 3, MB_ERR_SHAPE, "3 layers, but the loads are of 2");
  REFUSED(c.shape.n_experts = 2, MB_ERR_SHAPE, "2 experts, but the loads are of 4");
  REFUSED(c.shape.n_slots = 3, MB_ERR_SHAPE, "3 slots");
#undef REFUSED
  none[0] = (mb_replay_strategy){"l2", MB_REPLAY_ONLINE, NULL, NULL, NULL};
  CHECK_FAILS(run(by_hand(none, 1), T, load, &g, &summary), MB_ERR_PARAM, "l2");
}

static void empty_steps(void) {
  static got g;
  uint32_t load[T * L * E] = {0};
  mb_replay_strategy none[] = {{"none", MB_REPLAY_NONE, NULL, NULL, NULL}};
  mb_replay_summary summary = {.plans = 77};

  g = (got){0};
  CHECK_FAILS(run(by_hand(none, 1), T, load, &g, &summary), MB_ERR_RANGE, "any load");
  CU_ASSERT(summary.plans == 77 && g.n_steps[0] == T && isnan(g.step_imbalance[0][5]));
  load[(size_t)5 * L * E] = 3;
  g = (got){0};
  CHECK_OK(run(by_hand(none, 1), T, load, &g, &summary));
  CU_ASSERT(summary.steps_scored == 1 && summary.empty_layer_steps == 11);
  CU_ASSERT(summary.run_imbalance == 2.0 && summary.step_imbalance_mean == 2.0);
  CU_ASSERT(summary.tokens_per_active_slot == 3.0 && summary.worst_layer == 0);
}

static void stopped(void) {
  static diary d;
  static got g;
  uint32_t load[T * L * E];
  script s = {&d, 1, false};
  mb_replay_strategy strategies[] = {{"script", MB_REPLAY_ONLINE, &script_strategy, &s, NULL}};
  mb_replay_summary summary = {.plans = 77};

  fill(load, T);
  d = (diary){0};
  g = (got){.cancel_at = 4};
  CHECK_FAILS(run(by_hand(strategies, 1), T, load, &g, &summary), MB_ERR_CANCELLED, "enough");
  CU_ASSERT(d.n == 1 && summary.plans == 77);
  d = (diary){0};
  g = (got){.fail_at = 2};
  CHECK_FAILS(run(by_hand(strategies, 1), T, load, &g, &summary), MB_ERR_IO, "the disk is full");
  CU_ASSERT(d.n == 2 && summary.plans == 77);
}

/* The real strategies: every byte but the measured times is the same. */
static void threads(void) {
  static uint32_t load[MOST_STEPS * L * E];
  static got first, again;
  uint32_t x = 1;
  mb_replay_strategy strategies[] = {
      {"l2", MB_REPLAY_ONLINE, mb_strategy_find("l2"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, NULL}};
  mb_replay_config config = by_hand(strategies, 2);
  mb_replay_summary one[2], more[2];
  int n_threads = omp_get_max_threads();

  for (size_t i = 0; i < (size_t)MOST_STEPS * L * E; i++) {
    x = x * 1664525U + 1013904223U;
    load[i] = (x >> 16) % 9 * ((x >> 24) % 3);
  }
  config.interval = 16;
  config.window = 40;
  omp_set_num_threads(1);
  first = (got){0};
  CHECK_OK(run(config, MOST_STEPS, load, &first, one));
  for (int n = 2; n <= 4; n += 2) {
    omp_set_num_threads(n);
    again = (got){0};
    CHECK_OK(run(config, MOST_STEPS, load, &again, more));
    CU_ASSERT(memcmp(&first, &again, sizeof first) == 0);
    for (size_t i = 0; i < 2; i++) {
      more[i].planner_seconds = one[i].planner_seconds;
    }
    CU_ASSERT(memcmp(one, more, sizeof one) == 0);
  }
  omp_set_num_threads(n_threads);
}

/* Layer 0 alone has load, and GPU 0 of its two 1 + k/4 times its share: sorted 1, 1, 1.25, 1.75, 2.
   The 0.95 quantile stands 0.8 of the way from the fourth to the fifth, the 0.99 quantile 0.96. */
static void quantiles(void) {
  static const uint32_t k[] = {4, 4, 0, 1, 0, 3}; /* step 0 is not scored */
  enum { N = sizeof k / sizeof *k };
  static got g;
  uint32_t load[N * L * E] = {0};
  mb_replay_strategy none[] = {{"none", MB_REPLAY_NONE, NULL, NULL, NULL}};
  mb_replay_config config = by_hand(none, 1);
  mb_replay_summary summary;

  for (size_t t = 0; t < N; t++) {
    load[t * L * E] = 64 + 16 * k[t];
    load[t * L * E + 2] = 64 - 16 * k[t];
  }
  config.summary_from = 1;
  g = (got){0};
  CHECK_OK(run(config, N, load, &g, &summary));
  CU_ASSERT_DOUBLE_EQUAL(summary.step_imbalance_mean, 1.4, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary.step_imbalance_p50, 1.25, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary.step_imbalance_p95, 1.95, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary.step_imbalance_p99, 1.99, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary.imbalance_p99, 1.99, 1e-15);
}

/* A long trace that nobody has in memory: 400 MiB of loads, and the most that was asked for at
   once. */
enum { LONG_STEPS = 51200, LONG_LAYERS = 8, LONG_EXPERTS = 256, LONG_STEP_BYTES = 8192 };

typedef struct long_state {
  size_t *most;
  uint32_t random;
} long_state;

static mb_status long_init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  static const int32_t ids[LONG_LAYERS] = {0, 1, 2, 3, 4, 5, 6, 7};

  *(long_state *)state = (long_state){*(size_t *const *)params, (uint32_t)seed};
  *info = (mb_trace_info){.n_steps = LONG_STEPS,
                          .n_layers = LONG_LAYERS,
                          .n_experts = LONG_EXPERTS,
                          .top_k = 1,
                          .n_groups = 1,
                          .layer_ids = ids,
                          .model = "long",
                          .source = "made up",
                          .created_by = "test",
                          .padding = "",
                          .counts = "",
                          .source_semantics = ""};
  return MB_OK;
}

static mb_status long_next(void *state, size_t n, uint32_t *load) {
  long_state *s = state;

  *s->most = n > *s->most ? n : *s->most;
  for (size_t x = 0; x < n * LONG_LAYERS * LONG_EXPERTS; x++) {
    s->random = s->random * 1664525U + 1013904223U;
    load[x] = s->random >> 28;
  }
  return MB_OK;
}

static mb_status count_steps(void *context, size_t s, size_t first, size_t n,
                             const double *step_imbalance, const float *imbalance,
                             const int32_t *active) {
  (void)s;
  (void)first;
  (void)step_imbalance;
  (void)imbalance;
  (void)active;
  *(size_t *)context += n;
  return MB_OK;
}

static mb_status ignore_plan(void *context, const mb_plan_record *record) {
  (void)context;
  (void)record;
  return MB_OK;
}

/* The most memory that this process has had so far. */
static size_t peak_bytes(void) {
  struct rusage usage;

  CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_SELF, &usage), 0);
  return (size_t)usage.ru_maxrss * 1024;
}

/* An interval of 40 MiB, read in pieces of 16; it and the window before it are kept, no more. */
static void constant_memory(void) {
  static const mb_param no_params[] = {{0}};
  static const mb_generator_type type = {.name = "long",
                                         .summary = "as the test says",
                                         .params = no_params,
                                         .params_size = sizeof(size_t *),
                                         .state_size = sizeof(long_state),
                                         .init = long_init,
                                         .next = long_next};
  mb_replay_strategy strategies[] = {
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, NULL}};
  mb_replay_config config = {.shape = {LONG_LAYERS, LONG_EXPERTS, LONG_EXPERTS, 1, 1, 8},
                             .interval = 5120,
                             .window = 1024,
                             .n_strategies = 1,
                             .strategies = strategies};
  mb_replay_summary summary;
  mb_source *source = NULL;
  size_t most = 0;
  size_t *const most_at = &most;
  size_t n_steps = 0;
  mb_replay_sink sink = {.context = &n_steps, .steps = count_steps, .plan = ignore_plan};

  CHECK_OK(mb_source_open_generator(&type, &most_at, 1, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  size_t before = peak_bytes();
  CHECK_OK(mb_replay(&config, source, &sink, &summary));
  CU_ASSERT(peak_bytes() - before < (size_t)128 << 20);
  CU_ASSERT(most > 0 && most * LONG_STEP_BYTES <= (size_t)16 << 20);
  CU_ASSERT(n_steps == LONG_STEPS && summary.steps_scored == LONG_STEPS && summary.plans == 9);
  mb_source_destroy(source);
}

/* More layers than threads, and not a multiple of them. */
enum { WIDE_LAYERS = 37, WIDE_EXPERTS = 8, WIDE_STEPS = 60, WIDE_PLANS = 8 };

typedef struct wide {
  size_t n_plans[2];
  double step_imbalance[2][WIDE_STEPS];
  float imbalance[2][WIDE_STEPS * WIDE_LAYERS];
  int32_t active[2][WIDE_STEPS * WIDE_LAYERS];
  int32_t map[2][WIDE_PLANS][WIDE_LAYERS * WIDE_EXPERTS], moved[2][WIDE_PLANS][WIDE_LAYERS];
} wide;

static mb_status wide_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  wide *w = context;
  size_t cells = n * WIDE_LAYERS;

  memcpy(w->step_imbalance[s] + first, step_imbalance, n * sizeof *step_imbalance);
  memcpy(w->imbalance[s] + first * WIDE_LAYERS, imbalance, cells * sizeof *imbalance);
  memcpy(w->active[s] + first * WIDE_LAYERS, active, cells * sizeof *active);
  return MB_OK;
}

static mb_status wide_plan(void *context, const mb_plan_record *record) {
  wide *w = context;
  size_t s = record->strategy;
  size_t k = w->n_plans[s]++;

  memcpy(w->map[s][k], record->physical_to_logical_map, sizeof w->map[s][k]);
  memcpy(w->moved[s][k], record->moved_experts, sizeof w->moved[s][k]);
  return MB_OK;
}

static void run_wide(const uint32_t *load, wide *w, mb_replay_summary summary[2]) {
  int32_t ids[WIDE_LAYERS];
  mb_replay_strategy strategies[] = {
      {"maxmin", MB_REPLAY_ONLINE, mb_strategy_find("maxmin"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, NULL}};
  mb_replay_config config = by_hand(strategies, 2);
  mb_trace_info info = {.n_steps = WIDE_STEPS,
                        .n_layers = WIDE_LAYERS,
                        .n_experts = WIDE_EXPERTS,
                        .top_k = 1,
                        .n_groups = 1,
                        .layer_ids = ids,
                        .model = "wide",
                        .source = "made up",
                        .created_by = "test",
                        .padding = "",
                        .counts = "",
                        .source_semantics = ""};
  mb_replay_sink sink = {.context = w, .steps = wide_steps, .plan = wide_plan};
  mb_source *source = NULL;

  for (int32_t l = 0; l < WIDE_LAYERS; l++) {
    ids[l] = l;
  }
  config.shape = (mb_shape){WIDE_LAYERS, WIDE_EXPERTS, WIDE_EXPERTS, 1, 1, 4};
  config.interval = 10;
  config.window = 15;
  memset(w, 0, sizeof *w);
  CHECK_OK(mb_source_open_memory(&info, load, &source));
  CHECK_OK(mb_replay(&config, source, &sink, summary));
  mb_source_destroy(source);
  for (size_t i = 0; i < 2; i++) {
    summary[i].planner_seconds = 0;
  }
}

static void threads_and_layers(void) {
  static uint32_t load[WIDE_STEPS * WIDE_LAYERS * WIDE_EXPERTS];
  static wide first, again;
  mb_replay_summary one[2];
  mb_replay_summary more[2];
  uint32_t x = 2;
  int n_threads = omp_get_max_threads();

  for (size_t i = 0; i < sizeof load / sizeof *load; i++) {
    x = x * 1664525U + 1013904223U;
    load[i] = (x >> 16) % 999;
  }
  omp_set_num_threads(1);
  run_wide(load, &first, one);
  CU_ASSERT(first.n_plans[0] == 5 && first.n_plans[1] == 6 && one[0].moved_experts > 0);
  for (int n = 2; n <= 8; n += 3) {
    omp_set_num_threads(n);
    run_wide(load, &again, more);
    CU_ASSERT(memcmp(&first, &again, sizeof first) == 0);
    CU_ASSERT(memcmp(one, more, sizeof one) == 0);
  }
  omp_set_num_threads(n_threads);
}

int main(void) {
  CU_TestInfo tests[] = {{"a replay worked out by hand", worked_example},
                         {"gaps to what packing can do", gaps},
                         {"what a summary covers", summary_from},
                         {"windows and their slices", windows},
                         {"hindsight", hindsight},
                         {"a planner that keeps what there is", planner_that_keeps},
                         {"layers take effect one by one", layers_one_by_one},
                         {"refusals", refusals},
                         {"steps without load", empty_steps},
                         {"stopped on the way", stopped},
                         {"any number of threads", threads},
                         {"any number of threads, many layers", threads_and_layers},
                         {"quantiles by hand", quantiles},
                         {"a long trace in constant memory", constant_memory},
                         CU_TEST_INFO_NULL};
  return run_suite("replay", tests);
}
