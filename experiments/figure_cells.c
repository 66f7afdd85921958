/* experiments/figure_cells.c */
#include "experiments/figure_cells.h"

#include <assert.h>
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/figure_caption.h"

/* What a cell is a replicate of, and which one: indices, by the order of first occurrence. */
typedef struct place {
  bool ran;
  size_t condition, seed, relabelling;
} place;

/* All values of a file: [n_cells,n_strategies,n_measures], NaN where there is none. */
typedef struct values {
  const mb_figure_source *source;
  size_t n_cells;
  place *place; /* [n_cells] */
  double *value;
} values;

/* --- which cells belong together --- */

typedef enum key_kind { CONDITION, SEED, RELABELLING } key_kind;

static key_kind kind_of(const char *key) {
  if (!mb_figure_is_replicate(key)) {
    return CONDITION;
  }
  return strcmp(key, "relabel") == 0 ? RELABELLING : SEED;
}

/* Whether two cells have the same values of all keys of that kind. */
static bool agree(const mb_results_cells *cells, size_t a, size_t b, key_kind kind) {
  for (size_t i = 0; i < cells->n_keys; i++) {
    if (kind_of(cells->key[i]) == kind &&
        strcmp(cells->cell[a].value[i], cells->cell[b].value[i]) != 0) {
      return false;
    }
  }
  return true;
}

/* Numbers by their value, all else after them by its letters. */
static int compare_values(const char *a, const char *b) {
  char *end_a = NULL;
  char *end_b = NULL;
  double x = strtod(a, &end_a);
  double y = strtod(b, &end_b);
  bool number_a = end_a != a && *end_a == '\0';
  bool number_b = end_b != b && *end_b == '\0';

  if (number_a && number_b) {
    return (x > y) - (x < y);
  }
  return number_a != number_b ? (number_a ? -1 : 1) : strcmp(a, b);
}

static int compare_conditions(const mb_results_cells *cells, size_t a, size_t b) {
  for (size_t i = 0; i < cells->n_keys; i++) {
    int order = kind_of(cells->key[i]) == CONDITION
                    ? compare_values(cells->cell[a].value[i], cells->cell[b].value[i])
                    : 0;
    if (order != 0) {
      return order;
    }
  }
  return 0;
}

/* The values of a cell's condition, separated by spaces; NULL without memory. */
static char *label_of(const mb_results_cells *cells, size_t cell) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  if (stream == NULL) {
    return NULL;
  }
  for (size_t i = 0; i < cells->n_keys; i++) {
    if (kind_of(cells->key[i]) == CONDITION) {
      (void)fprintf(stream, "%s%s", ftell(stream) > 0 ? " " : "", cells->cell[cell].value[i]);
    }
  }
  if (fclose(stream) != 0) {
    free(text);
    return NULL;
  }
  return text;
}

/* Finds the conditions, in their order. `found` has room for all cells. */
static mb_status find_conditions(const mb_results_cells *cells, mb_figure_cells *found) {
  for (size_t c = 0; c < cells->n_cells; c++) {
    size_t at = 0;
    while (at < found->n_conditions &&
           compare_conditions(cells, found->condition[at].first_cell, c) < 0) {
      at++;
    }
    if (cells->cell[c].error[0] != '\0' ||
        (at < found->n_conditions && agree(cells, found->condition[at].first_cell, c, CONDITION))) {
      continue;
    }
    memmove(found->condition + at + 1, found->condition + at,
            (found->n_conditions - at) * sizeof *found->condition);
    found->condition[at] = (mb_figure_condition){.first_cell = c, .label = label_of(cells, c)};
    found->n_conditions++;
    if (found->condition[at].label == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", cells->n_cells);
    }
  }
  return MB_OK;
}

/* The number of a cell's seed, or relabelling, among those before it; *n grows with a new one. */
static size_t number_of(const mb_results_cells *cells, const place *places, size_t cell,
                        key_kind kind, size_t *n) {
  for (size_t c = 0; c < cell; c++) {
    if (places[c].ran && agree(cells, c, cell, kind)) {
      return kind == SEED ? places[c].seed : places[c].relabelling;
    }
  }
  return (*n)++;
}

