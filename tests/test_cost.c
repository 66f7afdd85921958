/* tests/test_cost.c - every term of the time of a step, worked out by hand. */
#include "sim/cost.h"

#include <math.h>
#include <stdint.h>

#include "sim/metrics.h"
#include "sim/replay.h"
#include "tests/test.h"
#include "workloads/model.h"

#define NEAR(found, expected) CU_ASSERT_DOUBLE_EQUAL((found), (expected), 1e-9 * fabs(expected))

/* 4 GPUs on 2 nodes, 2 slots each. Reading an expert's 1 GB takes 1 s, a tile of 10 tokens 0.25 s.
 */
static const mb_shape SHAPE = {1, 8, 8, 1, 2, 4};
static const mb_cost_facts FACTS = {.expert_bytes = 1e9, .hidden = 1000.0, .top_k = 2.0};

static mb_cost_params params_of(void) {
  mb_cost_params params;

  mb_params_init(mb_cost_params_table(), &params);
  (void)snprintf(params.gpu, sizeof params.gpu, "%s", "h100");
  params.hbm_bandwidth = 1.0;
  params.tile = 10;
  params.tile_us = 0.25e6;
  params.nvlink_bandwidth = 2e-3;    /* 2 MB/s */
  params.network_bandwidth = 0.5e-3; /* 0.5 MB/s */
  params.alltoall_intra_us = 1e6;
  params.alltoall_inter_us = 3e6;
  return params;
}

static mb_cost *cost_of(const mb_shape *shape, const mb_cost_params *params) {
  mb_cost *cost = NULL;

  CHECK_OK(mb_cost_create(shape, params, &FACTS, &cost));
  CU_ASSERT_PTR_NOT_NULL_FATAL(cost);
  return cost;
}

static void slot_time(void) {
  mb_cost_params params = params_of();
  mb_cost *cost = cost_of(&SHAPE, &params);

  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 0.0), 0.0);
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 0.5), 1.0); /* the weights */
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 40.0), 1.0);
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 40.5), 1.25); /* 5 tiles */
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 50.0), 1.25);
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 50.0 * (1.0 + 1e-14)), 1.25);
  CU_ASSERT_EQUAL(mb_cost_slot_seconds(cost, 51.0), 1.5);
  CU_ASSERT_EQUAL(mb_cost_break_even_tokens(cost), 40.0);
  mb_cost_destroy(cost);
}

static void layer_time(void) {
  static const double slot_load[] = {51, 0, 40, 1, 0, 0, 8, 20}; /* 120 tokens */
  mb_cost_params params = params_of();
  mb_cost *cost = cost_of(&SHAPE, &params);
  mb_cost_score score;

  mb_cost_layer(cost, slot_load, &score); /* GPUs: 1.5, 2, 0, 2 */
  NEAR(score.gpu_max, 2.0);
  NEAR(score.gpu_mean, 5.5 / 4.0);
  NEAR(score.experts_max, 2.0);
  CU_ASSERT_EQUAL(score.load_max, 51.0);
  CU_ASSERT_EQUAL(score.active_slots, 5);
  CU_ASSERT_EQUAL(score.bound_slots, 4);
  mb_cost_destroy(cost);

  /* Each GPU's own tokens are 120 / 2 / 4 = 15: two shared experts take 1 s each; attention 0.5 s
     and 15 x 0.1 s; the first GPU at half the speed. */
  params.shared_experts = 2;
  params.attention_us = 0.5e6;
  params.attention_us_per_token = 0.1e6;
  (void)snprintf(params.gpu_speed, sizeof params.gpu_speed, "%s", "0.5, 1, 1, 2");
  cost = cost_of(&SHAPE, &params);
  mb_cost_layer(cost, slot_load, &score);
  NEAR(score.gpu_max, (1.5 + 4.0) / 0.5);
  NEAR(score.gpu_mean, (11.0 + 6.0 + 4.0 + 3.0) / 4.0);
  NEAR(score.experts_max, 3.0);
  static const double nothing[8] = {0.0};
  mb_cost_layer(cost, nothing, &score);
  CU_ASSERT(score.gpu_max == 0.0 && score.gpu_mean == 0.0 && score.active_slots == 0);
  mb_cost_destroy(cost);
}

