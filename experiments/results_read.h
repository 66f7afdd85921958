/* experiments/results_read.h - reads moebal-results files, version 1 (HDF5), with suspicion. */
#ifndef MB_EXPERIMENTS_RESULTS_READ_H
#define MB_EXPERIMENTS_RESULTS_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"
#include "sim/attribution.h"
#include "sim/replay.h"

/** What a run says of itself. All belongs to the mb_results it came from. */
typedef struct mb_results_run {
  const char *name;
  size_t n_steps;                    /* T >= 1 */
  size_t n_layers;                   /* L >= 1 */
  size_t summary_from;               /* summaries cover the steps >= this one; < T */
  size_t interval, window, delay;    /* steps */
  const char *trace, *model, *phase; /* as the trace says */
  int64_t seed;                      /* that the loads were generated from; -1: from a file */
  size_t relabel;            /* which relabelling of the experts the balancer saw; 0: none */
  size_t merge;              /* steps of the trace in one of this run, >= 1 */
  size_t request_lifetime;   /* steps of this run; 0: unknown */
  double expert_bytes;       /* weights of one expert of one layer; 0: unknown */
  size_t top_k;              /* experts that a token goes to in a layer; 0: unknown */
  const int32_t *layer_ids;  /* [L] the layers' numbers in the model */
  size_t n_strategies;       /* >= 1 */
  const char *const *labels; /* [n_strategies] in the run's order, each [a-z0-9_.-]+ */
} mb_results_run;

/** One run of an open results file. Not for use by two threads at once. */
typedef struct mb_results mb_results;

/**
 * Opens a results file and one of its runs, and checks format, version, and the types, shapes and
 * values of the run's attributes and of the datasets that the functions below read; in a child
 * process first, because HDF5 itself may crash or hang on a damaged file. Not to be called while
 * other threads run.
 *
 * @param run     the run's name; NULL: the file's only run.
 * @param results Transferred: mb_results_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO (no such file, no permission); MB_ERR_FORMAT naming file and object and
 *         what would be right; MB_ERR_UNSUPPORTED for a higher version; MB_ERR_PARAM naming the
 *         runs there are, where `run` is none of them or has to be given; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_open(const char *path, const char *run, mb_results **results);
void mb_results_destroy(mb_results *results); /* NULL is fine */

/** Borrowed: lives as long as the results. */
const mb_results_run *mb_results_get_run(const mb_results *results);

/**
 * Reads a strategy's step_imbalance. Every value is NaN (a step without load) or finite and at
 * least 1, but for rounding; anything else is MB_ERR_FORMAT naming the step.
 * @param step_imbalance [T] caller-owned; contents unspecified on failure.
 */
MB_NODISCARD mb_status mb_results_read_step_imbalance(const mb_results *results, size_t strategy,
                                                      double *step_imbalance);

/**
 * Reads steps [first, first + n) of a strategy's imbalance, checked likewise.
 * @param imbalance [n,L] caller-owned; contents unspecified on failure.
 */
MB_NODISCARD mb_status mb_results_read_imbalance(const mb_results *results, size_t strategy,
                                                 size_t first, size_t n, float *imbalance);

/**
 * Reads when a strategy's plans took effect.
 * @param n_plans     K. Written only on MB_OK.
 * @param effect_step [K,L] each in 0..T-1, or -1 where the plan left the layer as it was.
 *                    Transferred: free() it. NULL where K is 0. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_results_read_effect_steps(const mb_results *results, size_t strategy,
                                                    size_t *n_plans, int64_t **effect_step);

/**
 * As mb_results_open(), and checks likewise all that the functions below read of one strategy.
 * @param label    the strategy's. @param strategy its number. Written only on MB_OK.
 * @param n_plans  K. Written only on MB_OK.
 * @return as mb_results_open(); MB_ERR_PARAM naming the strategies there are.
 */
MB_NODISCARD mb_status mb_results_open_plans(const char *path, const char *run, const char *label,
                                             mb_results **results, size_t *strategy,
                                             size_t *n_plans);

/** The shape that the run's plans are for. @param shape Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_read_shape(const mb_results *results, mb_shape *shape);

/**
 * One plan of a strategy.
 * @param k   the plan, 0..K-1. @param step when it was made. Written only on MB_OK.
 * @param map [L,P] for that shape, caller-owned; contents unspecified on failure. In every layer
 *            each expert has a slot, or it is MB_ERR_FORMAT.
 */
MB_NODISCARD mb_status mb_results_read_plan(const mb_results *results, size_t strategy, size_t k,
                                            const mb_shape *shape, int64_t *step, int32_t *map);

/**
 * Reads the load of each step, of all layers and experts [tokens]: the weights by which
 * run_imbalance is a mean of step_imbalance.
 * @param step_load [T] caller-owned.
 */
MB_NODISCARD mb_status mb_results_read_step_load(const mb_results *results, double *step_load);

/** A strategy's row of /summary; planner_seconds is the sum of those of /timing, NaN without them.
 * @param summary Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_read_summary(const mb_results *results, size_t strategy,
                                               mb_replay_summary *summary);

/** What is known of each plan. All arrays belong to it; mb_results_plans_fini() it. */
typedef struct mb_results_plans {
  size_t n_plans;           /* K */
  int64_t *step;            /* [K] */
  int64_t *effect_step;     /* [K,L] */
  int32_t *moved_experts;   /* [K,L] */
  float *planned_imbalance; /* [K,L] of the loads that the plan was made from, under it */
  float *next_before;       /* [K,L,D] tokens of a GPU in the `interval` steps from the plan's on,
                               under the placement before it */
  float *next_after;        /* [K,L,D] and under the plan */
  double *planner_seconds;  /* [K] measured */
} mb_results_plans;

/** @param plans Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_read_plans(const mb_results *results, size_t strategy,
                                             mb_results_plans *plans);
void mb_results_plans_fini(mb_results_plans *plans);

/** Where the excess of a strategy's intervals comes from, as sim/attribution.h has it. All arrays
 * belong to it; mb_results_attribution_fini() it. */
typedef struct mb_results_attribution {
  size_t n_intervals;          /* I */
  int64_t *step, *n_steps;     /* [I] the interval [step, step + n_steps) */
  double *load;                /* [I] tokens */
  double *excess;              /* [I] */
  double *parts[MB_N_PARTS];   /* each [I] */
  double *shapley[MB_N_PARTS]; /* each [I] */
} mb_results_attribution;

/** Whether the run has any of that strategy. */
bool mb_results_has_attribution(const mb_results *results, size_t strategy);

/** @param attribution Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_read_attribution(const mb_results *results, size_t strategy,
                                                   mb_results_attribution *attribution);
void mb_results_attribution_fini(mb_results_attribution *attribution);

/** Of the intervals that begin at a step in [from, to); false: there is none. */
bool mb_results_attribution_mean(const mb_results_attribution *attribution, size_t from, size_t to,
                                 mb_attribution_mean *mean);

#endif
