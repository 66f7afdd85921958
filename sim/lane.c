/* sim/lane.c */
#include "sim/lane.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/packing_bound.h"
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
  flight->planned_imbalance = calloc(n_layers, sizeof *flight->planned_imbalance);
  flight->planned_gap = calloc(n_layers, sizeof *flight->planned_gap);
  flight->load_before = calloc(n_layers * shape->n_gpus, sizeof *flight->load_before);
  flight->load_after = calloc(n_layers * shape->n_gpus, sizeof *flight->load_after);
  return flight->planned_imbalance != NULL && flight->planned_gap != NULL &&
         flight->load_before != NULL && flight->load_after != NULL && flight->pending != NULL &&
         flight->physical_to_logical_map != NULL && flight->effect_step != NULL &&
         flight->duplicate_slots != NULL && flight->moved_experts != NULL &&
         (flight->node_imbalance != NULL || !hierarchical);
}

static void flight_free(mb_flight *flight) {
  free(flight->pending);
  free(flight->physical_to_logical_map);
  free(flight->effect_step);
  free(flight->duplicate_slots);
  free(flight->moved_experts);
  free(flight->node_imbalance);
  free(flight->planned_imbalance);
  free(flight->planned_gap);
  free(flight->load_before);
  free(flight->load_after);
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
  lane->due = calloc(n_layers, sizeof *lane->due);
  lane->floor = calloc(n_layers, sizeof *lane->floor);
  lane->count = calloc(n_experts, sizeof *lane->count);
  lane->share = calloc(n_experts, sizeof *lane->share);
  lane->weight = calloc(n_slots, sizeof *lane->weight);
  return flight_allocate(&lane->flight, &lane->shape) && lane->layer != NULL &&
         lane->physical_to_logical_map != NULL && lane->expert_count != NULL &&
         lane->replicated != NULL && lane->since_max != NULL && lane->since_mean != NULL &&
         lane->imbalance != NULL && lane->due != NULL && lane->floor != NULL &&
         lane->count != NULL && lane->share != NULL && lane->weight != NULL;
}

/* The layer's placement has changed. */
static mb_status place_layer(mb_lane *lane, size_t l) {
  mb_score_layer *layer = &lane->layer[l];

  MB_TRY(mb_score_prepare(&lane->shape, layer));
  mb_dispatcher_place(
      lane->dispatcher, l,
      &(mb_dispatch_placement){layer->physical_to_logical_map, layer->expert_count});
  return MB_OK;
}

static mb_status lane_place_linear(mb_lane *lane) {
  const mb_shape *shape = &lane->shape;

  for (size_t l = 0; l < shape->n_layers; l++) {
    lane->layer[l] = (mb_score_layer){.physical_to_logical_map =
                                          lane->physical_to_logical_map + l * shape->n_slots,
                                      .expert_count = lane->expert_count + l * shape->n_experts,
                                      .replicated = lane->replicated + l * shape->n_experts};
    mb_placement_linear(shape, lane->layer[l].physical_to_logical_map);
    MB_TRY(place_layer(lane, l));
  }
  return MB_OK;
}

/* What each replica of an expert has of a layer's loads, for even dispatch.
   @param load [S,L,E] or, of one slice, [L,E]. */
static void fill_share(mb_lane *lane, size_t n_slices, const double *load, const int32_t *count,
                       size_t l) {
  const mb_shape *shape = &lane->shape;

  for (size_t e = 0; e < shape->n_experts; e++) {
    double sum = 0.0;
    for (size_t s = 0; s < n_slices; s++) {
      sum += load[(s * shape->n_layers + l) * shape->n_experts + e];
    }
    lane->share[e] = sum / (double)count[e];
  }
}

/* The loads of n parts of as many slots each: GPUs or nodes. */
static double part_load(const mb_lane *lane, const int32_t *map, size_t n_parts, size_t part) {
  size_t n_slots = lane->shape.n_slots / n_parts;
  double load = 0.0;

  for (size_t p = part * n_slots; p < (part + 1) * n_slots; p++) {
    load += lane->share[map[p]];
  }
  return load;
}

/* The largest of the parts' loads, for the shares under a placement [P] of one layer.
   @param total of all parts. */
