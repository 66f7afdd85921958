/* experiments/cmd_run.c - `moebal run`: a config's replay into a results file and a table. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/attribution_text.h"
#include "experiments/backend.h"
#include "experiments/cell.h"
#include "experiments/command.h"
#include "experiments/config.h"
#include "experiments/config_schema.h"
#include "experiments/cost_print.h"
#include "experiments/dry_run.h"
#include "experiments/external_planner.h"
#include "experiments/interrupt.h"
#include "experiments/parts.h"
#include "experiments/progress.h"
#include "experiments/ranks.h"
#include "experiments/sweep.h"
#include "experiments/sweep_run.h"
#include "experiments/sweep_table.h"
#include "experiments/wrap.h"

typedef struct arguments {
  const char *config;
  const char *output; /* NULL: the config's */
  const char **settings;
  size_t n_settings;
  char backend[64]; /* the setting that --backend stands for; "": not given */
  size_t jobs;      /* 0: not given */
  size_t n_relabellings;
  bool dry_run, resume, quiet;
} arguments;

/* --- the table --- */

/* "-" where a number has no meaning. */
static void print_ratio(double value, double count, int width, int digits) {
  if (count > 0) {
    (void)printf("  %*.*f", width, digits, value / count);
  } else {
    (void)printf("  %*s", width, "-");
  }
}

static void print_row(const mb_cell *cell, size_t i, int label_width) {
  const mb_replay_summary *summary = &cell->summary[i];
  const mb_trace_info *info = mb_source_get_info(cell->source);
  char worst[64];

  (void)snprintf(worst, sizeof worst, "%d (%.3f)", info->layer_ids[summary->worst_layer],
                 summary->worst_layer_imbalance);
  (void)printf("%-*s  %13.4f  %9.4f  %8.4f  %13s  %11.1f", label_width,
               cell->config->strategies[i].label, summary->run_imbalance,
               summary->step_imbalance_mean, summary->step_imbalance_p99, worst,
               summary->tokens_per_active_slot);
  print_ratio((double)summary->moved_experts, (double)summary->plans, 10, 1);
  bool planned = cell->config->strategies[i].role != MB_REPLAY_RECORDED;
  print_ratio(1e3 * summary->planner_seconds, planned ? (double)cell->n_plans[i] : 0.0, 10, 2);
  (void)putchar('\n');
}

/* What the numbers are numbers of: the steps, the policy, and how much a plan could move at most.
 */
static void print_legend(const mb_cell *cell) {
  const mb_shape *shape = &cell->replay.shape;

  (void)printf("\nToken ratios over steps %zu to %zu of %s. ", cell->replay.summary_from,
               mb_source_get_info(cell->source)->n_steps - 1, cell->config->name);
  if (shape->n_nodes == 1) {
    (void)printf("One node.\n");
  } else if (mb_shape_is_hierarchical(shape)) {
    (void)printf("Hierarchical: %zu groups on %zu nodes.\n", shape->n_groups, shape->n_nodes);
  } else {
    (void)printf("Global: the policy ignores nodes.\n");
  }
  if (cell->backend.backend != &mb_backend_cpu) {
    (void)printf("Plans were made by %s on %s. ", cell->backend.backend->name, cell->backend.gpu);
  }
  (void)printf("A plan fills %zu slots (%zu layers of %zu). Results: %s\n",
               shape->n_layers * shape->n_slots, shape->n_layers, shape->n_slots, cell->output);
}

/* A program's start is no part of its planning, but people wait for it. */
static void print_startups(const mb_cell *cell) {
  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    const mb_replay_strategy *strategy = &cell->config->strategies[i];
    if (strategy->strategy == &mb_strategy_command) {
      const mb_command_params *params = strategy->params;
      (void)printf("%s took %.2f s to start: `%s`\n", strategy->label, *params->startup_seconds,
                   params->command);
    }
  }
}

