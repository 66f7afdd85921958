/* tests/test_schedule.c - what each strategy of a replay can be given besides its parameters: its
 * own window, when its plans are made, and passes that they go through. */
#include <math.h>
#include <stdint.h>

#include "sim/replay.h"
#include "tests/test.h"

enum { L = 3, E = 16, P = 20, D = 4, T = 64, MOST_LANES = 4, K_MOST = 16 };

/* G = 4 groups on N = 2 nodes, and the same without hierarchy. */
static const mb_shape HIERARCHICAL = {L, E, P, 4, 2, D};
static const mb_shape GLOBAL = {L, E, P, 1, 1, D};

typedef struct got {
  double step_imbalance[MOST_LANES][T];
  float imbalance[MOST_LANES][T * L];
  size_t n_plans[MOST_LANES];
  int64_t step[MOST_LANES][K_MOST], effect[MOST_LANES][K_MOST][L];
  int32_t map[MOST_LANES][K_MOST][L * P];
  float planned[MOST_LANES][K_MOST][L];
  mb_replay_summary summary[MOST_LANES];
} got;

static mb_status take_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  got *g = context;

  (void)active;
  memcpy(g->step_imbalance[s] + first, step_imbalance, n * sizeof *step_imbalance);
  memcpy(g->imbalance[s] + first * L, imbalance, n * L * sizeof *imbalance);
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;
  size_t s = record->strategy;
  size_t k = g->n_plans[s]++;

  CU_ASSERT_FATAL(k < K_MOST);
  g->step[s][k] = record->step;
  memcpy(g->effect[s][k], record->effect_step, sizeof g->effect[0][0]);
  memcpy(g->map[s][k], record->physical_to_logical_map, sizeof g->map[0][0]);
  memcpy(g->planned[s][k], record->planned_imbalance, sizeof g->planned[0][0]);
  return MB_OK;
}

/* Some experts are hot for a while, others later. */
static void fill(uint32_t *load) {
  uint64_t x = 88172645463325252U;

  for (size_t i = 0; i < (size_t)T * L * E; i++) {
    size_t t = i / ((size_t)L * E);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    load[i] = (uint32_t)(x >> 20) % 50 + (i % E / 3 == t / 13 ? 100 : 0);
  }
}

static mb_replay_config make_config(mb_shape shape, const mb_replay_strategy *strategies,
                                    size_t n) {
  return (mb_replay_config){.shape = shape,
                            .interval = 5,
                            .window = 7,
                            .delay = 1,
                            .summary_from = 6,
                            .n_strategies = n,
                            .strategies = strategies};
}

