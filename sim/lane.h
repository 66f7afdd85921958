/* sim/lane.h - one strategy in a replay: its placement in force, its plan in flight, its scores. */
#ifndef MB_SIM_LANE_H
#define MB_SIM_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/planner.h"
#include "balancer/post_pass.h"
#include "balancer/status.h"
#include "sim/dispatch.h"
#include "sim/forecast.h"
#include "sim/lane_cost.h"
#include "sim/relabel.h"
#include "sim/replay.h"
#include "sim/score.h"
#include "sim/tally.h"
#include "sim/trigger.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A plan from when it is made until it has taken effect everywhere. */
typedef struct mb_flight {
  bool flying;
  size_t n_plans; /* plans recorded so far: the number of this one */
  size_t step;    /* when it was made */
  double planner_seconds;
  bool *pending;                    /* [L] replaced, and not yet in effect */
  int32_t *physical_to_logical_map; /* [L,P] as it will be everywhere */
  int64_t *effect_step;             /* [L] -1: kept */
  int32_t *duplicate_slots;         /* [L] */
  int32_t *moved_experts;           /* [L] */
  float *node_imbalance;            /* [L]; NULL unless hierarchical */
  float *planned_imbalance;         /* [L] */
  float *planned_gap;               /* [L] */
  float *load_before, *load_after;  /* [L,D] */
} mb_flight;

typedef struct mb_lane {
  mb_shape shape;
  mb_replay_role role;
  const char *label;
  size_t index;          /* its number among the strategies */
  mb_planner *planner;   /* NULL for MB_REPLAY_NONE and MB_REPLAY_RECORDED */
  size_t window;         /* steps that plans are made from; not beyond the trace */
  mb_forecast *forecast; /* of MB_REPLAY_ONLINE; NULL: plans are made from the window's loads */
  const mb_trigger_options *trigger; /* NULL: every plan that falls due is made. Borrowed */
  size_t interval;                   /* steps from one to the next */
  bool *due;                         /* [L] scratch: layers that a plan may change */
  double *floor;                     /* [L] scratch: mb_trigger_floors() */
  mb_post_pass *post_pass;           /* what its answers go through; NULL: nothing */
  mb_dispatch_origin origin;         /* of the loads that it dispatches */
  mb_dispatcher *dispatcher;
  const mb_replay_recorded *recorded; /* NULL but for MB_REPLAY_RECORDED; plan n_plans is next */

  mb_score_layer *layer; /* [L] the placement in force; its arrays are rows of these: */
  int32_t *physical_to_logical_map, *expert_count, *replicated;

  mb_flight flight;
  double *since_max, *since_mean; /* [L] load_max and load_mean since the last plan took effect */
  double *imbalance;              /* [L] scratch: their ratio */
  int32_t *count;                 /* [E] scratch */
  double *share;                  /* [E] scratch */
  double *weight;                 /* [P] scratch */

  mb_relabel relabel;      /* of zeroes: planners see experts as they are */
  double *relabelled_load; /* [S,L,E] scratch; NULL without relabelling, as is the next */
  int32_t *relabelled_map; /* [L,P] scratch */
  mb_lane_cost *cost;      /* NULL: nobody asks */
  mb_tally tally;
} mb_lane;

/** A lane under the linear placement. @param origin NULL: nothing is known. @return MB_OK,
 * MB_ERR_MEMORY, or why there is no planner. */
MB_NODISCARD mb_status mb_lane_init(mb_lane *lane, const mb_replay_config *config, size_t index,
                                    size_t n_steps, const mb_dispatch_origin *origin);
void mb_lane_fini(mb_lane *lane); /* of zeroes is fine */

/** Scores one layer of one step under the placement in force. Layers may be scored at once.
 * @param share [E], slot_load [P] scratch. */
void mb_lane_score(mb_lane *lane, size_t layer, const mb_dispatch_load *load, double *share,
                   double *slot_load, mb_layer_score *score);

/** Gives the lane costs, where the config has a model of them. @param max_rows of the scores that
 * the sink has not had yet. @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_lane_start_cost(mb_lane *lane, const mb_replay_config *config,
                                          size_t max_rows);

/** Steps from when a plan would take effect without costs until its last layer does. */
size_t mb_lane_longest_move(const mb_lane *lane);

/** Slices of the window that the planner wants; 1 without a planner. */
size_t mb_lane_n_slices(const mb_lane *lane);

/** mb_planner_plan() of a planner of the lane's kind, which sees experts under the lane's labels.
 * @param seconds what the planner took; or NULL. */
MB_NODISCARD mb_status mb_lane_ask(mb_lane *lane, mb_planner *planner, const mb_plan_input *input,
                                   mb_plan_output *output, double *seconds);

/**
 * Makes a plan at `step`, to take effect at step + delay; skips and counts it where the last one is
 * still in flight, and leaves it out and counts it where the strategy's trigger says so: before or
 * after the planner is asked. One that was asked for in vain is recorded, and keeps every layer.
 * mb_lane_land() must have been called for this step, so that the last plan has come as far as it
 * can, and again afterwards, for a plan without delay.
 *
 * @param n_window_steps steps that the loads cover.
 * @param load           [S,L,E] the loads planned for. Borrowed.
 * @param next           [L,E] those of the interval that starts at `step`, for the record.
 * Borrowed.
 */
MB_NODISCARD mb_status mb_lane_plan(mb_lane *lane, size_t step, size_t delay, size_t n_window_steps,
                                    const double *load, const double *next);

/**
 * Lets the layers whose effect step is `step` take effect; those that already have stay as they
 * are. Once all layers have, the plan goes to the sink, and a recorded one is followed by the next.
 */
MB_NODISCARD mb_status mb_lane_land(mb_lane *lane, size_t step, const mb_replay_sink *sink);

/** The first step after `step` at which a layer takes effect; SIZE_MAX: none is in flight. */
size_t mb_lane_next_effect(const mb_lane *lane, size_t step);

/** Takes in the scores [L] of a step; fills a row of what the sink gets, as mb_tally_step(). */
void mb_lane_step(mb_lane *lane, size_t step, const mb_layer_score *score, double *step_imbalance,
                  float *imbalance, int32_t *active_experts);

#ifdef __cplusplus
}
#endif

#endif
