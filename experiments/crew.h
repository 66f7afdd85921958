/* experiments/crew.h - the processes that do a sweep's cells side by side. */
#ifndef MB_EXPERIMENTS_CREW_H
#define MB_EXPERIMENTS_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"

/**
 * A crew of processes that each call mb_sweep_run() with the same sweep and options, as the ranks
 * of an MPI job do. One of them leads: it opens the folder of parts before anybody works, does
 * cells like the others, then those that others have left undone, and merges. Whether a cell
 * without a part is still being worked on is told by a lock that the worker holds on it, and that
 * goes with the worker; so nobody has to be told who is alive.
 */
typedef struct mb_crew {
  void *context;
  bool leads; /* exactly one of the crew */
  /* Required. Called once by everybody: the leader once the folder is open, with MB_OK or why it is
     not; the others before they touch it, with MB_OK. Returns when the leader has called it: MB_OK
     to all if it had MB_OK; else to the leader the status it gave, its message kept, and to the
     others MB_ERR_CANCELLED. */
  mb_status (*begin)(void *context, mb_status status);
  /* Required. The next cell: 0, 1, ... each handed out once in the whole crew, forever. */
  mb_status (*next)(void *context, size_t *cell);
} mb_crew;

#endif
