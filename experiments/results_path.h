/* experiments/results_path.h - a file that appears whole or not at all. */
#ifndef MB_EXPERIMENTS_RESULTS_PATH_H
#define MB_EXPERIMENTS_RESULTS_PATH_H

#include "balancer/status.h"

/** A file's name, and the temporary one in the same folder under which it is written. */
typedef struct mb_results_path {
  char *name;
  char *temporary; /* NULL: not there, or no longer */
} mb_results_path;

/**
 * Makes an empty file under a temporary name.
 * @param path zeroed before; mb_results_path_close() it, also after a failure.
 * @return MB_OK; MB_ERR_IO naming the folder and why nothing can be written there; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_results_path_open(const char *name, mb_results_path *path);

/** Sees the written file safely onto the disk, then gives it its name. */
MB_NODISCARD mb_status mb_results_path_commit(mb_results_path *path);

/** Removes the temporary file where it still is. */
void mb_results_path_close(mb_results_path *path);

#endif
