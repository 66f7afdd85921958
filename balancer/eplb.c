/* balancer/eplb.c - the planner of DeepSeek EPLB: every layer anew, from the window's sum.
 *
 *   placement = mb_rebalance(sum of the window's loads)
 *
 * Source: DeepSeek EPLB, https://github.com/deepseek-ai/EPLB. Complexity: that of mb_rebalance().
 */
#include "balancer/eplb.h"

#include "balancer/options.h"
#include "balancer/planner.h"

#define MB_REFINEMENT(name) #name,
#define MB_PLANNER(name)
static const char *const refinement_names[] = {
#include "balancer/strategies.def"
    NULL};
#undef MB_REFINEMENT
#undef MB_PLANNER

static const mb_param eplb_params[] = {
    MB_OPTION_MAX_ROUNDS,
    MB_OPTION_MIN_GAIN("tokens (maxmin), tokens^2 (l2)"),
    MB_OPTION_REFERENCE_QUIRKS,
    {.key = "refinement",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "lpt",
     .choices = refinement_names,
     .help = "how packings are improved by swaps",
     .offset = offsetof(mb_eplb_params, refinement)},
    {0},
};

typedef struct eplb_state {
  const mb_backend *backend;
  void *rebalancer;
} eplb_state;

static mb_status eplb_init(void *state, const mb_shape *shape, const void *params,
                           const mb_backend *backend) {
  const mb_eplb_params *eplb = params;
  eplb_state *s = state;

  if (mb_refinement_find(eplb->refinement) == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "there is no refinement '%.64s'", eplb->refinement);
  }
  MB_TRY(mb_balance_options_check(&eplb->options));
  s->backend = backend;
  return backend->create(shape, &s->rebalancer);
}

static void eplb_fini(void *state) {
  eplb_state *s = state;

  s->backend->destroy(s->rebalancer);
}

static mb_status eplb_plan(void *state, const void *params, const mb_plan_input *input,
                           mb_plan_output *output) {
  const mb_eplb_params *eplb = params;
  eplb_state *s = state;
  mb_placement placement = {.physical_to_logical_map = output->physical_to_logical_map};

  MB_TRY(s->backend->rebalance(s->rebalancer, input->load, mb_refinement_find(eplb->refinement),
                               &eplb->options, &placement, NULL));
  for (size_t l = 0; l < input->shape.n_layers; l++) {
    output->replaced[l] = true;
  }
  return MB_OK;
}

const mb_planner_type mb_planner_eplb = {
    .name = "eplb",
    .summary = "every layer anew from the window's sum; lpt, maxmin and l2 are short for it",
    .params = eplb_params,
    .params_size = sizeof(mb_eplb_params),
    .keeps_groups = true,
    .state_size = sizeof(eplb_state),
    .init = eplb_init,
    .plan = eplb_plan,
    .fini = eplb_fini,
};
