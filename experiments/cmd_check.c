/* experiments/cmd_check.c - `moebal check`: is a config's balance worse than it was? */
#include <argp.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/baseline.h"
#include "experiments/check.h"
#include "experiments/check_measure.h"
#include "experiments/check_report.h"
#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/junit.h"
#include "experiments/sweep.h"
#include "experiments/sweep_run.h"

/* What CI systems go by: not worse; worse; it could not be told. */
enum { EXIT_FINE = MB_EXIT_OK, EXIT_WORSE = 1, EXIT_UNKNOWN = 2 };

enum { FOLDER_SIZE = 1024, PATH_SIZE = FOLDER_SIZE + 32, JOBS_MAX = 4096 };

typedef struct arguments {
  const char *config, *baseline;
  const char *junit, *keep; /* or NULL */
  const char **settings;
  size_t n_settings;
  size_t jobs;
  double margin_percent[MB_BASELINE_METRICS]; /* below 0: not given */
  bool update, quiet;
} arguments;

/* --- the run --- */

static int remove_entry(const char *path, const struct stat *state, int flag, struct FTW *place) {
  (void)state;
  (void)flag;
  (void)place;
  return remove(path);
}

static mb_status make_folder(char folder[FOLDER_SIZE]) {
  const char *root = getenv("TMPDIR");

  if (root == NULL || root[0] == '\0' || strlen(root) > FOLDER_SIZE / 2) {
    root = "/tmp";
  }
  (void)snprintf(folder, FOLDER_SIZE, "%s/moebal-check-XXXXXX", root);
  if (mkdtemp(folder) == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: no folder for results (TMPDIR names another): %s", root,
                   strerror(errno));
  }
  return MB_OK;
}

static mb_status run_and_measure(const arguments *given, const mb_sweep *sweep, const char *output,
                                 mb_baseline *now) {
  const mb_sweep_options options = {.output = output, .jobs = given->jobs, .quiet = given->quiet};
  mb_sweep_outcome outcome;

  MB_TRY(mb_sweep_run(sweep, &options, &outcome));
  return mb_check_measure(output, sweep->name, now);
}

/* Runs the config into a results file that is kept where asked for, and else removed. */
static mb_status measure(const arguments *given, const mb_sweep *sweep, mb_baseline *now) {
  char folder[FOLDER_SIZE];
  char output[PATH_SIZE];

  if (given->keep != NULL) {
    return run_and_measure(given, sweep, given->keep, now);
  }
  MB_TRY(make_folder(folder));
  (void)snprintf(output, sizeof output, "%s/results.h5", folder);
  mb_status status = run_and_measure(given, sweep, output, now);
  if (status == MB_ERR_CANCELLED) { /* the sweep would tell of a folder that goes now */
    status = MB_FAIL(status, "stopped on request; nothing was compared or written");
  }
  (void)nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  return status;
}

/* --- the comparison --- */

static void take_margins(const arguments *given, mb_baseline *baseline) {
  for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
    if (given->margin_percent[m] >= 0) {
      baseline->margin_percent[m] = given->margin_percent[m];
    }
  }
}

/* The exit status that a check stands for. */
static int judge(const mb_check *check) {
  if (check->n_missing > 0 || mb_check_count(check, MB_CHECK_UNPAIRED) > 0) {
    return EXIT_UNKNOWN;
  }
  return mb_check_count(check, MB_CHECK_WORSE) > 0 ? EXIT_WORSE : EXIT_FINE;
}

/* Returns the exit status. */
static int report(const arguments *given, const mb_baseline *kept, const mb_baseline *now,
                  const mb_check *check) {
  const mb_check_report all = {.before = kept, .after = now, .check = check};
  int exit_status = judge(check);

  if (!given->quiet) {
    mb_check_print(stdout, &all);
  }
  if (exit_status == EXIT_UNKNOWN) {
    (void)fflush(stdout);
    (void)fprintf(stderr,
                  "moebal: %s: this baseline is of other runs, and not all could be compared; if "
                  "that is meant, write it anew with --update\n",
                  given->baseline);
  }
  if (given->junit != NULL && mb_check_write_junit(given->junit, &all) != MB_OK) {
    (void)mb_command_failed();
    exit_status = EXIT_UNKNOWN;
  }
  return exit_status;
}

static mb_status compare(const arguments *given, const mb_sweep *sweep, const mb_baseline *kept,
                         int *exit_status) {
  double margin[MB_BASELINE_METRICS];
  mb_baseline now;
  mb_check check;

  MB_TRY(measure(given, sweep, &now));
  for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
    margin[m] = kept->margin_percent[m] / 100;
  }
  mb_status status = mb_check_compare(kept, &now, margin, &check);
  if (status == MB_OK) {
    *exit_status = report(given, kept, &now, &check);
    mb_check_fini(&check);
  }
  mb_baseline_fini(&now);
  return status;
}

