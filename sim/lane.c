/* sim/lane.c */
#include "sim/lane.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/clock.h"

static bool flight_allocate(mb_flight *flight, const mb_shape *shape) {
  size_t n_layers = shape->n_layers;
  bool hierarchical = mb_shape_is_hierarchical(shape);

  flight->pending = calloc(n_layers, sizeof *flight->pending);
  flight->physical_to_logical_map =
      calloc(n_layers * shape->n_slots, sizeof *flight->physical_to_logical_map);
  flight->effect_step = calloc(n_layers, sizeof *flight->effect_step);
  flight->duplicate_slots = calloc(n_layers, sizeof *flight->duplicate_slots);
  flight->moved_experts = calloc(n_layers, sizeof *flight->moved_experts);
  flight->node_imbalance = hierarchical ? calloc(n_layers, sizeof *flight->node_imbalance) : NULL;
  return flight->pending != NULL && flight->physical_to_logical_map != NULL &&
         flight->effect_step != NULL && flight->duplicate_slots != NULL &&
         flight->moved_experts != NULL && (flight->node_imbalance != NULL || !hierarchical);
}

static void flight_free(mb_flight *flight) {
  free(flight->pending);
  free(flight->physical_to_logical_map);
  free(flight->effect_step);
  free(flight->duplicate_slots);
  free(flight->moved_experts);
  free(flight->node_imbalance);
}

static bool lane_allocate(mb_lane *lane) {
  size_t n_layers = lane->shape.n_layers;
  size_t n_experts = lane->shape.n_experts;
  size_t n_slots = lane->shape.n_slots;

  lane->layer = calloc(n_layers, sizeof *lane->layer);
  lane->physical_to_logical_map = calloc(n_layers * n_slots, sizeof *lane->physical_to_logical_map);
  lane->expert_count = calloc(n_layers * n_experts, sizeof *lane->expert_count);
  lane->replicated = calloc(n_layers * n_experts, sizeof *lane->replicated);
  lane->since_max = calloc(n_layers, sizeof *lane->since_max);
  lane->since_mean = calloc(n_layers, sizeof *lane->since_mean);
  lane->imbalance = calloc(n_layers, sizeof *lane->imbalance);
  lane->count = calloc(n_experts, sizeof *lane->count);
  return flight_allocate(&lane->flight, &lane->shape) && lane->layer != NULL &&
         lane->physical_to_logical_map != NULL && lane->expert_count != NULL &&
         lane->replicated != NULL && lane->since_max != NULL && lane->since_mean != NULL &&
         lane->imbalance != NULL && lane->count != NULL;
}

static mb_status lane_place_linear(mb_lane *lane) {
  const mb_shape *shape = &lane->shape;

  for (size_t l = 0; l < shape->n_layers; l++) {
    lane->layer[l] = (mb_score_layer){.physical_to_logical_map =
                                          lane->physical_to_logical_map + l * shape->n_slots,
                                      .expert_count = lane->expert_count + l * shape->n_experts,
                                      .replicated = lane->replicated + l * shape->n_experts};
    mb_placement_linear(shape, lane->layer[l].physical_to_logical_map);
    MB_TRY(mb_score_prepare(shape, &lane->layer[l]));
  }
  return MB_OK;
}

/* Max over mean of the nodes' loads, for the window's sum under a placement [P] of one layer. */
static float node_imbalance(const mb_lane *lane, const double *load, const int32_t *map, size_t l) {
  const mb_shape *shape = &lane->shape;
  size_t slots_per_node = shape->n_slots / shape->n_nodes;
  size_t n_slices = mb_lane_n_slices(lane);
  double max = 0.0;
  double total = 0.0;

  for (size_t n = 0; n < shape->n_nodes; n++) {
    double node_load = 0.0;
    for (size_t p = n * slots_per_node; p < (n + 1) * slots_per_node; p++) {
      double expert_load = 0.0;
      for (size_t s = 0; s < n_slices; s++) {
        expert_load += load[(s * shape->n_layers + l) * shape->n_experts + (size_t)map[p]];
      }
      node_load += expert_load / (double)lane->count[map[p]];
    }
    max = node_load > max ? node_load : max;
    total += node_load;
  }
  return total > 0.0 ? (float)(max / (total / (double)shape->n_nodes)) : NAN;
}

/* What the record says of the placement itself; rows that are kept are filled in.
   @param load [S,L,E] planned for; NULL where nobody knows. */
