/* experiments/bench_torch.h - runs the baseline in torch (balancer/naive/torch_baseline.py). */
#ifndef MB_EXPERIMENTS_BENCH_TORCH_H
#define MB_EXPERIMENTS_BENCH_TORCH_H

#include <stdbool.h>

#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/status.h"

/** A Python process that waits for problems. For one caller at a time. */
typedef struct mb_torch mb_torch;

/** What to compute with, and where. */
typedef enum mb_torch_mode {
  MB_TORCH_CPU_DOUBLE, /* float64: the same placement as ours */
  MB_TORCH_CPU_FLOAT,  /* float32, as it would be used */
  MB_TORCH_GPU_FLOAT
} mb_torch_mode;

/**
 * Starts $MOEBAL_PYTHON, or python3, with the script, which is in $MOEBAL_BASELINE, else where the
 * program is installed, else in its sources; waits until it has loaded torch.
 *
 * @param torch Transferred: mb_torch_stop() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_UNSUPPORTED where there is no Python or no torch, with what to install;
 *         MB_ERR_IO; MB_ERR_MEMORY; MB_ERR_CANCELLED.
 */
MB_NODISCARD mb_status mb_torch_start(mb_torch **torch);

const char *mb_torch_version(const mb_torch *torch);
const char *mb_torch_gpu(const mb_torch *torch); /* its name; "" where torch sees none */

/**
 * mb_rebalance() with the default options, in torch on one thread.
 *
 * @param placement all three arrays caller-owned; contents unspecified on failure.
 * @param seconds of the rebalance alone, as Python measured it.
 * @return MB_OK; MB_ERR_IO with what Python said last; MB_ERR_CANCELLED, Python then is killed.
 */
MB_NODISCARD mb_status mb_torch_rebalance(mb_torch *torch, mb_torch_mode mode,
                                          const mb_shape *shape, const double *load,
                                          const char *strategy, mb_placement *placement,
                                          mb_pack_stats *stats, double *seconds);

void mb_torch_stop(mb_torch *torch); /* NULL is fine */

#endif
