/* experiments/figure.c */
#include "experiments/figure.h"

#include <gsl/gsl_sort_double.h>
#include <math.h>
#include <stdbool.h>
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

/* --- what figures apply to --- */

bool mb_figure_is_replicate(const char *key) {
  static const char *const keys[] = {"seed", "trace.generate.seed", "relabel"};

  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (strcmp(key, keys[i]) == 0) {
      return true;
    }
  }
  return false;
}

/* Whether a key is in a list, where "a.*" stands for all below a. */
static bool is_listed(const char *const list[MB_FIGURE_KEYS_MAX], const char *key) {
  for (size_t i = 0; i < MB_FIGURE_KEYS_MAX && list[i] != NULL; i++) {
    size_t length = strcspn(list[i], "*");
    bool whole = list[i][length] == '\0';
    if (whole ? strcmp(list[i], key) == 0 : strncmp(list[i], key, length) == 0) {
      return true;
    }
  }
  return false;
}

/* The first key that is in the way of a figure, or NULL. */
static const char *find_stranger(const mb_figure_sweep *sweep, const mb_results_cells *cells) {
  for (size_t i = 0; i < cells->n_keys; i++) {
    const char *key = cells->key[i];
    if (!mb_figure_is_replicate(key) && !is_listed(sweep->keys, key) &&
        !is_listed(sweep->with, key)) {
      return key;
    }
  }
  return NULL;
}

static bool is_swept(const mb_results_cells *cells, const char *key) {
  for (size_t i = 0; i < cells->n_keys; i++) {
    if (strcmp(cells->key[i], key) == 0) {
      return true;
    }
  }
  return false;
}

static void append(size_t size, char *text, const char *before, const char *more) {
  size_t used = strlen(text);

  (void)snprintf(text + used, size - used, "%s%s", before, more);
}

void mb_figure_needs(const mb_figure *figure, size_t size, char *text) {
  const mb_figure_sweep *sweep = figure->sweep;

  text[0] = '\0';
  if (sweep == NULL || sweep->keys[0] == NULL) {
    append(size, text, "", sweep == NULL ? "one run" : "any run");
  }
  for (size_t i = 0; sweep != NULL && i < MB_FIGURE_KEYS_MAX && sweep->keys[i] != NULL; i++) {
    append(size, text, i == 0 ? "a sweep of " : " and ", sweep->keys[i]);
  }
  for (size_t i = 0; sweep != NULL && i < MB_FIGURE_KEYS_MAX && sweep->with[i] != NULL; i++) {
    append(size, text, i == 0 ? "; may be swept too: " : ", ", sweep->with[i]);
  }
}

mb_status mb_figure_check(const mb_figure *figure, const mb_figure_source *source) {
  const mb_results_cells *cells = mb_results_file_cells(source->file);
  char needs[512];

  if (figure->sweep == NULL && source->run == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "%s shows one run, and there are %zu: choose it by --run",
                   figure->name, cells->n_cells);
  }
  if (figure->sweep == NULL) {
    return figure->check != NULL ? figure->check(source->run) : MB_OK;
  }
  mb_figure_needs(figure, sizeof needs, needs);
  for (size_t i = 0; i < MB_FIGURE_KEYS_MAX && figure->sweep->keys[i] != NULL; i++) {
    if (!is_swept(cells, figure->sweep->keys[i])) {
      return MB_FAIL(MB_ERR_PARAM, "%s needs %s: %s is not swept here", figure->name, needs,
                     figure->sweep->keys[i]);
    }
  }
  const char *stranger = find_stranger(figure->sweep, cells);
  return stranger == NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_PARAM, "%s needs %s: here %s is swept too, which it would mix",
                       figure->name, needs, stranger);
}

bool mb_figure_is_usual(const mb_figure *figure, const mb_figure_source *source) {
  return (figure->sweep == NULL || mb_results_file_cells(source->file)->n_keys > 0) &&
         mb_figure_check(figure, source) == MB_OK;
}

/* --- why none applies --- */

