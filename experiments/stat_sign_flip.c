/* experiments/stat_sign_flip.c */
#include "experiments/stat_sign_flip.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* Sums that differ by rounding alone are equally far. */
#define ROUNDING 1e-12

/* What each unit adds to the mean, but for a factor. */
static double *unit_sums(const mb_stat_units *units) {
  double *sum = calloc(units->n_units, sizeof *sum);

  for (size_t r = 0; sum != NULL && r < units->n_relabellings; r++) {
    for (size_t b = 0; b < units->n_units; b++) {
      sum[b] += units->weight[b] * units->difference[r * units->n_units + b];
    }
  }
  return sum;
}

/* How far the sum has to be from 0. */
static double reach(const mb_stat_units *units, const double *sum) {
  mb_stat_estimate estimate = mb_stat_units_estimate(units);
  double total = 0;
  double size = 0;

  for (size_t b = 0; b < units->n_units; b++) {
    total += sum[b];
    size += fabs(sum[b]);
  }
  double part = estimate.error > 0 ? estimate.error_units / estimate.error : 1;
  return fabs(total) * part - ROUNDING * size;
}

/* The last unit keeps its sign: the other half of the flips mirrors this one. */
static double enumerate(size_t n, const double *sum, double far) {
  uint32_t flips = (uint32_t)1 << (n - 1);
  uint32_t as_far = 0;

  for (uint32_t flip = 0; flip < flips; flip++) {
    double total = 0;
    for (size_t b = 0; b < n; b++) {
      total += (flip >> b & 1) != 0 ? -sum[b] : sum[b];
    }
    as_far += fabs(total) >= far ? 1 : 0;
  }
  return (double)as_far / (double)flips;
}

static double toss(size_t n, const double *sum, double far, size_t n_resamples, gsl_rng *rng) {
  size_t as_far = 0;

  for (size_t i = 0; i < n_resamples; i++) {
    double total = 0;
    for (size_t b = 0; b < n; b++) {
      total += gsl_rng_uniform(rng) < 0.5 ? -sum[b] : sum[b];
    }
    as_far += fabs(total) >= far ? 1 : 0;
  }
  return (double)(1 + as_far) / (double)(1 + n_resamples);
}

mb_status mb_stat_sign_flip(const mb_stat_units *units, size_t n_resamples, gsl_rng *rng,
                            double *p) {
  double *sum = unit_sums(units);

  if (sum == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a test of %zu units", units->n_units);
  }
  double far = reach(units, sum);
  *p = units->n_units <= MB_STAT_SIGN_FLIP_EXACT ? enumerate(units->n_units, sum, far)
                                                 : toss(units->n_units, sum, far, n_resamples, rng);
  free(sum);
  return MB_OK;
}
