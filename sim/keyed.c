/* sim/keyed.c */
#include "sim/keyed.h"

#include <stdbool.h>
#include <stdlib.h>

enum { FEW = 24 };

static bool is_before(const mb_keyed *a, const mb_keyed *b) {
  return a->key != b->key ? a->key < b->key : a->index < b->index;
}

static int compare(const void *a, const void *b) {
  return is_before(a, b) ? -1 : is_before(b, a) ? 1 : 0;
}

void mb_keyed_sort(size_t n, mb_keyed *values) {
  if (n > FEW) {
    qsort(values, n, sizeof *values, compare);
    return;
  }
  for (size_t i = 1; i < n; i++) {
    mb_keyed value = values[i];
    size_t j = i;
    for (; j > 0 && is_before(&value, &values[j - 1]); j--) {
      values[j] = values[j - 1];
    }
    values[j] = value;
  }
}
