/* workloads/npy_write.h - arrays as .npy files (format 1.0, C order, little-endian), for numpy. */
#ifndef MB_WORKLOADS_NPY_WRITE_H
#define MB_WORKLOADS_NPY_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "workloads/number.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Writes what stands before an array's values. A failure shows in ferror(stream), as with the
 * values.
 *
 * @param dtype one that numpy has: all but MB_DTYPE_BF16.
 * @param dims  [rank] rank 1 to 8.
 */
void mb_npy_write_header(FILE *stream, mb_dtype dtype, size_t rank, const uint64_t *dims);

/** Writes n values of that type, as this machine has them in memory; any number of times. */
void mb_npy_write_values(FILE *stream, mb_dtype dtype, size_t n, const void *values);

#ifdef __cplusplus
}
#endif

#endif
