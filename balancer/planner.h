/* balancer/planner.h - planners decide, at a step, which layers get which placement; strategies
 * name them. */
#ifndef MB_BALANCER_PLANNER_H
#define MB_BALANCER_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/backend.h"
#include "balancer/param.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a planner may know: the past, never the step it plans for. All borrowed. */
typedef struct mb_plan_input {
  mb_shape shape;
  size_t step;           /* t: steps 0..t-1 are past; the plan is for t and later */
  size_t n_window_steps; /* steps that the slices cover, the last ones before t */
  size_t n_slices;       /* S */
  const double *load;    /* [S,L,E] tokens, oldest slice first; S = 1: the window's sum */
  const int32_t *physical_to_logical_map; /* [L,P] the placement in force */
  /* [L] imbalance realised since this planner's last plan took effect (or the start): sum over the
     steps of the largest GPU load / sum of the mean GPU load; NaN for a layer without load. */
  const double *imbalance;
} mb_plan_input;

/** A planner's answer, into arrays that the caller has. */
typedef struct mb_plan_output {
  bool *replaced;                   /* [L] false on entry: the layer keeps its placement */
  int32_t *physical_to_logical_map; /* [L,P] a row counts only where replaced */
} mb_plan_output;

/**
 * A planner: one file, ending in `const mb_planner_type mb_planner_<name>`, and one line in
 * strategies.def. A planner is itself a strategy.
 */
typedef struct mb_planner_type {
  const char *name;
  const char *summary;    /* required; half a sentence for `moebal list strategies` */
  const mb_param *params; /* optional, NULL: it has none */
  size_t params_size;     /* bytes of the struct that params describes */
  bool keeps_groups;      /* where hierarchical, a layer it replaces has each group on one node */
  size_t state_size;      /* bytes that the caller allocates, zeroed, before init; may be 0 */
  /* Optional, NULL: one slice, the window's sum. How many slices of the window it wants, >= 1. */
  size_t (*n_slices)(const void *params);
  /* Optional, NULL: the zeroed state will do. `params` is borrowed until fini; `backend` is what to
     rebalance with. */
  mb_status (*init)(void *state, const mb_shape *shape, const void *params,
                    const mb_backend *backend);
  /* Required. Loads are as mb_rebalance() wants them. Deterministic: same inputs, same answer. */
  mb_status (*plan)(void *state, const void *params, const mb_plan_input *input,
                    mb_plan_output *output);
  /* Optional, NULL: the state owns nothing. Called once for every init that succeeded. */
  void (*fini)(void *state);
} mb_planner_type;

/**
 * What people name in a config: a planner, with the parameters that are its own. A refinement's
 * name stands for the planner `eplb` with that refinement.
 */
typedef struct mb_strategy {
  const char *name;
  const char *summary;
  const mb_param *params; /* table over a struct of params_size bytes; NULL: none */
  size_t params_size;
  const mb_planner_type *planner;
  const char *refinement; /* becomes the planner's parameter "refinement"; NULL: none */
} mb_strategy;

/** The strategy of that name, or NULL. */
const mb_strategy *mb_strategy_find(const char *name);

/** All strategies in the order of strategies.def, ended by an entry whose name is NULL. Static. */
const mb_strategy *mb_strategies(void);

/** Sets a struct of params_size bytes to the strategy's defaults; then mb_params_set() may change
 * it. */
void mb_strategy_params_init(const mb_strategy *strategy, void *params);

/** A planner with its parameters and state, ready to be asked. */
typedef struct mb_planner mb_planner;

/**
 * @param params  as set by mb_strategy_params_init(); copied. NULL: the defaults.
 * @param backend what to rebalance with; NULL: mb_backend_cpu.
 * @param planner Transferred: mb_planner_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE; MB_ERR_PARAM; MB_ERR_MEMORY; MB_ERR_UNSUPPORTED from the backend.
 */
MB_NODISCARD mb_status mb_planner_create(const mb_strategy *strategy, const mb_shape *shape,
                                         const void *params, const mb_backend *backend,
                                         mb_planner **planner);
size_t mb_planner_n_slices(const mb_planner *planner);

/**
 * Asks for a plan and checks the answer: in every replaced layer, each expert has a slot.
 * On failure the contents of the output arrays are unspecified.
 */
MB_NODISCARD mb_status mb_planner_plan(mb_planner *planner, const mb_plan_input *input,
                                       mb_plan_output *output);
void mb_planner_destroy(mb_planner *planner); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
