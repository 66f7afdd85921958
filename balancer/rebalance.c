/* balancer/rebalance.c - groups onto nodes, replicas, slots onto GPUs; layers in parallel. */
#include "balancer/rebalance.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/backend.h"
#include "balancer/load.h"
#include "balancer/nodes.h"
#include "balancer/options.h"
#include "balancer/packing.h"
#include "balancer/replicate.h"

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
  double *load;                     /* [E/N] their loads */
  int32_t *count;                   /* [E/N] replicas of each */
  mb_player *neediest;              /* [2E/N] their tournament by negated load a replica */
  int32_t *item, *replica;          /* [P/N] place x of each slot's expert; which copy it is */
  double *weight;                   /* [P/N] */
  int32_t *gpu, *rank;              /* [P/N] where each item went */
  mb_pack_stats stats;              /* of all packings of a call */
} scratch;

struct mb_workspace {
  mb_shape shape;
  mb_nodes sizes;
  size_t n_threads;
  size_t refine_size; /* bytes that a refinement may use */
  scratch *scratch;   /* [n_threads] */
};

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static void scratch_fini(scratch *w) {
  mb_pack_scratch_fini(&w->pack);
  free(w->group_load);
  free(w->group_node);
  free(w->group_rank);
  free(w->expert);
  free(w->load);
  free(w->count);
  free(w->neediest);
  free(w->item);
  free(w->replica);
  free(w->weight);
  free(w->gpu);
  free(w->rank);
}

static bool scratch_init(scratch *w, const mb_nodes *p, size_t refine_size) {
  *w = (scratch){.group_load = malloc(p->n_groups * sizeof *w->group_load),
                 .group_node = malloc(p->n_groups * sizeof *w->group_node),
                 .group_rank = malloc(p->n_groups * sizeof *w->group_rank),
                 .expert = malloc(p->node_experts * sizeof *w->expert),
                 .count = malloc(p->node_experts * sizeof *w->count),
                 .neediest = malloc(2 * p->node_experts * sizeof *w->neediest),
                 .item = malloc(p->node_slots * sizeof *w->item),
                 .replica = malloc(p->node_slots * sizeof *w->replica),
                 .weight = malloc(p->node_slots * sizeof *w->weight),
                 .gpu = malloc(p->node_slots * sizeof *w->gpu),
                 .rank = malloc(p->node_slots * sizeof *w->rank),
                 .load = malloc(p->node_experts * sizeof *w->load)};
  mb_status status = mb_pack_scratch_init(&w->pack, larger(p->n_groups, p->node_slots),
                                          larger(p->n_nodes, p->node_gpus), refine_size);
  return status == MB_OK && w->group_load != NULL && w->group_node != NULL &&
         w->group_rank != NULL && w->expert != NULL && w->load != NULL && w->count != NULL &&
         w->neediest != NULL && w->item != NULL && w->replica != NULL && w->weight != NULL &&
         w->gpu != NULL && w->rank != NULL;
}

static void pack(const method *how, scratch *w, size_t n_items, size_t n_packs,
                 const double *weight, int32_t *pack_index, int32_t *rank_in_pack) {
  mb_pack_stats stats = mb_pack_checked(n_items, n_packs, weight, how->refinement, how->options,
                                        &w->pack, pack_index, rank_in_pack);

  w->stats.rounds += stats.rounds;
  w->stats.swaps += stats.swaps;
}

static void pack_groups(const mb_nodes *p, const method *how, scratch *w, const double *load) {
  mb_nodes_group_load(p, load, w->group_load);
  pack(how, w, p->n_groups, p->n_nodes, w->group_load, w->group_node, w->group_rank);
}

static void list_experts(const mb_nodes *p, scratch *w, size_t node, const double *load) {
  mb_nodes_list_experts(p, node, w->group_node, w->group_rank, w->expert);
  for (size_t x = 0; x < p->node_experts; x++) {
    w->load[x] = load[w->expert[x]];
  }
}

static void replicate(const mb_nodes *p, const method *how, scratch *w) {
  mb_replicate(p->node_experts, p->node_slots, w->load, how->options->reference_quirks, w->neediest,
               w->count, w->item, w->replica);
}

static void pack_slots(const mb_nodes *p, const method *how, scratch *w) {
  for (size_t s = 0; s < p->node_slots; s++) {
    w->weight[s] = w->load[w->item[s]] / w->count[w->item[s]];
  }
  pack(how, w, p->node_slots, p->node_gpus, w->weight, w->gpu, w->rank);
}

/* The maps of one layer, from those of all. */
static mb_placement placement_of_layer(const mb_workspace *workspace, const mb_placement *all,
                                       size_t l) {
  const mb_nodes *p = &workspace->sizes;
  mb_placement layer = *all;

  layer.physical_to_logical_map += l * p->n_slots;
  if (layer.logical_to_physical_map != NULL) {
    layer.logical_to_physical_map += l * p->n_experts * p->max_replicas;
  }
  if (layer.expert_count != NULL) {
    layer.expert_count += l * p->n_experts;
  }
  return layer;
}

static void write_node(const mb_nodes *p, const scratch *w, size_t node, mb_placement *layer) {
  for (size_t s = 0; s < p->node_slots; s++) {
    size_t slot = node * p->node_slots + (size_t)w->gpu[s] * p->gpu_slots + (size_t)w->rank[s];
    size_t expert = (size_t)w->expert[w->item[s]];
    layer->physical_to_logical_map[slot] = (int32_t)expert;
    if (layer->logical_to_physical_map != NULL) {
      layer->logical_to_physical_map[expert * p->max_replicas + (size_t)w->replica[s]] =
          (int32_t)slot;
    }
  }
  for (size_t x = 0; layer->expert_count != NULL && x < p->node_experts; x++) {
    layer->expert_count[w->expert[x]] = w->count[x];
  }
}

