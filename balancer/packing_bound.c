/* balancer/packing_bound.c */
#include "balancer/packing_bound.h"

#include "balancer/bounds.h"

double mb_bound_packing(const mb_shape *shape, const double *share,
                        const int32_t *physical_to_logical_map, double *weight) {
  size_t n_nodes = mb_shape_is_hierarchical(shape) ? shape->n_nodes : 1;
  size_t n_slots = shape->n_slots / n_nodes;
  double bound = 0;

  for (size_t node = 0; node < n_nodes; node++) {
    for (size_t p = 0; p < n_slots; p++) {
      weight[p] = share[physical_to_logical_map[node * n_slots + p]];
    }
    double of_node = mb_bound_cardinality(n_slots, shape->n_gpus / n_nodes, weight);
    bound = of_node > bound ? of_node : bound;
  }
  return bound;
}
