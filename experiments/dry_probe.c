/* experiments/dry_probe.c - a short replay and one three times as long: what they differ by is what
 * steps cost, the rest is what every cell costs. */
#include "experiments/dry_probe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/cell.h"
#include "experiments/external_planner.h"
#include "sim/clock.h"
#include "workloads/trace_info.h"

/* Steps of the longer replay, fewer where they are large. */
enum { N_STEPS = 48, N_STEPS_MIN = 6, N_REPEATS = 2 };

/* Bytes of loads that are held, and seconds that reading them may take. */
#define LOADS_SIZE ((size_t)64 << 20)
#define READ_SECONDS 0.5

/* --- loads --- */

static size_t choose_steps(size_t step_size) {
  size_t n = LOADS_SIZE / (step_size * sizeof(uint32_t));

  n = n < N_STEPS ? n : N_STEPS;
  return n > N_STEPS_MIN ? n / 3 * 3 : N_STEPS_MIN;
}

/* As many steps as there is time for, again and again; a start without any load would leave nothing
   to score. */
static mb_status read_steps(mb_source *source, mb_dry_loads *loads) {
  size_t step_size = loads->info.n_layers * loads->info.n_experts;
  size_t n_left = loads->info.n_steps;
  double start = mb_clock_seconds();
  double seconds = 0.0;
  size_t n = 0;
  uint64_t total = 0;

  while (n < loads->n_steps && n < n_left && (n == 0 || seconds < READ_SECONDS)) {
    MB_TRY(mb_source_read(source, 1, loads->load + n * step_size));
    seconds = mb_clock_seconds() - start;
    n++;
  }
  loads->step_seconds = seconds / (double)n;
  for (size_t i = n * step_size; i < loads->n_steps * step_size; i++) {
    loads->load[i] = loads->load[i - n * step_size];
  }
  for (size_t i = 0; i < n * step_size; i++) {
    total += loads->load[i];
  }
  for (size_t i = 0; total == 0 && i < loads->n_steps * step_size; i++) {
    loads->load[i] = 1;
  }
  return MB_OK;
}

static mb_status read_loads(const mb_config *config, mb_source *source, mb_dry_loads *loads) {
  MB_TRY(mb_trace_info_copy(mb_source_get_info(source), &loads->info));
  size_t step_size = loads->info.n_layers * loads->info.n_experts;
  loads->n_steps = choose_steps(step_size);
  loads->load = calloc(loads->n_steps * step_size, sizeof *loads->load);
  mb_status status = loads->load != NULL
                         ? read_steps(source, loads)
                         : MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  if (status != MB_OK) {
    mb_dry_loads_fini(loads);
  }
  return status;
}

mb_status mb_dry_loads_read(const mb_config *config, mb_dry_loads *loads) {
  mb_dry_loads made = {.load = NULL};
  mb_source *source = NULL;
  double start = mb_clock_seconds();

  MB_TRY(mb_config_open_recorded(config, &source));
  made.open_seconds = mb_clock_seconds() - start;
  mb_status status = read_loads(config, source, &made);
  mb_source_destroy(source);
  if (status == MB_OK) {
    *loads = made;
  }
  return status;
}

void mb_dry_loads_fini(mb_dry_loads *loads) {
  mb_trace_info_fini(&loads->info);
  free(loads->load);
  *loads = (mb_dry_loads){.load = NULL};
}

/* --- counting --- */

size_t mb_dry_plans(const mb_replay_config *replay, size_t strategy, size_t n_steps) {
  const mb_replay_strategy *own = &replay->strategies[strategy];

  switch (own->role) {
  case MB_REPLAY_NONE:
    return 0;
  case MB_REPLAY_ONLINE:
    return n_steps > replay->delay ? (n_steps - 1 - replay->delay) / replay->interval : 0;
  case MB_REPLAY_HINDSIGHT:
    return (n_steps + replay->interval - 1) / replay->interval;
  case MB_REPLAY_RECORDED:
    return ((const mb_replay_recorded *)own->params)->n_plans;
  }
  return 0;
}

/* The datasets of results_write.c. */
double mb_dry_bytes(const mb_replay_config *replay, size_t n_steps) {
  double n_layers = (double)replay->shape.n_layers;
  double step = 8.0 + n_layers * (4.0 + 4.0);
  double per_layer = 8.0 + 4.0 + 4.0 + 4.0 + 4.0 + 4.0 * (double)replay->shape.n_slots +
                     2.0 * 4.0 * (double)replay->shape.n_gpus;
  double plan = 8.0 + 8.0 + n_layers * per_layer;
  double bytes = 8.0 * (double)n_steps;

  for (size_t i = 0; i < replay->n_strategies; i++) {
    bytes += (double)n_steps * step + (double)mb_dry_plans(replay, i, n_steps) * plan;
  }
  return bytes;
}

/* --- replaying --- */

typedef struct measured {
  double seconds;       /* without planning */
  double bytes;         /* of the file */
  double raw;           /* of the numbers in it */
  double *plan_seconds; /* [n_strategies] a plan, the mean */
} measured;

/* Loads in memory under what the whole trace says of itself. */
static mb_status open_steps(const mb_dry_loads *loads, size_t n_steps, mb_source **source) {
  mb_trace_info info = loads->info;

  info.n_steps = n_steps;
  info.objects = 0;
  info.n_sources = 0;
  info.load_xxh3[0] = '\0';
  return mb_source_open_memory(&info, loads->load, source);
}

