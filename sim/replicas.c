/* sim/replicas.c */
#include "sim/replicas.h"

#include <stdlib.h>
#include <string.h>

mb_status mb_replicas_init(mb_replicas *replicas, const mb_shape *shape, bool one_per_gpu) {
  *replicas = (mb_replicas){.n_experts = shape->n_experts,
                            .n_slots = shape->n_slots,
                            .slots_per_gpu = shape->n_slots / shape->n_gpus,
                            .one_per_gpu = one_per_gpu};
  replicas->first = calloc(shape->n_layers * (shape->n_experts + 1), sizeof *replicas->first);
  replicas->slot = calloc(shape->n_layers * shape->n_slots, sizeof *replicas->slot);
  return replicas->first != NULL && replicas->slot != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for the replicas of %zu layers of %zu slots",
                       shape->n_layers, shape->n_slots);
}

void mb_replicas_fini(mb_replicas *replicas) {
  free(replicas->first);
  free(replicas->slot);
  *replicas = (mb_replicas){0};
}

/* Drops all but the first of an expert's slots on a GPU, and closes the gaps. */
static void drop_repeated(const mb_replicas *replicas, int32_t *first, int32_t *slot) {
  int32_t slots_per_gpu = (int32_t)replicas->slots_per_gpu;
  int32_t begin = 0;
  int32_t n = 0;

  for (size_t e = 0; e < replicas->n_experts; e++) {
    int32_t end = first[e + 1];
    for (int32_t i = begin; i < end; i++) {
      if (i == begin || slot[i] / slots_per_gpu != slot[n - 1] / slots_per_gpu) {
        slot[n++] = slot[i];
      }
    }
    first[e + 1] = n;
    begin = end;
  }
}

void mb_replicas_place(mb_replicas *replicas, size_t layer,
                       const int32_t *physical_to_logical_map) {
  int32_t *first = replicas->first + layer * (replicas->n_experts + 1);
  int32_t *slot = replicas->slot + layer * replicas->n_slots;

  /* first[e + 1] counts e's slots, then is where they begin, and in the end where they stop. */
  memset(first, 0, (replicas->n_experts + 1) * sizeof *first);
  for (size_t p = 0; p < replicas->n_slots; p++) {
    first[physical_to_logical_map[p] + 1]++;
  }
  int32_t begin = 0;
  for (size_t e = 0; e < replicas->n_experts; e++) {
    int32_t n = first[e + 1];
    first[e + 1] = begin;
    begin += n;
  }
  for (size_t p = 0; p < replicas->n_slots; p++) {
    slot[first[physical_to_logical_map[p] + 1]++] = (int32_t)p;
  }
  if (replicas->one_per_gpu) {
    drop_repeated(replicas, first, slot);
  }
}

void mb_replicas_fill_single(const mb_replicas *replicas, size_t layer, const uint32_t *load,
                             double *slot_load) {
  memset(slot_load, 0, replicas->n_slots * sizeof *slot_load);
  for (size_t e = 0; e < replicas->n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(replicas, layer, e, &n);
    if (n == 1) {
      slot_load[slot[0]] = (double)load[e];
    }
  }
}
