/* experiments/stat_bootstrap.h - the studentised bootstrap interval of a mean over units.
 *
 * Units are drawn with replacement, and independently of them relabellings (the pigeonhole
 * bootstrap: Owen, Annals of Applied Statistics 1 (2007) 386); every resample is studentised by the
 * same formula as the sample (bootstrap-t: Efron and Tibshirani, An Introduction to the Bootstrap
 * (1993), 12.5), which is what holds its coverage where units are few or skewed.
 *
 * Blocks of steps are the units themselves: they do not overlap and begin where plans take effect.
 * Overlapping or circular blocks would cut through the plans. A block of one interval then holds
 * parts of two plans, and what a plan does to all of its steps counts only 2/3 in the variance: of
 * 95 % intervals 89 % would hold the truth.
 */
#ifndef MB_EXPERIMENTS_STAT_BOOTSTRAP_H
#define MB_EXPERIMENTS_STAT_BOOTSTRAP_H

#include <gsl/gsl_rng.h>

#include "experiments/stat_units.h"

/**
 * @param confidence in (0, 1).
 * @param n_resamples >= 1.
 * @param interval Method: "bootstrap-t"; or what mb_stat_student() gives where so many resamples
 *                 have no spread that a bound would be infinite: nearly all differences are equal.
 *                 Written only on MB_OK.
 * @return MB_OK; MB_ERR_RANGE for a single unit; MB_ERR_MEMORY.
 *
 * Cost: O(n_resamples R B). The same rng state gives the same interval.
 */
MB_NODISCARD mb_status mb_stat_bootstrap(const mb_stat_units *units, double confidence,
                                         size_t n_resamples, gsl_rng *rng,
                                         mb_stat_interval *interval);

#endif
