/* balancer/naive/rebalance.c */
#include "balancer/naive/naive.h"

#include <stdlib.h>
#include <string.h>

/* The problem, its sizes on one node, and room to work in. */
typedef struct layer_work {
  size_t n_experts, n_slots, n_groups, n_nodes, n_gpus; /* global mode: one group, one node */
  size_t group_size, node_groups, node_experts, node_slots, node_gpus, gpu_slots, max_replicas;
  const char *refinement;
  const mb_balance_options *options;
  double *group_load;               /* [G] */
  int32_t *group_node, *group_rank; /* [G] where each group went */
  int32_t *expert;                  /* [E/N] the node's list of experts */
  double *load;                     /* [E/N] their loads */
  int32_t *count;                   /* [E/N] their replicas */
  int32_t *item, *replica;          /* [P/N] place in the list of each slot's expert; which copy */
  double *weight;                   /* [P/N] */
  int32_t *gpu, *rank;              /* [P/N] where each slot's item went */
  mb_pack_stats stats;              /* of all packings so far */
} layer_work;

static bool work_init(layer_work *w, const mb_shape *shape) {
  bool global = !mb_shape_is_hierarchical(shape);

  w->n_experts = shape->n_experts;
  w->n_slots = shape->n_slots;
  w->n_groups = global ? 1 : shape->n_groups;
  w->n_nodes = global ? 1 : shape->n_nodes;
  w->n_gpus = shape->n_gpus;
  w->group_size = w->n_experts / w->n_groups;
  w->node_groups = w->n_groups / w->n_nodes;
  w->node_experts = w->n_experts / w->n_nodes;
  w->node_slots = w->n_slots / w->n_nodes;
  w->node_gpus = w->n_gpus / w->n_nodes;
  w->gpu_slots = w->n_slots / w->n_gpus;
  w->max_replicas = mb_shape_max_replicas(shape);
  w->group_load = calloc(w->n_groups, sizeof *w->group_load);
  w->group_node = calloc(w->n_groups, sizeof *w->group_node);
  w->group_rank = calloc(w->n_groups, sizeof *w->group_rank);
  w->expert = calloc(w->node_experts, sizeof *w->expert);
  w->load = calloc(w->node_experts, sizeof *w->load);
  w->count = calloc(w->node_experts, sizeof *w->count);
  w->item = calloc(w->node_slots, sizeof *w->item);
  w->replica = calloc(w->node_slots, sizeof *w->replica);
  w->weight = calloc(w->node_slots, sizeof *w->weight);
  w->gpu = calloc(w->node_slots, sizeof *w->gpu);
  w->rank = calloc(w->node_slots, sizeof *w->rank);
  return w->group_load != NULL && w->group_node != NULL && w->group_rank != NULL &&
         w->expert != NULL && w->load != NULL && w->count != NULL && w->item != NULL &&
         w->replica != NULL && w->weight != NULL && w->gpu != NULL && w->rank != NULL;
}

static void work_fini(layer_work *w) {
  free(w->group_load);
  free(w->group_node);
  free(w->group_rank);
  free(w->expert);
  free(w->load);
  free(w->count);
  free(w->item);
  free(w->replica);
  free(w->weight);
  free(w->gpu);
  free(w->rank);
}

static mb_status pack(layer_work *w, size_t n_items, size_t n_packs, const double *weight,
                      int32_t *pack_index, int32_t *rank_in_pack) {
  mb_pack_stats stats;

  MB_TRY(mb_naive_pack(n_items, n_packs, weight, w->refinement, w->options, pack_index,
                       rank_in_pack, NULL, &stats));
  w->stats.rounds += stats.rounds;
  w->stats.swaps += stats.swaps;
  return MB_OK;
}

/* Step 1: groups onto nodes. */
static mb_status pack_groups(layer_work *w, const double *load) {
  for (size_t g = 0; g < w->n_groups; g++) {
    w->group_load[g] = 0;
    for (size_t e = g * w->group_size; e < (g + 1) * w->group_size; e++) {
      w->group_load[g] += load[e];
    }
  }
  return pack(w, w->n_groups, w->n_nodes, w->group_load, w->group_node, w->group_rank);
}

