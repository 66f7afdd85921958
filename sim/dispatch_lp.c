/* sim/dispatch_lp.c - the split that is best for the fullest GPU, with tokens divisible at will, as
 * LPLB and SGLang's lp aim at: there an interior-point method and probabilities, here the optimum
 * and expected values. */
#include <stdlib.h>

#include "sim/lp_split.h"

static void lp_destroy(void *state) {
  mb_lp_split_fini(state);
  free(state);
}

static mb_status lp_create(const mb_shape *shape, const mb_dispatch_options *options,
                           const mb_dispatch_origin *origin, void **state) {
  mb_lp_split *lp = calloc(1, sizeof *lp);

  if (lp == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  mb_status status = mb_lp_split_init(lp, shape, options, origin);
  if (status != MB_OK) {
    lp_destroy(lp);
    return status;
  }
  *state = lp;
  return MB_OK;
}

static void lp_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  mb_lp_split_place(state, layer, placement);
}

static void lp_split(void *state, const mb_shape *shape, size_t layer,
                     const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                     double *slot_load) {
  (void)shape;
  mb_lp_split_split(state, layer, placement, load, slot_load);
}

const mb_dispatch_type mb_dispatch_lp = {
    .name = "lp",
    .summary = "best for the fullest GPU, in fractions of tokens (LPLB)",
    .uses_sources = true,
    .lags = true,
    .create = lp_create,
    .place = lp_place,
    .split = lp_split,
    .destroy = lp_destroy,
    /* LPLB's README: some 100 us to solve within a node. */
    .layer_us = 100.0,
};