static mb_status describe_flight(mb_lane *lane, const double *load) {
  const mb_shape *shape = &lane->shape;
  mb_flight *flight = &lane->flight;

  for (size_t l = 0; l < shape->n_layers; l++) {
    int32_t *map = flight->physical_to_logical_map + l * shape->n_slots;
    if (!flight->pending[l]) {
      memcpy(map, lane->layer[l].physical_to_logical_map, shape->n_slots * sizeof *map);
    }
    flight->moved_experts[l] = 0;
    flight->duplicate_slots[l] = mb_placement_duplicate_slots(shape, map);
    if (flight->node_imbalance != NULL) {
      MB_TRY(mb_placement_count(shape, map, lane->count));
      flight->node_imbalance[l] = load != NULL ? node_imbalance(lane, load, map, l) : NAN;
    }
  }
  return MB_OK;
}

/* The next of the recorded placements goes into flight, where there is one. */
static mb_status take_recorded(mb_lane *lane) {
  const mb_replay_recorded *recorded = lane->recorded;
  mb_flight *flight = &lane->flight;
  size_t n_layers = lane->shape.n_layers;
  size_t row = n_layers * lane->shape.n_slots;
  size_t k = flight->n_plans;

  if (k == recorded->n_plans) {
    return MB_OK;
  }
  memcpy(flight->effect_step, recorded->effect_step + k * n_layers,
         n_layers * sizeof *flight->effect_step);
  memcpy(flight->physical_to_logical_map, recorded->physical_to_logical_map + k * row,
         row * sizeof *flight->physical_to_logical_map);
  size_t first = SIZE_MAX;
  for (size_t l = 0; l < n_layers; l++) {
    int64_t step = flight->effect_step[l];
    flight->pending[l] = step >= 0;
    first = step >= 0 && (size_t)step < first ? (size_t)step : first;
  }
  flight->step = first != SIZE_MAX ? first : flight->step;
  flight->planner_seconds = 0.0;
  flight->flying = true;
  return describe_flight(lane, NULL);
}

static mb_status lane_start(mb_lane *lane, const mb_replay_config *config, size_t n_steps) {
  const mb_replay_strategy *strategy = &config->strategies[lane->index];

  if (!lane_allocate(lane)) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: strategy %s with %zu layers of %zu slots",
                   lane->label, lane->shape.n_layers, lane->shape.n_slots);
  }
  MB_TRY(mb_tally_init(&lane->tally, config, n_steps));
  MB_TRY(lane_place_linear(lane));
  if (lane->role == MB_REPLAY_RECORDED) {
    return take_recorded(lane);
  }
  if (lane->role == MB_REPLAY_NONE) {
    return MB_OK;
  }
  mb_status status = mb_planner_create(strategy->strategy, &lane->shape, strategy->params,
                                       config->backend, &lane->planner);
  if (status != MB_OK && status != MB_ERR_CANCELLED) {
    return MB_FAIL(status, "strategy %s: %s", strategy->label, mb_error_message());
  }
  return status;
}

mb_status mb_lane_init(mb_lane *lane, const mb_replay_config *config, size_t index,
                       size_t n_steps) {
  const mb_replay_strategy *strategy = &config->strategies[index];

  *lane = (mb_lane){.shape = config->shape,
                    .role = strategy->role,
                    .label = strategy->label,
                    .index = index,
                    .recorded = strategy->role == MB_REPLAY_RECORDED ? strategy->params : NULL};
  mb_status status = lane_start(lane, config, n_steps);
  if (status != MB_OK) {
    mb_lane_fini(lane);
  }
  return status;
}

void mb_lane_fini(mb_lane *lane) {
  mb_planner_destroy(lane->planner);
  mb_tally_fini(&lane->tally);
  flight_free(&lane->flight);
  free(lane->layer);
  free(lane->physical_to_logical_map);
  free(lane->expert_count);
  free(lane->replicated);
  free(lane->since_max);
  free(lane->since_mean);
  free(lane->imbalance);
  free(lane->count);
  *lane = (mb_lane){0};
}

size_t mb_lane_n_slices(const mb_lane *lane) {
  return lane->planner != NULL ? mb_planner_n_slices(lane->planner) : 1;
}

static mb_status ask_planner(mb_lane *lane, size_t n_window_steps, const double *load) {
  mb_flight *flight = &lane->flight;
  size_t n_layers = lane->shape.n_layers;

  for (size_t l = 0; l < n_layers; l++) {
    lane->imbalance[l] = lane->since_mean[l] > 0.0 ? lane->since_max[l] / lane->since_mean[l] : NAN;
  }
  memset(flight->pending, 0, n_layers * sizeof *flight->pending);
  mb_plan_input input = {.shape = lane->shape,
                         .step = flight->step,
                         .n_window_steps = n_window_steps,
                         .n_slices = mb_lane_n_slices(lane),
                         .load = load,
                         .physical_to_logical_map = lane->physical_to_logical_map,
                         .imbalance = lane->imbalance};
  mb_plan_output output = {flight->pending, flight->physical_to_logical_map};
  double start = mb_clock_seconds();
  mb_status status = mb_planner_plan(lane->planner, &input, &output);
  flight->planner_seconds = mb_clock_seconds() - start;
  return status;
}

