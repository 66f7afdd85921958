/* experiments/bench_json.h - `moebal bench` for programs.
 *
 * {
 *   "format": "moebal-bench", "version": 1,
 *   "machine": {"cpu", "cores", "threads", "gpu", "torch", "moebal", "git", "compiler", "build",
 *               "time"},
 *   "seed", "repetitions",
 *   "rows": [ one implementation on one problem with one strategy:
 *     {"problem", "family",
 *      "shape": {"layers", "experts", "slots", "groups", "nodes", "gpus"},
 *      "strategy", "implementation",
 *      one number a repetition: "seconds": [], "rounds": [], "swaps": [],
 *      "further_round_seconds": [], "imbalance": [], "mean_square": [],
 *      over the repetitions: "seconds_median", "seconds_p10", "seconds_p90",
 *      "seconds_per_round_median", "further_round_seconds_median", "imbalance_median",
 *      "mean_square_median", "ratio_to_naive", "ratio_to_torch"} ],
 *   "fits": [ {"family", "strategy", "implementation", "points",
 *              "seconds", "seconds_per_round", "further_round_seconds": {"slope", "error"}} ],
 *   "notes": [ what was left out, and why ]
 * }
 *
 * Keys come in this order. What a number means stands in bench_result.h; what doesn't apply is
 * null.
 */
#ifndef MB_EXPERIMENTS_BENCH_JSON_H
#define MB_EXPERIMENTS_BENCH_JSON_H

#include "experiments/bench_result.h"
#include "workloads/new_file.h"

/** Writes the result into an open file, for the caller to commit. @return MB_OK; MB_ERR_IO;
 * MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_bench_json_write(const mb_bench_result *result, const mb_new_file *file);

#endif