/* Where the imbalance of each strategy comes from, where the config asks. */
static void print_attributions(const mb_cell *cell) {
  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    char text[MB_ATTRIBUTION_TEXT_SIZE];
    if (cell->attributed[i].n_intervals > 0) {
      const mb_attribution_mean mean = mb_attribution_divide(&cell->attributed[i]);
      mb_attribution_text(&mean, sizeof text, text);
      (void)printf("%s: ", cell->config->strategies[i].label);
      mb_wrap_print(stdout, strlen(cell->config->strategies[i].label) + 2, 2, text);
    }
  }
}

static void print_costs(const mb_cell *cell) {
  size_t n = cell->config->n_strategies;
  const char **label = calloc(n, sizeof *label);

  for (size_t i = 0; i < n && label != NULL; i++) {
    label[i] = cell->config->strategies[i].label;
  }
  if (label != NULL && cell->cost != NULL) {
    mb_cost_print_table(stdout, n, label, cell->summary);
  }
  free((void *)label);
}

static void print_table(const mb_cell *cell) {
  int width = (int)strlen("strategy");

  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    int length = (int)strlen(cell->config->strategies[i].label);
    width = length > width ? length : width;
  }
  (void)printf("%-*s  %13s  %9s  %8s  %13s  %11s  %10s  %10s\n", width, "strategy", "run_imbalance",
               "step mean", "step p99", "worst layer", "tokens/slot", "moved/plan", "planner ms");
  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    print_row(cell, i, width);
  }
  print_legend(cell);
  print_attributions(cell);
  print_startups(cell);
  print_costs(cell);
}

/* A backend or policy that is not what people may expect is said aloud. */
static void print_notes(const mb_cell *cell) {
  const mb_shape *shape = &cell->replay.shape;

  if (cell->backend.note[0] != '\0') {
    (void)fprintf(stderr, "moebal: %s\n", cell->backend.note);
  }
  if (!mb_shape_is_hierarchical(shape)) {
    (void)fprintf(stderr,
                  "moebal: the policy is global and ignores nodes: %zu groups do not divide by %zu "
                  "nodes\n",
                  shape->n_groups, shape->n_nodes);
  }
}

/* --- the run --- */

static void watch_steps(void *watcher, size_t n_steps_done, size_t n_steps) {
  (void)n_steps;
  mb_progress_update(watcher, n_steps_done);
}

static mb_status replay(mb_cell *cell, const mb_config *config, const char *output, bool quiet) {
  mb_progress progress;

  MB_TRY(mb_cell_prepare(config, output, NULL, cell));
  if (!quiet) {
    print_notes(cell);
  }
  mb_progress_start(&progress, "steps replayed", mb_source_get_info(cell->source)->n_steps, quiet);
  mb_status status = mb_cell_run(cell, watch_steps, &progress);
  mb_progress_end(&progress);
  if (status == MB_ERR_CANCELLED) {
    return MB_FAIL(status, "stopped on request; %s was not written", output);
  }
  return status;
}

static mb_status run_single(const mb_sweep *sweep, const char *output, bool quiet) {
  mb_cell cell = {.config = NULL};

  mb_status status = replay(&cell, sweep->cell[0].config, output, quiet);
  if (status == MB_OK && !quiet) {
    print_table(&cell);
  }
  mb_cell_fini(&cell);
  return status;
}

static mb_status run_cells(const mb_sweep *sweep, const char *output, const arguments *found,
                           const mb_crew *crew) {
  const mb_sweep_options options = {.output = output,
                                    .jobs = found->jobs,
                                    .resume = found->resume,
                                    .quiet = found->quiet,
                                    .crew = crew};
  mb_sweep_outcome outcome;

  if (found->dry_run) {
    return mb_dry_run(sweep, &options);
  }

  MB_TRY(mb_sweep_run(sweep, &options, &outcome));
  if (!found->quiet && (crew == NULL || crew->leads)) {
    if (outcome.complete_already) {
      (void)fprintf(stderr, "moebal: %s is complete: there is nothing to go on with\n", output);
    }
    MB_TRY(mb_sweep_table_print(stdout, sweep, output));
  }
  if (outcome.n_failed > 0) {
    return MB_FAIL(MB_ERR_PARAM, "%zu of %zu cells failed, why is in /cells of %s%s: %s",
                   outcome.n_failed, sweep->n_cells, output,
                   mb_parts_are_there(output) ? " (--resume tries them once more)" : "",
                   outcome.failed);
  }
  return MB_OK;
}

