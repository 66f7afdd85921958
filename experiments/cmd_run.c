/* experiments/cmd_run.c - `moebal run`: a config's replay into a results file and a table. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/backend.h"
#include "experiments/command.h"
#include "experiments/config.h"
#include "experiments/config_schema.h"
#include "experiments/external_planner.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/results_write.h"

typedef struct arguments {
  const char *config;
  const char *output; /* NULL: the config's */
  const char **settings;
  size_t n_settings;
  char backend[64]; /* the setting that --backend stands for; "": not given */
  bool quiet;
} arguments;

/* All that a run holds; what is NULL is not there yet. */
typedef struct run {
  mb_config *config;
  mb_source *source;
  mb_replay_config replay;
  mb_backend_choice backend;
  mb_results_writer *writer;
  mb_replay_summary *summary; /* [n_strategies] */
  size_t *n_plans;            /* [n_strategies] all plans, scored or not */
  mb_progress progress;
  char start_time[MB_TIME_SIZE];
} run;

/* --- while it runs --- */

static mb_status take_steps(void *context, size_t strategy, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active_experts) {
  const run *r = context;

  MB_TRY(mb_interrupt_check());
  return mb_results_writer_put_steps(r->writer, strategy, first, n, step_imbalance, imbalance,
                                     active_experts);
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  run *r = context;

  MB_TRY(mb_interrupt_check());
  r->n_plans[record->strategy]++;
  return mb_results_writer_put_plan(r->writer, record);
}

static mb_status take_progress(void *context, size_t n_steps_done) {
  run *r = context;

  mb_progress_update(&r->progress, n_steps_done);
  return mb_interrupt_check();
}

/* --- the table --- */

/* "-" where a number has no meaning. */
static void print_ratio(double value, double count, int width, int digits) {
  if (count > 0) {
    (void)printf("  %*.*f", width, digits, value / count);
  } else {
    (void)printf("  %*s", width, "-");
  }
}

static void print_row(const run *r, size_t i, int label_width) {
  const mb_replay_summary *summary = &r->summary[i];
  const mb_trace_info *info = mb_source_get_info(r->source);
  char worst[64];

  (void)snprintf(worst, sizeof worst, "%d (%.3f)", info->layer_ids[summary->worst_layer],
                 summary->worst_layer_imbalance);
  (void)printf("%-*s  %13.4f  %9.4f  %8.4f  %13s  %11.1f", label_width,
               r->config->strategies[i].label, summary->run_imbalance, summary->step_imbalance_mean,
               summary->step_imbalance_p99, worst, summary->tokens_per_active_slot);
  print_ratio((double)summary->moved_experts, (double)summary->plans, 10, 1);
  bool planned = r->config->strategies[i].role != MB_REPLAY_RECORDED;
  print_ratio(1e3 * summary->planner_seconds, planned ? (double)r->n_plans[i] : 0.0, 10, 2);
  (void)putchar('\n');
}

/* What the numbers are numbers of: the steps, the policy, and how much a plan could move at most.
 */
static void print_legend(const run *r) {
  const mb_shape *shape = &r->replay.shape;

  (void)printf("\nToken ratios over steps %zu to %zu of %s. ", r->replay.summary_from,
               mb_source_get_info(r->source)->n_steps - 1, r->config->name);
  if (shape->n_nodes == 1) {
    (void)printf("One node.\n");
  } else if (mb_shape_is_hierarchical(shape)) {
    (void)printf("Hierarchical: %zu groups on %zu nodes.\n", shape->n_groups, shape->n_nodes);
  } else {
    (void)printf("Global: the policy ignores nodes.\n");
  }
  if (r->backend.backend != &mb_backend_cpu) {
    (void)printf("Plans were made by %s on %s. ", r->backend.backend->name, r->backend.gpu);
  }
  (void)printf("A plan fills %zu slots (%zu layers of %zu). Results: %s\n",
               shape->n_layers * shape->n_slots, shape->n_layers, shape->n_slots,
               r->config->output);
}

/* A program's start is no part of its planning, but people wait for it. */
static void print_startups(const run *r) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    const mb_replay_strategy *strategy = &r->config->strategies[i];
    if (strategy->strategy == &mb_strategy_command) {
      const mb_command_params *params = strategy->params;
      (void)printf("%s took %.2f s to start: `%s`\n", strategy->label, *params->startup_seconds,
                   params->command);
    }
  }
}

static void print_table(const run *r) {
  int width = (int)strlen("strategy");

  for (size_t i = 0; i < r->config->n_strategies; i++) {
    int length = (int)strlen(r->config->strategies[i].label);
    width = length > width ? length : width;
  }
  (void)printf("%-*s  %13s  %9s  %8s  %13s  %11s  %10s  %10s\n", width, "strategy", "run_imbalance",
               "step mean", "step p99", "worst layer", "tokens/slot", "moved/plan", "planner ms");
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    print_row(r, i, width);
  }
  print_legend(r);
  print_startups(r);
}

/* A backend or policy that is not what people may expect is said aloud. */
static void print_notes(const run *r) {
  const mb_shape *shape = &r->replay.shape;

  if (r->backend.note[0] != '\0') {
    (void)fprintf(stderr, "moebal: %s\n", r->backend.note);
  }
  if (!mb_shape_is_hierarchical(shape)) {
    (void)fprintf(stderr,
                  "moebal: the policy is global and ignores nodes: %zu groups do not divide by %zu "
                  "nodes\n",
                  shape->n_groups, shape->n_nodes);
  }
}

/* --- the steps of a run --- */

