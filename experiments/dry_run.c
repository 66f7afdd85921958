/* experiments/dry_run.c - cells that share loads share their measuring, and so do cells of a kind.
 */
#include "experiments/dry_run.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/dry_probe.h"
#include "experiments/external_planner.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "sim/clock.h"

#define MIB 1048576.0

/* No kind is measured once this many seconds have been spent on others. */
#define BUDGET_SECONDS 30.0

/* A value is cut off at this many columns. */
enum { VALUE_WIDTH = 24 };

/* Loads that cells share, but for the seed. */
typedef struct trace {
  const mb_config *config; /* the first of these cells */
  mb_dry_loads loads;
  char *error; /* why there are none; or NULL */
} trace;

/* Cells that cost the same for a step and a plan. */
typedef struct kind {
  const mb_config *config;
  mb_shape shape;
  mb_dry_cost cost;
} kind;

/* A cell's estimate. */
typedef struct estimate {
  char *error; /* why it does not fit; NULL: it does */
  size_t trace;
  size_t n_steps, n_plans;
  double seconds;           /* without the loads */
  double bytes, bytes_most; /* compressed and not */
} estimate;

typedef struct dry_run {
  const mb_sweep *sweep;
  trace *traces;
  size_t n_traces;
  kind *kinds;
  size_t n_kinds;
  size_t n_kinds_guessed; /* cells of a kind that there was no time to measure */
  estimate *cells;        /* [n_cells] */
  size_t n_misfits;
  double started;
  size_t jobs;
  int n_threads; /* of a job */
} dry_run;

static mb_status no_memory(const mb_sweep *sweep) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", sweep->name);
}

/* --- loads --- */

static mb_status find_trace(dry_run *d, const mb_config *config, size_t *found) {
  for (size_t i = d->n_traces; i-- > 0;) {
    if (mb_config_have_same_trace(d->traces[i].config, config)) {
      *found = i;
      return MB_OK;
    }
  }
  trace *grown = realloc(d->traces, (d->n_traces + 1) * sizeof *grown);
  if (grown == NULL) {
    return no_memory(d->sweep);
  }
  d->traces = grown;
  trace *made = &grown[d->n_traces];
  *made = (trace){.config = config};
  mb_status status = mb_dry_loads_read(config, &made->loads);
  if (status == MB_ERR_MEMORY || status == MB_ERR_CANCELLED) {
    return status;
  }
  if (status != MB_OK && (made->error = strdup(mb_error_message())) == NULL) {
    return no_memory(d->sweep);
  }
  *found = d->n_traces++;
  return MB_OK;
}

/* --- kinds of cells --- */

static bool have_same_strategies(const mb_config *a, const mb_config *b) {
  bool same = a->n_strategies == b->n_strategies && strcmp(a->backend, b->backend) == 0;

  for (size_t i = 0; same && i < a->n_strategies; i++) {
    const mb_replay_strategy *one = &a->strategies[i];
    const mb_replay_strategy *two = &b->strategies[i];
    bool is_plain = one->strategy != NULL && one->strategy != &mb_strategy_command;
    same = memcmp(one->options, two->options, sizeof *one->options) == 0 &&
           one->role == two->role && one->strategy == two->strategy &&
           (!is_plain || memcmp(one->params, two->params, one->strategy->params_size) == 0);
  }
  return same;
}

static bool have_same_shape(const mb_shape *a, const mb_shape *b) {
  return a->n_layers == b->n_layers && a->n_experts == b->n_experts && a->n_slots == b->n_slots &&
         a->n_groups == b->n_groups && a->n_nodes == b->n_nodes && a->n_gpus == b->n_gpus;
}

/* The last kind with as many strategies: what it costs is the nearest guess. */
static const kind *find_alike(const dry_run *d, const mb_config *config) {
  for (size_t i = d->n_kinds; i-- > 0;) {
    if (d->kinds[i].config->n_strategies == config->n_strategies) {
      return &d->kinds[i];
    }
  }
  return NULL;
}