/* A new baseline keeps the margins of the old one. */
static mb_status update(const arguments *given, const mb_sweep *sweep, const mb_baseline *kept,
                        int *exit_status) {
  mb_baseline now;

  MB_TRY(measure(given, sweep, &now));
  memcpy(now.margin_percent, kept->margin_percent, sizeof now.margin_percent);
  mb_status status = mb_baseline_write(given->baseline, &now);
  if (status == MB_OK && !given->quiet) {
    (void)printf("%s: %zu metrics of %zu runs of strategies are kept. `git diff` shows what "
                 "changed.\n",
                 given->baseline, (size_t)MB_BASELINE_METRICS, now.n_scores);
  }
  mb_baseline_fini(&now);
  *exit_status = EXIT_FINE;
  return status;
}

/* The baseline there is, or an empty one where it is to be made. */
static mb_status read_baseline(const arguments *given, const char *config, mb_baseline *kept) {
  if (access(given->baseline, F_OK) != 0 && errno == ENOENT) {
    if (!given->update) {
      return MB_FAIL(MB_ERR_IO, "%s: there is no such baseline; --update makes it",
                     given->baseline);
    }
    return mb_baseline_init(config, kept);
  }
  MB_TRY(mb_baseline_read(given->baseline, kept));
  if (strcmp(kept->config, config) != 0) {
    mb_status status = MB_FAIL(MB_ERR_PARAM, "%s: is the baseline of the config %s, and not of %s",
                               given->baseline, kept->config, config);
    mb_baseline_fini(kept);
    return status;
  }
  return MB_OK;
}

static mb_status check_sweep(const arguments *given, const mb_sweep *sweep, int *exit_status) {
  mb_baseline kept;

  MB_TRY(read_baseline(given, sweep->name, &kept));
  take_margins(given, &kept);
  mb_status status = given->update ? update(given, sweep, &kept, exit_status)
                                   : compare(given, sweep, &kept, exit_status);
  mb_baseline_fini(&kept);
  return status;
}

static mb_status execute(const arguments *given, int *exit_status) {
  mb_sweep *sweep = NULL;

  MB_TRY(mb_sweep_read(given->config, given->n_settings, given->settings, 0, &sweep));
  mb_status status = check_sweep(given, sweep, exit_status);
  mb_sweep_destroy(sweep);
  return status;
}

/* What could not be run is an error in the eyes of a CI system, too. */
static void report_failure(const arguments *given) {
  char message[1024];

  (void)snprintf(message, sizeof message, "%s", mb_error_message());
  const mb_junit_case one = {
      .group = given->config, .name = "run", .result = MB_JUNIT_ERROR, .message = message};
  (void)mb_command_failed();
  if (given->junit != NULL && mb_junit_write(given->junit, given->config, 1, &one) != MB_OK) {
    (void)mb_command_failed();
  }
}

/* --- the command line --- */

enum { KEY_SET = 256, KEY_BASELINE, KEY_UPDATE, KEY_JUNIT, KEY_MARGIN, KEY_KEEP };

static void parse_margin(char *value, struct argp_state *state) {
  arguments *given = state->input;
  char *equals = strchr(value, '=');

  if (equals == NULL) {
    argp_error(state, "--margin takes METRIC=PERCENT, not '%s'", value);
    return;
  }
  *equals = '\0';
  size_t metric = mb_baseline_metric_find(value);
  if (metric == MB_BASELINE_METRICS) {
    char names[512] = "";
    for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
      size_t length = strlen(names);
      (void)snprintf(names + length, sizeof names - length, "%s%s", m > 0 ? ", " : "",
                     mb_baseline_metric_name(m));
    }
    argp_error(state, "--margin: '%s' is not checked; these are: %s", value, names);
    return;
  }
  if (mb_baseline_read_percent(equals + 1, &given->margin_percent[metric]) != MB_OK) {
    argp_error(state, "--margin: %s", mb_error_message());
  }
}

static void parse_jobs(const char *value, struct argp_state *state) {
  arguments *given = state->input;
  char *end = NULL;
  long jobs = strtol(value, &end, 10);

  if (end == value || *end != '\0' || jobs < 1 || jobs > JOBS_MAX) {
    argp_error(state, "--jobs takes a whole number, 1 to %d, not '%s'", JOBS_MAX, value);
  }
  given->jobs = (size_t)jobs;
}

