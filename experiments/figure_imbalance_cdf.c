/* experiments/figure_imbalance_cdf.c */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

enum { QUANTILES = 400 };

static void put_header(const mb_results_run *run, mb_table *table) {
  mb_table_put_text(table, "fraction");
  for (size_t i = 0; i < run->n_strategies; i++) {
    mb_table_put_text(table, run->labels[i]);
  }
  mb_table_end_row(table);
}

/* steps [n_strategies,T], of which the first kept[i] after summary_from are sorted. */
static void put_rows(const mb_results_run *run, const double *steps, const size_t *kept,
                     mb_table *table) {
  for (size_t q = 0; q <= QUANTILES; q++) {
    double fraction = (double)q / QUANTILES;
    mb_table_put_number(table, fraction);
    for (size_t i = 0; i < run->n_strategies; i++) {
      const double *sorted = steps + i * run->n_steps + run->summary_from;
      mb_table_put_number(
          table,
          kept[i] == 0 ? NAN : gsl_stats_quantile_from_sorted_data(sorted, 1, kept[i], fraction));
    }
    mb_table_end_row(table);
  }
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results *results = source->run;
  const mb_results_run *run = mb_results_get_run(results);
  double *steps = NULL;
  MB_TRY(mb_figure_read_steps(results, &steps));
  size_t *kept = calloc(run->n_strategies, sizeof *kept);

  if (kept == NULL) {
    free(steps);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu strategies", run->n_strategies);
  }
  for (size_t i = 0; i < run->n_strategies; i++) {
    kept[i] = mb_figure_sort(run->n_steps - run->summary_from,
                             steps + i * run->n_steps + run->summary_from);
  }
  put_header(run, table);
  put_rows(run, steps, kept, table);
  free(kept);
  free(steps);
  (void)fprintf(
      caption,
      "Distribution of step imbalance: the fraction of the scored steps with at most that "
      "imbalance.\nstep_imbalance: sum over layers of the largest GPU load / sum over "
      "layers of the mean one; 1 is perfect balance.\nn = %zu scored steps of one run; no "
      "intervals.\n",
      run->n_steps - run->summary_from);
  mb_caption_put_run(caption, source->run);
  return MB_OK;
}

const mb_figure mb_figure_imbalance_cdf = {
    .name = "imbalance_cdf",
    .summary = "the distribution of step_imbalance over the scored steps",
    .tabulate = tabulate,
};
