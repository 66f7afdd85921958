/* experiments/report.h - a results file as one page: no network, no other file. */
#ifndef MB_EXPERIMENTS_REPORT_H
#define MB_EXPERIMENTS_REPORT_H

#include "balancer/status.h"

/** What is reported, and where. Borrowed. */
typedef struct mb_report {
  const char *results;
  const char *output;   /* the page; never a results file */
  const char *run;      /* whose figures; NULL: the first that did not fail */
  const char *baseline; /* of the comparison; NULL: mb_compare() chooses */
} mb_report;

/**
 * Writes the page, under a temporary name until it is complete.
 * @return MB_OK; MB_ERR_PARAM naming the runs or strategies there are; MB_ERR_UNSUPPORTED without
 *         gnuplot; MB_ERR_IO; MB_ERR_FORMAT; MB_ERR_MEMORY; MB_ERR_CANCELLED.
 */
MB_NODISCARD mb_status mb_report_write(const mb_report *report);

#endif