mb_status mb_lane_plan(mb_lane *lane, size_t step, size_t delay, size_t n_window_steps,
                       const double *load) {
  assert(lane->planner != NULL);
  if (lane->flight.flying) {
    mb_tally_skip(&lane->tally, step);
    return MB_OK;
  }
  lane->flight.step = step;
  mb_status status = ask_planner(lane, n_window_steps, load);
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    lane->flight.effect_step[l] = lane->flight.pending[l] ? (int64_t)(step + delay) : -1;
  }
  if (status == MB_OK) {
    status = describe_flight(lane, load);
  }
  if (status != MB_OK) {
    return MB_FAIL(status, "strategy %s, plan at step %zu: %s", lane->label, step,
                   mb_error_message());
  }
  lane->flight.flying = true;
  return MB_OK;
}

/* What a GPU has to fetch is counted against what it holds now, before the new placement counts. */
static mb_status land_layer(mb_lane *lane, size_t l) {
  const mb_shape *shape = &lane->shape;
  mb_flight *flight = &lane->flight;
  int32_t *map = lane->layer[l].physical_to_logical_map;
  const int32_t *next = flight->physical_to_logical_map + l * shape->n_slots;
  /* Nothing was served before step 0: what is in effect by then has not been moved. */
  bool moves = flight->effect_step[l] > 0;

  flight->moved_experts[l] = moves ? mb_placement_moved_experts(shape, map, next, lane->count) : 0;
  memcpy(map, next, shape->n_slots * sizeof *map);
  flight->pending[l] = false;
  return mb_score_prepare(shape, &lane->layer[l]);
}

static mb_status record_plan(mb_lane *lane, const mb_replay_sink *sink) {
  mb_flight *flight = &lane->flight;
  mb_plan_record record = {.strategy = lane->index,
                           .plan = flight->n_plans,
                           .step = (int64_t)flight->step,
                           .effect_step = flight->effect_step,
                           .duplicate_slots = flight->duplicate_slots,
                           .node_imbalance = flight->node_imbalance,
                           .moved_experts = flight->moved_experts,
                           .physical_to_logical_map = flight->physical_to_logical_map,
                           .planner_seconds = flight->planner_seconds};

  flight->flying = false;
  flight->n_plans++;
  mb_tally_plan(&lane->tally, &record);
  return sink->plan(sink->context, &record);
}

/* @param landed whether a layer takes effect. */
static mb_status land_layers(mb_lane *lane, size_t step, bool *landed) {
  mb_flight *flight = &lane->flight;

  *landed = false;
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    if (flight->pending[l] && flight->effect_step[l] == (int64_t)step) {
      MB_TRY(land_layer(lane, l));
      *landed = true;
    }
  }
  return MB_OK;
}

mb_status mb_lane_land(mb_lane *lane, size_t step, const mb_replay_sink *sink) {
  bool landed = false;

  while (lane->flight.flying) {
    MB_TRY(land_layers(lane, step, &landed));
    if (mb_lane_next_effect(lane, step) != SIZE_MAX) {
      return MB_OK;
    }
    /* A plan that keeps every layer changes nothing: what is realised goes on adding up. */
    if (landed) {
      memset(lane->since_max, 0, lane->shape.n_layers * sizeof *lane->since_max);
      memset(lane->since_mean, 0, lane->shape.n_layers * sizeof *lane->since_mean);
    }
    MB_TRY(record_plan(lane, sink));
    if (lane->recorded != NULL) {
      MB_TRY(take_recorded(lane));
    }
  }
  return MB_OK;
}

size_t mb_lane_next_effect(const mb_lane *lane, size_t step) {
  size_t next = SIZE_MAX;

  for (size_t l = 0; l < lane->shape.n_layers && lane->flight.flying; l++) {
    int64_t effect = lane->flight.effect_step[l];
    if (effect > (int64_t)step && (size_t)effect < next) {
      next = (size_t)effect;
    }
  }
  return next;
}

void mb_lane_step(mb_lane *lane, size_t step, const mb_layer_score *score, double *step_imbalance,
                  float *imbalance, int32_t *active_experts) {
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    lane->since_max[l] += score[l].load_max;
    lane->since_mean[l] += score[l].load_mean;
  }
  mb_tally_step(&lane->tally, step, score, step_imbalance, imbalance, active_experts);
}
