/* balancer/anew.c */
#include "balancer/anew.h"

mb_status mb_anew_init(mb_anew *anew, const mb_shape *shape, const mb_refinement_type *packing,
                       const mb_backend *backend) {
  return mb_workspace_create_for(shape, mb_threads_of(backend), packing, &anew->workspace);
}

mb_status mb_anew_plan(mb_anew *anew, const mb_refinement_type *packing,
                       const mb_balance_options *options, const mb_plan_input *input,
                       mb_plan_output *output) {
  mb_placement placement = {.physical_to_logical_map = output->physical_to_logical_map};

  MB_TRY(mb_workspace_rebalance(anew->workspace, input->load, packing, options, &placement, NULL));
  for (size_t l = 0; l < input->shape.n_layers; l++) {
    output->replaced[l] = true;
  }
  return MB_OK;
}

void mb_anew_fini(void *state) {
  mb_anew *anew = state;

  mb_workspace_destroy(anew->workspace);
}
