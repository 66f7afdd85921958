/* balancer/bounds.c */
#include "balancer/bounds.h"

#include <assert.h>
#include <stdlib.h>

#include "balancer/tournament.h"

static double larger(double a, double b) {
  return a > b ? a : b;
}

size_t mb_bounds_scratch_size(const mb_shape *shape) {
  size_t players = shape->n_experts * (2 * sizeof(mb_player) + sizeof(int32_t));
  size_t weights = shape->n_slots * sizeof(double);

  return players > weights ? players : weights;
}

double mb_bound_mean(const mb_shape *shape, const double *load) {
  double sum = 0;

  for (size_t e = 0; e < shape->n_experts; e++) {
    sum += load[e];
  }
  return sum / (double)shape->n_gpus;
}

double mb_bound_largest(const mb_shape *shape, const double *load, const int32_t *expert_count) {
  double largest = 0;

  for (size_t e = 0; e < shape->n_experts; e++) {
    largest = larger(largest, load[e] / (double)expert_count[e]);
  }
  return largest;
}

/* The nodes that replicas and groups are bound to. */
static size_t binding_nodes(const mb_shape *shape) {
  return mb_shape_is_hierarchical(shape) ? shape->n_nodes : 1;
}

size_t mb_bound_replica_limit(const mb_shape *shape) {
  size_t n_nodes = binding_nodes(shape);

  return shape->n_slots / n_nodes - (shape->n_experts / n_nodes - 1);
}

double mb_bound_replication(const mb_shape *shape, const double *load, void *scratch) {
  const size_t n = shape->n_experts;
  const size_t limit = mb_bound_replica_limit(shape);
  mb_player *neediest = scratch; /* by -load / count */
  int32_t *count = (int32_t *)(neediest + 2 * n);

  for (size_t e = 0; e < n; e++) {
    neediest[n + e] = (mb_player){-load[e], (int32_t)e};
    count[e] = 1;
  }
  mb_tournament_play(neediest, n);
  for (size_t given = n; given < shape->n_slots; given++) {
    size_t e = (size_t)neediest[1].id;
    if ((size_t)count[e] == limit) {
      break;
    }
    count[e]++;
    mb_tournament_change(neediest, n, e, -(load[e] / count[e]));
  }
  return 0 - neediest[1].key; /* not -0 */
}

static int descending(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;

  return (x < y) - (x > y);
}

double mb_bound_cardinality(size_t n_items, size_t n_packs, double *weight) {
  assert(n_packs > 0 && n_items > 0 && n_items % n_packs == 0);
  const size_t k = n_items / n_packs;

  qsort(weight, n_items, sizeof *weight, descending);
  /* From now on weight[i] is the sum from i on, so that no bound takes longer than any other. */
  for (size_t i = n_items - 1; i-- > 0;) {
    weight[i] += weight[i + 1];
  }
  double bound = weight[0] / (double)n_packs;
  for (size_t j = 0; j < k; j++) {
    size_t last = j * n_packs;
    double crowded = weight[last - j] - (last + 1 < n_items ? weight[last + 1] : 0);
    double smallest = j + 1 < k ? weight[n_items - (k - 1 - j)] : 0;
    bound = larger(bound, crowded + smallest);
  }
  return bound;
}

double mb_bound_node(const mb_shape *shape, const double *load, void *scratch) {
  double *group_load = scratch;
  size_t group_size = shape->n_experts / shape->n_groups;
  size_t node_gpus = shape->n_gpus / shape->n_nodes;

  if (!mb_shape_is_hierarchical(shape)) {
    return 0;
  }
  for (size_t g = 0; g < shape->n_groups; g++) {
    group_load[g] = 0;
    for (size_t e = g * group_size; e < (g + 1) * group_size; e++) {
      group_load[g] += load[e];
    }
  }
  return mb_bound_cardinality(shape->n_groups, shape->n_nodes, group_load) / (double)node_gpus;
}

double mb_bound_packing(const mb_shape *shape, const double *load,
                        const int32_t *physical_to_logical_map, const int32_t *expert_count,
                        void *scratch) {
  size_t n_nodes = binding_nodes(shape);
  size_t n_slots = shape->n_slots / n_nodes;
  double *weight = scratch;
  double bound = 0;

  for (size_t node = 0; node < n_nodes; node++) {
    for (size_t p = 0; p < n_slots; p++) {
      int32_t e = physical_to_logical_map[node * n_slots + p];
      weight[p] = load[e] / (double)expert_count[e];
    }
    bound = larger(bound, mb_bound_cardinality(n_slots, shape->n_gpus / n_nodes, weight));
  }
  return bound;
}

double mb_bound_any(const mb_shape *shape, const double *load, void *scratch) {
  double bound = larger(mb_bound_mean(shape, load), mb_bound_node(shape, load, scratch));

  return larger(bound, mb_bound_replication(shape, load, scratch));
}
