/* experiments/tune.c */
#include "experiments/tune.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/backend.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/stat_blocks.h"
#include "experiments/stat_bootstrap.h"
#include "experiments/stat_student.h"
#include "sim/replay.h"
#include "workloads/stream.h"

enum { FIRST, REST, N_PARTS, RESAMPLES = 9999, BLOCKS_LEAST = 5 };

/* Loads up to this are kept for all cells; larger ones are read again for each. */
enum { KEPT_BYTES = 1 << 30 };

const char *const mb_tune_objective_words[] = {"step_imbalance", "step_latency", "gpu_hours", NULL};

/* --- one cell's replay --- */

/* A strategy's steps of one part, added up. */
typedef struct sums {
  double value, weight;
} sums;

/* What a replay's sink gathers. */
typedef struct watch {
  mb_tune_objective objective;
  double scale;      /* of a latency in the objective's value */
  size_t from, half; /* scored steps begin; the second part begins */
  double *load;      /* [T] */
  double *series;    /* [n_strategies,T] the objective by step; NULL: only sums are wanted */
  size_t n_steps;
  sums (*part)[N_PARTS]; /* [n_strategies] */
} watch;

static mb_status take_load(void *context, size_t first, size_t n, const double *step_load) {
  watch *w = context;

  memcpy(w->load + first, step_load, n * sizeof *step_load);
  return mb_interrupt_check();
}

/* An imbalance weighs by its load, as run_imbalance does; a latency is one step's. */
static double weight_of(const watch *w, size_t step) {
  return w->objective == MB_TUNE_STEP_IMBALANCE ? w->load[step] : 1.0;
}

static void take_value(watch *w, size_t strategy, size_t step, double value) {
  const double weight = weight_of(w, step);

  if (w->series != NULL) {
    w->series[strategy * w->n_steps + step] = value;
  }
  if (step >= w->from && !isnan(value)) {
    sums *part = &w->part[strategy][step < w->half ? FIRST : REST];
    part->value += weight * value;
    part->weight += weight;
  }
}

static mb_status take_steps(void *context, size_t strategy, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active_experts) {
  watch *w = context;

  (void)imbalance;
  (void)active_experts;
  for (size_t t = 0; t < n && w->objective == MB_TUNE_STEP_IMBALANCE; t++) {
    take_value(w, strategy, first + t, step_imbalance[t]);
  }
  return MB_OK;
}

static mb_status take_costs(void *context, size_t strategy, size_t first, size_t n,
                            const mb_cost_rows *rows) {
  watch *w = context;

  for (size_t t = 0; t < n && w->objective != MB_TUNE_STEP_IMBALANCE; t++) {
    take_value(w, strategy, first + t, w->scale * rows->step_latency[t]);
  }
  return MB_OK;
}

static mb_status ignore_plan(void *context, const mb_plan_record *record) {
  (void)context;
  (void)record;
  return mb_interrupt_check();
}

/* Latencies have to be modelled. */
static mb_status check_objective(const mb_tune_options *options, const mb_config *config) {
  return options->objective == MB_TUNE_STEP_IMBALANCE || mb_config_has_cost(config)
             ? MB_OK
             : MB_FAIL(MB_ERR_PARAM,
                       "%s: the objective %s needs a model of costs: say cost.gpu, as in --set "
                       "cost.gpu=h100",
                       config->path, mb_tune_objective_words[options->objective]);
}

static void watch_fini(watch *w) {
  free(w->load);
  free(w->series);
  free(w->part);
}

/* GPU hours are of a million steps. */
static double scale_of(mb_tune_objective objective, const mb_config *config) {
  return objective == MB_TUNE_GPU_HOURS ? (double)config->gpus * 1e6 / 3600.0 : 1.0;
}

