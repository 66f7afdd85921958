/* experiments/results_merge.h - one results file of the parts that a sweep's cells have left. */
#ifndef MB_EXPERIMENTS_RESULTS_MERGE_H
#define MB_EXPERIMENTS_RESULTS_MERGE_H

#include <stddef.h>

#include "balancer/status.h"

/** A cell of a sweep, and what became of it. All borrowed. */
typedef struct mb_merge_cell {
  const char *run;
  char *const *value; /* [n_keys] the swept keys' values, as text */
  const char *part;   /* the results file of that one run; NULL: the cell failed */
  const char *error;  /* why it failed; "" of one with a part */
} mb_merge_cell;

typedef struct mb_merge {
  const char *config; /* the whole, with its sweep; provenance */
  size_t n_keys;
  char *const *key; /* [n_keys] swept keys, with dots */
  size_t n_cells;
  const mb_merge_cell *cell; /* [n_cells] in their order; one at least has a part */
} mb_merge;

/**
 * Writes a results file with the runs of all parts, in the order of the cells: /runs/<run> and
 * /timing/<run> as the parts have them, /summary with the rows of all, and
 *
 *   /cells       compound [n_cells]: run, error, and a text a swept key; also cells that failed
 *   /provenance  the attributes in which all runs agree, and `config`; a group <run> with the
 *                attributes of each
 *
 * @param path replaced once the file is complete; HDF5.
 * @return MB_OK; MB_ERR_IO naming the part that cannot be read, or why nothing can be written;
 *         MB_ERR_CANCELLED once mb_interrupted(); MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_merge(const mb_merge *merge, const char *path);

#endif
