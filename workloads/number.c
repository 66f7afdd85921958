/* workloads/number.c */
#include "workloads/number.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
  size_t size;
  const char *name;
} dtypes[] = {
    [MB_DTYPE_BOOL] = {1, "bool"},     [MB_DTYPE_U8] = {1, "uint8"},
    [MB_DTYPE_I8] = {1, "int8"},       [MB_DTYPE_U16] = {2, "uint16"},
    [MB_DTYPE_I16] = {2, "int16"},     [MB_DTYPE_U32] = {4, "uint32"},
    [MB_DTYPE_I32] = {4, "int32"},     [MB_DTYPE_U64] = {8, "uint64"},
    [MB_DTYPE_I64] = {8, "int64"},     [MB_DTYPE_F16] = {2, "float16"},
    [MB_DTYPE_BF16] = {2, "bfloat16"}, [MB_DTYPE_F32] = {4, "float32"},
    [MB_DTYPE_F64] = {8, "float64"},
};

size_t mb_dtype_size(mb_dtype dtype) {
  return dtypes[dtype].size;
}

const char *mb_dtype_name(mb_dtype dtype) {
  return dtypes[dtype].name;
}

static uint64_t get_bits(const unsigned char *bytes, size_t size, bool big_endian) {
  uint64_t bits = 0;

  for (size_t i = 0; i < size; i++) {
    bits = bits << 8 | bytes[big_endian ? i : size - 1 - i];
  }
  return bits;
}

static double from_half(uint64_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  double fraction = (double)(bits & 1023);
  double value = exponent == 31  ? (fraction == 0.0 ? (double)INFINITY : (double)NAN)
                 : exponent == 0 ? ldexp(fraction, -24)
                                 : ldexp(1024.0 + fraction, exponent - 25);

  return (bits & 0x8000) != 0 ? -value : value;
}

static double from_single(uint64_t bits) {
  uint32_t word = (uint32_t)bits;
  float value;

  memcpy(&value, &word, sizeof value);
  return (double)value;
}

static double from_double(uint64_t bits) {
  double value;

  memcpy(&value, &bits, sizeof value);
  return value;
}

static bool is_float(mb_dtype dtype) {
  return dtype >= MB_DTYPE_F16;
}

static double to_double(mb_dtype dtype, uint64_t bits) {
  switch (dtype) {
  case MB_DTYPE_F16:
    return from_half(bits);
  case MB_DTYPE_BF16:
    return from_single(bits << 16);
  case MB_DTYPE_F32:
    return from_single(bits);
  default:
    return from_double(bits);
  }
}

static bool is_signed(mb_dtype dtype) {
  return dtype == MB_DTYPE_I8 || dtype == MB_DTYPE_I16 || dtype == MB_DTYPE_I32 ||
         dtype == MB_DTYPE_I64;
}

/* Two's complement of that many bytes, widened. */
static int64_t to_signed(uint64_t bits, size_t size) {
  assert(size >= 1 && size <= 8);
  uint64_t sign = (uint64_t)1 << (8 * size - 1);

  return (int64_t)((bits ^ sign) - sign);
}

static bool to_int(mb_dtype dtype, bool big_endian, const unsigned char *bytes, int64_t *value) {
  size_t size = dtypes[dtype].size;
  uint64_t bits = get_bits(bytes, size, big_endian);

  if (is_float(dtype)) {
    double real = to_double(dtype, bits);
    /* The bounds are exact; a NaN fails every comparison. */
    if (!(real >= -0x1p63 && real < 0x1p63) || real != trunc(real)) {
      return false;
    }
    *value = (int64_t)real;
    return true;
  }
  if (is_signed(dtype)) {
    *value = to_signed(bits, size);
    return true;
  }
  *value = (int64_t)bits;
  return bits <= (uint64_t)INT64_MAX && (dtype != MB_DTYPE_BOOL || bits <= 1);
}

size_t mb_numbers_to_ints(mb_dtype dtype, bool big_endian, size_t n, const void *bytes,
                          int64_t *ints) {
  const unsigned char *at = bytes;
  size_t size = dtypes[dtype].size;

  for (size_t i = 0; i < n; i++) {
    if (!to_int(dtype, big_endian, at + i * size, &ints[i])) {
      return i;
    }
  }
  return n;
}

/* The common case at the speed of a copy: 32-bit words in this order. */
static bool counts_u32(mb_dtype dtype, bool big_endian, size_t n, const void *bytes,
                       uint32_t *counts) {
  const uint16_t probe = 1;
  unsigned char low;

  memcpy(&low, &probe, 1);
  if (dtype != MB_DTYPE_U32 || big_endian != (low == 0)) {
    return false;
  }
  memcpy(counts, bytes, n * sizeof *counts);
  return true;
}

size_t mb_numbers_to_counts(mb_dtype dtype, bool big_endian, size_t n, const void *bytes,
                            uint32_t *counts) {
  const unsigned char *at = bytes;
  size_t size = dtypes[dtype].size;

  if (n == 0 || counts_u32(dtype, big_endian, n, bytes, counts)) {
    return n;
  }
  for (size_t i = 0; i < n; i++) {
    int64_t value = -1;
    if (!to_int(dtype, big_endian, at + i * size, &value) || value < 0 || value > UINT32_MAX) {
      return i;
    }
    counts[i] = (uint32_t)value;
  }
  return n;
}

char *mb_number_format(mb_dtype dtype, bool big_endian, const void *bytes,
                       char text[MB_NUMBER_TEXT_SIZE]) {
  size_t size = dtypes[dtype].size;
  uint64_t bits = get_bits(bytes, size, big_endian);

  if (is_float(dtype)) {
    (void)snprintf(text, MB_NUMBER_TEXT_SIZE, "%.12g", to_double(dtype, bits));
  } else if (is_signed(dtype)) {
    (void)snprintf(text, MB_NUMBER_TEXT_SIZE, "%" PRId64, to_signed(bits, size));
  } else {
    (void)snprintf(text, MB_NUMBER_TEXT_SIZE, "%" PRIu64, bits);
  }
  return text;
}
