/* tests/test_relabel.c - experts under other numbers: which ones, and what planners make of them.
 */
#include "sim/relabel.h"

#include <math.h>
#include <stdint.h>

#include "sim/replay.h"
#include "tests/test.h"

enum { L = 3, E = 16, P = 20, T = 24, N_LANES = 5, K_MOST = 8 };

static const mb_shape SHAPE = {L, E, P, 4, 2, 4};

/* --- the permutations --- */

static void permutations(void) {
  for (size_t number = 1; number <= 8; number++) {
    mb_relabel one;
    mb_relabel same;
    CHECK_OK(mb_relabel_init(&one, &SHAPE, number));
    CHECK_OK(mb_relabel_init(&same, &SHAPE, number));
    CU_ASSERT(memcmp(one.label_of, same.label_of, sizeof(int32_t) * L * E) == 0);
    for (size_t l = 0; l < L; l++) {
      for (size_t e = 0; e < E; e++) {
        int32_t label = one.label_of[l * E + e];
        CU_ASSERT_FATAL(label >= 0 && label < E);
        CU_ASSERT_EQUAL(one.expert_of[l * E + (size_t)label], (int32_t)e);
        /* Who shares a group still does. */
        CU_ASSERT_EQUAL(label / 4, one.label_of[l * E + e / 4 * 4] / 4);
      }
    }
    /* Layers and numbers have permutations of their own. */
    CU_ASSERT(memcmp(one.label_of, one.label_of + E, sizeof(int32_t) * E) != 0);
    mb_relabel_fini(&same);
    CHECK_OK(mb_relabel_init(&same, &SHAPE, number + 1));
    CU_ASSERT(memcmp(one.label_of, same.label_of, sizeof(int32_t) * L * E) != 0);
    mb_relabel_fini(&same);
    mb_relabel_fini(&one);
  }
}

/* Two groups of two have 2 * 2 * 2 permutations; in 1600 draws each has 200, give or take 4.5
 * standard deviations of 13. */
static void all_as_likely(void) {
  const mb_shape shape = {1, 4, 4, 2, 1, 2};
  size_t count[4 * 4 * 4] = {0};
  size_t n_seen = 0;

  for (size_t number = 1; number <= 1600; number++) {
    mb_relabel one;
    CHECK_OK(mb_relabel_init(&one, &shape, number));
    count[(one.label_of[0] * 4 + one.label_of[1]) * 4 + one.label_of[2]]++;
    mb_relabel_fini(&one);
  }
  for (size_t i = 0; i < sizeof count / sizeof *count; i++) {
    n_seen += count[i] > 0;
    CU_ASSERT(count[i] == 0 || (count[i] > 140 && count[i] < 260));
  }
  CU_ASSERT_EQUAL(n_seen, 8);
}

static void there_and_back(void) {
  mb_relabel one;
  double load[2 * L * E];
  double by_label[2 * L * E];
  int32_t map[P];
  int32_t labels[P];

  CHECK_OK(mb_relabel_init(&one, &SHAPE, 7));
  for (size_t i = 0; i < (size_t)2 * L * E; i++) {
    load[i] = (double)i;
  }
  mb_relabel_loads(&one, 2, load, by_label);
  for (size_t i = 0; i < (size_t)2 * L * E; i++) {
    size_t label = (size_t)one.label_of[i % (size_t)(L * E)];
    CU_ASSERT_EQUAL(by_label[i / E * E + label], load[i]);
  }
  mb_placement_linear(&SHAPE, map);
  mb_relabel_to_labels(&one, 1, map, labels);
  for (size_t p = 0; p < P; p++) {
    CU_ASSERT_EQUAL(labels[p], one.label_of[E + p % E]);
  }
  mb_relabel_to_experts(&one, 1, labels, labels);
  CU_ASSERT(memcmp(labels, map, sizeof map) == 0);
  mb_relabel_fini(&one);
}

/* --- replays --- */

typedef struct got {
  double step_imbalance[N_LANES][T];
  size_t n_plans[N_LANES];
  int32_t map[N_LANES][K_MOST][L * P];
  float planned[N_LANES][K_MOST][L];
} got;

