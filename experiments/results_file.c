/* experiments/results_file.c */
#include "experiments/results_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/results_run.h"

enum { KEYS_MAX = 256 };

struct mb_results_file {
  char *path;
  hid_t file;
  mb_results_summaries summaries;
  mb_results_cells cells; /* its texts are these: */
  char **runs;            /* [n_cells] */
  char **errors;          /* [n_cells]; NULL: no cell failed */
  char **keys;            /* [n_keys] */
  char ***columns;        /* [n_keys][n_cells], none NULL */
  const char **values;    /* [n_cells,n_keys] */
  mb_results_cell *cell;  /* [n_cells] */
};

static mb_status no_memory(const mb_results_file *file) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory for the %zu cells of %s", file->cells.n_cells,
                 file->path);
}

/* --- the table /cells --- */

/* A column of texts that may be shown to people. */
static mb_status read_column(const mb_results_table *table, const char *name, char ***column) {
  char **texts = NULL;

  MB_TRY(mb_results_table_texts(table, name, &texts));
  for (size_t i = 0; i < table->n_rows; i++) {
    if (!mb_results_is_printable(texts[i])) {
      mb_results_texts_free(table->n_rows, texts);
      return MB_FAIL(MB_ERR_FORMAT, "%s: /cells: row %zu has control characters", table->path, i);
    }
  }
  *column = texts;
  return MB_OK;
}

/* All columns but run and error are keys. */
static mb_status read_keys(mb_results_file *file, const mb_results_table *table) {
  file->keys = calloc(table->n_columns, sizeof *file->keys);
  file->columns = calloc(table->n_columns, sizeof *file->columns);
  if (file->keys == NULL || file->columns == NULL) {
    return no_memory(file);
  }
  for (size_t i = 0; i < table->n_columns; i++) {
    char *name = NULL;
    MB_TRY(mb_results_table_column_name(table, i, &name));
    if (strcmp(name, "run") == 0 || strcmp(name, "error") == 0) {
      free(name);
      continue;
    }
    char **column = NULL;
    mb_status status = read_column(table, name, &column);
    if (status != MB_OK) {
      free(name);
      return status;
    }
    file->keys[file->cells.n_keys] = name;
    file->columns[file->cells.n_keys++] = column;
  }
  return MB_OK;
}

static mb_status read_table(mb_results_file *file, const mb_results_table *table) {
  file->cells.n_cells = table->n_rows;
  MB_TRY(read_column(table, "run", &file->runs));
  MB_TRY(read_column(table, "error", &file->errors));
  MB_TRY(read_keys(file, table));
  for (size_t i = 0; i < table->n_rows; i++) {
    if (!mb_results_is_name(file->runs[i])) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: /cells: row %zu: the run's name is none", file->path, i);
    }
  }
  return MB_OK;
}

static int compare_cells(const void *a, const void *b) {
  return strcmp(((const mb_results_cell *)a)->run, ((const mb_results_cell *)b)->run);
}

/* Goes through sorted cells and sorted runs at once: a cell that ran has its run, one that failed
 * has none, and there are no other runs. */
static mb_status match_runs(const mb_results_file *file, const mb_results_cell *cell, size_t n_runs,
                            char *const *run) {
  size_t next = 0;

  for (size_t i = 0; i < file->cells.n_cells; i++) {
    bool failed = cell[i].error[0] != '\0';
    int order = next < n_runs ? strcmp(run[next], cell[i].run) : 1;
    if (i > 0 && strcmp(cell[i - 1].run, cell[i].run) == 0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: /cells: run %s has two rows", file->path, cell[i].run);
    }
    if (order < 0) {
      break;
    }
    if (failed == (order == 0)) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: /cells: run %s has %s error, so /runs should have %s",
                     file->path, cell[i].run, failed ? "an" : "no", failed ? "none" : "it");
    }
    next += order == 0;
  }
  return next == n_runs ? MB_OK
                        : MB_FAIL(MB_ERR_FORMAT,
                                  "%s: /runs/%s: the run is not among the %zu of "
                                  "/cells",
                                  file->path, run[next], file->cells.n_cells);
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static mb_status check_runs(const mb_results_file *file) {
  size_t n = file->cells.n_cells;
  size_t n_runs = 0;
  char **runs = NULL;
  mb_results_cell *sorted = malloc(n * sizeof *sorted);

  if (sorted == NULL) {
    return no_memory(file);
  }
  memcpy(sorted, file->cell, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, compare_cells);
  mb_status status = mb_results_list_runs(file->path, file->file, &n_runs, &runs);
  if (status == MB_OK) {
    if (n_runs > 0) {
      qsort(runs, n_runs, sizeof *runs, compare_texts);
    }
    status = match_runs(file, sorted, n_runs, runs);
  }
  mb_results_texts_free(n_runs, runs);
  free(sorted);
  return status;
}

