/* tests/test_attribution.c - the parts of an excess, against replays written out here. */
#include "sim/attribution.h"

#include <math.h>
#include <stdint.h>

#include "balancer/rebalance.h"
#include "balancer/split.h"
#include "sim/dispatch.h"
#include "sim/replay.h"
#include "tests/test.h"

enum { L = 3, E = 16, P = 20, D = 4, T = 58, INTERVAL = 8, I = (T + INTERVAL - 1) / INTERVAL };

/* G = 4 groups on N = 2 nodes, and the same without hierarchy. */
static const mb_shape HIERARCHICAL = {L, E, P, 4, 2, D};
static const mb_shape GLOBAL = {L, E, P, 1, 1, D};

typedef struct got {
  double step_imbalance[T], step_load[T];
  size_t n_plans, n_intervals;
  int32_t map[I][L * P];
  int64_t step[I], n_steps[I];
  double load[I], excess[I], parts[I][MB_N_PARTS], shapley[I][MB_N_PARTS];
} got;

static uint32_t load[T * L * E];

static mb_status take_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  (void)s;
  (void)imbalance;
  (void)active;
  memcpy(((got *)context)->step_imbalance + first, step_imbalance, n * sizeof *step_imbalance);
  return MB_OK;
}

static mb_status take_step_load(void *context, size_t first, size_t n, const double *step_load) {
  memcpy(((got *)context)->step_load + first, step_load, n * sizeof *step_load);
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;

  CU_ASSERT_FATAL(g->n_plans < I);
  memcpy(g->map[g->n_plans++], record->physical_to_logical_map, sizeof g->map[0]);
  return MB_OK;
}

static mb_status take_attribution(void *context, const mb_attribution_record *record) {
  got *g = context;
  size_t i = g->n_intervals++;

  CU_ASSERT_FATAL(i < I);
  g->step[i] = record->step;
  g->n_steps[i] = record->n_steps;
  g->load[i] = record->load;
  g->excess[i] = record->excess;
  memcpy(g->parts[i], record->parts, sizeof g->parts[i]);
  memcpy(g->shapley[i], record->shapley, sizeof g->shapley[i]);
  return MB_OK;
}

/* Some experts are hot for a while, others later. */
static void fill(void) {
  uint64_t x = 88172645463325252U;

  for (size_t i = 0; i < (size_t)T * L * E; i++) {
    size_t t = i / ((size_t)L * E);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    load[i] = (uint32_t)(x >> 20) % 50 + (i % E / 3 == t / 13 ? 100 : 0);
  }
}

static void run(const mb_shape *shape, size_t delay, const char *dispatch, got *g) {
  mb_lane_options options;
  mb_lane_options_init(&options);
  (void)snprintf(options.dispatch.dispatch, sizeof options.dispatch.dispatch, "%s", dispatch);
  const mb_replay_strategy strategies[] = {
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, &options}};
  const mb_replay_config config = {.shape = *shape,
                                   .interval = INTERVAL,
                                   .window = 5,
                                   .delay = delay,
                                   .summary_from = INTERVAL,
                                   .n_strategies = 1,
                                   .strategies = strategies};
  const mb_replay_sink sink = {.context = g,
                               .steps = take_steps,
                               .plan = take_plan,
                               .step_load = take_step_load,
                               .attribution = take_attribution};
  int32_t layer_ids[L] = {0, 1, 2};
  const mb_trace_info info = {.n_steps = T,
                              .n_layers = L,
                              .n_experts = E,
                              .top_k = 1,
                              .n_groups = 4,
                              .layer_ids = layer_ids};
  mb_replay_summary summary;
  mb_source *source = NULL;

  *g = (got){.n_plans = 0};
  CHECK_OK(mb_source_open_memory(&info, load, &source));
  CHECK_OK(mb_replay(&config, source, &sink, &summary));
  mb_source_destroy(source);
}

/* --- the replays, plainly --- */

/* The largest GPU load of one layer's loads: of the best split, or of even shares. */
static double largest(const mb_shape *shape, const int32_t *map, const double *loads, bool best) {
  double slot_load[P];
  int32_t count[E];
  mb_split *split = NULL;
  mb_split_result result = {.load_max = 0.0};
  double most = 0.0;

  if (best) {
    CHECK_OK(mb_split_create(shape, &split));
    CHECK_OK(mb_split_prepare(split, map, NULL));
    CHECK_OK(mb_split_solve(split, loads, NULL, slot_load, &result));
    mb_split_destroy(split);
    return result.load_max;
  }
  CHECK_OK(mb_placement_count(shape, map, count));
  for (size_t d = 0; d < D; d++) {
    double sum = 0.0;
    for (size_t p = d * (P / D); p < (d + 1) * (P / D); p++) {
      sum += loads[map[p]] / count[map[p]];
    }
    most = sum > most ? sum : most;
  }
  return most;
}

