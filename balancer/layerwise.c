/* balancer/layerwise.c */
#include "balancer/layerwise.h"

#include <assert.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/load.h"
#include "balancer/nodes.h"
#include "balancer/options.h"

/* One thread's room to work in. */
typedef struct worker {
  mb_pack_scratch pack;
  double *layer_total;              /* [E] sum over the slices */
  double *group_load;               /* [G] */
  int32_t *group_node, *group_rank; /* [G] where each group went */
  int32_t *expert;                  /* [E/N] the node's list */
  double *load;                     /* [S,E/N] their loads */
  double *total;                    /* [E/N] */
  int32_t *placed;                  /* [P/N] */
  void *scratch;                    /* the planner's */
} worker;

struct mb_layerwise {
  mb_shape shape;
  mb_nodes nodes;
  size_t n_slices, n_threads;
  worker *worker; /* [n_threads] */
};

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static void worker_fini(worker *w) {
  mb_pack_scratch_fini(&w->pack);
  free(w->layer_total);
  free(w->group_load);
  free(w->group_node);
  free(w->group_rank);
  free(w->expert);
  free(w->load);
  free(w->total);
  free(w->placed);
  free(w->scratch);
}

static bool worker_init(worker *w, const mb_nodes *p, size_t n_slices, size_t scratch_size) {
  size_t lpt_size = mb_refinement_scratch_size(mb_refinement_find("lpt"), p->n_groups, p->n_nodes);
  mb_status status = mb_pack_scratch_init(&w->pack, larger(p->n_groups, p->node_slots),
                                          larger(p->n_nodes, p->node_gpus), lpt_size);

  w->layer_total = malloc(p->n_experts * sizeof *w->layer_total);
  w->group_load = malloc(p->n_groups * sizeof *w->group_load);
  w->group_node = malloc(p->n_groups * sizeof *w->group_node);
  w->group_rank = malloc(p->n_groups * sizeof *w->group_rank);
  w->expert = malloc(p->node_experts * sizeof *w->expert);
  w->load = n_slices <= SIZE_MAX / sizeof *w->load / p->node_experts
                ? malloc(n_slices * p->node_experts * sizeof *w->load)
                : NULL;
  w->total = malloc(p->node_experts * sizeof *w->total);
  w->placed = malloc(p->node_slots * sizeof *w->placed);
  w->scratch = malloc(scratch_size > 0 ? scratch_size : 1);
  return status == MB_OK && w->layer_total != NULL && w->group_load != NULL &&
         w->group_node != NULL && w->group_rank != NULL && w->expert != NULL && w->load != NULL &&
         w->total != NULL && w->placed != NULL && w->scratch != NULL;
}

static bool workers_init(mb_layerwise *made, size_t scratch_size) {
  made->worker = calloc(made->n_threads, sizeof *made->worker);
  for (size_t x = 0; made->worker != NULL && x < made->n_threads; x++) {
    if (!worker_init(&made->worker[x], &made->nodes, made->n_slices, scratch_size)) {
      return false;
    }
  }
  return made->worker != NULL;
}

mb_status mb_layerwise_create(const mb_shape *shape, size_t n_slices, size_t n_threads,
                              size_t scratch_size, mb_layerwise **made) {
  mb_layerwise *new = malloc(sizeof *new);

  if (new != NULL) {
    size_t wanted = n_threads > 0 ? n_threads : (size_t)omp_get_max_threads();
    *new = (mb_layerwise){.shape = *shape,
                          .nodes = mb_nodes_of(shape),
                          .n_slices = n_slices,
                          .n_threads = wanted < shape->n_layers ? wanted : shape->n_layers};
  }
  if (new == NULL || !workers_init(new, scratch_size)) {
    mb_layerwise_destroy(new);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots from %zu slices",
                   shape->n_experts, shape->n_slots, n_slices);
  }
  *made = new;
  return MB_OK;
}

void mb_layerwise_destroy(mb_layerwise *layerwise) {
  if (layerwise == NULL) {
    return;
  }
  for (size_t x = 0; layerwise->worker != NULL && x < layerwise->n_threads; x++) {
    worker_fini(&layerwise->worker[x]);
  }
  free(layerwise->worker);
  free(layerwise);
}

/* A layer's loads in slice s. */
static const double *slice_of(const mb_layerwise *lw, const double *load, size_t s, size_t l) {
  return load + (s * lw->shape.n_layers + l) * lw->nodes.n_experts;
}

static void pack_groups(const mb_layerwise *lw, worker *w, const double *load, size_t l) {
  const mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  const mb_nodes *p = &lw->nodes;

  memset(w->layer_total, 0, p->n_experts * sizeof *w->layer_total);
  for (size_t s = 0; s < lw->n_slices; s++) {
    const double *slice = slice_of(lw, load, s, l);
    for (size_t e = 0; e < p->n_experts; e++) {
      w->layer_total[e] += slice[e];
    }
  }
  mb_nodes_group_load(p, w->layer_total, w->group_load);
  (void)mb_pack_checked(p->n_groups, p->n_nodes, w->group_load, mb_refinement_find("lpt"), &options,
                        &w->pack, w->group_node, w->group_rank);
}

/* The node's loads by place in the list, without slices that have none: how many are left. */
static size_t gather(const mb_layerwise *lw, worker *w, const double *load, size_t l) {
  const size_t n = lw->nodes.node_experts;
  size_t n_slices = 0;

  for (size_t x = 0; x < n; x++) {
    w->total[x] = w->layer_total[w->expert[x]];
  }
  for (size_t s = 0; s < lw->n_slices; s++) {
    const double *slice = slice_of(lw, load, s, l);
    double *to = w->load + n_slices * n;
    bool any = false;
    for (size_t x = 0; x < n; x++) {
      to[x] = slice[w->expert[x]];
      any = any || to[x] > 0;
    }
    n_slices += any;
  }
  return n_slices;
}

static void place_layer(const mb_layerwise *lw, worker *w, const double *load, size_t l,
                        mb_place_node *place, const void *context, int32_t *map) {
  const mb_nodes *p = &lw->nodes;

  pack_groups(lw, w, load, l);
  for (size_t node = 0; node < p->n_nodes; node++) {
    mb_nodes_list_experts(p, node, w->group_node, w->group_rank, w->expert);
    mb_node_task task = {.n_experts = p->node_experts,
                         .n_slots = p->node_slots,
                         .n_gpus = p->node_gpus,
                         .n_slices = gather(lw, w, load, l),
                         .load = w->load,
                         .total = w->total,
                         .pack = &w->pack};
    place(&task, context, w->scratch, w->placed);
    for (size_t s = 0; s < p->node_slots; s++) {
      map[node * p->node_slots + s] = w->expert[w->placed[s]];
    }
  }
}

mb_status mb_layerwise_place(mb_layerwise *layerwise, const double *load, mb_place_node *place,
                             const void *context, const bool *wanted, int32_t *map) {
  const size_t n_layers = layerwise->shape.n_layers;
  const size_t n_slots = layerwise->shape.n_slots;

  for (size_t s = 0; s < layerwise->n_slices; s++) {
    MB_TRY(mb_load_check(&layerwise->shape, slice_of(layerwise, load, s, 0)));
  }
#pragma omp parallel for schedule(dynamic) num_threads((int)layerwise->n_threads)
  for (size_t l = 0; l < n_layers; l++) {
    if (wanted[l]) {
      place_layer(layerwise, &layerwise->worker[omp_get_thread_num()], load, l, place, context,
                  map + l * n_slots);
    }
  }
  return MB_OK;
}
