/* sim/cost.c */
#include "sim/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GIGA 1e9
#define TERA 1e12
#define MICRO 1e-6

/* Sums of shares that are whole but for rounding fill no further tile. */
#define TILE_SLACK 1e-9

static double given_or(double given, double preset) {
  return given > 0.0 ? given : preset;
}

static double preset_tflops(const mb_gpu_preset *gpu, double bits) {
  return bits >= 16.0 ? gpu->tflops_16 : bits >= 8.0 ? gpu->tflops_8 : gpu->tflops_4;
}

/* "1, 1, 0.9": a positive number a GPU. */
static mb_status read_speeds(const char *text, size_t n_gpus, double *speed) {
  const char *rest = text;
  size_t n = 0;

  for (size_t d = 0; d < n_gpus; d++) {
    speed[d] = 1.0;
  }
  while (*rest != '\0') {
    char *end = NULL;
    double value = strtod(rest, &end);
    end += strspn(end, " ");
    if (end == rest || !isfinite(value) || value <= 0.0 || (*end != ',' && *end != '\0')) {
      return MB_FAIL(MB_ERR_PARAM, "cost.gpu_speed: '%.32s' should begin with a number above 0",
                     rest);
    }
    if (n < n_gpus) {
      speed[n] = value;
    }
    n++;
    rest = *end == ',' ? end + 1 : end;
  }
  if (n != 0 && n != n_gpus) {
    return MB_FAIL(MB_ERR_PARAM, "cost.gpu_speed has %zu numbers, but there are %zu GPUs", n,
                   n_gpus);
  }
  return MB_OK;
}

static mb_status set_experts(mb_cost *cost, const mb_cost_params *params, const mb_gpu_preset *gpu,
                             const mb_cost_facts *facts) {
  double bits = mb_dtype_bits(params->dtype);
  double hbm = given_or(params->hbm_bandwidth, gpu->hbm_gb) * GIGA;
  double flops = given_or(params->flops, preset_tflops(gpu, bits)) * TERA;

  if (facts->expert_bytes <= 0.0) {
    return MB_FAIL(MB_ERR_PARAM, "cost needs an expert's bytes: cluster.expert_bytes should say "
                                 "them, as the trace names no known model");
  }
  if (facts->top_k <= 0.0 && (params->shared_experts > 0 || params->attention_us_per_token > 0.0)) {
    return MB_FAIL(MB_ERR_PARAM, "cost.shared_experts and cost.attention_us_per_token need the "
                                 "experts a token, which the trace does not say");
  }
  double weights = facts->expert_bytes * 8.0 / bits;
  cost->expert_bytes = facts->expert_bytes;
  cost->weight_seconds = facts->expert_bytes / hbm;
  cost->copy_bytes = hbm / 2.0;
  cost->tile_tokens = (double)params->tile;
  cost->tile_seconds =
      params->tile_us > 0.0 ? params->tile_us * MICRO : 2.0 * cost->tile_tokens * weights / flops;
  cost->shared_experts = (double)params->shared_experts;
  cost->attention_seconds = params->attention_us * MICRO;
  cost->token_seconds = params->attention_us_per_token * MICRO;
  cost->step_seconds = params->step_us * MICRO;
  cost->top_k = facts->top_k;
  return read_speeds(params->gpu_speed, cost->shape.n_gpus, cost->speed);
}

static mb_status set_links(mb_cost *cost, const mb_cost_params *params, const mb_gpu_preset *gpu,
                           const mb_cost_facts *facts) {
  double hidden = params->hidden > 0 ? (double)params->hidden : facts->hidden;

  if (params->alltoall && hidden <= 0.0) {
    return MB_FAIL(MB_ERR_PARAM, "cost.alltoall needs cost.hidden, as the trace names no known "
                                 "model; or alltoall: false");
  }
  cost->alltoall = params->alltoall && cost->shape.n_gpus > 1;
  cost->dispatch_bytes = hidden * params->dispatch_bits / 8.0;
  cost->combine_bytes = hidden * params->combine_bits / 8.0;
  cost->intra_seconds = params->alltoall_intra_us * MICRO;
  cost->inter_seconds = params->alltoall_inter_us * MICRO;
  cost->links = (mb_links){given_or(params->nvlink_bandwidth, gpu->nvlink_gb) * GIGA,
                           given_or(params->network_bandwidth, gpu->network_gb) * GIGA};
  return MB_OK;
}

static double limited(double share, double limit_gb) {
  return limit_gb > 0.0 && limit_gb * GIGA < share ? limit_gb * GIGA : share;
}

static mb_status set_movement(mb_cost *cost, const mb_cost_params *params) {
  double share = 1.0;

  cost->async = strcmp(params->movement, "async") == 0;
  if (cost->async && (params->contention <= 0.0 || params->contention >= 1.0)) {
    return MB_FAIL(MB_ERR_PARAM,
                   "cost.contention is %g: it should be above 0 and below 1, so that both weights "
                   "and the all-to-all get on",
                   params->contention);
  }
  share = cost->async ? params->contention : 1.0;
  cost->contention = cost->async ? params->contention : 0.0;
  cost->layers_per_step = (size_t)params->layers_per_step;
  cost->move_links = (mb_links){limited(share * cost->links.intra, params->move_intra_bandwidth),
                                limited(share * cost->links.inter, params->move_inter_bandwidth)};
  cost->move_layer_seconds = cost->async ? 0.0 : params->move_layer_us * MICRO;
  cost->planner_seconds = cost->async ? 0.0 : params->planner_ms * 1e-3;
  cost->dispatch_us = (double)params->dispatch_us;
  return MB_OK;
}

