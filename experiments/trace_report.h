/* experiments/trace_report.h - a trace in words and a table, for people. */
#ifndef MB_EXPERIMENTS_TRACE_REPORT_H
#define MB_EXPERIMENTS_TRACE_REPORT_H

#include <stdio.h>

#include "workloads/trace.h"
#include "workloads/trace_stats.h"

/**
 * What the trace says of itself, a line a layer, and what the checks found. No line is longer than
 * 100 columns but for a path or a word that is. Characters of the file that would steer a terminal
 * are shown as '?'.
 * @param digest of the loads that were read. All arguments are borrowed.
 */
void mb_trace_report_print(FILE *out, const char *path, const mb_trace_info *info,
                           const char *digest, const mb_trace_summary *summary);

#endif
