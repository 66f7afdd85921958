/* experiments/figure.h - the figures of `moebal plot`: the table that each is drawn from, and its
 * caption. */
#ifndef MB_EXPERIMENTS_FIGURE_H
#define MB_EXPERIMENTS_FIGURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "balancer/status.h"
#include "experiments/results_file.h"
#include "experiments/results_read.h"
#include "experiments/table.h"

/** What figures are drawn from. Borrowed throughout. */
typedef struct mb_figure_source {
  const mb_results_file *file;
  const mb_results *run; /* of that file, for figures of one run; NULL: none is chosen */
} mb_figure_source;

enum { MB_FIGURE_KEYS_MAX = 4 };

/**
 * What has to be swept. Seeds and relabellings may be swept besides, and are what intervals are
 * over; any other key would be mixed into the figure, which then does not apply.
 */
typedef struct mb_figure_sweep {
  const char *keys[MB_FIGURE_KEYS_MAX]; /* all of these; NULL ends them, if there are any */
  const char *with[MB_FIGURE_KEYS_MAX]; /* these may be swept too; "strategies.*": all below it */
} mb_figure_sweep;

/**
 * A figure: one file figure_<name>.c, ending in `const mb_figure mb_figure_<name>`, one line in
 * figures.def, and a script plots/<name>.gp, which draws the table.
 */
typedef struct mb_figure {
  const char *name;
  const char *summary;          /* what it shows, for `moebal list figures` */
  const mb_figure_sweep *sweep; /* NULL: it is a figure of one run */
  /* Optional, NULL: every such run has what it is drawn from. MB_OK, or MB_ERR_PARAM with what the
     run would have needed: then it is not among the figures that are drawn unasked. */
  mb_status (*check)(const mb_results *run);
  /* Required. Writes header and rows, and a caption: what is shown, of how many steps, plans or
     seeds, and what its intervals are, in lines of text. Returns MB_OK, what reading the results
     returned (MB_ERR_FORMAT: they lack what it is drawn from), MB_ERR_UNSUPPORTED where there is
     nothing to draw, or MB_ERR_MEMORY; whether writing went well, mb_table_finish() tells. */
  mb_status (*tabulate)(const mb_figure_source *source, mb_table *table, FILE *caption);
} mb_figure;

/** All figures in the order of figures.def, NULL-terminated. Static. */
const mb_figure *const *mb_figures(void);
const mb_figure *mb_figure_find(const char *name); /* or NULL */

/**
 * Whether the figure applies to what there is.
 * @return MB_OK; MB_ERR_PARAM with what it needs instead: a run, or a sweep of which keys.
 */
MB_NODISCARD mb_status mb_figure_check(const mb_figure *figure, const mb_figure_source *source);

/**
 * Whether it is drawn where no figures were asked for by name: it applies, and is none of a sweep
 * without one.
 */
bool mb_figure_is_usual(const mb_figure *figure, const mb_figure_source *source);

/**
 * Why no figure is of what was swept, for people: of each figure of something that was, what is in
 * its way; and how to run the sweep so that the first of them applies.
 * @return MB_ERR_PARAM
 */
MB_NODISCARD mb_status mb_figure_none_applies(const mb_figure_source *source, const char *results);

/** What the figure needs, in words, cut off at `size`: "one run", "a sweep of cluster.slots". */
void mb_figure_needs(const mb_figure *figure, size_t size, char *text);

/** Whether that swept key is a seed or a relabelling: what figures average over. */
bool mb_figure_is_replicate(const char *key);

/**
 * Writes a figure's table to `path`, as mb_table_create() has it.
 * @param caption Transferred: free() it. Lines of text. Written only on MB_OK.
 * @return MB_OK; what mb_figure_check(), its tabulate() and writing the table returned.
 */
MB_NODISCARD mb_status mb_figure_write(const mb_figure *figure, const mb_figure_source *source,
                                       const char *path, char **caption);

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

/**
 * Whether a plan made at that step counts in figures of plans: it took effect in the scored steps,
 * and the steps that it was made for, `interval` of them, are all there.
 */
bool mb_figure_plan_counts(const mb_results_run *run, int64_t step);

/** The largest of n loads / their mean; NaN without load. */
double mb_figure_imbalance(size_t n, const float *load);

/** Moves the values that are not NaN to the front, sorted ascending; returns how many. */
size_t mb_figure_sort(size_t n, double *values);

#endif