static mb_status take_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  got *g = context;

  (void)imbalance;
  (void)active;
  memcpy(g->step_imbalance[s] + first, step_imbalance, n * sizeof *step_imbalance);
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;
  size_t k = g->n_plans[record->strategy]++;

  CU_ASSERT_FATAL(k < K_MOST);
  memcpy(g->map[record->strategy][k], record->physical_to_logical_map, sizeof g->map[0][0]);
  memcpy(g->planned[record->strategy][k], record->planned_imbalance, sizeof g->planned[0][0]);
  return MB_OK;
}

/* Every load is below `most`. */
static void fill(uint32_t *load, uint32_t most) {
  uint64_t x = 88172645463325252U;

  for (size_t i = 0; i < (size_t)T * L * E; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    load[i] = (uint32_t)(x >> 20) % most;
  }
}

static void run(mb_shape shape, const mb_replay_strategy *strategies, size_t n, size_t relabel,
                uint32_t most, got *g) {
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
  const mb_replay_config config = {.shape = shape,
                                   .interval = 5,
                                   .window = 7,
                                   .delay = 1,
                                   .summary_from = 6,
                                   .relabel = relabel,
                                   .n_strategies = n,
                                   .strategies = strategies};
  const mb_replay_sink sink = {.context = g, .steps = take_steps, .plan = take_plan};
  mb_replay_summary summary[N_LANES];
  mb_source *source = NULL;

  *g = (got){.n_plans = {0}};
  fill(load, most);
  CHECK_OK(mb_source_open_memory(&info, load, &source));
  CHECK_OK(mb_replay(&config, source, &sink, summary));
  mb_source_destroy(source);
}

static void check_maps(const mb_shape *shape, const got *g, size_t lane) {
  int32_t count[E];

  CU_ASSERT(g->n_plans[lane] > 0);
  for (size_t k = 0; k < g->n_plans[lane]; k++) {
    for (size_t l = 0; l < L; l++) {
      CHECK_OK(mb_placement_count(shape, g->map[lane][k] + l * P, count));
    }
  }
}

static bool same_curve(const got *a, const got *b, size_t lane) {
  for (size_t t = 0; t < T; t++) {
    if (fabs(a->step_imbalance[lane][t] - b->step_imbalance[lane][t]) > 1e-12) {
      return false;
    }
  }
  return true;
}

/* Lanes 0..2 plan, 3 is none, 4 holds what lane 0 decided without relabelling. */
static void compare_relabellings(mb_shape shape, uint32_t most, size_t *n_same, size_t *n_bytes) {
  static got plain;
  static got relabelled;
  static int64_t effect_step[K_MOST * L];
  const mb_replay_strategy strategies[N_LANES] = {
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, NULL},
      {"l2", MB_REPLAY_ONLINE, mb_strategy_find("l2"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, NULL},
      {"none", MB_REPLAY_NONE, NULL, NULL, NULL},
      {"recorded", MB_REPLAY_RECORDED, NULL, &(mb_replay_recorded){2, effect_step, plain.map[0][0]},
       NULL}};

  for (size_t i = 0; i < 2 * (size_t)L; i++) {
    effect_step[i] = i < L ? 6 : 11;
  }
  run(shape, strategies, 4, 0, most, &plain);
  for (size_t number = 1; number <= 8; number++) {
    run(shape, strategies, N_LANES, number, most, &relabelled);
    for (size_t lane = 0; lane < 3; lane++) {
      check_maps(&shape, &relabelled, lane);
      CU_ASSERT_EQUAL(relabelled.n_plans[lane], plain.n_plans[lane]);
      *n_same += same_curve(&plain, &relabelled, lane);
      *n_bytes += memcmp(plain.map[lane], relabelled.map[lane], sizeof plain.map[lane]) == 0;
    }
    CU_ASSERT(memcmp(plain.step_imbalance[3], relabelled.step_imbalance[3], T * sizeof(double)) ==
              0);
    /* The recorded lane is lpt's own until lpt's third plan, at 15 for 16. */
    CU_ASSERT(memcmp(plain.step_imbalance[0], relabelled.step_imbalance[4], 16 * sizeof(double)) ==
              0);
    CU_ASSERT(isnan(relabelled.planned[4][0][0]));
  }
}

