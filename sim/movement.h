/* sim/movement.h - where a layer's new weights come from, and which links they take. */
#ifndef MB_SIM_MOVEMENT_H
#define MB_SIM_MOVEMENT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Copies of experts, by where they come from, and the most that a GPU has of them. */
typedef struct mb_movement {
  int64_t same_gpu;   /* from another slot of the GPU */
  int64_t intra_node; /* from another GPU of the node */
  int64_t inter_node; /* from another node: no GPU of this one held the expert */
  int64_t same_gpu_max, intra_node_max, inter_node_max; /* that a GPU copies, sends or receives */
} mb_movement;

/** Scratch for mb_movement_find(). */
typedef struct mb_movement_scratch mb_movement_scratch;

/** @param scratch Transferred. @return MB_OK; MB_ERR_MEMORY. Memory: O(P + E + D). */
MB_NODISCARD mb_status mb_movement_scratch_create(const mb_shape *shape,
                                                  mb_movement_scratch **scratch);
void mb_movement_scratch_destroy(mb_movement_scratch *scratch); /* NULL is fine */

/**
 * What one layer's change of placement copies. Every slot that holds another expert after than
 * before is a copy. It is one from the same GPU where that held the expert before, or where an
 * earlier slot of it gets the expert too; otherwise from a GPU of the node, where one held it
 * before, or else from another node. So intra_node + inter_node is moved_experts. Of several GPUs
 * that could send, the one sends that has sent least so far over that link, the first on a tie.
 *
 * @param before, after [P] Borrowed.
 * Cost: O(P + copies x replicas).
 */
void mb_movement_find(const mb_shape *shape, const int32_t *before, const int32_t *after,
                      mb_movement_scratch *scratch, mb_movement *movement);

#ifdef __cplusplus
}
#endif

#endif
