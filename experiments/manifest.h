/* experiments/manifest.h - what a folder of parts is of: code, inputs and config, as text. */
#ifndef MB_EXPERIMENTS_MANIFEST_H
#define MB_EXPERIMENTS_MANIFEST_H

#include <stdbool.h>

#include "balancer/status.h"
#include "experiments/sweep.h"

/**
 * A line with the code's version, a line with name, size and time for each file that a cell reads,
 * and the config. @param text Transferred: free() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_manifest_format(const mb_sweep *sweep, char **text);

/** Whether no file that a cell reads, and that is there, has changed, or come, after `path` was
 * made.
 */
bool mb_manifest_is_older(const mb_sweep *sweep, const char *path);

/** @return MB_OK: they are the same; MB_ERR_IO with the first lines that differ. */
MB_NODISCARD mb_status mb_manifest_compare(const char *theirs, const char *ours);

#endif
