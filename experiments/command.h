/* experiments/command.h - the commands of the moebal program, and how they speak to people. */
#ifndef MB_EXPERIMENTS_COMMAND_H
#define MB_EXPERIMENTS_COMMAND_H

#include "balancer/status.h"

/** Exit statuses: all went well; it did not; the command line was wrong. */
enum { MB_EXIT_OK = 0, MB_EXIT_FAILURE = 1, MB_EXIT_USAGE = 2 };

/**
 * A command: one file cmd_<name>.c, ending in `const mb_command mb_command_<name>`, and one line in
 * commands.def.
 */
typedef struct mb_command {
  const char *name;
  const char *summary; /* half a sentence for `moebal --help` */
  /* argv[0] is "moebal <name>", as messages show it; the rest are the command's own arguments.
     Parses them with argp, so that --help and --usage work. Returns an exit status. */
  int (*run)(int argc, char **argv);
} mb_command;

/** All commands in the order of commands.def, NULL-terminated. Static. */
const mb_command *const *mb_commands(void);

/** Prints "moebal: MESSAGE" (mb_error_message()) on standard error; returns MB_EXIT_FAILURE. */
int mb_command_failed(void);

#endif