/* Whether all is swept that the figure is of, and other keys are in its way. */
static bool nearly_applies(const mb_figure *figure, const mb_results_cells *cells) {
  const mb_figure_sweep *sweep = figure->sweep;
  bool of_some = false;

  if (sweep == NULL || find_stranger(sweep, cells) == NULL) {
    return false;
  }
  for (size_t i = 0; i < MB_FIGURE_KEYS_MAX && sweep->keys[i] != NULL; i++) {
    if (!is_swept(cells, sweep->keys[i])) {
      return false;
    }
  }
  for (size_t i = 0; i < cells->n_keys; i++) {
    of_some =
        of_some || is_listed(sweep->keys, cells->key[i]) || is_listed(sweep->with, cells->key[i]);
  }
  return of_some;
}

/* Appends a --set of every key that is in the way, to its first value; one that a shell would take
   apart is left to the reader. */
static void append_settings(const mb_figure_sweep *sweep, const mb_results_cells *cells,
                            size_t size, char *text) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/";

  for (size_t i = 0; i < cells->n_keys; i++) {
    const char *key = cells->key[i];
    const char *value = cells->cell[0].value[i];
    if (!mb_figure_is_replicate(key) && !is_listed(sweep->keys, key) &&
        !is_listed(sweep->with, key)) {
      bool is_plain = value[0] != '\0' && value[strspn(value, plain)] == '\0';
      append(size, text, " --set ", key);
      append(size, text, "=", is_plain ? value : "VALUE");
    }
  }
}

mb_status mb_figure_none_applies(const mb_figure_source *source, const char *results) {
  const mb_results_cells *cells = mb_results_file_cells(source->file);
  const mb_figure *nearest = NULL;
  char why[512] = "";
  char how[512] = "";

  for (const mb_figure *const *figure = mb_figures(); *figure != NULL; figure++) {
    if (nearly_applies(*figure, cells)) {
      append(sizeof why, why, nearest == NULL ? ": " : ", ", (*figure)->name);
      append(sizeof why, why, " would mix ", find_stranger((*figure)->sweep, cells));
      nearest = nearest == NULL ? *figure : nearest;
    }
  }
  if (nearest == NULL) {
    return MB_FAIL(
        MB_ERR_PARAM,
        "%s: no figure is of such a sweep (`moebal list figures`); --run RUN draws those "
        "of one run",
        results);
  }
  append_settings(nearest->sweep, cells, sizeof how, how);
  return MB_FAIL(
      MB_ERR_PARAM,
      "%s: no figure is of all that was swept%s; run the sweep with%s for %s, or draw one "
      "run by --run RUN",
      results, why, how, nearest->name);
}

/* --- tables --- */

mb_status mb_figure_write(const mb_figure *figure, const mb_figure_source *source, const char *path,
                          char **caption) {
  char *text = NULL;
  size_t size = 0;
  mb_table *table = NULL;

  MB_TRY(mb_figure_check(figure, source));
  FILE *stream = open_memstream(&text, &size);
  if (stream == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the caption of %s", figure->name);
  }
  mb_status status = mb_table_create(path, &table);
  status = status == MB_OK ? figure->tabulate(source, table, stream) : status;
  bool failed = ferror(stream) != 0;
  failed = fclose(stream) != 0 || failed;
  if (status == MB_OK && failed) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the caption of %s", figure->name);
  }
  if (status == MB_OK) {
    status = mb_table_finish(table);
  } else {
    mb_table_discard(table);
  }
  if (status != MB_OK) {
    free(text);
    return status;
  }
  *caption = text;
  return MB_OK;
}

/* --- what several figures use --- */

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

bool mb_figure_plan_counts(const mb_results_run *run, int64_t step) {
  int64_t effect = step + (int64_t)run->delay;

  return effect >= (int64_t)run->summary_from &&
         effect + (int64_t)run->interval <= (int64_t)run->n_steps;
}

double mb_figure_imbalance(size_t n, const float *load) {
  double sum = 0.0;
  double most = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += (double)load[i];
    most = fmax(most, (double)load[i]);
  }
  return sum > 0.0 ? most * (double)n / sum : NAN;
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
