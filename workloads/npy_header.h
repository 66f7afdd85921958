/* workloads/npy_header.h - internal: the header of a .npy file, and where its bytes come from. */
#ifndef MB_WORKLOADS_NPY_HEADER_H
#define MB_WORKLOADS_NPY_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workloads/npy.h"

/** The bytes of a .npy file, be it one or a member of an .npz. */
typedef struct mb_npy_bytes {
  uint64_t size;
  bool sequential; /* reading backwards, or here and there, costs the way from the start */
  /* Bytes [offset, offset + n), all of them; `what` names the array in messages. */
  mb_status (*read)(void *state, const char *what, uint64_t offset, size_t n, void *bytes);
  void (*destroy)(void *state); /* NULL: nothing to do */
  void *state;
} mb_npy_bytes;

void mb_npy_bytes_destroy(mb_npy_bytes *bytes);

typedef struct mb_npy_header {
  bool is_text;  /* dtype U or S: dtype below says nothing */
  bool is_utf32; /* of a text: U */
  bool big_endian, fortran;
  mb_dtype dtype;
  size_t item_size; /* bytes of an element */
  size_t rank;
  uint64_t dims[MB_ARRAY_RANK_MAX];
  uint64_t n_items;     /* product of dims */
  uint64_t data_offset; /* bytes before the data */
} mb_npy_header;

/**
 * Reads and checks a header, and that the bytes are exactly as many as it tells.
 * @param what the array, for messages.
 * @return MB_OK; MB_ERR_FORMAT; MB_ERR_UNSUPPORTED for dtypes that are neither number nor text;
 *         MB_ERR_MEMORY; what reading returned.
 */
MB_NODISCARD mb_status mb_npy_header_read(const char *what, const mb_npy_bytes *bytes,
                                          mb_npy_header *header);

/**
 * An array of those bytes.
 * @param name  Copied.
 * @param bytes Transferred, also on failure.
 * @return as mb_npy_open().
 */
MB_NODISCARD mb_status mb_array_create(const char *name, mb_npy_bytes bytes, mb_array **array);

#endif
