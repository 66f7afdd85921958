/* sim/metrics.c */
#include "sim/metrics.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const mb_metric metrics[] = {
#define MB_METRIC(name, unit, dims, better, formula) {#name, unit, dims, better, formula, false},
#define MB_COST_METRIC(name, unit, dims, better, formula) \
  {#name, unit, dims, better, formula, true},
#include "sim/metrics.def"
#undef MB_METRIC
#undef MB_COST_METRIC
    {.name = NULL}};

const mb_metric *mb_metrics(void) {
  return metrics;
}

const mb_metric *mb_metric_find(const char *name) {
  for (const mb_metric *metric = metrics; metric->name != NULL; metric++) {
    if (strcmp(metric->name, name) == 0) {
      return metric;
    }
  }
  return NULL;
}

/* The order of these sums is part of the result: mb_score_even() keeps to it. */
void mb_metrics_layer(const mb_shape *shape, const double *slot_load, mb_layer_score *score) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  double load_max = 0.0;
  double load_total = 0.0;
  int32_t active_max = 0;
  int32_t active_total = 0;

  for (size_t d = 0; d < shape->n_gpus; d++) {
    const double *slot = slot_load + d * slots_per_gpu;
    double gpu_load = 0.0;
    int32_t active = 0;
    for (size_t i = 0; i < slots_per_gpu; i++) {
      gpu_load += slot[i];
      active += slot[i] > 0.0;
    }
    load_max = gpu_load > load_max ? gpu_load : load_max;
    load_total += gpu_load;
    active_max = active > active_max ? active : active_max;
    active_total += active;
  }
  *score = (mb_layer_score){load_max, load_total / (double)shape->n_gpus, active_max, active_total};
}

double mb_quantile_top(size_t n, size_t n_top, const double *top, double q) {
  double position = q * (double)(n - 1);
  size_t below = (size_t)floor(position);
  double fraction = position - (double)below;
  size_t hidden = n - n_top;

  assert(n >= 1 && n_top <= n && q >= 0.0 && q <= 1.0 && below >= hidden);
  double value = top[below - hidden];
  if (below + 1 == n) {
    return value;
  }
  /* In this form equal neighbours give exactly their value. */
  return value + fraction * (top[below - hidden + 1] - value);
}

double mb_quantile_sorted(size_t n, const double *sorted, double q) {
  return mb_quantile_top(n, n, sorted, q);
}