/* Where weights bound the time, more tokens change nothing, however they lie. */
static void memory_bound(void) {
  static const double even[] = {10, 10, 10, 10, 10, 10, 10, 10};
  static const double skewed[] = {40, 33, 1, 1, 1, 1, 1, 2};
  mb_cost_params params = params_of();
  mb_cost *cost = cost_of(&SHAPE, &params);
  mb_cost_score a;
  mb_cost_score b;

  mb_cost_layer(cost, even, &a);
  mb_cost_layer(cost, skewed, &b);
  CU_ASSERT(a.gpu_max == b.gpu_max && a.gpu_mean == b.gpu_mean && b.bound_slots == 8);
  mb_cost_destroy(cost);
}

static void alltoall_time(void) {
  mb_cost_params params = params_of();
  mb_cost *cost = cost_of(&SHAPE, &params);

  /* Of 1000 pairs a quarter come from the node's other GPU, half from the other node. Dispatch, 1
     MB: 1 + 0.25 / 2 s, against 3 + 0.5 / 0.5 s; combine, 2 MB: 3 + 1 / 0.5 s. */
  NEAR(mb_cost_alltoall_seconds(cost, 1000.0, cost->links), 4.0 + 5.0);
  CU_ASSERT_EQUAL(mb_cost_alltoall_seconds(cost, 0.0, cost->links), 0.0);
  /* With a tenth of the network, 3 + 10 and 3 + 20. */
  NEAR(mb_cost_alltoall_seconds(cost, 1000.0, (mb_links){2e6, 0.05e6}), 36.0);
  mb_cost_destroy(cost);

  mb_shape one_node = SHAPE;
  one_node.n_nodes = 1; /* three quarters over NVLink: 1 + 0.75 / 2 and 1 + 1.5 / 2 */
  cost = cost_of(&one_node, &params);
  NEAR(mb_cost_alltoall_seconds(cost, 1000.0, cost->links), 2.0 + 2.25 / 2.0);
  mb_cost_destroy(cost);
  params.alltoall = false;
  cost = cost_of(&one_node, &params);
  CU_ASSERT_EQUAL(mb_cost_alltoall_seconds(cost, 1000.0, cost->links), 0.0);
  mb_cost_destroy(cost);
}

/* DeepEP's published times of its low-latency kernels: 128 tokens a GPU, 7168 values, 8 experts a
   token, on H800s. The fixed parts were taken from dispatch; combine follows within a twentieth. */
static void published_alltoall(void) {
  static const struct {
    size_t gpus;
    double dispatch_us, combine_us;
  } published[] = {{8, 77, 114}, {16, 118, 195}, {32, 155, 273}, {64, 173, 314}};
  const mb_cost_facts facts = {.expert_bytes = 1e6, .hidden = 7168, .top_k = 8};
  mb_cost_params params;

  mb_params_init(mb_cost_params_table(), &params);
  (void)snprintf(params.gpu, sizeof params.gpu, "%s", "h800");
  for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
    size_t n = published[i].gpus;
    const mb_shape shape = {1, 256, 256, 1, n / 8, n};
    mb_cost *cost = NULL;
    CHECK_OK(mb_cost_create(&shape, &params, &facts, &cost));
    double us = 1e6 * mb_cost_alltoall_seconds(cost, 128.0 * 8.0, cost->links);
    double expected = published[i].dispatch_us + published[i].combine_us;
    CU_ASSERT_DOUBLE_EQUAL(us, expected, 0.05 * expected);
    mb_cost_destroy(cost);
  }
}

/* The break-even of design: some 300 tokens on an H100 with 16 and 8 bits, some 80 with 4. */
static void published_break_even(void) {
  static const struct {
    const char *dtype;
    double low, high;
  } known[] = {{"bf16", 290, 300}, {"fp8", 290, 300}, {"nvfp4", 78, 88}, {"mxfp4", 75, 85}};
  const mb_model *model = mb_model_find("deepseek-v3");
  mb_cost_params params;

  mb_params_init(mb_cost_params_table(), &params);
  (void)snprintf(params.gpu, sizeof params.gpu, "%s", "h100");
  params.tile = 1;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    mb_cost *cost = NULL;
    (void)snprintf(params.dtype, sizeof params.dtype, "%s", known[i].dtype);
    const mb_cost_facts facts = {.expert_bytes =
                                     mb_model_expert_bytes(model, mb_dtype_bits(known[i].dtype)),
                                 .hidden = 7168};
    CHECK_OK(mb_cost_create(&SHAPE, &params, &facts, &cost));
    double tokens = mb_cost_break_even_tokens(cost);
    CU_ASSERT(tokens >= known[i].low && tokens <= known[i].high);
    mb_cost_destroy(cost);
  }
}

