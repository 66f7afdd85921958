/* sim/attribution.h - where the imbalance comes from: an interval's excess in parts that add up.
 *
 * The excess of the interval [t, e) from one due plan to the next is
 *
 *   excess = sum over its steps and layers of max GPU load / the same sum of the mean - 1,
 *
 * the mean of step_imbalance - 1 over its steps, weighted by their loads. Counterfactual replays of
 * the interval differ from what happened in four ways, each of which is there or not:
 *
 *   noise      the steps as they were | each of them the interval's mean
 *   staleness  the strategy's plan    | the plan it would make from the loads of [t, e) itself
 *   delay      from its effect step   | from t
 *   dispatch   the strategy's         | the best split over the replicas (balancer/split.h)
 *
 * v(A) is the excess of the replay in which the ways A are as they were and the others are not.
 * Then, with B the largest of the mean and what bounds the interval's sums for any placement in
 * these slots, and H the same for those that keep groups and nodes apart (balancer/bounds.h), all
 * over the mean,
 *
 *   granularity = B - 1
 *   hierarchy   = H - B                       0 where the policy is global
 *   packing     = v() - (H - 1)
 *   noise       = v(noise) - v()
 *   staleness   = v(noise, staleness) - v(noise)
 *   delay       = v(noise, staleness, delay) - v(noise, staleness)
 *   dispatch    = excess - v(noise, staleness, delay)
 *
 * and their sum is the excess, but for rounding. How much is put down to the last four depends on
 * their order; so their Shapley values stand beside them, the mean over all 24 orders:
 *
 *   shapley(i) = sum over A without i of |A|! (3 - |A|)! / 4! (v(A and i) - v(A)),
 *
 * which add up to the same, and the first three are what they were. In the order above `dispatch`
 * is all that the best split of every step would save, most of it noise; Shapley's halves it with
 * noise.
 *
 * The first two are never negative. A negative part says that what sounds worse was better:
 * packing: never, but by some ulps (both are bounds). noise: a dispatch
 * that follows single steps (lp) cannot make it negative, as max is convex; one that rounds can.
 * staleness: the strategy's plan from the past beat its plan from the interval, as happens by
 * chance where loads are noise, and where it plans for more than the interval's sum. delay: the old
 * placement was the better. dispatch: never, but by rounding.
 *
 * The strategy's own hindsight is another planner of its kind, which has planned every interval
 * from the start on from its own loads, and sees its own placements in force.
 */
#ifndef MB_SIM_ATTRIBUTION_H
#define MB_SIM_ATTRIBUTION_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "sim/history.h"
#include "sim/lane.h"
#include "sim/replay.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A part's name and what it is, in the order of attribution.def. */
typedef struct mb_attribution_part {
  const char *name;
  const char *text;
} mb_attribution_part;

/** All MB_N_PARTS parts. Static. */
const mb_attribution_part *mb_attribution_parts(void);

/** The attribution of one strategy's intervals, while a replay runs. */
typedef struct mb_attribution mb_attribution;

/**
 * @param lane        that plans online; borrowed.
 * @param attribution Transferred: mb_attribution_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY; why there is no planner.
 */
MB_NODISCARD mb_status mb_attribution_create(const mb_replay_config *config, mb_lane *lane,
                                             mb_attribution **attribution);
void mb_attribution_destroy(mb_attribution *attribution); /* NULL is fine */

/** The interval begins, and its plan has not been made: notes the placement in force. */
void mb_attribution_begin(mb_attribution *attribution);

/** Takes in what the lane scored in one step of the interval, [L]. */
void mb_attribution_step(mb_attribution *attribution, const mb_layer_score *score);

/**
 * The interval [first, end) is over: replays it in all ways.
 *
 * @param history has its steps.
 * @param load    [S,L,E] its loads in as many slices as the planner wants. Borrowed.
 * @param record  its arrays are the attribution's, until the next call.
 * @param found   false: there is nothing to say, as of the first interval, before any plan, and of
 *                one without load.
 * @return MB_OK; what the planner returned.
 *
 * Cost: four splits and four even dispatches of every step at most. Layers run in parallel; the
 * answer does not depend on the number of threads.
 */
MB_NODISCARD mb_status mb_attribution_end(mb_attribution *attribution, const mb_history *history,
                                          size_t first, size_t end, const double *load,
                                          mb_attribution_record *record, bool *found);

/** Intervals together: sums weighted by their loads, or, once divided, the means. */
typedef struct mb_attribution_mean {
  size_t n_intervals, n_steps;
  double load; /* tokens */
  double excess;
  double parts[MB_N_PARTS], shapley[MB_N_PARTS];
} mb_attribution_mean;

/** Adds an interval to the sums. */
void mb_attribution_add(mb_attribution_mean *sum, const mb_attribution_record *record);

/** The means of sums of one interval or more: excess and parts of all their steps together. */
mb_attribution_mean mb_attribution_divide(const mb_attribution_mean *sum);

#ifdef __cplusplus
}
#endif

#endif
