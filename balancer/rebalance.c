/* balancer/rebalance.c - groups onto nodes, replicas, slots onto GPUs; layers in parallel. */
#include "balancer/rebalance.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/backend.h"
#include "balancer/load.h"
#include "balancer/options.h"
#include "balancer/packing.h"

/* The sizes that all layers share. In global mode there is one group on one node. */
typedef struct sizes {
  size_t n_experts, n_slots, n_groups, n_nodes;
  size_t group_size, node_experts, node_slots, node_gpus, gpu_slots;
} sizes;

/* How one call packs. */
typedef struct method {
  const mb_refinement_type *refinement;
  const mb_balance_options *options;
} method;

/* One thread's room to work in. A node's list of experts is addressed by its places x. */
typedef struct scratch {
  mb_pack_scratch pack;
  double *group_load;               /* [G] */
  int32_t *group_node, *group_rank; /* [G] where each group went */
  int32_t *expert;                  /* [E/N] the node's list */
  int32_t *count;                   /* [E/N] replicas of each */
  mb_heap_entry *heap;              /* [E/N] largest load a replica first */
  int32_t *item, *replica;          /* [P/N] place x of each slot's expert; which copy it is */
  double *weight;                   /* [P/N] */
  int32_t *gpu, *rank;              /* [P/N] where each item went */
  mb_pack_stats stats;              /* of all packings of a call */
} scratch;

struct mb_workspace {
  mb_shape shape;
  sizes sizes;
  size_t n_threads;
  scratch *scratch;         /* [n_threads] */
  int32_t *expert_of_slot;  /* [L,P] */
  int32_t *replica_of_slot; /* [L,P] */
};

