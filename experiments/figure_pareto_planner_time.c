/* experiments/figure_pareto_planner_time.c */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_cells.h"

/* Milliseconds of the median plan: the mean would be that of the few that were interrupted. */
static mb_status planner_ms(const mb_results *results, size_t strategy, double *value) {
  mb_results_plans plans;

  MB_TRY(mb_results_read_plans(results, strategy, &plans));
  size_t kept = mb_figure_sort(plans.n_plans, plans.planner_seconds);
  double median =
      kept > 0 ? gsl_stats_median_from_sorted_data(plans.planner_seconds, 1, kept) : 0.0;
  *value = median > 0.0 ? 1e3 * median : NAN;
  mb_results_plans_fini(&plans);
  return MB_OK;
}

/* A time says nothing without the machine, where the file knows it. */
static mb_status put_machine(const mb_figure_source *source, FILE *caption) {
  char *cpu = NULL;

  MB_TRY(mb_results_file_provenance(source->file, "cpu", &cpu));
  if (cpu[0] != '\0') {
    (void)fprintf(caption, "Measured on: %s.\n", cpu);
  }
  free(cpu);
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[] = {planner_ms, mb_figure_run_imbalance};
  mb_figure_cells cells;

  MB_TRY(mb_figure_cells_read(source, 2, measures, &cells));
  mb_figure_cells_put_points(&cells, "ms", table);
  (void)fputs(
      "Balance against the time that planning takes: lower and further left is better.\n"
      "Across: measured time of a plan for all layers, the median of a run's plans. Up: "
      "run_imbalance, the largest GPU load / the mean one over all layers and scored steps; "
      "1 is perfect balance.\n",
      caption);
  if (cells.n_conditions > 1) {
    (void)fputs("Small numbers at the points: the swept parameter, unless a strategy has none.\n",
                caption);
  }
  (void)fputs("A line across is a strategy that takes no time to plan.\n", caption);
  mb_status status = put_machine(source, caption);
  status = status == MB_OK ? mb_figure_cells_put_caption(source, &cells, caption) : status;
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {.with = {"parameters.*", "strategies.*"}};

const mb_figure mb_figure_pareto_planner_time = {
    .name = "pareto_planner_time",
    .summary = "run_imbalance against the planner's time, a point a strategy and parameter",
    .sweep = &sweep,
    .tabulate = tabulate,
};