/* What several ranks cannot do, or not like that. */
static mb_status check_crew(const mb_sweep *sweep, const arguments *found) {
  if (!sweep->swept) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: has no sweep, and its one run is for one process: start it without a "
                   "launcher of ranks",
                   found->config);
  }
  if (found->dry_run) {
    return MB_FAIL(MB_ERR_PARAM, "--dry-run is for one process: start it without a launcher");
  }
  if (found->jobs != 0) {
    return MB_FAIL(MB_ERR_PARAM, "--jobs is for one process; a rank runs one cell at a time, so "
                                 "ask the launcher for as many ranks as cells are to run");
  }
  return MB_OK;
}

/* @param crew NULL: nobody else is at work. */
static mb_status execute(const arguments *found, const mb_crew *crew) {
  mb_sweep *sweep = NULL;

  MB_TRY(mb_sweep_read(found->config, found->n_settings, found->settings, found->n_relabellings,
                       &sweep));
  const char *output = found->output != NULL ? found->output : sweep->output;
  mb_status status = crew != NULL ? check_crew(sweep, found) : MB_OK;
  if (status == MB_OK) {
    status = sweep->swept || found->dry_run ? run_cells(sweep, output, found, crew)
                                            : run_single(sweep, output, found->quiet);
  }
  mb_sweep_destroy(sweep);
  return status;
}

static int work(void *context, const mb_crew *crew) {
  if (execute(context, crew) == MB_OK) {
    return MB_EXIT_OK;
  }
  return crew == NULL || crew->leads ? mb_command_failed() : MB_EXIT_FAILURE;
}

/* Under a launcher, a single rank is a process like any other, but does a cell at a time as well.
 */
static int run(arguments *found) {
  const mb_launch launch = mb_launch_find();

  if (launch.launcher != NULL && launch.n_ranks != 1) {
    return mb_ranks_run(&launch, work, found);
  }
  if (launch.launcher != NULL && found->jobs == 0) {
    found->jobs = 1;
  }
  return work(found, NULL);
}

/* --- the command line --- */

enum { KEY_SET = 256, KEY_BACKEND, KEY_RESUME, KEY_DRY_RUN, KEY_RELABELLINGS };

/* By the schema's own check and words. */
static void check_backend(const char *word, struct argp_state *state) {
  mb_config scratch;

  if (mb_params_set(mb_config_values(), "backend", word, &scratch) != MB_OK) {
    argp_error(state, "--%s", mb_error_message());
  }
}

static size_t read_jobs(const char *text, struct argp_state *state) {
  enum { MOST = 4096 };
  char *end = NULL;
  long jobs = strtol(text, &end, 10);

  if (*text == '\0' || *end != '\0' || jobs < 1 || jobs > MOST) {
    argp_error(state, "--jobs takes a number of cells at a time, 1 to %d, not '%s'", MOST, text);
  }
  return (size_t)jobs;
}

