/* experiments/report_results.h - the parts of a report that say what was run and what came of it.
 */
#ifndef MB_EXPERIMENTS_REPORT_RESULTS_H
#define MB_EXPERIMENTS_REPORT_RESULTS_H

#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

/** What was replayed, in words: a paragraph, and one on the sweep where there was one. */
MB_NODISCARD mb_status mb_report_put_run(const mb_figure_source *source, FILE *page);

/** A table of the run's strategies, and a sentence on the most even of them. */
MB_NODISCARD mb_status mb_report_put_strategies(const mb_figure_source *source, FILE *page);

/**
 * A table of the sweep's conditions by strategy, averaged over seeds and relabellings, and a list
 * of the cells that failed.
 */
MB_NODISCARD mb_status mb_report_put_conditions(const mb_figure_source *source, FILE *page);

/** What the tables' columns mean. */
void mb_report_put_meanings(FILE *page);

#endif