static mb_status watch_init(watch *w, size_t n_strategies, size_t n_steps, bool with_series) {
  w->n_steps = n_steps;
  w->load = calloc(n_steps, sizeof *w->load);
  w->part = calloc(n_strategies, sizeof *w->part);
  w->series = with_series ? calloc(n_strategies * n_steps, sizeof *w->series) : NULL;
  return w->load != NULL && w->part != NULL && (w->series != NULL || !with_series)
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for the scores of %zu steps", n_steps);
}

/* The loads that all cells share. */
typedef struct shared {
  mb_source *source; /* what they were read from, for its info */
  uint32_t *load;    /* [T,L,E]; NULL: they are read again for each cell */
} shared;

static void shared_fini(shared *loads) {
  mb_source_destroy(loads->source);
  free(loads->load);
}

static mb_status shared_init(shared *loads, const mb_config *config) {
  MB_TRY(mb_config_open_source(config, &loads->source));
  const mb_trace_info *info = mb_source_get_info(loads->source);
  size_t row = info->n_layers * info->n_experts;
  if (info->n_steps > KEPT_BYTES / sizeof *loads->load / row) {
    return MB_OK;
  }
  loads->load = malloc(info->n_steps * row * sizeof *loads->load);
  if (loads->load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps", info->n_steps);
  }
  return mb_source_read(loads->source, info->n_steps, loads->load);
}

/* A cell that has been opened. */
typedef struct opened {
  mb_source *source;
  mb_cost *cost; /* NULL: none is asked for */
  mb_replay_config replay;
} opened;

static mb_status open_cell(const mb_config *config, const shared *loads, opened *cell) {
  mb_backend_choice backend;

  cell->source = NULL;
  cell->cost = NULL;
  MB_TRY(loads->load != NULL
             ? mb_source_open_memory(mb_source_get_info(loads->source), loads->load, &cell->source)
             : mb_config_open_source(config, &cell->source));
  MB_TRY(mb_config_fit(config, mb_source_get_info(cell->source), &cell->replay));
  MB_TRY(mb_backend_choose(config->backend, &cell->replay.shape, &backend));
  cell->replay.backend = backend.backend;
  MB_TRY(mb_config_make_cost(config, mb_source_get_info(cell->source), &cell->replay.shape,
                             &cell->cost));
  cell->replay.cost = cell->cost;
  return MB_OK;
}

static void close_cell(opened *cell) {
  mb_source_destroy(cell->source);
  mb_cost_destroy(cell->cost);
}

/* @param summary [n_strategies] */
static mb_status replay_cell(opened *cell, watch *w, mb_replay_summary *summary) {
  const mb_replay_sink sink = {.context = w,
                               .steps = take_steps,
                               .plan = ignore_plan,
                               .step_load = take_load,
                               .costs = take_costs};

  return mb_replay(&cell->replay, cell->source, &sink, summary);
}

/* --- the search --- */

typedef struct search {
  const mb_sweep *sweep;
  const mb_tune_options *options;
  mb_tune_result *result;
  shared loads;
} search;

static mb_status check_keys(const mb_sweep *sweep) {
  static const char *const refused[] = {"trace.", "seed", "relabel", "cluster.expert_bytes"};

  for (size_t i = 0; i < sweep->n_keys; i++) {
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
      if (strncmp(sweep->key[i], refused[k], strlen(refused[k])) == 0) {
        return MB_FAIL(MB_ERR_PARAM,
                       "%s is swept, which is nothing to deploy: sweep keys of schedule, cluster, "
                       "parameters or cost",
                       sweep->key[i]);
      }
    }
  }
  return MB_OK;
}

/* Weights of experts on a GPU; 0: not known. */
static double gpu_bytes(const mb_config *config, const mb_trace_info *info) {
  int64_t slots = config->slots / config->gpus;

  return (double)mb_config_expert_bytes(config, info) * (double)info->n_layers * (double)slots;
}

