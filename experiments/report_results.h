/* experiments/report_results.h - the parts of a report that say what was run and what came of it.
 */
#ifndef MB_EXPERIMENTS_REPORT_RESULTS_H
#define MB_EXPERIMENTS_REPORT_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

/** What was replayed, in words: a paragraph, and one on the sweep where there was one. */
MB_NODISCARD mb_status mb_report_put_run(const mb_figure_source *source, FILE *page);

/**
 * A table of the run's strategies, and a sentence on the most even of them.
 * @param found that sentence was already said of all runs, and is left out.
 */
MB_NODISCARD mb_status mb_report_put_strategies(const mb_figure_source *source, bool found,
                                                FILE *page);

/**
 * A table of the sweep's conditions by strategy, averaged over seeds and relabellings, and a list
 * of the cells that failed; where there is one condition, a sentence on the most even strategy.
 * @param found whether there was such a sentence. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_report_put_conditions(const mb_figure_source *source, bool *found,
                                                FILE *page);

/** What the tables' columns mean. */
void mb_report_put_meanings(FILE *page);

#endif
