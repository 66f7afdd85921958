/* experiments/launch.c */
#include "experiments/launch.h"

#include <stdint.h>
#include <stdlib.h>

/* A launcher's variables, the surest first: under Slurm, mpirun's processes have srun's as well. In
 * a batch script, which srun did not start, SLURM_STEP_NUM_TASKS is not set. */
typedef struct signs {
  const char *launcher;
  const char *rank;
  const char *n_ranks;
} signs;

static const signs known[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"srun", "PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"},
    {"a launcher of MPI", "PMI_RANK", "PMI_SIZE"},
};

/* A whole number of the environment; `missing` where there is none. */
static size_t number(const char *name, size_t missing) {
  const char *text = getenv(name);
  char *end = NULL;

  if (text == NULL || text[0] < '0' || text[0] > '9') {
    return missing;
  }
  size_t value = strtoull(text, &end, 10);
  return *end == '\0' ? value : missing;
}

mb_launch mb_launch_find(void) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    size_t rank = number(known[i].rank, SIZE_MAX);
    size_t n_ranks = number(known[i].n_ranks, 0);
    if (rank != SIZE_MAX && n_ranks > 0) {
      return (mb_launch){.launcher = known[i].launcher, .rank = rank, .n_ranks = n_ranks};
    }
  }
  size_t rank = number("PMIX_RANK", SIZE_MAX);
  if (rank != SIZE_MAX) {
    return (mb_launch){.launcher = "a launcher of MPI", .rank = rank};
  }
  return (mb_launch){.launcher = NULL};
}