static void find_places(const mb_results_cells *cells, mb_figure_cells *found, place *places) {
  for (size_t c = 0; c < cells->n_cells; c++) {
    places[c].ran = cells->cell[c].error[0] == '\0';
    if (!places[c].ran) {
      found->n_failed++;
      continue;
    }
    for (size_t k = 0; k < found->n_conditions; k++) {
      if (agree(cells, found->condition[k].first_cell, c, CONDITION)) {
        places[c].condition = k;
      }
    }
    places[c].seed = number_of(cells, places, c, SEED, &found->n_seeds);
    places[c].relabelling = number_of(cells, places, c, RELABELLING, &found->n_relabellings);
  }
}

/* --- reading --- */

static size_t find_label(const mb_figure_cells *cells, const char *label) {
  size_t i = 0;

  while (i < cells->n_strategies && strcmp(cells->label[i], label) != 0) {
    i++;
  }
  return i;
}

static mb_status add_labels(mb_figure_cells *cells, const mb_results_run *run) {
  for (size_t i = 0; i < run->n_strategies; i++) {
    if (find_label(cells, run->labels[i]) < cells->n_strategies) {
      continue;
    }
    char **more = realloc(cells->label, (cells->n_strategies + 1) * sizeof *more);
    char *copy = strdup(run->labels[i]);
    cells->label = more != NULL ? more : cells->label;
    if (more == NULL || copy == NULL) {
      free(copy);
      return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu strategies", run->n_strategies);
    }
    cells->label[cells->n_strategies++] = copy;
  }
  return MB_OK;
}

/* The runs are opened twice: first for the strategies' labels, which decide the shape of all. */
static mb_status read_labels(const mb_figure_source *source, const place *places,
                             mb_figure_cells *cells) {
  for (size_t c = 0; c < mb_results_file_cells(source->file)->n_cells; c++) {
    mb_results *run = NULL;
    if (!places[c].ran) {
      continue;
    }
    MB_TRY(mb_results_file_open_run(source->file, c, &run));
    mb_status status = add_labels(cells, mb_results_get_run(run));
    mb_results_destroy(run);
    MB_TRY(status);
  }
  return MB_OK;
}

static mb_status measure_run(const mb_results *run, const mb_figure_cells *cells,
                             const mb_figure_measure *measures, double *row) {
  const mb_results_run *about = mb_results_get_run(run);

  for (size_t i = 0; i < about->n_strategies; i++) {
    size_t strategy = find_label(cells, about->labels[i]);
    for (size_t m = 0; m < cells->n_measures; m++) {
      MB_TRY(measures[m](run, i, &row[strategy * cells->n_measures + m]));
    }
  }
  return MB_OK;
}

static mb_status read_values(const values *all, const mb_figure_measure *measures,
                             const mb_figure_cells *cells) {
  size_t stride = cells->n_strategies * cells->n_measures;

  for (size_t c = 0; c < all->n_cells; c++) {
    double *row = all->value + c * stride;
    mb_results *run = NULL;
    for (size_t i = 0; i < stride; i++) {
      row[i] = NAN;
    }
    if (all->place[c].ran) {
      MB_TRY(mb_results_file_open_run(all->source->file, c, &run));
      mb_status status = measure_run(run, cells, measures, row);
      mb_results_destroy(run);
      MB_TRY(status);
    }
  }
  return MB_OK;
}

/* --- averaging --- */

/* Student's t over those of the values that are not NaN. */
static mb_figure_estimate estimate(size_t n, const double *value) {
  mb_figure_estimate made = {.n = 0, .mean = NAN, .low = NAN, .high = NAN};
  double sum = 0.0;
  double squares = 0.0;

  for (size_t i = 0; i < n; i++) {
    made.n += isnan(value[i]) ? 0 : 1;
    sum += isnan(value[i]) ? 0.0 : value[i];
  }
  if (made.n == 0) {
    return made;
  }
  made.mean = sum / (double)made.n;
  for (size_t i = 0; i < n; i++) {
    double off = isnan(value[i]) ? 0.0 : value[i] - made.mean;
    squares += off * off;
  }
  if (made.n > 1) {
    double freedom = (double)(made.n - 1);
    double half = gsl_cdf_tdist_Pinv(0.975, freedom) * sqrt(squares / freedom / (double)made.n);
    made.low = made.mean - half;
    made.high = made.mean + half;
  }
  return made;
}

