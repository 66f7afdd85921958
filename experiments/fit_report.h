/* experiments/fit_report.h - a recorded trace beside what generators make of it. */
#ifndef MB_EXPERIMENTS_FIT_REPORT_H
#define MB_EXPERIMENTS_FIT_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "workloads/windows.h"

/** A trace, or several of different seeds: the means of their statistics. */
typedef struct mb_fit_column {
  const char *title;        /* "fit" */
  mb_windows_layer *layers; /* [L] */
} mb_fit_column;

/**
 * A line a statistic: its value in the original, and in each other trace, with the deviation in
 * percent, and whether that is within the tolerance: 10 % for skew, of the mean over the layers and
 * of each layer, 25 % for drift and noise. Then how many statistics are within tolerance, and how
 * many of Pearson's r at lags 1 and 4, which is often all that is compared.
 * @param columns [n] the first is the original. No line is longer than 100 columns for n <= 4.
 */
void mb_fit_report_print(FILE *out, size_t n_layers, size_t n, const mb_fit_column *columns);

#endif
