/* experiments/figure.c */
#include "experiments/figure.h"

#include <gsl/gsl_sort_double.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BINS_MAX = 250 };

#define MB_FIGURE(name) extern const mb_figure mb_figure_##name;
#include "experiments/figures.def"
#undef MB_FIGURE

const mb_figure *const *mb_figures(void) {
#define MB_FIGURE(name) &mb_figure_##name,
  static const mb_figure *const figures[] = {
#include "experiments/figures.def"
      NULL};
#undef MB_FIGURE
  return figures;
}

const mb_figure *mb_figure_find(const char *name) {
  for (const mb_figure *const *figure = mb_figures(); *figure != NULL; figure++) {
    if (strcmp((*figure)->name, name) == 0) {
      return *figure;
    }
  }
  return NULL;
}

mb_bins mb_bins_of(size_t n_steps) {
  size_t width = (n_steps + BINS_MAX - 1) / BINS_MAX;

  return (mb_bins){.n_steps = n_steps, .width = width, .count = (n_steps + width - 1) / width};
}

size_t mb_bins_size(const mb_bins *bins, size_t bin) {
  size_t left = bins->n_steps - bin * bins->width;

  return left < bins->width ? left : bins->width;
}

mb_status mb_figure_read_steps(const mb_results *results, double **steps) {
  const mb_results_run *run = mb_results_get_run(results);
  double *all = calloc(run->n_strategies, run->n_steps * sizeof *all);

  if (all == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps of %zu strategies", run->n_steps,
                   run->n_strategies);
  }
  for (size_t i = 0; i < run->n_strategies; i++) {
    mb_status status = mb_results_read_step_imbalance(results, i, all + i * run->n_steps);
    if (status != MB_OK) {
      free(all);
      return status;
    }
  }
  *steps = all;
  return MB_OK;
}

size_t mb_figure_sort(size_t n, double *values) {
  size_t kept = 0;

  for (size_t i = 0; i < n; i++) {
    if (!isnan(values[i])) {
      values[kept++] = values[i];
    }
  }
  gsl_sort(values, 1, kept);
  return kept;
}
