/* experiments/results_file.h - a results file with all its runs: those of a sweep, or the only one.
 */
#ifndef MB_EXPERIMENTS_RESULTS_FILE_H
#define MB_EXPERIMENTS_RESULTS_FILE_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/results_read.h"

/** One cell, as /cells has it: the columns run, error, and one a swept key. */
typedef struct mb_results_cell {
  const char *run;
  const char *error;        /* "": it ran; else why it did not, and there is no such run */
  const char *const *value; /* [n_keys] as text */
} mb_results_cell;

/** All belongs to the mb_results_file it came from. */
typedef struct mb_results_cells {
  size_t n_keys;          /* 0 where nothing was swept */
  const char *const *key; /* [n_keys] such as "schedule.interval" */
  size_t n_cells;         /* >= 1; a file without /cells has its one run, or a cell a run */
  const mb_results_cell *cell;
} mb_results_cells;

typedef struct mb_results_file mb_results_file;

/**
 * Opens a results file and checks all that can be read of all its runs, in a child process first.
 * Not to be called while other threads run.
 * @param file Transferred: mb_results_file_close() it. Written only on MB_OK.
 * @return as mb_results_open().
 */
MB_NODISCARD mb_status mb_results_file_open(const char *path, mb_results_file **file);
void mb_results_file_close(mb_results_file *file); /* NULL is fine; after all its runs */

const mb_results_cells *mb_results_file_cells(const mb_results_file *file);

/** The value of that key in a cell, or NULL where the key was not swept. */
const char *mb_results_file_value(const mb_results_file *file, size_t cell, const char *key);

/**
 * Opens a cell's run. @param results Transferred: mb_results_destroy() it.
 * @return MB_OK; MB_ERR_PARAM with its error for a cell that failed; MB_ERR_FORMAT; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_file_open_run(const mb_results_file *file, size_t cell,
                                                mb_results **results);

/** An attribute of /provenance, as "config" or "threads", a whole number in digits: free() it; ""
 * where it is missing. */
MB_NODISCARD mb_status mb_results_file_provenance(const mb_results_file *file, const char *name,
                                                  char **text);

/** Likewise what a run of a sweep says of itself. */
MB_NODISCARD mb_status mb_results_file_run_provenance(const mb_results_file *file, const char *run,
                                                      const char *name, char **text);

#endif
