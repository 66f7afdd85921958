/* workloads/number.h - raw numbers of any type and byte order, as whole numbers. */
#ifndef MB_WORKLOADS_NUMBER_H
#define MB_WORKLOADS_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a number is stored. */
typedef enum mb_dtype {
  MB_DTYPE_BOOL,
  MB_DTYPE_U8,
  MB_DTYPE_I8,
  MB_DTYPE_U16,
  MB_DTYPE_I16,
  MB_DTYPE_U32,
  MB_DTYPE_I32,
  MB_DTYPE_U64,
  MB_DTYPE_I64,
  MB_DTYPE_F16,
  MB_DTYPE_BF16,
  MB_DTYPE_F32,
  MB_DTYPE_F64,
} mb_dtype;

/** Bytes of one number: 1 to 8. */
size_t mb_dtype_size(mb_dtype dtype);

/** "int32" and the like. Static. */
const char *mb_dtype_name(mb_dtype dtype);

/**
 * Numbers as loads.
 * @param bytes  [n] unaligned. @param counts [n]
 * @return n; or the index of the first that is no whole number from 0 to 2^32 - 1.
 */
size_t mb_numbers_to_counts(mb_dtype dtype, bool big_endian, size_t n, const void *bytes,
                            uint32_t *counts);

/**
 * Numbers as indices and the like.
 * @return n; or the index of the first that is no whole number that an int64_t holds.
 */
size_t mb_numbers_to_ints(mb_dtype dtype, bool big_endian, size_t n, const void *bytes,
                          int64_t *ints);

/** Longest text of mb_number_format(), with its NUL. */
enum { MB_NUMBER_TEXT_SIZE = 32 };

/** One number as text, for messages: "-1", "0.5", "nan", "18446744073709551615". Returns `text`. */
char *mb_number_format(mb_dtype dtype, bool big_endian, const void *bytes,
                       char text[MB_NUMBER_TEXT_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
