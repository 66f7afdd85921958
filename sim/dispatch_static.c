/* sim/dispatch_static.c - every source rank has one replica of each expert, as SGLang's static
 * dispatch: the first on its own GPU, if there is one; the other ranks draw.
 *
 * The draw is fair: of k ranks and n replicas, each replica is drawn k / n times, rounded down, and
 * the k mod n ranks that are left draw different ones. It depends on seed, layer and expert only,
 * and is made anew for a new placement. */
#include <stdlib.h>
#include <string.h>

#include "sim/dispatch_tokens.h"

typedef struct static_model {
  mb_token_model tokens;
  int32_t *replica; /* [L,E,S] which replica's slot a rank sends to; of experts with several */
  int32_t *drawn;   /* [L,max(S,P)] scratch */
  size_t n_drawn;
} static_model;

static void static_destroy(void *state) {
  static_model *model = state;

  mb_token_model_fini(&model->tokens);
  free(model->replica);
  free(model->drawn);
  free(model);
}

static mb_status static_create(const mb_shape *shape, const mb_dispatch_options *options,
                               const mb_dispatch_origin *origin, void **state) {
  static_model *model = calloc(1, sizeof *model);

  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  mb_status status = mb_token_model_init(&model->tokens, shape, options, origin);
  if (status == MB_OK) {
    size_t n_sources = model->tokens.n_sources;
    size_t rows = shape->n_layers * shape->n_experts; /* at most 2^40 */
    model->n_drawn = (n_sources > shape->n_slots ? n_sources : shape->n_slots) + shape->n_slots;
    model->replica = calloc(rows, n_sources * sizeof *model->replica);
    model->drawn = calloc(shape->n_layers, model->n_drawn * sizeof *model->drawn);
    if (model->replica == NULL || model->drawn == NULL) {
      status =
          MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch %zu layers of %zu experts from %zu sources",
                  shape->n_layers, shape->n_experts, n_sources);
    }
  }
  if (status != MB_OK) {
    static_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

static void shuffle(mb_draw *draw, size_t n, int32_t *values) {
  for (size_t i = n; i > 1; i--) {
    size_t j = mb_draw_below(draw, i);
    int32_t value = values[i - 1];
    values[i - 1] = values[j];
    values[j] = value;
  }
}

/* Fills drawn [k] with replicas 0..n-1 as fairly as can be, in random order. */
static void draw_fairly(mb_draw *draw, size_t n, size_t k, int32_t *drawn) {
  for (size_t i = 0; i < k - k % n + n; i++) {
    drawn[i] = (int32_t)(i % n);
  }
  shuffle(draw, n, drawn + (k - k % n)); /* the first k % n of these are different ones */
  shuffle(draw, k, drawn);
}

/* The first replica on that GPU, or -1. */
static int32_t replica_on(const mb_replicas *replicas, size_t n, const int32_t *slot, size_t gpu) {
  for (size_t r = 0; r < n; r++) {
    if ((size_t)slot[r] / replicas->slots_per_gpu == gpu) {
      return (int32_t)r;
    }
  }
  return -1;
}

static void place_expert(static_model *model, size_t layer, size_t e) {
  const mb_token_model *tokens = &model->tokens;
  size_t n_sources = tokens->n_sources;
  int32_t *drawn = model->drawn + layer * model->n_drawn;
  int32_t *replica = model->replica + (layer * tokens->shape.n_experts + e) * n_sources;
  uint64_t key[] = {(uint64_t)tokens->options->dispatch_seed, layer, e};
  size_t n;
  const int32_t *slot = mb_replicas_of(&tokens->replicas, layer, e, &n);
  size_t n_far = 0;

  if (n == 1) {
    return;
  }
  for (size_t s = 0; s < n_sources; s++) {
    size_t gpu = s * tokens->shape.n_gpus / n_sources;
    replica[s] = replica_on(&tokens->replicas, n, slot, gpu);
    n_far += replica[s] < 0;
  }
  mb_draw draw = mb_draw_start(sizeof key / sizeof key[0], key);
  draw_fairly(&draw, n, n_far, drawn);
  for (size_t s = 0, i = 0; s < n_sources; s++) {
    replica[s] = replica[s] < 0 ? drawn[i++] : replica[s];
  }
}

static void static_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  static_model *model = state;

  mb_replicas_place(&model->tokens.replicas, layer, placement->physical_to_logical_map);
  for (size_t e = 0; e < model->tokens.shape.n_experts; e++) {
    place_expert(model, layer, e);
  }
}

/* Where loads do not say where they come from: a draw from the tokens of the ranks of each
   replica. */
static void split_dealt(const static_model *model, size_t layer, size_t step, size_t e,
                        uint64_t n_tokens, uint64_t load, double *slot_load) {
  const mb_token_model *tokens = &model->tokens;
  const int32_t *replica =
      model->replica + (layer * tokens->shape.n_experts + e) * tokens->n_sources;
  uint64_t *size = tokens->size + layer * tokens->shape.n_slots;
  uint64_t *count = tokens->count + layer * tokens->shape.n_slots;
  size_t n;
  const int32_t *slot = mb_replicas_of(&tokens->replicas, layer, e, &n);

  memset(size, 0, n * sizeof *size);
  for (size_t s = 0; s < tokens->n_sources; s++) {
    size[replica[s]] += mb_tokens_dealt(n_tokens, tokens->n_sources, s);
  }
  mb_draw draw = mb_token_draw(tokens, layer, step, e);
  mb_draw_cells(&draw, n, size, load, count);
  for (size_t r = 0; r < n; r++) {
    slot_load[slot[r]] = (double)count[r];
  }
}

static void split_known(const static_model *model, size_t layer, size_t e,
                        const uint32_t *by_source, double *slot_load) {
  const mb_token_model *tokens = &model->tokens;
  const int32_t *replica =
      model->replica + (layer * tokens->shape.n_experts + e) * tokens->n_sources;
  size_t n;
  const int32_t *slot = mb_replicas_of(&tokens->replicas, layer, e, &n);

  for (size_t s = 0; s < tokens->n_sources; s++) {
    slot_load[slot[replica[s]]] += (double)by_source[s * tokens->shape.n_experts + e];
  }
}

static void static_split(void *state, const mb_shape *shape, size_t layer,
                         const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                         double *slot_load) {
  const static_model *model = state;
  const mb_token_model *tokens = &model->tokens;
  uint64_t n_tokens = mb_tokens_of(shape->n_experts, load->load, tokens->top_k);

  mb_replicas_fill_single(&tokens->replicas, layer, load->load, slot_load);
  for (size_t e = 0; e < shape->n_experts; e++) {
    if (placement->expert_count[e] == 1 || load->load[e] == 0) {
      continue;
    }
    if (load->by_source != NULL) {
      split_known(model, layer, e, load->by_source, slot_load);
    } else {
      split_dealt(model, layer, load->step, e, n_tokens, load->load[e], slot_load);
    }
  }
}

const mb_dispatch_type mb_dispatch_static = {
    .name = "static",
    .summary = "a source rank's own replica: on its GPU, else drawn once (SGLang, static)",
    .whole = true,
    .uses_sources = true,
    .create = static_create,
    .place = static_place,
    .split = static_split,
    .destroy = static_destroy,
};
