/* experiments/shared_loads.h - loads that several cells of a sweep have in common: read or
 * generated once, by whoever needs them first, into a scratch file among the parts. */
#ifndef MB_EXPERIMENTS_SHARED_LOADS_H
#define MB_EXPERIMENTS_SHARED_LOADS_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/parts.h"
#include "experiments/sweep.h"
#include "workloads/source.h"

/**
 * The loads of a cell, if they have been made ready for it and others: without a look at the trace.
 * @param source Transferred; NULL: they have not, or something failed.
 * @return MB_OK; what reading the file, or trace.merge, returned.
 */
MB_NODISCARD mb_status mb_shared_loads_open(const mb_sweep *sweep, const mb_parts *parts,
                                            size_t cell, mb_source **source);

/**
 * Makes a cell's loads ready, if a later one will want them too; or waits while another process
 * does.
 *
 * The file has one to four bytes a load (workloads/packed.h), and goes with the last cell that asks
 * for it. Loads that would take more than a quarter of the disk's free space are not shared, nor
 * where anything goes wrong: then every cell reads for itself, with the same results.
 *
 * @return MB_OK, also where mb_shared_loads_open() will find none; MB_ERR_CANCELLED; MB_ERR_IO
 * where locks fail; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_shared_loads_make(const mb_sweep *sweep, const mb_parts *parts,
                                            size_t cell);

/** Once a cell is done: removes the file, if no later cell has these loads. */
void mb_shared_loads_leave(const mb_sweep *sweep, const mb_parts *parts, size_t cell);

#endif
