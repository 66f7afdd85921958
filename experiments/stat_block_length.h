/* experiments/stat_block_length.h - how long blocks of a series have to be, by the series itself.
 */
#ifndef MB_EXPERIMENTS_STAT_BLOCK_LENGTH_H
#define MB_EXPERIMENTS_STAT_BLOCK_LENGTH_H

#include <stddef.h>

#include "balancer/status.h"

/**
 * The block length with the least mean squared error of the variance of a mean over circular
 * blocks, by Politis and White, Econometric Reviews 23 (2004) 53, as corrected by Patton, Politis
 * and White, ibid. 28 (2009) 372:
 *
 *   b = (2 G^2 / D)^(1/3) n^(1/3),  D = (4/3) g^2
 *   g = sum_k lambda(k/M) R(k),  G = sum_k lambda(k/M) |k| R(k),  |k| <= M
 *
 * with autocovariances R, the flat-top window lambda (1 to 1/2, then down to 0 at 1), and M twice
 * the last lag before max(5, sqrt(log10 n)) autocorrelations in a row are below
 * 2 sqrt(log10 n / n). At most ceil(min(3 sqrt n, n / 3)). For an AR(1) series of coefficient phi
 * it goes to (6 phi^2 / (1 - phi^2)^2)^(1/3) n^(1/3).
 *
 * @param series [n]. Borrowed.
 * @param length >= 1, not rounded; 1 for a constant series or fewer than 8 values. Written only on
 *               MB_OK.
 * @return MB_OK; MB_ERR_MEMORY. Cost: O(n^(3/2)).
 */
MB_NODISCARD mb_status mb_stat_block_length(size_t n, const double *series, double *length);

#endif
