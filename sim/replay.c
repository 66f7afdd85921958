/* sim/replay.c */
#include "sim/replay.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/attribution.h"
#include "sim/history.h"
#include "sim/lane.h"
#include "sim/score.h"

/* What is read, and what is scored before the sink hears of it, stays below these many bytes. */
enum { READ_BYTES = 16 << 20, SCORE_BYTES = 1 << 20 };

typedef struct replay {
  const mb_replay_config *config;
  const mb_replay_sink *sink;
  mb_source *source;
  size_t n_steps;
  size_t window; /* the longest of the lanes' */

  mb_history history;
  mb_window recent; /* the last `window` steps before the plans that are due, added up */
  mb_window
      next; /* the interval that starts now: what hindsight looks at, and plans are judged by */
  mb_window other;               /* a slice of any of these */
  double *load;                  /* [S,L,E] what a planner gets; S is the most that one wants */
  double *next_load;             /* [L,E] `next` */
  mb_lane *lanes;                /* [n_strategies] */
  mb_attribution **attributions; /* [n_strategies] NULL where nobody asks */

  /* The scores that the sink has not had yet: steps [first, first + n_rows), for each lane
     [max_rows] rows. */
  size_t first, n_rows, max_rows;
  mb_layer_score *score;   /* [n_strategies,max_rows,L] */
  uint64_t *layer_load;    /* [max_rows,L] */
  double *step_load;       /* [max_rows] */
  double *step_imbalance;  /* [n_strategies,max_rows] */
  float *imbalance;        /* [n_strategies,max_rows,L] */
  int32_t *active_experts; /* [n_strategies,max_rows,L] */
  double *share;           /* [L,E] scratch: a row for each layer, whichever thread has it */
  double *slot_load;       /* [L,P] likewise */
} replay;

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* How many rows of so many bytes fit, at least one. */
static size_t rows_within(size_t bytes, size_t row_bytes) {
  assert(row_bytes > 0);
  return row_bytes < bytes ? bytes / row_bytes : 1;
}

/* When a placement takes effect: @param first, last of its steps; -1 where it keeps every layer. */
static mb_status check_effect_steps(const mb_replay_strategy *one, size_t k, size_t n_layers,
                                    size_t n_steps, int64_t *first, int64_t *last) {
  const mb_replay_recorded *recorded = one->params;
  const int64_t *effect_step = recorded->effect_step + k * n_layers;

  *first = -1;
  *last = -1;
  for (size_t l = 0; l < n_layers; l++) {
    int64_t step = effect_step[l];
    if (step < -1 || step >= (int64_t)n_steps) {
      return MB_FAIL(
          MB_ERR_RANGE,
          "strategy %s: placement %zu takes effect at step %" PRId64
          " in layer %zu (from 0), but the loads have %zu steps: should be in 0..%zu, or "
          "-1 where the layer keeps its placement",
          one->label, k, step, l, n_steps, n_steps - 1);
    }
    *first = step >= 0 && (*first < 0 || step < *first) ? step : *first;
    *last = step > *last ? step : *last;
  }
  return MB_OK;
}

static mb_status check_placement(const mb_replay_strategy *one, size_t k, const mb_shape *shape,
                                 int32_t *count) {
  const mb_replay_recorded *recorded = one->params;

  for (size_t l = 0; l < shape->n_layers; l++) {
    size_t row = k * shape->n_layers + l;
    if (recorded->effect_step[row] < 0) {
      continue;
    }
    mb_status status =
        mb_placement_count(shape, recorded->physical_to_logical_map + row * shape->n_slots, count);
    if (status != MB_OK) {
      return MB_FAIL(status, "strategy %s: placement %zu, layer %zu (from 0): %s", one->label, k, l,
                     mb_error_message());
    }
  }
  return MB_OK;
}