static double largest_part(const mb_lane *lane, const int32_t *map, size_t n_parts, double *total) {
  double max = 0.0;

  *total = 0.0;
  for (size_t i = 0; i < n_parts; i++) {
    double load = part_load(lane, map, n_parts, i);
    max = load > max ? load : max;
    *total += load;
  }
  return max;
}

/* Max over mean of the parts' loads. */
static float part_imbalance(const mb_lane *lane, const int32_t *map, size_t n_parts) {
  double total = 0.0;
  double max = largest_part(lane, map, n_parts, &total);

  return total > 0.0 ? (float)(max / (total / (double)n_parts)) : NAN;
}

/* How far the largest GPU load is above what packing these shares cannot avoid, relatively. */
static float packing_gap(mb_lane *lane, const int32_t *map) {
  double total = 0.0;
  double max = largest_part(lane, map, lane->shape.n_gpus, &total);
  double bound = mb_bound_packing(&lane->shape, lane->share, map, lane->weight);

  if (!(bound > 0.0)) {
    return NAN;
  }
  return max > bound ? (float)(max / bound - 1.0) : 0.0F; /* below it by rounding alone */
}

static void fill_gpu_load(mb_lane *lane, const double *next, const int32_t *map,
                          const int32_t *count, size_t l, float *gpu_load) {
  size_t n_gpus = lane->shape.n_gpus;

  if (next != NULL) {
    fill_share(lane, 1, next, count, l);
  }
  for (size_t d = 0; d < n_gpus; d++) {
    gpu_load[l * n_gpus + d] = next != NULL ? (float)part_load(lane, map, n_gpus, d) : NAN;
  }
}

/* What the record says of one layer, whose row is filled in. */
static mb_status describe_layer(mb_lane *lane, const double *load, const double *next, size_t l) {
  const mb_shape *shape = &lane->shape;
  mb_flight *flight = &lane->flight;
  const mb_score_layer *before = &lane->layer[l];
  const int32_t *map = flight->physical_to_logical_map + l * shape->n_slots;

  flight->moved_experts[l] = 0;
  flight->duplicate_slots[l] = mb_placement_duplicate_slots(shape, map);
  MB_TRY(mb_placement_count(shape, map, lane->count));
  if (load != NULL) {
    fill_share(lane, mb_lane_n_slices(lane), load, lane->count, l);
  }
  flight->planned_imbalance[l] = load != NULL ? part_imbalance(lane, map, shape->n_gpus) : NAN;
  flight->planned_gap[l] = load != NULL ? packing_gap(lane, map) : NAN;
  if (flight->node_imbalance != NULL) {
    flight->node_imbalance[l] = load != NULL ? part_imbalance(lane, map, shape->n_nodes) : NAN;
  }
  fill_gpu_load(lane, next, before->physical_to_logical_map, before->expert_count, l,
                flight->load_before);
  fill_gpu_load(lane, next, map, lane->count, l, flight->load_after);
  return MB_OK;
}

/* What the record says of the placement itself; rows that are kept are filled in.
   @param load [S,L,E] planned for. @param next [L,E] that follow. Both NULL where nobody knows. */
static mb_status describe_flight(mb_lane *lane, const double *load, const double *next) {
  const mb_shape *shape = &lane->shape;
  mb_flight *flight = &lane->flight;

  for (size_t l = 0; l < shape->n_layers; l++) {
    if (!flight->pending[l]) {
      memcpy(flight->physical_to_logical_map + l * shape->n_slots,
             lane->layer[l].physical_to_logical_map,
             shape->n_slots * sizeof *flight->physical_to_logical_map);
    }
    MB_TRY(describe_layer(lane, load, next, l));
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
  return describe_flight(lane, NULL, NULL);
}

static mb_status start_relabelling(mb_lane *lane, size_t number) {
  const mb_shape *shape = &lane->shape;
  size_t row = shape->n_layers * shape->n_experts;
  size_t n_slices = mb_lane_n_slices(lane);

  MB_TRY(mb_relabel_init(&lane->relabel, shape, number));
  lane->relabelled_map = calloc(shape->n_layers * shape->n_slots, sizeof *lane->relabelled_map);
  lane->relabelled_load =
      n_slices <= SIZE_MAX / row ? calloc(n_slices * row, sizeof *lane->relabelled_load) : NULL;
  return lane->relabelled_map != NULL && lane->relabelled_load != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "out of memory: strategy %s with relabelled experts",
                       lane->label);
}

