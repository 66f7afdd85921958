/* experiments/figure_strategy_bars.c */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

static double mean(size_t n, const double *values) {
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += values[i];
  }
  return n > 0 ? sum / (double)n : NAN;
}

static double quantile(size_t n, const double *sorted, double fraction) {
  return n > 0 ? gsl_stats_quantile_from_sorted_data(sorted, 1, n, fraction) : NAN;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results *results = source->run;
  static const char *const header[] = {"strategy", "mean", "p5", "p50", "p95", "steps"};
  const mb_results_run *run = mb_results_get_run(results);
  double *steps = NULL;

  MB_TRY(mb_figure_read_steps(results, &steps));
  for (size_t i = 0; i < sizeof header / sizeof *header; i++) {
    mb_table_put_text(table, header[i]);
  }
  mb_table_end_row(table);
  for (size_t i = 0; i < run->n_strategies; i++) {
    double *scored = steps + i * run->n_steps + run->summary_from;
    size_t kept = mb_figure_sort(run->n_steps - run->summary_from, scored);
    mb_table_put_text(table, run->labels[i]);
    mb_table_put_number(table, mean(kept, scored));
    mb_table_put_number(table, quantile(kept, scored, 0.05));
    mb_table_put_number(table, quantile(kept, scored, 0.50));
    mb_table_put_number(table, quantile(kept, scored, 0.95));
    mb_table_put_count(table, kept);
    mb_table_end_row(table);
  }
  free(steps);
  (void)fprintf(caption,
                "Mean step imbalance by strategy. Bars: means over the scored steps; whiskers: the "
                "5th to the 95th percentile of the steps, which is no interval of the mean.\n"
                "step_imbalance: sum over layers of the largest GPU load / sum over layers of the "
                "mean one; 1 is perfect balance.\nn = %zu scored steps of one run.\n",
                run->n_steps - run->summary_from);
  mb_caption_put_run(caption, source->run);
  return MB_OK;
}

const mb_figure mb_figure_strategy_bars = {
    .name = "strategy_bars",
    .summary = "mean and 5th to 95th percentile of step_imbalance over the scored steps",
    .tabulate = tabulate,
};
