/* sim/dispatch_hash.c - a token's replica follows from its index, as in vLLM.
 *
 * knuth: replica = (index x 2654435769 mod 2^32) mod count, with the token's index on its rank: all
 * experts of a token with as many replicas take the same replica. position, vLLM's way of 2025:
 * replica = position mod count, with the item's position among the rank's top_k x tokens. */
#include <stdlib.h>
#include <string.h>

#include "sim/dispatch_tokens.h"

/* A pass that gives a rank more tokens than this is taken for several. */
enum { MAX_INDEX = 65536 };
static const uint32_t multiplier = 2654435769u;

const char *const mb_dispatch_hash_words[] = {"knuth", "position", NULL};

/* How many of n tokens each of so many replicas would get, kept while that stays the same. */
enum { MAX_KEPT = 16 };
typedef struct kept_sizes {
  uint64_t n_tokens[MAX_KEPT];
  uint64_t size[MAX_KEPT][MAX_KEPT];
} kept_sizes;

typedef struct hash_model {
  mb_token_model tokens;
  bool by_position;
  kept_sizes *kept; /* [L] */
} hash_model;

static void hash_destroy(void *state) {
  hash_model *model = state;

  mb_token_model_fini(&model->tokens);
  free(model->kept);
  free(model);
}

static mb_status hash_create(const mb_shape *shape, const mb_dispatch_options *options,
                             const mb_dispatch_origin *origin, void **state) {
  hash_model *model = calloc(1, sizeof *model);

  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  model->by_position = strcmp(options->dispatch_hash, "position") == 0;
  model->kept = calloc(shape->n_layers, sizeof *model->kept);
  mb_status status = mb_token_model_init(&model->tokens, shape, options, origin);
  if (status == MB_OK && model->kept == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch %zu layers", shape->n_layers);
  }
  if (status != MB_OK) {
    hash_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

static void hash_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  hash_model *model = state;

  mb_replicas_place(&model->tokens.replicas, layer, placement->physical_to_logical_map);
}

/* Adds, `times` over, how many of the indices 0..n-1 fall to each of c replicas. */
static void add_indices(const hash_model *model, uint64_t n, uint64_t times, size_t c,
                        uint64_t *size) {
  if (model->by_position) {
    for (size_t r = 0; r < c; r++) {
      size[r] += times * (n / c + (r < n % c));
    }
    return;
  }
  uint64_t whole = n / MAX_INDEX * times;
  for (uint32_t i = 0; i < (whole > 0 ? MAX_INDEX : n); i++) {
    uint32_t hash = i * multiplier; /* wraps, as theirs */
    size[hash % c] += whole + (i < n % MAX_INDEX ? times : 0);
  }
}

/* Of n tokens that are dealt to the ranks, those that fall to each of c replicas. */
static const uint64_t *dealt_sizes(const hash_model *model, size_t layer, uint64_t n, size_t c) {
  kept_sizes *kept = &model->kept[layer];
  uint64_t *size =
      c < MAX_KEPT ? kept->size[c] : model->tokens.size + layer * model->tokens.shape.n_slots;
  uint64_t n_sources = model->tokens.n_sources;

  if (c < MAX_KEPT && kept->n_tokens[c] == n) {
    return size;
  }
  memset(size, 0, c * sizeof *size);
  if (n % n_sources > 0) {
    add_indices(model, n / n_sources + 1, n % n_sources, c, size);
  }
  add_indices(model, n / n_sources, n_sources - n % n_sources, c, size);
  if (c < MAX_KEPT) {
    kept->n_tokens[c] = n;
  }
  return size;
}

static void give(mb_draw *draw, size_t n, const uint64_t *size, uint64_t load, uint64_t *count,
                 const int32_t *slot, double *slot_load) {
  mb_draw_cells(draw, n, size, load, count);
  for (size_t r = 0; r < n; r++) {
    slot_load[slot[r]] += (double)count[r];
  }
}

/* From each rank, of n_tokens, what goes to that expert. */
static void split_source(const hash_model *model, size_t layer, const mb_dispatch_load *load,
                         size_t source, double *slot_load) {
  const mb_token_model *tokens = &model->tokens;
  const uint32_t *own = load->by_source + source * tokens->shape.n_experts;
  uint64_t n_tokens =
      mb_tokens_of(tokens->shape.n_experts, own, model->by_position ? 1 : tokens->top_k);
  uint64_t *size = tokens->size + layer * tokens->shape.n_slots;

  for (size_t e = 0; e < tokens->shape.n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&tokens->replicas, layer, e, &n);
    if (n > 1 && own[e] > 0) {
      memset(size, 0, n * sizeof *size);
      add_indices(model, n_tokens, 1, n, size);
      mb_draw draw =
          mb_token_draw(tokens, layer, load->step, e + (source + 1) * tokens->shape.n_experts);
      give(&draw, n, size, own[e], tokens->count + layer * tokens->shape.n_slots, slot, slot_load);
    }
  }
}

static void split_all(const hash_model *model, size_t layer, const mb_dispatch_load *load,
                      double *slot_load) {
  const mb_token_model *tokens = &model->tokens;
  uint64_t n_tokens =
      mb_tokens_of(tokens->shape.n_experts, load->load, model->by_position ? 1 : tokens->top_k);

  for (size_t e = 0; e < tokens->shape.n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&tokens->replicas, layer, e, &n);
    if (n > 1 && load->load[e] > 0) {
      const uint64_t *size = dealt_sizes(model, layer, n_tokens, n);
      mb_draw draw = mb_token_draw(tokens, layer, load->step, e);
      give(&draw, n, size, load->load[e], tokens->count + layer * tokens->shape.n_slots, slot,
           slot_load);
    }
  }
}

static void hash_split(void *state, const mb_shape *shape, size_t layer,
                       const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                       double *slot_load) {
  const hash_model *model = state;

  (void)shape;
  (void)placement;
  mb_replicas_fill_single(&model->tokens.replicas, layer, load->load, slot_load);
  if (load->by_source == NULL) {
    split_all(model, layer, load, slot_load);
    return;
  }
  for (size_t s = 0; s < model->tokens.n_sources; s++) {
    split_source(model, layer, load, s, slot_load);
  }
}

const mb_dispatch_type mb_dispatch_hash = {
    .name = "hash",
    .summary = "a hash of a token's index on its rank, modulo the replicas (vLLM)",
    .whole = true,
    .uses_sources = true,
    .create = hash_create,
    .place = hash_place,
    .split = hash_split,
    .destroy = hash_destroy,
};
