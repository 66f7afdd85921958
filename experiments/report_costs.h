/* experiments/report_costs.h - the part of a report's results that tells of time. */
#ifndef MB_EXPERIMENTS_REPORT_COSTS_H
#define MB_EXPERIMENTS_REPORT_COSTS_H

#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

/** A table of the run's costs, and what its columns mean; nothing where the run has none. */
MB_NODISCARD mb_status mb_report_put_costs(const mb_figure_source *source, FILE *page);

#endif
