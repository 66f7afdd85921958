/* experiments/compare_conditions.h - which cells of a results file are compared with each other. */
#ifndef MB_EXPERIMENTS_COMPARE_CONDITIONS_H
#define MB_EXPERIMENTS_COMPARE_CONDITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/results_file.h"

/** One setting of the swept keys, but for seeds and relabellings: a full table of its cells. */
typedef struct mb_compare_condition {
  char *text;                     /* "schedule.interval=50 cluster.slots=64"; may be "" */
  size_t n_seeds, n_relabellings; /* S, R >= 1 */
  int64_t *seed;                  /* [S] */
  const char **trace;             /* [S] the file, where traces are averaged over; else NULL. They
                                     belong to the results file */
  size_t *cell;                   /* [R,S] */
} mb_compare_condition;

typedef struct mb_compare_conditions {
  size_t n_conditions;
  mb_compare_condition *condition; /* in the order of their first cells */
  size_t n_failed;                 /* cells that had failed */
  size_t n_spare;                  /* cells that no full table has a place for */
} mb_compare_conditions;

/**
 * Seeds and relabellings are those that the runs themselves name; with `traces` the files of a
 * sweep over trace.file stand in the place of seeds. Where cells are missing, because
 * they failed, seeds and relabellings are left out until the table is full, first those that miss
 * the largest part of theirs.
 *
 * @param conditions Transferred: mb_compare_conditions_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM: no cell ran; no sweep over trace.file for `traces`; two cells of a
 * condition have the same seed and relabelling; MB_ERR_MEMORY; what reading returned.
 */
MB_NODISCARD mb_status mb_compare_conditions_find(const mb_results_file *file, bool traces,
                                                  mb_compare_conditions *conditions);
void mb_compare_conditions_fini(mb_compare_conditions *conditions);

#endif