/* --- movement --- */

/* One GPU keeps 0 and duplicates it; one gets 1 from within its node and 6 from the other. */
static void movement_by_hand(void) {
  static const int32_t before[] = {0, 1, 2, 3, 4, 5, 6, 7};
  static const int32_t after[] = {0, 0, 1, 6, 5, 4, 6, 2};
  mb_movement_scratch *scratch = NULL;
  mb_movement moved;

  CHECK_OK(mb_movement_scratch_create(&SHAPE, &scratch));
  mb_movement_find(&SHAPE, before, after, scratch, &moved);
  CU_ASSERT_EQUAL(moved.same_gpu, 3); /* the second 0, and 4 and 5, which change places */
  CU_ASSERT_EQUAL(moved.intra_node, 1);
  CU_ASSERT_EQUAL(moved.inter_node, 2); /* 6 and 2 */
  CU_ASSERT_EQUAL(moved.same_gpu_max, 2);
  CU_ASSERT_EQUAL(moved.intra_node_max, 1);
  CU_ASSERT_EQUAL(moved.inter_node_max, 1);
  mb_movement_scratch_destroy(scratch);
}

/* Two holders share the sending of one expert; one alone is what others wait for. */
static void busiest_sender(void) {
  static const mb_shape shape = {1, 3, 5, 1, 1, 5};
  static const int32_t before[] = {0, 0, 1, 2, 2};
  static const int32_t shared[] = {0, 0, 0, 0, 1};
  mb_movement_scratch *scratch = NULL;
  mb_movement moved;

  CHECK_OK(mb_movement_scratch_create(&shape, &scratch));
  mb_movement_find(&shape, before, shared, scratch, &moved);
  CU_ASSERT(moved.intra_node == 3 && moved.intra_node_max == 1);
  static const int32_t hot[] = {1, 1, 1, 1, 2};
  mb_movement_find(&shape, before, hot, scratch, &moved);
  CU_ASSERT(moved.intra_node == 3 && moved.intra_node_max == 3);
  mb_movement_scratch_destroy(scratch);
}

static bool held(const mb_shape *shape, const int32_t *map, size_t first, size_t n,
                 int32_t expert) {
  size_t slots = shape->n_slots / shape->n_gpus;

  for (size_t p = first * slots; p < (first + n) * slots; p++) {
    if (map[p] == expert) {
      return true;
    }
  }
  return false;
}

/* Each slot by itself, on random placements. */
static void movement_by_brute_force(void) {
  static const mb_shape shape = {1, 7, 24, 1, 3, 6};
  mb_movement_scratch *scratch = NULL;
  uint64_t random = 12345;

  CHECK_OK(mb_movement_scratch_create(&shape, &scratch));
  for (int round = 0; round < 2000; round++) {
    int32_t map[2][24];
    int32_t count[7];
    int64_t kinds[3] = {0};
    for (size_t i = 0; i < 48; i++) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      /* Every expert is somewhere. */
      map[i / 24][i % 24] = i % 24 < 7 ? (int32_t)(i % 24) : (int32_t)((random >> 33) % 7);
    }
    for (size_t p = 0; p < 24; p++) {
      size_t gpu = p / 4;
      int32_t expert = map[1][p];
      bool again = false;
      for (size_t q = gpu * 4; q < p; q++) {
        again = again || (map[1][q] == expert && map[0][q] != expert);
      }
      if (expert != map[0][p]) {
        bool own = again || held(&shape, map[0], gpu, 1, expert);
        kinds[own ? 0 : held(&shape, map[0], gpu / 2 * 2, 2, expert) ? 1 : 2]++;
      }
    }
    mb_movement moved;
    mb_movement_find(&shape, map[0], map[1], scratch, &moved);
    CU_ASSERT(moved.same_gpu == kinds[0] && moved.intra_node == kinds[1] &&
              moved.inter_node == kinds[2]);
    CU_ASSERT_EQUAL(moved.intra_node + moved.inter_node,
                    mb_placement_moved_experts(&shape, map[0], map[1], count));
    CU_ASSERT(moved.inter_node_max * 6 >= moved.inter_node);
  }
  mb_movement_scratch_destroy(scratch);
}

