/* balancer/pack.c - the longest-processing-time rule, and what stands before and after it. */
#include "balancer/pack.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/options.h"
#include "balancer/packing.h"

static const double WEIGHT_SUM_MAX = 1152921504606846976.0; /* 2^60 */

mb_status mb_balance_options_check(const mb_balance_options *options) {
  if (options->max_rounds < 0) {
    return MB_FAIL(MB_ERR_PARAM, "max_rounds is %" PRId64 ", but has to be 0 or more",
                   options->max_rounds);
  }
  if (!isfinite(options->min_gain) || options->min_gain < 0) {
    return MB_FAIL(MB_ERR_PARAM, "min_gain is %g, but has to be finite and 0 or more",
                   options->min_gain);
  }
  return MB_OK;
}

static mb_status check_items(size_t n_items, size_t n_packs, const double *weight) {
  double sum = 0;

  if (n_items < 1 || n_packs < 1 || n_items > INT32_MAX) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%zu items into %zu packs, but both have to be at least 1 and the items at "
                   "most %" PRId32,
                   n_items, n_packs, INT32_MAX);
  }
  if (n_items % n_packs != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu items do not divide evenly over %zu packs", n_items, n_packs);
  }
  for (size_t i = 0; i < n_items; i++) {
    if (!isfinite(weight[i]) || weight[i] < 0) {
      return MB_FAIL(MB_ERR_RANGE,
                     "item %zu weighs %g, but weights have to be finite and 0 or more", i,
                     weight[i]);
    }
    sum += weight[i];
    if (sum > WEIGHT_SUM_MAX) {
      return MB_FAIL(MB_ERR_RANGE, "items 0 to %zu weigh %g together, but 2^60 is the most", i,
                     sum);
    }
  }
  return MB_OK;
}

mb_status mb_pack_scratch_init(mb_pack_scratch *scratch, size_t n_items, size_t n_packs) {
  *scratch = (mb_pack_scratch){.item = malloc(n_items * sizeof *scratch->item),
                               .weight = malloc(n_items * sizeof *scratch->weight),
                               .pack_of = malloc(n_items * sizeof *scratch->pack_of),
                               .heap = malloc(n_packs * sizeof *scratch->heap),
                               .n_in_pack = malloc(n_packs * sizeof *scratch->n_in_pack),
                               .pack_load = malloc(n_packs * sizeof *scratch->pack_load)};
  if (scratch->item == NULL || scratch->weight == NULL || scratch->pack_of == NULL ||
      scratch->heap == NULL || scratch->n_in_pack == NULL || scratch->pack_load == NULL) {
    mb_pack_scratch_fini(scratch);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to pack %zu items into %zu packs", n_items, n_packs);
  }
  return MB_OK;
}

void mb_pack_scratch_fini(mb_pack_scratch *scratch) {
  free(scratch->item);
  free(scratch->weight);
  free(scratch->pack_of);
  free(scratch->heap);
  free(scratch->n_in_pack);
  free(scratch->pack_load);
  *scratch = (mb_pack_scratch){0};
}

/* Heaviest first, then by index: what a stable sort by weight gives. */
static int compare_items(const void *left, const void *right) {
  const mb_pack_item *a = left;
  const mb_pack_item *b = right;

  if (a->weight != b->weight) {
    return a->weight > b->weight ? -1 : 1;
  }
  return (a->index > b->index) - (a->index < b->index);
}

static void sort_items(size_t n_items, const double *weight, mb_pack_scratch *scratch) {
  for (size_t i = 0; i < n_items; i++) {
    scratch->item[i] = (mb_pack_item){weight[i], (int32_t)i};
  }
  qsort(scratch->item, n_items, sizeof *scratch->item, compare_items);
  for (size_t t = 0; t < n_items; t++) {
    scratch->weight[t] = scratch->item[t].weight;
  }
}

/* Each item to the lightest pack with room. The heap's top is that pack, and it leaves when full.
 */
