/* balancer/hungarian.h - internal: the assignment of rows to columns with the largest total gain.
 */
#ifndef MB_BALANCER_HUNGARIAN_H
#define MB_BALANCER_HUNGARIAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Scratch for problems of up to n_max rows; borrowed by one call at a time. */
typedef struct mb_hungarian {
  size_t n_max;
  int32_t *row_price, *column_price; /* [n_max], the dual of the problem; columns + 1 */
  int32_t *slack;                    /* [n_max + 1] */
  int32_t *row_of, *came_from;       /* [n_max + 1] */
  bool *visited;                     /* [n_max + 1] */
} mb_hungarian;

/** @return whether there was memory; mb_hungarian_fini() it either way. */
bool mb_hungarian_init(mb_hungarian *hungarian, size_t n_max);
void mb_hungarian_fini(mb_hungarian *hungarian); /* of zeroes is fine */

/**
 * Assigns each of n rows to a column of its own so that the sum of their gains is the largest.
 *
 * @param gain      n rows of n values, the rows `stride` values apart; each >= 0, and
 *                  n times the largest below 2^31. Borrowed.
 * @param column_of [n] the column of each row. Caller-owned.
 * @return the sum of the gains.
 *
 * Exact and deterministic. Cost: O(n^3), most often far less. Source: Kuhn 1955, Munkres 1957; rows
 * enter one at a time along shortest augmenting paths (Edmonds and Karp 1972, Jonker and Volgenant
 * 1987).
 */
int64_t mb_hungarian_solve(mb_hungarian *hungarian, size_t n, size_t stride, const int32_t *gain,
                           int32_t *column_of);

#ifdef __cplusplus
}
#endif

#endif
