/* experiments/figure_redundancy.c */
#include <math.h>

#include "experiments/figure.h"
#include "experiments/figure_cells.h"

static mb_status slots_of_gpu(const mb_results *results, size_t strategy, double *value) {
  mb_shape shape;

  (void)strategy;
  MB_TRY(mb_results_read_shape(results, &shape));
  size_t n_slots = shape.n_slots / shape.n_gpus;
  *value = (double)n_slots;
  return MB_OK;
}

static mb_status gigabytes_of_gpu(const mb_results *results, size_t strategy, double *value) {
  double bytes = mb_results_get_run(results)->expert_bytes;
  double slots = 0.0;

  MB_TRY(slots_of_gpu(results, strategy, &slots));
  *value = bytes > 0.0 ? slots * bytes * (double)mb_results_get_run(results)->n_layers / 1e9 : NAN;
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[] = {slots_of_gpu, gigabytes_of_gpu,
                                               mb_figure_run_imbalance};
  static const char *const names[] = {"slots", "gigabytes"};
  mb_figure_cells cells;

  MB_TRY(mb_figure_cells_read(source, 3, measures, &cells));
  mb_figure_cells_put_curves(&cells, 2, names, table);
  (void)fputs(
      "run_imbalance against the slots of a GPU: the largest GPU load / the mean one over "
      "all layers and scored steps; 1 is perfect balance.\n"
      "Above: the memory that the experts' weights of all these layers take on a GPU, where "
      "the size of an expert is known (slots x bytes of an expert x layers; 1 GB = 1e9 "
      "bytes).\n",
      caption);
  mb_status status = mb_figure_cells_put_caption(source, &cells, caption);
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {.keys = {"cluster.slots"}};

const mb_figure mb_figure_redundancy = {
    .name = "redundancy",
    .summary = "run_imbalance against the slots of a GPU, and the memory they take",
    .sweep = &sweep,
    .tabulate = tabulate,
};
