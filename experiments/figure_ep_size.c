/* experiments/figure_ep_size.c */
#include "experiments/figure.h"
#include "experiments/figure_cells.h"

static mb_status gpus(const mb_results *results, size_t strategy, double *value) {
  mb_shape shape;

  (void)strategy;
  MB_TRY(mb_results_read_shape(results, &shape));
  *value = (double)shape.n_gpus;
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[] = {gpus, mb_figure_run_imbalance};
  static const char *const names[] = {"gpus"};
  mb_figure_cells cells;

  MB_TRY(mb_figure_cells_read(source, 2, measures, &cells));
  mb_figure_cells_put_curves(&cells, 1, names, table);
  (void)fputs(
      "run_imbalance against the number of GPUs that share the experts: the largest GPU load "
      "/ the mean one over all layers and scored steps; 1 is perfect balance.\n",
      caption);
  mb_status status = mb_figure_cells_put_caption(source, &cells, caption);
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {.keys = {"cluster.gpus"},
                                      .with = {"cluster.slots", "cluster.nodes", "cluster.groups"}};

const mb_figure mb_figure_ep_size = {
    .name = "ep_size",
    .summary = "run_imbalance against the number of GPUs",
    .sweep = &sweep,
    .tabulate = tabulate,
};
