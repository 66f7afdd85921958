/* balancer/registry.c - the tables of refinements and strategies, from strategies.def. */
#include <assert.h>
#include <string.h>
#include <threads.h>

#include "balancer/pack.h"
#include "balancer/planner.h"

#define MB_REFINEMENT(name) extern const mb_refinement_type mb_refinement_##name;
#define MB_PLANNER(name) extern const mb_planner_type mb_planner_##name;
#include "balancer/strategies.def"
#undef MB_REFINEMENT
#undef MB_PLANNER

const mb_refinement_type *const *mb_refinements(void) {
#define MB_REFINEMENT(name) &mb_refinement_##name,
#define MB_PLANNER(name)
  static const mb_refinement_type *const refinements[] = {
#include "balancer/strategies.def"
      NULL};
#undef MB_REFINEMENT
#undef MB_PLANNER
  return refinements;
}

const mb_refinement_type *mb_refinement_find(const char *name) {
  for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
    if (strcmp((*type)->name, name) == 0) {
      return *type;
    }
  }
  return NULL;
}

/* A refinement's name stands for eplb with it; mb_eplb_params says why its table fits. */
static mb_strategy strategy_of_refinement(const mb_refinement_type *type) {
  return (mb_strategy){.name = type->name,
                       .summary = type->summary,
                       .params = type->params,
                       .params_size = mb_planner_eplb.params_size,
                       .planner = &mb_planner_eplb,
                       .refinement = type->name};
}

static mb_strategy strategy_of_planner(const mb_planner_type *type) {
  return (mb_strategy){.name = type->name,
                       .summary = type->summary,
                       .params = type->params,
                       .params_size = type->params_size,
                       .planner = type};
}

#define MB_REFINEMENT(name) STRATEGY_##name,
#define MB_PLANNER(name) STRATEGY_##name,
enum {
#include "balancer/strategies.def"
  N_STRATEGIES
};
#undef MB_REFINEMENT
#undef MB_PLANNER

/* Filled once, since C has no constant that is a copy of another object's member. */
static mb_strategy strategies[N_STRATEGIES + 1];
static once_flag strategies_once = ONCE_FLAG_INIT;

static void strategies_fill(void) {
  size_t n = 0;

#define MB_REFINEMENT(name) strategies[n++] = strategy_of_refinement(&mb_refinement_##name);
#define MB_PLANNER(name) strategies[n++] = strategy_of_planner(&mb_planner_##name);
#include "balancer/strategies.def"
#undef MB_REFINEMENT
#undef MB_PLANNER
  assert(n == N_STRATEGIES);
}

const mb_strategy *mb_strategies(void) {
  call_once(&strategies_once, strategies_fill);
  return strategies;
}

const mb_strategy *mb_strategy_find(const char *name) {
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    if (strcmp(strategy->name, name) == 0) {
      return strategy;
    }
  }
  return NULL;
}

void mb_strategy_params_init(const mb_strategy *strategy, void *params) {
  memset(params, 0, strategy->params_size);
  mb_params_init(strategy->planner->params, params);
  if (strategy->refinement != NULL) {
    mb_status status =
        mb_params_set(strategy->planner->params, "refinement", strategy->refinement, params);
    assert(status == MB_OK);
    (void)status;
    mb_params_init(strategy->params, params);
  }
}
