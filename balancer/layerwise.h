/* balancer/layerwise.h - internal: what planners share that place a node at a time, from slices.
 *
 * Each layer by itself, as EPLB does: groups to nodes (LPT, by the loads' sum), then each node's
 * list of experts is handed to the planner's own function, which gives every slot of the node an
 * expert. Global: one group on one node.
 */
#ifndef MB_BALANCER_LAYERWISE_H
#define MB_BALANCER_LAYERWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/packing.h"
#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A node of a layer. Experts go by their place x in the node's list. All borrowed for the call. */
typedef struct mb_node_task {
  size_t n_experts, n_slots, n_gpus; /* of the node */
  size_t n_slices;                   /* S, without those in which the node has no load; may be 0 */
  const double *load;                /* [S,n_experts] tokens */
  const double *total;               /* [n_experts] sum over the slices */
  mb_pack_scratch *pack;             /* for packings of up to n_slots items into n_gpus packs */
} mb_node_task;

/**
 * Places a node's experts. Allocates nothing; the answer depends on the task and context alone.
 *
 * @param scratch of the size that mb_layerwise_create() was told, aligned for any type.
 * @param placed  [n_slots] the expert of each slot, GPU after GPU; each expert at least once.
 */
typedef void mb_place_node(const mb_node_task *task, const void *context, void *scratch,
                           int32_t *placed);

/** Memory for one shape, to be used again and again; not for two callers at once. */
typedef struct mb_layerwise mb_layerwise;

/**
 * @param n_threads 0: as many as OpenMP would use now.
 * @param made      Transferred: mb_layerwise_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_layerwise_create(const mb_shape *shape, size_t n_slices, size_t n_threads,
                                           size_t scratch_size, mb_layerwise **made);

/**
 * Places the layers that are wanted, in parallel; the same for any number of threads.
 *
 * @param load   [S,L,E] tokens; each slice as mb_rebalance() wants its loads.
 * @param wanted [L].
 * @param map    [L,P] rows of wanted layers are written.
 * @return MB_OK; MB_ERR_RANGE naming layer and expert, with nothing written.
 */
MB_NODISCARD mb_status mb_layerwise_place(mb_layerwise *layerwise, const double *load,
                                          mb_place_node *place, const void *context,
                                          const bool *wanted, int32_t *map);

void mb_layerwise_destroy(mb_layerwise *layerwise); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