static mb_status check_recorded(const mb_replay_strategy *one, const mb_shape *shape,
                                size_t n_steps) {
  const mb_replay_recorded *recorded = one->params;
  int64_t before = -1;

  if (recorded == NULL || recorded->n_plans == 0) {
    return MB_FAIL(MB_ERR_PARAM, "strategy %s has no recorded placements: it needs at least 1",
                   one->label);
  }
  int32_t *count = calloc(shape->n_experts, sizeof *count);
  mb_status status = count != NULL
                         ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "out of memory: %zu experts", shape->n_experts);
  for (size_t k = 0; k < recorded->n_plans && status == MB_OK; k++) {
    int64_t first = -1;
    int64_t last = -1;
    status = check_effect_steps(one, k, shape->n_layers, n_steps, &first, &last);
    if (status == MB_OK && first >= 0 && first <= before) {
      status = MB_FAIL(MB_ERR_RANGE,
                       "strategy %s: placement %zu takes effect from step %" PRId64
                       ", but the one before it until step %" PRId64 ": should be later",
                       one->label, k, first, before);
    }
    status = status == MB_OK ? check_placement(one, k, shape, count) : status;
    before = last >= 0 ? last : before;
  }
  free(count);
  return status;
}

static mb_status check_strategies(const mb_replay_config *config, size_t n_steps) {
  if (config->n_strategies == 0) {
    return MB_FAIL(MB_ERR_PARAM, "a replay of 0 strategies: it needs at least 1");
  }
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_replay_strategy *one = &config->strategies[i];
    if (one->label == NULL || one->label[0] == '\0') {
      return MB_FAIL(MB_ERR_PARAM, "strategy %zu has no label: each needs one of its own", i);
    }
    bool plans = one->role != MB_REPLAY_NONE && one->role != MB_REPLAY_RECORDED;
    if (plans && one->strategy == NULL) {
      return MB_FAIL(MB_ERR_PARAM,
                     "strategy %s (%zu) says not how to plan: only a reference "
                     "without plans may do without",
                     one->label, i);
    }
    for (size_t j = 0; j < i; j++) {
      if (strcmp(one->label, config->strategies[j].label) == 0) {
        return MB_FAIL(MB_ERR_PARAM,
                       "strategies %zu and %zu are both called %s: labels must differ", j, i,
                       one->label);
      }
    }
    if (one->role == MB_REPLAY_RECORDED) {
      MB_TRY(check_recorded(one, &config->shape, n_steps));
    }
  }
  return MB_OK;
}

size_t mb_replay_window(const mb_replay_config *config, size_t strategy) {
  const mb_lane_options *options = config->strategies[strategy].options;

  return options != NULL && options->window > 0 ? (size_t)options->window : config->window;
}

mb_status mb_replay_check(const mb_replay_config *config, const mb_trace_info *info) {
  const mb_shape *shape = &config->shape;

  MB_TRY(mb_shape_check(shape));
  if (shape->n_layers != info->n_layers) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu layers, but the loads are of %zu: they must be the same",
                   shape->n_layers, info->n_layers);
  }
  if (shape->n_experts != info->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu experts, but the loads are of %zu: they must be the same",
                   shape->n_experts, info->n_experts);
  }
  if (config->interval == 0) {
    return MB_FAIL(MB_ERR_PARAM, "interval 0: it must be at least 1 step");
  }
  if (config->window == 0) {
    return MB_FAIL(MB_ERR_PARAM, "window 0: it must be at least 1 step");
  }
  if (config->delay >= config->interval) {
    return MB_FAIL(MB_ERR_PARAM, "delay %zu with interval %zu: it must be less than the interval",
                   config->delay, config->interval);
  }
  if (config->summary_from >= info->n_steps) {
    return MB_FAIL(MB_ERR_PARAM,
                   "summaries begin at step %zu, but the loads have %zu steps: it must be less",
                   config->summary_from, info->n_steps);
  }
  return check_strategies(config, info->n_steps);
}

static mb_status allocate_rows(replay *r) {
  const mb_shape *shape = &r->config->shape;
  size_t n_strategies = r->config->n_strategies;
  size_t row_bytes = n_strategies * shape->n_layers *
                     (sizeof *r->score + sizeof *r->imbalance + sizeof *r->active_experts);

  assert(row_bytes > 0);
  r->max_rows = smaller(r->n_steps, rows_within(SCORE_BYTES, row_bytes));
  size_t rows = n_strategies * r->max_rows;
  assert(rows > 0);
  assert(rows > 0 && shape->n_layers > 0);
  r->score = calloc(rows * shape->n_layers, sizeof *r->score);
  r->layer_load = calloc(r->max_rows * shape->n_layers, sizeof *r->layer_load);
  r->step_load = calloc(r->max_rows, sizeof *r->step_load);
  r->step_imbalance = calloc(rows, sizeof *r->step_imbalance);
  r->imbalance = calloc(rows * shape->n_layers, sizeof *r->imbalance);
  r->active_experts = calloc(rows * shape->n_layers, sizeof *r->active_experts);
  if (r->score == NULL || r->layer_load == NULL || r->step_load == NULL ||
      r->step_imbalance == NULL || r->imbalance == NULL || r->active_experts == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: scores of %zu strategies and %zu layers",
                   n_strategies, shape->n_layers);
  }
  return MB_OK;
}

