/* sim/lane_cost.h - what one strategy's steps and plans cost in a replay. */
#ifndef MB_SIM_LANE_COST_H
#define MB_SIM_LANE_COST_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "sim/cost.h"
#include "sim/cost_summary.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The costs of one strategy: the steps that the sink has not had yet, the plan in flight, sums. */
typedef struct mb_lane_cost mb_lane_cost;

/**
 * @param cost             Borrowed as long as this lives.
 * @param dispatch_seconds what the strategy's dispatch adds to a layer.
 * @param summary_from     the first step that counts in the summary.
 * @param lane_cost        Transferred: mb_lane_cost_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY. Memory: O(max_rows L).
 */
MB_NODISCARD mb_status mb_lane_cost_create(const mb_cost *cost, double dispatch_seconds,
                                           size_t summary_from, size_t max_rows,
                                           mb_lane_cost **lane_cost);
void mb_lane_cost_destroy(mb_lane_cost *lane_cost); /* NULL is fine */

/** Steps that the last layer of a plan takes effect after the plan's own effect step: 0 in sync.
 * @param i the layer's number among the n that the plan replaces. */
size_t mb_lane_cost_effect_delay(const mb_lane_cost *lane_cost, size_t i);

/**
 * A plan is in flight, made at `step`: what of it moves, and when. In sync a layer moves at the
 * step at which it takes effect, which waits for it; in async during the one before, or, where that
 * is before `step`, at its effect step. A layer in effect at step 0 moves nothing.
 *
 * @param effect_step   [L] -1: the layer keeps its placement.
 * @param before, after [L,P] Borrowed.
 */
void mb_lane_cost_fly(mb_lane_cost *lane_cost, size_t step, const int64_t *effect_step,
                      const int32_t *before, const int32_t *after);

/** The copies of the plan that flies or has just landed, all layers. Borrowed. */
const mb_movement *mb_lane_cost_get_movement(const mb_lane_cost *lane_cost);

/** One layer of one step. Layers may be scored at once; the last max_rows steps are kept. */
void mb_lane_cost_layer(mb_lane_cost *lane_cost, size_t step, size_t layer,
                        const double *slot_load);

/** All layers of a step are scored: adds it up. Steps come in order. */
void mb_lane_cost_step(mb_lane_cost *lane_cost, size_t step);

/** A plan has taken effect, or never will. @param effect_step [L] */
void mb_lane_cost_land(mb_lane_cost *lane_cost, const int64_t *effect_step);

/** The rows of steps [first, first + n), which lie in one piece. Borrowed. */
mb_cost_rows mb_lane_cost_rows(const mb_lane_cost *lane_cost, size_t first);

/** @param none the costs of the strategy that never plans; NULL: there is none. */
void mb_lane_cost_summarise(const mb_lane_cost *lane_cost, const mb_lane_cost *none,
                            mb_cost_summary *summary);

#ifdef __cplusplus
}
#endif

#endif
