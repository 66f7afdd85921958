/* experiments/results_summary.h - the table /summary of a results file. Only results_write.c uses
 * this. */
#ifndef MB_EXPERIMENTS_RESULTS_SUMMARY_H
#define MB_EXPERIMENTS_RESULTS_SUMMARY_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "sim/replay.h"

/**
 * Writes /summary, a row a strategy: run, strategy, every metric of metrics.def that is a single
 * number, by its name, then worst_layer and worst_layer_imbalance. Its attributes unit, better and
 * help have an entry a column.
 *
 * @param layer_ids [L] the layers' numbers in the model. @param labels, summary [n].
 * @return MB_OK; MB_ERR_IO; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_summary_write(hid_t file, const char *run, size_t n,
                                                const char *const *labels, const int32_t *layer_ids,
                                                const mb_replay_summary *summary);

#endif
