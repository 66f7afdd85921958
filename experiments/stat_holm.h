/* experiments/stat_holm.h - p values for a family of comparisons. */
#ifndef MB_EXPERIMENTS_STAT_HOLM_H
#define MB_EXPERIMENTS_STAT_HOLM_H

#include <stddef.h>

#include "balancer/status.h"

/**
 * Holm's correction (Scandinavian Journal of Statistics 6 (1979) 65): of m values, the k-th
 * smallest becomes min(1, max over j <= k of (m - j + 1) p_(j)). Calling those below 0.05
 * significant errs anywhere in the family with probability 0.05 at most.
 *
 * @param p [n] NaN where there was no test: it stays NaN and is not counted.
 * @param adjusted [n] caller-owned; may be `p`. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_stat_holm(size_t n, const double *p, double *adjusted);

#endif
