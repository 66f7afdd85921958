/* sim/dispatch_lp_rounded.c - lp in whole tokens, or in tiles of them.
 *
 * With tiles of b tokens, an expert's load n is n / b whole tiles, and n mod b tokens. Each replica
 * gets the whole tiles of its share; tiles that are left go one each to the replicas with the
 * largest remainders, the first of equals, and the odd tokens to the next of these. So only one
 * replica of an expert gets anything but a multiple of b, and n takes no more tiles than without
 * replicas. */
#include <math.h>
#include <stdlib.h>

#include "sim/keyed.h"
#include "sim/lp_split.h"

typedef struct rounded_model {
  mb_lp_split lp;
  double tile;
  mb_keyed *order; /* [L,P] scratch */
} rounded_model;

static void rounded_destroy(void *state) {
  rounded_model *model = state;

  mb_lp_split_fini(&model->lp);
  free(model->order);
  free(model);
}

static mb_status rounded_create(const mb_shape *shape, const mb_dispatch_options *options,
                                const mb_dispatch_origin *origin, void **state) {
  rounded_model *model = calloc(1, sizeof *model);

  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  model->tile = (double)options->dispatch_tile;
  model->order = calloc(shape->n_layers, shape->n_slots * sizeof *model->order);
  mb_status status = mb_lp_split_init(&model->lp, shape, options, origin);
  if (status == MB_OK && model->order == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  if (status != MB_OK) {
    rounded_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

static void rounded_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  rounded_model *model = state;

  mb_lp_split_place(&model->lp, layer, placement);
}

static void round_expert(double tile, double load, size_t n, const int32_t *slot, mb_keyed *order,
                         double *slot_load) {
  double left = load;

  for (size_t r = 0; r < n; r++) {
    double share = slot_load[slot[r]];
    double whole = floor(share / tile) * tile;
    order[r] = (mb_keyed){whole - share, (int32_t)r};
    slot_load[slot[r]] = whole;
    left -= whole;
  }
  mb_keyed_sort(n, order);
  for (size_t i = 0; left > 0.0; i = (i + 1) % n) {
    double piece = left < tile ? left : tile;
    slot_load[slot[order[i].index]] += piece;
    left -= piece;
  }
}

static void rounded_split(void *state, const mb_shape *shape, size_t layer,
                          const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                          double *slot_load) {
  rounded_model *model = state;
  mb_keyed *order = model->order + layer * shape->n_slots;

  mb_lp_split_split(&model->lp, layer, placement, load, slot_load);
  for (size_t e = 0; e < shape->n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&model->lp.replicas, layer, e, &n);
    if (n > 1 && load->load[e] > 0) {
      round_expert(model->tile, (double)load->load[e], n, slot, order, slot_load);
    }
  }
}

const mb_dispatch_type mb_dispatch_lp_rounded = {
    .name = "lp_rounded",
    .summary = "lp in whole tokens or tiles, by the largest remainders of an expert",
    .whole = true,
    .uses_sources = true,
    .lags = true,
    .create = rounded_create,
    .place = rounded_place,
    .split = rounded_split,
    .destroy = rounded_destroy,
    .layer_us = 100.0, /* as lp */
};
