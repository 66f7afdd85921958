/* experiments/recorded_maps.h - `use: maps`: placements from a file, scored like a strategy. */
#ifndef MB_EXPERIMENTS_RECORDED_MAPS_H
#define MB_EXPERIMENTS_RECORDED_MAPS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/placement.h"
#include "balancer/status.h"
#include "experiments/yaml.h"
#include "sim/replay.h"
#include "workloads/trace.h"

/** What a config says of such a strategy, and what the files hold. */
typedef struct mb_recorded_maps {
  mb_replay_recorded recorded; /* first, so that it is what the replay gets; zeroes until loaded */
  char *file;                  /* a placement map of any format */
  char *steps_file;            /* .npy [K] or [K,L]; NULL: `steps` */
  size_t n_steps;
  int64_t *steps;      /* [n_steps] */
  const mb_yaml *node; /* for messages; borrowed */
} mb_recorded_maps;

/** The keys of `use: maps`, for help and for messages about others. Static. */
const mb_param *mb_recorded_maps_params(void);

/** What `moebal list strategies` says. */
extern const char mb_recorded_maps_summary[];

/**
 * Reads the files, and holds the placements against cluster and loads; steps are checked by
 * mb_replay_check(). May be called again, for another cluster.
 * @return MB_OK; MB_ERR_IO, MB_ERR_FORMAT, MB_ERR_SHAPE, MB_ERR_RANGE naming the file, and where
 *         in it.
 */
MB_NODISCARD mb_status mb_recorded_maps_load(mb_recorded_maps *maps, const mb_shape *shape,
                                             const mb_trace_info *info);

/** Writes "{use: maps, ..." without its end, which reads back to the same. */
void mb_recorded_maps_write(FILE *stream, const mb_recorded_maps *maps);

void mb_recorded_maps_destroy(mb_recorded_maps *maps); /* NULL is fine */

#endif
