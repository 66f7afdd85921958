/* balancer/packing.h - internal: packing of checked items in memory that the caller has. */
#ifndef MB_BALANCER_PACKING_H
#define MB_BALANCER_PACKING_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/pack.h"
#include "balancer/tournament.h"

/** An item on its way to its place in the sorted order. */
typedef struct mb_pack_item {
  uint64_t key; /* the smaller, the heavier */
  int32_t index;
} mb_pack_item;

/** Memory for packings of up to so many items and packs; not for two threads at once. */
typedef struct mb_pack_scratch {
  mb_pack_item *item;  /* [n] in the sorted order */
  mb_pack_item *other; /* [n] while sorting */
  double *weight;      /* [n] sorted */
  int32_t *pack_of;    /* [n] by sorted position */
  mb_player *lightest; /* [2m] the packs' tournament, those with room by load */
  int32_t *n_in_pack;  /* [m] */
  double *pack_load;   /* [m] of the last packing */
  void *refine;        /* the refinement's */
} mb_pack_scratch;

/** Bytes of scratch that a refinement wants for a packing. */
size_t mb_refinement_scratch_size(const mb_refinement_type *refinement, size_t n_items,
                                  size_t n_packs);

/** @return MB_OK, and mb_pack_scratch_fini() is due; MB_ERR_MEMORY, and nothing is owned. */
MB_NODISCARD mb_status mb_pack_scratch_init(mb_pack_scratch *scratch, size_t n_items,
                                            size_t n_packs, size_t refine_size);
void mb_pack_scratch_fini(mb_pack_scratch *scratch);

/** mb_pack() without its checks and without any allocation; the loads stay in the scratch. */
mb_pack_stats mb_pack_checked(size_t n_items, size_t n_packs, const double *weight,
                              const mb_refinement_type *refinement,
                              const mb_balance_options *options, mb_pack_scratch *scratch,
                              int32_t *pack_index, int32_t *rank_in_pack);

#endif