/* Where no two loads are the same, order has nothing to decide. */
static void without_ties(void) {
  size_t n_same = 0;
  size_t n_bytes = 0;

  compare_relabellings(SHAPE, UINT32_C(1) << 20, &n_same, &n_bytes);
  CU_ASSERT_EQUAL(n_same, 24);
  mb_shape flat = SHAPE;
  flat.n_nodes = flat.n_groups = 1;
  compare_relabellings(flat, UINT32_C(1) << 20, &n_same, &n_bytes);
  CU_ASSERT_EQUAL(n_same, 48);
}

/* Loads of 0 and 1 are full of ties: some relabellings end elsewhere. */
static void with_ties(void) {
  size_t n_same = 0;
  size_t n_bytes = 0;

  compare_relabellings(SHAPE, 2, &n_same, &n_bytes);
  CU_ASSERT(n_same < 24);
  CU_ASSERT_EQUAL(n_bytes, 0);
}

/* --- what a planner is told --- */

typedef struct diary {
  double load[2 * L * E];
  int32_t map[L * P];
} diary;

static size_t two_slices(const void *params) {
  (void)params;
  return 2;
}

/* Puts label p % E on slot p, in layer 1 alone. */
static mb_status note(void *state, const void *params, const mb_plan_input *input,
                      mb_plan_output *output) {
  diary *d = *(diary *const *)params;

  (void)state;
  memcpy(d->load, input->load, sizeof d->load);
  memcpy(d->map, input->physical_to_logical_map, sizeof d->map);
  output->replaced[1] = true;
  mb_placement_linear(&input->shape, output->physical_to_logical_map + P);
  return MB_OK;
}

static const mb_planner_type noting = {.name = "noting",
                                       .summary = "as the test says",
                                       .params_size = sizeof(diary *),
                                       .n_slices = two_slices,
                                       .plan = note};
static const mb_strategy noting_strategy = {.name = "noting",
                                            .summary = "as the test says",
                                            .params_size = sizeof(diary *),
                                            .planner = &noting};

static void what_a_planner_sees(void) {
  static diary plain;
  static diary told;
  static got g;
  diary *to = &plain;
  const mb_replay_strategy strategies[] = {
      {"noting", MB_REPLAY_ONLINE, &noting_strategy, &to, NULL}};
  mb_relabel one;

  run(SHAPE, strategies, 1, 0, 1000, &g);
  /* The last plan, at 20, sees what the three before it, at 5, 10 and 15, have placed. */
  CU_ASSERT_EQUAL(g.n_plans[0], 4);
  to = &told;
  run(SHAPE, strategies, 1, 3, 1000, &g);
  CHECK_OK(mb_relabel_init(&one, &SHAPE, 3));
  for (size_t i = 0; i < (size_t)2 * L * E; i++) {
    size_t label = (size_t)one.label_of[i % (size_t)(L * E)];
    CU_ASSERT_EQUAL(told.load[i / E * E + label], plain.load[i]);
  }
  for (size_t p = 0; p < P; p++) {
    /* Slot p of layer 1 holds the expert that the planner calls p % E; layer 0 its first ones. */
    CU_ASSERT_EQUAL(g.map[0][0][P + p], one.expert_of[E + p % E]);
    CU_ASSERT_EQUAL(g.map[0][0][p], (int32_t)(p % E));
    CU_ASSERT_EQUAL(told.map[P + p], (int32_t)(p % E));
    CU_ASSERT_EQUAL(told.map[p], one.label_of[p % E]);
  }
  mb_relabel_fini(&one);
}

int main(void) {
  CU_TestInfo tests[] = {{"permutations keep groups together", permutations},
                         {"every permutation is as likely", all_as_likely},
                         {"loads and maps", there_and_back},
                         {"without ties nothing changes", without_ties},
                         {"with ties something does", with_ties},
                         {"what a planner sees", what_a_planner_sees},
                         CU_TEST_INFO_NULL};

  return run_suite("relabel", tests);
}
