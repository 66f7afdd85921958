/* balancer/nodes.c */
#include "balancer/nodes.h"

#include <assert.h>

mb_nodes mb_nodes_of(const mb_shape *shape) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  size_t n_groups = hierarchical ? shape->n_groups : 1;
  size_t n_nodes = hierarchical ? shape->n_nodes : 1;

  assert(n_groups > 0 && shape->n_experts >= n_nodes && shape->n_slots >= n_nodes);
  return (mb_nodes){.n_experts = shape->n_experts,
                    .n_slots = shape->n_slots,
                    .n_groups = n_groups,
                    .n_nodes = n_nodes,
                    .group_size = shape->n_experts / n_groups,
                    .node_experts = shape->n_experts / n_nodes,
                    .node_slots = shape->n_slots / n_nodes,
                    .node_gpus = shape->n_gpus / n_nodes,
                    .gpu_slots = shape->n_slots / shape->n_gpus,
                    .max_replicas = mb_shape_max_replicas(shape)};
}

void mb_nodes_group_load(const mb_nodes *nodes, const double *load, double *group_load) {
  for (size_t g = 0; g < nodes->n_groups; g++) {
    group_load[g] = 0;
    for (size_t e = g * nodes->group_size; e < (g + 1) * nodes->group_size; e++) {
      group_load[g] += load[e];
    }
  }
}

void mb_nodes_list_experts(const mb_nodes *nodes, size_t node, const int32_t *group_node,
                           const int32_t *group_rank, int32_t *expert) {
  for (size_t g = 0; g < nodes->n_groups; g++) {
    if ((size_t)group_node[g] != node) {
      continue;
    }
    for (size_t i = 0; i < nodes->group_size; i++) {
      expert[(size_t)group_rank[g] * nodes->group_size + i] = (int32_t)(g * nodes->group_size + i);
    }
  }
}