static void place_layer(const mb_nodes *p, const method *how, scratch *w, const double *load,
                        mb_placement layer) {
  if (layer.logical_to_physical_map != NULL) { /* -1 in every byte is -1 */
    memset(layer.logical_to_physical_map, -1,
           p->n_experts * p->max_replicas * sizeof *layer.logical_to_physical_map);
  }
  pack_groups(p, how, w, load);
  for (size_t node = 0; node < p->n_nodes; node++) {
    list_experts(p, w, node, load);
    replicate(p, how, w);
    pack_slots(p, how, w);
    write_node(p, w, node, &layer);
  }
}

static void place_layers(mb_workspace *workspace, const method *how, const double *load,
                         const mb_placement *placement) {
  const mb_nodes *p = &workspace->sizes;
  const size_t n_layers = workspace->shape.n_layers;

  if (workspace->n_threads == 1) { /* without OpenMP, which has a price */
    for (size_t l = 0; l < n_layers; l++) {
      place_layer(p, how, workspace->scratch, load + l * p->n_experts,
                  placement_of_layer(workspace, placement, l));
    }
    return;
  }
#pragma omp parallel for schedule(dynamic) num_threads((int)workspace->n_threads)
  for (size_t l = 0; l < n_layers; l++) {
    place_layer(p, how, &workspace->scratch[omp_get_thread_num()], load + l * p->n_experts,
                placement_of_layer(workspace, placement, l));
  }
}

/* Bytes that a refinement wants for the larger of both packings. */
static size_t refine_size(const mb_nodes *p, const mb_refinement_type *refinement) {
  return larger(mb_refinement_scratch_size(refinement, p->n_groups, p->n_nodes),
                mb_refinement_scratch_size(refinement, p->node_slots, p->node_gpus));
}

static bool workspace_allocate(mb_workspace *workspace) {
  workspace->scratch = calloc(workspace->n_threads, sizeof *workspace->scratch);
  if (workspace->scratch == NULL) {
    return false;
  }
  for (size_t x = 0; x < workspace->n_threads; x++) {
    if (!scratch_init(&workspace->scratch[x], &workspace->sizes, workspace->refine_size)) {
      return false;
    }
  }
  return true;
}

/* With room for every refinement that is listed, and for `extra`. */
static mb_status workspace_create(const mb_shape *shape, size_t n_threads,
                                  const mb_refinement_type *extra, mb_workspace **workspace) {
  MB_TRY(mb_shape_check(shape));
  mb_workspace *made = malloc(sizeof *made);
  if (made != NULL) {
    size_t wanted = n_threads > 0 ? n_threads : (size_t)omp_get_max_threads();
    *made = (mb_workspace){.shape = *shape,
                           .sizes = mb_nodes_of(shape),
                           .n_threads = wanted < shape->n_layers ? wanted : shape->n_layers};
    made->refine_size = refine_size(&made->sizes, extra);
    for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
      made->refine_size = larger(made->refine_size, refine_size(&made->sizes, *type));
    }
  }
  if (made == NULL || !workspace_allocate(made)) {
    mb_workspace_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots", shape->n_experts,
                   shape->n_slots);
  }
  *workspace = made;
  return MB_OK;
}

mb_status mb_workspace_create(const mb_shape *shape, size_t n_threads, mb_workspace **workspace) {
  assert(shape != NULL && workspace != NULL);
  return workspace_create(shape, n_threads, mb_refinements()[0], workspace);
}

mb_status mb_workspace_create_for(const mb_shape *shape, size_t n_threads,
                                  const mb_refinement_type *refinement, mb_workspace **workspace) {
  assert(shape != NULL && refinement != NULL && workspace != NULL);
  return workspace_create(shape, n_threads, refinement, workspace);
}

void mb_workspace_destroy(mb_workspace *workspace) {
  if (workspace == NULL) {
    return;
  }
  for (size_t x = 0; workspace->scratch != NULL && x < workspace->n_threads; x++) {
    scratch_fini(&workspace->scratch[x]);
  }
  free(workspace->scratch);
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
  if (refine_size(&workspace->sizes, refinement) > workspace->refine_size) {
    return MB_FAIL(MB_ERR_PARAM, "%s wants %zu bytes to refine in, but the workspace has %zu",
                   refinement->name, refine_size(&workspace->sizes, refinement),
                   workspace->refine_size);
  }
  for (size_t x = 0; x < workspace->n_threads; x++) {
    workspace->scratch[x].stats = (mb_pack_stats){0};
  }
  place_layers(workspace, &how, load, placement);
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
  MB_TRY(workspace_create(shape, 0, refinement, &workspace));
  mb_status status = mb_workspace_rebalance(workspace, load, refinement, options, placement, NULL);
  mb_workspace_destroy(workspace);
  return status;
}

static mb_status backend_create_with(const mb_shape *shape, size_t n_threads, void **rebalancer) {
  mb_workspace *workspace = NULL;

  MB_TRY(mb_workspace_create(shape, n_threads, &workspace));
  *rebalancer = workspace;
  return MB_OK;
}

static mb_status backend_create(const mb_shape *shape, void **rebalancer) {
  return backend_create_with(shape, 0, rebalancer);
}

static mb_status backend_create_1(const mb_shape *shape, void **rebalancer) {
  return backend_create_with(shape, 1, rebalancer);
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

const mb_backend mb_backend_cpu_1 = {
    .name = "cpu-1",
    .create = backend_create_1,
    .rebalance = backend_rebalance,
    .destroy = backend_destroy,
};
