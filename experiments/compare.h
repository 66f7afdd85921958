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
  bool traces;        /* files of a sweep over trace.file are averaged over, as seeds are */
} mb_compare_options;

typedef enum mb_compare_verdict {
  MB_COMPARE_BETTER,
  MB_COMPARE_WORSE,
  MB_COMPARE_TIE,     /* the whole interval is within the margin */
  MB_COMPARE_UNCLEAR, /* the interval reaches beyond the margin, and has zero in it */
  MB_COMPARE_TOO_FEW  /* too few independent units for an interval */
} mb_compare_verdict;

/** What a strategy and the baseline reach on the loads of one seed, means over relabellings. */
typedef struct mb_compare_seed {
  int64_t seed; /* that the loads were generated from; -1: they are from a file */
  char *trace;  /* that file, where traces are averaged over; else NULL */
  double value, baseline_value;
} mb_compare_seed;

/** One strategy against the baseline under one setting of the swept keys. */
typedef struct mb_compare_row {
  char *condition; /* "schedule.interval=50 cluster.slots=64"; "" where nothing but seeds and
                      relabellings was swept */
  char *strategy, *baseline;        /* labels */
  double value, baseline_value;     /* run_imbalance, mean over seeds and relabellings */
  double difference;                /* value - baseline_value; below 0: better */
  double error;                     /* standard error of the difference, over units and
                                       relabellings; NaN where there is no interval */
  double error_by_step;             /* what it would be if steps were independent; NaN of seeds */
  double low, high;                 /* interval of the difference; NaN without */
  const char *method;               /* "bootstrap-t", "Student's t"; "" without interval */
  double p, p_holm;                 /* sign-flip test; adjusted over all rows; NaN without */
  size_t n_seeds, n_wins, n_losses; /* seeds where the strategy is better, worse */
  mb_compare_seed *seed;            /* [n_seeds] */
  size_t n_relabellings;            /* >= 1 */
  double relabel_sd, relabel_range; /* of the strategy's value over relabellings, root mean square
                                       and mean over seeds; NaN with one relabelling */
  double relabel_difference_range;  /* of the difference, likewise */
  double moved_experts, baseline_moved_experts; /* means over seeds and relabellings */
  const char *unit;                             /* "seeds", "traces" or "blocks" */
  size_t n_units;
  size_t block_length;    /* steps; 0 where seeds are the unit */
  const char *block_from; /* what decided it: "interval", "window", "lifetime", "data"; "" */
  bool lifetime_known;    /* how long a request lives was known, or does not matter for seeds */
  mb_compare_verdict verdict;
} mb_compare_row;

typedef struct mb_comparison {
  size_t n_rows;
  mb_compare_row *row;
  size_t n_failed; /* cells that had failed */
  size_t n_spare;  /* cells left out because others of their seed or relabelling are missing */
} mb_comparison;

void mb_compare_options_init(mb_compare_options *options);

/**
 * Compares the run_imbalance of every strategy with that of the baseline, under every setting of
 * the swept keys but `seed`, `trace.generate.seed` and `relabel`, which are what is averaged over,
 * and with options->traces `trace.file`: recordings that are independent of each other, as seeds
 * are.
 *
 * The unit is a seed or such a trace, where there are two or more: Student's interval over their
 * differences, from 20 seeds on a bootstrap. With one seed it is a block of scored steps
 * (stat_blocks.h), weighted by its load, so that the mean over blocks is the difference of
 * run_imbalance itself: a bootstrap, and with fewer than 20 blocks no interval and no test.
 * Strategies are paired by step, seed and relabelling; the relabellings are a factor crossed with
 * the units (stat_units.h). Steps without load are left out on both sides.
 *
 * @param comparison Transferred: mb_comparison_fini() it. Written only on MB_OK. It has no rows
 *                   where there is no strategy but the baseline.
 * @return MB_OK; MB_ERR_PARAM: no such baseline, naming the strategies; no traces to average over;
 * cells that differ in seed but not in loads; what reading returned. Reproducible with the seed.
 */
MB_NODISCARD mb_status mb_compare(const mb_results_file *file, const mb_compare_options *options,
                                  mb_comparison *comparison);
void mb_comparison_fini(mb_comparison *comparison);

/** "better", "worse", "tie", "unclear" or "too few". Static. */
const char *mb_compare_verdict_name(mb_compare_verdict verdict);

#endif