/* --- opening --- */

static mb_status make_cells(mb_results_file *file) {
  size_t n_cells = file->cells.n_cells;
  size_t n_keys = file->cells.n_keys;

  file->cell = calloc(n_cells, sizeof *file->cell);
  file->values = calloc(n_cells * (n_keys + 1), sizeof *file->values);
  if (file->cell == NULL || file->values == NULL) {
    return no_memory(file);
  }
  for (size_t i = 0; i < n_cells; i++) {
    for (size_t j = 0; j < n_keys; j++) {
      file->values[i * n_keys + j] = file->columns[j][i];
    }
    file->cell[i] = (mb_results_cell){file->runs[i], file->errors != NULL ? file->errors[i] : "",
                                      file->values + i * n_keys};
  }
  file->cells.key = (const char *const *)file->keys;
  file->cells.cell = file->cell;
  return MB_OK;
}

static mb_status read_cells(mb_results_file *file) {
  mb_results_table table;

  if (H5Lexists(file->file, "/cells", H5P_DEFAULT) <= 0) {
    MB_TRY(mb_results_list_runs(file->path, file->file, &file->cells.n_cells, &file->runs));
    return file->cells.n_cells > 0
               ? make_cells(file)
               : MB_FAIL(MB_ERR_FORMAT, "%s: /runs: there are no runs in it", file->path);
  }
  MB_TRY(mb_results_table_open(file->path, file->file, "/cells", MB_RESULTS_RUNS_MAX, KEYS_MAX + 2,
                               &table));
  mb_status status = read_table(file, &table);
  mb_results_table_close(&table);
  MB_TRY(status);
  MB_TRY(make_cells(file));
  return check_runs(file);
}

static mb_status open_file(const char *path, mb_results_file **file) {
  mb_results_file *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  made->file = H5I_INVALID_HID;
  made->path = strdup(path);
  mb_status status = made->path != NULL ? mb_results_open_hdf5(path, &made->file)
                                        : MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  if (status == MB_OK) {
    status = read_cells(made);
  }
  if (status == MB_OK) {
    status = mb_results_summaries_read(path, made->file, &made->summaries);
  }
  if (status != MB_OK) {
    mb_results_file_close(made);
    return status;
  }
  *file = made;
  return MB_OK;
}

void mb_results_file_close(mb_results_file *file) {
  if (file == NULL) {
    return;
  }
  if (file->file >= 0) {
    (void)H5Fclose(file->file);
  }
  for (size_t j = 0; j < file->cells.n_keys; j++) {
    mb_results_texts_free(file->cells.n_cells, file->columns[j]);
  }
  free(file->columns);
  mb_results_texts_free(file->cells.n_keys, file->keys);
  mb_results_texts_free(file->cells.n_cells, file->runs);
  mb_results_texts_free(file->cells.n_cells, file->errors);
  free(file->values);
  free(file->cell);
  mb_results_summaries_fini(&file->summaries);
  free(file->path);
  free(file);
}

/* --- the check --- */

static herr_t check_attribute(hid_t group, const char *name, const H5A_info_t *info,
                              void *context) {
  const mb_results_object object = {context, "/provenance", group};
  hid_t attribute = H5Aopen(group, name, H5P_DEFAULT);
  hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
  H5T_class_t kind = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
  char *text = NULL;

  (void)info;
  if (type >= 0) {
    (void)H5Tclose(type);
  }
  if (attribute >= 0) {
    (void)H5Aclose(attribute);
  }
  if (kind != H5T_STRING) {
    return kind != H5T_NO_CLASS ? 0 : -1;
  }
  mb_status status = mb_results_attribute_text(&object, name, &text);
  free(text);
  return status == MB_OK ? 0 : -1;
}

/* Checks a group's attributes; one that is missing is fine. */
static mb_status check_attributes(const mb_results_file *file, const char *name) {
  if (H5Lexists(file->file, name, H5P_DEFAULT) <= 0) {
    return MB_OK;
  }
  hid_t group = H5Gopen2(file->file, name, H5P_DEFAULT);
  bool fine = group >= 0 && H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, check_attribute,
                                        file->path) >= 0;
  if (group >= 0) {
    (void)H5Gclose(group);
  }
  return fine ? MB_OK
              : MB_FAIL(MB_ERR_FORMAT, "%s: %s: its attributes cannot be read", file->path, name);
}

