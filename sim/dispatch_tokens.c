/* sim/dispatch_tokens.c */
#include "sim/dispatch_tokens.h"

#include <stdlib.h>

mb_status mb_token_model_init(mb_token_model *model, const mb_shape *shape,
                              const mb_dispatch_options *options,
                              const mb_dispatch_origin *origin) {
  size_t n_sources =
      options->dispatch_sources > 0 ? (size_t)options->dispatch_sources : shape->n_gpus;

  *model = (mb_token_model){.shape = *shape,
                            .options = options,
                            .top_k = origin->top_k > 0 ? origin->top_k : 1,
                            .n_sources = origin->n_sources > 0 ? origin->n_sources : n_sources};
  MB_TRY(mb_replicas_init(&model->replicas, shape, false));
  model->size = calloc(shape->n_layers * shape->n_slots, sizeof *model->size);
  model->count = calloc(shape->n_layers * shape->n_slots, sizeof *model->count);
  return model->size != NULL && model->count != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
}

void mb_token_model_fini(mb_token_model *model) {
  mb_replicas_fini(&model->replicas);
  free(model->size);
  free(model->count);
}

mb_status mb_token_model_create(const mb_shape *shape, const mb_dispatch_options *options,
                                const mb_dispatch_origin *origin, void **state) {
  mb_token_model *model = calloc(1, sizeof *model);

  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  mb_status status = mb_token_model_init(model, shape, options, origin);
  if (status != MB_OK) {
    mb_token_model_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

void mb_token_model_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  mb_token_model *model = state;

  mb_replicas_place(&model->replicas, layer, placement->physical_to_logical_map);
}

void mb_token_model_destroy(void *state) {
  mb_token_model_fini(state);
  free(state);
}

uint64_t mb_tokens_of(size_t n_experts, const uint32_t *load, size_t top_k) {
  uint64_t sum = 0;
  uint64_t most = 0;

  for (size_t e = 0; e < n_experts; e++) {
    sum += load[e];
    most = load[e] > most ? load[e] : most;
  }
  uint64_t tokens = (sum + top_k - 1) / top_k;
  return tokens > most ? tokens : most;
}

mb_draw mb_token_draw(const mb_token_model *model, size_t layer, size_t step, size_t expert) {
  uint64_t key[] = {(uint64_t)model->options->dispatch_seed, layer, step, expert};

  return mb_draw_start(sizeof key / sizeof key[0], key);
}