/* Sums over the cells of every condition's replicates, [n_conditions,n_replicates], made means. */
static void average(const values *all, const mb_figure_cells *cells, size_t at, size_t n_replicates,
                    double *mean, size_t *n) {
  size_t stride = cells->n_strategies * cells->n_measures;
  size_t n_means = cells->n_conditions * n_replicates;

  memset(mean, 0, n_means * sizeof *mean);
  memset(n, 0, n_means * sizeof *n);
  for (size_t c = 0; c < all->n_cells; c++) {
    const place *where = &all->place[c];
    double value = all->value[c * stride + at];
    size_t replicate = cells->n_seeds > 1 ? where->seed : where->relabelling;
    if (where->ran && !isnan(value)) {
      mean[where->condition * n_replicates + replicate] += value;
      n[where->condition * n_replicates + replicate]++;
    }
  }
  for (size_t i = 0; i < n_means; i++) {
    mean[i] = n[i] > 0 ? mean[i] / (double)n[i] : NAN;
  }
}

static mb_status average_all(const values *all, mb_figure_cells *cells) {
  size_t stride = cells->n_strategies * cells->n_measures;
  size_t n_replicates = cells->n_seeds > 1 ? cells->n_seeds : cells->n_relabellings;
  double *mean = calloc(cells->n_conditions, n_replicates * sizeof *mean);
  size_t *n = calloc(cells->n_conditions, n_replicates * sizeof *n);
  mb_status status = MB_OK;

  cells->estimate = calloc(cells->n_conditions, stride * sizeof *cells->estimate);
  if (mean == NULL || n == NULL || cells->estimate == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu conditions", cells->n_conditions);
  }
  for (size_t i = 0; status == MB_OK && i < stride; i++) {
    average(all, cells, i, n_replicates, mean, n);
    for (size_t k = 0; k < cells->n_conditions; k++) {
      cells->estimate[k * stride + i] = estimate(n_replicates, mean + k * n_replicates);
    }
  }
  free(n);
  free(mean);
  return status;
}

static mb_status read_all(values *all, const mb_figure_measure *measures, mb_figure_cells *cells) {
  const mb_results_cells *list = mb_results_file_cells(all->source->file);

  cells->condition = calloc(list->n_cells + 1, sizeof *cells->condition);
  all->place = calloc(list->n_cells, sizeof *all->place);
  if (cells->condition == NULL || all->place == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", list->n_cells);
  }
  MB_TRY(find_conditions(list, cells));
  if (cells->n_conditions == 0) {
    return MB_FAIL(MB_ERR_PARAM, "all %zu cells failed; the first: %s", list->n_cells,
                   list->cell[0].error);
  }
  find_places(list, cells, all->place);
  MB_TRY(read_labels(all->source, all->place, cells));
  assert(cells->n_strategies > 0 && cells->n_measures > 0);
  all->value = calloc(list->n_cells, cells->n_strategies * cells->n_measures * sizeof *all->value);
  if (all->value == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", list->n_cells);
  }
  MB_TRY(read_values(all, measures, cells));
  return average_all(all, cells);
}

mb_status mb_figure_cells_read(const mb_figure_source *source, size_t n_measures,
                               const mb_figure_measure *measures, mb_figure_cells *cells) {
  values all = {.source = source, .n_cells = mb_results_file_cells(source->file)->n_cells};
  mb_figure_cells made = {.n_measures = n_measures};
  mb_status status = read_all(&all, measures, &made);

  free(all.value);
  free(all.place);
  if (status != MB_OK) {
    mb_figure_cells_fini(&made);
    return status;
  }
  *cells = made;
  return MB_OK;
}

void mb_figure_cells_fini(mb_figure_cells *cells) {
  for (size_t k = 0; k < cells->n_conditions; k++) {
    free(cells->condition[k].label);
  }
  for (size_t i = 0; i < cells->n_strategies; i++) {
    free(cells->label[i]);
  }
  free(cells->condition);
  free(cells->label);
  free(cells->estimate);
  *cells = (mb_figure_cells){.n_conditions = 0};
}

/* --- using them --- */

const mb_figure_estimate *mb_figure_cells_get(const mb_figure_cells *cells, size_t condition,
                                              size_t strategy, size_t measure) {
  return &cells->estimate[(condition * cells->n_strategies + strategy) * cells->n_measures +
                          measure];
}

