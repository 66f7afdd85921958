/* experiments/figure_layer_heatmap.c */
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

static void put_header(const mb_results_run *run, mb_table *table) {
  mb_table_put_text(table, "step");
  mb_table_put_text(table, "steps");
  mb_table_put_text(table, "scored");
  mb_table_put_text(table, "row");
  mb_table_put_text(table, "layer");
  for (size_t i = 0; i < run->n_strategies; i++) {
    mb_table_put_text(table, run->labels[i]);
  }
  mb_table_end_row(table);
}

/* Means over a bin's steps, by layer; steps without load in a layer don't count. */
static void average(size_t n, size_t n_layers, const float *imbalance, double *mean) {
  for (size_t l = 0; l < n_layers; l++) {
    double sum = 0.0;
    size_t kept = 0;
    for (size_t t = 0; t < n; t++) {
      double value = (double)imbalance[t * n_layers + l];
      sum += isnan(value) ? 0.0 : value;
      kept += isnan(value) ? 0 : 1;
    }
    mean[l] = kept > 0 ? sum / (double)kept : NAN;
  }
}

/* mean [n_strategies,L] of one bin. */
static void put_bin(const mb_results_run *run, const mb_bins *bins, size_t bin, const double *mean,
                    mb_table *table) {
  size_t first = bin * bins->width;
  size_t size = mb_bins_size(bins, bin);
  size_t unscored = run->summary_from > first ? run->summary_from - first : 0;

  for (size_t l = 0; l < run->n_layers; l++) {
    mb_table_put_count(table, first);
    mb_table_put_count(table, size);
    mb_table_put_count(table, unscored < size ? size - unscored : 0);
    mb_table_put_count(table, l);
    mb_table_put_format(table, "%d", (int)run->layer_ids[l]);
    for (size_t i = 0; i < run->n_strategies; i++) {
      mb_table_put_number(table, mean[i * run->n_layers + l]);
    }
    mb_table_end_row(table);
  }
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results *results = source->run;
  const mb_results_run *run = mb_results_get_run(results);
  mb_bins bins = mb_bins_of(run->n_steps);
  float *imbalance = calloc(bins.width, run->n_layers * sizeof *imbalance);
  double *mean = calloc(run->n_strategies, run->n_layers * sizeof *mean);
  mb_status status = imbalance == NULL || mean == NULL
                         ? MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", run->n_layers)
                         : MB_OK;

  if (status == MB_OK) {
    put_header(run, table);
  }
  for (size_t b = 0; status == MB_OK && b < bins.count; b++) {
    size_t size = mb_bins_size(&bins, b);
    for (size_t i = 0; status == MB_OK && i < run->n_strategies; i++) {
      status = mb_results_read_imbalance(results, i, b * bins.width, size, imbalance);
      if (status == MB_OK) {
        average(size, run->n_layers, imbalance, mean + i * run->n_layers);
      }
    }
    if (status == MB_OK) {
      put_bin(run, &bins, b, mean, table);
    }
  }
  free(mean);
  free(imbalance);
  (void)fputs(
      "Imbalance by layer and step, a panel a strategy: the largest GPU load / the mean one",
      caption);
  if (bins.width == 1) {
    (void)fprintf(caption, " (n = %zu steps).", bins.count);
  } else {
    (void)fprintf(caption, ", the mean over each %zu steps (n = %zu bins).", bins.width,
                  bins.count);
  }
  (void)fputs("\nBlank: no load. Left of the line: steps that no summary covers. No intervals.\n",
              caption);
  mb_caption_put_run(caption, source->run);
  return status;
}

const mb_figure mb_figure_layer_heatmap = {
    .name = "layer_heatmap",
    .summary = "imbalance by layer and step, the mean of each bin of steps, a panel a strategy",
    .tabulate = tabulate,
};