static mb_status allocate_loads(replay *r) {
  const mb_shape *shape = &r->config->shape;
  size_t row = shape->n_layers * shape->n_experts;
  size_t n_slices = 1;

  for (size_t i = 0; i < r->config->n_strategies; i++) {
    size_t wanted = mb_lane_n_slices(&r->lanes[i]);
    n_slices = wanted > n_slices ? wanted : n_slices;
  }
  r->recent.sum = calloc(row, sizeof *r->recent.sum);
  r->next.sum = calloc(row, sizeof *r->next.sum);
  r->next_load = calloc(row, sizeof *r->next_load);
  r->other.sum = calloc(row, sizeof *r->other.sum);
  r->share = calloc(row, sizeof *r->share);
  r->slot_load = calloc(shape->n_layers * shape->n_slots, sizeof *r->slot_load);
  r->load = n_slices <= SIZE_MAX / row ? calloc(n_slices * row, sizeof *r->load) : NULL;
  if (r->recent.sum == NULL || r->next.sum == NULL || r->next_load == NULL ||
      r->other.sum == NULL || r->share == NULL || r->slot_load == NULL || r->load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY,
                   "out of memory: %zu slices of the loads of %zu layers of %zu experts", n_slices,
                   shape->n_layers, shape->n_experts);
  }
  return MB_OK;
}

/* Where the sink asks: the strategies that plan online. */
static mb_status start_attributions(replay *r) {
  size_t n = r->config->n_strategies;

  r->attributions = calloc(n, sizeof(mb_attribution *));
  if (r->attributions == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: %zu strategies", n);
  }
  for (size_t i = 0; i < n && r->sink->attribution != NULL; i++) {
    if (r->lanes[i].role == MB_REPLAY_ONLINE) {
      MB_TRY(mb_attribution_create(r->config, &r->lanes[i], &r->attributions[i]));
    }
  }
  return MB_OK;
}

/* Whether a strategy's dispatch goes by where tokens come from. */
static bool wants_sources(const mb_replay_config *config) {
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_lane_options *options = config->strategies[i].options;
    if (options != NULL && mb_dispatch_uses_sources(&options->dispatch)) {
      return true;
    }
  }
  return false;
}

static mb_status replay_start(replay *r) {
  const mb_replay_config *config = r->config;
  const mb_trace_info *info = mb_source_get_info(r->source);
  mb_dispatch_origin origin = {.n_sources =
                                   wants_sources(config) ? mb_source_n_sources(r->source) : 0,
                               .top_k = info->top_k > 0 ? (size_t)info->top_k : 0};
  size_t interval = smaller(config->interval, r->n_steps);

  r->lanes = calloc(config->n_strategies, sizeof *r->lanes);
  if (r->lanes == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: %zu strategies", config->n_strategies);
  }
  for (size_t i = 0; i < config->n_strategies; i++) {
    MB_TRY(mb_lane_init(&r->lanes[i], config, i, r->n_steps, &origin));
    r->window = r->lanes[i].window > r->window ? r->lanes[i].window : r->window;
  }
  size_t kept = r->window <= r->n_steps - interval ? r->window + interval : r->n_steps;
  MB_TRY(start_attributions(r));
  MB_TRY(mb_history_init(&r->history, config->shape.n_layers, config->shape.n_experts, kept));
  if (origin.n_sources > 0) {
    MB_TRY(mb_history_keep_sources(&r->history, origin.n_sources, interval));
  }
  MB_TRY(allocate_loads(r));
  MB_TRY(allocate_rows(r));
  for (size_t i = 0; i < config->n_strategies; i++) {
    MB_TRY(mb_lane_start_cost(&r->lanes[i], config, r->max_rows));
  }
  return MB_OK;
}

