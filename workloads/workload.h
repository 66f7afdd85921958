/* workloads/workload.h - internal: what the generators have in common: the parameters of a trace's
 * shape, and what the trace says of itself. */
#ifndef MB_WORKLOADS_WORKLOAD_H
#define MB_WORKLOADS_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "workloads/generator.h"
#include "workloads/model.h"
#include "workloads/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_workload_params {
  char model[MB_PARAM_TEXT_SIZE];
  char phase[MB_PARAM_TEXT_SIZE];
  int64_t n_steps;
  int64_t n_tokens;                             /* a step */
  int64_t n_layers, n_experts, top_k, n_groups; /* 0: the model's */
} mb_workload_params;

/** The same, as the model fills it in. */
typedef struct mb_workload {
  const mb_model *model;
  mb_phase phase;
  size_t n_steps, n_layers, n_experts;
  uint32_t top_k, n_groups, n_tokens;
  int32_t *layer_ids; /* [L] */
  char model_text[128];
  char source[4096];
} mb_workload;

/**
 * @param workload a struct of zeros; mb_workload_fini() it, also on failure.
 * @return MB_OK; MB_ERR_PARAM, MB_ERR_SHAPE naming the parameters that do not fit; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_workload_init(const mb_workload_params *params, mb_workload *workload);
void mb_workload_fini(mb_workload *workload); /* a struct of zeros is fine */

/** Fills `info` as mb_generator_type.init() has to, with texts borrowed from `workload`. */
void mb_workload_describe(mb_workload *workload, const mb_generator_type *type, const void *params,
                          uint64_t seed, mb_trace_info *info);

/** "prefill" and so on, NULL-terminated. Static. */
extern const char *const mb_workload_phases[];

/* The rows of these for a generator's table of parameters are in workload_params.def, and without
   `tokens` in workload_shape.def. */

#ifdef __cplusplus
}
#endif

#endif