mb_status mb_cost_create(const mb_shape *shape, const mb_cost_params *params,
                         const mb_cost_facts *facts, mb_cost **cost) {
  const mb_gpu_preset *gpu = mb_gpu_find(params->gpu);

  if (gpu == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "cost.gpu is '%.32s': costs need a GPU", params->gpu);
  }
  mb_cost *made = calloc(1, sizeof *made);
  if (made != NULL) {
    made->shape = *shape;
    made->speed = calloc(shape->n_gpus, sizeof *made->speed);
  }
  if (made == NULL || made->speed == NULL) {
    mb_cost_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the costs of %zu GPUs", shape->n_gpus);
  }
  mb_status status = set_experts(made, params, gpu, facts);
  status = status == MB_OK ? set_links(made, params, gpu, facts) : status;
  status = status == MB_OK ? set_movement(made, params) : status;
  if (status != MB_OK) {
    mb_cost_destroy(made);
    return status;
  }
  *cost = made;
  return MB_OK;
}

void mb_cost_destroy(mb_cost *cost) {
  if (cost != NULL) {
    free(cost->speed);
  }
  free(cost);
}

static double compute_seconds(const mb_cost *cost, double tokens) {
  double tiles = tokens / cost->tile_tokens;

  return ceil(tiles - TILE_SLACK * (1.0 + tiles)) * cost->tile_seconds;
}

double mb_cost_slot_seconds(const mb_cost *cost, double tokens) {
  if (tokens <= 0.0) {
    return 0.0;
  }
  double compute = compute_seconds(cost, tokens);
  return compute > cost->weight_seconds ? compute : cost->weight_seconds;
}

double mb_cost_break_even_tokens(const mb_cost *cost) {
  return ceil(cost->weight_seconds / cost->tile_seconds * (1.0 - TILE_SLACK)) * cost->tile_tokens;
}

/* The GPU's tokens, and its experts' time; counts slots into the score. */
static double gpu_experts(const mb_cost *cost, size_t n, const double *slot_load, double *load,
                          mb_cost_score *score) {
  double seconds = 0.0;

  *load = 0.0;
  for (size_t i = 0; i < n; i++) {
    if (slot_load[i] <= 0.0) {
      continue;
    }
    double compute = compute_seconds(cost, slot_load[i]);
    bool bound = compute <= cost->weight_seconds;
    seconds += bound ? cost->weight_seconds : compute;
    *load += slot_load[i];
    score->active_slots++;
    score->bound_slots += bound;
  }
  return seconds;
}

void mb_cost_layer(const mb_cost *cost, const double *slot_load, mb_cost_score *score) {
  size_t n_gpus = cost->shape.n_gpus;
  size_t slots_per_gpu = cost->shape.n_slots / n_gpus;
  double load = 0.0;
  double sum = 0.0;
  mb_cost_score found = {0};

  for (size_t p = 0; p < cost->shape.n_slots; p++) {
    load += slot_load[p];
  }
  if (load > 0.0) {
    double own = cost->top_k > 0.0 ? load / cost->top_k / (double)n_gpus : 0.0;
    double besides = cost->shared_experts * mb_cost_slot_seconds(cost, own) +
                     cost->attention_seconds + own * cost->token_seconds;
    for (size_t d = 0; d < n_gpus; d++) {
      double gpu_load = 0.0;
      double experts =
          gpu_experts(cost, slots_per_gpu, slot_load + d * slots_per_gpu, &gpu_load, &found);
      double gpu = (experts + besides) / cost->speed[d];
      experts /= cost->speed[d];
      sum += gpu;
      found.gpu_max = gpu > found.gpu_max ? gpu : found.gpu_max;
      found.experts_max = experts > found.experts_max ? experts : found.experts_max;
      found.load_max = gpu_load > found.load_max ? gpu_load : found.load_max;
    }
    found.gpu_mean = sum / (double)n_gpus;
  }
  *score = found;
}

static double way_seconds(const mb_cost *cost, double bytes, mb_links links) {
  double gpus = (double)cost->shape.n_gpus;
  double node = gpus / (double)cost->shape.n_nodes;
  double intra = node > 1.0 ? cost->intra_seconds + bytes * (node - 1.0) / gpus / links.intra : 0.0;
  double inter =
      gpus > node ? cost->inter_seconds + bytes * (gpus - node) / gpus / links.inter : 0.0;

  return intra > inter ? intra : inter;
}

double mb_cost_alltoall_seconds(const mb_cost *cost, double load_max, mb_links links) {
  if (!cost->alltoall || load_max <= 0.0) {
    return 0.0;
  }
  return way_seconds(cost, load_max * cost->dispatch_bytes, links) +
         way_seconds(cost, load_max * cost->combine_bytes, links);
}

double mb_cost_move_seconds(const mb_cost *cost, const mb_movement *movement) {
  double own = (double)movement->same_gpu_max * cost->expert_bytes / cost->copy_bytes;
  double intra = (double)movement->intra_node_max * cost->expert_bytes / cost->move_links.intra;
  double inter = (double)movement->inter_node_max * cost->expert_bytes / cost->move_links.inter;

  return fmax(own, fmax(intra, inter));
}

mb_cost_price mb_cost_get_price(const mb_cost *cost) {
  bool one_node = cost->shape.n_nodes == 1;

  return (mb_cost_price){.plan_seconds = cost->planner_seconds,
                         .layer_seconds = cost->move_layer_seconds,
                         .expert_seconds = cost->expert_bytes / (one_node ? cost->move_links.intra
                                                                          : cost->move_links.inter),
                         .token_seconds = cost->tile_seconds / cost->tile_tokens};
}