static void replay_fini(replay *r) {
  for (size_t i = 0; i < r->config->n_strategies && r->attributions != NULL; i++) {
    mb_attribution_destroy(r->attributions[i]);
  }
  free((void *)r->attributions);
  for (size_t i = 0; i < r->config->n_strategies && r->lanes != NULL; i++) {
    mb_lane_fini(&r->lanes[i]);
  }
  free(r->lanes);
  mb_history_fini(&r->history);
  free(r->recent.sum);
  free(r->next.sum);
  free(r->next_load);
  free(r->other.sum);
  free(r->load);
  free(r->share);
  free(r->slot_load);
  free(r->score);
  free(r->layer_load);
  free(r->step_load);
  free(r->step_imbalance);
  free(r->imbalance);
  free(r->active_experts);
}

static mb_status report_progress(const replay *r, size_t n_steps_done) {
  return r->sink->progress != NULL ? r->sink->progress(r->sink->context, n_steps_done) : MB_OK;
}

/* Reads on to step `end`, in pieces, so that whoever watches can stop it. */
static mb_status read_until(replay *r, size_t end) {
  size_t start = r->history.n_read;
  size_t row_bytes = r->history.n_layers * r->history.n_experts * sizeof *r->history.load;

  while (r->history.n_read < end) {
    size_t piece = smaller(end - r->history.n_read, rows_within(READ_BYTES, row_bytes));
    MB_TRY(mb_history_read(&r->history, r->source, piece));
    if (r->history.n_read < end) {
      MB_TRY(report_progress(r, start));
    }
  }
  return MB_OK;
}

/* Steps [first, end) as slices as equal as possible, oldest first, into r->load. */
static void fill_load(replay *r, size_t first, size_t end, size_t n_slices) {
  size_t row = r->history.n_layers * r->history.n_experts;
  size_t n = end - first;

  if (n_slices == 1 && r->recent.first == first && r->recent.end == end) {
    mb_window_load(&r->recent, &r->history, r->load);
    return;
  }
  if (n_slices == 1 && r->next.first == first && r->next.end == end) {
    mb_window_load(&r->next, &r->history, r->load);
    return;
  }
  for (size_t s = 0; s < n_slices; s++) {
    mb_window_set(&r->other, &r->history, first + s * n / n_slices, first + (s + 1) * n / n_slices);
    mb_window_load(&r->other, &r->history, r->load + s * row);
  }
}

/* The middle of the steps for which a plan is in force, in steps from when it is made. */
static double steps_ahead(const replay *r) {
  return (double)r->config->delay + (double)(r->config->interval - 1) / 2.0;
}

/* The plan that falls due at t, with the steps [t, end) at hand. */
static mb_status plan_lane(replay *r, mb_lane *lane, size_t t, size_t end) {
  size_t first = t - smaller(t, lane->window);
  size_t delay = r->config->delay;

  switch (lane->role) {
  case MB_REPLAY_NONE:
  case MB_REPLAY_RECORDED:
    return MB_OK;
  case MB_REPLAY_HINDSIGHT:
    fill_load(r, t, end, mb_lane_n_slices(lane));
    return mb_lane_plan(lane, t, 0, end - t, r->load, r->next_load);
  case MB_REPLAY_ONLINE:
    if (t == 0 || delay + mb_lane_longest_move(lane) >= r->n_steps - t) {
      return MB_OK; /* nothing seen yet, or it would take effect after the end */
    }
    fill_load(r, first, t, mb_lane_n_slices(lane));
    if (lane->forecast != NULL) {
      mb_forecast_apply(lane->forecast, &r->history, first, t, steps_ahead(r),
                        mb_lane_n_slices(lane), r->load);
    }
    return mb_lane_plan(lane, t, delay, t - first, r->load, r->next_load);
  }
  return MB_OK;
}

/* Steps up to `end` are what forecasts look back at. */
static void absorb_all(replay *r, size_t end) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->lanes[i].forecast != NULL) {
      mb_forecast_absorb(r->lanes[i].forecast, &r->history, end);
    }
  }
}

