/* balancer/anew.h - internal: planners that do as eplb does, every layer anew from the window's
 * sum, with a packing of their own. It runs on the CPU, whatever the backend. */
#ifndef MB_BALANCER_ANEW_H
#define MB_BALANCER_ANEW_H

#include "balancer/planner.h"
#include "balancer/rebalance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The state of such a planner. */
typedef struct mb_anew {
  mb_workspace *workspace;
} mb_anew;

/** @param packing a refinement that leaves nothing of the packing that it is given.
 *  @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_anew_init(mb_anew *anew, const mb_shape *shape,
                                    const mb_refinement_type *packing, const mb_backend *backend);

/** mb_workspace_rebalance() of the window's sum; every layer is replaced. */
MB_NODISCARD mb_status mb_anew_plan(mb_anew *anew, const mb_refinement_type *packing,
                                    const mb_balance_options *options, const mb_plan_input *input,
                                    mb_plan_output *output);

void mb_anew_fini(void *state);

/** How many threads a planner that runs on the CPU may use: 0, as many as OpenMP would. */
static inline size_t mb_threads_of(const mb_backend *backend) {
  return backend == &mb_backend_cpu_1 ? 1 : 0;
}

#ifdef __cplusplus
}
#endif

#endif
