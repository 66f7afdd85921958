/* experiments/bench_statistics.h - what repetitions of a measurement say. */
#ifndef MB_EXPERIMENTS_BENCH_STATISTICS_H
#define MB_EXPERIMENTS_BENCH_STATISTICS_H

#include <stddef.h>

#include "balancer/status.h"

/** Quantiles, interpolated linearly as in GSL and numpy. */
typedef struct mb_spread {
  double min, p10, median, p90, max;
} mb_spread;

/**
 * @param values [n], those that are NaN are left out; none left: all NaN.
 * @param scratch [n], caller-owned.
 */
mb_spread mb_spread_of(size_t n, const double *values, double *scratch);

/** The median of the pairs' ratios numerator[i] / denominator[i]; NaN without any. */
double mb_ratio_median(size_t n, const double *numerator, const double *denominator,
                       double *scratch);

/** A line through (log x, log y): y grows as x to the power of the slope. */
typedef struct mb_power_fit {
  double slope;
  double error; /* standard error of the slope */
} mb_power_fit;

/**
 * @param x, y [n] positive.
 * @param fit written only on MB_OK.
 * @return MB_OK; MB_ERR_RANGE with fewer than three points, or one that is not positive;
 *         MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_power_fit_of(size_t n, const double *x, const double *y,
                                       mb_power_fit *fit);

#endif
