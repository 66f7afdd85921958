/* sim/top.h - keeps the largest of many values, for an exact high quantile in little memory. */
#ifndef MB_SIM_TOP_H
#define MB_SIM_TOP_H

#include <stddef.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A heap with its smallest value at the root. */
typedef struct mb_top {
  float *value;    /* [n_kept] */
  size_t capacity; /* values kept at most */
  size_t n_kept;
  size_t n_pushed;
  double q;
} mb_top;

/** Keeps what the quantile q of any number of values up to n_most needs. MB_OK, MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_top_init(mb_top *top, size_t n_most, double q);
void mb_top_fini(mb_top *top);

/** @param value not NaN. O(log capacity), and O(1) for most. */
void mb_top_push(mb_top *top, float value);

/**
 * The quantile of all values pushed, as mb_quantile_sorted() gives it.
 * @param quantile NaN where nothing was pushed.
 * @return MB_OK, MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_top_quantile(const mb_top *top, double *quantile);

#ifdef __cplusplus
}
#endif

#endif
