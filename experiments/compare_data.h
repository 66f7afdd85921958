/* experiments/compare_data.h - what the runs of a condition have reached, for comparing. */
#ifndef MB_EXPERIMENTS_COMPARE_DATA_H
#define MB_EXPERIMENTS_COMPARE_DATA_H

#include <stddef.h>

#include "balancer/status.h"
#include "experiments/compare_conditions.h"
#include "experiments/results_file.h"
#include "experiments/stat_blocks.h"

/** All arrays belong to it. */
typedef struct mb_compare_data {
  size_t n_strategies, n_relabellings, n_seeds; /* A, R, S */
  char **label;                                 /* [A] the same in all runs */
  double *value;                                /* [A,R,S] run_imbalance */
  double *moved_experts;                        /* [A] means over all runs */
  /* With one seed only, of which the loads are the same in all runs: */
  mb_stat_steps steps; /* its lifetime is what the run says */
  double *load;        /* [T] tokens; NULL with several seeds */
  double *step;        /* [A,R,T] step_imbalance; NULL with several seeds */
} mb_compare_data;

/**
 * @param data Transferred: mb_compare_data_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM where runs have other strategies than the first one; MB_ERR_FORMAT
 *         where they have other steps; MB_ERR_MEMORY; what reading returned.
 */
MB_NODISCARD mb_status mb_compare_data_read(const mb_results_file *file,
                                            const mb_compare_condition *condition,
                                            mb_compare_data *data);
void mb_compare_data_fini(mb_compare_data *data);

#endif
