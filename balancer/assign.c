/* balancer/assign.c */
#include "balancer/assign.h"

#include <stdlib.h>
#include <string.h>

bool mb_assign_init(mb_assign *assign, const mb_shape *shape) {
  size_t n_gpus = shape->n_gpus;
  size_t n_nodes = mb_shape_is_hierarchical(shape) ? shape->n_nodes : 1;

  *assign = (mb_assign){.n_nodes = n_nodes,
                        .overlap = calloc(n_gpus * n_gpus, sizeof *assign->overlap),
                        .node_overlap = calloc(n_nodes * n_nodes, sizeof *assign->node_overlap),
                        .within = calloc(n_nodes * n_gpus, sizeof *assign->within),
                        .node_of = calloc(n_nodes, sizeof *assign->node_of),
                        .first_holder = calloc(shape->n_experts + 1, sizeof *assign->first_holder),
                        .holder = calloc(shape->n_slots, sizeof *assign->holder),
                        .seen = calloc(shape->n_experts, sizeof *assign->seen),
                        .map = calloc(shape->n_slots, sizeof *assign->map)};
  bool made = mb_hungarian_init(&assign->hungarian,
                                n_nodes > n_gpus / n_nodes ? n_nodes : n_gpus / n_nodes);
  return made && assign->overlap != NULL && assign->node_overlap != NULL &&
         assign->within != NULL && assign->node_of != NULL && assign->first_holder != NULL &&
         assign->holder != NULL && assign->seen != NULL && assign->map != NULL;
}

void mb_assign_fini(mb_assign *assign) {
  mb_hungarian_fini(&assign->hungarian);
  free(assign->overlap);
  free(assign->node_overlap);
  free(assign->within);
  free(assign->node_of);
  free(assign->first_holder);
  free(assign->holder);
  free(assign->seen);
  free(assign->map);
  *assign = (mb_assign){0};
}

/* Calls of this go through the GPUs in order: whether the expert is new to GPU d. */
static bool is_new(mb_assign *assign, int32_t expert, size_t d) {
  bool fresh = assign->seen[expert] != (int32_t)d + 1;

  assign->seen[expert] = (int32_t)d + 1;
  return fresh;
}

static void forget(mb_assign *assign, const mb_shape *shape) {
  memset(assign->seen, 0, shape->n_experts * sizeof *assign->seen);
}

/* The GPUs that hold each expert, each once, expert by expert. */
static void list_holders(mb_assign *assign, const mb_shape *shape, const int32_t *before) {
  size_t n_slots = shape->n_slots / shape->n_gpus;
  int32_t *first = assign->first_holder;

  memset(first, 0, (shape->n_experts + 1) * sizeof *first);
  forget(assign, shape);
  for (size_t p = 0; p < shape->n_slots; p++) {
    first[before[p] + 1] += is_new(assign, before[p], p / n_slots);
  }
  for (size_t e = 0; e < shape->n_experts; e++) {
    first[e + 1] += first[e];
  }
  forget(assign, shape);
  for (size_t p = 0; p < shape->n_slots; p++) {
    if (is_new(assign, before[p], p / n_slots)) {
      assign->holder[first[before[p]]++] = (int32_t)(p / n_slots);
    }
  }
  /* Each now is where the next one begins. */
  memmove(first + 1, first, shape->n_experts * sizeof *first);
  first[0] = 0;
}

static void count_overlap(mb_assign *assign, const mb_shape *shape, const int32_t *after) {
  size_t n_slots = shape->n_slots / shape->n_gpus;

  memset(assign->overlap, 0, shape->n_gpus * shape->n_gpus * sizeof *assign->overlap);
  forget(assign, shape);
  for (size_t p = 0; p < shape->n_slots; p++) {
    int32_t e = after[p];
    if (!is_new(assign, e, p / n_slots)) {
      continue;
    }
    for (int32_t h = assign->first_holder[e]; h < assign->first_holder[e + 1]; h++) {
      assign->overlap[(size_t)assign->holder[h] * shape->n_gpus + p / n_slots]++;
    }
  }
}

void mb_assign_layer(mb_assign *assign, const mb_shape *shape, const int32_t *before,
                     int32_t *after) {
  size_t n_nodes = assign->n_nodes;
  size_t n_gpus = shape->n_gpus / n_nodes; /* of a node */
  size_t n_slots = shape->n_slots / shape->n_gpus;

  list_holders(assign, shape, before);
  count_overlap(assign, shape, after);
  for (size_t pair = 0; pair < n_nodes * n_nodes; pair++) {
    size_t holding = pair / n_nodes * n_gpus;
    size_t wanted = pair % n_nodes * n_gpus;
    assign->node_overlap[pair] = (int32_t)mb_hungarian_solve(
        &assign->hungarian, n_gpus, shape->n_gpus,
        assign->overlap + holding * shape->n_gpus + wanted, assign->within + pair * n_gpus);
  }
  (void)mb_hungarian_solve(&assign->hungarian, n_nodes, n_nodes, assign->node_overlap,
                           assign->node_of);
  memcpy(assign->map, after, shape->n_slots * sizeof *after);
  for (size_t d = 0; d < shape->n_gpus; d++) {
    size_t node = d / n_gpus;
    size_t from = (size_t)assign->node_of[node];
    size_t set =
        from * n_gpus + (size_t)assign->within[(node * n_nodes + from) * n_gpus + d % n_gpus];
    memcpy(after + d * n_slots, assign->map + set * n_slots, n_slots * sizeof *after);
  }
}
