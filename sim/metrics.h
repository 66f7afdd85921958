/* sim/metrics.h - every number that moebal records, with one name and one formula. */
#ifndef MB_SIM_METRICS_H
#define MB_SIM_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A metric as `moebal list metrics` and the attributes of a results file tell it. */
typedef struct mb_metric {
  const char *name;
  const char *unit;
  const char *dims;   /* letters of design's shapes, "T,L"; "" for a single number */
  const char *better; /* "lower", "higher", "none" */
  const char *formula;
  bool of_cost; /* recorded only where a config has costs */
} mb_metric;

/** All metrics in the order of metrics.def, ended by an entry whose name is NULL. Static. */
const mb_metric *mb_metrics(void);
const mb_metric *mb_metric_find(const char *name); /* or NULL */

/** One layer in one step. No load: load_max and load_mean are 0, and the ratio is NaN. */
typedef struct mb_layer_score {
  double load_max;        /* largest GPU load [tokens] */
  double load_mean;       /* mean GPU load [tokens] */
  int32_t active_experts; /* max over GPUs of slots with load > 0 */
  int32_t active_slots;   /* slots with load > 0, all GPUs */
} mb_layer_score;

/** Scores one layer from what its slots got, [P] tokens. Knows nothing of experts. O(P). */
void mb_metrics_layer(const mb_shape *shape, const double *slot_load, mb_layer_score *score);

/**
 * Quantile q in [0,1] with linear interpolation between order statistics, as numpy's default and
 * gsl_stats_quantile_from_sorted_data.
 * @param sorted [n] ascending, without NaN; n >= 1.
 */
double mb_quantile_sorted(size_t n, const double *sorted, double q);

/**
 * The same quantile of n values of which only the largest are at hand.
 * @param top [n_top] the largest n_top of the n values, ascending; n - n_top <= q (n - 1).
 */
double mb_quantile_top(size_t n, size_t n_top, const double *top, double q);

#ifdef __cplusplus
}
#endif

#endif
