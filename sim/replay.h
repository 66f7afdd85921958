/* sim/replay.h - replays a stream of loads through several strategies in one pass. */
#ifndef MB_SIM_REPLAY_H
#define MB_SIM_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/planner.h"
#include "balancer/status.h"
#include "sim/cost.h"
#include "sim/cost_summary.h"
#include "sim/lane_options.h"
#include "workloads/source.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mb_replay_role {
  MB_REPLAY_ONLINE,    /* plans at interval, 2 interval, ... from the window before */
  MB_REPLAY_NONE,      /* keeps the linear placement */
  MB_REPLAY_HINDSIGHT, /* plans at 0, interval, ... for steps [t, t + interval), without delay */
  MB_REPLAY_RECORDED,  /* placements that were decided elsewhere, at their own steps */
} mb_replay_role;

/**
 * Placements that were decided elsewhere, one after the other: a layer of placement k + 1 takes
 * effect after every layer of placement k has. Borrowed.
 */
typedef struct mb_replay_recorded {
  size_t n_plans;                         /* K >= 1 */
  const int64_t *effect_step;             /* [K,L] in 0..T-1; -1: the layer keeps its placement */
  const int32_t *physical_to_logical_map; /* [K,L,P] a row counts only where its step is not -1 */
} mb_replay_recorded;

typedef struct mb_replay_strategy {
  const char *label; /* unique within a replay */
  mb_replay_role role;
  const mb_strategy *strategy; /* NULL for MB_REPLAY_NONE and MB_REPLAY_RECORDED */
  const void *params; /* as mb_planner_create() takes them; mb_replay_recorded where it is that */
  const mb_lane_options *options; /* NULL: the defaults. Those of plans mean nothing without any */
} mb_replay_strategy;

/** Everything that decides a replay's outcome but the loads. Borrowed throughout. */
typedef struct mb_replay_config {
  mb_shape shape;      /* n_layers and n_experts are the source's */
  size_t interval;     /* steps between plans, >= 1 */
  size_t window;       /* steps that a plan is made from, >= 1 */
  size_t delay;        /* steps until a plan takes effect, < interval */
  size_t summary_from; /* summaries cover steps >= this one; < T */
  size_t relabel;      /* which relabelling of the experts planners see, mb_replay(); 0: none */
  size_t n_strategies; /* >= 1 */
  const mb_replay_strategy *strategies;
  const mb_backend *backend; /* what plans are made with; NULL: mb_backend_cpu */
  const mb_cost *cost; /* of that shape; NULL: nothing is said of time, and no time spent on it */
} mb_replay_config;

/** One plan of one strategy, as it is recorded. Borrowed for the call. */
typedef struct mb_plan_record {
  size_t strategy;
  size_t plan;                /* its number, 0.. */
  int64_t step;               /* when it was made; of a recorded one, when it first took effect */
  const int64_t *effect_step; /* [L] when it takes effect; -1: the layer keeps its placement */
  const int32_t *duplicate_slots; /* [L] */
  const float *node_imbalance;    /* [L] of the loads planned for, NaN of a recorded plan; NULL
                                     unless hierarchical */
  /* [L] Largest GPU load / mean of the loads planned for, summed over the slices, under the map
     below, also where a layer keeps its placement. NaN without load, and of a recorded plan. */
  const float *planned_imbalance;
  /* [L] The same largest GPU load / mb_bound_packing() (balancer/packing_bound.h) of the same
     replicas - 1. NaN likewise. */
  const float *planned_gap;
  /* [L,D] Loads of the GPUs, summed over the steps [step, min(T, step + interval)), if the
     placement in force just before the plan, or the map below, were in force in all of them,
     whatever the delay. The same where a layer keeps its placement; NaN of a recorded plan. */
  const float *gpu_load_before, *gpu_load_after;
  const int32_t *moved_experts; /* [L] 0 for a plan in effect at step 0: serving starts with it */
  const int32_t *physical_to_logical_map; /* [L,P] in force once all layers have taken effect */
  double planner_seconds;                 /* measured; decides nothing; 0 of a recorded plan */
  const mb_movement *movement;            /* all layers together; NULL without costs */
} mb_plan_record;

/** The parts of an interval's excess; sim/attribution.h has their formulas. */
typedef enum mb_part_index {
  MB_PART_GRANULARITY,
  MB_PART_HIERARCHY,
  MB_PART_PACKING,
  MB_PART_NOISE,
  MB_PART_STALENESS,
  MB_PART_DELAY,
  MB_PART_DISPATCH,
  MB_N_PARTS
} mb_part_index;

/** Where the excess of one strategy in one interval comes from. Borrowed for the call. */
typedef struct mb_attribution_record {
  size_t strategy;
  int64_t step, n_steps; /* the interval [step, step + n_steps) */
  double load;           /* tokens of all its steps, layers and experts */
  double excess;         /* sum over steps and layers of max GPU load / of the mean - 1 */
  const double *parts;   /* [MB_N_PARTS] they add up to the excess */
  const double *shapley; /* [MB_N_PARTS] so do these */
} mb_attribution_record;

