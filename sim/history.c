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
  *history = (mb_history){
      .n_layers = n_layers, .n_experts = n_experts, .capacity = capacity, .load = load};
  return MB_OK;
}

void mb_history_fini(mb_history *history) {
  free(history->load);
  free(history->by_source);
  *history = (mb_history){0};
}

static uint32_t *place_of(const mb_history *history, size_t step) {
  return history->load + step % history->capacity * history->n_layers * history->n_experts;
}

static uint32_t *sources_of(const mb_history *history, size_t step) {
  return history->by_source +
         step % history->n_kept * history->n_layers * history->n_sources * history->n_experts;
}

mb_status mb_history_keep_sources(mb_history *history, size_t n_sources, size_t n_kept) {
  size_t row = history->n_layers * history->n_experts;

  assert(history->n_read == 0 && n_kept >= 1 && n_kept <= history->capacity);
  if (n_sources <= SIZE_MAX / sizeof *history->by_source / row / n_kept) {
    history->by_source = calloc(n_kept * row, n_sources * sizeof *history->by_source);
  }
  if (history->by_source == NULL) {
    return MB_FAIL(MB_ERR_MEMORY,
                   "out of memory: %zu steps (interval) of %zu layers of %zu experts by %zu "
                   "sources; a shorter interval would fit",
                   n_kept, history->n_layers, history->n_experts, n_sources);
  }
  history->n_sources = n_sources;
  history->n_kept = n_kept;
  return MB_OK;
}

const uint32_t *mb_history_by_source(const mb_history *history, size_t step, size_t layer) {
  assert(step < history->n_read);
  assert(history->n_sources == 0 || history->n_read - step <= history->n_kept);
  return history->n_sources > 0
             ? sources_of(history, step) + layer * history->n_sources * history->n_experts
             : NULL;
}

mb_status mb_history_read(mb_history *history, mb_source *source, size_t n) {
  assert(n <= history->capacity);
  while (n > 0) {
    size_t to_wrap = history->capacity - history->n_read % history->capacity;
    size_t piece = n < to_wrap ? n : to_wrap;
    if (history->n_sources > 0) {
      size_t to_end = history->n_kept - history->n_read % history->n_kept;
      piece = piece < to_end ? piece : to_end;
      MB_TRY(mb_source_read_by_source(source, piece, place_of(history, history->n_read),
                                      sources_of(history, history->n_read)));
    } else {
      MB_TRY(mb_source_read(source, piece, place_of(history, history->n_read)));
    }
    history->n_read += piece;
    n -= piece;
  }
  return MB_OK;
}

const uint32_t *mb_history_step(const mb_history *history, size_t step) {
  assert(step < history->n_read && history->n_read - step <= history->capacity);
  return place_of(history, step);
}

/* The number of experts is a value of its own, so that the compiler sees that no sum changes it. */
static void add_step(const mb_history *history, size_t layer, size_t step, uint64_t *sum) {
  size_t n_experts = history->n_experts;
  const uint32_t *load = mb_history_step(history, step) + layer * n_experts;

  for (size_t e = 0; e < n_experts; e++) {
    sum[e] += load[e];
  }
}

static void subtract_step(const mb_history *history, size_t layer, size_t step, uint64_t *sum) {
  size_t n_experts = history->n_experts;
  const uint32_t *load = mb_history_step(history, step) + layer * n_experts;

  for (size_t e = 0; e < n_experts; e++) {
    sum[e] -= load[e];
  }
}

/* Takes steps [old_first, first) out of the sums and adds [old_end, end). A thread has the same
 * layers in every step, and takes the steps as they lie in memory. */
static void update_sums(const mb_history *history, size_t old_first, size_t first, size_t old_end,
                        size_t end, uint64_t *sum) {
  size_t n_layers = history->n_layers;

#pragma omp parallel
  {
    for (size_t t = old_first; t < first; t++) {
#pragma omp for schedule(static) nowait
      for (size_t l = 0; l < n_layers; l++) {
        subtract_step(history, l, t, sum + l * history->n_experts);
      }
    }
    for (size_t t = old_end; t < end; t++) {
#pragma omp for schedule(static) nowait
      for (size_t l = 0; l < n_layers; l++) {
        add_step(history, l, t, sum + l * history->n_experts);
      }
    }
  }
}

void mb_window_set(mb_window *window, const mb_history *history, size_t first, size_t end) {
  memset(window->sum, 0, history->n_layers * history->n_experts * sizeof *window->sum);
  update_sums(history, first, first, first, end, window->sum);
  window->first = first;
  window->end = end;
}

void mb_window_move(mb_window *window, const mb_history *history, size_t first, size_t end) {
  assert(first >= window->first && end >= window->end);
  if (first >= window->end) {
    mb_window_set(window, history, first, end);
    return;
  }
  update_sums(history, window->first, first, window->end, end, window->sum);
  window->first = first;
  window->end = end;
}

void mb_window_load(const mb_window *window, const mb_history *history, double *load) {
  for (size_t i = 0; i < history->n_layers * history->n_experts; i++) {
    load[i] = (double)window->sum[i];
  }
}
