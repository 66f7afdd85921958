/* experiments/main.c - the moebal program: finds the command and hands over. */
#include <argp.h>
#include <gsl/gsl_errno.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/command.h"
#include "moebal_version.h"

#define MB_COMMAND(name) extern const mb_command mb_command_##name;
#include "experiments/commands.def"
#undef MB_COMMAND

const mb_command *const *mb_commands(void) {
#define MB_COMMAND(name) &mb_command_##name,
  static const mb_command *const commands[] = {
#include "experiments/commands.def"
      NULL};
#undef MB_COMMAND
  return commands;
}

int mb_command_failed(void) {
  (void)fflush(stdout);
  (void)fprintf(stderr, "moebal: %s\n", mb_error_message());
  return MB_EXIT_FAILURE;
}

static const mb_command *find_command(const char *name) {
  for (const mb_command *const *command = mb_commands(); *command != NULL; command++) {
    if (strcmp((*command)->name, name) == 0) {
      return *command;
    }
  }
  return NULL;
}

/* The list of commands stands below the options in `moebal --help`. */
static char *help_filter(int key, const char *text, void *input) {
  (void)input;
  if (key != ARGP_KEY_HELP_POST_DOC) {
    return (char *)text;
  }
  char *help = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&help, &size);
  if (stream == NULL) {
    return (char *)text;
  }
  (void)fputs("Commands:\n", stream);
  for (const mb_command *const *command = mb_commands(); *command != NULL; command++) {
    (void)fprintf(stream, "  %-10s %s\n", (*command)->name, (*command)->summary);
  }
  (void)fputs("\n`moebal COMMAND --help` tells more of each.", stream);
  (void)fclose(stream);
  return help;
}

typedef struct arguments {
  int first; /* index of the command in argv */
} arguments;

static error_t parse(int key, char *value, struct argp_state *state) {
  arguments *found = state->input;

  switch (key) {
  case ARGP_KEY_ARG:
    if (find_command(value) == NULL) {
      argp_error(state, "there is no command '%s'; `moebal --help` lists them", value);
    }
    found->first = state->next - 1;
    state->next = state->argc; /* the rest is the command's */
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

int main(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse,
      .args_doc = "COMMAND [ARGUMENT...]",
      .doc = "Replays recorded Mixture-of-Experts routing loads through expert-parallel load "
             "balancers and shows, over time, how unevenly each strategy loads the GPUs.\v",
      .help_filter = help_filter,
  };
  arguments found = {.first = 0};
  char name[64];

  argp_program_version = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")";
  argp_err_exit_status = MB_EXIT_USAGE;
  (void)gsl_set_error_handler_off();
  /* Before any other call: what a full disk leaves open must not be flushed again at exit. */
  (void)H5dont_atexit();
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &found);

  const mb_command *command = find_command(argv[found.first]);
  (void)snprintf(name, sizeof name, "moebal %s", command->name);
  argv[found.first] = name;
  int status = command->run(argc - found.first, argv + found.first);
  /* A full disk behind a redirected standard output is a failure too. */
  if (fflush(stdout) != 0 || ferror(stdout) != 0) {
    (void)fputs("moebal: standard output could not be written\n", stderr);
    return MB_EXIT_FAILURE;
  }
  return status;
}
