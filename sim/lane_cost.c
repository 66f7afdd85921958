/* sim/lane_cost.c */
#include "sim/lane_cost.h"

#include <math.h>
#include <stdlib.h>

/* When a layer of the plan in flight moves, and for how long. */
typedef struct layer_move {
  int64_t step; /* -1: it does not */
  double seconds;
} layer_move;

typedef struct totals {
  size_t n_steps;
  double latency, stall, gpu_max, gpu_mean, experts, lost;
  int64_t active_slots, bound_slots;
  int64_t n_plans;
  mb_movement moved;
} totals;

struct mb_lane_cost {
  const mb_cost *cost;
  double dispatch_seconds;
  size_t summary_from, max_rows;
  mb_cost_score *score; /* [max_rows,L] step t is in row t % max_rows, as everywhere below */
  double *step_latency, *time_imbalance, *gpu_time_lost, *rebalance_stall; /* [max_rows] */

  mb_movement_scratch *scratch;
  layer_move *move;      /* [L] */
  int64_t first_move;    /* the first of these steps; -1: nothing moves */
  int64_t last_move;     /* and the last */
  mb_movement in_flight; /* all layers */
  totals sum;
};

mb_status mb_lane_cost_create(const mb_cost *cost, double dispatch_seconds, size_t summary_from,
                              size_t max_rows, mb_lane_cost **lane_cost) {
  size_t n_layers = cost->shape.n_layers;
  mb_lane_cost *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for costs");
  }
  *made = (mb_lane_cost){.cost = cost,
                         .dispatch_seconds = dispatch_seconds,
                         .summary_from = summary_from,
                         .max_rows = max_rows,
                         .first_move = -1,
                         .last_move = -1};
  made->score = calloc(max_rows, n_layers * sizeof *made->score);
  made->step_latency = calloc(max_rows, sizeof *made->step_latency);
  made->time_imbalance = calloc(max_rows, sizeof *made->time_imbalance);
  made->gpu_time_lost = calloc(max_rows, sizeof *made->gpu_time_lost);
  made->rebalance_stall = calloc(max_rows, sizeof *made->rebalance_stall);
  made->move = calloc(n_layers, sizeof *made->move);
  mb_status status = mb_movement_scratch_create(&cost->shape, &made->scratch);
  if (status == MB_OK &&
      (made->score == NULL || made->step_latency == NULL || made->time_imbalance == NULL ||
       made->gpu_time_lost == NULL || made->rebalance_stall == NULL || made->move == NULL)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the costs of %zu steps of %zu layers", max_rows,
                     n_layers);
  }
  if (status != MB_OK) {
    mb_lane_cost_destroy(made);
    return status;
  }
  *lane_cost = made;
  return MB_OK;
}

void mb_lane_cost_destroy(mb_lane_cost *lane_cost) {
  if (lane_cost == NULL) {
    return;
  }
  free(lane_cost->score);
  free(lane_cost->step_latency);
  free(lane_cost->time_imbalance);
  free(lane_cost->gpu_time_lost);
  free(lane_cost->rebalance_stall);
  free(lane_cost->move);
  mb_movement_scratch_destroy(lane_cost->scratch);
  free(lane_cost);
}

size_t mb_lane_cost_effect_delay(const mb_lane_cost *lane_cost, size_t i) {
  return lane_cost->cost->async ? 1 + i / lane_cost->cost->layers_per_step : 0;
}

/* --- moves --- */

static int64_t move_step(const mb_cost *cost, size_t step, int64_t effect_step) {
  return cost->async && effect_step > (int64_t)step ? effect_step - 1 : effect_step;
}

static void add_movement(mb_movement *sum, const mb_movement *one) {
  sum->same_gpu += one->same_gpu;
  sum->intra_node += one->intra_node;
  sum->inter_node += one->inter_node;
}

