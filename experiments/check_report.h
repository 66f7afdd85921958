/* experiments/check_report.h - tells people and CI systems what a check found. */
#ifndef MB_EXPERIMENTS_CHECK_REPORT_H
#define MB_EXPERIMENTS_CHECK_REPORT_H

#include <stdio.h>

#include "balancer/status.h"
#include "experiments/check.h"

/** A check with the two sides it is of. */
typedef struct mb_check_report {
  const mb_baseline *before, *after;
  const mb_check *check;
} mb_check_report;

/** Prints what differs, the worst first: how much, where, and in which seeds. */
void mb_check_print(FILE *stream, const mb_check_report *report);

/**
 * Writes a test case for each setting, strategy and metric; failed where it became worse, with the
 * table's line and where; in error where there was nothing to compare.
 * @return as mb_junit_write().
 */
MB_NODISCARD mb_status mb_check_write_junit(const char *path, const mb_check_report *report);

#endif