static mb_status find_kind(dry_run *d, const mb_config *config, const mb_shape *shape,
                           const mb_dry_loads *loads, const kind **found) {
  for (size_t i = d->n_kinds; i-- > 0;) {
    if (have_same_shape(&d->kinds[i].shape, shape) &&
        have_same_strategies(d->kinds[i].config, config)) {
      *found = &d->kinds[i];
      return MB_OK;
    }
  }
  bool late = mb_clock_seconds() - d->started > BUDGET_SECONDS;
  *found = late ? find_alike(d, config) : NULL;
  if (*found != NULL) {
    d->n_kinds_guessed++;
    return MB_OK;
  }
  kind *grown = realloc(d->kinds, (d->n_kinds + 1) * sizeof *grown);
  if (grown == NULL) {
    return no_memory(d->sweep);
  }
  d->kinds = grown;
  grown[d->n_kinds] = (kind){.config = config, .shape = *shape};
  MB_TRY(mb_dry_probe(config, loads, &grown[d->n_kinds].cost));
  *found = &grown[d->n_kinds++];
  return MB_OK;
}

/* --- cells --- */

/* The loads as trace.merge leaves them. MB_ERR_SHAPE: it leaves none. */
static mb_status merge_info(const mb_config *config, const mb_trace_info *recorded,
                            mb_trace_info *info) {
  *info = *recorded;
  info->n_steps /= (size_t)config->merge;
  if (info->n_steps == 0) {
    return MB_FAIL(MB_ERR_SHAPE, "trace.merge: %zu steps cannot be summed into one: there are %zu",
                   (size_t)config->merge, recorded->n_steps);
  }
  return MB_OK;
}

static mb_status note_error(dry_run *d, estimate *cell, const char *error) {
  cell->error = strdup(error);
  d->n_misfits++;
  return cell->error != NULL ? MB_OK : no_memory(d->sweep);
}

static void add_up(const kind *own, const mb_replay_config *replay, estimate *cell) {
  const mb_dry_cost *cost = &own->cost;

  cell->bytes_most = cost->fixed_bytes + mb_dry_bytes(replay, cell->n_steps);
  cell->bytes = cost->fixed_bytes + cost->compression * mb_dry_bytes(replay, cell->n_steps);
  cell->seconds = cost->fixed_seconds + cost->step_seconds * (double)cell->n_steps;
  for (size_t i = 0; i < replay->n_strategies; i++) {
    size_t n = mb_dry_plans(replay, i, cell->n_steps);
    cell->seconds += cost->plan_seconds[i] * (double)n;
    cell->n_plans += n;
  }
}

static mb_status estimate_cell(dry_run *d, size_t i) {
  const mb_config *config = d->sweep->cell[i].config;
  estimate *cell = &d->cells[i];
  mb_replay_config replay = {.n_strategies = 0};
  mb_trace_info info;
  const kind *own = NULL;

  MB_TRY(find_trace(d, config, &cell->trace));
  const trace *loads = &d->traces[cell->trace];
  if (loads->error != NULL) {
    return note_error(d, cell, loads->error);
  }
  mb_status status = merge_info(config, &loads->loads.info, &info);
  if (status == MB_OK) {
    status = mb_config_fit(config, &info, &replay);
  }
  if (status == MB_ERR_MEMORY) {
    return status;
  }
  if (status != MB_OK) {
    return note_error(d, cell, mb_error_message());
  }
  cell->n_steps = info.n_steps;
  status = find_kind(d, config, &replay.shape, &loads->loads, &own);
  if (status == MB_ERR_MEMORY || status == MB_ERR_CANCELLED || status == MB_ERR_IO) {
    return status;
  }
  if (status != MB_OK) {
    return note_error(d, cell, mb_error_message());
  }
  add_up(own, &replay, cell);
  return MB_OK;
}

static mb_status estimate_cells(dry_run *d, bool quiet) {
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "cells measured", d->sweep->n_cells, quiet);
  for (size_t i = 0; i < d->sweep->n_cells && status == MB_OK; i++) {
    status = mb_interrupt_check();
    if (status == MB_OK) {
      status = estimate_cell(d, i);
    }
    mb_progress_update(&progress, i + 1);
  }
  mb_progress_end(&progress);
  return status;
}

/* --- the table --- */

static int max_int(int a, int b) {
  return a > b ? a : b;
}

static const char *last_part(const char *key) {
  const char *dot = strrchr(key, '.');

  return dot != NULL ? dot + 1 : key;
}

static int key_width(const mb_sweep *sweep, size_t key) {
  int width = (int)strlen(last_part(sweep->key[key]));

  for (size_t i = 0; i < sweep->n_cells; i++) {
    int length = (int)strlen(sweep->cell[i].value[key]);
    width = max_int(width, length < VALUE_WIDTH ? length : VALUE_WIDTH);
  }
  return width;
}

