/* tests/test_planner.c - the registries, and planners: made, asked, checked and refused. */
#include <math.h>
#include <stdint.h>

#include "balancer/eplb.h"
#include "balancer/planner.h"
#include "tests/balance.h"

static const mb_shape shape = {
    .n_layers = 3, .n_experts = 4, .n_slots = 6, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
enum { L = 3, E = 4, P = 6 };

static const double loads[L * E] = {90, 132, 40, 61, 5, 5, 5, 80, 0, 0, 0, 0};
static const int32_t linear[L * P] = {0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1};
static const double imbalances[L] = {1.5, 2.0, NAN};

static mb_plan_input plan_input(void) {
  return (mb_plan_input){.shape = shape,
                         .step = 128,
                         .n_window_steps = 64,
                         .n_slices = 1,
                         .load = loads,
                         .physical_to_logical_map = linear,
                         .imbalance = imbalances};
}

static void test_refinements(void) {
  const char *const expected[3] = {"lpt", "maxmin", "l2"};
  const mb_refinement_type *const *types = mb_refinements();

  for (size_t n = 0; n < 3; n++) {
    if (types[n] == NULL) {
      CU_FAIL("a refinement is missing");
      return;
    }
    CU_ASSERT_STRING_EQUAL(types[n]->name, expected[n]);
    CU_ASSERT_PTR_EQUAL(mb_refinement_find(expected[n]), types[n]);
    CU_ASSERT(types[n]->summary[0] != '\0');
  }
  CU_ASSERT_PTR_NULL(types[3]);
  CU_ASSERT_PTR_NULL(mb_refinement_find("eplb"));
  CU_ASSERT_PTR_NULL(mb_refinement_find(""));
}

static void test_strategies(void) {
  const char *const expected[4] = {"lpt", "maxmin", "l2", "eplb"};
  const mb_strategy *strategies = mb_strategies();
  size_t n_strategies = 0;

  for (size_t n = 0; n < 4; n++) {
    const mb_strategy *s = &strategies[n];
    if (s->name == NULL) {
      CU_FAIL("a strategy is missing");
      return;
    }
    CU_ASSERT_STRING_EQUAL(s->name, expected[n]);
    CU_ASSERT_PTR_EQUAL(mb_strategy_find(expected[n]), s);
    CU_ASSERT(s->summary[0] != '\0');
    CU_ASSERT_STRING_EQUAL(s->planner->name, "eplb");
    CU_ASSERT_EQUAL(s->params_size, s->planner->params_size);
  }
  /* The rest are planners, each under its own name, and no name twice. */
  for (const mb_strategy *s = strategies; s->name != NULL; s++, n_strategies++) {
    CU_ASSERT_PTR_EQUAL(mb_strategy_find(s->name), s);
    CU_ASSERT(n_strategies < 4 || strcmp(s->planner->name, s->name) == 0);
  }
  CU_ASSERT(n_strategies >= 4);
  CU_ASSERT_PTR_NULL(mb_strategy_find("L2"));
}

/* Each parameter of each strategy: told what it is, with a default that reads back. */
static void test_params_described(void) {
  for (const mb_strategy *s = mb_strategies(); s->name != NULL; s++) {
    void *params = test_alloc(1, s->params_size);
    mb_strategy_params_init(s, params);
    for (const mb_param *param = s->params; param != NULL && param->key != NULL; param++) {
      char text[MB_PARAM_TEXT_SIZE];
      CU_ASSERT(param->help != NULL && param->help[0] != '\0' && param->unit != NULL);
      CU_ASSERT_STRING_EQUAL(mb_param_format(param, params, text, sizeof text),
                             strcmp(param->key, "min_gain") == 0 ? "1e-06" : param->initial);
    }
    free(params);
  }
}

static void test_params(void) {
  const mb_strategy *l2 = mb_strategy_find("l2");
  const mb_strategy *lpt = mb_strategy_find("lpt");
  mb_eplb_params params;

  mb_strategy_params_init(l2, &params);
  CU_ASSERT_EQUAL(params.options.max_rounds, 50);
  CU_ASSERT(params.options.min_gain == 1e-6);
  CU_ASSERT(!params.options.reference_quirks);
  CU_ASSERT_STRING_EQUAL(params.refinement, "l2");
  CHECK_OK(mb_params_set(l2->params, "max_rounds", "unlimited", &params));
  CU_ASSERT_EQUAL(params.options.max_rounds, MB_ROUNDS_UNLIMITED);
  CHECK_FAILS(mb_params_set(l2->params, "max_rounds", "1000000001", &params), MB_ERR_PARAM,
              "max_rounds is '1000000001', but has to be a whole number from 0 to 1000000000, or "
              "unlimited");
  CHECK_FAILS(mb_params_set(l2->params, "min_gain", "-1", &params), MB_ERR_PARAM,
              "min_gain is '-1'");
  CHECK_FAILS(mb_params_set(l2->params, "refinement", "lpt", &params), MB_ERR_PARAM,
              "unknown parameter 'refinement'");
  CHECK_OK(mb_params_set(lpt->params, "reference_quirks", "true", &params));
  CHECK_FAILS(mb_params_set(lpt->params, "max_rounds", "5", &params), MB_ERR_PARAM,
              "unknown parameter 'max_rounds'; known: reference_quirks");
  CHECK_FAILS(mb_params_set(mb_strategy_find("eplb")->params, "refinement", "l3", &params),
              MB_ERR_PARAM, "refinement is 'l3', but has to be one of: lpt, maxmin, l2");
}

/* What a planner made so answers at once. */
static void plan_once(const mb_strategy *strategy, const void *params, int32_t *map) {
  mb_planner *planner = NULL;
  bool replaced[L] = {false};
  mb_plan_output output = {replaced, map};
  mb_plan_input input = plan_input();

  CHECK_OK(mb_planner_create(strategy, &shape, params, NULL, &planner));
  CU_ASSERT_FATAL(planner != NULL);
  CU_ASSERT_EQUAL(mb_planner_n_slices(planner), 1);
  CHECK_OK(mb_planner_plan(planner, &input, &output));
  CU_ASSERT(replaced[0] && replaced[1] && replaced[2]);
  mb_planner_destroy(planner);
}

/* A refinement's name, the planner with that refinement, and mb_rebalance(): the same answer. */
static void test_eplb(void) {
  for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
    int32_t by_name[L * P];
    int32_t by_planner[L * P];
    mb_eplb_params params;
    mb_placement direct = placement_alloc(&shape);

    plan_once(mb_strategy_find((*type)->name), NULL, by_name);
    mb_strategy_params_init(mb_strategy_find("eplb"), &params);
    CHECK_OK(mb_params_set(mb_strategy_find("eplb")->params, "refinement", (*type)->name, &params));
    plan_once(mb_strategy_find("eplb"), &params, by_planner);
    CHECK_OK(mb_rebalance(&shape, loads, *type, NULL, &direct));
    CU_ASSERT(memcmp(by_name, direct.physical_to_logical_map, sizeof by_name) == 0);
    CU_ASSERT(memcmp(by_planner, direct.physical_to_logical_map, sizeof by_planner) == 0);
    placement_free(&direct);
  }
}

