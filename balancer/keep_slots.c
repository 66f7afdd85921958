/* balancer/keep_slots.c */
#include "balancer/keep_slots.h"

#include <string.h>

/* One GPU. @param left [E] zeroes: copies of an expert that no slot has been found for yet.
   @param wanted [n] scratch: what is to come, in its order. */
static void keep_gpu(size_t n, const int32_t *before, int32_t *after, int32_t *left,
                     int32_t *wanted) {
  size_t next = 0;

  memcpy(wanted, after, n * sizeof *wanted);
  for (size_t i = 0; i < n; i++) {
    left[wanted[i]]++;
  }
  for (size_t i = 0; i < n; i++) {
    after[i] = left[before[i]] > 0 ? before[i] : -1;
    left[before[i]] -= left[before[i]] > 0;
  }
  for (size_t i = 0; i < n; i++) {
    if (after[i] >= 0) {
      continue;
    }
    while (left[wanted[next]] == 0) {
      next++;
    }
    after[i] = wanted[next];
    left[wanted[next]]--;
  }
}

void mb_keep_slots(const mb_shape *shape, const int32_t *before, int32_t *after, int32_t *scratch) {
  size_t n = shape->n_slots / shape->n_gpus;

  for (size_t d = 0; d < shape->n_gpus; d++) {
    keep_gpu(n, before + d * n, after + d * n, scratch, scratch + shape->n_experts);
  }
}