static mb_status prepare(run *r, const arguments *found) {
  MB_TRY(mb_config_read(found->config, found->n_settings, found->settings, &r->config));
  if (found->output != NULL) {
    free(r->config->output);
    r->config->output = strdup(found->output);
    if (r->config->output == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", found->config);
    }
  }
  MB_TRY(mb_results_check_path(r->config->output, r->config->trace_file));
  MB_TRY(mb_config_open_source(r->config, &r->source));
  MB_TRY(mb_config_fit(r->config, mb_source_get_info(r->source), &r->replay));
  MB_TRY(mb_backend_choose(r->config->backend, &r->replay.shape, &r->backend));
  r->replay.backend = r->backend.backend;
  r->summary = calloc(r->config->n_strategies, sizeof *r->summary);
  r->n_plans = calloc(r->config->n_strategies, sizeof *r->n_plans);
  if (r->summary == NULL || r->n_plans == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", found->config);
  }
  return MB_OK;
}

/* What the run says of its loads, the same wherever the file lies. */
static const char *trace_name(const mb_config *config) {
  if (config->trace_file == NULL) {
    return config->generator->name;
  }
  const char *slash = strrchr(config->trace_file, '/');
  return slash != NULL ? slash + 1 : config->trace_file;
}

static mb_status replay(run *r, bool quiet) {
  const mb_trace_info *info = mb_source_get_info(r->source);
  const mb_replay_sink sink = {
      .context = r, .steps = take_steps, .plan = take_plan, .progress = take_progress};

  MB_TRY(mb_results_writer_create(r->config->output, r->config->name, trace_name(r->config),
                                  &r->replay, info, &r->writer));
  mb_progress_start(&r->progress, "steps replayed", info->n_steps, quiet);
  mb_status status = mb_replay(&r->replay, r->source, &sink, r->summary);
  mb_progress_end(&r->progress);
  return status;
}

static mb_status put_startups(const run *r) {
  for (size_t i = 0; i < r->config->n_strategies; i++) {
    if (r->config->strategies[i].strategy == &mb_strategy_command) {
      const mb_command_params *params = r->config->strategies[i].params;
      MB_TRY(mb_results_writer_put_startup(r->writer, i, *params->startup_seconds));
    }
  }
  return MB_OK;
}

static mb_status finish(run *r) {
  char digest[MB_DIGEST_SIZE];
  char *config = NULL;

  mb_source_digest(r->source, digest);
  MB_TRY(mb_results_writer_put_summary(r->writer, r->summary));
  MB_TRY(put_startups(r));
  MB_TRY(mb_config_format(r->config, &r->replay, &config));
  const mb_provenance provenance = {
      .config = config,
      .trace = r->config->trace_file != NULL ? r->config->trace_file : r->config->generator->name,
      .source = mb_source_get_info(r->source)->source,
      .load_xxh3 = digest,
      .start_time = r->start_time,
      .seed = r->config->seed,
      .backend = r->backend.backend->name,
      .gpu = r->backend.gpu};
  mb_status status = mb_interrupt_check();
  if (status == MB_OK) {
    status = mb_results_writer_finish(r->writer, &provenance);
    r->writer = NULL;
  }
  free(config);
  return status;
}

static mb_status execute(run *r, const arguments *found) {
  (void)mb_provenance_time(r->start_time);
  MB_TRY(prepare(r, found));
  if (!found->quiet) {
    print_notes(r);
  }
  mb_status status = replay(r, found->quiet);
  if (status == MB_OK) {
    status = finish(r);
  }
  if (status == MB_ERR_CANCELLED) {
    return MB_FAIL(status, "stopped on request; %s was not written", r->config->output);
  }
  return status;
}

static void run_fini(run *r) {
  mb_results_writer_destroy(r->writer);
  mb_source_destroy(r->source);
  free(r->summary);
  free(r->n_plans);
  mb_config_destroy(r->config);
}

/* --- the command line --- */

enum { KEY_SET = 256, KEY_BACKEND };

/* By the schema's own check and words. */
static void check_backend(const char *word, struct argp_state *state) {
  mb_config scratch;

  if (mb_params_set(mb_config_values(), "backend", word, &scratch) != MB_OK) {
    argp_error(state, "--%s", mb_error_message());
  }
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
      argp_error(state, "one config at a time: '%s' is a second one", value);
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
      {.name = "quiet", .key = 'q', .doc = "Prints no table, no progress, no notes"},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "CONFIG",
      .doc = "Replays the loads that CONFIG (YAML) names through its strategies, in one pass, and "
             "writes a results file (HDF5), in the place of an older one of that name.\v"
             "The table has, over the steps from summary.from on: run_imbalance and step_imbalance "
             "(`moebal list metrics`), the layer with the largest run_imbalance of its own, the "
             "mean tokens of a slot that has any, and a plan's means over all layers: experts "
             "moved, and milliseconds of the planner.\n\n"
             "`moebal help config` prints all keys of a config, `moebal plot` draws figures of the "
             "results. OMP_NUM_THREADS sets the threads; results do not depend on it."};
  arguments found = {.config = NULL};
  run r = {.config = NULL};

  found.settings = calloc((size_t)argc + 1, sizeof *found.settings);
  if (found.settings == NULL) {
    (void)fputs("moebal: out of memory\n", stderr);
    return MB_EXIT_FAILURE;
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &found);
  mb_interrupt_install();
  mb_status status = execute(&r, &found);
  if (status == MB_OK && !found.quiet) {
    print_table(&r);
  }
  int exit_status = status == MB_OK ? MB_EXIT_OK : mb_command_failed();
  run_fini(&r);
  free(found.settings);
  return exit_status;
}

const mb_command mb_command_run = {
    .name = "run",
    .summary = "replay a trace through strategies, as a config says",
    .run = run_command,
};
