/* workloads/stationary.h - internal: generators whose shares never change.
 *
 *   load[t,l,:] = counts of `tokens` tokens that pick top_k experts each with share[l,:],
 *
 * independent over the steps and layers, with the moments of workloads/top_k.h: mean n pi, variance
 * n pi (1 - pi), n the tokens and pi = top_k x share, where the shares are cut at 1 / top_k.
 */
#ifndef MB_WORKLOADS_STATIONARY_H
#define MB_WORKLOADS_STATIONARY_H

#include "workloads/generator.h"
#include "workloads/top_k.h"
#include "workloads/workload.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a stationary generator's parameters begin with; the rows are in stationary_params.def. */
typedef struct mb_stationary_params {
  mb_workload_params workload;
  char sampling[MB_PARAM_TEXT_SIZE];
} mb_stationary_params;

/** A layer's way to draw loads. */
typedef struct mb_stationary_layer {
  mb_top_k picks;
  gsl_rng *rng;
} mb_stationary_layer;

/** A stationary generator's state. */
typedef struct mb_stationary {
  mb_workload workload;
  double *share; /* [L,E] */
  bool exact;    /* how to draw */
  mb_stationary_layer *layers;
} mb_stationary;

/** Draws the shares of a layer, summing to 1. @param params the generator's. */
typedef void mb_share_draw(const void *params, gsl_rng *rng, size_t n_experts, double *share);

/** What mb_generator_type.init() has to do; next and fini follow. */
MB_NODISCARD mb_status mb_stationary_init(mb_stationary *self, const mb_generator_type *type,
                                          const mb_stationary_params *params, mb_share_draw *draw,
                                          uint64_t seed, mb_trace_info *info);
MB_NODISCARD mb_status mb_stationary_next(void *state, size_t n, uint32_t *load);
void mb_stationary_fini(void *state);

#ifdef __cplusplus
}
#endif

#endif