static int name_width(const mb_sweep *sweep) {
  int width = (int)strlen("run");

  for (size_t i = 0; i < sweep->n_cells; i++) {
    width = max_int(width, (int)strlen(sweep->cell[i].config->name));
  }
  return width;
}

static void print_cell(const mb_sweep *sweep, const estimate *cell, size_t i, int name,
                       const int *width) {
  (void)printf("%4zu  %-*s", i, name, sweep->cell[i].config->name);
  for (size_t k = 0; k < sweep->n_keys; k++) {
    (void)printf("  %-*.*s", width[k], VALUE_WIDTH, sweep->cell[i].value[k]);
  }
  if (cell->error != NULL) {
    (void)printf("  does not fit: %s\n", cell->error);
  } else {
    (void)printf("  %7zu  %6zu  %8.2f  %8.2f\n", cell->n_steps, cell->n_plans, cell->seconds,
                 cell->bytes / MIB);
  }
}

static mb_status print_cells(const dry_run *d) {
  const mb_sweep *sweep = d->sweep;
  int name = name_width(sweep);
  int *width = calloc(sweep->n_keys + 1, sizeof *width);

  if (width == NULL) {
    return no_memory(sweep);
  }
  (void)printf("%4s  %-*s", "cell", name, "run");
  for (size_t k = 0; k < sweep->n_keys; k++) {
    width[k] = key_width(sweep, k);
    (void)printf("  %-*s", width[k], last_part(sweep->key[k]));
  }
  (void)printf("  %7s  %6s  %8s  %8s\n", "steps", "plans", "seconds", "MiB");
  for (size_t i = 0; i < sweep->n_cells; i++) {
    print_cell(sweep, &d->cells[i], i, name, width);
  }
  free(width);
  return MB_OK;
}

/* --- totals --- */

typedef struct totals {
  double seconds, longest; /* of cells, without loads */
  double loads_seconds;
  size_t n_loads;
  double bytes, bytes_most;
} totals;

/* Which loads a cell has: cells with the same ones read them once. */
typedef struct loads_key {
  size_t trace;
  int64_t seed; /* 0 of a file */
} loads_key;

static int compare_loads(const void *a, const void *b) {
  const loads_key *one = a;
  const loads_key *two = b;

  if (one->trace != two->trace) {
    return one->trace < two->trace ? -1 : 1;
  }
  return (one->seed > two->seed) - (one->seed < two->seed);
}

static mb_status add_loads(const dry_run *d, totals *sum) {
  loads_key *key = calloc(d->sweep->n_cells, sizeof *key);
  size_t n = 0;

  if (key == NULL) {
    return no_memory(d->sweep);
  }
  for (size_t i = 0; i < d->sweep->n_cells; i++) {
    const mb_config *config = d->sweep->cell[i].config;
    if (d->cells[i].error == NULL) {
      key[n++] =
          (loads_key){d->cells[i].trace, config->trace_file != NULL ? 0 : config->loads_seed};
    }
  }
  qsort(key, n, sizeof *key, compare_loads);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || compare_loads(&key[i - 1], &key[i]) != 0) {
      const mb_dry_loads *loads = &d->traces[key[i].trace].loads;
      sum->n_loads++;
      sum->loads_seconds += loads->open_seconds + loads->step_seconds * (double)loads->info.n_steps;
    }
  }
  free(key);
  return MB_OK;
}

static void add_cells(const dry_run *d, totals *sum) {
  for (size_t i = 0; i < d->sweep->n_cells; i++) {
    const estimate *cell = &d->cells[i];
    sum->seconds += cell->seconds;
    sum->longest = fmax(sum->longest, cell->seconds);
    sum->bytes += cell->bytes;
    sum->bytes_most += cell->bytes_most;
  }
}

/* "2.5 s", "14 min", "3.2 h" */
static const char *format_time(double seconds, char *text, size_t size) {
  if (seconds < 120.0) {
    (void)snprintf(text, size, "%.1f s", seconds);
  } else if (seconds < 7200.0) {
    (void)snprintf(text, size, "%.0f min", seconds / 60.0);
  } else {
    (void)snprintf(text, size, "%.1f h", seconds / 3600.0);
  }
  return text;
}

static bool has_outside(const mb_config *config) {
  bool has = false;

  for (size_t i = 0; i < config->n_strategies; i++) {
    has = has || config->strategies[i].strategy == &mb_strategy_command;
  }
  return has;
}