static sizes sizes_of(const mb_shape *shape) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  size_t n_groups = hierarchical ? shape->n_groups : 1;
  size_t n_nodes = hierarchical ? shape->n_nodes : 1;

  assert(n_groups > 0 && shape->n_experts >= n_nodes && shape->n_slots >= n_nodes);
  return (sizes){.n_experts = shape->n_experts,
                 .n_slots = shape->n_slots,
                 .n_groups = n_groups,
                 .n_nodes = n_nodes,
                 .group_size = shape->n_experts / n_groups,
                 .node_experts = shape->n_experts / n_nodes,
                 .node_slots = shape->n_slots / n_nodes,
                 .node_gpus = shape->n_gpus / n_nodes,
                 .gpu_slots = shape->n_slots / shape->n_gpus};
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static void scratch_fini(scratch *w) {
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

static bool scratch_init(scratch *w, const sizes *p) {
  *w = (scratch){.group_load = malloc(p->n_groups * sizeof *w->group_load),
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
  return status == MB_OK && w->group_load != NULL && w->group_node != NULL &&
         w->group_rank != NULL && w->expert != NULL && w->count != NULL && w->heap != NULL &&
         w->item != NULL && w->replica != NULL && w->weight != NULL && w->gpu != NULL &&
         w->rank != NULL;
}

static mb_status pack(const method *how, scratch *w, size_t n_items, size_t n_packs,
                      const double *weight, int32_t *pack_index, int32_t *rank_in_pack) {
  mb_pack_stats stats;

  MB_TRY(mb_pack_checked(n_items, n_packs, weight, how->refinement, how->options, &w->pack,
                         pack_index, rank_in_pack, &stats));
  w->stats.rounds += stats.rounds;
  w->stats.swaps += stats.swaps;
  return MB_OK;
}

static mb_status pack_groups(const sizes *p, const method *how, scratch *w, const double *load) {
  for (size_t g = 0; g < p->n_groups; g++) {
    w->group_load[g] = 0;
    for (size_t e = g * p->group_size; e < (g + 1) * p->group_size; e++) {
      w->group_load[g] += load[e];
    }
  }
  return pack(how, w, p->n_groups, p->n_nodes, w->group_load, w->group_node, w->group_rank);
}

/* A node's experts, by the rank of their group in the node's pack, then by id. */
static void list_experts(const sizes *p, scratch *w, size_t node) {
  for (size_t g = 0; g < p->n_groups; g++) {
    if ((size_t)w->group_node[g] != node) {
      continue;
    }
    for (size_t i = 0; i < p->group_size; i++) {
      w->expert[(size_t)w->group_rank[g] * p->group_size + i] = (int32_t)(g * p->group_size + i);
    }
  }
}

static void give_replica(scratch *w, size_t slot, size_t x) {
  w->item[slot] = (int32_t)x;
  w->replica[slot] = w->count[x]++;
}

/* One replica each, then one more for whoever has the largest load a replica: a heap of negated
   quotients gives the first in the list on a tie. */
static void replicate(const sizes *p, const method *how, scratch *w, const double *load) {
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
    if (!any_load && !how->options->reference_quirks) {
      give_replica(w, s, (size_t)w->item[s - p->node_experts]);
      continue;
    }
    size_t x = (size_t)w->heap[0].id;
    give_replica(w, s, x);
    w->heap[0].key = -(load[w->expert[x]] / w->count[x]);
    mb_heap_sink(w->heap, p->node_experts, 0);
  }
}

static mb_status pack_slots(const sizes *p, const method *how, scratch *w, const double *load) {
  for (size_t s = 0; s < p->node_slots; s++) {
    w->weight[s] = load[w->expert[w->item[s]]] / w->count[w->item[s]];
  }
  return pack(how, w, p->node_slots, p->node_gpus, w->weight, w->gpu, w->rank);
}

/* Fills one layer's slots [P]: the expert that each holds, and which of its replicas. */
static mb_status place_layer(const sizes *p, const method *how, scratch *w, const double *load,
                             int32_t *expert_of_slot, int32_t *replica_of_slot) {
  MB_TRY(pack_groups(p, how, w, load));
  for (size_t node = 0; node < p->n_nodes; node++) {
    list_experts(p, w, node);
    replicate(p, how, w, load);
    MB_TRY(pack_slots(p, how, w, load));
    for (size_t s = 0; s < p->node_slots; s++) {
      size_t slot = node * p->node_slots + (size_t)w->gpu[s] * p->gpu_slots + (size_t)w->rank[s];
      expert_of_slot[slot] = w->expert[w->item[s]];
      replica_of_slot[slot] = w->replica[s];
    }
  }
  return MB_OK;
}

/* All layers; running out of memory is the one thing that can go wrong here. */
static mb_status place_layers(mb_workspace *workspace, const method *how, const double *load) {
  const sizes *p = &workspace->sizes;
  bool failed = false;

#pragma omp parallel for schedule(dynamic) reduction(||        \
                                                     : failed) \
    num_threads((int)workspace->n_threads)
  for (size_t l = 0; l < workspace->shape.n_layers; l++) {
    failed = place_layer(p, how, &workspace->scratch[omp_get_thread_num()], load + l * p->n_experts,
                         workspace->expert_of_slot + l * p->n_slots,
                         workspace->replica_of_slot + l * p->n_slots) != MB_OK ||
             failed;
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

static bool workspace_allocate(mb_workspace *workspace) {
  size_t n = workspace->shape.n_layers * workspace->shape.n_slots;

  workspace->expert_of_slot = malloc(n * sizeof *workspace->expert_of_slot);
  workspace->replica_of_slot = malloc(n * sizeof *workspace->replica_of_slot);
  workspace->scratch = calloc(workspace->n_threads, sizeof *workspace->scratch);
  if (workspace->expert_of_slot == NULL || workspace->replica_of_slot == NULL ||
      workspace->scratch == NULL) {
    return false;
  }
  for (size_t x = 0; x < workspace->n_threads; x++) {
    if (!scratch_init(&workspace->scratch[x], &workspace->sizes)) {
      return false;
    }
  }
  return true;
}

mb_status mb_workspace_create(const mb_shape *shape, size_t n_threads, mb_workspace **workspace) {
  assert(shape != NULL && workspace != NULL);
  MB_TRY(mb_shape_check(shape));
  mb_workspace *made = malloc(sizeof *made);
  if (made != NULL) {
    size_t wanted = n_threads > 0 ? n_threads : (size_t)omp_get_max_threads();
    *made = (mb_workspace){.shape = *shape,
                           .sizes = sizes_of(shape),
                           .n_threads = wanted < shape->n_layers ? wanted : shape->n_layers};
  }
  if (made == NULL || !workspace_allocate(made)) {
    mb_workspace_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots", shape->n_experts,
                   shape->n_slots);
  }
  *workspace = made;
  return MB_OK;
}

void mb_workspace_destroy(mb_workspace *workspace) {
  if (workspace == NULL) {
    return;
  }
  for (size_t x = 0; workspace->scratch != NULL && x < workspace->n_threads; x++) {
    scratch_fini(&workspace->scratch[x]);
  }
  free(workspace->scratch);
  free(workspace->expert_of_slot);
  free(workspace->replica_of_slot);
  free(workspace);
}

static mb_pack_stats sum_stats(const mb_workspace *workspace) {
  mb_pack_stats sum = {0};

  for (size_t x = 0; x < workspace->n_threads; x++) {
    sum.rounds += workspace->scratch[x].stats.rounds;
    sum.swaps += workspace->scratch[x].stats.swaps;
  }
  return sum;
}

mb_status mb_workspace_rebalance(mb_workspace *workspace, const double *load,
                                 const mb_refinement_type *refinement,
                                 const mb_balance_options *options, mb_placement *placement,
                                 mb_pack_stats *stats) {
  const mb_balance_options used = options != NULL ? *options : MB_BALANCE_OPTIONS_DEFAULT;
  const method how = {refinement, &used};

  assert(workspace != NULL && load != NULL && refinement != NULL && placement != NULL);
  MB_TRY(mb_balance_options_check(&used));
  MB_TRY(mb_load_check(&workspace->shape, load));
  for (size_t x = 0; x < workspace->n_threads; x++) {
    workspace->scratch[x].stats = (mb_pack_stats){0};
  }
  MB_TRY(place_layers(workspace, &how, load));
  write_maps(&workspace->shape, workspace->expert_of_slot, workspace->replica_of_slot, placement);
  if (stats != NULL) {
    *stats = sum_stats(workspace);
  }
  return MB_OK;
}

mb_status mb_rebalance(const mb_shape *shape, const double *load,
                       const mb_refinement_type *refinement, const mb_balance_options *options,
                       mb_placement *placement) {
  mb_workspace *workspace = NULL;

  assert(shape != NULL && load != NULL && refinement != NULL && placement != NULL);
  MB_TRY(mb_workspace_create(shape, 0, &workspace));
  mb_status status = mb_workspace_rebalance(workspace, load, refinement, options, placement, NULL);
  mb_workspace_destroy(workspace);
  return status;
}

static mb_status backend_create(const mb_shape *shape, void **rebalancer) {
  mb_workspace *workspace = NULL;

  MB_TRY(mb_workspace_create(shape, 0, &workspace));
  *rebalancer = workspace;
  return MB_OK;
}

static mb_status backend_rebalance(void *rebalancer, const double *load,
                                   const mb_refinement_type *refinement,
                                   const mb_balance_options *options, mb_placement *placement,
                                   mb_pack_stats *stats) {
  return mb_workspace_rebalance(rebalancer, load, refinement, options, placement, stats);
}

static void backend_destroy(void *rebalancer) {
  mb_workspace_destroy(rebalancer);
}

const mb_backend mb_backend_cpu = {
    .name = "cpu",
    .create = backend_create,
    .rebalance = backend_rebalance,
    .destroy = backend_destroy,
};