static mb_status lane_start(mb_lane *lane, const mb_replay_config *config, size_t n_steps) {
  const mb_replay_strategy *strategy = &config->strategies[lane->index];

  if (!lane_allocate(lane)) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: strategy %s with %zu layers of %zu slots",
                   lane->label, lane->shape.n_layers, lane->shape.n_slots);
  }
  MB_TRY(mb_tally_init(&lane->tally, config, n_steps));
  mb_status dispatched = mb_dispatcher_create_for(
      &lane->shape, strategy->options != NULL ? &strategy->options->dispatch : NULL, &lane->origin,
      &lane->dispatcher);
  if (dispatched != MB_OK) {
    return MB_FAIL(dispatched, "strategy %s: %s", lane->label, mb_error_message());
  }
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
  MB_TRY(status);
  if (strategy->options != NULL) {
    MB_TRY(mb_post_pass_create(&lane->shape, &strategy->options->post_pass, &lane->post_pass));
  }
  if (strategy->options != NULL && lane->role == MB_REPLAY_ONLINE) {
    bool periodic = mb_trigger_is_periodic(&strategy->options->trigger);
    lane->trigger = periodic ? NULL : &strategy->options->trigger;
    MB_TRY(mb_forecast_create(&lane->shape, &strategy->options->forecast, &lane->forecast));
  }
  return config->relabel > 0 ? start_relabelling(lane, config->relabel) : MB_OK;
}

mb_status mb_lane_init(mb_lane *lane, const mb_replay_config *config, size_t index, size_t n_steps,
                       const mb_dispatch_origin *origin) {
  const mb_replay_strategy *strategy = &config->strategies[index];
  size_t window = mb_replay_window(config, index);

  *lane = (mb_lane){.shape = config->shape,
                    .origin = origin != NULL ? *origin : (mb_dispatch_origin){0},
                    .role = strategy->role,
                    .label = strategy->label,
                    .index = index,
                    .window = window < n_steps ? window : n_steps,
                    .interval = config->interval,
                    .recorded = strategy->role == MB_REPLAY_RECORDED ? strategy->params : NULL};
  mb_status status = lane_start(lane, config, n_steps);
  if (status != MB_OK) {
    mb_lane_fini(lane);
  }
  return status;
}

void mb_lane_fini(mb_lane *lane) {
  mb_planner_destroy(lane->planner);
  mb_forecast_destroy(lane->forecast);
  mb_post_pass_destroy(lane->post_pass);
  mb_dispatcher_destroy(lane->dispatcher);
  mb_lane_cost_destroy(lane->cost);
  mb_tally_fini(&lane->tally);
  flight_free(&lane->flight);
  free(lane->layer);
  free(lane->physical_to_logical_map);
  free(lane->expert_count);
  free(lane->replicated);
  free(lane->since_max);
  free(lane->since_mean);
  free(lane->imbalance);
  free(lane->due);
  free(lane->floor);
  free(lane->count);
  free(lane->share);
  free(lane->weight);
  mb_relabel_fini(&lane->relabel);
  free(lane->relabelled_load);
  free(lane->relabelled_map);
  *lane = (mb_lane){0};
}

/* What is in flight from now on is charged to the steps that it moves in. */
static void charge_flight(mb_lane *lane) {
  const mb_flight *flight = &lane->flight;

  if (lane->cost != NULL && flight->flying) {
    /* What was decided elsewhere was known before it took effect. */
    size_t known_from = lane->recorded != NULL ? 0 : flight->step;
    mb_lane_cost_fly(lane->cost, known_from, flight->effect_step, lane->physical_to_logical_map,
                     flight->physical_to_logical_map);
  }
}

mb_status mb_lane_start_cost(mb_lane *lane, const mb_replay_config *config, size_t max_rows) {
  if (config->cost == NULL) {
    return MB_OK;
  }
  double dispatch_us = config->cost->dispatch_us;
  if (dispatch_us < 0.0) {
    dispatch_us = mb_dispatcher_layer_us(lane->dispatcher);
  }
  MB_TRY(mb_lane_cost_create(config->cost, dispatch_us * 1e-6, config->summary_from, max_rows,
                             &lane->cost));
  charge_flight(lane); /* of a recorded one */
  return MB_OK;
}

