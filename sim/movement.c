/* sim/movement.c */
#include "sim/movement.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The GPUs that held expert e before are those of the slots first[e], next[first[e]], ..., -1. */
struct mb_movement_scratch {
  int32_t *first;  /* [E] */
  int32_t *next;   /* [P] */
  int32_t *seen;   /* [E] the GPU, counted from 1, that got the expert last */
  int64_t *sent;   /* [D,2] over the node's links, and the network */
  int64_t *gotten; /* [D,2] */
};

enum { INTRA, INTER };

mb_status mb_movement_scratch_create(const mb_shape *shape, mb_movement_scratch **scratch) {
  mb_movement_scratch *made = calloc(1, sizeof *made);

  if (made != NULL) {
    made->first = calloc(shape->n_experts, sizeof *made->first);
    made->next = calloc(shape->n_slots, sizeof *made->next);
    made->seen = calloc(shape->n_experts, sizeof *made->seen);
    made->sent = calloc(2 * shape->n_gpus, sizeof *made->sent);
    made->gotten = calloc(2 * shape->n_gpus, sizeof *made->gotten);
  }
  if (made == NULL || made->first == NULL || made->next == NULL || made->seen == NULL ||
      made->sent == NULL || made->gotten == NULL) {
    mb_movement_scratch_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to see what moves between %zu slots", shape->n_slots);
  }
  *scratch = made;
  return MB_OK;
}

void mb_movement_scratch_destroy(mb_movement_scratch *scratch) {
  if (scratch == NULL) {
    return;
  }
  free(scratch->first);
  free(scratch->next);
  free(scratch->seen);
  free(scratch->sent);
  free(scratch->gotten);
  free(scratch);
}

static void note_holders(const mb_shape *shape, const int32_t *before,
                         mb_movement_scratch *scratch) {
  for (size_t e = 0; e < shape->n_experts; e++) {
    scratch->first[e] = -1;
    scratch->seen[e] = 0;
  }
  /* From the last slot on, so that the lists ascend. */
  for (size_t p = shape->n_slots; p-- > 0;) {
    scratch->next[p] = scratch->first[before[p]];
    scratch->first[before[p]] = (int32_t)p;
  }
  memset(scratch->sent, 0, 2 * shape->n_gpus * sizeof *scratch->sent);
  memset(scratch->gotten, 0, 2 * shape->n_gpus * sizeof *scratch->gotten);
}

typedef struct sources {
  bool own;
  int64_t sender[2]; /* over the node's links, and the network; -1: none */
} sources;

static sources find_sources(const mb_shape *shape, const mb_movement_scratch *scratch, size_t gpu,
                            int32_t expert) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  size_t gpus_per_node = shape->n_gpus / shape->n_nodes;
  sources found = {scratch->seen[expert] == (int32_t)gpu + 1, {-1, -1}};

  for (int32_t p = scratch->first[expert]; p >= 0; p = scratch->next[p]) {
    size_t holder = (size_t)p / slots_per_gpu;
    int link = holder / gpus_per_node == gpu / gpus_per_node ? INTRA : INTER;
    int64_t best = found.sender[link];
    found.own = found.own || holder == gpu;
    if (best < 0 ||
        scratch->sent[2 * holder + (size_t)link] < scratch->sent[2 * (size_t)best + (size_t)link]) {
      found.sender[link] = (int64_t)holder;
    }
  }
  return found;
}

static int64_t busiest(const mb_shape *shape, const mb_movement_scratch *scratch, size_t link) {
  int64_t most = 0;

  for (size_t d = 0; d < shape->n_gpus; d++) {
    int64_t sent = scratch->sent[2 * d + link];
    int64_t gotten = scratch->gotten[2 * d + link];
    most = sent > most ? sent : most;
    most = gotten > most ? gotten : most;
  }
  return most;
}

/* @return the copies that the GPU makes of its own. */
static int64_t fill_gpu(const mb_shape *shape, size_t gpu, const int32_t *before,
                        const int32_t *after, mb_movement_scratch *scratch) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  int64_t own = 0;

  for (size_t p = gpu * slots_per_gpu; p < (gpu + 1) * slots_per_gpu; p++) {
    if (after[p] == before[p]) {
      continue;
    }
    sources found = find_sources(shape, scratch, gpu, after[p]);
    if (found.own) {
      own++;
      continue;
    }
    size_t link = found.sender[INTRA] >= 0 ? INTRA : INTER;
    scratch->sent[2 * (size_t)found.sender[link] + link]++;
    scratch->gotten[2 * gpu + link]++;
    scratch->seen[after[p]] = (int32_t)gpu + 1;
  }
  return own;
}

void mb_movement_find(const mb_shape *shape, const int32_t *before, const int32_t *after,
                      mb_movement_scratch *scratch, mb_movement *movement) {
  mb_movement found = {0};

  note_holders(shape, before, scratch);
  for (size_t d = 0; d < shape->n_gpus; d++) {
    int64_t own = fill_gpu(shape, d, before, after, scratch);
    found.same_gpu += own;
    found.same_gpu_max = own > found.same_gpu_max ? own : found.same_gpu_max;
    found.intra_node += scratch->gotten[2 * d + INTRA];
    found.inter_node += scratch->gotten[2 * d + INTER];
  }
  found.intra_node_max = busiest(shape, scratch, INTRA);
  found.inter_node_max = busiest(shape, scratch, INTER);
  *movement = found;
}
