/* experiments/workers.h - processes of this machine that do a sweep's cells side by side. */
#ifndef MB_EXPERIMENTS_WORKERS_H
#define MB_EXPERIMENTS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/crew.h"
#include "experiments/parts.h"
#include "experiments/sweep.h"

/**
 * Does all cells that are not done, each in one of `jobs` processes, handed out in their order; or
 * those that a crew hands to this one of it.
 *
 * A worker that dies costs the cell it was at, which is recorded as failed, and another takes its
 * place. To be called while nothing of OpenMP has run in this process: threads do not survive
 * fork().
 *
 * @param crew NULL: all cells are for these workers.
 * @param jobs 0: as many as leave no processor idle if each uses OMP_NUM_THREADS of them, or one.
 * @return MB_OK: nothing is left to do, or what is left another process has claimed;
 *         MB_ERR_CANCELLED; MB_ERR_IO where nothing can be written, or no process started.
 */
MB_NODISCARD mb_status mb_workers_run(const mb_sweep *sweep, const mb_parts *parts,
                                      const mb_crew *crew, size_t jobs, bool quiet);

#endif
