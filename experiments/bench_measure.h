/* experiments/bench_measure.h - runs implementations side by side on the same loads, timed. */
#ifndef MB_EXPERIMENTS_BENCH_MEASURE_H
#define MB_EXPERIMENTS_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "experiments/bench_implementation.h"
#include "experiments/bench_problem.h"
#include "experiments/bench_result.h"
#include "experiments/bench_torch.h"

enum { MB_BENCH_IMPLEMENTATIONS_MAX = 16, MB_BENCH_STRATEGIES_MAX = 32 };

/** What is measured, and how. All borrowed. */
typedef struct mb_bench_plan {
  size_t n_implementations, n_strategies;
  const mb_bench_implementation *implementations[MB_BENCH_IMPLEMENTATIONS_MAX];
  const mb_refinement_type *strategies[MB_BENCH_STRATEGIES_MAX];
  size_t repetitions; /* >= 1 */
  uint64_t seed;
  bool must_run;   /* an implementation that this machine lacks is an error, not a note */
  mb_torch *torch; /* or NULL: takes no part */
} mb_bench_plan;

/**
 * Measures one problem with all strategies, and adds its rows to the result. A repetition has loads
 * of its own, and every implementation takes its turn in it, so that a disturbance hits all alike;
 * a first one, not counted, warms everything up. The placements of all implementations must be the
 * same in every repetition; torch is held to that in float64, in the first, and timed in float32.
 *
 * @return MB_OK; MB_ERR_RANGE where placements differ, naming problem, strategy, repetition and
 *         place; MB_ERR_UNSUPPORTED; MB_ERR_CANCELLED; MB_ERR_MEMORY; MB_ERR_IO from torch.
 */
MB_NODISCARD mb_status mb_bench_measure(const mb_bench_plan *plan, const mb_bench_problem *problem,
                                        mb_bench_result *result);

#endif
