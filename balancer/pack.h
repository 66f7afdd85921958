/* balancer/pack.h - balanced packing: n weighted items into m packs of exactly n/m items. */
#ifndef MB_BALANCER_PACK_H
#define MB_BALANCER_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** max_rounds: go on until no swap gains, or one no longer does after rounding. */
#define MB_ROUNDS_UNLIMITED INT64_MAX

/** How packings are refined and replicas given. */
typedef struct mb_balance_options {
  int64_t max_rounds;    /* swaps tried at most in one packing, >= 0; 50 in the reference */
  double min_gain;       /* a swap must gain more than this, >= 0; tokens (maxmin), tokens^2 (l2) */
  bool reference_quirks; /* experts without load: all extra replicas to the first, as DeepSeek's */
} mb_balance_options;

#ifdef __cplusplus
#define MB_BALANCE_OPTIONS_DEFAULT (mb_balance_options{50, 1e-6, false})
#else
#define MB_BALANCE_OPTIONS_DEFAULT ((mb_balance_options){50, 1e-6, false})
#endif

/** A packing in the works, as a refinement sees it. Positions are in the sorted order. */
typedef struct mb_packing {
  size_t n_items, n_packs;
  const double *weight; /* [n] descending; equal weights in the order of their index */
  int32_t *pack_of;     /* [n] pack of each item */
  double *pack_load;    /* [m] sum of the pack's items, added in sorted order */
  int64_t rounds;       /* rounds of search done so far */
  int64_t swaps;        /* swaps made and kept */
} mb_packing;

/**
 * A way to improve a packing by swaps: one file, ending in `const mb_refinement_type
 * mb_refinement_<name>`, and one line in strategies.def.
 */
typedef struct mb_refinement_type {
  const char *name;
  const char *summary;    /* required; half a sentence for `moebal list strategies` */
  const mb_param *params; /* required; over mb_balance_options, the keys that it heeds */
  /* Optional, NULL: none. Bytes of scratch memory for n items in m packs. */
  size_t (*scratch_size)(size_t n_items, size_t n_packs);
  /* Optional, NULL: the packing stays as LPT made it. Keeps pack_load true to pack_of, and every
     pack at n/m items, of which there are at least two. Allocates nothing; the scratch is aligned
     for doubles. */
  void (*refine)(mb_packing *packing, const mb_balance_options *options, void *scratch);
} mb_refinement_type;

/** The refinement of that name, or NULL. */
const mb_refinement_type *mb_refinement_find(const char *name);

/** All refinements in the order of strategies.def, NULL-terminated. Static. */
const mb_refinement_type *const *mb_refinements(void);

/** What a packing took; filled where asked for. */
typedef struct mb_pack_stats {
  int64_t rounds, swaps;
} mb_pack_stats;

/**
 * Packs n items into m packs of n/m each: the longest-processing-time rule (heaviest item first, to
 * the lightest pack with room), then the refinement. Ties: equal weights keep their order, equal
 * packs go by index, equal swaps by the smallest pair of positions in the sorted order. A single
 * item a pack: item i goes to pack i, and nothing is sorted. All in double, a pack's load summed in
 * sorted order, so that every implementation gives the same answer bit for bit.
 *
 * @param weight       [n] finite, >= 0; sum at most 2^60. Borrowed.
 * @param refinement   Listed or the caller's own. Borrowed.
 * @param options      NULL: MB_BALANCE_OPTIONS_DEFAULT.
 * @param pack_index   [n] pack of each item, 0..m-1. Caller-owned, written only on MB_OK.
 * @param rank_in_pack [n] place of each item in its pack, 0..n/m-1, heaviest first. Likewise.
 * @param pack_load    [m] or NULL. Likewise.
 * @param stats        or NULL. Likewise.
 * @return MB_OK; MB_ERR_SHAPE if n or m is 0 or n % m != 0; MB_ERR_RANGE naming the item;
 *         MB_ERR_PARAM for options out of range; MB_ERR_MEMORY.
 *
 * Cost: O(n log m), with a radix sort; and the rounds of the refinement, whose file states theirs.
 * Source: DeepSeek EPLB, balanced_packing (LPT); the refinements name theirs. Reentrant.
 */
MB_NODISCARD mb_status mb_pack(size_t n_items, size_t n_packs, const double *weight,
                               const mb_refinement_type *refinement,
                               const mb_balance_options *options, int32_t *pack_index,
                               int32_t *rank_in_pack, double *pack_load, mb_pack_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
