/* balancer/rebalance.c - groups onto nodes, replicas, slots onto GPUs; layers in parallel. */
#include "balancer/rebalance.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/options.h"
#include "balancer/packing.h"

static const double LOAD_MAX = 9007199254740992.0;          /* 2^53 */
static const double LAYER_LOAD_MAX = 1152921504606846976.0; /* 2^60 */

/* What all layers share. In global mode there is one group on one node. */
typedef struct problem {
  size_t n_experts, n_slots, n_groups, n_nodes;
  size_t group_size, node_experts, node_slots, node_gpus, gpu_slots;
  const mb_refinement_type *refinement;
  mb_balance_options options;
} problem;

/* One thread's room to work in. A node's list of experts is addressed by its places x. */
typedef struct workspace {
  mb_pack_scratch pack;
  double *group_load;               /* [G] */
  int32_t *group_node, *group_rank; /* [G] where each group went */
  int32_t *expert;                  /* [E/N] the node's list */
  int32_t *count;                   /* [E/N] replicas of each */
  mb_heap_entry *heap;              /* [E/N] largest load a replica first */
  int32_t *item, *replica;          /* [P/N] place x of each slot's expert; which copy it is */
  double *weight;                   /* [P/N] */
  int32_t *gpu, *rank;              /* [P/N] where each item went */
} workspace;

static mb_status check_load(const mb_shape *shape, const double *load) {
  for (size_t l = 0; l < shape->n_layers; l++) {
    double sum = 0;
    for (size_t e = 0; e < shape->n_experts; e++) {
      double value = load[l * shape->n_experts + e];
      if (!isfinite(value) || value < 0 || value > LOAD_MAX) {
        return MB_FAIL(MB_ERR_RANGE,
                       "load of layer %zu, expert %zu is %g, but has to be finite and in [0, 2^53]",
                       l, e, value);
      }
      sum += value;
    }
    if (sum > LAYER_LOAD_MAX) {
      return MB_FAIL(MB_ERR_RANGE, "loads of layer %zu sum to %g, but 2^60 is the most", l, sum);
    }
  }
  return MB_OK;
}

static problem problem_make(const mb_shape *shape, const mb_refinement_type *refinement,
                            const mb_balance_options *options) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  size_t n_groups = hierarchical ? shape->n_groups : 1;
  size_t n_nodes = hierarchical ? shape->n_nodes : 1;

  assert(n_groups > 0 && shape->n_experts >= n_nodes && shape->n_slots >= n_nodes);
  return (problem){.n_experts = shape->n_experts,
                   .n_slots = shape->n_slots,
                   .n_groups = n_groups,
                   .n_nodes = n_nodes,
                   .group_size = shape->n_experts / n_groups,
                   .node_experts = shape->n_experts / n_nodes,
                   .node_slots = shape->n_slots / n_nodes,
                   .node_gpus = shape->n_gpus / n_nodes,
                   .gpu_slots = shape->n_slots / shape->n_gpus,
                   .refinement = refinement,
                   .options = *options};
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static void workspace_fini(workspace *w) {
  mb_pack_scratch_fini(&w->pack);
  free(w->group_load);
  free(w->group_node);
  free(w->group_rank);
  free(w->expert);
  free(w->count);
  free(w->heap);
  free(w->item);
  free(w->replica);
  free(w->weight);
  free(w->gpu);
  free(w->rank);
}

static mb_status workspace_init(workspace *w, const problem *p) {
  *w = (workspace){.group_load = malloc(p->n_groups * sizeof *w->group_load),
                   .group_node = malloc(p->n_groups * sizeof *w->group_node),
                   .group_rank = malloc(p->n_groups * sizeof *w->group_rank),
                   .expert = malloc(p->node_experts * sizeof *w->expert),
                   .count = malloc(p->node_experts * sizeof *w->count),
                   .heap = malloc(p->node_experts * sizeof *w->heap),
                   .item = malloc(p->node_slots * sizeof *w->item),
                   .replica = malloc(p->node_slots * sizeof *w->replica),
                   .weight = malloc(p->node_slots * sizeof *w->weight),
                   .gpu = malloc(p->node_slots * sizeof *w->gpu),
                   .rank = malloc(p->node_slots * sizeof *w->rank)};
  mb_status status = mb_pack_scratch_init(&w->pack, larger(p->n_groups, p->node_slots),
                                          larger(p->n_nodes, p->node_gpus));
  if (status != MB_OK || w->group_load == NULL || w->group_node == NULL || w->group_rank == NULL ||
      w->expert == NULL || w->count == NULL || w->heap == NULL || w->item == NULL ||
      w->replica == NULL || w->weight == NULL || w->gpu == NULL || w->rank == NULL) {
    workspace_fini(w);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots", p->n_experts,
                   p->n_slots);
  }
  return MB_OK;
}

static mb_status pack_groups(const problem *p, workspace *w, const double *load) {
  mb_pack_stats stats;

  for (size_t g = 0; g < p->n_groups; g++) {
    w->group_load[g] = 0;
    for (size_t e = g * p->group_size; e < (g + 1) * p->group_size; e++) {
      w->group_load[g] += load[e];
    }
  }
  return mb_pack_checked(p->n_groups, p->n_nodes, w->group_load, p->refinement, &p->options,
                         &w->pack, w->group_node, w->group_rank, &stats);
}

/* A node's experts, by the rank of their group in the node's pack, then by id. */
static void list_experts(const problem *p, workspace *w, size_t node) {
  for (size_t g = 0; g < p->n_groups; g++) {
    if ((size_t)w->group_node[g] != node) {
      continue;
    }
    for (size_t i = 0; i < p->group_size; i++) {
      w->expert[(size_t)w->group_rank[g] * p->group_size + i] = (int32_t)(g * p->group_size + i);
    }
  }
}

