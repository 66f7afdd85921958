/* tests/test_trigger.c - which layers are due, and which pay, worked out by hand. */
#include "sim/trigger.h"

#include "sim/lane_options.h"
#include "tests/test.h"

enum { L = 3, E = 4, P = 4, S = 2 };

/* One slot a GPU but for the two of each here: GPU 0 has slots 0 and 1, GPU 1 has 2 and 3. */
static const mb_shape SHAPE = {L, E, P, 1, 1, 2};

static mb_trigger_options make(const char *trigger, const char *scope) {
  mb_lane_options options;

  mb_lane_options_init(&options);
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "trigger", trigger, &options));
  CHECK_OK(mb_params_set(mb_lane_plan_params(), "trigger_scope", scope, &options));
  return options.trigger;
}

/* Layer 0 is at 1.5, layer 1 had nothing, layer 2 is at 1.1; all together at 1.18. */
static void thresholds(void) {
  static const double max[L] = {300, 0, 880};
  static const double mean[L] = {200, 0, 800};
  static const double even[L] = {1, 1, 1};
  static const double uneven[L] = {1.31, 1, 1};
  mb_trigger_options one = make("threshold", "layer");
  mb_trigger_options all = make("threshold", "all");
  bool due[L] = {true, true, true};

  one.trigger_imbalance = all.trigger_imbalance = 1.15;
  CU_ASSERT(mb_trigger_ask(&one, L, max, mean, even, due));
  CU_ASSERT(due[0] && !due[1] && !due[2]);
  CU_ASSERT(mb_trigger_ask(&all, L, max, mean, even, due));
  CU_ASSERT(due[0] && due[1] && due[2]);
  /* Against 1.31, layer 0 is at 1.145, and all together at 1180 / 1062. */
  CU_ASSERT(!mb_trigger_ask(&one, L, max, mean, uneven, due));
  CU_ASSERT(!mb_trigger_ask(&all, L, max, mean, uneven, due));
  all.trigger_imbalance = 1.11;
  CU_ASSERT(mb_trigger_ask(&all, L, max, mean, uneven, due));
  one.trigger_imbalance = 1.5; /* it has to be above */
  all.trigger_imbalance = 1.18;
  CU_ASSERT(!mb_trigger_ask(&one, L, max, mean, even, due));
  CU_ASSERT(!due[0] && !due[1] && !due[2]);
  CU_ASSERT(!mb_trigger_ask(&all, L, max, mean, even, due));
  CU_ASSERT(!due[0] && !due[1] && !due[2]);
  mb_trigger_options cost = make("cost_aware", "layer");
  CU_ASSERT(mb_trigger_ask(&cost, L, max, mean, even, due) && due[0] && due[1] && due[2]);
  CU_ASSERT(!mb_trigger_is_periodic(&cost) && !mb_trigger_is_periodic(&one));
  mb_trigger_options periodic = make("periodic", "layer");
  CU_ASSERT(mb_trigger_is_periodic(&periodic));
}

/* Layer 0 has 90, 60, 10 and 0 in sum, layer 1 has 200 on one expert, layer 2 nothing. With 6 slots
   the largest replicas are 45 (90 / 2, 60 / 2, 10, 0) and 200 / 3, below the mean of 2 GPUs. Two
   nodes of one group have 150 and 10 of layer 0. */
static void floors(void) {
  static const double load[S * L * E] = {80, 50, 10, 0, 150, 0, 0, 0, 0, 0, 0, 0,
                                         10, 10, 0,  0, 50,  0, 0, 0, 0, 0, 0, 0};
  const mb_shape wide = {L, E, 6, 1, 1, 2};
  const mb_shape narrow = {L, E, 4, 1, 1, 4};
  const mb_shape many = {L, E, 6, 1, 1, 6};
  const mb_shape nodes = {L, E, 6, 2, 2, 2};
  mb_trigger_options options = make("threshold", "layer");
  double floor[L];
  double sum[E];

  mb_trigger_floors(&options, &narrow, S, load, floor, sum);
  CU_ASSERT(floor[0] == 1.0 && floor[1] == 1.0 && floor[2] == 1.0);
  (void)snprintf(options.trigger_reference, sizeof options.trigger_reference, "bound");
  mb_trigger_floors(&options, &wide, S, load, floor, sum);
  CU_ASSERT(floor[0] == 1.0 && floor[1] == 1.0 && floor[2] == 1.0);
  mb_trigger_floors(&options, &narrow, S, load, floor, sum);
  CU_ASSERT(floor[0] == 90.0 / 40.0 && floor[1] == 4.0 && floor[2] == 1.0);
  mb_trigger_floors(&options, &many, S, load, floor, sum);
  CU_ASSERT(floor[0] == 45.0 / (160.0 / 6.0) && floor[1] == (200.0 / 3.0) / (200.0 / 6.0));
  mb_trigger_floors(&options, &nodes, S, load, floor, sum);
  CU_ASSERT(floor[0] == 150.0 / 80.0 && floor[1] == 2.0 && floor[2] == 1.0);
}