/* @param text NULL: as many as comparisons want. */
static size_t read_relabellings(const char *text, struct argp_state *state) {
  enum { USUAL = 32, MOST = 10000 };
  char *end = NULL;
  long n = text != NULL ? strtol(text, &end, 10) : USUAL;

  if (text != NULL && (*text == '\0' || *end != '\0' || n < 1 || n > MOST)) {
    argp_error(state, "--relabellings takes a number from 1 to %d, not '%s'", MOST, text);
  }
  return (size_t)n;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  arguments *found = state->input;

  switch (key) {
  case 'o':
    if (value[0] == '\0') {
      argp_error(state, "--output takes the name of a file");
    }
    found->output = value;
    return 0;
  case 'q':
    found->quiet = true;
    return 0;
  case 'j':
    found->jobs = read_jobs(value, state);
    return 0;
  case KEY_DRY_RUN:
    found->dry_run = true;
    return 0;
  case KEY_RELABELLINGS:
    found->n_relabellings = read_relabellings(value, state);
    return 0;
  case KEY_RESUME:
    found->resume = true;
    return 0;
  case KEY_SET:
    if (strchr(value, '=') == NULL || value[0] == '=') {
      argp_error(state, "--set takes KEY=VALUE, not '%s'", value);
    }
    found->settings[found->n_settings++] = value;
    return 0;
  case KEY_BACKEND:
    check_backend(value, state);
    (void)snprintf(found->backend, sizeof found->backend, "backend=%s", value);
    return 0;
  case ARGP_KEY_ARG:
    if (found->config != NULL) {
      argp_error(state, "one config at a time: '%s' is a second one%s", value,
                 found->n_relabellings > 0 ? "; --relabellings=R takes its number after a '='"
                                           : "");
    }
    found->config = value;
    return 0;
  case ARGP_KEY_END:
    if (found->backend[0] != '\0') {
      found->settings[found->n_settings++] = found->backend;
    }
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "which config? `moebal help config` says what is in one");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int run_command(int argc, char **argv) {
  static const struct argp_option options[] = {
      {.name = "output", .key = 'o', .arg = "FILE", .doc = "Results file, instead of the config's"},
      {.name = "set",
       .key = KEY_SET,
       .arg = "KEY=VALUE",
       .doc = "Sets a key of the config, as in cluster.gpus=64; may be repeated"},
      {.name = "backend",
       .key = KEY_BACKEND,
       .arg = "cpu|cuda|auto",
       .doc = "What plans are made with, instead of the config's; the placements are the same"},
      {.name = "jobs",
       .key = 'j',
       .arg = "N",
       .doc = "Cells of a sweep that run at a time, each in a process of its own; by default as "
              "many as there are processors, over OMP_NUM_THREADS where that is set"},
      {.name = "dry-run",
       .key = KEY_DRY_RUN,
       .doc = "Runs nothing, and lists the cells, with an estimate of time and size"},
      {.name = "relabellings",
       .key = KEY_RELABELLINGS,
       .arg = "R",
       .flags = OPTION_ARG_OPTIONAL,
       .doc = "Runs all with R (default 32) orders of the experts that the balancers see: what "
              "ties alone do; the same as --set sweep.relabel=1..R"},
      {.name = "resume",
       .key = KEY_RESUME,
       .doc = "Goes on with what an earlier run of the same sweep has finished"},
      {.name = "quiet", .key = 'q', .doc = "Prints no table, no progress, no notes"},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "CONFIG",
      .doc =
          "Replays the loads that CONFIG (YAML) names through its strategies, in one pass, and "
          "writes a results file (HDF5), in the place of an older one of that name.\v"
          "The table has, over the steps from summary.from on: run_imbalance and step_imbalance "
          "(`moebal list metrics`), the layer with the largest run_imbalance of its own, the "
          "mean tokens of a slot that has any, and a plan's means over all layers: experts "
          "moved, and milliseconds of the planner. With costs (`cost` in the config) a second "
          "table has the time: its imbalance, a step's milliseconds, the experts' share of them, "
          "what waiting for the slowest GPU loses, what moving weights takes, and what is gained "
          "over none.\n\n"
          "A config with a `sweep` is run cell by cell. Each finished cell is a file in "
          "FILE.parts until all are there and are merged; after a crash, a kill or Ctrl-C, "
          "--resume goes on. A cell that fails is recorded with its error, and the others go "
          "on. The table then has the run_imbalance of each strategy, a row a cell.\n\n"
          "`moebal help config` prints all keys of a config, `moebal plot` draws figures of the "
          "results. OMP_NUM_THREADS sets the threads; results do not depend on it."};
  arguments found = {.config = NULL};

  found.settings = calloc((size_t)argc + 1, sizeof *found.settings);
  if (found.settings == NULL) {
    (void)fputs("moebal: out of memory\n", stderr);
    return MB_EXIT_FAILURE;
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &found);
  mb_interrupt_install();
  int exit_status = run(&found);
  free(found.settings);
  return exit_status;
}

const mb_command mb_command_run = {
    .name = "run",
    .summary = "replay a trace through strategies, as a config says",
    .run = run_command,
};
