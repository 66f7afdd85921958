/* experiments/figure_cells.h - what the figures of sweeps share: numbers of all cells, averaged
 * over seeds and relabellings. */
#ifndef MB_EXPERIMENTS_FIGURE_CELLS_H
#define MB_EXPERIMENTS_FIGURE_CELLS_H

#include <stddef.h>
#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

/** A number of one strategy in one run; NaN where it has none. Fails as reading does. */
typedef mb_status (*mb_figure_measure)(const mb_results *run, size_t strategy, double *value);

/** A mean over replicates. */
typedef struct mb_figure_estimate {
  size_t n;         /* replicates that have a value */
  double mean;      /* NaN where n is 0 */
  double low, high; /* 95 % interval by Student's t; NaN where n is below 2 */
} mb_figure_estimate;

/** One setting of the swept keys that are not averaged over. */
typedef struct mb_figure_condition {
  size_t first_cell; /* the first cell of that condition */
  char *label;       /* its values, such as "50" or "50 100" */
} mb_figure_condition;

/**
 * Numbers of all cells of a results file. A replicate is a seed, its value the mean over the
 * relabellings; where only relabellings are swept, each is a replicate. Conditions are sorted by
 * the values of their keys. Cells that failed are left out.
 */
typedef struct mb_figure_cells {
  size_t n_conditions; /* >= 1 */
  mb_figure_condition *condition;
  size_t n_strategies; /* all that any run has, in their order */
  char **label;
  size_t n_measures;
  mb_figure_estimate *estimate;   /* [n_conditions,n_strategies,n_measures] */
  size_t n_failed;                /* cells left out */
  size_t n_seeds, n_relabellings; /* different ones; 1 where they were not swept */
} mb_figure_cells;

/**
 * @param measures [n_measures] borrowed for the call.
 * @param cells Transferred: mb_figure_cells_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM where all cells failed; MB_ERR_MEMORY; what the measures returned.
 */
MB_NODISCARD mb_status mb_figure_cells_read(const mb_figure_source *source, size_t n_measures,
                                            const mb_figure_measure *measures,
                                            mb_figure_cells *cells);
void mb_figure_cells_fini(mb_figure_cells *cells);

/** Borrowed. */
const mb_figure_estimate *mb_figure_cells_get(const mb_figure_cells *cells, size_t condition,
                                              size_t strategy, size_t measure);

/** Whether a strategy has a value of that measure under any condition. */
bool mb_figure_cells_have(const mb_figure_cells *cells, size_t strategy, size_t measure);

/** The measures that several figures use. */
mb_status mb_figure_run_imbalance(const mb_results *run, size_t strategy, double *value);

/**
 * Curves: a row a condition, in it the means of the first n_x measures over all strategies, under
 * these names, then mean, interval and n of the next measure, a strategy after the other.
 */
void mb_figure_cells_put_curves(const mb_figure_cells *cells, size_t n_x, const char *const *names,
                                mb_table *table);

/**
 * Points: a row a condition, in it `unit` and the condition's values, then mean and interval of
 * measure 1, of measure 0, and n, a strategy after the other. A strategy whose measure 1 is the
 * same under all conditions has one point, the first.
 */
void mb_figure_cells_put_points(const mb_figure_cells *cells, const char *unit, mb_table *table);

/** A caption's lines on replicates and intervals, then on the trace, cluster and swept keys. */
MB_NODISCARD mb_status mb_figure_cells_put_caption(const mb_figure_source *source,
                                                   const mb_figure_cells *cells, FILE *caption);

#endif
