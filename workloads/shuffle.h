/* workloads/shuffle.h - internal: HDF5's shuffle filter on a chunk of 32-bit numbers: first the
 * lowest bytes of all, then the second ones, and so on. */
#ifndef MB_WORKLOADS_SHUFFLE_H
#define MB_WORKLOADS_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

/** Numbers [first, first + n) of a chunk of n_chunk into their places in `planes` [4,n_chunk]. */
static inline void mb_shuffle(size_t n, const uint32_t *number, size_t n_chunk, size_t first,
                              unsigned char *restrict planes) {
  for (unsigned b = 0; b < 4; b++) {
    unsigned char *plane = planes + b * n_chunk + first;
    for (size_t i = 0; i < n; i++) {
      plane[i] = (unsigned char)(number[i] >> 8 * b);
    }
  }
}

/** The way back. */
static inline void mb_unshuffle(size_t n, const unsigned char *planes, size_t n_chunk, size_t first,
                                uint32_t *restrict number) {
  const unsigned char *plane = planes + first;

  for (size_t i = 0; i < n; i++) {
    number[i] = plane[i] | (uint32_t)plane[n_chunk + i] << 8 |
                (uint32_t)plane[2 * n_chunk + i] << 16 | (uint32_t)plane[3 * n_chunk + i] << 24;
  }
}

#endif