bool mb_figure_cells_have(const mb_figure_cells *cells, size_t strategy, size_t measure) {
  for (size_t k = 0; k < cells->n_conditions; k++) {
    if (mb_figure_cells_get(cells, k, strategy, measure)->n > 0) {
      return true;
    }
  }
  return false;
}

mb_status mb_figure_run_imbalance(const mb_results *run, size_t strategy, double *value) {
  mb_replay_summary summary;

  MB_TRY(mb_results_read_summary(run, strategy, &summary));
  *value = summary.run_imbalance;
  return MB_OK;
}

/* A measure's mean over the strategies that have it. */
static double mean_of_strategies(const mb_figure_cells *cells, size_t condition, size_t measure) {
  double sum = 0.0;
  size_t n = 0;

  for (size_t i = 0; i < cells->n_strategies; i++) {
    const mb_figure_estimate *found = mb_figure_cells_get(cells, condition, i, measure);
    sum += found->n > 0 ? found->mean : 0.0;
    n += found->n > 0 ? 1 : 0;
  }
  return n > 0 ? sum / (double)n : NAN;
}

void mb_figure_cells_put_curves(const mb_figure_cells *cells, size_t n_x, const char *const *names,
                                mb_table *table) {
  for (size_t x = 0; x < n_x; x++) {
    mb_table_put_text(table, names[x]);
  }
  for (size_t i = 0; i < cells->n_strategies; i++) {
    if (mb_figure_cells_have(cells, i, n_x)) {
      mb_table_put_text(table, cells->label[i]);
      mb_table_put_format(table, "%s:low", cells->label[i]);
      mb_table_put_format(table, "%s:high", cells->label[i]);
      mb_table_put_format(table, "%s:n", cells->label[i]);
    }
  }
  mb_table_end_row(table);
  for (size_t k = 0; k < cells->n_conditions; k++) {
    for (size_t x = 0; x < n_x; x++) {
      mb_table_put_number(table, mean_of_strategies(cells, k, x));
    }
    for (size_t i = 0; i < cells->n_strategies; i++) {
      const mb_figure_estimate *found = mb_figure_cells_get(cells, k, i, n_x);
      if (mb_figure_cells_have(cells, i, n_x)) {
        mb_table_put_number(table, found->mean);
        mb_table_put_number(table, found->low);
        mb_table_put_number(table, found->high);
        mb_table_put_count(table, found->n);
      }
    }
    mb_table_end_row(table);
  }
}

static void put_points_header(const mb_figure_cells *cells, mb_table *table) {
  static const char *const more[] = {"low", "high", "x", "x_low", "x_high", "n"};

  mb_table_put_text(table, "unit");
  mb_table_put_text(table, "condition");
  for (size_t i = 0; i < cells->n_strategies; i++) {
    mb_table_put_text(table, cells->label[i]);
    for (size_t m = 0; m < sizeof more / sizeof *more; m++) {
      mb_table_put_format(table, "%s:%s", cells->label[i], more[m]);
    }
  }
  mb_table_end_row(table);
}

/* Whether a strategy has the same mean, or none, of a measure under all conditions. */
static bool is_constant(const mb_figure_cells *cells, size_t strategy, size_t measure) {
  double first = mb_figure_cells_get(cells, 0, strategy, measure)->mean;

  for (size_t k = 1; k < cells->n_conditions; k++) {
    double mean = mb_figure_cells_get(cells, k, strategy, measure)->mean;
    if (mean < first || mean > first || isnan(mean) != isnan(first)) {
      return false;
    }
  }
  return true;
}

static void put_estimate(const mb_figure_estimate *found, mb_table *table) {
  mb_table_put_number(table, found->mean);
  mb_table_put_number(table, found->low);
  mb_table_put_number(table, found->high);
}