static void move_time(void) {
  mb_cost_params params = params_of();
  params.nvlink_bandwidth = 4.0;
  params.network_bandwidth = 0.5;
  mb_cost *cost = cost_of(&SHAPE, &params);
  const mb_movement own = {.same_gpu_max = 3};
  const mb_movement both = {.intra_node_max = 4, .inter_node_max = 3};

  NEAR(mb_cost_move_seconds(cost, &own), 6.0);  /* 3 GB read and written at 1 GB/s */
  NEAR(mb_cost_move_seconds(cost, &both), 6.0); /* 3 GB at 0.5, against 4 at 4 */
  mb_cost_price price = mb_cost_get_price(cost);
  NEAR(price.expert_seconds, 2.0);
  NEAR(price.layer_seconds, 0.0155);
  NEAR(price.token_seconds, 0.025);
  mb_cost_destroy(cost);
  (void)snprintf(params.movement, sizeof params.movement, "%s",
                 "async"); /* half the links, at most 0.1 GB/s of the network */
  params.move_inter_bandwidth = 0.1;
  cost = cost_of(&SHAPE, &params);
  NEAR(mb_cost_move_seconds(cost, &both), 30.0);
  CU_ASSERT_EQUAL(mb_cost_get_price(cost).layer_seconds, 0.0);
  mb_cost_destroy(cost);
}

/* --- refusals --- */

static void refused(const mb_cost_params *params, const mb_cost_facts *facts, const char *message) {
  mb_cost *cost = NULL;

  CHECK_FAILS(mb_cost_create(&SHAPE, params, facts, &cost), MB_ERR_PARAM, message);
  CU_ASSERT_PTR_NULL(cost);
}

static void refusals(void) {
  const mb_cost_facts no_bytes = {.hidden = 1.0};
  const mb_cost_facts no_hidden = {.expert_bytes = 1.0};
  mb_cost_params params = params_of();

  refused(&params, &no_bytes, "cluster.expert_bytes");
  refused(&params, &no_hidden, "cost.hidden");
  params.shared_experts = 1;
  refused(&params, &no_hidden, "experts a token");
  params = params_of();
  (void)snprintf(params.gpu_speed, sizeof params.gpu_speed, "%s", "1, 2, 3");
  refused(&params, &FACTS, "cost.gpu_speed has 3 numbers, but there are 4 GPUs");
  (void)snprintf(params.gpu_speed, sizeof params.gpu_speed, "%s", "1, 2, 0, 3");
  refused(&params, &FACTS, "above 0");
  (void)snprintf(params.gpu_speed, sizeof params.gpu_speed, "%s", "1, 2, x, 3");
  refused(&params, &FACTS, "' x, 3'");
  params = params_of();
  (void)snprintf(params.movement, sizeof params.movement, "%s", "async");
  params.contention = 1.0;
  refused(&params, &FACTS, "cost.contention is 1");
}

/* --- in a replay --- */

enum { L = 2, T = 8, P = 4 };

