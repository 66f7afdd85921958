/* experiments/stat_units.c - the variance of a mean over two crossed random factors: Searle,
 * Casella, McCulloch, Variance Components (1992), ch. 4; of a ratio: Cochran, Sampling Techniques
 * (1977), ch. 6; degrees of freedom of a sum of mean squares: Satterthwaite (1946).
 */
#include "experiments/stat_units.h"

#include <assert.h>
#include <math.h>

/* Mean squares of the residuals. */
typedef struct squares {
  double units, relabellings, residual;
} squares;

/* What brings the weights to a mean of 1. */
static double weight_scale(const mb_stat_units *units) {
  double sum = 0;

  for (size_t b = 0; b < units->n_units; b++) {
    sum += units->weight[b];
  }
  return (double)units->n_units / sum;
}

static double weighted_mean(const mb_stat_units *units, double scale) {
  double sum = 0;

  for (size_t r = 0; r < units->n_relabellings; r++) {
    for (size_t b = 0; b < units->n_units; b++) {
      sum += units->weight[b] * scale * units->difference[r * units->n_units + b];
    }
  }
  return sum / (double)(units->n_relabellings * units->n_units);
}

static double residual(const mb_stat_units *units, double mean, double scale, size_t r, size_t b) {
  return units->weight[b] * scale * (units->difference[r * units->n_units + b] - mean);
}

static squares mean_squares(const mb_stat_units *units, double mean, double scale) {
  double n_units = (double)units->n_units;
  double n_relabellings = (double)units->n_relabellings;
  double total = 0;
  double by_relabelling = 0;
  double by_unit = 0;

  for (size_t r = 0; r < units->n_relabellings; r++) {
    double sum = 0;
    for (size_t b = 0; b < units->n_units; b++) {
      double value = residual(units, mean, scale, r, b);
      sum += value;
      total += value * value;
    }
    by_relabelling += sum * sum / n_units;
  }
  for (size_t b = 0; b < units->n_units; b++) {
    double sum = 0;
    for (size_t r = 0; r < units->n_relabellings; r++) {
      sum += residual(units, mean, scale, r, b);
    }
    by_unit += sum * sum / n_relabellings;
  }
  squares result = {.units = by_unit / (n_units - 1)};
  if (units->n_relabellings > 1) {
    result.relabellings = by_relabelling / (n_relabellings - 1);
    result.residual =
        fmax(total - by_unit - by_relabelling, 0) / ((n_units - 1) * (n_relabellings - 1));
  }
  return result;
}

/* Chooses the variance, times B R, and its degrees of freedom. */
static double combine(const mb_stat_units *units, squares square, double *freedom) {
  double of_units = (double)units->n_units - 1;
  double of_relabellings = (double)units->n_relabellings - 1;
  double sum = square.units + square.relabellings - square.residual;

  if (units->n_relabellings == 1 || (square.units >= sum && square.units >= square.relabellings)) {
    *freedom = of_units;
    return square.units;
  }
  if (square.relabellings >= sum) {
    *freedom = of_relabellings;
    return square.relabellings;
  }
  *freedom = sum * sum /
             (square.units * square.units / of_units +
              square.relabellings * square.relabellings / of_relabellings +
              square.residual * square.residual / (of_units * of_relabellings));
  return sum;
}

mb_stat_estimate mb_stat_units_estimate(const mb_stat_units *units) {
  assert(units->n_relabellings > 0 && units->n_units > 0);
  double scale = weight_scale(units);
  double count = (double)(units->n_units * units->n_relabellings);
  mb_stat_estimate estimate = {weighted_mean(units, scale), NAN, NAN, NAN};

  if (units->n_units > 1) {
    squares square = mean_squares(units, estimate.mean, scale);
    estimate.error = sqrt(combine(units, square, &estimate.freedom) / count);
    estimate.error_units = sqrt(square.units / count);
  }
  return estimate;
}
