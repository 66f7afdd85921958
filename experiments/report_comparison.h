/* experiments/report_comparison.h - the comparison of a report: differences with their intervals.
 */
#ifndef MB_EXPERIMENTS_REPORT_COMPARISON_H
#define MB_EXPERIMENTS_REPORT_COMPARISON_H

#include <stdio.h>

#include "experiments/compare.h"

/** The table, its intervals drawn, and how it was made. */
void mb_report_put_comparison(const mb_compare_options *options, const mb_comparison *comparison,
                              FILE *page);

#endif