void mb_lane_cost_fly(mb_lane_cost *lane_cost, size_t step, const int64_t *effect_step,
                      const int32_t *before, const int32_t *after) {
  const mb_cost *cost = lane_cost->cost;
  size_t n_slots = cost->shape.n_slots;

  lane_cost->in_flight = (mb_movement){0};
  lane_cost->first_move = -1;
  lane_cost->last_move = -1;
  for (size_t l = 0; l < cost->shape.n_layers; l++) {
    layer_move *move = &lane_cost->move[l];
    *move = (layer_move){.step = -1};
    if (effect_step[l] <= 0) {
      continue; /* kept, or there from the start */
    }
    mb_movement moved;
    mb_movement_find(&cost->shape, before + l * n_slots, after + l * n_slots, lane_cost->scratch,
                     &moved);
    add_movement(&lane_cost->in_flight, &moved);
    move->step = move_step(cost, step, effect_step[l]);
    if (moved.same_gpu + moved.intra_node + moved.inter_node > 0) {
      move->seconds = cost->move_layer_seconds + mb_cost_move_seconds(cost, &moved);
    }
    if (lane_cost->first_move < 0 || move->step < lane_cost->first_move) {
      lane_cost->first_move = move->step;
    }
    lane_cost->last_move = move->step > lane_cost->last_move ? move->step : lane_cost->last_move;
  }
}

const mb_movement *mb_lane_cost_get_movement(const mb_lane_cost *lane_cost) {
  return &lane_cost->in_flight;
}

void mb_lane_cost_land(mb_lane_cost *lane_cost, const int64_t *effect_step) {
  for (size_t l = 0; l < lane_cost->cost->shape.n_layers; l++) {
    if (effect_step[l] > 0 && effect_step[l] >= (int64_t)lane_cost->summary_from) {
      lane_cost->sum.n_plans++;
      add_movement(&lane_cost->sum.moved, &lane_cost->in_flight);
      return;
    }
  }
}

/* How long weights move in that step. */
static double moving_seconds(const mb_lane_cost *lane_cost, size_t step) {
  int64_t now = (int64_t)step;
  double seconds = 0.0;

  if (now < lane_cost->first_move || now > lane_cost->last_move) {
    return 0.0;
  }
  for (size_t l = 0; l < lane_cost->cost->shape.n_layers; l++) {
    seconds += lane_cost->move[l].step == now ? lane_cost->move[l].seconds : 0.0;
  }
  return seconds + (now == lane_cost->first_move ? lane_cost->cost->planner_seconds : 0.0);
}

/* --- steps --- */

void mb_lane_cost_layer(mb_lane_cost *lane_cost, size_t step, size_t layer,
                        const double *slot_load) {
  size_t row = step % lane_cost->max_rows;

  mb_cost_layer(lane_cost->cost, slot_load,
                &lane_cost->score[row * lane_cost->cost->shape.n_layers + layer]);
}

static double alltoall_seconds(const mb_lane_cost *lane_cost, const mb_cost_score *score,
                               double share) {
  const mb_cost *cost = lane_cost->cost;
  const mb_links links = {share * cost->links.intra, share * cost->links.inter};
  double seconds = 0.0;

  for (size_t l = 0; l < cost->shape.n_layers; l++) {
    seconds += mb_cost_alltoall_seconds(cost, score[l].load_max, links);
  }
  return seconds;
}

/* What the step takes longer because weights move. In async the all-to-all has what they leave of
   the links, in the part of the step in which they move, and the step ends no earlier than they. */
static double stall_seconds(const mb_lane_cost *lane_cost, const mb_cost_score *score, size_t step,
                            double latency, double alltoall) {
  const mb_cost *cost = lane_cost->cost;
  double moving = moving_seconds(lane_cost, step);

  if (!cost->async || moving <= 0.0) {
    return moving;
  }
  double part = moving < latency ? moving / latency : 1.0;
  double slower = alltoall_seconds(lane_cost, score, 1.0 - cost->contention) - alltoall;
  return fmax(part * slower, moving - latency);
}

