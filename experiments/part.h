/* experiments/part.h - makes one part of a sweep: a cell's results, or its error. */
#ifndef MB_EXPERIMENTS_PART_H
#define MB_EXPERIMENTS_PART_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/cell.h"
#include "experiments/parts.h"
#include "experiments/sweep.h"

/**
 * Runs a cell, unless it is finished or has failed already, or another process works on it.
 *
 * @param watch may be NULL.
 * @return MB_OK: nothing is left to do here, also where the cell failed: that is recorded;
 *         MB_ERR_CANCELLED; MB_ERR_IO where nothing can be written: then no other cell will fare
 *         better.
 */
MB_NODISCARD mb_status mb_part_make(const mb_sweep *sweep, const mb_parts *parts, size_t cell,
                                    mb_cell_watch watch, void *watcher);

#endif
