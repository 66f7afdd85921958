/* experiments/cmd_help.c - `moebal help`: what does not fit into a command's --help. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/config_schema.h"
#include "experiments/external_planner.h"

static const mb_command *find_command(const char *name) {
  for (const mb_command *const *command = mb_commands(); *command != NULL; command++) {
    if (strcmp((*command)->name, name) == 0) {
      return *command;
    }
  }
  return NULL;
}

static int print_topics(void) {
  (void)puts("Topics:\n"
             "  config     all keys of a config file, with type, unit, default and range\n"
             "  planners   how a program of your own makes the plans\n"
             "\n"
             "Commands (`moebal help COMMAND`):");
  for (const mb_command *const *command = mb_commands(); *command != NULL; command++) {
    (void)printf("  %-10s %s\n", (*command)->name, (*command)->summary);
  }
  return MB_EXIT_OK;
}

/* As if --help had been asked of the command itself. */
static int print_command(const mb_command *command) {
  char name[64];
  char option[] = "--help";
  char *arguments[] = {name, option, NULL};

  (void)snprintf(name, sizeof name, "moebal %s", command->name);
  return command->run(2, arguments);
}

static error_t parse(int key, char *value, struct argp_state *state) {
  const char **found = state->input;

  switch (key) {
  case ARGP_KEY_ARG:
    if (*found != NULL) {
      argp_error(state, "one topic at a time: '%s' is a second one", value);
    }
    if (strcmp(value, "config") != 0 && strcmp(value, "planners") != 0 &&
        find_command(value) == NULL) {
      argp_error(state, "there is no topic '%s'; `moebal help` lists them", value);
    }
    *found = value;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int help_command(int argc, char **argv) {
  static const struct argp argp = {.parser = parse,
                                   .args_doc = "[TOPIC]",
                                   .doc =
                                       "Explains a topic or a command; without one, lists them."};
  const char *topic = NULL;

  (void)argp_parse(&argp, argc, argv, 0, NULL, &topic);
  if (topic == NULL) {
    return print_topics();
  }
  if (strcmp(topic, "config") == 0) {
    mb_config_print_schema(stdout);
    return MB_EXIT_OK;
  }
  if (strcmp(topic, "planners") == 0) {
    mb_external_planner_help(stdout);
    return MB_EXIT_OK;
  }
  return print_command(find_command(topic));
}

const mb_command mb_command_help = {
    .name = "help",
    .summary = "explain the config file, or a command",
    .run = help_command,
};
