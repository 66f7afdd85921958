/* sim/dispatch_waterfill.c - one greedy pass over the experts.
 *
 * The replicated experts in the order of descending load, the first of equals first: each is poured
 * onto the GPUs that hold it, so that those that get some end as level as whole tiles of
 * dispatch_tile tokens allow; the odd tokens of the last tile go to the lowest. Experts whose turn
 * is still to come count as split evenly over these GPUs, so that a pour lowers the highest of an
 * expert's GPUs or leaves it: with divisible tokens the largest load is at most that of an even
 * split. (Without them, on GPUs that only hold what has been poured, it often is larger.) */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/dispatch.h"
#include "sim/keyed.h"
#include "sim/replicas.h"

typedef struct waterfill_model {
  double tile;
  mb_replicas replicas; /* one per GPU */
  mb_keyed *order;      /* [L,E] scratch: the experts */
  mb_keyed *height;     /* [L,P] scratch: the GPUs of an expert */
  double *gpu_load;     /* [L,D] scratch */
} waterfill_model;

static void waterfill_destroy(void *state) {
  waterfill_model *model = state;

  mb_replicas_fini(&model->replicas);
  free(model->order);
  free(model->height);
  free(model->gpu_load);
  free(model);
}

static mb_status waterfill_create(const mb_shape *shape, const mb_dispatch_options *options,
                                  const mb_dispatch_origin *origin, void **state) {
  waterfill_model *model = calloc(1, sizeof *model);

  (void)origin;
  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  model->tile = (double)options->dispatch_tile;
  model->order = calloc(shape->n_layers, shape->n_experts * sizeof *model->order);
  model->height = calloc(shape->n_layers, shape->n_slots * sizeof *model->height);
  model->gpu_load = calloc(shape->n_layers, shape->n_gpus * sizeof *model->gpu_load);
  mb_status status = mb_replicas_init(&model->replicas, shape, true);
  if (status == MB_OK &&
      (model->order == NULL || model->height == NULL || model->gpu_load == NULL)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  if (status != MB_OK) {
    waterfill_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

static void waterfill_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  waterfill_model *model = state;

  mb_replicas_place(&model->replicas, layer, placement->physical_to_logical_map);
}

/* Gives an expert's GPUs an equal share each of so many tokens; or takes it, where negative. */
static void share_out(const waterfill_model *model, size_t layer, size_t e, double tokens,
                      double *gpu_load) {
  size_t n;
  const int32_t *slot = mb_replicas_of(&model->replicas, layer, e, &n);

  for (size_t r = 0; r < n; r++) {
    gpu_load[(size_t)slot[r] / model->replicas.slots_per_gpu] += tokens / (double)n;
  }
}

/* Loads of GPUs under the even split, and the replicated experts by descending load. Returns how
   many have load. */
static size_t start(const waterfill_model *model, size_t layer, const uint32_t *load,
                    double *gpu_load, mb_keyed *order) {
  const mb_replicas *replicas = &model->replicas;
  size_t n_shared = 0;

  memset(gpu_load, 0, replicas->n_slots / replicas->slots_per_gpu * sizeof *gpu_load);
  for (size_t e = 0; e < replicas->n_experts; e++) {
    size_t n;
    (void)mb_replicas_of(replicas, layer, e, &n);
    share_out(model, layer, e, (double)load[e], gpu_load);
    if (n > 1 && load[e] > 0) {
      order[n_shared++] = (mb_keyed){-(double)load[e], (int32_t)e};
    }
  }
  mb_keyed_sort(n_shared, order);
  return n_shared;
}

/* Pours whole tiles onto the GPUs, sorted by height, of which the first *n_wet get some. What is
   left of them, less than a tile a wet GPU, is returned. */
static double pour_tiles(double tile, double tokens, size_t n, mb_keyed *height, size_t *n_wet,
                         const int32_t *slot, double *slot_load) {
  double volume = tokens;
  double level = 0.0;
  size_t wet = 0;

  while (wet < n && (wet == 0 || height[wet].key < level)) {
    volume += height[wet++].key;
    level = volume / (double)wet;
  }
  for (size_t i = 0; i < wet; i++) {
    double whole = floor((level - height[i].key) / tile) * tile;
    slot_load[slot[height[i].index]] = whole;
    height[i].key += whole;
    tokens -= whole;
  }
  *n_wet = wet;
  return tokens;
}

static void pour_expert(const waterfill_model *model, size_t layer, size_t e, double load,
                        mb_keyed *height, double *gpu_load, double *slot_load) {
  size_t slots_per_gpu = model->replicas.slots_per_gpu;
  size_t n;
  size_t n_wet;
  const int32_t *slot = mb_replicas_of(&model->replicas, layer, e, &n);

  share_out(model, layer, e, -load, gpu_load);
  for (size_t r = 0; r < n; r++) {
    height[r] = (mb_keyed){gpu_load[(size_t)slot[r] / slots_per_gpu], (int32_t)r};
  }
  mb_keyed_sort(n, height);
  double odd = fmod(load, model->tile);
  double left = pour_tiles(model->tile, load - odd, n, height, &n_wet, slot, slot_load) + odd;
  assert(n_wet > 0); /* the lowest GPU is below any level */
  mb_keyed_sort(n_wet, height);
  for (size_t i = 0; left > 0.0; i = (i + 1) % n_wet) {
    double piece = left < model->tile ? left : model->tile;
    slot_load[slot[height[i].index]] += piece;
    left -= piece;
  }
  for (size_t r = 0; r < n; r++) {
    gpu_load[(size_t)slot[r] / slots_per_gpu] += slot_load[slot[r]];
  }
}

static void waterfill_split(void *state, const mb_shape *shape, size_t layer,
                            const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                            double *slot_load) {
  const waterfill_model *model = state;
  mb_keyed *order = model->order + layer * shape->n_experts;
  double *gpu_load = model->gpu_load + layer * shape->n_gpus;

  (void)placement;
  mb_replicas_fill_single(&model->replicas, layer, load->load, slot_load);
  size_t n_shared = start(model, layer, load->load, gpu_load, order);
  for (size_t i = 0; i < n_shared; i++) {
    pour_expert(model, layer, (size_t)order[i].index, -order[i].key,
                model->height + layer * shape->n_slots, gpu_load, slot_load);
  }
}

const mb_dispatch_type mb_dispatch_waterfill = {
    .name = "waterfill",
    .summary = "one greedy pass, large experts first, each onto the lowest of its GPUs",
    .whole = true,
    .create = waterfill_create,
    .place = waterfill_place,
    .split = waterfill_split,
    .destroy = waterfill_destroy,
};
