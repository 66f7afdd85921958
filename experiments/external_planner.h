/* experiments/external_planner.h - `use: command`: a program that makes the plans.
 *
 * It is started once, and asked line by line; mb_external_planner_help() tells how.
 */
#ifndef MB_EXPERIMENTS_EXTERNAL_PLANNER_H
#define MB_EXPERIMENTS_EXTERNAL_PLANNER_H

#include <stdio.h>

#include "balancer/planner.h"

/** The parameters of mb_strategy_command; its table describes all but the last. */
typedef struct mb_command_params {
  char command[MB_PARAM_TEXT_SIZE];
  double timeout, start_timeout; /* seconds */
  int64_t slices;
  char *folder;            /* where it runs: a path, which the table has as `folder` */
  double *startup_seconds; /* where to tell how long the program took to be ready; or NULL */
  double startup;          /* a place for that */
} mb_command_params;

/**
 * The strategy `command`. A plan that fails is MB_ERR_IO, or what its map is refused with, naming
 * the command, and what would be right; MB_ERR_CANCELLED. Results are as deterministic as the
 * program is.
 */
extern const mb_strategy mb_strategy_command;

/** Prints what such a program has to do: `moebal help planners`. */
void mb_external_planner_help(FILE *stream);

#endif
