/* experiments/bench_lane.h - an implementation at work on one problem. */
#ifndef MB_EXPERIMENTS_BENCH_LANE_H
#define MB_EXPERIMENTS_BENCH_LANE_H

#include "balancer/backend.h"
#include "experiments/bench_torch.h"

/** A backend, or torch where there is none, with the placement that it made last. */
typedef struct mb_bench_lane {
  const char *name;
  const mb_shape *shape; /* borrowed */
  const mb_backend *backend;
  void *rebalancer;
  mb_torch *torch; /* borrowed */
  mb_torch_mode mode;
  mb_placement placement;
} mb_bench_lane;

/**
 * @param backend NULL: torch.
 * @param lane    mb_bench_lane_fini() it; written only on MB_OK.
 * @return MB_OK; what the backend's create() answers; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_bench_lane_init(mb_bench_lane *lane, const char *name,
                                          const mb_shape *shape, const mb_backend *backend,
                                          mb_torch *torch);

/**
 * Rebalances, again and again until at least two milliseconds have gone by; torch once.
 * @param seconds of one rebalance.
 */
MB_NODISCARD mb_status mb_bench_lane_time(mb_bench_lane *lane, const double *load,
                                          const mb_refinement_type *strategy,
                                          const mb_balance_options *options, mb_pack_stats *stats,
                                          double *seconds);

/** MB_OK if both made the same placement last; else MB_ERR_RANGE naming a first difference. */
MB_NODISCARD mb_status mb_bench_lane_compare(const mb_bench_lane *a, const mb_bench_lane *b);

void mb_bench_lane_fini(mb_bench_lane *lane);

#endif