size_t mb_lane_longest_move(const mb_lane *lane) {
  return lane->cost != NULL && lane->role == MB_REPLAY_ONLINE
             ? mb_lane_cost_effect_delay(lane->cost, lane->shape.n_layers - 1)
             : 0;
}

size_t mb_lane_n_slices(const mb_lane *lane) {
  return lane->planner != NULL ? mb_planner_n_slices(lane->planner) : 1;
}

/* Puts experts' loads and places to the planner under their labels. */
static void relabel_input(mb_lane *lane, mb_plan_input *input) {
  size_t n_slots = lane->shape.n_slots;

  mb_relabel_loads(&lane->relabel, input->n_slices, input->load, lane->relabelled_load);
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    mb_relabel_to_labels(&lane->relabel, l, input->physical_to_logical_map + l * n_slots,
                         lane->relabelled_map + l * n_slots);
  }
  input->load = lane->relabelled_load;
  input->physical_to_logical_map = lane->relabelled_map;
}

/* Puts the planner's answer back. */
static void relabel_output(const mb_lane *lane, mb_plan_output *output) {
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    int32_t *map = output->physical_to_logical_map + l * lane->shape.n_slots;
    if (output->replaced[l]) {
      mb_relabel_to_experts(&lane->relabel, l, map, map);
    }
  }
}

/* Layers that are not due keep their placement, whatever the planner says. */
static void keep_undue(mb_lane *lane) {
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    lane->flight.pending[l] = lane->flight.pending[l] && lane->due[l];
  }
}

/* It is the balancer's work too. */
static void rearrange(mb_lane *lane) {
  double start = mb_clock_seconds();

  mb_post_pass_run(lane->post_pass, lane->physical_to_logical_map, lane->flight.pending,
                   lane->flight.physical_to_logical_map);
  lane->flight.planner_seconds += mb_clock_seconds() - start;
}

mb_status mb_lane_ask(mb_lane *lane, mb_planner *planner, const mb_plan_input *input,
                      mb_plan_output *output, double *seconds) {
  mb_plan_input seen = *input;
  bool relabelled = lane->relabelled_load != NULL;

  if (relabelled) {
    relabel_input(lane, &seen);
  }
  double start = mb_clock_seconds();
  MB_TRY(mb_planner_plan(planner, &seen, output));
  if (seconds != NULL) {
    *seconds = mb_clock_seconds() - start;
  }
  if (relabelled) {
    relabel_output(lane, output);
  }
  return MB_OK;
}

static mb_status ask_planner(mb_lane *lane, size_t n_window_steps, const double *load) {
  mb_flight *flight = &lane->flight;
  size_t n_layers = lane->shape.n_layers;

  for (size_t l = 0; l < n_layers; l++) {
    lane->imbalance[l] = lane->since_mean[l] > 0.0 ? lane->since_max[l] / lane->since_mean[l] : NAN;
  }
  memset(flight->pending, 0, n_layers * sizeof *flight->pending);
  const mb_plan_input input = {.shape = lane->shape,
                               .step = flight->step,
                               .n_window_steps = n_window_steps,
                               .n_slices = mb_lane_n_slices(lane),
                               .load = load,
                               .physical_to_logical_map = lane->physical_to_logical_map,
                               .imbalance = lane->imbalance};
  mb_plan_output output = {flight->pending, flight->physical_to_logical_map};
  MB_TRY(mb_lane_ask(lane, lane->planner, &input, &output, &flight->planner_seconds));
  if (lane->trigger != NULL) {
    keep_undue(lane);
  }
  if (lane->post_pass != NULL) {
    rearrange(lane);
  }
  return MB_OK;
}

/* Whether a plan is wanted in any layer, before anybody makes one. */
static bool is_due(mb_lane *lane, const double *load) {
  mb_trigger_floors(lane->trigger, &lane->shape, mb_lane_n_slices(lane), load, lane->floor,
                    lane->share);
  return mb_trigger_ask(lane->trigger, lane->shape.n_layers, lane->since_max, lane->since_mean,
                        lane->floor, lane->due);
}

/* Whether anything is left of what the planner said, once it is weighed against what it costs. */
static bool pays(mb_lane *lane, size_t n_window_steps, const double *load) {
  const mb_trigger_plan plan = {.shape = &lane->shape,
                                .interval = lane->interval,
                                .n_window_steps = n_window_steps,
                                .n_slices = mb_lane_n_slices(lane),
                                .load = load,
                                .before = lane->physical_to_logical_map,
                                .after = lane->flight.physical_to_logical_map};

  return mb_trigger_weigh(lane->trigger, &plan, lane->flight.pending, lane->share, lane->count);
}

