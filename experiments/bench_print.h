/* experiments/bench_print.h - `moebal bench` for people: tables on standard output. */
#ifndef MB_EXPERIMENTS_BENCH_PRINT_H
#define MB_EXPERIMENTS_BENCH_PRINT_H

#include "experiments/bench_result.h"

/** What it runs on, and how to read the tables. */
void mb_bench_print_head(const mb_bench_result *result);

/** The table of one problem: the rows from `first` on, then the notes from `first_note` on. */
void mb_bench_print_problem(const mb_bench_result *result, const mb_bench_problem *problem,
                            size_t first, size_t first_note);

/** How times grow with n; nothing where nothing was fitted. */
void mb_bench_print_fits(const mb_bench_result *result);

#endif
