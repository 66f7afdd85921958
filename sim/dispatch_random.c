/* sim/dispatch_random.c - every token draws its replica, as SGLang's dynamic dispatch.
 *
 * There, a replica is a random whole number below 65536 modulo the number of replicas, which
 * favours the first ones by up to 1 in 65536 / count. Tokens draw independently of each other, so
 * an expert's replicas get a multinomial split. */
#include "sim/dispatch_tokens.h"

enum { N_DRAWN = 65536 };

/* Replica r of n is drawn by the numbers r, r + n, r + 2 n, ... below N_DRAWN. */
static uint64_t drawn_by(size_t r, size_t n) {
  return N_DRAWN / n + (r < N_DRAWN % n);
}

static void split_expert(mb_draw *draw, uint64_t load, size_t n, const int32_t *slot,
                         double *slot_load) {
  uint64_t left = N_DRAWN;

  for (size_t r = 0; r < n && load > 0; r++) {
    uint64_t part = drawn_by(r, n);
    uint64_t got = mb_draw_binomial(draw, load, (double)part / (double)left);
    slot_load[slot[r]] = (double)got;
    load -= got;
    left -= part;
  }
}

static void random_split(void *state, const mb_shape *shape, size_t layer,
                         const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                         double *slot_load) {
  mb_token_model *model = state;

  (void)placement;
  mb_replicas_fill_single(&model->replicas, layer, load->load, slot_load);
  for (size_t e = 0; e < shape->n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&model->replicas, layer, e, &n);
    if (n > 1 && load->load[e] > 0) {
      mb_draw draw = mb_token_draw(model, layer, load->step, e);
      split_expert(&draw, load->load[e], n, slot, slot_load);
    }
  }
}

const mb_dispatch_type mb_dispatch_random = {
    .name = "random",
    .summary = "every token draws its replica (SGLang, dynamic)",
    .whole = true,
    .create = mb_token_model_create,
    .place = mb_token_model_place,
    .split = random_split,
    .destroy = mb_token_model_destroy,
};
