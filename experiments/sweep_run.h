/* experiments/sweep_run.h - runs all cells of a sweep, on many processes, into one results file. */
#ifndef MB_EXPERIMENTS_SWEEP_RUN_H
#define MB_EXPERIMENTS_SWEEP_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/crew.h"
#include "experiments/sweep.h"

typedef struct mb_sweep_options {
  const char *output;  /* NULL: the config's */
  size_t jobs;         /* cells at a time; 0: as many as there are processors for */
  bool resume;         /* go on with the part files that an earlier run left */
  bool quiet;          /* no progress, no notes */
  const mb_crew *crew; /* this process is one of that crew; NULL: it starts workers, `jobs` */
} mb_sweep_options;

/** What became of a sweep. */
typedef struct mb_sweep_outcome {
  size_t n_failed;       /* cells that failed: recorded in the results */
  char failed[512];      /* their names, as many as there is room for */
  bool complete_already; /* nothing was left to do: the output is of this very sweep */
} mb_sweep_outcome;

/**
 * Runs what is not finished yet and merges all into the output, in the order of the cells.
 *
 * A finished cell is a results file of its own, OUTPUT.parts/<run>.h5, written under another name
 * and renamed. When all are there they are merged, the output gets its name, and the folder goes. A
 * cell that fails is recorded in /cells with its error, and the others go on. Where a cell's
 * process died, the folder stays after the output is written, so that resuming tries that cell once
 * more. A config without a sweep is written at once, without parts.
 *
 * @param outcome Written only on MB_OK, and of a crew only to its leader; zeroes to the others.
 * @return MB_OK: the output is complete, but for cells that failed; MB_ERR_CANCELLED: stopped on
 *         request, finished cells are kept; MB_ERR_IO: the parts are there and resume is not set,
 * or are another config's, or somebody else is at work on them, or something could not be written;
 * what the first cell returned where all have failed: then there is no output.
 */
MB_NODISCARD mb_status mb_sweep_run(const mb_sweep *sweep, const mb_sweep_options *options,
                                    mb_sweep_outcome *outcome);

#endif
