/* workloads/workload.c */
#include "workloads/workload.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "workloads/trace_info.h"

const char *const mb_workload_phases[] = {"prefill", "decode", "mixed", "train", NULL};

static size_t given_or(int64_t given, size_t of_model) {
  return given != 0 ? (size_t)given : of_model;
}

static mb_status check_shape(const mb_workload *workload) {
  if (workload->n_layers > MB_TRACE_STEP_SIZE_MAX / workload->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "layers: %zu of %zu experts, but their product is at most %zu",
                   workload->n_layers, workload->n_experts, MB_TRACE_STEP_SIZE_MAX);
  }
  if (workload->top_k > workload->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "top_k: %" PRIu32 " different experts, but experts is %zu",
                   workload->top_k, workload->n_experts);
  }
  if (workload->n_experts % workload->n_groups != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "groups: %" PRIu32 " does not divide experts, %zu",
                   workload->n_groups, workload->n_experts);
  }
  /* gsl_ran_binomial() counts in int. */
  if (workload->n_tokens > INT_MAX / workload->top_k) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "tokens: %" PRIu32 " with top_k %" PRIu32 " make more than %d loads a layer",
                   workload->n_tokens, workload->top_k, INT_MAX);
  }
  return MB_OK;
}

mb_status mb_workload_init(const mb_workload_params *params, mb_workload *workload) {
  const mb_model *model = mb_model_find(params->model);

  if (model == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "model: there is no model '%s'", params->model);
  }
  if (!mb_phase_find(params->phase, &workload->phase)) {
    return MB_FAIL(MB_ERR_PARAM, "phase: there is no phase '%s'", params->phase);
  }
  workload->model = model;
  workload->n_steps = (size_t)params->n_steps;
  workload->n_layers = given_or(params->n_layers, model->n_layers);
  workload->n_experts = given_or(params->n_experts, model->n_experts);
  workload->top_k = (uint32_t)given_or(params->top_k, model->top_k);
  workload->n_groups = (uint32_t)given_or(params->n_groups, model->n_groups);
  workload->n_tokens = (uint32_t)params->n_tokens;
  MB_TRY(check_shape(workload));

  workload->layer_ids = calloc(workload->n_layers, sizeof *workload->layer_ids);
  if (workload->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the ids of %zu layers", workload->n_layers);
  }
  for (size_t layer = 0; layer < workload->n_layers; layer++) {
    workload->layer_ids[layer] = (int32_t)(model->first_layer + layer * model->layer_step);
  }
  return MB_OK;
}

void mb_workload_fini(mb_workload *workload) {
  free(workload->layer_ids);
  workload->layer_ids = NULL;
}

void mb_workload_describe(mb_workload *workload, const mb_generator_type *type, const void *params,
                          uint64_t seed, mb_trace_info *info) {
  const mb_model *model = workload->model;
  bool as_model = workload->n_layers == model->n_layers &&
                  workload->n_experts == model->n_experts && workload->top_k == model->top_k;

  (void)snprintf(workload->model_text, sizeof workload->model_text, as_model ? "%s" : "%s, resized",
                 model->name);
  (void)mb_generator_describe(type, params, seed, workload->source, sizeof workload->source);
  *info = (mb_trace_info){
      .n_steps = workload->n_steps,
      .n_layers = workload->n_layers,
      .n_experts = workload->n_experts,
      .top_k = (int32_t)workload->top_k,
      .n_groups = (int32_t)workload->n_groups,
      .layer_ids = workload->layer_ids,
      .model = workload->model_text,
      .source = workload->source,
      .created_by = "moebal",
      .phase = workload->phase,
      .padding = "excluded",
      .counts = "logical",
      .source_semantics = "",
      .steps_per_record = 1,
  };
}