static mb_status land_all(replay *r, size_t t) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    MB_TRY(mb_lane_land(&r->lanes[i], t, r->sink));
  }
  return MB_OK;
}

static bool has_planner(const replay *r) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->lanes[i].planner != NULL) {
      return true;
    }
  }
  return false;
}

static mb_status plan_all(replay *r, size_t t, size_t end) {
  if (!has_planner(r)) {
    return MB_OK;
  }
  mb_window_set(&r->next, &r->history, t, end);
  mb_window_load(&r->next, &r->history, r->next_load);
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    MB_TRY(plan_lane(r, &r->lanes[i], t, end));
    MB_TRY(report_progress(r, t));
  }
  return MB_OK;
}

static mb_status flush_step_load(replay *r) {
  size_t n_layers = r->config->shape.n_layers;

  for (size_t t = 0; t < r->n_rows; t++) {
    uint64_t sum = 0;
    for (size_t l = 0; l < n_layers; l++) {
      sum += r->layer_load[t * n_layers + l];
    }
    r->step_load[t] = (double)sum;
  }
  return r->n_rows > 0 ? r->sink->step_load(r->sink->context, r->first, r->n_rows, r->step_load)
                       : MB_OK;
}

/* Gives the sink the rows gathered so far. */
static mb_status flush_rows(replay *r) {
  size_t n_layers = r->config->shape.n_layers;

  if (r->sink->step_load != NULL) {
    MB_TRY(flush_step_load(r));
  }
  for (size_t i = 0; i < r->config->n_strategies && r->n_rows > 0; i++) {
    size_t row = i * r->max_rows;
    MB_TRY(r->sink->steps(r->sink->context, i, r->first, r->n_rows, r->step_imbalance + row,
                          r->imbalance + row * n_layers, r->active_experts + row * n_layers));
    if (r->sink->costs != NULL && r->lanes[i].cost != NULL) {
      const mb_cost_rows rows = mb_lane_cost_rows(r->lanes[i].cost, r->first);
      MB_TRY(r->sink->costs(r->sink->context, i, r->first, r->n_rows, &rows));
    }
  }
  r->first += r->n_rows;
  r->n_rows = 0;
  return MB_OK;
}

static uint64_t sum_load(const uint32_t *load, size_t n_experts) {
  uint64_t sum = 0;

  for (size_t e = 0; e < n_experts; e++) {
    sum += load[e];
  }
  return sum;
}

/* One layer of one step, all strategies: its loads are read once. */
static void score_layer(replay *r, size_t l, size_t t) {
  const mb_shape *shape = &r->config->shape;
  const uint32_t *load = mb_history_step(&r->history, t) + l * shape->n_experts;
  const mb_dispatch_load one = {
      .step = t, .load = load, .by_source = mb_history_by_source(&r->history, t, l)};
  double *share = r->share + l * shape->n_experts;
  double *slot_load = r->slot_load + l * shape->n_slots;

  if (r->sink->step_load != NULL) {
    r->layer_load[(t - r->first) * shape->n_layers + l] = sum_load(load, shape->n_experts);
  }
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    size_t row = i * r->max_rows + (t - r->first);
    mb_lane_score(&r->lanes[i], l, &one, share, slot_load, &r->score[row * shape->n_layers + l]);
  }
}

static void tally_lane(replay *r, size_t i, size_t from, size_t to) {
  size_t n_layers = r->config->shape.n_layers;

  for (size_t t = from; t < to; t++) {
    size_t row = i * r->max_rows + (t - r->first);
    if (r->attributions[i] != NULL) {
      mb_attribution_step(r->attributions[i], r->score + row * n_layers);
    }
    mb_lane_step(&r->lanes[i], t, r->score + row * n_layers, r->step_imbalance + row,
                 r->imbalance + row * n_layers, r->active_experts + row * n_layers);
  }
}

/* Scores steps [from, to), during which no placement changes. No sum crosses a thread's part, so
   the number of threads doesn't matter. A thread has the same layers in every step, and takes the
   steps in their order, as the loads lie in memory. */
