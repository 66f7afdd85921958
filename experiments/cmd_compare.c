/* experiments/cmd_compare.c - `moebal compare`: strategies against a baseline, with intervals. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/compare.h"
#include "experiments/compare_print.h"

enum { RESAMPLES_MIN = 99, RESAMPLES_MAX = 10000000, KEY_LIFETIME = 256, KEY_PER_SEED, KEY_TRACES };

static const struct format {
  const char *name;
  void (*print)(const mb_compare_view *view, FILE *stream);
} formats[] = {{"text", mb_compare_print_text},
               {"tsv", mb_compare_print_tsv},
               {"latex", mb_compare_print_latex}};

typedef struct compare_arguments {
  const char *results;
  mb_compare_options options;
  const struct format *format;
  bool per_seed;
} compare_arguments;

/* --- the command line --- */

static uint64_t parse_count(struct argp_state *state, const char *option, const char *text,
                            uint64_t least, uint64_t most) {
  char *end = NULL;

  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
      value > most) {
    argp_error(state, "--%s is '%s', not a whole number from %" PRIu64 " to %" PRIu64, option, text,
               least, most);
  }
  return value;
}

static double parse_fraction(struct argp_state *state, const char *option, const char *text,
                             double least, double most) {
  char *end = NULL;
  double value = strtod(text, &end);

  if (end == text || *end != '\0' || !(value >= least && value <= most)) {
    argp_error(state, "--%s is '%s', not a number from %g to %g", option, text, least, most);
  }
  return value;
}

static const struct format *parse_format(struct argp_state *state, const char *name) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    if (strcmp(formats[i].name, name) == 0) {
      return &formats[i];
    }
  }
  argp_error(state, "there is no format '%s'; --format takes text, tsv or latex", name);
  return &formats[0];
}

static void parse_results(struct argp_state *state, compare_arguments *arguments,
                          const char *path) {
  if (arguments->results != NULL) {
    argp_error(state, "one results file at a time; '%s' is a second one", path);
  }
  arguments->results = path;
}

/* A bound is a quantile of the resamples: one of them at least has to lie beyond it. */
static void check_resamples(struct argp_state *state, const mb_compare_options *options) {
  double least = round(2 / (1 - options->confidence)) - 1;

  if ((double)options->n_resamples < least) {
    argp_error(state, "--resamples is %zu, too few for a confidence of %g: %.0f or more",
               options->n_resamples, options->confidence, least);
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  compare_arguments *arguments = state->input;
  mb_compare_options *options = &arguments->options;

  switch (key) {
  case 'b':
    options->baseline = value;
    return 0;
  case 'c':
    options->confidence = parse_fraction(state, "confidence", value, 0.5, 0.999);
    return 0;
  case 'm':
    options->margin = parse_fraction(state, "margin", value, 0, 1);
    return 0;
  case KEY_LIFETIME:
    options->lifetime = (int64_t)parse_count(state, "lifetime", value, 1, INT32_MAX);
    return 0;
  case 's':
    options->seed = parse_count(state, "seed", value, 0, INT64_MAX);
    return 0;
  case 'n':
    options->n_resamples =
        (size_t)parse_count(state, "resamples", value, RESAMPLES_MIN, RESAMPLES_MAX);
    return 0;
  case 'f':
    arguments->format = parse_format(state, value);
    return 0;
  case KEY_TRACES:
    options->traces = true;
    return 0;
  case KEY_PER_SEED:
    arguments->per_seed = true;
    return 0;
  case ARGP_KEY_ARG:
    parse_results(state, arguments, value);
    return 0;
  case ARGP_KEY_END:
    check_resamples(state, options);
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "RESULTS.h5 is missing: a file that `moebal run` has written");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* --- the work --- */

static mb_status print(const compare_arguments *arguments, const mb_comparison *comparison) {
  mb_compare_view view = {&arguments->options, comparison, arguments->per_seed};

  if (comparison->n_rows == 0) {
    return MB_FAIL(MB_ERR_PARAM, "%s: there is only one strategy: nothing to compare it with",
                   arguments->results);
  }
  arguments->format->print(&view, stdout);
  return MB_OK; /* main() sees whether it could be written */
}

static mb_status compare(const compare_arguments *arguments) {
  mb_results_file *file = NULL;
  mb_comparison comparison;

  MB_TRY(mb_results_file_open(arguments->results, &file));
  mb_status status = mb_compare(file, &arguments->options, &comparison);
  mb_results_file_close(file);
  if (status != MB_OK) {
    return status;
  }
  status = print(arguments, &comparison);
  mb_comparison_fini(&comparison);
  return status;
}

static int run_compare(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"baseline", 'b', "NAME", 0,
       "strategy that the others are compared with (lpt where there is one, else the first)", 0},
      {"confidence", 'c', "C", 0, "of the intervals (0.95)", 0},
      {"margin", 'm', "M", 0,
       "a tie is an interval that lies within this part of the baseline's value to either side "
       "(0.003, which is 0.3 %)",
       0},
      {"lifetime", KEY_LIFETIME, "STEPS", 0,
       "that a request lives; blocks of steps are at least as long (trace.request_lifetime of the "
       "run's config)",
       0},
      {"resamples", 'n', "N", 0, "of the bootstrap, and flips of the permutation test (9999)", 0},
      {"seed", 's', "SEED", 0, "of resampling: the same seed gives the same table (0)", 0},
      {"format", 'f', "text|tsv|latex", 0, "text, tab-separated, or LaTeX with booktabs (text)", 0},
      {"per-seed", KEY_PER_SEED, NULL, 0, "show what was reached with every seed, too", 0},
      {"traces", KEY_TRACES, NULL, 0,
       "the files of a sweep over trace.file are independent recordings of one workload: average "
       "over them, as over seeds",
       0},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "RESULTS.h5",
      .doc = "Compares the run_imbalance of the strategies with that of a baseline, for every "
             "setting of a sweep's keys but seeds and relabellings, which are what is averaged "
             "over.\v"
             "With two or more seeds the differences by seed decide; with one, blocks of "
             "steps, if there are 20 or more. `moebal run --relabellings` before it adds what the "
             "order of ties does. Different settings of a sweep are not compared with each other, "
             "only strategies under the same setting.",
  };
  compare_arguments arguments = {.format = &formats[0]};

  mb_compare_options_init(&arguments.options);
  (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
  return compare(&arguments) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_compare = {
    .name = "compare",
    .summary = "compare strategies with a baseline, with intervals",
    .run = run_compare,
};