/* A node's experts: by the rank of their group in the node's pack, then by id. */
static void list_experts(layer_work *w, const double *load, size_t node) {
  for (size_t g = 0; g < w->n_groups; g++) {
    if ((size_t)w->group_node[g] != node) {
      continue;
    }
    for (size_t x = 0; x < w->group_size; x++) {
      size_t at = (size_t)w->group_rank[g] * w->group_size + x;
      w->expert[at] = (int32_t)(g * w->group_size + x);
      w->load[at] = load[w->expert[at]];
    }
  }
}

/* The place in the list with the largest load a replica, the first on a tie. */
static size_t neediest(const layer_work *w) {
  size_t best = 0;

  for (size_t x = 1; x < w->node_experts; x++) {
    if (w->load[x] / w->count[x] > w->load[best] / w->count[best]) {
      best = x;
    }
  }
  return best;
}

static bool has_load(const layer_work *w) {
  for (size_t x = 0; x < w->node_experts; x++) {
    if (w->load[x] > 0) {
      return true;
    }
  }
  return false;
}

/* Step 2: first every expert of the list, then the extra replicas in the order of giving. */
static void replicate(layer_work *w) {
  bool round_robin = !has_load(w) && !w->options->reference_quirks;

  for (size_t s = 0; s < w->node_slots; s++) {
    size_t x = s;
    if (s < w->node_experts) {
      w->count[x] = 0;
    } else {
      x = round_robin ? (size_t)w->item[s - w->node_experts] : neediest(w);
    }
    w->item[s] = (int32_t)x;
    w->replica[s] = w->count[x]++;
  }
}

/* Step 3: the node's slots onto its GPUs. */
static mb_status pack_slots(layer_work *w) {
  for (size_t s = 0; s < w->node_slots; s++) {
    w->weight[s] = w->load[w->item[s]] / w->count[w->item[s]];
  }
  return pack(w, w->node_slots, w->node_gpus, w->weight, w->gpu, w->rank);
}

static void write_node(const layer_work *w, size_t layer, size_t node, mb_placement *placement) {
  for (size_t s = 0; s < w->node_slots; s++) {
    size_t slot = node * w->node_slots + (size_t)w->gpu[s] * w->gpu_slots + (size_t)w->rank[s];
    int32_t expert = w->expert[w->item[s]];
    size_t row = layer * w->n_experts + (size_t)expert;

    placement->physical_to_logical_map[layer * w->n_slots + slot] = expert;
    if (placement->logical_to_physical_map != NULL) {
      placement->logical_to_physical_map[row * w->max_replicas + (size_t)w->replica[s]] =
          (int32_t)slot;
    }
    if (placement->expert_count != NULL) {
      placement->expert_count[row] = w->count[w->item[s]];
    }
  }
}

static mb_status rebalance_layer(layer_work *w, size_t layer, const double *load,
                                 mb_placement *placement) {
  if (placement->logical_to_physical_map != NULL) {
    size_t row = w->n_experts * w->max_replicas;
    for (size_t x = layer * row; x < (layer + 1) * row; x++) {
      placement->logical_to_physical_map[x] = -1;
    }
  }
  MB_TRY(pack_groups(w, load));
  for (size_t node = 0; node < w->n_nodes; node++) {
    list_experts(w, load, node);
    replicate(w);
    MB_TRY(pack_slots(w));
    write_node(w, layer, node, placement);
  }
  return MB_OK;
}

mb_status mb_naive_rebalance(const mb_shape *shape, const double *load, const char *refinement,
                             const mb_balance_options *options, mb_placement *placement,
                             mb_pack_stats *stats) {
  const mb_balance_options defaults = MB_BALANCE_OPTIONS_DEFAULT;
  layer_work w = {.refinement = refinement, .options = options != NULL ? options : &defaults};
  mb_status status = MB_OK;

  MB_TRY(mb_shape_check(shape));
  if (!work_init(&w, shape)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts", shape->n_experts);
  }
  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    status = rebalance_layer(&w, l, load + l * shape->n_experts, placement);
  }
  work_fini(&w);
  if (status == MB_OK && stats != NULL) {
    *stats = w.stats;
  }
  return status;
}
