/* balancer/flash.c */
#include "balancer/flash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/anew.h"

const char *const mb_flash_replications[] = {"own", "sum", NULL};

bool mb_flash_by_sum(const mb_flash_params *params) {
  return strcmp(params->replication, "sum") == 0;
}

mb_status mb_flash_init(mb_flash *flash, const mb_shape *shape, const mb_flash_params *params,
                        const mb_backend *backend, size_t scratch_size) {
  const size_t n_layers = shape->n_layers;

  flash->last = calloc(n_layers, sizeof *flash->last);
  flash->now = calloc(n_layers, sizeof *flash->now);
  flash->next = calloc(n_layers, sizeof *flash->next);
  flash->order = calloc(n_layers, sizeof *flash->order);
  flash->wanted = calloc(n_layers, sizeof *flash->wanted);
  flash->count = calloc(shape->n_experts, sizeof *flash->count);
  flash->load = calloc(shape->n_experts, sizeof *flash->load);
  mb_status status = MB_OK;
  if (flash->last == NULL || flash->now == NULL || flash->next == NULL || flash->order == NULL ||
      flash->wanted == NULL || flash->count == NULL || flash->load == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts", n_layers,
                     shape->n_experts);
  }
  if (status == MB_OK) {
    status = mb_layerwise_create(shape, (size_t)params->slices, mb_threads_of(backend),
                                 scratch_size, &flash->layerwise);
  }
  if (status != MB_OK) {
    mb_flash_fini(flash);
  }
  return status;
}

void mb_flash_fini(void *state) {
  mb_flash *flash = state;

  mb_layerwise_destroy(flash->layerwise);
  free(flash->last);
  free(flash->now);
  free(flash->next);
  free(flash->order);
  free(flash->wanted);
  free(flash->count);
  free(flash->load);
  *flash = (mb_flash){0};
}

/* Largest over mean GPU load of a slice [E] of one layer; 0 without load. */
static double slice_par(mb_flash *flash, const mb_shape *shape, const double *slice,
                        const int32_t *map) {
  const size_t k = shape->n_slots / shape->n_gpus;
  double largest = 0;
  double total = 0;

  for (size_t e = 0; e < shape->n_experts; e++) {
    flash->load[e] = slice[e] / flash->count[e];
  }
  for (size_t gpu = 0; gpu < shape->n_gpus; gpu++) {
    double load = 0;
    for (size_t p = gpu * k; p < (gpu + 1) * k; p++) {
      load += flash->load[map[p]];
    }
    largest = load > largest ? load : largest;
    total += load;
  }
  return total > 0 ? largest * (double)shape->n_gpus / total : 0;
}

static double layer_par(mb_flash *flash, const mb_plan_input *input, size_t l, const int32_t *map) {
  const mb_shape *shape = &input->shape;
  double sum = 0;
  size_t n = 0;

  memset(flash->count, 0, shape->n_experts * sizeof *flash->count);
  for (size_t p = 0; p < shape->n_slots; p++) {
    flash->count[map[p]]++;
  }
  for (size_t s = 0; s < input->n_slices; s++) {
    const double *slice = input->load + (s * shape->n_layers + l) * shape->n_experts;
    double par = slice_par(flash, shape, slice, map);
    sum += par;
    n += par > 0;
  }
  return n > 0 ? sum / (double)n : NAN;
}

/* Layers that got better, the best first, by insertion: there are some tens. */
static size_t order_layers(mb_flash *flash, size_t n_layers) {
  size_t n = 0;

  for (size_t l = 0; l < n_layers; l++) {
    if (!flash->wanted[l] || !(flash->next[l] < flash->now[l])) {
      continue;
    }
    double ratio = flash->next[l] / flash->now[l];
    size_t at = n++;
    for (; at > 0 && flash->next[flash->order[at - 1]] / flash->now[flash->order[at - 1]] > ratio;
         at--) {
      flash->order[at] = flash->order[at - 1];
    }
    flash->order[at] = l;
  }
  return n;
}

mb_status mb_flash_plan(mb_flash *flash, const mb_flash_params *params, mb_place_node *place,
                        const mb_plan_input *input, mb_plan_output *output) {
  const size_t n_layers = input->shape.n_layers;
  const size_t n_slots = input->shape.n_slots;

  for (size_t l = 0; l < n_layers; l++) {
    const int32_t *map = input->physical_to_logical_map + l * n_slots;
    flash->now[l] = layer_par(flash, input, l, map);
    flash->wanted[l] = flash->now[l] >= params->threshold_ratio * flash->last[l];
  }
  MB_TRY(mb_layerwise_place(flash->layerwise, input->load, place, params, flash->wanted,
                            output->physical_to_logical_map));
  for (size_t l = 0; l < n_layers; l++) {
    if (flash->wanted[l]) {
      flash->next[l] = layer_par(flash, input, l, output->physical_to_logical_map + l * n_slots);
    }
  }
  size_t n = order_layers(flash, n_layers);
  for (size_t x = 0; x < n && (int64_t)x < params->layers_max; x++) {
    size_t l = flash->order[x];
    output->replaced[l] = true;
    flash->last[l] = flash->next[l];
  }
  return MB_OK;
}

void mb_sort_positions(size_t n, const double *value, int32_t *order, int32_t *other) {
  for (size_t x = 0; x < n; x++) {
    order[x] = (int32_t)x;
  }
  for (size_t run = 1; run < n; run *= 2) {
    for (size_t at = 0; at < n; at += 2 * run) {
      size_t a = at;
      size_t a_end = n - at < run ? n : at + run;
      size_t b = a_end;
      size_t b_end = n - at < 2 * run ? n : at + 2 * run;
      for (size_t to = at; to < b_end; to++) {
        bool first = a < a_end && (b >= b_end || value[order[a]] >= value[order[b]]);
        other[to] = order[first ? a++ : b++];
      }
    }
    memcpy(order, other, n * sizeof *order);
  }
}
