/* balancer/pack.c - the longest-processing-time rule, and what stands before and after it. */
#include "balancer/pack.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/options.h"
#include "balancer/packing.h"
#include "balancer/simd.h"

static const double WEIGHT_SUM_MAX = 1152921504606846976.0; /* 2^60 */

/* A key's bytes, sorted by one at a time. Up to so many items counting is the faster. */
enum { DIGITS = 8, DIGIT_VALUES = 256, COUNTING_MAX = 192 };

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

size_t mb_refinement_scratch_size(const mb_refinement_type *refinement, size_t n_items,
                                  size_t n_packs) {
  return refinement->scratch_size != NULL ? refinement->scratch_size(n_items, n_packs) : 0;
}

mb_status mb_pack_scratch_init(mb_pack_scratch *scratch, size_t n_items, size_t n_packs,
                               size_t refine_size) {
  *scratch = (mb_pack_scratch){.item = malloc(n_items * sizeof *scratch->item),
                               .other = malloc(n_items * sizeof *scratch->other),
                               .weight = malloc(n_items * sizeof *scratch->weight),
                               .pack_of = malloc(n_items * sizeof *scratch->pack_of),
                               .lightest = malloc(2 * n_packs * sizeof *scratch->lightest),
                               .n_in_pack = malloc(n_packs * sizeof *scratch->n_in_pack),
                               .pack_load = malloc(n_packs * sizeof *scratch->pack_load),
                               .refine = malloc(refine_size > 0 ? refine_size : 1)};
  if (scratch->item == NULL || scratch->weight == NULL || scratch->pack_of == NULL ||
      scratch->lightest == NULL || scratch->other == NULL || scratch->n_in_pack == NULL ||
      scratch->pack_load == NULL || scratch->refine == NULL) {
    mb_pack_scratch_fini(scratch);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to pack %zu items into %zu packs", n_items, n_packs);
  }
  return MB_OK;
}

void mb_pack_scratch_fini(mb_pack_scratch *scratch) {
  free(scratch->item);
  free(scratch->weight);
  free(scratch->pack_of);
  free(scratch->other);
  free(scratch->lightest);
  free(scratch->n_in_pack);
  free(scratch->pack_load);
  free(scratch->refine);
  *scratch = (mb_pack_scratch){0};
}

/* Doubles that are not negative sort as their bits do; the complement has the heaviest first. The
   sum makes a plain zero of a negative one. */
static uint64_t sort_key(double weight) {
  double positive = weight + 0.0;
  uint64_t bits = 0;

  memcpy(&bits, &positive, sizeof bits);
  return ~bits;
}

/* An item stands behind all that are heavier, and equals behind each other. Counting takes n^2
   comparisons, but many at once (SIMD), and there is nothing to guess for a processor. An item's
   key here counts those that are as heavy as the one whose place this is. */
MB_SIMD_CLONES static void sort_by_counting(size_t n_items, const double *weight,
                                            mb_pack_item *item) {
  memset(item, 0, n_items * sizeof *item);
  for (size_t i = 0; i < n_items; i++) {
    int64_t n_heavier = 0;
    for (size_t j = 0; j < n_items; j++) {
      n_heavier += weight[j] > weight[i];
    }
    item[(size_t)n_heavier + item[n_heavier].key++].index = (int32_t)i;
  }
}

/* By one digit of the key, the order among equals kept. count: how many items have each digit. */
static void sort_by_digit(size_t n_items, const mb_pack_item *from, mb_pack_item *to, size_t digit,
                          uint32_t *count) {
  uint32_t place = 0;

  for (size_t value = 0; value < DIGIT_VALUES; value++) {
    uint32_t n = count[value];
    count[value] = place;
    place += n;
  }
  for (size_t t = 0; t < n_items; t++) {
    to[count[from[t].key >> (8 * digit) & (DIGIT_VALUES - 1)]++] = from[t];
  }
}

/* Radix sort, the lowest digit first. A digit that all keys share, as whole numbers have, takes no
   pass. */
