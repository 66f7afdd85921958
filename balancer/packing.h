/* balancer/packing.h - internal: packing of checked items in memory that the caller has. */
#ifndef MB_BALANCER_PACKING_H
#define MB_BALANCER_PACKING_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/heap.h"
#include "balancer/pack.h"

/** An item on its way to its place in the sorted order. */
typedef struct mb_pack_item {
  double weight;
  int32_t index;
} mb_pack_item;

/** Memory for packings of up to so many items and packs; not for two threads at once. */
typedef struct mb_pack_scratch {
  mb_pack_item *item;  /* [n] */
  double *weight;      /* [n] sorted */
  int32_t *pack_of;    /* [n] by sorted position */
  mb_heap_entry *heap; /* [m] packs with room, lightest first */
  int32_t *n_in_pack;  /* [m] */
  double *pack_load;   /* [m] of the last packing */
} mb_pack_scratch;

/** @return MB_OK, and mb_pack_scratch_fini() is due; MB_ERR_MEMORY, and nothing is owned. */
MB_NODISCARD mb_status mb_pack_scratch_init(mb_pack_scratch *scratch, size_t n_items,
                                            size_t n_packs);
void mb_pack_scratch_fini(mb_pack_scratch *scratch);

/** mb_pack() without its checks; the loads stay in the scratch. Fails with MB_ERR_MEMORY alone. */
MB_NODISCARD mb_status mb_pack_checked(size_t n_items, size_t n_packs, const double *weight,
                                       const mb_refinement_type *refinement,
                                       const mb_balance_options *options, mb_pack_scratch *scratch,
                                       int32_t *pack_index, int32_t *rank_in_pack,
                                       mb_pack_stats *stats);

#endif