/* What is in force at a step, before and after the interval's plan. */
typedef struct in_force {
  const int32_t *before, *after;
  size_t effect;
} in_force;

static double excess_of(const mb_shape *shape, size_t first, size_t end, bool noise,
                        in_force placed, bool best) {
  double sum = 0.0;
  double total = 0.0;

  for (size_t l = 0; l < L; l++) {
    double mean[E] = {0};
    for (size_t t = first; t < end; t++) {
      for (size_t e = 0; e < E; e++) {
        mean[e] += load[(t * L + l) * E + e] / (double)(end - first);
        total += load[(t * L + l) * E + e];
      }
    }
    for (size_t t = first; t < end; t++) {
      const int32_t *map = (t < placed.effect ? placed.before : placed.after) + l * P;
      double own[E];
      for (size_t e = 0; e < E; e++) {
        own[e] = load[(t * L + l) * E + e];
      }
      sum += largest(shape, map, noise ? own : mean, best);
    }
  }
  return sum / (total / D) - 1.0;
}

/* LPT's placement from the loads of [first, end) themselves. */
static void plan_for(const mb_shape *shape, size_t first, size_t end, int32_t *map) {
  double sum[L * E] = {0};
  mb_placement placement = {.physical_to_logical_map = map};

  for (size_t t = first; t < end; t++) {
    for (size_t i = 0; i < (size_t)L * E; i++) {
      sum[i] += load[t * L * E + i];
    }
  }
  CHECK_OK(mb_rebalance(shape, sum, mb_refinement_find("lpt"), NULL, &placement));
}

/* The excess of every set of ways: bit 0 noise, 1 staleness, 2 delay, 3 even dispatch. */
static void replay_all(const mb_shape *shape, const got *g, size_t i, size_t delay, double v[16]) {
  size_t first = (i + 1) * INTERVAL;
  size_t end = first + INTERVAL < T ? first + INTERVAL : T;
  int32_t linear[L * P];
  int32_t before[L * P];
  int32_t after[L * P];

  for (size_t l = 0; l < L; l++) {
    mb_placement_linear(shape, linear + l * P);
  }
  plan_for(shape, first - INTERVAL, first, before);
  plan_for(shape, first, end, after);
  for (size_t set = 0; set < 16; set++) {
    bool stale = (set & 2) != 0;
    in_force placed = {stale ? (i == 0 ? linear : g->map[i - 1]) : before,
                       stale ? g->map[i] : after, first + ((set & 4) != 0 ? delay : 0)};
    v[set] = excess_of(shape, first, end, (set & 1) != 0, placed, (set & 8) == 0);
  }
}

/* Over all 24 orders of the four ways, what each adds. */
static void average_orders(const double v[16], double value[4]) {
  memset(value, 0, 4 * sizeof *value);
  for (int a = 0; a < 4; a++) {
    for (int b = 0; b < 4; b++) {
      for (int c = 0; c < 4; c++) {
        int d = 6 - a - b - c;
        if (a == b || a == c || b == c) {
          continue;
        }
        const int order[4] = {a, b, c, d};
        size_t set = 0;
        for (size_t k = 0; k < 4; k++) {
          size_t way = (size_t)1 << order[k];
          value[order[k]] += (v[set | way] - v[set]) / 24.0;
          set |= way;
        }
      }
    }
  }
}

