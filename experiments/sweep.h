/* experiments/sweep.h - a config's `sweep`: the cells that it stands for, each a config of its own.
 */
#ifndef MB_EXPERIMENTS_SWEEP_H
#define MB_EXPERIMENTS_SWEEP_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "experiments/config.h"

/** More cells than this are refused: a slip in the config, or work for several. */
enum { MB_SWEEP_CELLS_MAX = 100000 };

/** One cell. */
typedef struct mb_sweep_cell {
  mb_config *config; /* with the cell's values set; its name is the run's: "07.interval-50.seed-2",
                        cut off at MB_CONFIG_LABEL_MAX, and still like no other */
  char **value;      /* [n_keys] the swept keys' values, as text in YAML's flow style */
} mb_sweep_cell;

/**
 * A config with its cells: the values of `sweep` crossed, the first key slowest, but for those
 * under `sweep.zip`, which go together. Without a sweep it is one cell, of the config's own name.
 */
typedef struct mb_sweep {
  bool swept; /* the config has a sweep */
  char *name; /* the config's */
  char *output;
  char *text; /* the whole config, with its sweep, as YAML that reads back to the same cells from
                 any folder; provenance */
  size_t n_keys;
  char **key; /* [n_keys] swept keys, with dots, in their order */
  size_t n_cells;
  mb_sweep_cell *cell; /* [n_cells] in their order */
} mb_sweep;

/**
 * Reads a config as mb_config_read() does, and all its cells. Where summary.from is auto, every
 * cell gets the largest of all cells' interval + delay, in steps of the trace as it was before
 * trace.merge, and rounded up to where a step of every cell begins, so that all are scored on the
 * same loads.
 *
 * What is wrong in any cell refuses all; what does not fit the trace is that cell's affair, when it
 * runs.
 *
 * @param n_relabellings > 0: a last axis, relabel: 1..n_relabellings, is crossed with the rest,
 *                       instead of what the config says of relabel.
 * @param sweep Transferred: mb_sweep_destroy() it. Written only on MB_OK.
 * @return MB_OK; what mb_config_read() returns, naming the cell; MB_ERR_PARAM with FILE:LINE for
 *         lists of different lengths that are zipped, an empty list, a key given twice, two cells
 *         that would be alike.
 */
MB_NODISCARD mb_status mb_sweep_read(const char *path, size_t n_settings,
                                     const char *const *settings, size_t n_relabellings,
                                     mb_sweep **sweep);
void mb_sweep_destroy(mb_sweep *sweep); /* NULL is fine */

#endif
