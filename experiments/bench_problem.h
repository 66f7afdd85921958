/* experiments/bench_problem.h - what `moebal bench` rebalances: shapes, and loads for them. */
#ifndef MB_EXPERIMENTS_BENCH_PROBLEM_H
#define MB_EXPERIMENTS_BENCH_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

/** Which of the implementations that look at all pairs of items can be waited for. */
typedef enum mb_brute { MB_BRUTE_NONE, MB_BRUTE_NAIVE, MB_BRUTE_ALL } mb_brute;

typedef struct mb_bench_problem {
  const char *name;
  const char *family; /* "models"; "rows"; "k8" and "m16": n grows at 8 items a pack, or 16 packs */
  mb_shape shape;
  mb_brute brute; /* NAIVE: the naive twin; ALL: torch as well */
} mb_bench_problem;

/** All problems in the order of bench_problems.def, ended by an entry without a name. Static. */
const mb_bench_problem *mb_bench_problems(void);

/** Whether n grows from problem to problem of the family, so that a slope can be fitted. */
bool mb_bench_problem_scales(const mb_bench_problem *problem);

/**
 * Loads of 1000 x lognormal with mu 0 and sigma 1, each repetition its own, as sums over many steps
 * with weights would be: not whole, so that no two swaps tie by chance. The same seed, problem and
 * repetition give the same loads.
 *
 * @param load [L,E] tokens. Caller-owned, written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_bench_loads(const mb_bench_problem *problem, uint64_t seed,
                                      size_t repetition, double *load);

/**
 * How evenly a placement spreads loads over the GPUs where replicas share them evenly.
 *
 * @param scratch [D]. Caller-owned.
 * @param imbalance   mean over layers of max / mean of the GPU loads; 1 is perfect, 1 for no load.
 * @param mean_square mean over layers of mean(S^2) / mean(S)^2, what l2 minimises. Likewise.
 */
void mb_bench_objective(const mb_shape *shape, const double *load, const mb_placement *placement,
                        double *scratch, double *imbalance, double *mean_square);

#endif
