/* experiments/sweep_table.c */
#include "experiments/sweep_table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/results_object.h"
#include "experiments/results_run.h"
#include "experiments/results_summary.h"

/* Longer texts are cut off; more cells are only counted. */
enum { VALUE_MOST = 24, ERROR_MOST = 120, ROWS_MOST = 60, NUMBER_WIDTH = 7 };

typedef struct sweep_table {
  const mb_sweep *sweep;
  mb_results_summaries summaries;
  char **errors;      /* [n_cells] */
  const char **label; /* [n_labels] of all cells, in the order in which they come up */
  size_t n_labels, n_rows;
} sweep_table;

/* --- what there is --- */

static mb_status read_errors(const char *path, hid_t file, sweep_table *t) {
  mb_results_table cells;

  MB_TRY(mb_results_table_open(path, file, "/cells", MB_RESULTS_RUNS_MAX, t->sweep->n_keys + 2,
                               &cells));
  mb_status status = mb_results_table_texts(&cells, "error", &t->errors);
  mb_results_table_close(&cells);
  return status;
}

static mb_status read_results(const char *path, sweep_table *t) {
  hid_t file = H5I_INVALID_HID;

  MB_TRY(mb_results_open_hdf5(path, &file));
  mb_status status = read_errors(path, file, t);
  if (status == MB_OK) {
    status = mb_results_summaries_read(path, file, &t->summaries);
  }
  (void)H5Fclose(file);
  return status;
}

static bool has_label(const sweep_table *t, const char *label) {
  for (size_t i = 0; i < t->n_labels; i++) {
    assert(t->label[i] != NULL);
    if (strcmp(t->label[i], label) == 0) {
      return true;
    }
  }
  return false;
}

static mb_status list_labels(sweep_table *t) {
  size_t room = 0;

  for (size_t i = 0; i < t->n_rows; i++) {
    room += t->sweep->cell[i].config->n_strategies;
  }
  t->label = calloc(room + 1, sizeof *t->label);
  if (t->label == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a table of %zu cells", t->n_rows);
  }
  for (size_t i = 0; i < t->n_rows; i++) {
    const mb_config *config = t->sweep->cell[i].config;
    for (size_t j = 0; j < config->n_strategies; j++) {
      if (!has_label(t, config->strategies[j].label)) {
        t->label[t->n_labels++] = config->strategies[j].label;
      }
    }
  }
  return MB_OK;
}

/* --- printing --- */

/* "interval" of "schedule.interval", unless another key ends likewise. */
static const char *short_name(const mb_sweep *sweep, size_t k) {
  const char *dot = strrchr(sweep->key[k], '.');
  const char *name = dot != NULL ? dot + 1 : sweep->key[k];

  for (size_t i = 0; i < sweep->n_keys; i++) {
    const char *other = strrchr(sweep->key[i], '.');
    other = other != NULL ? other + 1 : sweep->key[i];
    if (i != k && strcmp(name, other) == 0) {
      return sweep->key[k];
    }
  }
  return name;
}

static int value_length(const char *value) {
  size_t length = strlen(value);

  return length < VALUE_MOST ? (int)length : VALUE_MOST;
}

static int key_width(const sweep_table *t, size_t k) {
  int width = (int)strlen(short_name(t->sweep, k));

  for (size_t i = 0; i < t->n_rows; i++) {
    int length = value_length(t->sweep->cell[i].value[k]);
    width = length > width ? length : width;
  }
  return width;
}

static int label_width(const char *label) {
  assert(label != NULL);
  int length = (int)strlen(label);

  return length > NUMBER_WIDTH ? length : NUMBER_WIDTH;
}

static void print_header(FILE *stream, const sweep_table *t) {
  for (size_t k = 0; k < t->sweep->n_keys; k++) {
    (void)fprintf(stream, "%*s  ", key_width(t, k), short_name(t->sweep, k));
  }
  for (size_t j = 0; j < t->n_labels; j++) {
    (void)fprintf(stream, "%*s%s", label_width(t->label[j]), t->label[j],
                  j + 1 < t->n_labels ? "  " : "\n");
  }
}

static void print_row(FILE *stream, const sweep_table *t, size_t i) {
  const mb_sweep_cell *cell = &t->sweep->cell[i];

  for (size_t k = 0; k < t->sweep->n_keys; k++) {
    (void)fprintf(stream, "%*.*s  ", key_width(t, k), VALUE_MOST, cell->value[k]);
  }
  if (t->errors[i][0] != '\0') {
    (void)fprintf(stream, "failed: %.*s%s\n", ERROR_MOST, t->errors[i],
                  strlen(t->errors[i]) > ERROR_MOST ? "..." : "");
    return;
  }
  for (size_t j = 0; j < t->n_labels; j++) {
    const mb_results_summary *row =
        mb_results_summaries_find(&t->summaries, cell->config->name, t->label[j]);
    int width = label_width(t->label[j]);
    if (row != NULL) {
      (void)fprintf(stream, "%*.4f", width, row->summary.run_imbalance);
    } else {
      (void)fprintf(stream, "%*s", width, "-");
    }
    (void)fputs(j + 1 < t->n_labels ? "  " : "\n", stream);
  }
}

static void print_legend(FILE *stream, const sweep_table *t, const char *path) {
  size_t n_cells = t->sweep->n_cells;

  if (t->n_rows < n_cells) {
    (void)fprintf(stream, "... and %zu cells more\n", n_cells - t->n_rows);
  }
  (void)fprintf(stream,
                "\nrun_imbalance of the %zu cells of %s; `moebal compare` compares. Results: %s\n",
                n_cells, t->sweep->name, path);
}

mb_status mb_sweep_table_print(FILE *stream, const mb_sweep *sweep, const char *path) {
  sweep_table t = {.sweep = sweep,
                   .n_rows = sweep->n_cells < ROWS_MOST ? sweep->n_cells : ROWS_MOST};

  mb_status status = read_results(path, &t);
  if (status == MB_OK) {
    status = list_labels(&t);
  }
  if (status == MB_OK) {
    print_header(stream, &t);
    for (size_t i = 0; i < t.n_rows; i++) {
      print_row(stream, &t, i);
    }
    print_legend(stream, &t, path);
  }
  free(t.label);
  mb_results_texts_free(sweep->n_cells, t.errors);
  mb_results_summaries_fini(&t.summaries);
  return status;
}