static void score_steps(replay *r, size_t from, size_t to) {
#pragma omp parallel
  {
    for (size_t t = from; t < to; t++) {
#pragma omp for schedule(static) nowait
      for (size_t l = 0; l < r->config->shape.n_layers; l++) {
        score_layer(r, l, t);
      }
    }
#pragma omp barrier
#pragma omp for schedule(static)
    for (size_t i = 0; i < r->config->n_strategies; i++) {
      tally_lane(r, i, from, to);
    }
  }
  r->n_rows += to - from;
}

/* The end of the stretch from t on in which nothing takes effect and the rows still have room. */
static size_t quiet_until(const replay *r, size_t t, size_t end) {
  size_t until = smaller(end, t + (r->max_rows - r->n_rows));

  for (size_t i = 0; i < r->config->n_strategies; i++) {
    until = smaller(until, mb_lane_next_effect(&r->lanes[i], t));
  }
  return until;
}

static void begin_attributions(replay *r) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->attributions[i] != NULL) {
      mb_attribution_begin(r->attributions[i]);
    }
  }
}

/* The interval is scored, and its steps are still in the history. */
static mb_status end_attributions(replay *r, size_t start, size_t end) {
  mb_attribution_record record;
  bool found = false;

  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->attributions[i] == NULL) {
      continue;
    }
    fill_load(r, start, end, mb_lane_n_slices(&r->lanes[i]));
    MB_TRY(
        mb_attribution_end(r->attributions[i], &r->history, start, end, r->load, &record, &found));
    if (found) {
      MB_TRY(r->sink->attribution(r->sink->context, &record));
    }
    MB_TRY(report_progress(r, end));
  }
  return MB_OK;
}

/* From one due plan at step `start` to the next at `end`. */
static mb_status replay_interval(replay *r, size_t start, size_t end) {
  /* Before reading on, while the steps that leave the window are still there. */
  mb_window_move(&r->recent, &r->history, start - smaller(start, r->window), start);
  absorb_all(r, start);
  MB_TRY(read_until(r, end));
  MB_TRY(land_all(r, start));
  begin_attributions(r);
  MB_TRY(plan_all(r, start, end));
  for (size_t t = start, until = start; t < end; t = until) {
    MB_TRY(land_all(r, t));
    until = quiet_until(r, t, end);
    score_steps(r, t, until);
    if (r->n_rows == r->max_rows) {
      MB_TRY(flush_rows(r));
    }
    MB_TRY(report_progress(r, until));
  }
  return end_attributions(r, start, end);
}

static mb_status replay_run(replay *r) {
  for (size_t start = 0, end = 0; start < r->n_steps; start = end) {
    end = start + smaller(r->config->interval, r->n_steps - start);
    MB_TRY(replay_interval(r, start, end));
  }
  return flush_rows(r);
}

/* The costs of the strategy that never plans; NULL: there is none. */
static const mb_lane_cost *costs_of_none(const replay *r) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->lanes[i].role == MB_REPLAY_NONE) {
      return r->lanes[i].cost;
    }
  }
  return NULL;
}

static mb_status replay_summarise(replay *r, mb_replay_summary *summary) {
  size_t n = r->config->n_strategies;
  mb_replay_summary *results = calloc(n, sizeof *results);
  mb_status status = MB_OK;

  if (results == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "out of memory: summaries of %zu strategies", n);
  }
  for (size_t i = 0; i < n && status == MB_OK; i++) {
    status = mb_tally_summarise(&r->lanes[i].tally, &results[i]);
    if (status == MB_OK && r->lanes[i].cost != NULL) {
      mb_lane_cost_summarise(r->lanes[i].cost, costs_of_none(r), &results[i].cost);
    }
  }
  if (status == MB_OK) {
    memcpy(summary, results, n * sizeof *results);
  }
  free(results);
  return status;
}

mb_status mb_replay(const mb_replay_config *config, mb_source *source, const mb_replay_sink *sink,
                    mb_replay_summary *summary) {
  const mb_trace_info *info = mb_source_get_info(source);

  assert(sink->steps != NULL && sink->plan != NULL);
  MB_TRY(mb_replay_check(config, info));
  replay r = {.config = config, .sink = sink, .source = source, .n_steps = info->n_steps};
  mb_status status = replay_start(&r);
  if (status == MB_OK) {
    status = replay_run(&r);
  }
  if (status == MB_OK) {
    status = replay_summarise(&r, summary);
  }
  replay_fini(&r);
  return status;
}