static void run(mb_replay_config config, got *g) {
  static const int32_t ids[L] = {0, 1, 2};
  static uint32_t load[T * L * E];
  const mb_trace_info info = {.n_steps = T,
                              .n_layers = L,
                              .n_experts = E,
                              .top_k = 1,
                              .n_groups = 4,
                              .layer_ids = ids,
                              .model = "made up",
                              .source = "made up",
                              .created_by = "test",
                              .padding = "",
                              .counts = "",
                              .source_semantics = ""};
  const mb_replay_sink sink = {.context = g, .steps = take_steps, .plan = take_plan};
  mb_source *source = NULL;

  *g = (got){.n_plans = {0}};
  fill(load);
  CHECK_OK(mb_source_open_memory(&info, load, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  CHECK_OK(mb_replay(&config, source, &sink, g->summary));
  mb_source_destroy(source);
}

/* The defaults, but for these "key", "value" pairs, which end with NULL. */
static mb_lane_options options_with(const char *const *pairs) {
  mb_lane_options options;

  mb_lane_options_init(&options);
  for (; *pairs != NULL; pairs += 2) {
    CHECK_OK(mb_params_set(mb_lane_plan_params(), pairs[0], pairs[1], &options));
  }
  return options;
}

#define OPTIONS(...) options_with((const char *const[]){__VA_ARGS__, NULL})

static bool same_plans(const got *a, size_t i, const got *b, size_t j) {
  return a->n_plans[i] > 0 && a->n_plans[i] == b->n_plans[j] &&
         memcmp(a->map[i], b->map[j], sizeof a->map[i]) == 0 &&
         memcmp(a->planned[i], b->planned[j], sizeof a->planned[i]) == 0 &&
         memcmp(a->effect[i], b->effect[j], sizeof a->effect[i]) == 0 &&
         memcmp(a->step_imbalance[i] + 6, b->step_imbalance[j] + 6, (T - 6) * sizeof(double)) == 0;
}

static mb_replay_strategy online(const char *label, const char *name,
                                 const mb_lane_options *options) {
  return (mb_replay_strategy){label, MB_REPLAY_ONLINE, mb_strategy_find(name), NULL, options};
}

/* --- windows --- */

/* A strategy's own window is as good as a replay with that window, whatever the others have. */
static void own_windows(void) {
  static got together;
  static got alone;
  const mb_lane_options options[] = {OPTIONS("window", "3"), OPTIONS("window", "12"),
                                     OPTIONS("window", "1000"), OPTIONS("window", "schedule")};
  static const size_t windows[] = {3, 12, 1000, 7};
  const mb_replay_strategy strategies[] = {
      online("a", "l2", &options[0]), online("b", "l2", &options[1]),
      online("c", "maxmin", &options[2]), online("d", "l2", &options[3])};
  size_t n_different = 0;

  run(make_config(HIERARCHICAL, strategies, 4), &together);
  for (size_t i = 0; i < 4; i++) {
    mb_replay_strategy one = strategies[i];
    one.options = i % 2 == 0 ? NULL : &options[3];
    mb_replay_config config = make_config(HIERARCHICAL, &one, 1);
    config.window = windows[i];
    run(config, &alone);
    CU_ASSERT(same_plans(&together, i, &alone, 0));
    n_different += !same_plans(&together, i, &together, 3);
  }
  CU_ASSERT_EQUAL(n_different, 3);
}

/* --- post-passes --- */

static size_t n_changed_slots(const got *g, size_t lane) {
  size_t n = 0;

  for (size_t k = 1; k < g->n_plans[lane]; k++) {
    for (size_t p = 0; p < (size_t)L * P; p++) {
      n += g->map[lane][k][p] != g->map[lane][k - 1][p];
    }
  }
  return n;
}

static void check_same_balance(const got *g, size_t i, size_t j) {
  for (size_t t = 0; t < T; t++) {
    CU_ASSERT(fabs(g->step_imbalance[i][t] - g->step_imbalance[j][t]) < 1e-12);
  }
  CU_ASSERT_EQUAL(g->n_plans[i], g->n_plans[j]);
  for (size_t k = 0; k < g->n_plans[i]; k++) {
    for (size_t l = 0; l < L; l++) {
      CU_ASSERT(fabs((double)(g->planned[i][k][l] - g->planned[j][k][l])) < 1e-6);
    }
  }
}

/* The same balance for less, in every way of planning; relabelled experts are turned back first. */
static void post_passes(void) {
  static const char *const names[] = {"lpt", "maxmin", "l2"};
  static got g;
  const mb_lane_options assign = OPTIONS("assign", "gpus");
  const mb_lane_options keep = OPTIONS("keep_slots", "true");
  const mb_lane_options both = OPTIONS("assign", "gpus", "keep_slots", "true");

  for (size_t i = 0; i < 12; i++) {
    const char *name = names[i % 3];
    const mb_replay_strategy strategies[] = {
        online("plain", name, NULL), online("assign", name, &assign), online("keep", name, &keep),
        online("both", name, &both)};
    mb_replay_config config = make_config(i < 6 ? HIERARCHICAL : GLOBAL, strategies, 4);
    config.relabel = i / 3 % 2 * 7;
    run(config, &g);
    CU_ASSERT(g.summary[0].moved_experts > 0);
    for (size_t j = 1; j < 4; j++) {
      check_same_balance(&g, 0, j);
    }
    CU_ASSERT(g.summary[1].moved_experts < g.summary[0].moved_experts);
    CU_ASSERT_EQUAL(g.summary[2].moved_experts, g.summary[0].moved_experts);
    CU_ASSERT_EQUAL(g.summary[3].moved_experts, g.summary[1].moved_experts);
    CU_ASSERT(n_changed_slots(&g, 2) < n_changed_slots(&g, 0));
    /* Nothing but what moves is copied: no expert has two slots of a GPU here. */
    CU_ASSERT(n_changed_slots(&g, 3) < n_changed_slots(&g, 1));
  }
}

/* --- triggers --- */

static double mean_load(size_t t, size_t l) {
  static uint32_t load[T * L * E];
  double sum = 0.0;

  fill(load);
  for (size_t e = 0; e < E; e++) {
    sum += load[(t * L + l) * E + e];
  }
  return sum / D;
}

/* Of layers [first, end) over steps [from, to), from what the replay says of each. */
static double imbalance_of(const got *g, size_t lane, size_t from, size_t to, size_t first,
                           size_t end) {
  double max = 0.0;
  double mean = 0.0;

  for (size_t t = from; t < to; t++) {
    for (size_t l = first; l < end; l++) {
      max += (double)g->imbalance[lane][t * L + l] * mean_load(t, l);
      mean += mean_load(t, l);
    }
  }
  return max / mean;
}

/* Plans of a lane are made where the imbalance since the last one took effect is above `most`. */
static void check_threshold(const got *g, size_t lane, double most, bool all) {
  size_t since = 0;
  size_t k = 0;
  int64_t n_left_out = 0;

  for (size_t t = 5; t + 1 < T; t += 5) {
    bool due[L];
    bool any = false;
    for (size_t l = 0; l < L; l++) {
      due[l] = imbalance_of(g, lane, since, t, all ? 0 : l, all ? L : l + 1) > most;
      any = any || due[l];
    }
    bool made = k < g->n_plans[lane] && g->step[lane][k] == (int64_t)t;
    CU_ASSERT_EQUAL(made, any);
    n_left_out += !any && t >= 6;
    for (size_t l = 0; l < L && made; l++) {
      CU_ASSERT_EQUAL(g->effect[lane][k][l], due[l] ? (int64_t)t + 1 : -1);
    }
    since = made ? t + 1 : since;
    k += made;
  }
  CU_ASSERT_EQUAL(k, g->n_plans[lane]);
  CU_ASSERT_EQUAL(g->summary[lane].untriggered_plans, n_left_out);
}

static void thresholds(void) {
  static got g;
  const mb_lane_options always = OPTIONS("trigger", "threshold", "trigger_imbalance", "1");
  const mb_lane_options never = OPTIONS("trigger", "threshold", "trigger_imbalance", "4");
  const mb_lane_options layer = OPTIONS("trigger", "threshold", "trigger_imbalance", "1.33");
  const mb_lane_options all =
      OPTIONS("trigger", "threshold", "trigger_imbalance", "1.33", "trigger_scope", "all");
  const mb_replay_strategy strategies[] = {
      online("plain", "l2", NULL), online("always", "l2", &always), online("layer", "l2", &layer),
      online("all", "l2", &all)};
  const mb_replay_strategy others[] = {
      online("never", "l2", &never),
      {"none", MB_REPLAY_NONE, NULL, NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, &never}};

  run(make_config(HIERARCHICAL, strategies, 4), &g);
  CU_ASSERT(same_plans(&g, 0, &g, 1));
  CU_ASSERT_EQUAL(g.summary[1].untriggered_plans, 0);
  check_threshold(&g, 2, 1.33, false);
  check_threshold(&g, 3, 1.33, true);
  CU_ASSERT(g.n_plans[2] > g.n_plans[3] && g.n_plans[3] > 0);
  CU_ASSERT(g.summary[3].untriggered_plans > 0);
  run(make_config(HIERARCHICAL, others, 3), &g);
  CU_ASSERT_EQUAL(g.n_plans[0], 0);
  CU_ASSERT_EQUAL(g.summary[0].untriggered_plans, 11); /* 10, 15, ... 60 */
  CU_ASSERT(memcmp(g.step_imbalance[0], g.step_imbalance[1], sizeof g.step_imbalance[0]) == 0);
  CU_ASSERT_EQUAL(g.n_plans[2], 13); /* hindsight doesn't ask */
}

/* With a slot a GPU, some imbalance is there whatever one plans: it calls for no plan. */
static void against_the_bound(void) {
  static got g;
  const mb_lane_options mean = OPTIONS("trigger", "threshold", "trigger_imbalance", "1.1");
  const mb_lane_options bound =
      OPTIONS("trigger", "threshold", "trigger_imbalance", "1.1", "trigger_reference", "bound");
  const mb_replay_strategy strategies[] = {online("mean", "l2", &mean),
                                           online("bound", "l2", &bound)};
  mb_shape shape = GLOBAL;

  shape.n_gpus = P;
  run(make_config(shape, strategies, 2), &g);
  CU_ASSERT_EQUAL(g.summary[0].untriggered_plans, 0);
  CU_ASSERT(g.summary[1].plans > 0 && g.summary[1].moved_experts < g.summary[0].moved_experts);
}

/* The largest GPU load of a layer under a map, for the sum of steps [first, end). */
static double peak(const int32_t *map, size_t l, size_t first, size_t end) {
  static uint32_t load[T * L * E];
  double sum[E] = {0};
  double count[E] = {0};
  double most = 0.0;

  fill(load);
  for (size_t t = first; t < end; t++) {
    for (size_t e = 0; e < E; e++) {
      sum[e] += load[(t * L + l) * E + e];
    }
  }
  for (size_t p = 0; p < P; p++) {
    count[map[p]] += 1.0;
  }
  for (size_t p = 0; p < P; p += P / D) {
    double one = 0.0;
    for (size_t q = p; q < p + P / D; q++) {
      one += sum[map[q]] / count[map[q]];
    }
    most = one > most ? one : most;
  }
  return most;
}

/* Lane 0 says what lpt plans from any loads; lane `lane` weighs just that against what is there. */
static void check_cost_aware(const got *g, size_t lane, double cost, double share, double horizon,
                             bool all) {
  int32_t before[L * P];
  int32_t scratch[E];
  size_t n_kept = 0;
  int64_t n_left_out = 0;

  CU_ASSERT_EQUAL_FATAL(g->n_plans[lane], g->n_plans[0]);
  for (size_t l = 0; l < L; l++) {
    mb_placement_linear(&HIERARCHICAL, before + l * P);
  }
  for (size_t k = 0; k < g->n_plans[0]; k++) {
    size_t t = (size_t)g->step[0][k];
    size_t first = t < 7 ? 0 : t - 7;
    double profit[L];
    double total = 0.0;
    bool any = false;
    for (size_t l = 0; l < L; l++) {
      const int32_t *after = g->map[0][k] + l * P;
      double mean = 0.0;
      for (size_t u = first; u < t; u++) {
        mean += mean_load(u, l);
      }
      double price = cost + share * mean / (double)(t - first) * horizon / P;
      profit[l] = (peak(before + l * P, l, first, t) - peak(after, l, first, t)) /
                      (double)(t - first) * horizon -
                  price * mb_placement_moved_experts(&HIERARCHICAL, before + l * P, after, scratch);
      total += profit[l];
    }
    for (size_t l = 0; l < L; l++) {
      bool pays = (all ? total : profit[l]) > 0.0;
      CU_ASSERT_EQUAL(g->effect[lane][k][l], pays ? (int64_t)t + 1 : -1);
      CU_ASSERT(memcmp(g->map[lane][k] + l * P, (pays ? g->map[0][k] : before) + l * P,
                       P * sizeof(int32_t)) == 0);
      any = any || pays;
      n_kept += !pays;
    }
    n_left_out += !any && t >= 6;
    memcpy(before, g->map[lane][k], sizeof before);
  }
  CU_ASSERT(n_kept > 0 && n_kept < L * g->n_plans[0]);
  CU_ASSERT_EQUAL(g->summary[lane].untriggered_plans, n_left_out);
}

static void cost_aware(void) {
  static got g;
  const mb_lane_options cheap =
      OPTIONS("trigger", "cost_aware", "trigger_move_cost", "13", "trigger_move_gain", "0");
  const mb_lane_options far = OPTIONS("trigger", "cost_aware", "trigger_move_cost", "60",
                                      "trigger_move_gain", "0.2", "trigger_horizon", "30");
  const mb_lane_options all = OPTIONS("trigger", "cost_aware", "trigger_move_cost", "13",
                                      "trigger_move_gain", "0", "trigger_scope", "all");
  const mb_replay_strategy strategies[] = {online("plain", "lpt", NULL),
                                           online("cheap", "lpt", &cheap),
                                           online("far", "lpt", &far), online("all", "lpt", &all)};

  run(make_config(HIERARCHICAL, strategies, 4), &g);
  check_cost_aware(&g, 1, 13.0, 0.0, 5.0, false);
  check_cost_aware(&g, 2, 60.0, 0.2, 30.0, false);
  check_cost_aware(&g, 3, 13.0, 0.0, 5.0, true);
  CU_ASSERT(g.summary[3].untriggered_plans > 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"own windows", own_windows}, {"post-passes", post_passes},
                         {"thresholds", thresholds},   {"against the bound", against_the_bound},
                         {"cost-aware", cost_aware},   CU_TEST_INFO_NULL};
  return run_suite("schedule", tests);
}