/* Options reach mb_rebalance(): the layer without load shows its quirk. */
static void test_options_pass(void) {
  const mb_strategy *lpt = mb_strategy_find("lpt");
  int32_t map[L * P];
  mb_eplb_params params;

  mb_strategy_params_init(lpt, &params);
  plan_once(lpt, &params, map);
  CU_ASSERT(memcmp(map + (size_t)2 * P, (const int32_t[]){0, 1, 2, 3, 0, 1}, P * sizeof *map) == 0);
  CHECK_OK(mb_params_set(lpt->params, "reference_quirks", "true", &params));
  plan_once(lpt, &params, map);
  CU_ASSERT(memcmp(map + (size_t)2 * P, (const int32_t[]){0, 1, 2, 3, 0, 0}, P * sizeof *map) == 0);
}

static void check_create(const mb_strategy *strategy, const mb_shape *s, const void *params,
                         mb_status status, const char *message) {
  mb_planner *untouched = (mb_planner *)&shape;
  mb_planner *planner = untouched;

  CHECK_FAILS(mb_planner_create(strategy, s, params, NULL, &planner), status, message);
  CU_ASSERT_PTR_EQUAL(planner, untouched);
}

static void test_create_refused(void) {
  const mb_strategy *l2 = mb_strategy_find("l2");
  mb_shape odd = shape;
  mb_eplb_params params;

  odd.n_slots = 7;
  check_create(l2, &odd, NULL, MB_ERR_SHAPE, "7 slots do not divide evenly over 2 GPUs");
  mb_strategy_params_init(l2, &params);
  params.options.max_rounds = -3;
  check_create(l2, &shape, &params, MB_ERR_PARAM, "max_rounds is -3");
  mb_strategy_params_init(l2, &params);
  params.options.min_gain = NAN;
  check_create(l2, &shape, &params, MB_ERR_PARAM, "min_gain is nan");
  mb_strategy_params_init(l2, &params);
  (void)snprintf(params.refinement, sizeof params.refinement, "l3");
  check_create(l2, &shape, &params, MB_ERR_PARAM, "there is no refinement 'l3'");
  mb_planner_destroy(NULL);
}

