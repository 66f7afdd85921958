/* sim/history.c */
#include "sim/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

mb_status mb_history_init(mb_history *history, size_t n_layers, size_t n_experts, size_t capacity) {
  size_t row = n_layers * n_experts;
  /* calloc() refuses sizes that overflow, as long as each factor is sound. */
  uint32_t *load = capacity <= SIZE_MAX / row ? calloc(capacity * row, sizeof *load) : NULL;

  if (load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY,
                   "out of memory: %zu steps (window and interval) of %zu layers of %zu experts; "
                   "a shorter window or interval would fit",
                   capacity, n_layers, n_experts);
  }
  *history = (mb_history){n_layers, n_experts, capacity, 0, load};
  return MB_OK;
}

void mb_history_fini(mb_history *history) {
  free(history->load);
  *history = (mb_history){0};
}

static uint32_t *place_of(const mb_history *history, size_t step) {
  return history->load + step % history->capacity * history->n_layers * history->n_experts;
}

mb_status mb_history_read(mb_history *history, mb_source *source, size_t n) {
  assert(n <= history->capacity);
  while (n > 0) {
    size_t to_wrap = history->capacity - history->n_read % history->capacity;
    size_t piece = n < to_wrap ? n : to_wrap;
    MB_TRY(mb_source_read(source, piece, place_of(history, history->n_read)));
    history->n_read += piece;
    n -= piece;
  }
  return MB_OK;
}

const uint32_t *mb_history_step(const mb_history *history, size_t step) {
  assert(step < history->n_read && history->n_read - step <= history->capacity);
  return place_of(history, step);
}

static void add_steps(const mb_history *history, size_t layer, size_t first, size_t end,
                      uint64_t *sum) {
  for (size_t t = first; t < end; t++) {
    const uint32_t *load = mb_history_step(history, t) + layer * history->n_experts;
    for (size_t e = 0; e < history->n_experts; e++) {
      sum[e] += load[e];
    }
  }
}

static void subtract_steps(const mb_history *history, size_t layer, size_t first, size_t end,
                           uint64_t *sum) {
  for (size_t t = first; t < end; t++) {
    const uint32_t *load = mb_history_step(history, t) + layer * history->n_experts;
    for (size_t e = 0; e < history->n_experts; e++) {
      sum[e] -= load[e];
    }
  }
}

void mb_window_set(mb_window *window, const mb_history *history, size_t first, size_t end) {
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < history->n_layers; l++) {
    uint64_t *sum = window->sum + l * history->n_experts;
    memset(sum, 0, history->n_experts * sizeof *sum);
    add_steps(history, l, first, end, sum);
  }
  window->first = first;
  window->end = end;
}

void mb_window_move(mb_window *window, const mb_history *history, size_t first, size_t end) {
  assert(first >= window->first && end >= window->end);
  if (first >= window->end) {
    mb_window_set(window, history, first, end);
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < history->n_layers; l++) {
    uint64_t *sum = window->sum + l * history->n_experts;
    subtract_steps(history, l, window->first, first, sum);
    add_steps(history, l, window->end, end, sum);
  }
  window->first = first;
  window->end = end;
}

void mb_window_load(const mb_window *window, const mb_history *history, double *load) {
  for (size_t i = 0; i < history->n_layers * history->n_experts; i++) {
    load[i] = (double)window->sum[i];
  }
}
