/* workloads/stationary.c - every layer has streams of its own, so the loads depend neither on the
 * threads nor on how many steps a call asks for. */
#include "workloads/stationary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/stream.h"

/* Doubles in the tables of all layers that picking token by token needs. */
#define EXACT_SIZE_MAX ((size_t)1 << 25)

/* Token by token, where the parameter wants it and the tables fit. */
static mb_status choose_sampling(mb_stationary *self, const char *sampling) {
  const mb_workload *workload = &self->workload;
  bool fits = workload->top_k <= EXACT_SIZE_MAX / (workload->n_experts + 1) / workload->n_layers;

  self->exact = mb_top_k_is_exact(sampling, workload->n_tokens);
  if (self->exact && !fits) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "sampling: %s with %" PRIu32 " tokens picks them singly, but %zu layers of %zu "
                   "experts with top_k %" PRIu32 " are too many for that; fast isn't",
                   sampling, workload->n_tokens, workload->n_layers, workload->n_experts,
                   workload->top_k);
  }
  return MB_OK;
}

static mb_status allocate(mb_stationary *self) {
  const mb_workload *workload = &self->workload;

  self->share = calloc(workload->n_layers * workload->n_experts, sizeof *self->share);
  self->layers = calloc(workload->n_layers, sizeof *self->layers);
  if (self->share == NULL || self->layers == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts", workload->n_layers,
                   workload->n_experts);
  }
  for (size_t layer = 0; layer < workload->n_layers; layer++) {
    MB_TRY(mb_top_k_init(&self->layers[layer].picks, workload->n_experts, workload->top_k,
                         self->exact));
  }
  return MB_OK;
}

static mb_status init_streams(mb_stationary *self, const char *name, uint64_t seed,
                              const void *params, mb_share_draw *draw) {
  char stream[64];

  for (size_t layer = 0; layer < self->workload.n_layers; layer++) {
    (void)snprintf(stream, sizeof stream, "%s/popularity", name);
    gsl_rng *rng = mb_stream_create(seed, stream, layer);
    (void)snprintf(stream, sizeof stream, "%s/count", name);
    self->layers[layer].rng = mb_stream_create(seed, stream, layer);
    if (rng != NULL) {
      draw(params, rng, self->workload.n_experts, self->share + layer * self->workload.n_experts);
      gsl_rng_free(rng);
    }
    if (rng == NULL || self->layers[layer].rng == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "no memory for the random streams of layer %zu", layer);
    }
  }
  return MB_OK;
}

static void set_picks(mb_stationary *self) {
#pragma omp parallel for schedule(static)
  for (size_t layer = 0; layer < self->workload.n_layers; layer++) {
    const double *share = self->share + layer * self->workload.n_experts;
    if (self->exact) {
      mb_top_k_set_exact(&self->layers[layer].picks, share);
    } else {
      mb_top_k_set_fast(&self->layers[layer].picks, share);
    }
  }
}

mb_status mb_stationary_init(mb_stationary *self, const mb_generator_type *type,
                             const mb_stationary_params *params, mb_share_draw *draw, uint64_t seed,
                             mb_trace_info *info) {
  mb_status status = mb_workload_init(&params->workload, &self->workload);
  status = status == MB_OK ? choose_sampling(self, params->sampling) : status;
  status = status == MB_OK ? allocate(self) : status;
  status = status == MB_OK ? init_streams(self, type->name, seed, params, draw) : status;
  if (status != MB_OK) {
    mb_stationary_fini(self);
    return status;
  }
  set_picks(self);
  mb_workload_describe(&self->workload, type, params, seed, info);
  return MB_OK;
}

mb_status mb_stationary_next(void *state, size_t n, uint32_t *load) {
  mb_stationary *self = state;
  const mb_workload *workload = &self->workload;

#pragma omp parallel for schedule(static)
  for (size_t layer = 0; layer < workload->n_layers; layer++) {
    for (size_t t = 0; t < n; t++) {
      uint32_t *count = load + (t * workload->n_layers + layer) * workload->n_experts;
      memset(count, 0, workload->n_experts * sizeof *count);
      if (self->exact) {
        mb_top_k_draw_exact(&self->layers[layer].picks, self->layers[layer].rng, workload->n_tokens,
                            count);
      } else {
        mb_top_k_draw_fast(&self->layers[layer].picks, self->layers[layer].rng, workload->n_tokens,
                           count);
      }
    }
  }
  return MB_OK;
}

void mb_stationary_fini(void *state) {
  mb_stationary *self = state;

  for (size_t layer = 0; self->layers != NULL && layer < self->workload.n_layers; layer++) {
    mb_top_k_fini(&self->layers[layer].picks);
    if (self->layers[layer].rng != NULL) {
      gsl_rng_free(self->layers[layer].rng);
    }
  }
  free(self->layers);
  free(self->share);
  mb_workload_fini(&self->workload);
}
