/* experiments/apart.h - writing in a process of its own, since libhdf5 may crash in it. */
#ifndef MB_EXPERIMENTS_APART_H
#define MB_EXPERIMENTS_APART_H

#include "balancer/status.h"

/**
 * Does work in a process of its own, and waits for it. Nothing that it changes in memory is seen
 * here, only files are. It may use no OpenMP: threads do not survive fork().
 *
 * @param name of the work, for a message.
 * @return what the work returns, with its message; MB_ERR_IO where its process crashed, saying so,
 *         or could not be started; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_apart_run(const char *name, mb_status (*work)(const void *context),
                                    const void *context);

#endif
