/* experiments/check.h - what has changed against a baseline, and whether it is worse. */
#ifndef MB_EXPERIMENTS_CHECK_H
#define MB_EXPERIMENTS_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/baseline.h"

/** Confidence of the one-sided bounds that mb_check_judge() goes by. */
#define MB_CHECK_CONFIDENCE 0.95

typedef enum mb_check_outcome {
  MB_CHECK_SAME,
  MB_CHECK_CHANGED, /* neither clearly better nor clearly worse */
  MB_CHECK_BETTER,
  MB_CHECK_WORSE,
  MB_CHECK_UNPAIRED /* a number is NaN on one side only */
} mb_check_outcome;

/** n paired values of a metric, of which lower is better. */
typedef struct mb_check_judgement {
  mb_check_outcome outcome;
  size_t n_seeds, n_worse, n_better;
  double before, after; /* means */
  double change;        /* (after - before) / |before|; infinite where before is 0 */
  double bound;         /* the change is worse (where it is below 0: better) by at least this, at
                           MB_CHECK_CONFIDENCE; towards 0 from `change`, or beyond. NaN for a single pair */
  double worse_below;   /* relative: it is worse for every margin below this, and for no other */
} mb_check_judgement;

/**
 * Judges pairs: worse where the mean difference is above margin |mean before|, and the lower bound
 * of Student's t for it, over the pairs, is above 0; better likewise. A single pair has no bound,
 * and is judged by the margin alone.
 * @param margin  >= 0, relative: 0.01 is one percent.
 * @param scratch [n] caller-owned; contents unspecified on return.
 */
mb_check_judgement mb_check_judge(size_t n, const double *before, const double *after,
                                  double margin, double *scratch);

/** One metric of one strategy under one setting. Texts belong to the baseline. */
typedef struct mb_check_row {
  const char *setting, *strategy;
  size_t metric;
  double margin;  /* relative */
  size_t n_moved; /* seeds whose placements are others */
  mb_check_judgement judgement;
} mb_check_row;

/** A run that only one side has. Texts belong to that side. */
typedef struct mb_check_missing {
  const char *setting, *strategy, *seed;
  bool in_baseline; /* and not in what was measured; else the other way round */
} mb_check_missing;

typedef struct mb_check {
  size_t n_rows, n_missing;
  mb_check_row *row; /* in the baseline's order, by metric */
  mb_check_missing *missing;
} mb_check;

/**
 * @param before, after Borrowed, as long as the check is in use.
 * @param margin [MB_BASELINE_METRICS] relative.
 * @param check  mb_check_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_check_compare(const mb_baseline *before, const mb_baseline *after,
                                        const double *margin, mb_check *check);
void mb_check_fini(mb_check *check);

/** Rows with that outcome. */
size_t mb_check_count(const mb_check *check, mb_check_outcome outcome);

/** A part of the runs, and by how much its metric is another: 0.01 is 1 % more. */
typedef struct mb_check_part {
  const char *name; /* belongs to the baseline */
  double change;    /* infinite where it was 0 */
} mb_check_part;

/**
 * The layers, or ranges of steps, where a metric of a strategy became worse the most: at most n,
 * the worst first, and none that did not.
 * @param part [n] caller-owned. @return how many there are.
 */
size_t mb_check_find_parts(const mb_baseline *before, const mb_baseline *after, const char *setting,
                           const char *strategy, size_t metric, bool layers, size_t n,
                           mb_check_part *part);

#endif
