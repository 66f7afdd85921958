/* experiments/report_attribution.h - the part of a report that says where the imbalance comes from.
 */
#ifndef MB_EXPERIMENTS_REPORT_ATTRIBUTION_H
#define MB_EXPERIMENTS_REPORT_ATTRIBUTION_H

#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

/** A sentence a strategy and a table of the parts, over the scored intervals of the run; nothing
 * where the run has no attribution. */
MB_NODISCARD mb_status mb_report_put_attribution(const mb_figure_source *source, FILE *page);

#endif
