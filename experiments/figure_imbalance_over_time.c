/* experiments/figure_imbalance_over_time.c */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

/* The step at which a plan first took effect in some layer, or -1. */
static int64_t first_effect(size_t n_layers, const int64_t *effect_step) {
  int64_t first = -1;

  for (size_t l = 0; l < n_layers; l++) {
    if (effect_step[l] >= 0 && (first < 0 || effect_step[l] < first)) {
      first = effect_step[l];
    }
  }
  return first;
}

/* Counts a strategy's plans by the bin in which they took effect, [bins]. */
static mb_status count_plans(const mb_results *results, size_t strategy, const mb_bins *bins,
                             size_t *plans) {
  size_t n_layers = mb_results_get_run(results)->n_layers;
  size_t n_plans = 0;
  int64_t *effect_step = NULL;

  MB_TRY(mb_results_read_effect_steps(results, strategy, &n_plans, &effect_step));
  for (size_t k = 0; k < n_plans; k++) {
    int64_t step = first_effect(n_layers, effect_step + k * n_layers);
    if (step >= 0) {
      plans[(size_t)step / bins->width]++;
    }
  }
  free(effect_step);
  return MB_OK;
}

/* Median and range of the steps of a bin that have load; sorts them. */
static void put_bin(mb_table *table, size_t n, double *steps) {
  size_t kept = mb_figure_sort(n, steps);

  mb_table_put_number(table, kept > 0 ? gsl_stats_median_from_sorted_data(steps, 1, kept) : NAN);
  mb_table_put_number(table, kept > 0 ? steps[0] : NAN);
  mb_table_put_number(table, kept > 0 ? steps[kept - 1] : NAN);
}

static void put_header(const mb_results_run *run, mb_table *table) {
  mb_table_put_text(table, "step");
  mb_table_put_text(table, "steps");
  mb_table_put_text(table, "scored");
  for (size_t i = 0; i < run->n_strategies; i++) {
    mb_table_put_text(table, run->labels[i]);
    mb_table_put_format(table, "%s:min", run->labels[i]);
    mb_table_put_format(table, "%s:max", run->labels[i]);
    mb_table_put_format(table, "%s:plans", run->labels[i]);
  }
  mb_table_end_row(table);
}

/* steps [n_strategies,T], plans [n_strategies,bins]. */
static void put_rows(const mb_results_run *run, const mb_bins *bins, double *steps,
                     const size_t *plans, mb_table *table) {
  for (size_t b = 0; b < bins->count; b++) {
    size_t first = b * bins->width;
    size_t size = mb_bins_size(bins, b);
    size_t unscored = run->summary_from > first ? run->summary_from - first : 0;
    mb_table_put_count(table, first);
    mb_table_put_count(table, size);
    mb_table_put_count(table, unscored < size ? size - unscored : 0);
    for (size_t i = 0; i < run->n_strategies; i++) {
      put_bin(table, size, steps + i * run->n_steps + first);
      mb_table_put_count(table, plans[i * bins->count + b]);
    }
    mb_table_end_row(table);
  }
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results *results = source->run;
  const mb_results_run *run = mb_results_get_run(results);
  mb_bins bins = mb_bins_of(run->n_steps);
  double *steps = NULL;
  MB_TRY(mb_figure_read_steps(results, &steps));
  size_t *plans = calloc(run->n_strategies * bins.count, sizeof *plans);
  mb_status status = plans == NULL ? MB_FAIL(MB_ERR_MEMORY, "no memory for the plans") : MB_OK;

  for (size_t i = 0; status == MB_OK && i < run->n_strategies; i++) {
    status = count_plans(results, i, &bins, plans + i * bins.count);
  }
  if (status == MB_OK) {
    put_header(run, table);
    put_rows(run, &bins, steps, plans, table);
  }
  free(plans);
  free(steps);
  if (bins.width == 1) {
    (void)fprintf(caption, "Step imbalance over time: that of each step (n = %zu).", bins.count);
  } else {
    (void)fprintf(caption,
                  "Step imbalance over time: the median of each %zu steps (n = %zu bins); whiskers "
                  "at the markers: the least and the largest of the bin's steps, which is no "
                  "interval of the median.",
                  bins.width, bins.count);
  }
  (void)fputs(" Ticks below 1: plans that take effect, a row a strategy. Shaded: steps that no "
              "summary covers.\nstep_imbalance: sum over layers of the largest GPU load / sum over "
              "layers of the mean one; 1 is perfect balance.\n",
              caption);
  mb_caption_put_run(caption, source->run);
  return status;
}

const mb_figure mb_figure_imbalance_over_time = {
    .name = "imbalance_over_time",
    .summary = "step_imbalance by step: median and range of each bin of steps, and the plans",
    .tabulate = tabulate,
};
