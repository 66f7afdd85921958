/* experiments/stat_units.h - paired differences by unit and relabelling: their mean and its error.
 *
 * A unit is what can be taken as independent of the others: a block of consecutive steps, or a
 * trace of its own (a seed). Relabellings are crossed with the units: the same relabelling stands
 * in a row of every unit, so what it does to a difference is not averaged out by more units.
 */
#ifndef MB_EXPERIMENTS_STAT_UNITS_H
#define MB_EXPERIMENTS_STAT_UNITS_H

#include <stddef.h>

#include "balancer/status.h"

/** Borrowed throughout. */
typedef struct mb_stat_units {
  size_t n_relabellings;    /* R >= 1 */
  size_t n_units;           /* B >= 1 */
  const double *difference; /* [R,B] finite */
  const double *weight;     /* [B] > 0; of blocks their load, of seeds 1 */
} mb_stat_units;

/**
 * The mean and what is known of its error.
 *
 *   mean  = sum_rb W_b D_rb / (R sum_b W_b)
 *   error = its standard error: with the linearised residuals of this ratio,
 *           e_rb = W_b (D_rb - mean) / mean(W), as a two-way layout of two random factors, and
 *           their mean squares U (units), L (relabellings), E (residual),
 *           error^2 = max(U + L - E, U, L) / (B R);  with R = 1: U / B
 *   freedom = Satterthwaite's degrees of freedom of that error^2; with R = 1: B - 1
 *   error_units = sqrt(U / (B R)): what units alone give, relabellings taken as all there are
 *
 * The two larger one-way errors bound it from below because U + L - E, which has no bias, can be
 * negative. With B = 1 the errors and the degrees of freedom are NaN.
 */
typedef struct mb_stat_estimate {
  double mean, error, freedom, error_units;
} mb_stat_estimate;

mb_stat_estimate mb_stat_units_estimate(const mb_stat_units *units);

/** An interval of the mean, and what it was made with. */
typedef struct mb_stat_interval {
  double low, high;
  const char *method; /* static */
} mb_stat_interval;

#endif
