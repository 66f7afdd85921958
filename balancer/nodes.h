/* balancer/nodes.h - internal: the sizes that all layers share, and which experts a node has. */
#ifndef MB_BALANCER_NODES_H
#define MB_BALANCER_NODES_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sizes of a shape as its placements have to do with them. Global: one group on one node. */
typedef struct mb_nodes {
  size_t n_experts, n_slots, n_groups, n_nodes;
  size_t group_size;   /* experts of a group */
  size_t node_experts; /* E/N */
  size_t node_slots;   /* P/N */
  size_t node_gpus;    /* D/N */
  size_t gpu_slots;    /* P/D */
  size_t max_replicas;
} mb_nodes;

/** @param shape has passed mb_shape_check(). */
mb_nodes mb_nodes_of(const mb_shape *shape);

/** @param load [E] of a layer. @param group_load [G] sums in the order of the experts. */
void mb_nodes_group_load(const mb_nodes *nodes, const double *load, double *group_load);

/**
 * A node's list of experts: by the rank of their group in the node's pack, then by id.
 *
 * @param group_node, group_rank [G] where each group was packed.
 * @param expert                 [E/N] the list.
 */
void mb_nodes_list_experts(const mb_nodes *nodes, size_t node, const int32_t *group_node,
                           const int32_t *group_rank, int32_t *expert);

#ifdef __cplusplus
}
#endif

#endif
