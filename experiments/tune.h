/* experiments/tune.h - which of a sweep's settings and strategies to deploy: chosen on the first
 * part of a trace, and judged on the rest.
 *
 * Every cell is replayed once over the whole trace, and no plan sees a step to come, so that both
 * parts' values are of what would have been served. The choice goes by the first part alone; what
 * it reaches on the rest, and how far that is from the best of all on the rest, tells what the
 * choice is worth.
 */
#ifndef MB_EXPERIMENTS_TUNE_H
#define MB_EXPERIMENTS_TUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/stat_units.h"
#include "experiments/sweep.h"

/** What is to be small. */
typedef enum mb_tune_objective {
  MB_TUNE_STEP_IMBALANCE, /* mean of step_imbalance, weighted by load: run_imbalance */
  MB_TUNE_STEP_LATENCY,   /* mean latency of a step [s], with what rebalancing costs */
  MB_TUNE_GPU_HOURS       /* that x GPUs, of a million steps [h] */
} mb_tune_objective;

/** Their names, in that order, NULL-terminated. */
extern const char *const mb_tune_objective_words[];

typedef struct mb_tune_options {
  mb_tune_objective objective;
  double split;       /* the share of the trace's steps that is chosen on, in (0, 1) */
  int64_t most_bytes; /* expert weights that a GPU has room for, over all layers, >= 1 */
  double confidence;  /* of the gain's interval */
  bool quiet;
} mb_tune_options;

/** A strategy in a cell of the sweep: one that plans, or `none`, which may be the cheapest. */
typedef struct mb_tune_candidate {
  size_t cell, strategy; /* of the sweep; of the cell's config */
  bool is_none;
  double first, rest;    /* the objective on both parts */
  int64_t moved_experts; /* over all scored steps */
  double gpu_bytes;      /* expert weights on a GPU */
} mb_tune_candidate;

/** The candidate of a strategy that is best on the first part, beside the chosen one on the rest.
 */
typedef struct mb_tune_best {
  size_t candidate;
  double difference;         /* its objective on the rest - the chosen one's, step by step */
  mb_stat_interval interval; /* of the difference; NaN: of the chosen one, or too few blocks */
  size_t n_blocks;           /* of whole intervals between plans, and as long as the data says */
} mb_tune_best;

typedef struct mb_tune_result {
  size_t n_steps, from, half;   /* scored: [from, half) and [half, n_steps) */
  size_t n_candidates;          /* >= 1 */
  mb_tune_candidate *candidate; /* by `first`, the best first; on a tie the fewer moves */
  size_t best_rest;             /* the candidate that is best on the rest */
  size_t n_too_large;           /* cells whose experts do not fit a GPU */
  size_t n_best;                /* strategies, by label */
  mb_tune_best *best; /* [n_best] in the order of their candidates: the chosen one first */
} mb_tune_result;

/**
 * @param sweep  whose cells share one trace, and differ in what can be deployed only.
 * @param result Transferred: mb_tune_result_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM: a swept key that changes the loads, no candidate, no cell within
 *         most_bytes, a split that leaves one part without scored steps, an unknown size of
 * experts; what a replay returned; MB_ERR_CANCELLED; MB_ERR_MEMORY.
 *
 * Cost: a replay a cell, one after the other; loads of up to 1 GiB are read or generated once.
 */
MB_NODISCARD mb_status mb_tune(const mb_sweep *sweep, const mb_tune_options *options,
                               mb_tune_result *result);
void mb_tune_result_fini(mb_tune_result *result);

/** The flags of vLLM, SGLang and TensorRT-LLM that come closest to a strategy under a config. */
void mb_tune_print_flags(FILE *stream, const mb_config *config, const mb_trace_info *info,
                         const mb_replay_strategy *strategy);

#endif
