/* experiments/bench_figures.h - the figures of `moebal bench`, and the tables they are drawn from.
 *
 * bench_scaling: a row for each n of the families k8 and m16; column n, then for each family and
 *   implementation the seconds of a round after the first of the last strategy that has rounds:
 *   median, 10th and 90th percentile.
 * bench_balance: a row for each problem of the family models and strategy; columns index of the
 *   problem, problem, strategy, then for each implementation seconds (median, 10th, 90th
 *   percentile) and max/mean GPU load.
 */
#ifndef MB_EXPERIMENTS_BENCH_FIGURES_H
#define MB_EXPERIMENTS_BENCH_FIGURES_H

#include <stdbool.h>

#include "experiments/bench_result.h"

/**
 * Writes the tables into a folder that is there, and draws them as PDF and PNG. Prints the path of
 * every file. A figure for which nothing was measured is left out.
 *
 * @param scripts folder of the gnuplot scripts.
 * @return MB_OK; what mb_table_finish() and mb_gnuplot_draw() return.
 */
MB_NODISCARD mb_status mb_bench_figures_write(const mb_bench_result *result, const char *scripts,
                                              const char *folder);

#endif
