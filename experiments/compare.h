/* experiments/compare.h - paired comparisons of the strategies of a results file with a baseline.
 */
#ifndef MB_EXPERIMENTS_COMPARE_H
#define MB_EXPERIMENTS_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/results_file.h"

typedef struct mb_compare_options {
  const char *baseline; /* a strategy's label; NULL: lpt where there is one, else the first */
  double confidence;    /* of the intervals, 0.95 */
  double margin;      /* relative to the baseline's value: an interval within it is a tie, 0.003 */
  int64_t lifetime;   /* steps that a request lives; 0: as the results say, if they do */
  uint64_t seed;      /* of resampling */
  size_t n_resamples; /* bootstrap and permutation, 9999 */
} mb_compare_options;

typedef enum mb_compare_verdict {
  MB_COMPARE_BETTER,
  MB_COMPARE_WORSE,
  MB_COMPARE_TIE,     /* the whole interval is within the margin */
  MB_COMPARE_UNCLEAR, /* the interval reaches beyond the margin, and has zero in it */
  MB_COMPARE_TOO_FEW  /* too few independent units for an interval */
} mb_compare_verdict;

/** One strategy against the baseline under one setting of the swept keys. */
typedef struct mb_compare_row {
  char *condition; /* "schedule.interval=50 cluster.slots=64"; "" where nothing but seeds and
                      relabellings was swept */
  const char *strategy, *baseline;  /* labels */
  double value, baseline_value;     /* run_imbalance, mean over seeds and relabellings */
  double difference;                /* value - baseline_value; below 0: better */
  double low, high;                 /* interval of the difference; NaN without */
  double p, p_holm;                 /* permutation test; adjusted over all rows; NaN without */
  size_t n_seeds, n_wins, n_losses; /* seeds where the strategy is better, worse */
  size_t n_relabellings;            /* >= 1 */
  const char *unit;                 /* "seeds" or "blocks" */
  size_t n_units;
  size_t block_length;    /* steps; 0 where seeds are the unit */
  const char *block_from; /* what decided it: "interval", "window", "lifetime", "data" */
  mb_compare_verdict verdict;
} mb_compare_row;

typedef struct mb_comparison {
  size_t n_rows;
  mb_compare_row *row;
} mb_comparison;

void mb_compare_options_init(mb_compare_options *options);

/**
 * Compares every strategy but the baseline, under every setting of the swept keys but `seed`,
 * `trace.generate.seed` and `relabel`, which are what is averaged over. Cells that failed are left
 * out.
 * @param comparison Transferred: mb_comparison_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM: no such baseline, naming the strategies; what reading returned.
 */
MB_NODISCARD mb_status mb_compare(const mb_results_file *file, const mb_compare_options *options,
                                  mb_comparison *comparison);
void mb_comparison_fini(mb_comparison *comparison);

/** "better", "worse", "tie", "unclear" or "too few". Static. */
const char *mb_compare_verdict_name(mb_compare_verdict verdict);

#endif