static mb_status set_parts(search *s, size_t n_steps, size_t from) {
  mb_tune_result *result = s->result;

  result->n_steps = n_steps;
  result->from = from;
  result->half = (size_t)llround(s->options->split * (double)n_steps);
  if (result->half <= from || result->half >= n_steps) {
    return MB_FAIL(MB_ERR_PARAM,
                   "the first part of %zu steps, of %zu, has to go beyond summary.from, %zu, and "
                   "leave a rest",
                   result->half, n_steps, from);
  }
  return MB_OK;
}

/* `none` is the same under schedules that it does not have: one of them stands for all. */
static bool is_there(const mb_tune_result *result, const mb_tune_candidate *none) {
  for (size_t i = 0; i < result->n_candidates; i++) {
    const mb_tune_candidate *one = &result->candidate[i];
    if (one->is_none && one->first == none->first && one->rest == none->rest &&
        one->gpu_bytes == none->gpu_bytes) {
      return true;
    }
  }
  return false;
}

static mb_status add_candidates(search *s, size_t cell, const watch *w, double bytes,
                                const mb_replay_summary *summary) {
  mb_tune_result *result = s->result;
  const mb_config *config = s->sweep->cell[cell].config;
  mb_tune_candidate *grown = realloc(
      result->candidate, (result->n_candidates + config->n_strategies) * sizeof *result->candidate);

  if (grown == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu candidates", result->n_candidates);
  }
  result->candidate = grown;
  for (size_t i = 0; i < config->n_strategies; i++) {
    const sums *part = w->part[i];
    mb_replay_role role = config->strategies[i].role;
    if ((role != MB_REPLAY_ONLINE && role != MB_REPLAY_NONE) || part[FIRST].weight == 0.0 ||
        part[REST].weight == 0.0) {
      continue;
    }
    const mb_tune_candidate one = {.cell = cell,
                                   .strategy = i,
                                   .is_none = role == MB_REPLAY_NONE,
                                   .first = part[FIRST].value / part[FIRST].weight,
                                   .rest = part[REST].value / part[REST].weight,
                                   .moved_experts = summary[i].moved_experts,
                                   .gpu_bytes = bytes};
    if (!one.is_none || !is_there(result, &one)) {
      grown[result->n_candidates++] = one;
    }
  }
  return MB_OK;
}

static mb_status try_opened(search *s, size_t cell, opened *o) {
  const mb_config *config = s->sweep->cell[cell].config;
  const mb_trace_info *info = mb_source_get_info(o->source);
  double bytes = gpu_bytes(config, info);
  watch w = {.objective = s->options->objective, .scale = scale_of(s->options->objective, config)};

  if (bytes == 0.0) {
    return MB_FAIL(
        MB_ERR_PARAM,
        "%s: cluster.expert_bytes is auto, but the trace names no model that `moebal list "
        "models` has: give the bytes",
        config->path);
  }
  if (bytes > (double)s->options->most_bytes) {
    s->result->n_too_large++;
    return MB_OK;
  }
  MB_TRY(set_parts(s, info->n_steps, o->replay.summary_from));
  w.from = s->result->from;
  w.half = s->result->half;
  mb_replay_summary *summary = calloc(config->n_strategies, sizeof *summary);
  mb_status status = summary != NULL ? watch_init(&w, config->n_strategies, info->n_steps, false)
                                     : MB_FAIL(MB_ERR_MEMORY, "no memory for summaries");
  status = status == MB_OK ? replay_cell(o, &w, summary) : status;
  status = status == MB_OK ? add_candidates(s, cell, &w, bytes, summary) : status;
  watch_fini(&w);
  free(summary);
  return status;
}

static mb_status try_cell(search *s, size_t cell) {
  opened o;
  mb_status status = open_cell(s->sweep->cell[cell].config, &s->loads, &o);

  status = status == MB_OK ? try_opened(s, cell, &o) : status;
  close_cell(&o);
  return status;
}

