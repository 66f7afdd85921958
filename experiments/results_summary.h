/* experiments/results_summary.h - the table /summary of a results file. Only results_*.c and
 * sweep_table.c use this.
 */
#ifndef MB_EXPERIMENTS_RESULTS_SUMMARY_H
#define MB_EXPERIMENTS_RESULTS_SUMMARY_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "sim/replay.h"

/**
 * Writes /summary, a row a strategy: run, strategy, every metric of metrics.def that is a single
 * number, by its name, then worst_layer and worst_layer_imbalance. Its attributes unit, better and
 * help have an entry a column.
 * @param costs whether there are columns of costs.
 *
 * @param layer_ids [L] the layers' numbers in the model. @param labels, summary [n].
 * @return MB_OK; MB_ERR_IO; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_summary_write(hid_t file, const char *run, size_t n,
                                                const char *const *labels, const int32_t *layer_ids,
                                                const mb_replay_summary *summary, bool costs);

/** A row as it is read. */
typedef struct mb_results_summary {
  char *run, *strategy;
  int64_t worst_layer;       /* the layer's number in the model */
  mb_replay_summary summary; /* but for worst_layer and planner_seconds, which are 0 */
} mb_results_summary;

/** All rows, sorted by run and strategy. Of zeroes it has none. */
typedef struct mb_results_summaries {
  size_t n_rows;
  bool costs; /* whether the rows have them; else all 0 */
  mb_results_summary *row;
} mb_results_summaries;

/**
 * Reads /summary, by the names of its columns: numbers are finite, ratios at least 1, and no run
 * and strategy has two rows. A file without the table has no rows.
 * @param summaries mb_results_summaries_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT naming the column and the row; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_summaries_read(const char *path, hid_t file,
                                                 mb_results_summaries *summaries);
void mb_results_summaries_fini(mb_results_summaries *summaries);

/** The row of that run and strategy, or NULL. Borrowed. */
const mb_results_summary *mb_results_summaries_find(const mb_results_summaries *summaries,
                                                    const char *run, const char *strategy);

#endif
