/* experiments/external_planner.h - `use: command`: a program that makes the plans.
 *
 * The program is started once, and asked line by line on its standard input; it answers on its
 * standard output. Arrays go through files of numpy's .npy format:
 *
 *   moebal                                          program
 *   moebal-planner 1 layers=L experts=E slots=P groups=G nodes=N gpus=D
 *                                                   ready
 *   plan STEP LOADS.npy CURRENT.npy OUT.npy         done
 *   ... once for each plan; then standard input ends, and the program with it.
 *
 * LOADS.npy is float64 [S,L,E], tokens of S slices of the window, oldest first; CURRENT.npy is
 * int32 [L,P], the placement in force. The program writes OUT.npy, whole numbers [L,P], the expert
 * of each slot, before it says `done`. Names have no spaces. What it has to tell people goes to
 * standard error.
 */
#ifndef MB_EXPERIMENTS_EXTERNAL_PLANNER_H
#define MB_EXPERIMENTS_EXTERNAL_PLANNER_H

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

#endif