static void sort_by_digits(size_t n_items, mb_pack_scratch *scratch) {
  uint32_t count[DIGITS][DIGIT_VALUES] = {{0}};

  for (size_t t = 0; t < n_items; t++) {
    for (size_t digit = 0; digit < DIGITS; digit++) {
      count[digit][scratch->item[t].key >> (8 * digit) & (DIGIT_VALUES - 1)]++;
    }
  }
  for (size_t digit = 0; digit < DIGITS; digit++) {
    if (count[digit][scratch->item[0].key >> (8 * digit) & (DIGIT_VALUES - 1)] < n_items) {
      mb_pack_item *sorted = scratch->other;
      sort_by_digit(n_items, scratch->item, sorted, digit, count[digit]);
      scratch->other = scratch->item;
      scratch->item = sorted;
    }
  }
}

/* Heaviest first, equals by index. */
static void sort_items(size_t n_items, const double *weight, mb_pack_scratch *scratch) {
  if (n_items <= COUNTING_MAX) {
    sort_by_counting(n_items, weight, scratch->item);
  } else {
    for (size_t i = 0; i < n_items; i++) {
      scratch->item[i] = (mb_pack_item){sort_key(weight[i]), (int32_t)i};
    }
    sort_by_digits(n_items, scratch);
  }
  for (size_t t = 0; t < n_items; t++) {
    scratch->weight[t] = weight[scratch->item[t].index];
  }
}

/* Each item to the lightest pack with room. */
static void pack_greedily(size_t n_items, size_t n_packs, mb_pack_scratch *scratch) {
  mb_player *lightest = scratch->lightest;
  const size_t room = n_items / n_packs;

  for (size_t p = 0; p < n_packs; p++) {
    lightest[n_packs + p] = (mb_player){0.0, (int32_t)p};
    scratch->n_in_pack[p] = 0;
  }
  mb_tournament_play(lightest, n_packs);
  for (size_t t = 0; t < n_items; t++) {
    int32_t p = lightest[1].id;
    double load = lightest[1].key + scratch->weight[t];
    bool is_full = (size_t)++scratch->n_in_pack[p] == room;
    scratch->pack_of[t] = p;
    scratch->pack_load[p] = load;
    mb_tournament_change(lightest, n_packs, (size_t)p, is_full ? INFINITY : load);
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

mb_pack_stats mb_pack_checked(size_t n_items, size_t n_packs, const double *weight,
                              const mb_refinement_type *refinement,
                              const mb_balance_options *options, mb_pack_scratch *scratch,
                              int32_t *pack_index, int32_t *rank_in_pack) {
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
      refinement->refine(&packing, options, scratch->refine);
    }
    unsort(n_items, n_packs, scratch, pack_index, rank_in_pack);
  }
  return (mb_pack_stats){.rounds = packing.rounds, .swaps = packing.swaps};
}

mb_status mb_pack(size_t n_items, size_t n_packs, const double *weight,
                  const mb_refinement_type *refinement, const mb_balance_options *options,
                  int32_t *pack_index, int32_t *rank_in_pack, double *pack_load,
                  mb_pack_stats *stats) {
  mb_balance_options used = options != NULL ? *options : MB_BALANCE_OPTIONS_DEFAULT;
  mb_pack_scratch scratch;

  assert(weight != NULL && refinement != NULL && pack_index != NULL && rank_in_pack != NULL);
  MB_TRY(mb_balance_options_check(&used));
  MB_TRY(check_items(n_items, n_packs, weight));
  MB_TRY(mb_pack_scratch_init(&scratch, n_items, n_packs,
                              mb_refinement_scratch_size(refinement, n_items, n_packs)));
  mb_pack_stats taken = mb_pack_checked(n_items, n_packs, weight, refinement, &used, &scratch,
                                        pack_index, rank_in_pack);
  if (pack_load != NULL) {
    memcpy(pack_load, scratch.pack_load, n_packs * sizeof *pack_load);
  }
  if (stats != NULL) {
    *stats = taken;
  }
  mb_pack_scratch_fini(&scratch);
  return MB_OK;
}
