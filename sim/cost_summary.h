/* sim/cost_summary.h - what a replay says of time, where it has a cost model. */
#ifndef MB_SIM_COST_SUMMARY_H
#define MB_SIM_COST_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Of some steps of one strategy, [n] each; sim/metrics.def has the formulas. Borrowed. */
typedef struct mb_cost_rows {
  const double *step_latency, *time_imbalance, *gpu_time_lost, *rebalance_stall;
} mb_cost_rows;

/** Over the steps t >= summary_from; sim/metrics.def has the formulas. All 0 without a model. */
typedef struct mb_cost_summary {
  double step_latency_mean;
  double run_time_imbalance;
  double experts_share;
  double memory_bound_slots;
  double break_even_tokens;
  double gpu_time_lost_total;
  double rebalance_stall_total;
  double speedup_over_none;   /* NaN: there is no strategy `none` */
  double break_even_interval; /* infinite: never; NaN: no plans, or no `none` */
  double same_gpu_bytes_total, intra_node_bytes_total, inter_node_bytes_total;
  double gpu_hours;
} mb_cost_summary;

#ifdef __cplusplus
}
#endif

#endif