typedef struct got {
  size_t n_steps[3];
  double latency[3][T], time_imbalance[3][T], lost[3][T], stall[3][T], step_imbalance[3][T];
  mb_movement moved[3];
  int64_t effect[3][L];
  size_t n_plans[3];
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

static mb_status take_costs(void *context, size_t s, size_t first, size_t n,
                            const mb_cost_rows *rows) {
  got *g = context;

  CU_ASSERT_EQUAL(first, g->n_steps[s]);
  memcpy(g->latency[s] + first, rows->step_latency, n * sizeof(double));
  memcpy(g->time_imbalance[s] + first, rows->time_imbalance, n * sizeof(double));
  memcpy(g->lost[s] + first, rows->gpu_time_lost, n * sizeof(double));
  memcpy(g->stall[s] + first, rows->rebalance_stall, n * sizeof(double));
  g->n_steps[s] += n;
  return MB_OK;
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  got *g = context;
  size_t s = record->strategy;

  if (record->movement != NULL) {
    g->moved[s] = *record->movement;
  }
  memcpy(g->effect[s], record->effect_step, L * sizeof *record->effect_step);
  g->n_plans[s]++;
  return MB_OK;
}

/* 2 GPUs of a node, 2 slots each. Experts 0 and 1, on one GPU at first, have 100 tokens each of
   every step and layer, the others none: 2.5 s each. */
static mb_status replay_every(size_t interval, const mb_cost *cost, size_t n,
                              const mb_replay_strategy *strategies, got *g,
                              mb_replay_summary *summary) {
  static const int32_t ids[L] = {0, 1};
  const mb_replay_config config = {.shape = {L, 4, P, 1, 1, 2},
                                   .interval = interval,
                                   .window = 4,
                                   .summary_from = 2,
                                   .n_strategies = n,
                                   .strategies = strategies,
                                   .cost = cost};
  const mb_trace_info info = {.n_steps = T,
                              .n_layers = L,
                              .n_experts = 4,
                              .top_k = 1,
                              .n_groups = 1,
                              .layer_ids = ids,
                              .model = "hand",
                              .source = "hand",
                              .created_by = "test",
                              .padding = "",
                              .counts = "",
                              .source_semantics = ""};
  const mb_replay_sink sink = {
      .context = g, .steps = take_steps, .plan = take_plan, .costs = take_costs};
  uint32_t load[T * L * 4] = {0};
  mb_source *source = NULL;

  for (size_t i = 0; i < (size_t)T * L; i++) {
    load[4 * i] = load[4 * i + 1] = 100;
  }
  *g = (got){.n_steps = {0}};
  MB_TRY(mb_source_open_memory(&info, load, &source));
  mb_status status = mb_replay(&config, source, &sink, summary);
  mb_source_destroy(source);
  return status;
}

static mb_status replay(const mb_cost *cost, size_t n, const mb_replay_strategy *strategies, got *g,
                        mb_replay_summary *summary) {
  return replay_every(4, cost, n, strategies, g, summary);
}

static mb_cost_params replay_params(void) {
  mb_cost_params params = params_of();

  params.nvlink_bandwidth = 0.5; /* GB/s: 2 s an expert */
  params.alltoall = false;
  params.move_layer_us = 3e6;
  params.planner_ms = 7000;
  params.step_us = 10e6;
  return params;
}

static const mb_shape REPLAYED = {L, 4, P, 1, 1, 2};

/* Layer 0 spreads its experts from step 4 on. */
static const int64_t EFFECT[L] = {4, -1};
static const int32_t MAP[L * P] = {0, 2, 1, 3, 0, 1, 2, 3};
static const mb_replay_recorded SPREAD = {1, EFFECT, MAP};

static void synchronous(void) {
  const mb_replay_strategy strategies[] = {{"none", MB_REPLAY_NONE, NULL, NULL, NULL},
                                           {"maps", MB_REPLAY_RECORDED, NULL, &SPREAD, NULL}};
  mb_cost_params params = replay_params();
  mb_cost *cost = cost_of(&REPLAYED, &params);
  mb_replay_summary summary[2];
  got g;

  CHECK_OK(replay(cost, 2, strategies, &g, summary));
  for (size_t t = 0; t < T; t++) {
    /* none: 5 s a layer; spread: 2.5 s of layer 0. */
    NEAR(g.latency[0][t], 20.0);
    NEAR(g.time_imbalance[0][t], 2.0);
    NEAR(g.lost[0][t], 10.0);
    CU_ASSERT_EQUAL(g.stall[0][t], 0.0);
    /* Layer 0 sends an expert each way: 3 + 2 s, and the planner's 7. */
    NEAR(g.stall[1][t], t == 4 ? 12.0 : 0.0);
    NEAR(g.latency[1][t], t < 4 ? 20.0 : t == 4 ? 29.5 : 17.5);
    NEAR(g.time_imbalance[1][t], t < 4 ? 2.0 : 1.5);
    NEAR(g.lost[1][t], t < 4 ? 10.0 : 5.0);
  }
  CU_ASSERT(g.n_steps[0] == T && g.n_steps[1] == T);
  CU_ASSERT(g.moved[1].intra_node == 2 && g.moved[1].inter_node == 0 && g.moved[1].same_gpu == 0);
  /* Steps 2 to 7. */
  const mb_cost_summary *own = &summary[1].cost;
  NEAR(own->step_latency_mean, (2 * 20.0 + 29.5 + 3 * 17.5) / 6.0);
  NEAR(own->run_time_imbalance, (2 * 10.0 + 4 * 7.5) / 30.0);
  NEAR(own->experts_share, (2 * 10.0 + 4 * 7.5) / (2 * 20.0 + 4 * 17.5));
  CU_ASSERT_EQUAL(own->memory_bound_slots, 0.0);
  CU_ASSERT_EQUAL(own->break_even_tokens, 40.0);
  NEAR(own->rebalance_stall_total, 12.0);
  NEAR(own->gpu_time_lost_total, 40.0);
  NEAR(own->speedup_over_none, 120.0 / 122.0);
  NEAR(own->break_even_interval, 12.0 / (10.0 / 6.0)); /* a plan of 12 s gains 10 s in 6 steps */
  NEAR(own->intra_node_bytes_total, 2e9);
  NEAR(own->gpu_hours, 122.0 * 2.0 / 3600.0);
  NEAR(summary[0].cost.speedup_over_none, 1.0);
  CU_ASSERT(isnan(summary[0].cost.break_even_interval));
  mb_cost_destroy(cost);
}

/* Layers that take effect apart: the planner is waited for once, at the first of them. What is in
   effect from the start has not moved. */
static void apart(void) {
  static const int64_t steps[L] = {4, 5};
  static const int64_t at_once[L] = {0, 0};
  static const int32_t map[L * P] = {0, 2, 1, 3, 0, 2, 1, 3};
  const mb_replay_recorded later = {1, steps, map};
  const mb_replay_recorded first = {1, at_once, map};
  const mb_replay_strategy strategies[] = {{"later", MB_REPLAY_RECORDED, NULL, &later, NULL},
                                           {"first", MB_REPLAY_RECORDED, NULL, &first, NULL}};
  mb_cost_params params = replay_params();
  mb_cost *cost = cost_of(&REPLAYED, &params);
  mb_replay_summary summary[2];
  got g;

  CHECK_OK(replay(cost, 2, strategies, &g, summary));
  for (size_t t = 0; t < T; t++) {
    NEAR(g.stall[0][t], t == 4 ? 12.0 : t == 5 ? 5.0 : 0.0);
    CU_ASSERT_EQUAL(g.stall[1][t], 0.0);
  }
  CU_ASSERT(g.moved[0].intra_node == 4 && g.moved[1].intra_node == 0);
  mb_cost_destroy(cost);
}

/* Weights move during step 3, over half of the links: 4 s of its 20 and 4 s of all-to-all. */
static void asynchronous(void) {
  const mb_replay_strategy strategies[] = {{"maps", MB_REPLAY_RECORDED, NULL, &SPREAD, NULL}};
  mb_cost_params params = replay_params();
  mb_replay_summary summary;
  got g;

  (void)snprintf(params.movement, sizeof params.movement, "%s", "async");
  mb_cost *cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, &summary));
  for (size_t t = 0; t < T; t++) {
    CU_ASSERT_EQUAL(g.stall[0][t], 0.0); /* shorter than the step, and nobody else on the links */
  }
  CU_ASSERT(isnan(summary.cost.speedup_over_none));
  mb_cost_destroy(cost);
  /* 200 pairs on the fullest GPU, half from the other: 100 x 8 kB (dispatch) and 16 kB at 0.5 GB/s
     are 1.6 ms and 3.2 ms; with half the link twice that. A fifth of the step is slower. */
  params.alltoall = true;
  params.hidden = 8000;
  params.alltoall_intra_us = 0.0;
  cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, &summary));
  NEAR(g.latency[0][2], 20.0096);
  NEAR(g.stall[0][3], 4.0 / 20.0096 * 0.0096);
  NEAR(g.latency[0][3], g.latency[0][2] + g.stall[0][3]);
  mb_cost_destroy(cost);
  /* A quarter of the links: 8 s, in which the all-to-all takes a third longer. */
  params.contention = 0.25;
  cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, &summary));
  NEAR(g.stall[0][3], 8.0 / 20.0096 * 0.0032);
  mb_cost_destroy(cost);
  /* Weights that take longer than the step: it waits for the rest. */
  params.move_intra_bandwidth = 0.01; /* 100 s */
  cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, &summary));
  NEAR(g.latency[0][3], 100.0);
  mb_cost_destroy(cost);
}

