/* sim/dispatch_round_robin.c - round robin within blocks of items, as TensorRT-LLM's kernel.
 *
 * A rank's items, its (token, expert) pairs, are cut into blocks of dispatch_block. The i-th item
 * of an expert in block b of rank s goes to replica (i + b + s) mod count; without
 * dispatch_offset_rank, (i + b) mod count. So a block's odd items always go to the same replicas.
 */
#include "sim/dispatch_tokens.h"

/* A rank with more blocks than these is taken to have this many larger ones. */
enum { MAX_BLOCKS = 1024 };

static uint64_t block_size(const mb_token_model *model, uint64_t n_items) {
  uint64_t size = (uint64_t)model->options->dispatch_block;
  uint64_t least = (n_items + MAX_BLOCKS - 1) / MAX_BLOCKS;

  return size > least ? size : least;
}

/* One block's items of an expert, round the replicas from `first` on. */
static void go_round(uint64_t items, size_t first, size_t n, const int32_t *slot,
                     double *slot_load) {
  uint64_t each = items / n;
  size_t odd = items % n;

  for (size_t i = 0; i < (each > 0 ? n : odd); i++) {
    slot_load[slot[(first + i) % n]] += (double)(each + (i < odd));
  }
}

/* A draw going on: items of an expert still to be found among those still to be looked at. */
typedef struct search {
  mb_draw draw;
  uint64_t picked, total;
} search;

/* Goes through the blocks of a rank that has so many items. */
static void split_rank(const mb_token_model *model, search *left, size_t rank, uint64_t n_items,
                       size_t n, const int32_t *slot, double *slot_load) {
  uint64_t size = block_size(model, n_items);
  size_t offset = model->options->dispatch_offset_rank ? rank : 0;

  for (uint64_t b = 0; b * size < n_items && left->picked > 0; b++) {
    uint64_t part = n_items - b * size < size ? n_items - b * size : size;
    uint64_t items = mb_draw_hypergeometric(&left->draw, part, left->total, left->picked);
    go_round(items, (size_t)((b + offset) % n), n, slot, slot_load);
    left->picked -= items;
    left->total -= part;
  }
}

static void split_all(const mb_token_model *model, size_t layer, const mb_dispatch_load *load,
                      double *slot_load) {
  uint64_t n_items = mb_tokens_of(model->shape.n_experts, load->load, 1);

  for (size_t e = 0; e < model->shape.n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&model->replicas, layer, e, &n);
    search left = {.picked = n > 1 ? load->load[e] : 0, .total = n_items};
    if (left.picked > 0) {
      left.draw = mb_token_draw(model, layer, load->step, e);
    }
    for (size_t s = 0; s < model->n_sources && left.picked > 0; s++) {
      uint64_t own = mb_tokens_dealt(n_items, model->n_sources, s);
      split_rank(model, &left, s, own, n, slot, slot_load);
    }
  }
}

static void split_source(const mb_token_model *model, size_t layer, const mb_dispatch_load *load,
                         size_t source, double *slot_load) {
  size_t n_experts = model->shape.n_experts;
  const uint32_t *own = load->by_source + source * n_experts;
  uint64_t n_items = mb_tokens_of(n_experts, own, 1);

  for (size_t e = 0; e < n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&model->replicas, layer, e, &n);
    if (n > 1 && own[e] > 0) {
      search left = {mb_token_draw(model, layer, load->step, e + (source + 1) * n_experts), own[e],
                     n_items};
      split_rank(model, &left, source, n_items, n, slot, slot_load);
    }
  }
}

static void round_robin_split(void *state, const mb_shape *shape, size_t layer,
                              const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                              double *slot_load) {
  const mb_token_model *model = state;

  (void)shape;
  (void)placement;
  mb_replicas_fill_single(&model->replicas, layer, load->load, slot_load);
  if (load->by_source == NULL) {
    split_all(model, layer, load, slot_load);
    return;
  }
  for (size_t s = 0; s < model->n_sources; s++) {
    split_source(model, layer, load, s, slot_load);
  }
}

const mb_dispatch_type mb_dispatch_round_robin = {
    .name = "round_robin",
    .summary = "in turn, anew in every block of a rank's items (TensorRT-LLM)",
    .whole = true,
    .uses_sources = true,
    .create = mb_token_model_create,
    .place = mb_token_model_place,
    .split = round_robin_split,
    .destroy = mb_token_model_destroy,
};
