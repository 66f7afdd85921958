/* experiments/progress.h - one line on a terminal that says how far long work is. */
#ifndef MB_EXPERIMENTS_PROGRESS_H
#define MB_EXPERIMENTS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

/** A progress line. Only the functions below touch its fields. */
typedef struct mb_progress {
  const char *what; /* "steps replayed"; borrowed */
  size_t total;
  double started, shown; /* seconds of a steady clock; shown: 0 before the first time */
  bool visible;
} mb_progress;

/** Starts the clock. @param total 0: nobody knows. The line stands on standard error, and only if
 * that is a terminal and not `quiet`. */
void mb_progress_start(mb_progress *progress, const char *what, size_t total, bool quiet);

/** Says that `done` of the total is done; redraws at most five times a second. */
void mb_progress_update(mb_progress *progress, size_t done);

/** Likewise, with a text that stands behind the rest, such as "; 3 of 9 layers". */
void mb_progress_update_detail(mb_progress *progress, size_t done, const char *detail);

/** Wipes the line away; what is printed next starts a line of its own. */
void mb_progress_end(mb_progress *progress);

/**
 * The line's text: how much is done, and what is left at the pace so far.
 * @param buffer [size] caller-owned. @return `buffer`.
 */
char *mb_progress_format(const char *what, size_t done, size_t total, double seconds, char *buffer,
                         size_t size);

#endif
