/* sim/replicas.h - internal: the slots of each expert, layer by layer. */
#ifndef MB_SIM_REPLICAS_H
#define MB_SIM_REPLICAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Of the placements in force. A layer's part is its own: layers may be used at once. */
typedef struct mb_replicas {
  size_t n_experts, n_slots, slots_per_gpu;
  bool one_per_gpu; /* of several slots of a GPU that hold an expert, only the first counts */
  int32_t *first;   /* [L,E+1] where an expert's slots begin in */
  int32_t *slot;    /* [L,P] ascending for each expert */
} mb_replicas;

/** @return MB_OK, MB_ERR_MEMORY. mb_replicas_fini() it in either case. */
MB_NODISCARD mb_status mb_replicas_init(mb_replicas *replicas, const mb_shape *shape,
                                        bool one_per_gpu);
void mb_replicas_fini(mb_replicas *replicas); /* of zeroes is fine */

/** Takes in a layer's placement [P]. O(E + P). */
void mb_replicas_place(mb_replicas *replicas, size_t layer, const int32_t *physical_to_logical_map);

/** An expert's slots [*n], n >= 1: replica r is the one on the r-th of them. */
static inline const int32_t *mb_replicas_of(const mb_replicas *replicas, size_t layer,
                                            size_t expert, size_t *n) {
  const int32_t *first = replicas->first + layer * (replicas->n_experts + 1) + expert;

  *n = (size_t)(first[1] - first[0]);
  return replicas->slot + layer * replicas->n_slots + first[0];
}

/** Gives the experts of one replica their load; fills the other slots with 0. [P] */
void mb_replicas_fill_single(const mb_replicas *replicas, size_t layer, const uint32_t *load,
                             double *slot_load);

#ifdef __cplusplus
}
#endif

#endif
