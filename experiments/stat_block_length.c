/* experiments/stat_block_length.c */
#include "experiments/stat_block_length.h"

#include <math.h>
#include <stdlib.h>

enum { VALUES_MIN = 8 };

/* Autocovariances of the lags 0..n_lags. */
static void autocovariances(size_t n, const double *series, size_t n_lags, double *covariance) {
  double mean = 0;

  for (size_t t = 0; t < n; t++) {
    mean += series[t] / (double)n;
  }
  for (size_t k = 0; k <= n_lags; k++) {
    double sum = 0;
    for (size_t t = k; t < n; t++) {
      sum += (series[t] - mean) * (series[t - k] - mean);
    }
    covariance[k] = sum / (double)n;
  }
}

/* The smallest lag, 0 or more, after which `run` autocorrelations in a row are small; where there
   is none, the last lag that has a large one. */
static size_t last_large_lag(size_t n, size_t n_lags, size_t run, const double *covariance) {
  double small = 2 * sqrt(log10((double)n) / (double)n) * covariance[0];
  size_t last = 0;

  for (size_t k = 1; k <= n_lags; k++) {
    if (fabs(covariance[k]) >= small) {
      last = k;
    } else if (k - last >= run) {
      return last;
    }
  }
  return last;
}

static double flat_top(double x) {
  return x <= 0.5 ? 1 : fmax(2 * (1 - x), 0);
}

mb_status mb_stat_block_length(size_t n, const double *series, double *length) {
  if (n < VALUES_MIN) {
    *length = 1;
    return MB_OK;
  }
  double root = sqrt((double)n);
  size_t run = (size_t)fmax(5, ceil(sqrt(log10((double)n))));
  size_t n_lags = (size_t)ceil(root) + run;
  n_lags = n_lags < n ? n_lags : n - 1;
  double *covariance = calloc(n_lags + 1, sizeof *covariance);
  if (covariance == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the autocovariances of %zu values", n);
  }
  autocovariances(n, series, n_lags, covariance);
  size_t reach = 2 * last_large_lag(n, n_lags, run, covariance);
  reach = reach < n_lags ? reach : n_lags;
  double sum = covariance[0];
  double moment = 0;
  for (size_t k = 1; k <= reach; k++) {
    double part = 2 * flat_top((double)k / (double)reach) * covariance[k];
    sum += part;
    moment += (double)k * part;
  }
  free(covariance);
  /* A sum near 0 or below is a mean that blocks of any length get right. */
  double best = sum > 0 ? cbrt(1.5 * (moment / sum) * (moment / sum) * (double)n) : 1;
  *length = fmin(fmax(best, 1), ceil(fmin(3 * root, (double)n / 3)));
  return MB_OK;
}
