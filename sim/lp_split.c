/* sim/lp_split.c */
#include "sim/lp_split.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What only splits that lag need. */
static bool allocate_before(mb_lp_split *lp) {
  size_t n_layers = lp->shape.n_layers;
  size_t n_experts = lp->shape.n_experts;

  if (lp->lag == 0) {
    return true;
  }
  lp->before = calloc(n_layers, n_experts * sizeof *lp->before);
  lp->best = calloc(n_layers, lp->shape.n_slots * sizeof *lp->best);
  lp->room = calloc(n_layers, lp->shape.n_slots * sizeof *lp->room);
  lp->map = calloc(n_layers, lp->shape.n_slots * sizeof *lp->map);
  lp->seen = calloc(n_layers, sizeof *lp->seen);
  if (lp->n_sources > 0) {
    lp->by_source = calloc(n_layers * n_experts, lp->n_sources * sizeof *lp->by_source);
    lp->rest = calloc(n_layers, lp->n_sources * sizeof *lp->rest);
  }
  return lp->before != NULL && lp->best != NULL && lp->room != NULL && lp->map != NULL &&
         lp->seen != NULL && (lp->n_sources == 0 || (lp->by_source != NULL && lp->rest != NULL));
}

mb_status mb_lp_split_init(mb_lp_split *lp, const mb_shape *shape,
                           const mb_dispatch_options *options, const mb_dispatch_origin *origin) {
  *lp = (mb_lp_split){
      .shape = *shape, .lag = (size_t)options->dispatch_lag, .n_sources = origin->n_sources};
  MB_TRY(mb_replicas_init(&lp->replicas, shape, true));
  lp->split = calloc(shape->n_layers, sizeof(mb_split *));
  lp->load = calloc(shape->n_layers, shape->n_experts * sizeof *lp->load);
  if (lp->split == NULL || lp->load == NULL || !allocate_before(lp)) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch %zu layers over %zu slots",
                   shape->n_layers, shape->n_slots);
  }
  for (size_t l = 0; l < shape->n_layers; l++) {
    MB_TRY(mb_split_create(shape, &lp->split[l]));
  }
  return MB_OK;
}

void mb_lp_split_fini(mb_lp_split *lp) {
  for (size_t l = 0; l < lp->shape.n_layers && lp->split != NULL; l++) {
    mb_split_destroy(lp->split[l]);
  }
  mb_replicas_fini(&lp->replicas);
  free((void *)lp->split);
  free(lp->load);
  free(lp->best);
  free(lp->room);
  free(lp->rest);
  free(lp->before);
  free(lp->by_source);
  free(lp->map);
  free(lp->seen);
}

/* Shares that were solved for another placement say nothing of this one's replicas. */
static void forget_shares(mb_lp_split *lp, size_t layer, const int32_t *map) {
  size_t size = lp->shape.n_slots * sizeof *map;
  int32_t *kept = lp->map + layer * lp->shape.n_slots;

  lp->seen[layer] = lp->seen[layer] && memcmp(kept, map, size) == 0;
  memcpy(kept, map, size);
}

void mb_lp_split_place(mb_lp_split *lp, size_t layer, const mb_dispatch_placement *placement) {
  if (lp->lag > 0) {
    forget_shares(lp, layer, placement->physical_to_logical_map);
  }
  mb_replicas_place(&lp->replicas, layer, placement->physical_to_logical_map);
  mb_status status = mb_split_prepare(lp->split[layer], placement->physical_to_logical_map, NULL);
  assert(status == MB_OK); /* a placement in force holds every expert */
  (void)status;
}

static void solve(mb_lp_split *lp, size_t layer, const uint32_t *tokens, double *slot_load) {
  double *load = lp->load + layer * lp->shape.n_experts;
  mb_split_result result;

  for (size_t e = 0; e < lp->shape.n_experts; e++) {
    load[e] = (double)tokens[e];
  }
  mb_status status = mb_split_solve(lp->split[layer], load, NULL, slot_load, &result);
  assert(status == MB_OK); /* 32 bits a load are within its bounds */
  (void)status;
}

/* Gives `tokens` of an expert out as the best split of `before` ones was; evenly without any. */
static void give(size_t n, const int32_t *slot, const double *best, double before, double tokens,
                 double *slot_load) {
  for (size_t r = 0; r < n; r++) {
    double share = before > 0.0 ? best[slot[r]] / before : 1.0 / (double)n;
    slot_load[slot[r]] += tokens * share;
  }
}

/* Sends up to `amount` of what is left of a rank's tokens of the step before to a replica, and as
   large a share of its tokens now. */
static void send(double amount, double supply, double tokens, double *rest, double *room,
                 double *slot_load) {
  double sent = amount < *room ? amount : *room;

  *room -= sent;
  *rest -= sent;
  *slot_load += tokens * (sent / supply);
}