/* A planner's layers take effect one after the other, and are charged a step before. */
static void layers_per_step(void) {
  const mb_replay_strategy strategies[] = {
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, NULL},
      {"hindsight", MB_REPLAY_HINDSIGHT, mb_strategy_find("lpt"), NULL, NULL}};
  mb_cost_params params = replay_params();
  mb_replay_summary summary[2];
  got g;

  (void)snprintf(params.movement, sizeof params.movement, "%s", "async");
  mb_cost *cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 2, strategies, &g, summary));
  CU_ASSERT(g.n_plans[0] == 1 && g.effect[0][0] == 5 && g.effect[0][1] == 6);
  NEAR(g.time_imbalance[0][4], 2.0);
  NEAR(g.time_imbalance[0][5], 1.5);
  NEAR(g.time_imbalance[0][6], 1.0);
  CU_ASSERT(g.effect[1][0] == 4 && g.effect[1][1] == 4);
  /* At step 6 the second layer would take effect after the end. */
  CHECK_OK(replay_every(6, cost, 1, strategies, &g, summary));
  CU_ASSERT_EQUAL(g.n_plans[0], 0);
  NEAR(g.time_imbalance[0][7], 2.0);
  mb_cost_destroy(cost);
  params.layers_per_step = 2;
  cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, summary));
  CU_ASSERT(g.effect[0][0] == 5 && g.effect[0][1] == 5);
  CHECK_OK(replay_every(6, cost, 1, strategies, &g, summary));
  CU_ASSERT(g.n_plans[0] == 1 && g.effect[0][1] == 7);
  mb_cost_destroy(cost);
}

