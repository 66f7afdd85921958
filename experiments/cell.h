/* experiments/cell.h - one config's replay into one results file: a whole run, or a sweep's cell.
 */
#ifndef MB_EXPERIMENTS_CELL_H
#define MB_EXPERIMENTS_CELL_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/backend.h"
#include "experiments/config.h"
#include "experiments/provenance.h"
#include "experiments/results_write.h"
#include "sim/attribution.h"
#include "sim/replay.h"
#include "workloads/source.h"

/** Watches a replay: called now and then with the steps done. NULL: nobody does. */
typedef void (*mb_cell_watch)(void *context, size_t n_steps_done, size_t n_steps);

/** A replay and all that it holds; what is NULL is not there yet. Fields are for reading. */
typedef struct mb_cell {
  const mb_config *config; /* borrowed */
  char *output;
  mb_source *source;
  mb_replay_config replay;
  mb_cost *cost; /* NULL: none */
  mb_backend_choice backend;
  mb_results_writer *writer;
  mb_replay_summary *summary;      /* [n_strategies] once it has run */
  size_t *n_plans;                 /* [n_strategies] all plans, scored or not */
  mb_attribution_mean *attributed; /* [n_strategies] sums over the scored intervals */
  bool unwritable;                 /* it failed because the output could not be written */
  mb_cell_watch watch;
  void *watcher;
  char start_time[MB_TIME_SIZE];
} mb_cell;

/**
 * Holds the config against its loads and this machine; writes nothing yet.
 *
 * @param config Borrowed as long as the cell lives. @param output instead of the config's.
 * @param source Transferred, also on failure: the config's loads. NULL: they are opened.
 * @param cell   zeroed before; mb_cell_fini() it, also after a failure.
 * @return MB_OK; what opening the loads, mb_config_fit() or mb_backend_choose() returned.
 */
MB_NODISCARD mb_status mb_cell_prepare(const mb_config *config, const char *output,
                                       mb_source *source, mb_cell *cell);

/** Other loads, the same as those that it has: as a sweep's cells share them. Transferred. */
void mb_cell_set_source(mb_cell *cell, mb_source *source);

/**
 * Replays, and writes the results, which get their name when they are complete.
 * @return MB_OK; what mb_replay() or writing returned; MB_ERR_CANCELLED once mb_interrupted().
 */
MB_NODISCARD mb_status mb_cell_run(mb_cell *cell, mb_cell_watch watch, void *watcher);

void mb_cell_fini(mb_cell *cell); /* a struct of zeros is fine */

#endif
