/* sim/history.h - the last steps of a source, and sums over them. */
#ifndef MB_SIM_HISTORY_H
#define MB_SIM_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/source.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A ring of the last `capacity` steps read: step t is at t % capacity. */
typedef struct mb_history {
  size_t n_layers, n_experts;
  size_t capacity;
  size_t n_read;  /* steps read so far; the last `capacity` of them are there */
  uint32_t *load; /* [capacity,L,E] */
  /* Loads by source, of the last few steps only; n_sources 0: not kept. */
  size_t n_sources, n_kept;
  uint32_t *by_source; /* [n_kept,L,R,E] step t is at t % n_kept */
} mb_history;

MB_NODISCARD mb_status mb_history_init(mb_history *history, size_t n_layers, size_t n_experts,
                                       size_t capacity);
void mb_history_fini(mb_history *history);

/** Reads the next n steps, over the oldest ones. @return MB_OK or what the source returned. */
MB_NODISCARD mb_status mb_history_read(mb_history *history, mb_source *source, size_t n);

/** Keeps loads by source too, of the last n_kept steps, 1..capacity, from the next read on, which
 * must be the first. The source that is read has n_sources >= 1. @return MB_OK, MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_history_keep_sources(mb_history *history, size_t n_sources,
                                               size_t n_kept);

/** Those of a layer in one of the last n_kept steps, [R,E]; NULL where they are not kept. */
const uint32_t *mb_history_by_source(const mb_history *history, size_t step, size_t layer);

/** The loads of a step that is there, [L,E]. Borrowed until it is read over. */
const uint32_t *mb_history_step(const mb_history *history, size_t step);

/** The sum of steps [first, end), exact. Starts as zeroes: the sum of no steps. */
typedef struct mb_window {
  size_t first, end;
  uint64_t *sum; /* [L,E] */
} mb_window;

/** Makes the window the sum of steps [first, end), all in the history. O(L E) a step. */
void mb_window_set(mb_window *window, const mb_history *history, size_t first, size_t end);

/**
 * The same for a window that only moves forwards, for O(L E) a step that enters or leaves: both are
 * in the history, except that a window which leaves all its steps behind may have lost them.
 */
void mb_window_move(mb_window *window, const mb_history *history, size_t first, size_t end);

/** The sum as planners take it, [L,E]. */
void mb_window_load(const mb_window *window, const mb_history *history, double *load);

#ifdef __cplusplus
}
#endif

#endif