static void give_replica(workspace *w, size_t slot, size_t x) {
  w->item[slot] = (int32_t)x;
  w->replica[slot] = w->count[x]++;
}

/* One replica each, then one more for whoever has the largest load a replica: a heap of negated
   quotients gives the first in the list on a tie. */
static void replicate(const problem *p, workspace *w, const double *load) {
  bool any_load = false;

  for (size_t x = 0; x < p->node_experts; x++) {
    double value = load[w->expert[x]];
    w->count[x] = 0;
    give_replica(w, x, x);
    w->heap[x] = (mb_heap_entry){-value, (int32_t)x};
    any_load = any_load || value > 0;
  }
  mb_heap_make(w->heap, p->node_experts);
  for (size_t s = p->node_experts; s < p->node_slots; s++) {
    if (!any_load && !p->options.reference_quirks) {
      give_replica(w, s, (size_t)w->item[s - p->node_experts]);
      continue;
    }
    size_t x = (size_t)w->heap[0].id;
    give_replica(w, s, x);
    w->heap[0].key = -(load[w->expert[x]] / w->count[x]);
    mb_heap_sink(w->heap, p->node_experts, 0);
  }
}

static mb_status pack_slots(const problem *p, workspace *w, const double *load) {
  mb_pack_stats stats;

  for (size_t s = 0; s < p->node_slots; s++) {
    w->weight[s] = load[w->expert[w->item[s]]] / w->count[w->item[s]];
  }
  return mb_pack_checked(p->node_slots, p->node_gpus, w->weight, p->refinement, &p->options,
                         &w->pack, w->gpu, w->rank, &stats);
}

/* Fills one layer's slots [P]: the expert that each holds, and which of its replicas. */
static mb_status place_layer(const problem *p, workspace *w, const double *load,
                             int32_t *expert_of_slot, int32_t *replica_of_slot) {
  MB_TRY(pack_groups(p, w, load));
  for (size_t node = 0; node < p->n_nodes; node++) {
    list_experts(p, w, node);
    replicate(p, w, load);
    MB_TRY(pack_slots(p, w, load));
    for (size_t s = 0; s < p->node_slots; s++) {
      size_t slot = node * p->node_slots + (size_t)w->gpu[s] * p->gpu_slots + (size_t)w->rank[s];
      expert_of_slot[slot] = w->expert[w->item[s]];
      replica_of_slot[slot] = w->replica[s];
    }
  }
  return MB_OK;
}

/* All layers; running out of memory is the one thing that can go wrong here. */
static mb_status place_layers(const problem *p, size_t n_layers, const double *load,
                              int32_t *expert_of_slot, int32_t *replica_of_slot) {
  bool failed = false;

#pragma omp parallel reduction(|| : failed)
  {
    workspace w;
    bool ready = workspace_init(&w, p) == MB_OK;
    failed = !ready;
#pragma omp for schedule(dynamic)
    for (size_t l = 0; l < n_layers; l++) {
      if (!failed && place_layer(p, &w, load + l * p->n_experts, expert_of_slot + l * p->n_slots,
                                 replica_of_slot + l * p->n_slots) != MB_OK) {
        failed = true;
      }
    }
    if (ready) {
      workspace_fini(&w);
    }
  }
  if (failed) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots", p->n_experts,
                   p->n_slots);
  }
  return MB_OK;
}

static void write_maps(const mb_shape *shape, const int32_t *expert_of_slot,
                       const int32_t *replica_of_slot, mb_placement *placement) {
  size_t n_replicas = mb_shape_max_replicas(shape);
  size_t n_rows = shape->n_layers * shape->n_experts;

  memcpy(placement->physical_to_logical_map, expert_of_slot,
         shape->n_layers * shape->n_slots * sizeof *expert_of_slot);
  if (placement->expert_count != NULL) {
    memset(placement->expert_count, 0, n_rows * sizeof *placement->expert_count);
  }
  if (placement->logical_to_physical_map != NULL) {
    for (size_t x = 0; x < n_rows * n_replicas; x++) {
      placement->logical_to_physical_map[x] = -1;
    }
  }
  for (size_t s = 0; s < shape->n_layers * shape->n_slots; s++) {
    size_t row = s / shape->n_slots * shape->n_experts + (size_t)expert_of_slot[s];
    if (placement->expert_count != NULL) {
      placement->expert_count[row]++;
    }
    if (placement->logical_to_physical_map != NULL) {
      placement->logical_to_physical_map[row * n_replicas + (size_t)replica_of_slot[s]] =
          (int32_t)(s % shape->n_slots);
    }
  }
}

mb_status mb_rebalance(const mb_shape *shape, const double *load,
                       const mb_refinement_type *refinement, const mb_balance_options *options,
                       mb_placement *placement) {
  const mb_balance_options used = options != NULL ? *options : MB_BALANCE_OPTIONS_DEFAULT;

  assert(shape != NULL && load != NULL && refinement != NULL && placement != NULL);
  MB_TRY(mb_shape_check(shape));
  MB_TRY(mb_balance_options_check(&used));
  MB_TRY(check_load(shape, load));
  problem p = problem_make(shape, refinement, &used);
  size_t n = shape->n_layers * shape->n_slots;
  assert(n > 0);
  int32_t *slots = calloc(2 * n, sizeof *slots);
  if (slots == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots", p.n_experts,
                   p.n_slots);
  }
  mb_status status = place_layers(&p, shape->n_layers, load, slots, slots + n);
  if (status == MB_OK) {
    write_maps(shape, slots, slots + n, placement);
  }
  free(slots);
  return status;
}
