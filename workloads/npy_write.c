/* workloads/npy_write.c - as numpy.lib.format describes it. */
#include "workloads/npy_write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

enum { RANK_MAX = 8, PREFIX = 10, ALIGNMENT = 64, HEADER_SIZE = 512 };

static const char *describe(mb_dtype dtype) {
  switch (dtype) {
  case MB_DTYPE_BOOL:
    return "|b1";
  case MB_DTYPE_U8:
    return "|u1";
  case MB_DTYPE_I8:
    return "|i1";
  case MB_DTYPE_U16:
    return "<u2";
  case MB_DTYPE_I16:
    return "<i2";
  case MB_DTYPE_U32:
    return "<u4";
  case MB_DTYPE_I32:
    return "<i4";
  case MB_DTYPE_U64:
    return "<u8";
  case MB_DTYPE_I64:
    return "<i8";
  case MB_DTYPE_F16:
    return "<f2";
  case MB_DTYPE_F32:
    return "<f4";
  case MB_DTYPE_F64:
    return "<f8";
  case MB_DTYPE_BF16:
    break;
  }
  return NULL; /* numpy has no such type */
}

void mb_npy_write_header(FILE *stream, mb_dtype dtype, size_t rank, const uint64_t *dims) {
  char header[HEADER_SIZE];

  assert(describe(dtype) != NULL);
  assert(rank >= 1 && rank <= RANK_MAX);
  int length = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                        describe(dtype));
  for (size_t i = 0; i < rank; i++) {
    length += snprintf(header + length, sizeof header - (size_t)length, "%s%" PRIu64 "%s",
                       i > 0 ? " " : "", dims[i], i + 1 < rank || rank == 1 ? "," : "");
  }
  length += snprintf(header + length, sizeof header - (size_t)length, "), }");
  /* Spaces and a newline, so that the values begin at a multiple of 64 bytes. */
  while ((PREFIX + length + 1) % ALIGNMENT != 0) {
    header[length++] = ' ';
  }
  header[length++] = '\n';
  const unsigned char prefix[PREFIX] = {0x93,
                                        'N',
                                        'U',
                                        'M',
                                        'P',
                                        'Y',
                                        1,
                                        0,
                                        (unsigned char)(length & 255),
                                        (unsigned char)(length >> 8)};
  (void)fwrite(prefix, 1, sizeof prefix, stream);
  (void)fwrite(header, 1, (size_t)length, stream);
}

static bool is_big_endian(void) {
  const uint16_t one = 1;
  unsigned char first = 0;

  memcpy(&first, &one, 1);
  return first == 0;
}

void mb_npy_write_values(FILE *stream, mb_dtype dtype, size_t n, const void *values) {
  size_t size = mb_dtype_size(dtype);
  const unsigned char *bytes = values;

  if (!is_big_endian()) {
    (void)fwrite(values, size, n, stream);
    return;
  }
  for (size_t i = 0; i < n * size; i += size) {
    for (size_t b = size; b > 0; b--) {
      (void)fputc(bytes[i + b - 1], stream);
    }
  }
}