static void print_notes(const dry_run *d) {
  bool outside = false;
  char spent[32];

  for (size_t i = 0; i < d->sweep->n_cells; i++) {
    outside = outside || has_outside(d->sweep->cell[i].config);
  }
  (void)printf("Measured on this machine, as busy as it is, in %s",
               format_time(mb_clock_seconds() - d->started, spent, sizeof spent));
  if (d->n_kinds_guessed > 0) {
    (void)printf("; %zu cells are of kinds that there was no time for, and are taken to be like "
                 "others",
                 d->n_kinds_guessed);
  }
  (void)printf("%s.\n", outside ? "; the programs of `use: command` were not started, and their "
                                  "time is not in it"
                                : "");
}

static void print_totals(const dry_run *d, const totals *sum) {
  double all = sum->seconds + sum->loads_seconds;
  double side_by_side = fmax(all / (double)d->jobs, sum->longest);
  char text[3][32];

  (void)printf("\n%zu cells, %zu of which do not fit; loads to read or generate: %zu\n",
               d->sweep->n_cells, d->n_misfits, sum->n_loads);
  (void)printf("Time: about %s in one process with %d thread%s, %s of it for the loads",
               format_time(all, text[0], sizeof text[0]), d->n_threads,
               d->n_threads == 1 ? "" : "s",
               format_time(sum->loads_seconds, text[1], sizeof text[1]));
  if (d->jobs > 1) {
    (void)printf("; %s with %zu jobs", format_time(side_by_side, text[2], sizeof text[2]), d->jobs);
  }
  (void)printf("\nResults: about %.1f MiB, at most %.1f MiB; the ratio of what was measured is "
               "%.2f\n",
               sum->bytes / MIB, sum->bytes_most / MIB,
               sum->bytes_most > 0.0 ? sum->bytes / sum->bytes_most : 1.0);
  print_notes(d);
}

/* --- the whole --- */

/* As mb_workers_run() shares the processors out. */
static void choose_sizes(dry_run *d, size_t jobs) {
  size_t n_processors = (size_t)omp_get_num_procs();
  const char *given = getenv("OMP_NUM_THREADS");
  bool is_given = given != NULL && given[0] != '\0';

  if (jobs == 0) {
    jobs = is_given ? n_processors / (size_t)omp_get_max_threads() : n_processors;
  }
  jobs = jobs < d->sweep->n_cells ? jobs : d->sweep->n_cells;
  d->jobs = jobs > 0 ? jobs : 1;
  d->n_threads = is_given                 ? omp_get_max_threads()
                 : n_processors > d->jobs ? (int)(n_processors / d->jobs)
                                          : 1;
}

static mb_status show(dry_run *d, bool quiet) {
  totals sum = {.n_loads = 0};

  MB_TRY(estimate_cells(d, quiet));
  MB_TRY(add_loads(d, &sum));
  add_cells(d, &sum);
  MB_TRY(print_cells(d));
  print_totals(d, &sum);
  if (d->n_misfits > 0) {
    return MB_FAIL(MB_ERR_PARAM, "%zu of %zu cells do not fit their loads", d->n_misfits,
                   d->sweep->n_cells);
  }
  return MB_OK;
}

static void dry_run_fini(dry_run *d) {
  for (size_t i = 0; i < d->n_traces; i++) {
    mb_dry_loads_fini(&d->traces[i].loads);
    free(d->traces[i].error);
  }
  for (size_t i = 0; i < d->n_kinds; i++) {
    free(d->kinds[i].cost.plan_seconds);
  }
  for (size_t i = 0; d->cells != NULL && i < d->sweep->n_cells; i++) {
    free(d->cells[i].error);
  }
  free(d->traces);
  free(d->kinds);
  free(d->cells);
}

mb_status mb_dry_run(const mb_sweep *sweep, const mb_sweep_options *options) {
  dry_run d = {.sweep = sweep, .started = mb_clock_seconds()};
  int n_threads = omp_get_max_threads();

  d.cells = calloc(sweep->n_cells, sizeof *d.cells);
  if (d.cells == NULL) {
    return no_memory(sweep);
  }
  choose_sizes(&d, options->jobs);
  omp_set_num_threads(d.n_threads);
  mb_status status = show(&d, options->quiet);
  omp_set_num_threads(n_threads);
  dry_run_fini(&d);
  return status;
}
