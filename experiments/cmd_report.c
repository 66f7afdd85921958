/* experiments/cmd_report.c - `moebal report`: a results file as a page to read and to send. */
#include <argp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/report.h"

enum { KEY_BASELINE = 256 };

static error_t parse(int key, char *value, struct argp_state *state) {
  mb_report *report = state->input;

  switch (key) {
  case 'o':
    report->output = value;
    return 0;
  case 'r':
    report->run = value;
    return 0;
  case KEY_BASELINE:
    report->baseline = value;
    return 0;
  case ARGP_KEY_ARG:
    if (report->results != NULL) {
      argp_error(state, "one results file at a time; '%s' is a second one", value);
    }
    report->results = value;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "RESULTS.h5 is missing: a file that `moebal run` has written");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* "results.html" for "results.h5". */
static mb_status name_output(const char *results, char output[PATH_MAX]) {
  size_t length = strlen(results);
  bool h5 = length > 3 && results[length - 4] != '/' && strcmp(results + length - 3, ".h5") == 0;
  int written =
      snprintf(output, PATH_MAX, "%.*s.html", (int)(h5 ? length - 3 : length % INT_MAX), results);

  return length > 0 && written > 0 && written < PATH_MAX
             ? MB_OK
             : MB_FAIL(MB_ERR_IO, "'%s' is no path of a results file", results);
}

static mb_status execute(const mb_report *asked) {
  char output[PATH_MAX];
  mb_report report = *asked;

  if (report.output == NULL) {
    MB_TRY(name_output(report.results, output));
    report.output = output;
  }
  MB_TRY(mb_report_write(&report));
  (void)printf("%s\n", report.output);
  return MB_OK;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where the page goes (RESULTS.h5 with .html for its .h5)", 0},
      {"baseline", KEY_BASELINE, "NAME", 0,
       "the strategy that the others are compared with (lpt, else the first)", 0},
      {"run", 'r', "NAME", 0, "of a sweep, the run to show alone (the first)", 0},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "RESULTS.h5",
      .doc = "Writes one HTML page that stands alone: what was run, the results, the figures with "
             "their values under the pointer, the comparison of the strategies, and the config to "
             "run it again.",
  };
  mb_report report = {.results = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &report);
  mb_interrupt_install();
  return execute(&report) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_report = {
    .name = "report",
    .summary = "write a results file as a page to read and to send",
    .run = run,
};
