/* experiments/cmd_trace_fit.c - `moebal trace fit`: the generator's parameters for a trace. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/fit_report.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_command.h"
#include "experiments/yaml.h"
#include "moebal_version.h"
#include "workloads/drift.h"
#include "workloads/fit.h"
#include "workloads/new_file.h"
#include "workloads/source.h"
#include "workloads/windows.h"

typedef struct fit_arguments {
  const char *path, *output; /* output NULL: none */
  size_t window, n_seeds;
} fit_arguments;

enum { ORIGINAL, FITTED, UNFITTED, STATIONARY, N_COLUMNS };

static error_t parse_fit(int key, char *value, struct argp_state *state) {
  fit_arguments *given = state->input;

  switch (key) {
  case 'w':
    given->window = mb_trace_parse_number(state, "--window", value);
    if (given->window == 0) {
      argp_error(state, "--window: it has at least 1 step");
    }
    return 0;
  case 'n':
    given->n_seeds = mb_trace_parse_number(state, "--seeds", value);
    if (given->n_seeds == 0 || given->n_seeds > 1000) {
      argp_error(state, "--seeds: from 1 to 1000 traces are generated");
    }
    return 0;
  case 'o':
    given->output = value;
    return 0;
  case ARGP_KEY_ARG:
    if (given->path != NULL) {
      argp_error(state, "'%s': one trace at a time", value);
    }
    given->path = value;
    return 0;
  case ARGP_KEY_END:
    if (given->path == NULL) {
      argp_error(state, "which TRACE?");
    }
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static mb_status read_windows(mb_source *source, size_t window, mb_windows **windows) {
  const mb_trace_info *info = mb_source_get_info(source);
  mb_windows *made = NULL;

  MB_TRY(mb_windows_create(info->n_steps, info->n_layers, info->n_experts, window, &made));
  uint32_t *load = mb_trace_chunk_allocate(info);
  mb_status status = load != NULL ? MB_OK : MB_ERR_MEMORY;
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < mb_trace_chunk_steps(info) ? left : mb_trace_chunk_steps(info);
    status = mb_interrupt_check();
    status = status == MB_OK ? mb_source_read(source, n, load) : status;
    if (status == MB_OK) {
      mb_windows_add(made, n, load);
    }
    t += n;
  }
  free(load);
  if (status != MB_OK) {
    mb_windows_destroy(made);
    return status;
  }
  *windows = made;
  return MB_OK;
}

/* --- the YAML */

static void write_params(FILE *stream, const mb_drift_params *params) {
  char text[MB_PARAM_TEXT_SIZE];

  for (const mb_param *param = mb_generator_drift.params; param->key != NULL; param++) {
    (void)fprintf(stream, "    %s: ", param->key);
    (void)mb_param_format(param, params, text, sizeof text);
    if (param->type == MB_PARAM_TEXT) {
      mb_yaml_write_text(stream, text);
    } else {
      (void)fputs(text, stream);
    }
    (void)fputc('\n', stream);
  }
}

/* The path goes into a comment, which a control character of its name must not end. */
static void write_comment(FILE *stream, const fit_arguments *given) {
  (void)fputs("# Fitted to ", stream);
  for (const char *c = given->path; *c != '\0'; c++) {
    (void)fputc((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c, stream);
  }
  (void)fprintf(stream,
                ", windows of %zu steps, by moebal %s (%s).\n"
                "# For the config of `moebal run`, or for `moebal trace generate --config`.\n",
                given->window, MOEBAL_VERSION, MOEBAL_GIT_VERSION);
}

/* Where the YAML will be: found out before the fit, which takes its time. */
static mb_status open_output(const fit_arguments *given, mb_new_file *file) {
  if (given->output == NULL) {
    return MB_OK;
  }
  MB_TRY(mb_trace_check_output(given->output, given->path));
  if (mb_file_is_hdf5(given->output)) {
    return MB_FAIL(MB_ERR_IO, "%s: is there, and no YAML: give another name", given->output);
  }
  return mb_new_file_open(given->output, file);
}

static mb_status write_yaml(const fit_arguments *given, const mb_drift_params *params,
                            mb_new_file *file) {
  FILE *stream = fopen(file->temporary, "w");

  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", given->output, strerror(errno));
  }
  write_comment(stream, given);
  (void)fputs("trace:\n  generate:\n    use: drift\n", stream);
  write_params(stream, params);
  bool failed = ferror(stream) != 0;
  if (fclose(stream) != 0 || failed) {
    return MB_FAIL(MB_ERR_IO, "%s: not all of it could be written", given->output);
  }
  return mb_new_file_commit(file);
}

/* --- the table */

/* Adds 1/n of a trace's statistics; all are doubles. */
static void add_part(size_t n_layers, const mb_windows_layer *one, size_t n,
                     mb_windows_layer *mean) {
  const double *from = (const double *)one;
  double *to = (double *)mean;

  for (size_t i = 0; i < n_layers * sizeof *one / sizeof *from; i++) {
    to[i] += from[i] / (double)n;
  }
}

static mb_status measure_generated(const mb_drift_params *params, uint64_t seed, size_t window,
                                   mb_windows_layer *layers) {
  mb_source *source = NULL;
  mb_windows *windows = NULL;

  MB_TRY(mb_source_open_generator(&mb_generator_drift, params, seed, &source));
  mb_status status = read_windows(source, window, &windows);
  status = status == MB_OK ? mb_windows_measure(windows, layers) : status;
  mb_windows_destroy(windows);
  mb_source_destroy(source);
  return status;
}

static mb_status measure_stationary(const mb_windows *original, uint64_t seed,
                                    mb_windows_layer *layers) {
  mb_windows *windows = NULL;

  MB_TRY(mb_windows_draw_stationary(original, seed, &windows));
  mb_status status = mb_windows_measure(windows, layers);
  mb_windows_destroy(windows);
  return status;
}

/* The generator's defaults, with the shape of the trace. */
static mb_drift_params unfitted(const mb_drift_params *fitted) {
  mb_drift_params params;

  mb_params_init(mb_generator_drift.params, &params);
  params.workload = fitted->workload;
  return params;
}

static mb_status measure_all(const fit_arguments *given, const mb_windows *original,
                             const mb_drift_params *fitted, mb_fit_column *columns) {
  mb_drift_params params[N_COLUMNS] = {[FITTED] = *fitted, [UNFITTED] = unfitted(fitted)};
  size_t n_layers = mb_windows_layers(original);
  mb_progress progress;

  mb_windows_layer *one = calloc(n_layers, sizeof *one);
  mb_status status =
      one != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", n_layers);
  status = status == MB_OK ? mb_windows_measure(original, columns[ORIGINAL].layers) : status;
  mb_progress_start(&progress, "seeds generated", given->n_seeds, false);
  for (size_t i = 0; status == MB_OK && i < given->n_seeds; i++) {
    for (size_t c = FITTED; status == MB_OK && c < N_COLUMNS; c++) {
      status = c == STATIONARY ? measure_stationary(original, i + 1, one)
                               : measure_generated(&params[c], i + 1, given->window, one);
      if (status == MB_OK) {
        add_part(n_layers, one, given->n_seeds, columns[c].layers);
      }
    }
    mb_progress_update(&progress, i + 1);
  }
  mb_progress_end(&progress);
  free(one);
  return status;
}

static mb_status compare(const fit_arguments *given, const mb_windows *original,
                         const mb_drift_params *fitted) {
  mb_fit_column columns[N_COLUMNS] = {
      {.title = "original"}, {.title = "fit"}, {.title = "default"}, {.title = "multinom."}};
  size_t n_layers = mb_windows_layers(original);
  mb_status status = MB_OK;

  for (size_t c = 0; c < N_COLUMNS; c++) {
    columns[c].layers = calloc(n_layers, sizeof *columns[c].layers);
    status = columns[c].layers != NULL
                 ? status
                 : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", n_layers);
  }
  status = status == MB_OK ? measure_all(given, original, fitted, columns) : status;
  if (status == MB_OK) {
    (void)printf("%s\n%zu windows of %zu steps, %zu layers; generated: mean of %zu seeds\n\n",
                 given->path, mb_windows_count(original), given->window, n_layers, given->n_seeds);
    mb_fit_report_print(stdout, n_layers, N_COLUMNS, columns);
    (void)printf("\ndefault    the generator without a fit\n"
                 "multinom.  the trace's own shares, without any drift\n");
  }
  for (size_t c = 0; c < N_COLUMNS; c++) {
    free(columns[c].layers);
  }
  return status;
}

/* Enough windows in a short trace. */
static size_t default_window(size_t n_steps) {
  size_t part = n_steps / ((size_t)2 * MB_FIT_WINDOWS_MIN);

  return part > 64 ? 64 : part > 0 ? part : 1;
}

static mb_status fit_source(fit_arguments *given, mb_source *source, mb_new_file *output) {
  mb_windows *windows = NULL;
  mb_drift_params params;

  const mb_trace_info *info = mb_source_get_info(source);
  given->window = given->window != 0 ? given->window : default_window(info->n_steps);
  mb_status status = read_windows(source, given->window, &windows);
  status = status == MB_OK ? mb_fit_drift(windows, info, mb_interrupt_check, &params) : status;
  if (status != MB_OK && status != MB_ERR_CANCELLED) {
    status = MB_FAIL(status, "%s: %s", given->path, mb_error_message());
  }
  if (status == MB_OK && given->output != NULL) {
    status = write_yaml(given, &params, output);
    if (status == MB_OK) {
      (void)printf("%s: the parameters; now traces made with them are compared\n", given->output);
      (void)fflush(stdout);
    }
  }
  status = status == MB_OK ? compare(given, windows, &params) : status;
  mb_windows_destroy(windows);
  return status;
}

static mb_status fit(fit_arguments *given) {
  mb_source *source = NULL;
  mb_new_file output = {0};

  MB_TRY(mb_source_open_trace(given->path, &source));
  mb_status status = open_output(given, &output);
  status = status == MB_OK ? fit_source(given, source, &output) : status;
  mb_new_file_close(&output);
  mb_source_destroy(source);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the parameters, as YAML", 0},
      {"window", 'w', "N", 0,
       "steps of a window (default 64, and for a shorter trace a sixteenth of it)", 0},
      {"seeds", 'n', "N", 0, "traces that are generated to compare (default 8)", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse_fit,
      .args_doc = "TRACE",
      .doc = "Finds the parameters with which the generator `drift` makes traces like the given "
             "one. Prints how skewed, restless and noisy the trace is, beside generated ones: with "
             "these parameters, with the generator's defaults, and a stationary multinomial of the "
             "trace's own shares.\v"
             "r is the correlation of two windows' shares, averaged over layers and pairs of "
             "windows; the total variation is the share of the load that moved; chi2/dof is 1 for "
             "multinomial loads that do not drift. Marks: ok within 10 % for max/mean and Gini, "
             "25 % for the rest.",
  };
  fit_arguments given = {.n_seeds = 8};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  return fit(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_fit = {
    .name = "fit",
    .summary = "find a generator's parameters for a trace, and show how like it is",
    .run = run,
};
