/* experiments/figure_batch_size.c */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/figure.h"
#include "experiments/figure_cells.h"

/* Mean load of a layer in a scored step that has load. */
static mb_status load_of_layer(const mb_results *results, double *value) {
  const mb_results_run *run = mb_results_get_run(results);
  double *load = calloc(run->n_steps, sizeof *load);
  double sum = 0.0;
  size_t n = 0;

  if (load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps", run->n_steps);
  }
  mb_status status = mb_results_read_step_load(results, load);
  for (size_t t = run->summary_from; status == MB_OK && t < run->n_steps; t++) {
    sum += load[t];
    n += load[t] > 0.0 ? 1 : 0;
  }
  free(load);
  MB_TRY(status);
  *value = n > 0 ? sum / (double)n / (double)run->n_layers : NAN;
  return MB_OK;
}

static mb_status tokens_of_expert(const mb_results *results, size_t strategy, double *value) {
  double load = NAN;
  mb_shape shape;

  (void)strategy;
  MB_TRY(mb_results_read_shape(results, &shape));
  MB_TRY(load_of_layer(results, &load));
  *value = load / (double)shape.n_experts;
  return MB_OK;
}

static mb_status tokens_of_step(const mb_results *results, size_t strategy, double *value) {
  size_t top_k = mb_results_get_run(results)->top_k;
  double load = NAN;

  (void)strategy;
  MB_TRY(load_of_layer(results, &load));
  *value = top_k > 0 ? load / (double)top_k : NAN;
  return MB_OK;
}

/* By how many per cent a strategy lowers the load of the fullest GPU: paired, within a run. */
static mb_status gain(const mb_results *results, size_t strategy, double *value) {
  const mb_results_run *run = mb_results_get_run(results);
  double own = 0.0;
  double none = NAN;

  for (size_t i = 0; i < run->n_strategies; i++) {
    if (strcmp(run->labels[i], "none") == 0) {
      MB_TRY(mb_figure_run_imbalance(results, i, &none));
    }
  }
  MB_TRY(mb_figure_run_imbalance(results, strategy, &own));
  *value = strcmp(run->labels[strategy], "none") == 0 ? NAN : 100.0 * (1.0 - own / none);
  return MB_OK;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[] = {tokens_of_expert, tokens_of_step, gain};
  static const char *const names[] = {"expert_tokens", "tokens"};
  mb_figure_cells cells;

  MB_TRY(mb_figure_cells_read(source, 3, measures, &cells));
  mb_figure_cells_put_curves(&cells, 2, names, table);
  (void)fputs(
      "Gain against the size of a step: the same loads, with more and more steps of the trace "
      "summed into one. The smaller a step, the more of its imbalance is chance, which no plan "
      "foresees.\n"
      "Across: tokens of a step, its load of a layer / top_k, where top_k is known; above: tokens "
      "of an expert in a layer and step; both the mean of the scored steps. Up: by how much the "
      "load of the fullest GPU is lower than without rebalancing, 1 - run_imbalance / that of "
      "none, within each run.\n",
      caption);
  mb_status status = mb_figure_cells_put_caption(source, &cells, caption);
  mb_figure_cells_fini(&cells);
  return status;
}

static const mb_figure_sweep sweep = {
    .keys = {"trace.merge"},
    .with = {"schedule.interval", "schedule.window", "summary.from", "trace.request_lifetime"}};

const mb_figure mb_figure_batch_size = {
    .name = "batch_size",
    .summary = "gain over none against the tokens of a step, steps summed x1, x4, ...",
    .sweep = &sweep,
    .tabulate = tabulate,
};