/* Keeps the smaller of what was measured before and now. */
static void take_minimum(const mb_cell *cell, double seconds, measured *best) {
  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    double planning = cell->summary[i].planner_seconds;
    double plan = cell->n_plans[i] > 0 ? planning / (double)cell->n_plans[i] : 0.0;
    seconds -= planning;
    best->plan_seconds[i] = fmin(best->plan_seconds[i], plan);
  }
  best->seconds = fmin(best->seconds, fmax(seconds, 0.0));
}

static mb_status replay(const mb_config *config, const mb_dry_loads *loads, size_t n_steps,
                        const char *path, measured *best) {
  mb_cell cell = {.config = NULL};
  mb_source *source = NULL;
  struct stat file = {.st_size = 0};

  MB_TRY(open_steps(loads, n_steps, &source));
  double start = mb_clock_seconds();
  mb_status status = mb_cell_prepare(config, path, source, &cell);
  if (status == MB_OK) {
    status = mb_cell_run(&cell, NULL, NULL);
  }
  if (status == MB_OK) {
    take_minimum(&cell, mb_clock_seconds() - start, best);
    (void)stat(path, &file);
    best->bytes = (double)file.st_size;
    best->raw = mb_dry_bytes(&cell.replay, n_steps);
  }
  mb_cell_fini(&cell);
  (void)remove(path);
  return status;
}

static mb_status measure(const mb_config *config, const mb_dry_loads *loads, size_t n_steps,
                         const char *path, measured *best) {
  best->seconds = INFINITY;
  best->plan_seconds = calloc(config->n_strategies + 1, sizeof *best->plan_seconds);
  if (best->plan_seconds == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  for (size_t i = 0; i < config->n_strategies; i++) {
    best->plan_seconds[i] = INFINITY;
  }
  for (int i = 0; i < N_REPEATS; i++) {
    MB_TRY(replay(config, loads, n_steps, path, best));
  }
  return MB_OK;
}

/* --- the costs --- */

static bool is_from_outside(const mb_replay_strategy *strategy) {
  return strategy->role == MB_REPLAY_RECORDED || strategy->strategy == &mb_strategy_command;
}

/* The config for so few steps, with the strategies that it has itself; `strategies` is scratch for
   them. */
static mb_config shorten(const mb_config *config, size_t n_steps, mb_replay_strategy *strategies) {
  mb_config made = *config;
  int64_t interval = (int64_t)n_steps / 6;

  made.interval = made.interval < interval ? made.interval : interval;
  made.delay = 0;
  made.summary_from = 0;
  made.strategies = strategies;
  made.n_strategies = 0;
  for (size_t i = 0; i < config->n_strategies; i++) {
    if (!is_from_outside(&config->strategies[i])) {
      strategies[made.n_strategies++] = config->strategies[i];
    }
  }
  return made;
}

/* @param n_steps of the longer one. */
static void find_costs(const mb_config *config, const measured *brief, const measured *full,
                       size_t n_steps, size_t n_measured, mb_dry_cost *cost) {
  size_t n_brief = n_steps / 3;
  double step = fmax(full->seconds - brief->seconds, 0.0) / (double)(n_steps - n_brief);
  double bytes = fmax(full->bytes - brief->bytes, 0.0);
  size_t k = 0;

  cost->fixed_seconds = fmax(brief->seconds - (double)n_brief * step, 0.0);
  cost->step_seconds = step * (double)config->n_strategies / (double)n_measured;
  cost->compression = fmin(bytes / (full->raw - brief->raw), 1.0);
  cost->fixed_bytes = fmax(brief->bytes - cost->compression * brief->raw, 0.0);
  for (size_t i = 0; i < config->n_strategies; i++) {
    bool outside = is_from_outside(&config->strategies[i]);
    cost->plan_seconds[i] = outside ? 0.0 : full->plan_seconds[k++];
  }
}

static mb_status probe_in(const char *path, const mb_config *config, const mb_dry_loads *loads,
                          mb_dry_cost *cost) {
  mb_replay_strategy *strategies = malloc(config->n_strategies * sizeof *strategies);
  mb_dry_cost made = {.plan_seconds = malloc(config->n_strategies * sizeof *made.plan_seconds)};
  measured brief = {.plan_seconds = NULL};
  measured full = {.plan_seconds = NULL};
  mb_status status = MB_OK;

  if (strategies == NULL || made.plan_seconds == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", config->path);
  }
  if (status == MB_OK) {
    mb_config few = shorten(config, loads->n_steps, strategies);
    status = measure(&few, loads, loads->n_steps / 3, path, &brief);
    if (status == MB_OK) {
      status = measure(&few, loads, loads->n_steps, path, &full);
    }
    if (status == MB_OK) {
      find_costs(config, &brief, &full, loads->n_steps, few.n_strategies, &made);
    }
  }
  free(brief.plan_seconds);
  free(full.plan_seconds);
  free(strategies);
  if (status == MB_OK) {
    *cost = made;
  } else {
    free(made.plan_seconds);
  }
  return status;
}

mb_status mb_dry_probe(const mb_config *config, const mb_dry_loads *loads, mb_dry_cost *cost) {
  const char *folder = getenv("TMPDIR");
  char path[4096];

  int length = snprintf(path, sizeof path, "%s/moebal-dry-run-%ld.h5",
                        folder != NULL && folder[0] != '\0' ? folder : "/tmp", (long)getpid());
  if (length < 0 || (size_t)length >= sizeof path) {
    return MB_FAIL(MB_ERR_PARAM, "TMPDIR is longer than a path can be");
  }
  return probe_in(path, config, loads, cost);
}