void mb_lane_cost_step(mb_lane_cost *lane_cost, size_t step) {
  const mb_cost *cost = lane_cost->cost;
  size_t row = step % lane_cost->max_rows;
  const mb_cost_score *score = lane_cost->score + row * cost->shape.n_layers;
  totals now = {.n_steps = 1};
  size_t n_layers = 0;

  for (size_t l = 0; l < cost->shape.n_layers; l++) {
    now.gpu_max += score[l].gpu_max;
    now.gpu_mean += score[l].gpu_mean;
    now.experts += score[l].experts_max;
    now.active_slots += score[l].active_slots;
    now.bound_slots += score[l].bound_slots;
    n_layers += score[l].active_slots > 0;
  }
  double alltoall = alltoall_seconds(lane_cost, score, 1.0);
  double working = now.gpu_max + alltoall + (double)n_layers * lane_cost->dispatch_seconds +
                   (n_layers > 0 ? cost->step_seconds : 0.0);
  now.stall = stall_seconds(lane_cost, score, step, working, alltoall);
  now.latency = working + now.stall;
  now.lost = (now.gpu_max - now.gpu_mean) * (double)cost->shape.n_gpus;
  lane_cost->step_latency[row] = now.latency;
  lane_cost->time_imbalance[row] = now.gpu_mean > 0.0 ? now.gpu_max / now.gpu_mean : NAN;
  lane_cost->gpu_time_lost[row] = now.lost;
  lane_cost->rebalance_stall[row] = now.stall;
  if (step < lane_cost->summary_from) {
    return;
  }
  totals *sum = &lane_cost->sum;
  sum->n_steps++;
  sum->latency += now.latency;
  sum->stall += now.stall;
  sum->gpu_max += now.gpu_max;
  sum->gpu_mean += now.gpu_mean;
  sum->experts += now.experts;
  sum->lost += now.lost;
  sum->active_slots += now.active_slots;
  sum->bound_slots += now.bound_slots;
}

mb_cost_rows mb_lane_cost_rows(const mb_lane_cost *lane_cost, size_t first) {
  size_t row = first % lane_cost->max_rows;

  return (mb_cost_rows){lane_cost->step_latency + row, lane_cost->time_imbalance + row,
                        lane_cost->gpu_time_lost + row, lane_cost->rebalance_stall + row};
}

/* --- the summary --- */

static double ratio(double a, double b) {
  return b > 0.0 ? a / b : NAN;
}

/* What a plan costs over what a step gains. */
static double break_even_interval(const totals *own, const totals *none) {
  if (own->n_plans == 0 || own->n_steps == 0) {
    return NAN;
  }
  double plan = own->stall / (double)own->n_plans;
  double gain =
      ((none->latency - none->stall) - (own->latency - own->stall)) / (double)own->n_steps;
  return gain > 0.0 ? plan / gain : INFINITY;
}

void mb_lane_cost_summarise(const mb_lane_cost *lane_cost, const mb_lane_cost *none,
                            mb_cost_summary *summary) {
  const mb_cost *cost = lane_cost->cost;
  const totals *sum = &lane_cost->sum;

  *summary = (mb_cost_summary){
      .step_latency_mean = ratio(sum->latency, (double)sum->n_steps),
      .run_time_imbalance = ratio(sum->gpu_max, sum->gpu_mean),
      .experts_share = ratio(sum->experts, sum->latency - sum->stall),
      .memory_bound_slots = ratio((double)sum->bound_slots, (double)sum->active_slots),
      .break_even_tokens = mb_cost_break_even_tokens(cost),
      .gpu_time_lost_total = sum->lost,
      .rebalance_stall_total = sum->stall,
      .speedup_over_none = none != NULL ? ratio(none->sum.latency, sum->latency) : NAN,
      .break_even_interval = none != NULL ? break_even_interval(sum, &none->sum) : NAN,
      .same_gpu_bytes_total = (double)sum->moved.same_gpu * cost->expert_bytes,
      .intra_node_bytes_total = (double)sum->moved.intra_node * cost->expert_bytes,
      .inter_node_bytes_total = (double)sum->moved.inter_node * cost->expert_bytes,
      .gpu_hours = sum->latency * (double)cost->shape.n_gpus / 3600.0};
}
