/* workloads/npy.h - arrays that numpy wrote: .npy files, and the members of .npz files.
 *
 * Formats 1.0 to 3.0 of numpy.lib.format; integers, bool and floats of either byte order, in C or
 * Fortran order. An .npz is a zip of .npy files, stored or deflated (libzip). Nothing that is
 * pickled (dtype object) is read.
 */
#ifndef MB_WORKLOADS_NPY_H
#define MB_WORKLOADS_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"
#include "workloads/number.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MB_ARRAY_RANK_MAX = 8 };

typedef struct mb_array_info {
  const char *name; /* "FILE" or "FILE: array NAME", for messages */
  mb_dtype dtype;
  size_t rank; /* 0: a single number */
  uint64_t dims[MB_ARRAY_RANK_MAX];
} mb_array_info;

/** An array that is open for reading. Not for use by two threads at once. */
typedef struct mb_array mb_array;

/**
 * @param input Borrowed as long as the array is open.
 * @param array Transferred: mb_array_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT, also where the file has not the size that its header tells;
 *         MB_ERR_UNSUPPORTED for a dtype that is no number; MB_ERR_MEMORY; MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_npy_open(const mb_input *input, mb_array **array);

/** The names of an .npz file's arrays, without ".npy". */
typedef struct mb_npz mb_npz;
MB_NODISCARD mb_status mb_npz_open(const mb_input *input, mb_npz **npz);
size_t mb_npz_n_arrays(const mb_npz *npz);
size_t mb_npz_n_members(const mb_npz *npz);           /* those that are no arrays, too */
const char *mb_npz_name(const mb_npz *npz, size_t i); /* borrowed */
bool mb_npz_has(const mb_npz *npz, const char *name);

/** As mb_npy_open(), of the array of that name; MB_ERR_FORMAT names those there are. Any number of
 * arrays may be open at once; they must be destroyed before the npz is. */
MB_NODISCARD mb_status mb_npz_array(mb_npz *npz, const char *name, mb_array **array);

/** An array that is one text (dtype <U..., S...). @param text Transferred: free() it. */
MB_NODISCARD mb_status mb_npz_text(mb_npz *npz, const char *name, char **text);
void mb_npz_destroy(mb_npz *npz); /* NULL is fine */

const mb_array_info *mb_array_get_info(const mb_array *array); /* borrowed */

/**
 * Rows [first, first + n) of the first dimension, in C order, as loads; a single number is one row.
 * Rows that are not there are a programmer's error. Cheapest in ascending order. Memory: 256 KiB;
 * in Fortran order blocks of rows, 64 MiB of them. Arrays in Fortran order inside of an .npz are
 * unpacked to a temporary file (TMPDIR) first.
 *
 * @param counts [n, dims[1], ...] caller-owned; contents unspecified on failure.
 * @return MB_OK; MB_ERR_FORMAT naming the array, the index, the value, and what would be right;
 *         MB_ERR_IO.
 */
MB_NODISCARD mb_status mb_array_read_counts(mb_array *array, uint64_t first, size_t n,
                                            uint32_t *counts);

/**
 * A part of one row: elements [first, first + n) of it, in C order, as loads. Cheap anywhere in a
 * file or stored in an .npz.
 * @param counts [n]
 */
MB_NODISCARD mb_status mb_array_read_part(mb_array *array, uint64_t row, uint64_t first, size_t n,
                                          uint32_t *counts);

/** The same as mb_array_read_counts(), as whole numbers of either sign. */
MB_NODISCARD mb_status mb_array_read_ints(mb_array *array, uint64_t first, size_t n, int64_t *ints);
void mb_array_destroy(mb_array *array); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