static mb_status provenance_group(const mb_results_file *file, const char *run, char **name) {
  size_t size = sizeof "/provenance/" + strlen(run);
  char *made = malloc(size);

  if (made == NULL) {
    return no_memory(file);
  }
  (void)snprintf(made, size, "/provenance/%s", run);
  *name = made;
  return MB_OK;
}

static mb_status check_provenance(const mb_results_file *file) {
  MB_TRY(check_attributes(file, "/provenance"));
  if (H5Lexists(file->file, "/provenance", H5P_DEFAULT) <= 0) {
    return MB_OK;
  }
  for (size_t i = 0; i < file->cells.n_cells; i++) {
    char *name = NULL;
    MB_TRY(provenance_group(file, file->cell[i].run, &name));
    mb_status status = check_attributes(file, name);
    free(name);
    MB_TRY(status);
  }
  return MB_OK;
}

/* In the child. */
static mb_status check_all(void *data) {
  mb_results_file *file = NULL;

  MB_TRY(open_file(data, &file));
  mb_status status = check_provenance(file);
  for (size_t i = 0; i < file->cells.n_cells && status == MB_OK; i++) {
    mb_results *results = NULL;
    if (file->cell[i].error[0] != '\0') {
      continue;
    }
    status = mb_results_file_open_run(file, i, &results);
    if (status == MB_OK) {
      status = mb_results_check_run(results, true);
    }
    mb_results_destroy(results);
  }
  mb_results_file_close(file);
  return status;
}

mb_status mb_results_file_open(const char *path, mb_results_file **file) {
  char *name = strdup(path);

  if (name == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  mb_status status = mb_results_probe(path, check_all, name);
  free(name);
  MB_TRY(status);
  return open_file(path, file);
}

/* --- what it has --- */

const mb_results_cells *mb_results_file_cells(const mb_results_file *file) {
  return &file->cells;
}

const char *mb_results_file_value(const mb_results_file *file, size_t cell, const char *key) {
  for (size_t j = 0; j < file->cells.n_keys; j++) {
    if (strcmp(file->cells.key[j], key) == 0) {
      return file->cell[cell].value[j];
    }
  }
  return NULL;
}

mb_status mb_results_file_open_run(const mb_results_file *file, size_t cell, mb_results **results) {
  const mb_results_cell *one = &file->cell[cell];

  if (one->error[0] != '\0') {
    return MB_FAIL(MB_ERR_PARAM, "%s: run %s failed: %s", file->path, one->run, one->error);
  }
  return mb_results_open_run(file->path, file->file, one->run, &file->summaries, results);
}

/* A text, or a whole number as text. */
static mb_status read_provenance(const mb_results_object *object, const char *name, char **text) {
  hid_t attribute = H5Aopen(object->id, name, H5P_DEFAULT);
  hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
  bool whole = type >= 0 && H5Tget_class(type) == H5T_INTEGER;
  int64_t number = 0;
  char digits[32];

  if (type >= 0) {
    (void)H5Tclose(type);
  }
  if (attribute >= 0) {
    (void)H5Aclose(attribute);
  }
  if (!whole) {
    return mb_results_attribute_text(object, name, text);
  }
  MB_TRY(mb_results_attribute_integers(object, name, H5T_NATIVE_INT64, 1, &number));
  (void)snprintf(digits, sizeof digits, "%" PRId64, number);
  char *copy = strdup(digits);
  if (copy == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %s", object->path, name);
  }
  *text = copy;
  return MB_OK;
}

/* An attribute of a group; "" where either is missing. */
static mb_status read_attribute(const mb_results_file *file, const char *path, const char *name,
                                char **text) {
  hid_t group = H5Gopen2(file->file, path, H5P_DEFAULT);
  const mb_results_object object = {file->path, path, group};
  mb_status status = MB_OK;

  if (group >= 0 && mb_results_has_attribute(&object, name)) {
    status = read_provenance(&object, name, text);
  } else {
    char *empty = calloc(1, 1);
    status = empty != NULL ? MB_OK : no_memory(file);
    *text = empty != NULL ? empty : *text;
  }
  if (group >= 0) {
    (void)H5Gclose(group);
  }
  return status;
}

mb_status mb_results_file_provenance(const mb_results_file *file, const char *name, char **text) {
  return read_attribute(file, "/provenance", name, text);
}

mb_status mb_results_file_run_provenance(const mb_results_file *file, const char *run,
                                         const char *name, char **text) {
  char *group = NULL;

  MB_TRY(provenance_group(file, run, &group));
  mb_status status = read_attribute(file, group, name, text);
  free(group);
  return status;
}