static void test_plan_refused(void) {
  const double wrong[L * E] = {1, 2, 3, 4, 5, 6, -7, 8, 9, 10, 11, 12};
  mb_planner *planner = NULL;
  bool replaced[L];
  int32_t map[L * P];
  mb_plan_output output = {replaced, map};
  mb_plan_input input = plan_input();

  CHECK_OK(mb_planner_create(mb_strategy_find("l2"), &shape, NULL, NULL, &planner));
  CU_ASSERT_FATAL(planner != NULL);
  input.n_slices = 2;
  CHECK_FAILS(mb_planner_plan(planner, &input, &output), MB_ERR_SHAPE,
              "planner eplb got 2 slices of the window, but wants 1");
  input = plan_input();
  input.shape.n_gpus = 3;
  CHECK_FAILS(mb_planner_plan(planner, &input, &output), MB_ERR_SHAPE,
              "planner eplb was made for another shape than it is asked about");
  input = plan_input();
  input.load = wrong;
  CHECK_FAILS(mb_planner_plan(planner, &input, &output), MB_ERR_RANGE,
              "load of layer 1, expert 2 is -7");
  input = plan_input();
  CHECK_OK(mb_planner_plan(planner, &input, &output));
  mb_planner_destroy(planner);
}

/* A planner of the test's own: it replaces one layer a call, in turn, whatever the step; slot 0 of
   the layer gets the expert that the parameters name. It counts in its state. */
typedef struct turn_params {
  int64_t expert;
  int64_t slices;
  int64_t *n_ended; /* how often fini was called */
} turn_params;

typedef struct turn_state {
  size_t n_calls;
  size_t last_step;
  const turn_params *params;
} turn_state;

static size_t turn_n_slices(const void *params) {
  return (size_t)((const turn_params *)params)->slices;
}

static mb_status turn_init(void *state, const mb_shape *s, const void *params,
                           const mb_backend *backend) {
  turn_state *turn = state;

  CU_ASSERT_PTR_EQUAL(backend, &mb_backend_cpu);
  CU_ASSERT(turn->n_calls == 0 && turn->params == NULL);
  turn->params = params;
  return s->n_layers < 2 ? MB_FAIL(MB_ERR_PARAM, "turn wants 2 layers") : MB_OK;
}

static mb_status turn_plan(void *state, const void *params, const mb_plan_input *input,
                           mb_plan_output *output) {
  turn_state *turn = state;
  const mb_shape *s = &input->shape;
  size_t l = turn->n_calls++ % s->n_layers;

  CU_ASSERT(turn->params == params);
  CU_ASSERT(input->step > turn->last_step);
  turn->last_step = input->step;
  for (size_t other = 0; other < s->n_layers; other++) {
    CU_ASSERT(!output->replaced[other]);
  }
  memcpy(output->physical_to_logical_map + l * s->n_slots,
         input->physical_to_logical_map + l * s->n_slots, s->n_slots * sizeof(int32_t));
  output->physical_to_logical_map[l * s->n_slots] = (int32_t)turn->params->expert;
  output->replaced[l] = true;
  return MB_OK;
}

static void turn_fini(void *state) {
  ++*((turn_state *)state)->params->n_ended;
}

static const mb_planner_type turn_type = {.name = "turn",
                                          .summary = "a layer a call",
                                          .params_size = sizeof(turn_params),
                                          .state_size = sizeof(turn_state),
                                          .n_slices = turn_n_slices,
                                          .init = turn_init,
                                          .plan = turn_plan,
                                          .fini = turn_fini};
static const mb_strategy turn = {.name = "turn",
                                 .summary = "a layer a call",
                                 .params_size = sizeof(turn_params),
                                 .planner = &turn_type};