static void pack_greedily(size_t n_items, size_t n_packs, mb_pack_scratch *scratch) {
  mb_heap_entry *heap = scratch->heap;
  size_t n_open = n_packs;
  size_t room = n_items / n_packs;

  for (size_t p = 0; p < n_packs; p++) {
    heap[p] = (mb_heap_entry){0.0, (int32_t)p};
    scratch->n_in_pack[p] = 0;
  }
  for (size_t t = 0; t < n_items; t++) {
    int32_t p = heap[0].id;
    scratch->pack_of[t] = p;
    heap[0].key += scratch->weight[t];
    scratch->pack_load[p] = heap[0].key;
    if ((size_t)++scratch->n_in_pack[p] == room) {
      heap[0] = heap[--n_open];
    }
    if (n_open > 0) {
      mb_heap_sink(heap, n_open, 0);
    }
  }
}

/* From positions in the sorted order back to the items' own indices. */
static void unsort(size_t n_items, size_t n_packs, mb_pack_scratch *scratch, int32_t *pack_index,
                   int32_t *rank_in_pack) {
  memset(scratch->n_in_pack, 0, n_packs * sizeof *scratch->n_in_pack);
  for (size_t t = 0; t < n_items; t++) {
    int32_t i = scratch->item[t].index;
    int32_t p = scratch->pack_of[t];
    pack_index[i] = p;
    rank_in_pack[i] = scratch->n_in_pack[p]++;
  }
}

static void pack_singly(size_t n_items, const double *weight, mb_pack_scratch *scratch,
                        int32_t *pack_index, int32_t *rank_in_pack) {
  for (size_t i = 0; i < n_items; i++) {
    pack_index[i] = (int32_t)i;
    rank_in_pack[i] = 0;
    scratch->pack_load[i] = weight[i];
  }
}

mb_status mb_pack_checked(size_t n_items, size_t n_packs, const double *weight,
                          const mb_refinement_type *refinement, const mb_balance_options *options,
                          mb_pack_scratch *scratch, int32_t *pack_index, int32_t *rank_in_pack,
                          mb_pack_stats *stats) {
  mb_packing packing = {.n_items = n_items,
                        .n_packs = n_packs,
                        .weight = scratch->weight,
                        .pack_of = scratch->pack_of,
                        .pack_load = scratch->pack_load};

  if (n_items == n_packs) {
    pack_singly(n_items, weight, scratch, pack_index, rank_in_pack);
  } else {
    sort_items(n_items, weight, scratch);
    pack_greedily(n_items, n_packs, scratch);
    if (refinement->refine != NULL) {
      MB_TRY(refinement->refine(&packing, options));
    }
    unsort(n_items, n_packs, scratch, pack_index, rank_in_pack);
  }
  *stats = (mb_pack_stats){.rounds = packing.rounds, .swaps = packing.swaps};
  return MB_OK;
}

mb_status mb_pack(size_t n_items, size_t n_packs, const double *weight,
                  const mb_refinement_type *refinement, const mb_balance_options *options,
                  int32_t *pack_index, int32_t *rank_in_pack, double *pack_load,
                  mb_pack_stats *stats) {
  mb_balance_options used = options != NULL ? *options : MB_BALANCE_OPTIONS_DEFAULT;
  mb_pack_scratch scratch;
  mb_pack_stats taken;

  assert(weight != NULL && refinement != NULL && pack_index != NULL && rank_in_pack != NULL);
  MB_TRY(mb_balance_options_check(&used));
  MB_TRY(check_items(n_items, n_packs, weight));
  MB_TRY(mb_pack_scratch_init(&scratch, n_items, n_packs));
  mb_status status = mb_pack_checked(n_items, n_packs, weight, refinement, &used, &scratch,
                                     pack_index, rank_in_pack, &taken);
  if (status == MB_OK && pack_load != NULL) {
    memcpy(pack_load, scratch.pack_load, n_packs * sizeof *pack_load);
  }
  if (status == MB_OK && stats != NULL) {
    *stats = taken;
  }
  mb_pack_scratch_fini(&scratch);
  return status;
}
