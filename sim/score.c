/* sim/score.c */
#include "sim/score.h"

mb_status mb_score_prepare(const mb_shape *shape, mb_score_layer *layer) {
  MB_TRY(mb_placement_count(shape, layer->physical_to_logical_map, layer->expert_count));
  layer->n_replicated = 0;
  for (size_t e = 0; e < shape->n_experts; e++) {
    if (layer->expert_count[e] > 1) {
      layer->replicated[layer->n_replicated++] = (int32_t)e;
    }
  }
  return MB_OK;
}

/* What each replica of an expert gets. A division by 1 changes nothing, so most are left out. */
static void share_loads(size_t n_experts, const mb_score_layer *layer, const uint32_t *load,
                        double *share) {
  for (size_t e = 0; e < n_experts; e++) {
    share[e] = (double)load[e];
  }
  for (size_t i = 0; i < layer->n_replicated; i++) {
    int32_t e = layer->replicated[i];
    share[e] /= (double)layer->expert_count[e];
  }
}

void mb_score_even(const mb_shape *shape, const mb_score_layer *layer, const uint32_t *load,
                   double *share, mb_layer_score *score) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  const int32_t *expert = layer->physical_to_logical_map;
  double load_max = 0.0;
  double load_total = 0.0;
  int32_t active_max = 0;
  int32_t active_total = 0;

  share_loads(shape->n_experts, layer, load, share);
  for (size_t d = 0; d < shape->n_gpus; d++) {
    double gpu_load = 0.0;
    int32_t active = 0;
    for (size_t i = 0; i < slots_per_gpu; i++, expert++) {
      gpu_load += share[*expert];
      active += load[*expert] > 0;
    }
    load_max = gpu_load > load_max ? gpu_load : load_max;
    load_total += gpu_load;
    active_max = active > active_max ? active : active_max;
    active_total += active;
  }
  *score = (mb_layer_score){load_max, load_total / (double)shape->n_gpus, active_max, active_total};
}
