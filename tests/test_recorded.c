/* tests/test_recorded.c - placements decided elsewhere: replayed, they score as what decided them,
 * bit for bit; and every way in which they are refused. */
#include <math.h>
#include <stdint.h>

#include "sim/replay.h"
#include "tests/test.h"

/* Of the type that indexes have. */
#define L ((size_t)3)
#define E ((size_t)16)
#define P ((size_t)24)
#define T ((size_t)60)

enum { K_MOST = 8, N_LANES = 3 };

/* What a replay says of up to three strategies. */
typedef struct got {
  double step_imbalance[N_LANES][T];
  float imbalance[N_LANES][T * L];
  int32_t active[N_LANES][T * L];
  size_t n_plans[N_LANES];
  int64_t step[N_LANES][K_MOST], effect_step[N_LANES][K_MOST * L];
  int32_t map[N_LANES][K_MOST * L * P], moved[N_LANES][K_MOST * L], duplicates[N_LANES][K_MOST * L];
  float node[N_LANES][K_MOST * L];
} got;

static mb_status take_steps(void *context, size_t s, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active) {
  got *g = context;

  memcpy(g->step_imbalance[s] + first, step_imbalance, n * sizeof *step_imbalance);
  memcpy(g->imbalance[s] + first * L, imbalance, n * L * sizeof *imbalance);
  memcpy(g->active[s] + first * L, active, n * L * sizeof *active);
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;
  size_t s = record->strategy;
  size_t k = g->n_plans[s]++;

  CU_ASSERT_FATAL(k < K_MOST);
  g->step[s][k] = record->step;
  memcpy(g->effect_step[s] + k * L, record->effect_step, L * sizeof(int64_t));
  memcpy(g->map[s] + k * L * P, record->physical_to_logical_map, sizeof(int32_t) * L * P);
  memcpy(g->moved[s] + k * L, record->moved_experts, sizeof(int32_t) * L);
  memcpy(g->duplicates[s] + k * L, record->duplicate_slots, sizeof(int32_t) * L);
  memcpy(g->node[s] + k * L, record->node_imbalance, sizeof(float) * L);
  return MB_OK;
}

