/* experiments/stat_bootstrap.c */
#include "experiments/stat_bootstrap.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/stat_student.h"

/* Below this part of the sample's error a resample's is rounding, not spread. */
#define SPREAD_MIN 1e-9

/* A resample, as units of its own. */
typedef struct resample {
  double *difference; /* [R,B] */
  double *weight;     /* [B] */
  size_t *unit;       /* [B] the units drawn */
  double *t;          /* [n_resamples] */
} resample;

static void resample_fini(resample *scratch) {
  free(scratch->difference);
  free(scratch->weight);
  free(scratch->unit);
  free(scratch->t);
}

static mb_status resample_init(resample *scratch, const mb_stat_units *units, size_t n_resamples) {
  *scratch = (resample){
      .difference = calloc(units->n_relabellings * units->n_units, sizeof(double)),
      .weight = calloc(units->n_units, sizeof(double)),
      .unit = calloc(units->n_units, sizeof(size_t)),
      .t = calloc(n_resamples, sizeof(double)),
  };
  if (scratch->difference == NULL || scratch->weight == NULL || scratch->unit == NULL ||
      scratch->t == NULL) {
    resample_fini(scratch);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to resample %zu units %zu times", units->n_units,
                   n_resamples);
  }
  return MB_OK;
}

static void draw(const mb_stat_units *units, gsl_rng *rng, resample *scratch) {
  size_t n_units = units->n_units;

  for (size_t b = 0; b < n_units; b++) {
    scratch->unit[b] = gsl_rng_uniform_int(rng, n_units);
    scratch->weight[b] = units->weight[scratch->unit[b]];
  }
  for (size_t r = 0; r < units->n_relabellings; r++) {
    /* A single relabelling is no draw: R = 1 takes the same numbers as if it knew of none. */
    size_t drawn = units->n_relabellings > 1 ? gsl_rng_uniform_int(rng, units->n_relabellings) : 0;
    for (size_t b = 0; b < n_units; b++) {
      scratch->difference[r * n_units + b] = units->difference[drawn * n_units + scratch->unit[b]];
    }
  }
}

/* Without spread a resample says only on which side of the sample it lies. */
static double studentise(const mb_stat_units *drawn, mb_stat_estimate sample) {
  mb_stat_estimate estimate = mb_stat_units_estimate(drawn);
  double distance = estimate.mean - sample.mean;

  if (estimate.error > SPREAD_MIN * sample.error) {
    return distance / estimate.error;
  }
  return fabs(distance) > SPREAD_MIN * sample.error ? copysign(INFINITY, distance) : 0;
}

mb_status mb_stat_bootstrap(const mb_stat_units *units, double confidence, size_t n_resamples,
                            gsl_rng *rng, mb_stat_interval *interval) {
  mb_stat_estimate sample = mb_stat_units_estimate(units);
  resample scratch;

  if (units->n_units < 2) {
    return MB_FAIL(MB_ERR_RANGE, "a bootstrap needs two units or more, not %zu", units->n_units);
  }
  MB_TRY(resample_init(&scratch, units, n_resamples));
  mb_stat_units drawn = {units->n_relabellings, units->n_units, scratch.difference, scratch.weight};
  for (size_t i = 0; i < n_resamples; i++) {
    draw(units, rng, &scratch);
    scratch.t[i] = studentise(&drawn, sample);
  }
  gsl_sort(scratch.t, 1, n_resamples);
  double tail = (1 - confidence) / 2;
  double low = gsl_stats_quantile_from_sorted_data(scratch.t, 1, n_resamples, 1 - tail);
  double high = gsl_stats_quantile_from_sorted_data(scratch.t, 1, n_resamples, tail);
  resample_fini(&scratch);
  *interval = isfinite(low) && isfinite(high)
                  ? (mb_stat_interval){sample.mean - low * sample.error,
                                       sample.mean - high * sample.error, "bootstrap-t"}
                  : mb_stat_student(units, confidence);
  return MB_OK;
}
