/* sim/tally.h - adds up one strategy's scores into its summary. */
#ifndef MB_SIM_TALLY_H
#define MB_SIM_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "sim/metrics.h"
#include "sim/replay.h"
#include "sim/top.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_tally {
  size_t n_layers, n_gpus;
  size_t summary_from;
  double *step_imbalance; /* [steps_scored] of the scored steps, NaN left out */
  mb_top imbalance;       /* the largest of imbalance[t,l] over the scored steps */
  double *layer_max;      /* [L] sum over the scored steps of load_max */
  double *layer_mean;     /* [L] of load_mean */
  int64_t active_slots;
  int64_t plans, moved_experts, skipped_plans, untriggered_plans;
  int64_t steps_scored, empty_layer_steps;
  double planner_seconds;
} mb_tally;

MB_NODISCARD mb_status mb_tally_init(mb_tally *tally, const mb_replay_config *config,
                                     size_t n_steps);
void mb_tally_fini(mb_tally *tally);

/**
 * Takes in one step; steps come in order, each once.
 *
 * @param score          [L] Borrowed.
 * @param step_imbalance one value, NaN for a step without load. Caller-owned, as the next two.
 * @param imbalance      [L] NaN for a layer without load.
 * @param active_experts [L]
 */
void mb_tally_step(mb_tally *tally, size_t step, const mb_layer_score *score,
                   double *step_imbalance, float *imbalance, int32_t *active_experts);

/** Takes in a plan that has taken effect, or never will: what its record says. */
void mb_tally_plan(mb_tally *tally, const mb_plan_record *record);

/** A plan that fell due at `step` while another was in flight. */
void mb_tally_skip(mb_tally *tally, size_t step);

/** A plan that fell due at `step` and was not wanted. */
void mb_tally_leave_out(mb_tally *tally, size_t step);

/** @return MB_OK; MB_ERR_RANGE if no scored step had load; MB_ERR_MEMORY. Sorts the tally's own
    values; may be called again. */
MB_NODISCARD mb_status mb_tally_summarise(mb_tally *tally, mb_replay_summary *summary);

#ifdef __cplusplus
}
#endif

#endif
