/* experiments/figure.h - the figures of `moebal plot`: the table that each is drawn from. */
#ifndef MB_EXPERIMENTS_FIGURE_H
#define MB_EXPERIMENTS_FIGURE_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/results_read.h"
#include "experiments/table.h"

/**
 * A figure: one file figure_<name>.c, ending in `const mb_figure mb_figure_<name>`, one line in
 * figures.def, and a script plots/<name>.gp, which draws the table.
 */
typedef struct mb_figure {
  const char *name;
  const char *summary; /* what it shows, for `moebal list figures` */
  /* Required. Writes header and rows. Returns MB_OK, what reading the results returned, or
     MB_ERR_MEMORY; whether writing went well, mb_table_finish() tells. */
  mb_status (*tabulate)(const mb_results *results, mb_table *table);
} mb_figure;

/** All figures in the order of figures.def, NULL-terminated. Static. */
const mb_figure *const *mb_figures(void);
const mb_figure *mb_figure_find(const char *name); /* or NULL */

/** Steps in equal bins, so that thousands of them stay legible; the last bin may be shorter. */
typedef struct mb_bins {
  size_t n_steps;
  size_t width; /* steps of a bin, >= 1 */
  size_t count; /* bins */
} mb_bins;

/** As few steps a bin as give at most 250 bins: two a millimetre of a column's width. */
mb_bins mb_bins_of(size_t n_steps);
size_t mb_bins_size(const mb_bins *bins, size_t bin); /* steps of that bin */

/**
 * All strategies' step_imbalance.
 * @param steps [n_strategies,T] Transferred: free() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_figure_read_steps(const mb_results *results, double **steps);

/** Moves the values that are not NaN to the front, sorted ascending; returns how many. */
size_t mb_figure_sort(size_t n, double *values);

#endif