/* Any subset of the layers, at any step; the rows of kept layers may hold anything. */
static void test_subset(void) {
  int64_t n_ended = 0;
  const turn_params params = {.expert = 2, .slices = 3, .n_ended = &n_ended};
  const size_t steps[] = {1, 2, 77, 1000000};
  mb_planner *planner = NULL;
  mb_plan_input input = plan_input();

  CHECK_OK(mb_planner_create(&turn, &shape, &params, NULL, &planner));
  CU_ASSERT_FATAL(planner != NULL);
  CU_ASSERT_EQUAL(mb_planner_n_slices(planner), 3);
  input.n_slices = 3;
  for (size_t x = 0; x < 4; x++) {
    bool replaced[L] = {true, true, true};
    int32_t map[L * P];
    mb_plan_output output = {replaced, map};
    memset(map, 0x77, sizeof map);
    input.step = steps[x];
    CHECK_OK(mb_planner_plan(planner, &input, &output));
    for (size_t l = 0; l < L; l++) {
      CU_ASSERT_EQUAL(replaced[l], l == x % L);
      CU_ASSERT_EQUAL(map[l * P], l == x % L ? 2 : 0x77777777);
    }
  }
  CU_ASSERT_EQUAL(n_ended, 0);
  mb_planner_destroy(planner);
  CU_ASSERT_EQUAL(n_ended, 1);
}

/* The plan of the call after `n_good` good ones is refused: layer n_good drops expert 0, or slot 0
   gets an expert that there is not. */
static void check_wrong_plan(int64_t expert, size_t n_good, const char *message) {
  int64_t n_ended = 0;
  const turn_params params = {.expert = expert, .slices = 1, .n_ended = &n_ended};
  int32_t current[L * P];
  mb_planner *planner = NULL;
  bool replaced[L];
  int32_t map[L * P];
  mb_plan_output output = {replaced, map};
  mb_plan_input input = plan_input();

  memcpy(current, linear, sizeof current);
  current[n_good * P + 4] = 1; /* expert 0 is left in slot 0 alone */
  input.physical_to_logical_map = current;
  CHECK_OK(mb_planner_create(&turn, &shape, &params, NULL, &planner));
  CU_ASSERT_FATAL(planner != NULL);
  for (size_t call = 0; call < n_good; call++) {
    input.step = 1 + call;
    CHECK_OK(mb_planner_plan(planner, &input, &output));
  }
  input.step = 1 + n_good;
  CHECK_FAILS(mb_planner_plan(planner, &input, &output), MB_ERR_RANGE, message);
  mb_planner_destroy(planner);
  CU_ASSERT_EQUAL(n_ended, 1);
}

static void test_wrong_plan(void) {
  check_wrong_plan(4, 0,
                   "planner turn gave a wrong placement for layer 0: slot 0 holds expert 4, but "
                   "experts are 0 to 3");
  check_wrong_plan(-1, 0, "wrong placement for layer 0: slot 0 holds expert -1");
  check_wrong_plan(3, 0, "wrong placement for layer 0: expert 0 is in none of the 6 slots");
  check_wrong_plan(3, 2,
                   "planner turn gave a wrong placement for layer 2: expert 0 is in none of the 6 "
                   "slots");
}

static void test_wrong_planner(void) {
  int64_t n_ended = 0;
  turn_params params = {.expert = 0, .slices = 0, .n_ended = &n_ended};
  mb_shape flat = shape;

  check_create(&turn, &shape, &params, MB_ERR_PARAM,
               "planner turn wants 0 slices of the window, but 1 is the least");
  params.slices = 1;
  flat.n_layers = 1;
  check_create(&turn, &flat, &params, MB_ERR_PARAM, "turn wants 2 layers");
  CU_ASSERT_EQUAL(n_ended, 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"the refinements", test_refinements},
                         {"the strategies", test_strategies},
                         {"parameters are described", test_params_described},
                         {"parameters", test_params},
                         {"eplb is mb_rebalance()", test_eplb},
                         {"options reach mb_rebalance()", test_options_pass},
                         {"planners refused", test_create_refused},
                         {"inputs refused", test_plan_refused},
                         {"any layers at any step", test_subset},
                         {"wrong plans refused", test_wrong_plan},
                         {"wrong planners refused", test_wrong_planner},
                         CU_TEST_INFO_NULL};
  return run_suite("planner", tests);
}
