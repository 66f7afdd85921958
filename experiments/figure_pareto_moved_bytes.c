/* experiments/figure_pareto_moved_bytes.c */
#include <math.h>
#include <stdbool.h>

#include "experiments/figure.h"
#include "experiments/figure_cells.h"

/* Experts that a GPU has to load per step, over all layers. */
static mb_status moved_experts(const mb_results *results, size_t strategy, double *value) {
  mb_replay_summary summary;
  mb_shape shape;

  MB_TRY(mb_results_read_summary(results, strategy, &summary));
  MB_TRY(mb_results_read_shape(results, &shape));
  double gpu_steps = (double)summary.steps_scored * (double)shape.n_gpus;
  *value = summary.moved_experts > 0 ? (double)summary.moved_experts / gpu_steps : NAN;
  return MB_OK;
}

static mb_status moved_megabytes(const mb_results *results, size_t strategy, double *value) {
  MB_TRY(moved_experts(results, strategy, value));
  *value *= mb_results_get_run(results)->expert_bytes / 1e6;
  return MB_OK;
}

/* Whether every run knows how large an expert is. */
static mb_status know_bytes(const mb_results_file *file, bool *known) {
  const mb_results_cells *cells = mb_results_file_cells(file);
  bool all = true;

  for (size_t c = 0; all && c < cells->n_cells; c++) {
    mb_results *run = NULL;
    if (cells->cell[c].error[0] == '\0') {
      MB_TRY(mb_results_file_open_run(file, c, &run));
      all = mb_results_get_run(run)->expert_bytes > 0.0;
      mb_results_destroy(run);
    }
  }
  *known = all;
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  mb_figure_cells cells;
  bool bytes = false;

  MB_TRY(know_bytes(source->file, &bytes));
  const mb_figure_measure measures[] = {bytes ? moved_megabytes : moved_experts,
                                        mb_figure_run_imbalance};
  MB_TRY(mb_figure_cells_read(source, 2, measures, &cells));
  mb_figure_cells_put_points(&cells, bytes ? "MB" : "experts", table);
  (void)fprintf(caption,
                "Balance against what rebalancing moves: lower and further left is better.\n"
                "Across: %s that a GPU receives per step, all layers together, over the scored "
                "steps. Up: run_imbalance, the largest GPU load / the mean one over all layers and "
                "scored steps; 1 is perfect balance.\n"
                "Small numbers at the points: the swept keys' values. A line across is a strategy "
                "that moves nothing.\n",
                bytes ? "megabytes of expert weights" : "experts");
  mb_status status = mb_figure_cells_put_caption(source, &cells, caption);
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {.keys = {"schedule.interval"}, .with = {"schedule.window"}};

const mb_figure mb_figure_pareto_moved_bytes = {
    .name = "pareto_moved_bytes",
    .summary = "run_imbalance against the weights that move, a point a strategy and interval",
    .sweep = &sweep,
    .tabulate = tabulate,
};