static void check_interval(const mb_shape *shape, const got *g, size_t i, size_t delay) {
  double v[16];
  double value[4];
  double bounds = g->parts[i][MB_PART_GRANULARITY] + g->parts[i][MB_PART_HIERARCHY];

  replay_all(shape, g, i, delay, v);
  average_orders(v, value);
  CU_ASSERT_DOUBLE_EQUAL(g->excess[i], v[15], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(bounds + g->parts[i][MB_PART_PACKING], v[0], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(g->parts[i][MB_PART_NOISE], v[1] - v[0], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(g->parts[i][MB_PART_STALENESS], v[3] - v[1], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(g->parts[i][MB_PART_DELAY], v[7] - v[3], 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(g->parts[i][MB_PART_DISPATCH], v[15] - v[7], 1e-12);
  for (size_t k = 0; k < 4; k++) {
    CU_ASSERT_DOUBLE_EQUAL(g->shapley[i][MB_PART_NOISE + k], value[k], 1e-12);
  }
  for (size_t k = 0; k < MB_PART_NOISE; k++) {
    CU_ASSERT_EQUAL(g->shapley[i][k], g->parts[i][k]);
    CU_ASSERT(g->parts[i][k] >= -1e-12);
  }
}

static void check_sums(const got *g) {
  for (size_t i = 0; i < g->n_intervals; i++) {
    double parts = 0.0;
    double shapley = 0.0;
    double sum = 0.0;
    double tokens = 0.0;
    for (size_t k = 0; k < MB_N_PARTS; k++) {
      parts += g->parts[i][k];
      shapley += g->shapley[i][k];
    }
    for (int64_t t = g->step[i]; t < g->step[i] + g->n_steps[i]; t++) {
      sum += g->step_imbalance[t] * g->step_load[t];
      tokens += g->step_load[t];
    }
    CU_ASSERT_DOUBLE_EQUAL(parts, g->excess[i], 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(shapley, g->excess[i], 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(g->excess[i], sum / tokens - 1.0, 1e-12);
    CU_ASSERT_EQUAL(g->load[i], tokens);
  }
}

static void as_replayed(void) {
  const mb_shape *shapes[] = {&HIERARCHICAL, &GLOBAL};
  static got g;

  fill();
  for (size_t x = 0; x < 4; x++) {
    size_t delay = x % 2 == 0 ? 0 : 3;
    /* A delay of 3 leaves the last interval, of 2 steps, without a plan. */
    size_t plans = delay == 0 ? I - 1 : I - 2;
    run(shapes[x / 2], delay, "even", &g);
    CU_ASSERT_EQUAL(g.n_intervals, I - 1);
    CU_ASSERT_EQUAL(g.n_plans, plans);
    CU_ASSERT(g.step[0] == INTERVAL && g.n_steps[0] == INTERVAL && g.n_steps[I - 2] == 2);
    check_sums(&g);
    for (size_t i = 0; i < plans; i++) {
      check_interval(shapes[x / 2], &g, i, delay);
    }
  }
}

/* The sums hold whatever the dispatch, and nothing is lost to one that is the best already. */
static void any_dispatch(void) {
  static got g;

  fill();
  for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
    run(&GLOBAL, 2, (*type)->name, &g);
    CU_ASSERT_EQUAL(g.n_intervals, I - 1);
    check_sums(&g);
    for (size_t i = 0; i < g.n_intervals; i++) {
      CU_ASSERT(g.parts[i][MB_PART_DISPATCH] >= -1e-12);
      if (strcmp((*type)->name, "lp") == 0) {
        CU_ASSERT_DOUBLE_EQUAL(g.parts[i][MB_PART_DISPATCH], 0.0, 1e-9);
      }
    }
  }
}

/* One expert has all the load: four replicas, and the rest of a fifth's worth is in the slots. */
static void by_hand(void) {
  const mb_shape shape = {L, E, P, 1, 1, D};
  static got g;

  memset(load, 0, sizeof load);
  for (size_t i = 0; i < (size_t)T * L; i++) {
    load[i * E] = 40;
  }
  run(&shape, 0, "even", &g);
  for (size_t i = 0; i < g.n_intervals; i++) {
    /* 5 replicas of 8 tokens on 4 GPUs: two on one of them, 16 of a mean of 10. The best split puts
       10 on each, so that all of it is dispatch. */
    CU_ASSERT_DOUBLE_EQUAL(g.excess[i], 0.6, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(g.parts[i][MB_PART_DISPATCH], 0.6, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(g.parts[i][MB_PART_GRANULARITY], 0.0, 1e-12);
  }
  fill();
}

/* Steps without load weigh nothing, and an interval of them is left out. */
static void without_load(void) {
  static got g;

  fill();
  memset(load + (size_t)2 * INTERVAL * L * E, 0, (size_t)INTERVAL * L * E * sizeof *load);
  run(&GLOBAL, 0, "even", &g);
  CU_ASSERT_EQUAL(g.n_intervals, I - 2);
  CU_ASSERT(g.step[0] == INTERVAL && g.step[1] == 3 * (int64_t)INTERVAL);
  fill();
}

static void means(void) {
  const double parts[2][MB_N_PARTS] = {{0.1, 0, 0, 0.2, 0, 0, 0.3}, {0.4, 0, 0, 0, 0, 0, 0}};
  mb_attribution_mean sum = {.n_intervals = 0};

  for (size_t i = 0; i < 2; i++) {
    mb_attribution_add(&sum, &(mb_attribution_record){.n_steps = 5,
                                                      .load = i == 0 ? 100.0 : 300.0,
                                                      .excess = i == 0 ? 0.6 : 0.4,
                                                      .parts = parts[i],
                                                      .shapley = parts[1 - i]});
  }
  mb_attribution_mean mean = mb_attribution_divide(&sum);
  CU_ASSERT(mean.n_intervals == 2 && mean.n_steps == 10 && mean.load == 400.0);
  CU_ASSERT_DOUBLE_EQUAL(mean.excess, 0.45, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mean.parts[0], 0.325, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mean.parts[6], 0.075, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mean.shapley[0], 0.175, 1e-15);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"as replayed plainly", as_replayed}, {"any dispatch", any_dispatch},  {"by hand", by_hand},
      {"without load", without_load},       {"means over intervals", means}, CU_TEST_INFO_NULL};
  return run_suite("attribution", tests);
}
