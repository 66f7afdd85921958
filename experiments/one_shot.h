/* experiments/one_shot.h - loads added up over steps, from a trace or an .npy file: for one plan.
 */
#ifndef MB_EXPERIMENTS_ONE_SHOT_H
#define MB_EXPERIMENTS_ONE_SHOT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/** Steps [first, end); an end beyond the loads' stands for it only where it is SIZE_MAX. */
typedef struct mb_one_shot_steps {
  size_t first, end;
} mb_one_shot_steps;

typedef struct mb_one_shot {
  size_t n_steps; /* that were added up */
  size_t n_layers, n_experts;
  size_t n_groups;    /* as the trace says; 1 of an .npy file */
  int32_t *layer_ids; /* [L] as the trace says; 0, 1, ... of an .npy file */
  double *load;       /* [L,E] tokens */
  char what[128];     /* "the sum of steps 0 to 99" */
} mb_one_shot;

/**
 * @param loads mb_one_shot_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO, MB_ERR_FORMAT, MB_ERR_RANGE for steps that are not there or a sum
 *         beyond 2^53, with the file; MB_ERR_CANCELLED; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_one_shot_read(const char *path, mb_one_shot_steps steps,
                                        mb_one_shot *loads);
void mb_one_shot_fini(mb_one_shot *loads); /* of zeroes is fine */

#endif
