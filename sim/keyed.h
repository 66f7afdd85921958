/* sim/keyed.h - internal: indices in the order of their keys. */
#ifndef MB_SIM_KEYED_H
#define MB_SIM_KEYED_H

#include <stddef.h>
#include <stdint.h>

typedef struct mb_keyed {
  double key;
  int32_t index;
} mb_keyed;

/** Sorts by key, ascending, and by index where keys are equal. Fast for a few, or nearly sorted. */
void mb_keyed_sort(size_t n, mb_keyed *values);

#endif
