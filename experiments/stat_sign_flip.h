/* experiments/stat_sign_flip.h - a permutation test of paired differences by flipping their signs.
 */
#ifndef MB_EXPERIMENTS_STAT_SIGN_FLIP_H
#define MB_EXPERIMENTS_STAT_SIGN_FLIP_H

#include <gsl/gsl_rng.h>

#include "experiments/stat_units.h"

/** Up to this many units all 2^B flips are looked at. */
enum { MB_STAT_SIGN_FLIP_EXACT = 16 };

/**
 * How often a mean at least as far from 0 comes about when each unit, with all its relabellings,
 * keeps or changes its sign by the toss of a coin: what would be if the two strategies were
 * interchangeable. Exact for independent units that are symmetric around 0.
 *
 * Flipping units cannot see what relabellings have in common over all units, so with R > 1 the mean
 * that has to be reached is made smaller by error_units / error (stat_units.h): as if it were
 * measured in standard errors.
 *
 * @param n_resamples flips that are drawn where the units are more than MB_STAT_SIGN_FLIP_EXACT:
 *                    then p = (1 + as far) / (1 + n_resamples).
 * @param p Two-sided, in (0, 1]; at least 2 / 2^B. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_stat_sign_flip(const mb_stat_units *units, size_t n_resamples,
                                         gsl_rng *rng, double *p);

#endif