/** Where a replay's numbers go, as it produces them; a callback's failure ends the replay. */
typedef struct mb_replay_sink {
  void *context;
  /* Required. Scores of steps [first, first + n) of one strategy; every strategy gets every step
     once, in order. step_imbalance [n], imbalance [n,L], active_experts [n,L]; borrowed for the
     call. */
  mb_status (*steps)(void *context, size_t strategy, size_t first, size_t n,
                     const double *step_imbalance, const float *imbalance,
                     const int32_t *active_experts);
  /* Required. Plans of a strategy, in order. */
  mb_status (*plan)(void *context, const mb_plan_record *record);
  /* Optional, NULL: nobody watches. Called now and then with the steps done; MB_ERR_CANCELLED
   * stops. */
  mb_status (*progress)(void *context, size_t n_steps_done);
  /* Optional, NULL: nobody asks. The loads of steps [first, first + n), each summed over layers and
     experts, [n] tokens, exact; every step once, in order, whatever the number of strategies. */
  mb_status (*step_load)(void *context, size_t first, size_t n, const double *step_load);
  /* Optional, NULL: nobody asks. Costs of the same steps as `steps` tells, right after it; only
     where the config has a model of them. */
  mb_status (*costs)(void *context, size_t strategy, size_t first, size_t n,
                     const mb_cost_rows *rows);
  /* Optional, NULL: nobody asks, and the replay takes no time for it. The intervals of each
     strategy that plans online, in order, but for the one from step 0, before any plan, and those
     without load. */
  mb_status (*attribution)(void *context, const mb_attribution_record *record);
} mb_replay_sink;

/** A strategy's summary over the steps t >= summary_from; sim/metrics.def has the formulas. */
typedef struct mb_replay_summary {
  double run_imbalance;
  double step_imbalance_mean, step_imbalance_p50, step_imbalance_p95, step_imbalance_p99;
  double imbalance_p99; /* of the float32 values that the sink got */
  double tokens_per_active_slot;
  int64_t plans; /* that took effect at summary_from or later; so is moved_experts */
  int64_t moved_experts;
  int64_t skipped_plans;
  int64_t untriggered_plans;
  int64_t steps_scored;
  int64_t empty_layer_steps;
  size_t worst_layer; /* index of the layer with the largest run_imbalance of its own */
  double worst_layer_imbalance;
  double planner_seconds; /* sum over all its plans */
  mb_cost_summary cost;
} mb_replay_summary;

/** Steps that a strategy plans from: its own window, or the schedule's. */
size_t mb_replay_window(const mb_replay_config *config, size_t strategy);

/**
 * Checks a replay without running it; mb_replay() does so too.
 * @return MB_OK; MB_ERR_SHAPE, MB_ERR_PARAM naming both numbers and what would be right.
 */
MB_NODISCARD mb_status mb_replay_check(const mb_replay_config *config, const mb_trace_info *info);

/**
 * Replays all steps of `source` (at its start) through all strategies in one pass.
 *
 * Per step and layer: dispatch then metrics, under the placement in force; the linear placement
 * before the first plan. A plan at t sees the sum of steps [max(0, t - window), t), takes
 * effect at t + delay, and is not made where t + delay >= T. One that falls due while a layer of
 * the last one has not taken effect yet is skipped and counted, and so is one that the strategy's
 * trigger does not want (sim/trigger.h). Interval, window and delay mean
 * nothing to recorded placements.
 *
 * With a cost model, what the steps and the moves take is told besides. Nothing else changes,
 * unless weights move asynchronously: then layer i of those that a plan replaces takes effect 1 + i
 * / layers_per_step steps later, and a plan is not made where that could be after the end.
 * Hindsight and recorded placements keep their steps.
 *
 * With relabel = R > 0, planners see experts under other numbers: the R-th relabelling, by which
 * groups change places, and experts within their groups, in every layer otherwise. Loads and the
 * placement in force are put to them so, and their answers put back; everything else, the linear
 * start, none, recorded placements and all records, is by expert. Relabelling R is the same for
 * all strategies and loads, so that what differs between relabellings is due to ties and order.
 *
 * @param summary [n_strategies] caller-owned, written only on MB_OK.
 * @return MB_OK, what mb_replay_check(), the source or a callback returned, MB_ERR_MEMORY;
 *         MB_ERR_RANGE if no scored step has load.
 *
 * Memory: O((interval + window + a chunk) L E + T n_strategies), and one value in a hundred of
 * imbalance[T,L] for its exact p99. Layers run in parallel (OpenMP); every number but
 * planner_seconds is the same for any number of threads.
 */
MB_NODISCARD mb_status mb_replay(const mb_replay_config *config, mb_source *source,
                                 const mb_replay_sink *sink, mb_replay_summary *summary);

#ifdef __cplusplus
}
#endif

#endif