static void check_complete(const arguments *given, struct argp_state *state) {
  if (given->config == NULL) {
    argp_error(state, "which config? `moebal help config` says what is in one");
  }
  if (given->baseline == NULL) {
    argp_error(state, "which baseline? --baseline FILE names it; with --update it is made");
  }
  if (given->update && given->junit != NULL) {
    argp_error(state, "--update makes a baseline and compares nothing that --junit could tell");
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  arguments *given = state->input;

  switch (key) {
  case KEY_BASELINE:
  case KEY_JUNIT:
  case KEY_KEEP:
    if (value[0] == '\0') {
      argp_error(state, "--baseline, --junit and --keep take the name of a file");
    }
    *(key == KEY_BASELINE ? &given->baseline
      : key == KEY_JUNIT  ? &given->junit
                          : &given->keep) = value;
    return 0;
  case KEY_UPDATE:
    given->update = true;
    return 0;
  case KEY_MARGIN:
    parse_margin(value, state);
    return 0;
  case KEY_SET:
    if (strchr(value, '=') == NULL || value[0] == '=') {
      argp_error(state, "--set takes KEY=VALUE, not '%s'", value);
    }
    given->settings[given->n_settings++] = value;
    return 0;
  case 'j':
    parse_jobs(value, state);
    return 0;
  case 'q':
    given->quiet = true;
    return 0;
  case ARGP_KEY_ARG:
    if (given->config != NULL) {
      argp_error(state, "one config at a time: '%s' is a second one", value);
    }
    given->config = value;
    return 0;
  case ARGP_KEY_END:
    check_complete(given, state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option options[] = {
    {.name = "baseline", .key = KEY_BASELINE, .arg = "FILE", .doc = "What to compare with"},
    {.name = "update",
     .key = KEY_UPDATE,
     .doc = "Makes the baseline, or writes it anew; its margins stay as they are"},
    {.name = "junit",
     .key = KEY_JUNIT,
     .arg = "FILE",
     .doc = "Writes JUnit XML too: a test case for each setting, strategy and metric"},
    {.name = "margin",
     .key = KEY_MARGIN,
     .arg = "METRIC=PERCENT",
     .doc = "How much worse a metric may be, instead of what the baseline says; may be repeated"},
    {.name = "set",
     .key = KEY_SET,
     .arg = "KEY=VALUE",
     .doc = "Sets a key of the config, as in cluster.gpus=64; may be repeated"},
    {.name = "keep", .key = KEY_KEEP, .arg = "FILE", .doc = "Keeps the results (HDF5)"},
    {.name = "jobs", .key = 'j', .arg = "N", .doc = "Runs N cells at a time"},
    {.name = "quiet", .key = 'q', .doc = "Prints nothing but errors"},
    {0}};

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .args_doc = "CONFIG --baseline FILE",
    .doc =
        "Runs CONFIG (YAML) and tells whether its strategies balance worse than when the baseline "
        "was made.\v"
        "A replay is deterministic: any other placement or value is reported as changed. It is "
        "worse where the mean over the config's seeds (`sweep: {seed: 1..8}`) rises by more than "
        "the metric's margin, and the rise is no chance: its one-sided 95 % bound by Student's t, "
        "over the seeds, paired, is above 0. A config with one seed is judged by the margin "
        "alone. `worse below` says for which margins the metric is worse: the smaller ones; - "
        "where for none.\n\n"
        "Exit status 0: the same, changed or better; 1: worse; 2: it could not be run, or not "
        "compared."};

static int check_command(int argc, char **argv) {
  arguments given = {.config = NULL};
  int exit_status = EXIT_UNKNOWN;

  for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
    given.margin_percent[m] = -1;
  }
  given.settings = calloc((size_t)argc + 1, sizeof *given.settings);
  if (given.settings == NULL) {
    (void)fputs("moebal: out of memory\n", stderr);
    return EXIT_UNKNOWN;
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  if (execute(&given, &exit_status) != MB_OK) {
    report_failure(&given);
    exit_status = EXIT_UNKNOWN;
  }
  free(given.settings);
  if (fflush(stdout) != 0 || ferror(stdout) != 0) {
    /* Said here: the program's own way ends with 1, which would be `worse`. */
    (void)fputs("moebal: standard output could not be written\n", stderr);
    clearerr(stdout);
    return EXIT_UNKNOWN;
  }
  return exit_status;
}

const mb_command mb_command_check = {
    .name = "check",
    .summary = "compare a config's balance with a baseline: did it become worse?",
    .run = check_command,
};
