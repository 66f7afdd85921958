/* experiments/bench_result.h - what `moebal bench` has measured. */
#ifndef MB_EXPERIMENTS_BENCH_RESULT_H
#define MB_EXPERIMENTS_BENCH_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/bench_machine.h"
#include "experiments/bench_problem.h"
#include "experiments/bench_statistics.h"

/** One implementation on one problem with one strategy. NaN: does not apply. */
typedef struct mb_bench_row {
  const mb_bench_problem *problem; /* borrowed, as are the names */
  const char *strategy;
  const char *implementation;
  size_t n; /* repetitions */
  /* [n] each, caller-owned by the result */
  double *seconds;         /* of a whole rebalance */
  double *round_seconds;   /* seconds / rounds, with the share of sorting, LPT and maps in it */
  double *further_seconds; /* what a round after the first costs: (seconds - seconds with a single
                              round) / (rounds - rounds then) */
  double *rounds, *swaps;  /* of all packings of all layers together */
  double *imbalance;       /* as mb_bench_objective() */
  double *mean_square;
  /* Filled by mb_bench_result_summarize(). Ratios: the other's seconds / these, the median of
     the repetitions. */
  mb_spread seconds_spread, round_spread, further_spread;
  double imbalance_median, mean_square_median, rounds_median, swaps_median;
  double ratio_to_naive, ratio_to_torch;
} mb_bench_row;

/** How times grow with n over the problems of a family: as n to the power of the slope. */
typedef struct mb_bench_fit {
  const char *family, *strategy, *implementation;
  size_t n_points;
  mb_power_fit seconds, round_seconds, further_seconds; /* NaN where there is none */
} mb_bench_fit;

typedef struct mb_bench_result {
  mb_bench_machine machine;
  uint64_t seed;
  size_t repetitions;
  size_t n_rows;
  mb_bench_row *rows;
  size_t n_notes;
  char (*notes)[512]; /* what was left out, and why */
  size_t n_fits;
  mb_bench_fit *fits;
} mb_bench_result;

/** The next row, with room for n repetitions. Valid until the next call. NULL: out of memory, and
 * mb_error_message() says so. */
mb_bench_row *mb_bench_result_add(mb_bench_result *result, const mb_bench_problem *problem,
                                  const char *strategy, const char *implementation, size_t n);

/** Notes a line, unless it is there already. @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_bench_result_note(mb_bench_result *result, const char *format, ...)
    MB_PRINTF(2, 3);

/** Medians, spreads and ratios of the rows from `first` on, which are of one problem and strategy,
 * of as many repetitions each.
 * @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_bench_result_summarize(mb_bench_result *result, size_t first);

/** Fits every family that scales, of which three problems or more were measured.
 * @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_bench_result_fit(mb_bench_result *result);

/** Frees what the result holds; the result itself is the caller's. */
void mb_bench_result_fini(mb_bench_result *result);

#endif
