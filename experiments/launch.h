/* experiments/launch.h - whether a launcher started this process, as one of several. */
#ifndef MB_EXPERIMENTS_LAUNCH_H
#define MB_EXPERIMENTS_LAUNCH_H

#include <stddef.h>

/** What the environment says, before MPI is asked. */
typedef struct mb_launch {
  const char *launcher; /* "mpirun", "srun", ...; NULL: none, a process like any other. Static */
  size_t rank;
  size_t n_ranks; /* 0: the launcher does not say */
} mb_launch;

/** Looks for what mpirun, srun and other launchers leave in the environment. */
mb_launch mb_launch_find(void);

#endif
