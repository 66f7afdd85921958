/* experiments/dry_run.h - what a sweep would do: its cells, and what they are likely to cost. */
#ifndef MB_EXPERIMENTS_DRY_RUN_H
#define MB_EXPERIMENTS_DRY_RUN_H

#include "balancer/status.h"
#include "experiments/sweep.h"
#include "experiments/sweep_run.h"

/**
 * Prints the cells with their values, steps and plans, or why they do not fit their trace; the time
 * and the room on disk that they are likely to take; and totals.
 *
 * The costs are measured here and now, with as many threads as a worker would have: for each kind
 * of cell (shape, strategies), some steps of its loads are read or generated, replayed and written
 * to a temporary file. Where that has taken half a minute, other kinds are taken to be like the
 * last one. No program that a config names is started, nor is its time counted. The output, and
 * the parts of an earlier run, are left alone.
 *
 * @return MB_OK; MB_ERR_PARAM, once all is printed: some cells do not fit; MB_ERR_IO;
 * MB_ERR_MEMORY; MB_ERR_CANCELLED.
 */
MB_NODISCARD mb_status mb_dry_run(const mb_sweep *sweep, const mb_sweep_options *options);

#endif