void mb_figure_cells_put_points(const mb_figure_cells *cells, const char *unit, mb_table *table) {
  static const mb_figure_estimate nothing = {.mean = NAN, .low = NAN, .high = NAN};

  put_points_header(cells, table);
  for (size_t k = 0; k < cells->n_conditions; k++) {
    mb_table_put_text(table, unit);
    mb_table_put_text(table,
                      cells->condition[k].label[0] != '\0' ? cells->condition[k].label : "-");
    for (size_t i = 0; i < cells->n_strategies; i++) {
      bool again = k > 0 && is_constant(cells, i, 1);
      const mb_figure_estimate *y = again ? &nothing : mb_figure_cells_get(cells, k, i, 1);
      put_estimate(y, table);
      put_estimate(again ? &nothing : mb_figure_cells_get(cells, k, i, 0), table);
      mb_table_put_count(table, y->n);
    }
    mb_table_end_row(table);
  }
}

/* --- captions --- */

/* The least and the largest number of replicates that a mean of a measure is over. */
static void find_replicates(const mb_figure_cells *cells, size_t *least, size_t *most) {
  *least = SIZE_MAX;
  *most = 0;
  for (size_t i = 0; i < cells->n_conditions * cells->n_strategies * cells->n_measures; i++) {
    size_t n = cells->estimate[i].n;
    *least = n > 0 && n < *least ? n : *least;
    *most = n > *most ? n : *most;
  }
}

/* What means and intervals are over. */
static void put_replicates(const mb_figure_cells *cells, FILE *caption) {
  const char *unit = cells->n_seeds > 1 ? "seeds" : "relabellings";
  size_t least = 0;
  size_t most = 0;

  find_replicates(cells, &least, &most);
  if (most < 2) {
    (void)fputs("n = 1 run a point: there are no intervals.\n", caption);
    return;
  }
  (void)fputs("Means over n = ", caption);
  if (least < most) {
    (void)fprintf(caption, "%zu to ", least);
  }
  (void)fprintf(caption, "%zu %s%s", most, unit, cells->n_seeds > 1 ? "" : " of the experts");
  if (cells->n_seeds > 1 && cells->n_relabellings > 1) {
    (void)fprintf(caption, ", each the mean over %zu relabellings of the experts",
                  cells->n_relabellings);
  }
  (void)fprintf(caption, ", with 95 %% intervals over the %s by Student's t", unit);
  if (cells->n_seeds < 2) {
    (void)fputs(", which say what ties and the order of experts do, and nothing of other traffic",
                caption);
  }
  (void)fputs(".\nIntervals are of means over runs that the strategies share, not of the "
              "strategies' differences: `moebal compare` compares them in pairs.\n",
              caption);
}

static void put_failed(const mb_figure_cells *cells, FILE *caption) {
  if (cells->n_failed > 0) {
    (void)fprintf(caption, "%zu %s failed, and %s left out.\n", cells->n_failed,
                  cells->n_failed == 1 ? "cell" : "cells", cells->n_failed == 1 ? "is" : "are");
  }
}

/* A swept key with its different values, in the order of the cells. */
static void put_key(const mb_results_cells *cells, size_t key, FILE *caption) {
  size_t n = 0;

  (void)fprintf(caption, "Swept: %s", cells->key[key]);
  for (size_t c = 0; c < cells->n_cells; c++) {
    bool is_new = true;
    for (size_t before = 0; is_new && before < c; before++) {
      is_new = strcmp(cells->cell[before].value[key], cells->cell[c].value[key]) != 0;
    }
    if (is_new) {
      (void)fprintf(caption, "%s%s", n == 0 ? " " : ", ", cells->cell[c].value[key]);
      n++;
    }
  }
  (void)fputs(".\n", caption);
}

mb_status mb_figure_cells_put_caption(const mb_figure_source *source, const mb_figure_cells *cells,
                                      FILE *caption) {
  const mb_results_cells *list = mb_results_file_cells(source->file);
  mb_results *run = NULL;

  MB_TRY(mb_results_file_open_run(source->file, cells->condition[0].first_cell, &run));
  put_replicates(cells, caption);
  put_failed(cells, caption);
  mb_caption_put_trace(caption, mb_results_get_run(run));
  mb_caption_put_setup(caption, run);
  for (size_t i = 0; i < list->n_keys; i++) {
    put_key(list, i, caption);
  }
  if (cells->n_conditions > 1) {
    (void)fputs("What is said of trace, cluster and schedule is the first point's, but for what is "
                "swept.\n",
                caption);
  }
  mb_caption_put_strategies(caption, cells->n_strategies, (const char *const *)cells->label);
  mb_results_destroy(run);
  return MB_OK;
}
