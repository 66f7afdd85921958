/* experiments/tune_grid.h - what `moebal tune` tries where a config has no sweep. */
#ifndef MB_EXPERIMENTS_TUNE_GRID_H
#define MB_EXPERIMENTS_TUNE_GRID_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/config.h"

enum { MB_TUNE_AXES = 6, MB_TUNE_AXIS_SIZE = 256 };

/** Settings of a sweep, each "sweep.KEY=[VALUE, ...]". */
typedef struct mb_tune_grid {
  size_t n;
  char text[MB_TUNE_AXES][MB_TUNE_AXIS_SIZE];
} mb_tune_grid;

/**
 * Around what the config says: plans half, twice and four times as often; windows of half to eight
 * intervals; slots from as many as the experts need to as many as fit; triggers periodic and
 * cost_aware; dispatch even and lp; with costs, weights that move while steps wait and meanwhile.
 * Of schedules only those that leave some plans in the first
 * part.
 *
 * @param config without a sweep. @param half steps of the first part.
 * @param most_bytes of expert weights a GPU.
 */
void mb_tune_grid_fill(const mb_config *config, const mb_trace_info *info, size_t half,
                       int64_t most_bytes, mb_tune_grid *grid);

#endif