/* The better on the first part; equals by what they move, then in the sweep's order. */
static int compare_candidates(const void *a, const void *b) {
  const mb_tune_candidate *x = a;
  const mb_tune_candidate *y = b;

  if (x->first != y->first) {
    return x->first < y->first ? -1 : 1;
  }
  if (x->moved_experts != y->moved_experts) {
    return x->moved_experts < y->moved_experts ? -1 : 1;
  }
  if (x->cell != y->cell) {
    return x->cell < y->cell ? -1 : 1;
  }
  return (x->strategy > y->strategy) - (x->strategy < y->strategy);
}

static mb_status try_cells(search *s) {
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "cells tried", s->sweep->n_cells, s->options->quiet);
  for (size_t i = 0; i < s->sweep->n_cells && status == MB_OK; i++) {
    status = try_cell(s, i);
    mb_progress_update(&progress, i + 1);
  }
  mb_progress_end(&progress);
  return status;
}

static mb_status rank(search *s) {
  mb_tune_result *result = s->result;

  if (result->n_candidates == 0) {
    return result->n_too_large > 0
               ? MB_FAIL(MB_ERR_PARAM,
                         "none of %zu cells fits into %" PRId64
                         " bytes of expert weights a GPU (tune.max_expert_bytes_per_gpu)",
                         s->sweep->n_cells, s->options->most_bytes)
               : MB_FAIL(MB_ERR_PARAM, "%s: no step with load on both parts", s->sweep->name);
  }
  qsort(result->candidate, result->n_candidates, sizeof *result->candidate, compare_candidates);
  for (size_t i = 1; i < result->n_candidates; i++) {
    if (result->candidate[i].rest < result->candidate[result->best_rest].rest) {
      result->best_rest = i;
    }
  }
  return MB_OK;
}

/* --- the best of each strategy --- */

static const mb_replay_strategy *strategy_of(const search *s, size_t candidate) {
  const mb_tune_candidate *one = &s->result->candidate[candidate];

  return &s->sweep->cell[one->cell].config->strategies[one->strategy];
}

/* The first candidate of each label: they are sorted. */
static mb_status list_best(search *s) {
  mb_tune_result *result = s->result;

  result->best = calloc(result->n_candidates, sizeof *result->best);
  if (result->best == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu candidates", result->n_candidates);
  }
  for (size_t i = 0; i < result->n_candidates; i++) {
    const char *label = strategy_of(s, i)->label;
    size_t k = 0;
    while (k < result->n_best &&
           strcmp(strategy_of(s, result->best[k].candidate)->label, label) != 0) {
      k++;
    }
    if (k == result->n_best) {
      result->best[result->n_best++] = (mb_tune_best){.candidate = i, .interval = {NAN, NAN, ""}};
    }
  }
  return MB_OK;
}

/* A candidate once more, step by step: w->series. */
static mb_status replay_again(const search *s, size_t candidate, watch *w, size_t *interval) {
  const mb_config *config = s->sweep->cell[s->result->candidate[candidate].cell].config;
  mb_replay_summary summary;
  opened o;

  *w = (watch){.objective = s->options->objective,
               .scale = scale_of(s->options->objective, config),
               .from = s->result->from,
               .half = s->result->half};
  mb_status status = open_cell(config, &s->loads, &o);
  if (status == MB_OK) {
    o.replay.n_strategies = 1;
    o.replay.strategies = strategy_of(s, candidate);
    *interval = o.replay.interval;
    status = watch_init(w, 1, s->result->n_steps, true);
  }
  status = status == MB_OK ? replay_cell(&o, w, &summary) : status;
  close_cell(&o);
  return status;
}

/* Differences by block, and their weights. @return how many blocks have any. */
static size_t average(const watch *w, const double *a, const double *b,
                      const mb_stat_blocks *blocks, double *difference, double *weight) {
  size_t n = 0;

  for (size_t k = 0; k < blocks->n_blocks; k++) {
    double sum = 0.0;
    double total = 0.0;
    for (size_t t = blocks->edge[k]; t < blocks->edge[k + 1]; t++) {
      if (!isnan(a[t]) && !isnan(b[t])) {
        sum += weight_of(w, t) * (a[t] - b[t]);
        total += weight_of(w, t);
      }
    }
    if (total > 0.0) {
      difference[n] = sum / total;
      weight[n++] = total;
    }
  }
  return n;
}