/* One expert with the shares of each rank. Pointers are into the layer's rows. */
static void give_by_source(const mb_lp_split *lp, size_t layer, size_t e, const double *best,
                           const mb_dispatch_load *load, double *slot_load) {
  size_t n_experts = lp->shape.n_experts;
  size_t slots_per_gpu = lp->replicas.slots_per_gpu;
  const uint32_t *before = lp->by_source + layer * lp->n_sources * n_experts + e;
  double *room = lp->room + layer * lp->shape.n_slots;
  double *rest = lp->rest + layer * lp->n_sources;
  size_t n;
  const int32_t *slot = mb_replicas_of(&lp->replicas, layer, e, &n);
  size_t last = 0;

  for (size_t r = 0; r < n; r++) {
    room[r] = best[slot[r]];
    last = room[r] > 0.0 ? r : last;
  }
  for (size_t s = 0; s < lp->n_sources; s++) {
    double tokens = (double)load->by_source[s * n_experts + e];
    double supply = (double)before[s * n_experts];
    rest[s] = supply;
    for (size_t r = 0; r < n && supply > 0.0; r++) {
      if ((size_t)slot[r] / slots_per_gpu == s * lp->shape.n_gpus / lp->n_sources) {
        send(supply, supply, tokens, &rest[s], &room[r], &slot_load[slot[r]]);
      }
    }
    if (supply <= 0.0) {
      give(n, slot, best, (double)lp->before[layer * n_experts + e], tokens, slot_load);
    }
  }
  size_t r = 0;
  for (size_t s = 0; s < lp->n_sources; s++) {
    double tokens = (double)load->by_source[s * n_experts + e];
    double supply = (double)before[s * n_experts];
    for (; r < last && rest[s] > room[r]; r++) {
      send(room[r], supply, tokens, &rest[s], &room[r], &slot_load[slot[r]]);
    }
    if (supply > 0.0) { /* the last with room takes what rounding has left */
      slot_load[slot[r]] += tokens * (rest[s] / supply);
      room[r] = room[r] > rest[s] ? room[r] - rest[s] : 0.0;
    }
  }
}

static void split_as_before(mb_lp_split *lp, size_t layer, const mb_dispatch_load *load,
                            double *slot_load) {
  double *best = lp->best + layer * lp->shape.n_slots;
  const uint32_t *before = lp->before + layer * lp->shape.n_experts;

  solve(lp, layer, before, best);
  mb_replicas_fill_single(&lp->replicas, layer, load->load, slot_load);
  for (size_t e = 0; e < lp->shape.n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(&lp->replicas, layer, e, &n);
    if (n > 1 && load->load[e] > 0 && lp->by_source != NULL && before[e] > 0) {
      give_by_source(lp, layer, e, best, load, slot_load);
    } else if (n > 1 && load->load[e] > 0) {
      give(n, slot, best, (double)before[e], (double)load->load[e], slot_load);
    }
  }
}

/* The first of the ascending slots [n] that is on a GPU; there is one. */
static int32_t slot_on(const mb_lp_split *lp, size_t gpu, size_t n, const int32_t *slot) {
  size_t low = 0;

  while (n > 1) {
    size_t half = n / 2;
    low += (size_t)slot[low + half] / lp->replicas.slots_per_gpu <= gpu ? half : 0;
    n -= half;
  }
  return slot[low];
}

/* As even dispatch, but for GPUs with several slots of an expert: the first has it all. */
static void split_evenly(mb_lp_split *lp, size_t layer, const mb_dispatch_placement *placement,
                         const uint32_t *load, double *slot_load) {
  mb_replicas_fill_single(&lp->replicas, layer, load, slot_load);
  for (size_t p = 0; p < lp->shape.n_slots; p++) {
    size_t e = (size_t)placement->physical_to_logical_map[p];
    size_t n;
    const int32_t *slot = mb_replicas_of(&lp->replicas, layer, e, &n);
    if (n > 1) {
      slot_load[slot_on(lp, p / lp->replicas.slots_per_gpu, n, slot)] +=
          (double)load[e] / (double)placement->expert_count[e];
    }
  }
}

void mb_lp_split_split(mb_lp_split *lp, size_t layer, const mb_dispatch_placement *placement,
                       const mb_dispatch_load *load, double *slot_load) {
  size_t n_experts = lp->shape.n_experts;

  if (lp->lag == 0) {
    solve(lp, layer, load->load, slot_load);
    return;
  }
  if (lp->seen[layer]) {
    split_as_before(lp, layer, load, slot_load);
  } else {
    split_evenly(lp, layer, placement, load->load, slot_load);
  }
  memcpy(lp->before + layer * n_experts, load->load, n_experts * sizeof *lp->before);
  if (lp->by_source != NULL) {
    size_t row = lp->n_sources * n_experts;
    memcpy(lp->by_source + layer * row, load->by_source, row * sizeof *lp->by_source);
  }
  lp->seen[layer] = true;
}