static mb_status run(size_t n, const mb_replay_strategy *strategies, got *g,
                     mb_replay_summary *summary) {
  static const int32_t ids[L] = {3, 4, 5};
  static uint32_t load[T * L * E];
  mb_trace_info info = {.n_steps = T,
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
  mb_replay_config config = {.shape = {L, E, P, 4, 2, 4},
                             .interval = 11,
                             .window = 13,
                             .delay = 2,
                             .summary_from = 13,
                             .n_strategies = n,
                             .strategies = strategies};
  mb_replay_sink sink = {.context = g, .steps = take_steps, .plan = take_plan};
  mb_source *source = NULL;
  uint32_t x = 7;

  for (size_t i = 0; i < T * L * E; i++) {
    x = x * 1664525U + 1013904223U;
    load[i] = (x >> 24) * (uint32_t)(1 + (i % E + i / (L * E) / 9) % 5);
  }
  memset(g, 0, sizeof *g);
  MB_TRY(mb_source_open_memory(&info, load, &source));
  mb_status status = mb_replay(&config, source, &sink, summary);
  mb_source_destroy(source);
  return status;
}

/* All that decides a score is the same; the planner's time is not recorded. */
static void check_same(const got *a, size_t i, const got *b, size_t j) {
  CU_ASSERT(memcmp(a->step_imbalance[i], b->step_imbalance[j], sizeof a->step_imbalance[i]) == 0);
  CU_ASSERT(memcmp(a->imbalance[i], b->imbalance[j], sizeof a->imbalance[i]) == 0);
  CU_ASSERT(memcmp(a->active[i], b->active[j], sizeof a->active[i]) == 0);
  CU_ASSERT_EQUAL(a->n_plans[i], b->n_plans[j]);
  CU_ASSERT(memcmp(a->effect_step[i], b->effect_step[j], sizeof a->effect_step[i]) == 0);
  CU_ASSERT(memcmp(a->map[i], b->map[j], sizeof a->map[i]) == 0);
  CU_ASSERT(memcmp(a->moved[i], b->moved[j], sizeof a->moved[i]) == 0);
  CU_ASSERT(memcmp(a->duplicates[i], b->duplicates[j], sizeof a->duplicates[i]) == 0);
}

static void same_scores(void) {
  static got first, again;
  mb_replay_summary summary[2];
  mb_replay_summary repeated[2];
  const mb_replay_strategy planned[] = {
      {"l2", MB_REPLAY_ONLINE, mb_strategy_find("l2"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("l2"), NULL, NULL}};

  CHECK_OK(run(2, planned, &first, summary));
  CU_ASSERT_EQUAL_FATAL(first.n_plans[0], 5);
  CU_ASSERT_EQUAL_FATAL(first.n_plans[1], 6);
  CU_ASSERT(!isnan(first.node[0][0]));
  const mb_replay_recorded l2 = {first.n_plans[0], first.effect_step[0], first.map[0]};
  const mb_replay_recorded hindsight = {first.n_plans[1], first.effect_step[1], first.map[1]};
  const mb_replay_strategy recorded[] = {{"theirs", MB_REPLAY_RECORDED, NULL, &l2, NULL},
                                         {"best", MB_REPLAY_RECORDED, NULL, &hindsight, NULL}};
  CHECK_OK(run(2, recorded, &again, repeated));
  for (size_t i = 0; i < 2; i++) {
    check_same(&first, i, &again, i);
    CU_ASSERT_EQUAL(repeated[i].planner_seconds, 0.0);
    summary[i].planner_seconds = repeated[i].planner_seconds = 0.0;
    CU_ASSERT(memcmp(&summary[i], &repeated[i], sizeof summary[i]) == 0);
    CU_ASSERT(isnan(again.node[i][0]));
  }
  for (size_t l = 0; l < L; l++) {
    CU_ASSERT(again.moved[1][l] == 0 && again.moved[0][l] > 0); /* serving began with the first */
  }
  CU_ASSERT(again.step[0][0] == 13 && again.step[1][0] == 0); /* when they took effect */
}

/* Layers of a placement that take effect at steps of their own, some not at all. */
static void layers_one_by_one(void) {
  static got g;
  mb_replay_summary summary[2];
  const int64_t effect_step[] = {5, 7, -1, -1, -1, -1, 8, -1, 59};
  int32_t map[3 * L * P];

  for (size_t i = 0; i < 3 * L * P; i++) {
    map[i] = (int32_t)((i % P + i / P) % E); /* row r turned by r slots */
  }
  map[2 * P] = -1; /* of a layer that keeps its placement: counts for nothing */
  const mb_replay_recorded recorded = {3, effect_step, map};
  const mb_replay_strategy strategies[] = {{"theirs", MB_REPLAY_RECORDED, NULL, &recorded, NULL},
                                           {"none", MB_REPLAY_NONE, NULL, NULL, NULL}};
  CHECK_OK(run(2, strategies, &g, summary));
  CU_ASSERT_EQUAL_FATAL(g.n_plans[0], 3);
  CU_ASSERT(memcmp(g.effect_step[0], effect_step, sizeof effect_step) == 0);
  CU_ASSERT(g.step[0][0] == 5 && g.step[0][1] == 5 && g.step[0][2] == 8);
  for (size_t t = 0; t < T; t++) {
    const float *theirs = g.imbalance[0] + t * L;
    const float *none = g.imbalance[1] + t * L;
    CU_ASSERT_EQUAL(theirs[0] == none[0], t < 8); /* row 0 is the linear placement itself */
    CU_ASSERT_EQUAL(theirs[1] == none[1], t < 7);
    CU_ASSERT_EQUAL(theirs[2] == none[2], t < 59);
  }
  CU_ASSERT(g.moved[0][0] == 0 && g.moved[0][1] > 0 && g.moved[0][2] == 0);
  CU_ASSERT(memcmp(g.map[0] + L * P, g.map[0], sizeof(int32_t) * L * P) == 0);
}

static void check_refused(mb_replay_recorded recorded, mb_status status, const char *text) {
  static got g;
  mb_replay_summary summary;
  const mb_replay_strategy theirs = {"theirs", MB_REPLAY_RECORDED, NULL, &recorded, NULL};

  CHECK_FAILS(run(1, &theirs, &g, &summary), status, text);
}

static void refusals(void) {
  int32_t map[2 * L * P];
  int64_t steps[2 * L] = {5, 6, 7, 8, 8, 8};

  for (size_t i = 0; i < 2 * L * P; i++) {
    map[i] = (int32_t)(i % P % E);
  }
  const mb_replay_recorded good = {2, steps, map};
  mb_replay_recorded bad = good;
  bad.n_plans = 0;
  check_refused(bad, MB_ERR_PARAM, "strategy theirs has no recorded placements");
  steps[4] = 60;
  check_refused(good, MB_ERR_RANGE,
                "placement 1 takes effect at step 60 in layer 1 (from 0), but the loads have 60");
  steps[4] = -2;
  check_refused(good, MB_ERR_RANGE, "at step -2 in layer 1");
  steps[4] = 7;
  check_refused(good, MB_ERR_RANGE,
                "placement 1 takes effect from step 7, but the one before it until step 7");
  steps[4] = 8;
  map[P + 3] = (int32_t)E;
  check_refused(good, MB_ERR_RANGE,
                "placement 0, layer 1 (from 0): slot 3 holds expert 16, but experts are 0 to 15");
  map[P + 3] = 3;
  map[P + 12] = 0;
  check_refused(good, MB_ERR_RANGE,
                "placement 0, layer 1 (from 0): expert 12 is in none of the 24");
}

int main(void) {
  CU_TestInfo tests[] = {{"recorded plans score as the strategies that made them", same_scores},
                         {"layers that take effect one by one", layers_one_by_one},
                         {"refusals", refusals},
                         CU_TEST_INFO_NULL};

  return run_suite("recorded", tests);
}
