/* tests/rivals.h - what tests of strategies share: a plan from slices, and what it makes of loads.
 */
#ifndef MB_TESTS_RIVALS_H
#define MB_TESTS_RIVALS_H

#include <math.h>

#include "balancer/planner.h"
#include "tests/balance.h"

/** A number of 32 bits, the next of the sequence that a test starts anywhere. */
static inline uint32_t dice(uint64_t *state) {
  *state = *state * 6364136223846793005U + 1442695040888963407U;
  uint32_t mixed = (uint32_t)(((*state >> 18) ^ *state) >> 27);
  uint32_t turn = (uint32_t)(*state >> 59);
  return mixed >> turn | mixed << (31 & -turn);
}

/** Lognormal loads of n experts, sigma given, whole tokens. */
static inline void fill_lognormal_dice(uint64_t *state, double sigma, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    double u = (dice(state) + 0.5) / 4294967296.0;
    double v = (dice(state) + 0.5) / 4294967296.0;
    load[e] = floor(1e5 * exp(sigma * sqrt(-2 * log(u)) * cos(6.283185307179586 * v)));
  }
}

/** A planner of the strategy, its parameters set from pairs of key and text, ended by NULL. */
static inline mb_planner *make_planner(const char *name, const mb_shape *shape,
                                       const char *const *settings) {
  const mb_strategy *strategy = mb_strategy_find(name);
  mb_planner *planner = NULL;

  CU_ASSERT_PTR_NOT_NULL_FATAL(strategy);
  void *params = test_alloc(1, strategy->params_size);
  mb_strategy_params_init(strategy, params);
  for (; settings != NULL && settings[0] != NULL; settings += 2) {
    CHECK_OK(mb_params_set(strategy->params, settings[0], settings[1], params));
  }
  CHECK_OK(mb_planner_create(strategy, shape, params, NULL, &planner));
  CU_ASSERT_PTR_NOT_NULL_FATAL(planner);
  free(params);
  return planner;
}

/** One plan; map [L,P] holds the placement in force before, and after that of replaced layers. */
static inline void plan_with(mb_planner *planner, const mb_shape *shape, const double *load,
                             bool *replaced, int32_t *map) {
  size_t n_map = shape->n_layers * shape->n_slots;
  int32_t *before = test_alloc(n_map, sizeof *before);
  int32_t *after = test_alloc(n_map, sizeof *after);
  double *imbalance = test_alloc(shape->n_layers, sizeof *imbalance);
  mb_plan_input input = {.shape = *shape,
                         .step = 100,
                         .n_window_steps = 100,
                         .n_slices = mb_planner_n_slices(planner),
                         .load = load,
                         .physical_to_logical_map = before,
                         .imbalance = imbalance};
  mb_plan_output output = {replaced, after};

  memcpy(before, map, n_map * sizeof *map);
  CHECK_OK(mb_planner_plan(planner, &input, &output));
  for (size_t p = 0; p < n_map; p++) {
    map[p] = replaced[p / shape->n_slots] ? after[p] : before[p];
  }
  free(before);
  free(after);
  free(imbalance);
}

/** A plan from the linear placement, of all layers, by a planner made for it. */
static inline void plan_from_linear(const char *name, const mb_shape *shape,
                                    const char *const *settings, const double *load, bool *replaced,
                                    int32_t *map) {
  mb_planner *planner = make_planner(name, shape, settings);

  for (size_t l = 0; l < shape->n_layers; l++) {
    mb_placement_linear(shape, map + l * shape->n_slots);
  }
  plan_with(planner, shape, load, replaced, map);
  mb_planner_destroy(planner);
}

/** The largest load of a GPU of one layer, whose loads [E] are split evenly; mean, or NULL. */
static inline double gpu_load_max(const mb_shape *shape, const double *load, const int32_t *map,
                                  double *mean) {
  size_t k = shape->n_slots / shape->n_gpus;
  int32_t *count = test_alloc(shape->n_experts, sizeof *count);
  double largest = 0;
  double total = 0;

  CHECK_OK(mb_placement_count(shape, map, count));
  for (size_t gpu = 0; gpu < shape->n_gpus; gpu++) {
    double sum = 0;
    for (size_t p = gpu * k; p < (gpu + 1) * k; p++) {
      sum += load[map[p]] / count[map[p]];
    }
    largest = sum > largest ? sum : largest;
    total += sum;
  }
  free(count);
  if (mean != NULL) {
    *mean = total / (double)shape->n_gpus;
  }
  return largest;
}

static inline double imbalance_of(const mb_shape *shape, const double *load, const int32_t *map) {
  double mean = 0;
  double largest = gpu_load_max(shape, load, map, &mean);

  return largest / mean;
}

#endif