/* Layer 0: {0,1 | 2,3} has peaks 9 + 5 in the slices, {0,2 | 1,3} has 6 + 4: 4 gained in 8 steps, 2
   experts moved. Layer 1 gains nothing and moves nothing. Layer 2 loses 4. */
static void costs(void) {
  static const double load[S * L * E] = {5, 4, 1, 2, 0, 0, 0, 0, 5, 1, 4, 2,
                                         3, 2, 1, 0, 0, 0, 0, 0, 3, 1, 2, 0};
  static const int32_t before[L * P] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
  static const int32_t after[L * P] = {0, 2, 1, 3, 1, 0, 3, 2, 0, 2, 1, 3};
  const mb_trigger_plan plan = {.shape = &SHAPE,
                                .interval = 16,
                                .n_window_steps = 8,
                                .n_slices = S,
                                .load = load,
                                .before = before,
                                .after = after};
  double share[E];
  int32_t count[E];
  bool replaced[L];
  mb_trigger_options options = make("cost_aware", "layer");
  options.trigger_move_gain = 0.0;
#define WEIGH(price, steps, zero, one, two)                                                      \
  (options.trigger_move_cost = (price), options.trigger_horizon = (steps), replaced[0] = (zero), \
   replaced[1] = (one), replaced[2] = (two),                                                     \
   mb_trigger_weigh(&options, &plan, replaced, share, count))

  CU_ASSERT(WEIGH(0.0, 0, true, true, true) && replaced[0] && !replaced[1] && !replaced[2]);
  /* 4 / 8 a step, for 16 steps, are worth 4 an expert and no more. */
  CU_ASSERT(WEIGH(3.99, 0, true, true, true) && replaced[0]);
  CU_ASSERT(!WEIGH(4.0, 0, true, true, true) && !replaced[0]);
  CU_ASSERT(WEIGH(4.0, 17, true, true, true) && replaced[0]);
  CU_ASSERT(!WEIGH(4.0, 15, true, true, true) && !replaced[0]);
  /* What the planner keeps is nobody's decision. */
  CU_ASSERT(WEIGH(4.0, 0, false, false, false) && !replaced[0]);
  CU_ASSERT(!WEIGH(0.0, 0, false, true, true));
  /* Loads of 18 are 9 a GPU, 18 in 16 steps, of which filling 2 of 4 slots anew has to save half a
     trigger_move_gain: 8 = 18 * gain / 2. */
  options.trigger_move_gain = 0.888;
  CU_ASSERT(WEIGH(0.0, 0, true, true, true) && replaced[0]);
  CU_ASSERT(WEIGH(0.0, 1000, true, true, true) && replaced[0]);
  CU_ASSERT(!WEIGH(0.01, 0, true, true, true) && !replaced[0]);
  options.trigger_move_gain = 0.889;
  CU_ASSERT(!WEIGH(0.0, 0, true, true, true) && !replaced[0]);
  CU_ASSERT(!WEIGH(0.0, 1000, true, true, true) && !replaced[0]);
  options = make("cost_aware", "all");
  options.trigger_move_gain = 0.0;
  CU_ASSERT(WEIGH(3.99, 0, true, true, false) && replaced[0] && replaced[1] && !replaced[2]);
  CU_ASSERT(!WEIGH(0.0, 0, true, true, true) && !replaced[0] && !replaced[1]);
  options = make("threshold", "layer");
  CU_ASSERT(WEIGH(1e9, 0, true, true, true) && replaced[0] && replaced[1] && replaced[2]);
#undef WEIGH
}

int main(void) {
  CU_TestInfo tests[] = {
      {"thresholds", thresholds}, {"floors", floors}, {"costs", costs}, CU_TEST_INFO_NULL};
  return run_suite("trigger", tests);
}