/* Layers take effect one after the other where their weights move so. Hindsight waits for nothing.
 */
static void set_effect_steps(mb_lane *lane, size_t step) {
  mb_flight *flight = &lane->flight;
  bool one_by_one = lane->cost != NULL && lane->role == MB_REPLAY_ONLINE;
  size_t n_replaced = 0;

  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    size_t delay = one_by_one ? mb_lane_cost_effect_delay(lane->cost, n_replaced) : 0;
    flight->effect_step[l] = flight->pending[l] ? (int64_t)(step + delay) : -1;
    n_replaced += flight->pending[l];
  }
}

mb_status mb_lane_plan(mb_lane *lane, size_t step, size_t delay, size_t n_window_steps,
                       const double *load, const double *next) {
  assert(lane->planner != NULL);
  if (lane->flight.flying) {
    mb_tally_skip(&lane->tally, step);
    return MB_OK;
  }
  if (lane->trigger != NULL && !is_due(lane, load)) {
    mb_tally_leave_out(&lane->tally, step);
    return MB_OK;
  }
  lane->flight.step = step;
  mb_status status = ask_planner(lane, n_window_steps, load);
  if (status == MB_OK && lane->trigger != NULL && !pays(lane, n_window_steps, load)) {
    mb_tally_leave_out(&lane->tally, step);
  }
  set_effect_steps(lane, step + delay);
  if (status == MB_OK) {
    status = describe_flight(lane, load, next);
  }
  if (status != MB_OK) {
    return MB_FAIL(status, "strategy %s, plan at step %zu: %s", lane->label, step,
                   mb_error_message());
  }
  lane->flight.flying = true;
  charge_flight(lane);
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
  return place_layer(lane, l);
}

static mb_status record_plan(mb_lane *lane, const mb_replay_sink *sink) {
  mb_flight *flight = &lane->flight;
  mb_plan_record record = {.strategy = lane->index,
                           .plan = flight->n_plans,
                           .step = (int64_t)flight->step,
                           .effect_step = flight->effect_step,
                           .duplicate_slots = flight->duplicate_slots,
                           .node_imbalance = flight->node_imbalance,
                           .planned_imbalance = flight->planned_imbalance,
                           .planned_gap = flight->planned_gap,
                           .gpu_load_before = flight->load_before,
                           .gpu_load_after = flight->load_after,
                           .moved_experts = flight->moved_experts,
                           .physical_to_logical_map = flight->physical_to_logical_map,
                           .planner_seconds = flight->planner_seconds,
                           .movement =
                               lane->cost != NULL ? mb_lane_cost_get_movement(lane->cost) : NULL};

  flight->flying = false;
  flight->n_plans++;
  mb_tally_plan(&lane->tally, &record);
  if (lane->cost != NULL) {
    mb_lane_cost_land(lane->cost, flight->effect_step);
  }
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
      charge_flight(lane);
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

void mb_lane_score(mb_lane *lane, size_t layer, const mb_dispatch_load *load, double *share,
                   double *slot_load, mb_layer_score *score) {
  if (lane->cost == NULL && mb_dispatcher_is_even(lane->dispatcher)) {
    mb_score_even(&lane->shape, &lane->layer[layer], load->load, share, score);
    return;
  }
  mb_dispatcher_split(lane->dispatcher, layer, load, slot_load);
  mb_metrics_layer(&lane->shape, slot_load, score);
  if (lane->cost != NULL) {
    mb_lane_cost_layer(lane->cost, load->step, layer, slot_load);
  }
}

void mb_lane_step(mb_lane *lane, size_t step, const mb_layer_score *score, double *step_imbalance,
                  float *imbalance, int32_t *active_experts) {
  for (size_t l = 0; l < lane->shape.n_layers; l++) {
    lane->since_max[l] += score[l].load_max;
    lane->since_mean[l] += score[l].load_mean;
  }
  mb_tally_step(&lane->tally, step, score, step_imbalance, imbalance, active_experts);
  if (lane->cost != NULL) {
    mb_lane_cost_step(lane->cost, step);
  }
}
