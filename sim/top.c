/* sim/top.c */
#include "sim/top.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include <gsl/gsl_sort.h>

#include "sim/metrics.h"

/* Of n values the quantile needs those from position floor(q (n - 1)) on, a count that grows with
   n; one more guards against the rounding of q (n - 1). */
mb_status mb_top_init(mb_top *top, size_t n_most, double q) {
  size_t below = (size_t)floor(q * (double)(n_most > 0 ? n_most - 1 : 0));
  size_t capacity = n_most - below + 1;
  float *value = calloc(capacity, sizeof *value);

  if (value == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: the largest %zu of %zu values", capacity, n_most);
  }
  *top = (mb_top){.value = value, .capacity = capacity, .q = q};
  return MB_OK;
}

void mb_top_fini(mb_top *top) {
  free(top->value);
  *top = (mb_top){0};
}

static void sift_up(float *heap, size_t i) {
  float value = heap[i];

  while (i > 0 && heap[(i - 1) / 2] > value) {
    heap[i] = heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  heap[i] = value;
}

static void sift_down(float *heap, size_t n) {
  float value = heap[0];
  size_t i = 0;

  for (size_t child = 1; child < n; child = 2 * i + 1) {
    child += child + 1 < n && heap[child + 1] < heap[child];
    if (heap[child] >= value) {
      break;
    }
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = value;
}

void mb_top_push(mb_top *top, float value) {
  assert(!isnan(value));
  top->n_pushed++;
  if (top->n_kept < top->capacity) {
    top->value[top->n_kept] = value;
    sift_up(top->value, top->n_kept++);
  } else if (value > top->value[0]) {
    top->value[0] = value;
    sift_down(top->value, top->n_kept);
  }
}

mb_status mb_top_quantile(const mb_top *top, double *quantile) {
  if (top->n_pushed == 0) {
    *quantile = NAN;
    return MB_OK;
  }
  double *sorted = calloc(top->n_kept, sizeof *sorted);
  if (sorted == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: sorting %zu values", top->n_kept);
  }
  for (size_t i = 0; i < top->n_kept; i++) {
    sorted[i] = (double)top->value[i];
  }
  gsl_sort(sorted, 1, top->n_kept);
  *quantile = mb_quantile_top(top->n_pushed, top->n_kept, sorted, top->q);
  free(sorted);
  return MB_OK;
}
