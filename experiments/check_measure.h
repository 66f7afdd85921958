/* experiments/check_measure.h - from a results file to what a baseline keeps of it. */
#ifndef MB_EXPERIMENTS_CHECK_MEASURE_H
#define MB_EXPERIMENTS_CHECK_MEASURE_H

#include "balancer/status.h"
#include "experiments/baseline.h"

/** Ranges of steps that a baseline tells apart. */
enum { MB_CHECK_RANGES = 8 };

/**
 * Of every cell and strategy: the metrics of /summary, the digest of the plans, and run_imbalance
 * and moved_experts by layer and by range of the steps that summaries cover. Seeds are what the
 * keys `seed` and `trace.generate.seed` say, and all other swept keys are a setting.
 *
 * A layer's run_imbalance takes the loads of all layers of a step to be the same, as they are where
 * every token goes through all layers.
 *
 * @param config   the config's name.
 * @param baseline mb_baseline_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM with the error of the first cell that failed; what reading returned.
 */
MB_NODISCARD mb_status mb_check_measure(const char *results, const char *config,
                                        mb_baseline *baseline);

#endif
