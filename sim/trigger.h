/* sim/trigger.h - whether a plan that falls due is made, and in which layers. */
#ifndef MB_SIM_TRIGGER_H
#define MB_SIM_TRIGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The choices of mb_trigger_options.trigger, trigger_scope and trigger_reference. NULL-terminated.
 */
extern const char *const mb_trigger_words[];
extern const char *const mb_trigger_scope_words[];
extern const char *const mb_trigger_reference_words[];

typedef struct mb_trigger_options {
  char trigger[MB_PARAM_TEXT_SIZE];           /* periodic, threshold or cost_aware */
  char trigger_scope[MB_PARAM_TEXT_SIZE];     /* layer: each for itself; all: all or none */
  double trigger_imbalance;                   /* threshold: >= 1 */
  char trigger_reference[MB_PARAM_TEXT_SIZE]; /* threshold: mean or bound */
  double trigger_move_gain;                   /* cost_aware: imbalance for a move of all, >= 0 */
  double trigger_move_cost;                   /* cost_aware: tokens for a moved expert, >= 0 */
  int64_t trigger_horizon;                    /* cost_aware: steps; 0: the interval */
} mb_trigger_options;

/** Whether plans are made whenever they fall due, so that nothing of this file is asked. */
bool mb_trigger_is_periodic(const mb_trigger_options *options);

/**
 * Before a planner is asked: the layers in which it may change something. `threshold` has
 *
 *   since_max[l] > trigger_imbalance * since_mean[l] * floor[l]   with trigger_scope layer,
 *   the same of both sides summed over l, for all of them         with trigger_scope all:
 *
 * the imbalance realised since the last plan took effect, as it is or against the best that could
 * be had. The others have all layers.
 *
 * @param since_max, since_mean [L] sums over those steps of the largest and the mean GPU load.
 * @param floor [L] as mb_trigger_floors() fills it.
 * @param due   [L] caller-owned.
 * @return whether there is any.
 */
bool mb_trigger_ask(const mb_trigger_options *options, size_t n_layers, const double *since_max,
                    const double *since_mean, const double *floor, bool *due);

/**
 * What the largest GPU load is measured against, over the mean: 1, or with trigger_reference bound
 * mb_bound_hierarchy() of the loads that are to be planned for: what no placement that keeps groups
 * whole on nodes gets below, with any dispatch. 1 for a layer without load.
 *
 * @param load  [S,L,E] Borrowed.
 * @param floor [L] caller-owned.
 * @param sum   [E] scratch, caller-owned.
 *
 * Cost: O(L S E) and L bounds (balancer/bounds.h) with bound.
 */
void mb_trigger_floors(const mb_trigger_options *options, const mb_shape *shape, size_t n_slices,
                       const double *load, double *floor, double *sum);

/** A planner's answer beside what is in force. Borrowed. */
typedef struct mb_trigger_plan {
  const mb_shape *shape;
  size_t interval;       /* steps until the next plan falls due */
  size_t n_window_steps; /* that the loads cover */
  size_t n_slices;       /* S */
  const double *load;    /* [S,L,E] what was planned for */
  const int32_t *before; /* [L,P] the placement in force */
  const int32_t *after;  /* [L,P] the answer, by which experts move; counts where replaced */
} mb_trigger_plan;

/**
 * After it has answered: takes back the layers whose move doesn't pay. `cost_aware` keeps to
 *
 *   gain  = (peak before - peak after) / n_window_steps * horizon                    [tokens]
 *   price = moved experts * (trigger_move_cost +
 *                            trigger_move_gain * mean / n_window_steps * horizon / P) [tokens]
 *   gain > price,  of a layer, or of all layers together with trigger_scope all;
 *
 * peak is the largest GPU load of a layer, of evenly split loads, summed over the slices: what the
 * layer waits for; mean is the mean GPU load, summed likewise. So the first price is what a move
 * costs, the second one has no unit: a plan that fills all P slots anew has to lower the imbalance
 * by trigger_move_gain, one that fills fewer by as much less. The others take nothing back.
 *
 * @param replaced [L] made false where a layer keeps its placement.
 * @param share, count [E] scratch, caller-owned.
 * @return whether a layer is left of those that were replaced; true where none was.
 *
 * Cost: O(L S (E + P)).
 */
bool mb_trigger_weigh(const mb_trigger_options *options, const mb_trigger_plan *plan,
                      bool *replaced, double *share, int32_t *count);

#ifdef __cplusplus
}
#endif

#endif