/* Costs change nothing else, and without them nobody hears of any. */
static void off(void) {
  const mb_replay_strategy strategies[] = {
      {"none", MB_REPLAY_NONE, NULL, NULL, NULL},
      {"lpt", MB_REPLAY_ONLINE, mb_strategy_find("lpt"), NULL, NULL}};
  mb_cost_params params = replay_params();
  mb_cost *cost = cost_of(&REPLAYED, &params);
  mb_replay_summary with[2];
  mb_replay_summary without[2];
  got a;
  got b;

  CHECK_OK(replay(cost, 2, strategies, &a, with));
  CHECK_OK(replay(NULL, 2, strategies, &b, without));
  CU_ASSERT_EQUAL(memcmp(a.step_imbalance, b.step_imbalance, sizeof a.step_imbalance), 0);
  CU_ASSERT_EQUAL(memcmp(a.effect, b.effect, sizeof a.effect), 0);
  CU_ASSERT(b.n_steps[0] == 0 && b.n_steps[1] == 0);
  CU_ASSERT(without[1].cost.gpu_hours == 0.0 && with[1].cost.gpu_hours > 0.0);
  CU_ASSERT_EQUAL(with[1].run_imbalance, without[1].run_imbalance);
  mb_cost_destroy(cost);
}

/* What dispatch adds to a layer: 2 layers of 1.5 s. */
static void dispatch_time(void) {
  const mb_replay_strategy strategies[] = {{"none", MB_REPLAY_NONE, NULL, NULL, NULL}};
  mb_cost_params params = replay_params();
  mb_replay_summary summary;
  got g;

  params.dispatch_us = 1500000;
  mb_cost *cost = cost_of(&REPLAYED, &params);
  CHECK_OK(replay(cost, 1, strategies, &g, &summary));
  NEAR(g.latency[0][0], 23.0);
  mb_cost_destroy(cost);
}

int main(void) {
  CU_TestInfo tests[] = {{"a slot", slot_time},
                         {"a layer's GPUs", layer_time},
                         {"memory-bound", memory_bound},
                         {"all-to-all", alltoall_time},
                         {"all-to-all as published", published_alltoall},
                         {"break-even as published", published_break_even},
                         {"movement by hand", movement_by_hand},
                         {"who sends", busiest_sender},
                         {"movement by brute force", movement_by_brute_force},
                         {"how long weights move", move_time},
                         {"refusals", refusals},
                         {"synchronous moves", synchronous},
                         {"layers apart", apart},
                         {"asynchronous moves", asynchronous},
                         {"layers one after the other", layers_per_step},
                         {"off", off},
                         {"dispatch", dispatch_time},
                         CU_TEST_INFO_NULL};
  return run_suite("cost", tests);
}
