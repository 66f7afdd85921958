/* experiments/sweep_table.h - what people see of a sweep's results: a row a cell. */
#ifndef MB_EXPERIMENTS_SWEEP_TABLE_H
#define MB_EXPERIMENTS_SWEEP_TABLE_H

#include <stdio.h>

#include "balancer/status.h"
#include "experiments/sweep.h"

/**
 * Prints the values of the swept keys and the run_imbalance of each strategy, or why a cell failed;
 * of many cells the first.
 * @param path the sweep's results, as this program has written them.
 * @return MB_OK; MB_ERR_FORMAT, MB_ERR_IO where the file is not what it was; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_sweep_table_print(FILE *stream, const mb_sweep *sweep, const char *path);

#endif