/* A bootstrap, or with few blocks Student's interval. */
static mb_status infer(const mb_stat_units *units, double confidence, size_t number,
                       mb_stat_interval *interval) {
  if (units->n_units < MB_STAT_BLOCKS_MIN) {
    *interval = units->n_units >= BLOCKS_LEAST ? mb_stat_student(units, confidence)
                                               : (mb_stat_interval){NAN, NAN, ""};
    return MB_OK;
  }
  gsl_rng *rng = mb_stream_create(1, "tune", number);
  if (rng == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for random numbers");
  }
  mb_status status = mb_stat_bootstrap(units, confidence, RESAMPLES, rng, interval);
  gsl_rng_free(rng);
  return status;
}

/* The difference of two replays on the rest. @param room [2T] */
static mb_status compare_with(const search *s, const watch *w, const double *chosen,
                              size_t interval, double *room, mb_tune_best *best) {
  size_t n_rest = w->n_steps - w->half;
  const mb_stat_steps steps = {
      .first = w->half, .n_steps = w->n_steps, .interval = interval, .window = interval};
  mb_stat_blocks blocks;

  for (size_t t = 0; t < n_rest; t++) {
    double difference = w->series[w->half + t] - chosen[w->half + t];
    room[t] = isnan(difference) ? 0.0 : difference;
  }
  MB_TRY(mb_stat_blocks_cut(&steps, room, &blocks));
  best->n_blocks = average(w, w->series, chosen, &blocks, room, room + n_rest);
  mb_stat_blocks_fini(&blocks);
  const mb_stat_units units = {1, best->n_blocks, room, room + n_rest};
  best->difference = mb_stat_units_estimate(&units).mean;
  return infer(&units, s->options->confidence, best->candidate, &best->interval);
}

static mb_status compare_best(search *s, const watch *chosen, size_t interval, double *room) {
  mb_tune_result *result = s->result;
  mb_status status = MB_OK;

  for (size_t k = 1; k < result->n_best && status == MB_OK; k++) {
    size_t own = 0;
    watch w;
    status = replay_again(s, result->best[k].candidate, &w, &own);
    if (status == MB_OK) {
      status = compare_with(s, &w, chosen->series, own > interval ? own : interval, room,
                            &result->best[k]);
    }
    watch_fini(&w);
  }
  return status;
}

static mb_status judge(search *s) {
  size_t interval = 0;
  watch chosen;

  MB_TRY(list_best(s));
  mb_status status = replay_again(s, 0, &chosen, &interval);
  double *room = calloc(2 * s->result->n_steps, sizeof *room);
  if (status == MB_OK && room == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps", s->result->n_steps);
  }
  status = status == MB_OK ? compare_best(s, &chosen, interval, room) : status;
  free(room);
  watch_fini(&chosen);
  return status;
}

mb_status mb_tune(const mb_sweep *sweep, const mb_tune_options *options, mb_tune_result *result) {
  mb_tune_result made = {.n_candidates = 0};
  search s = {.sweep = sweep, .options = options, .result = &made};

  assert(options->split > 0.0 && options->split < 1.0 && options->most_bytes >= 1);
  MB_TRY(check_objective(options, sweep->cell[0].config));
  MB_TRY(check_keys(sweep));
  mb_status status = shared_init(&s.loads, sweep->cell[0].config);
  status = status == MB_OK ? try_cells(&s) : status;
  status = status == MB_OK ? rank(&s) : status;
  status = status == MB_OK ? judge(&s) : status;
  shared_fini(&s.loads);
  if (status != MB_OK) {
    mb_tune_result_fini(&made);
    return status;
  }
  *result = made;
  return MB_OK;
}

void mb_tune_result_fini(mb_tune_result *result) {
  free(result->candidate);
  free(result->best);
  *result = (mb_tune_result){.n_candidates = 0};
}
