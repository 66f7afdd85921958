/* experiments/figure_interval_window.c */
#include "experiments/figure.h"
#include "experiments/figure_cells.h"

static mb_status interval(const mb_results *results, size_t strategy, double *value) {
  (void)strategy;
  *value = (double)mb_results_get_run(results)->interval;
  return MB_OK;
}

static mb_status window(const mb_results *results, size_t strategy, double *value) {
  (void)strategy;
  *value = (double)mb_results_get_run(results)->window;
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[] = {interval, window, mb_figure_run_imbalance};
  static const char *const names[] = {"interval", "window"};
  mb_figure_cells cells;

  MB_TRY(mb_figure_cells_read(source, 3, measures, &cells));
  mb_figure_cells_put_curves(&cells, 2, names, table);
  (void)fputs(
      "run_imbalance by interval and window, a panel a strategy (without none and hindsight, "
      "which have no window): the largest GPU load / the mean one over all layers and scored "
      "steps; 1 is perfect balance.\n"
      "In a field: the mean, and below it (±) half the width of its 95 % interval.\n",
      caption);
  mb_status status = mb_figure_cells_put_caption(source, &cells, caption);
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {.keys = {"schedule.interval", "schedule.window"}};

const mb_figure mb_figure_interval_window = {
    .name = "interval_window",
    .summary = "run_imbalance by interval and window",
    .sweep = &sweep,
    .tabulate = tabulate,
};
