/* experiments/cmd_trace.c - `moebal trace`: hands on to its sub-commands. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/trace_command.h"

#define MB_TRACE_COMMAND(name) &mb_trace_command_##name,
static const mb_command *const subcommands[] = {
#include "experiments/trace_commands.def"
    NULL};
#undef MB_TRACE_COMMAND

static const mb_command *find_subcommand(const char *name) {
  for (size_t i = 0; subcommands[i] != NULL; i++) {
    if (strcmp(subcommands[i]->name, name) == 0) {
      return subcommands[i];
    }
  }
  return NULL;
}

/* Every sub-command's name: "a, b and c". */
static void list_names(size_t size, char *text) {
  size_t length = 0;

  for (size_t i = 0; subcommands[i] != NULL && length < size; i++) {
    const char *before = i == 0 ? "" : subcommands[i + 1] == NULL ? " and " : ", ";
    length += (size_t)snprintf(text + length, size - length, "%s%s", before, subcommands[i]->name);
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  int *first = state->input;
  char names[256];

  switch (key) {
  case ARGP_KEY_ARG:
    if (find_subcommand(value) == NULL) {
      list_names(sizeof names, names);
      argp_error(state, "there is no `trace %s`; there are %s", value, names);
    }
    *first = state->next - 1;
    state->next = state->argc; /* the rest is the sub-command's */
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* What stands below the options: the sub-commands. Transferred to argp, which free()s nothing else
   than what differs from `text`. */
static char *filter_help(int key, const char *text, void *input) {
  char *made = NULL;
  size_t size = 0;

  (void)input;
  if (key != ARGP_KEY_HELP_POST_DOC) {
    return (char *)text;
  }
  FILE *stream = open_memstream(&made, &size);
  if (stream == NULL) {
    return (char *)text;
  }
  for (size_t i = 0; subcommands[i] != NULL; i++) {
    (void)fprintf(stream, "  %-10s %s\n", subcommands[i]->name, subcommands[i]->summary);
  }
  (void)fprintf(stream, "\n%s", text);
  (void)fclose(stream);
  return made;
}

static int run(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse,
      .args_doc = "COMMAND [ARGUMENT...]",
      .doc = "Makes, describes and verifies traces of routing loads.\v"
             "`moebal trace generate --help` and so on tell more of each.",
      .help_filter = filter_help,
  };
  int first = 0;
  char name[64];

  (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);
  const mb_command *found = find_subcommand(argv[first]);
  (void)snprintf(name, sizeof name, "%s %s", argv[0], found->name);
  argv[first] = name;
  return found->run(argc - first, argv + first);
}

const mb_command mb_command_trace = {
    .name = "trace",
    .summary = "make, describe and verify traces",
    .run = run,
};
