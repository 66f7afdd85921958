/* experiments/ranks_none.c - what stands for MPI in a build without it: a clear refusal. */
#include <stdio.h>
#include <unistd.h>

#include "experiments/command.h"
#include "experiments/ranks.h"

int mb_ranks_run(const mb_launch *launch, int (*work)(void *context, const mb_crew *crew),
                 void *context) {
  (void)work;
  (void)context;
  if (launch->rank != 0) {
    /* The launcher ends all once one has ended: rank 0 is to be heard first. */
    (void)sleep(2);
    return MB_EXIT_FAILURE;
  }
  (void)fprintf(stderr,
                "moebal: %s started it as several ranks, but this moebal was built without MPI: "
                "build it with -DMB_MPI=ON and Open MPI, or run it once, with --jobs\n",
                launch->launcher);
  return MB_EXIT_FAILURE;
}
