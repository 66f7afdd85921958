/* experiments/bench_statistics.c */
#include "experiments/bench_statistics.h"

#include <gsl/gsl_fit.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

/* Sorts what is in `scratch`. */
static mb_spread spread_sorted(size_t n, double *scratch) {
  if (n == 0) {
    return (mb_spread){NAN, NAN, NAN, NAN, NAN};
  }
  gsl_sort(scratch, 1, n);
  return (mb_spread){
      .min = scratch[0],
      .p10 = gsl_stats_quantile_from_sorted_data(scratch, 1, n, 0.1),
      .median = gsl_stats_quantile_from_sorted_data(scratch, 1, n, 0.5),
      .p90 = gsl_stats_quantile_from_sorted_data(scratch, 1, n, 0.9),
      .max = scratch[n - 1],
  };
}

mb_spread mb_spread_of(size_t n, const double *values, double *scratch) {
  size_t kept = 0;

  for (size_t i = 0; i < n; i++) {
    if (!isnan(values[i])) {
      scratch[kept++] = values[i];
    }
  }
  return spread_sorted(kept, scratch);
}

double mb_ratio_median(size_t n, const double *numerator, const double *denominator,
                       double *scratch) {
  for (size_t i = 0; i < n; i++) {
    scratch[i] = numerator[i] / denominator[i];
  }
  return spread_sorted(n, scratch).median;
}

mb_status mb_power_fit_of(size_t n, const double *x, const double *y, mb_power_fit *fit) {
  double offset;
  double slope;
  double cov00;
  double cov01;
  double cov11;
  double sum_of_squares;

  if (n < 3) {
    return MB_FAIL(MB_ERR_RANGE, "a slope needs three points or more, not %zu", n);
  }
  double *logs = calloc(2 * n, sizeof *logs);
  if (logs == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to fit %zu points", n);
  }
  for (size_t i = 0; i < n; i++) {
    if (!(x[i] > 0) || !(y[i] > 0)) {
      free(logs);
      return MB_FAIL(MB_ERR_RANGE, "point %zu (%g, %g) has no logarithm", i, x[i], y[i]);
    }
    logs[i] = log(x[i]);
    logs[n + i] = log(y[i]);
  }
  (void)gsl_fit_linear(logs, 1, logs + n, 1, n, &offset, &slope, &cov00, &cov01, &cov11,
                       &sum_of_squares);
  free(logs);
  *fit = (mb_power_fit){.slope = slope, .error = sqrt(cov11)};
  return MB_OK;
}
