/* experiments/results_object.c */
#include "experiments/results_object.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- texts --- */

void mb_results_texts_free(size_t count, char **texts) {
  for (size_t i = 0; texts != NULL && i < count; i++) {
    free(texts[i]);
  }
  free(texts);
}

bool mb_results_is_printable(const char *text) {
  for (size_t i = 0; text[i] != '\0'; i++) {
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
      return false;
    }
  }
  return true;
}

bool mb_results_is_name(const char *name) {
  size_t length = strnlen(name, MB_RESULTS_NAME_SIZE);

  return length > 0 && length < MB_RESULTS_NAME_SIZE && strcmp(name, ".") != 0 &&
         strchr(name, '/') == NULL && mb_results_is_printable(name);
}

/* At most `max` bytes of a text that need not end; NULL is "". */
static char *copy_text(const char *text, size_t max) {
  size_t length = text != NULL ? strnlen(text, max) : 0;
  char *copy = calloc(1, length + 1);

  if (copy != NULL && length > 0) {
    memcpy(copy, text, length);
  }
  return copy;
}

/* Bytes of a text of that type as HDF5 hands it out; 0: none would be sane. */
static size_t raw_size(hid_t type) {
  size_t size = H5Tis_variable_str(type) > 0 ? sizeof(char *) : H5Tget_size(type);

  return size <= MB_RESULTS_TEXT_MAX ? size : 0;
}

/* The texts that HDF5 has handed out one after the other, of fixed or variable length, which go.
 * `texts` has `count` entries, all NULL. */
static mb_status take_texts(hid_t type, size_t count, char *raw, char **texts) {
  bool variable = H5Tis_variable_str(type) > 0;
  size_t size = raw_size(type);
  bool complete = true;

  for (size_t i = 0; i < count; i++) {
    char *text = raw + i * size;
    if (variable) {
      memcpy(&text, raw + i * size, sizeof text);
    }
    texts[i] = copy_text(text, variable ? MB_RESULTS_TEXT_MAX : size);
    complete = complete && texts[i] != NULL;
    if (variable) {
      (void)H5free_memory(text);
    }
  }
  return complete ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "finds no memory");
}

/* --- attributes --- */

static mb_status bad_attribute(const mb_results_object *object, const char *name,
                               const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s %s", object->path, object->name, name, what);
}

bool mb_results_has_attribute(const mb_results_object *object, const char *name) {
  return H5Aexists(object->id, name) > 0;
}

static const char *kind_wanted(H5T_class_t kind) {
  return kind == H5T_STRING
             ? "should be text"
             : (kind == H5T_FLOAT ? "should be a number" : "should be a whole number");
}

/* An attribute of that class that is one value or a list, and how many it has. */
static mb_status open_attribute(const mb_results_object *object, const char *name, H5T_class_t kind,
                                hid_t *attribute, size_t *count) {
  hid_t found = mb_results_has_attribute(object, name) ? H5Aopen(object->id, name, H5P_DEFAULT)
                                                       : H5I_INVALID_HID;
  if (found < 0) {
    return bad_attribute(object, name, "is missing");
  }
  hid_t type = H5Aget_type(found);
  hid_t space = H5Aget_space(found);
  bool fits = H5Tget_class(type) == kind && H5Sget_simple_extent_ndims(space) <= 1;
  hssize_t points = H5Sget_simple_extent_npoints(space);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  if (!fits || points < 1) {
    (void)H5Aclose(found);
    return bad_attribute(object, name, kind_wanted(kind));
  }
  *attribute = found;
  *count = (size_t)points;
  return MB_OK;
}

static mb_status read_numbers(const mb_results_object *object, const char *name, H5T_class_t kind,
                              hid_t type, size_t count, void *values) {
  hid_t attribute = H5I_INVALID_HID;
  size_t found = 0;

  MB_TRY(open_attribute(object, name, kind, &attribute, &found));
  bool read = found == count && H5Aread(attribute, type, values) >= 0;
  (void)H5Aclose(attribute);
  if (!read) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s has %zu values, not %zu, or is damaged",
                   object->path, object->name, name, found, count);
  }
  return MB_OK;
}

mb_status mb_results_attribute_integers(const mb_results_object *object, const char *name,
                                        hid_t type, size_t count, void *values) {
  return read_numbers(object, name, H5T_INTEGER, type, count, values);
}

mb_status mb_results_attribute_size(const mb_results_object *object, const char *name, size_t min,
                                    size_t max, size_t *value) {
  int64_t number = 0;

  MB_TRY(read_numbers(object, name, H5T_INTEGER, H5T_NATIVE_INT64, 1, &number));
  if (number < (int64_t)min || number > (int64_t)max) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s is %" PRId64 ", not in [%zu, %zu]",
                   object->path, object->name, name, number, min, max);
  }
  *value = (size_t)number;
  return MB_OK;
}

mb_status mb_results_attribute_amount(const mb_results_object *object, const char *name,
                                      double *value) {
  double number = 0.0;

  MB_TRY(read_numbers(object, name, H5T_FLOAT, H5T_NATIVE_DOUBLE, 1, &number));
  if (!isfinite(number) || number < 0.0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s is %g; should be at least 0", object->path,
                   object->name, name, number);
  }
  *value = number;
  return MB_OK;
}

/* The texts of an open attribute; `texts` keeps what was read before a failure. */
static mb_status read_texts(hid_t attribute, hid_t type, size_t count, char **texts) {
  size_t size = raw_size(type);
  char *raw = size > 0 ? calloc(count, size) : NULL;

  if (raw == NULL || H5Aread(attribute, type, raw) < 0) {
    free(raw);
    return MB_FAIL(MB_ERR_FORMAT, "cannot be read");
  }
  mb_status status = take_texts(type, count, raw, texts);
  free(raw);
  return status;
}

mb_status mb_results_attribute_texts(const mb_results_object *object, const char *name, size_t max,
                                     size_t *count, char ***texts) {
  hid_t attribute = H5I_INVALID_HID;
  size_t found = 0;

  MB_TRY(open_attribute(object, name, H5T_STRING, &attribute, &found));
  if (found > max) {
    (void)H5Aclose(attribute);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s has %zu texts, more than %zu", object->path,
                   object->name, name, found, max);
  }
  hid_t type = H5Aget_type(attribute);
  char **list = calloc(found, sizeof *list);
  mb_status status = MB_FAIL(MB_ERR_MEMORY, "finds no memory");
  if (list != NULL) {
    status = read_texts(attribute, type, found, list);
  }
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  if (status != MB_OK) {
    mb_results_texts_free(found, list);
    return MB_FAIL(status, "%s: %s: attribute %s %s", object->path, object->name, name,
                   mb_error_message());
  }
  *count = found;
  *texts = list;
  return MB_OK;
}

mb_status mb_results_attribute_text(const mb_results_object *object, const char *name,
                                    char **text) {
  size_t count = 0;
  char **texts = NULL;

  MB_TRY(mb_results_attribute_texts(object, name, 1, &count, &texts));
  *text = texts[0];
  free(texts);
  return MB_OK;
}

/* --- datasets --- */

/* "[plans,61]" */
static char *format_shape(int rank, const hsize_t *want, char *buffer, size_t size) {
  size_t used = 0;

  for (int i = 0; i < rank && used < size; i++) {
    const char *before = i == 0 ? "[" : ",";
    int length = want[i] == 0
                     ? snprintf(buffer + used, size - used, "%splans", before)
                     : snprintf(buffer + used, size - used, "%s%zu", before, (size_t)want[i]);
    used += length > 0 ? (size_t)length : 0;
  }
  if (used < size) {
    (void)snprintf(buffer + used, size - used, "]");
  }
  return buffer;
}

/* Whether a dataset's shape is `want`, where 0 is any length up to `most`; `got` is what it is. */
static bool has_shape(hid_t dataset, int rank, const hsize_t *want, size_t most, hsize_t *got) {
  hid_t space = H5Dget_space(dataset);
  bool fits = H5Sget_simple_extent_ndims(space) == rank &&
              H5Sget_simple_extent_dims(space, got, NULL) == rank;

  for (int i = 0; fits && i < rank; i++) {
    fits = want[i] == 0 ? got[i] <= most : want[i] == got[i];
  }
  (void)H5Sclose(space);
  return fits;
}

mb_status mb_results_dataset_open(const char *path, hid_t file, const char *name, H5T_class_t kind,
                                  int rank, const hsize_t *want, size_t most,
                                  mb_results_dataset *dataset) {
  mb_results_dataset made = {.path = path, .rank = rank};
  char shape[128];

  assert(rank <= MB_RESULTS_RANK_MAX);
  (void)snprintf(made.name, sizeof made.name, "%s", name);
  made.id = H5Dopen2(file, name, H5P_DEFAULT);
  if (made.id < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the dataset is missing or damaged", path, name);
  }
  hid_t type = H5Dget_type(made.id);
  bool right_kind = H5Tget_class(type) == kind;
  (void)H5Tclose(type);
  if (!right_kind || !has_shape(made.id, rank, want, most, made.size)) {
    (void)H5Dclose(made.id);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: should be %s of shape %s", path, name,
                   kind == H5T_FLOAT ? "floating-point numbers" : "whole numbers",
                   format_shape(rank, want, shape, sizeof shape));
  }
  *dataset = made;
  return MB_OK;
}

void mb_results_dataset_close(mb_results_dataset *dataset) {
  (void)H5Dclose(dataset->id);
  dataset->id = H5I_INVALID_HID;
}

mb_status mb_results_dataset_read(const mb_results_dataset *dataset, size_t first, size_t n,
                                  hid_t type, void *values) {
  hsize_t start[MB_RESULTS_RANK_MAX] = {first};
  hsize_t count[MB_RESULTS_RANK_MAX] = {n, dataset->size[1], dataset->size[2]};

  if (n == 0) {
    return MB_OK;
  }
  assert(first + n <= dataset->size[0]);
  hid_t in_file = H5Dget_space(dataset->id);
  hid_t in_memory = H5Screate_simple(dataset->rank, count, NULL);
  bool read = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset->id, type, in_memory, in_file, H5P_DEFAULT, values) >= 0;
  (void)H5Sclose(in_memory);
  (void)H5Sclose(in_file);
  return read
             ? MB_OK
             : MB_FAIL(MB_ERR_FORMAT, "%s: %s: rows %zu to %zu cannot be read: the file is damaged",
                       dataset->path, dataset->name, first, first + n - 1);
}

/* --- tables --- */

mb_status mb_results_table_open(const char *path, hid_t file, const char *name, size_t max_rows,
                                size_t max_columns, mb_results_table *table) {
  mb_results_table made = {.path = path, .name = name, .id = H5Dopen2(file, name, H5P_DEFAULT)};

  if (made.id < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the table is missing or damaged", path, name);
  }
  made.type = H5Dget_type(made.id);
  hid_t space = H5Dget_space(made.id);
  hssize_t rows = H5Sget_simple_extent_ndims(space) == 1 ? H5Sget_simple_extent_npoints(space) : 0;
  int columns = H5Tget_class(made.type) == H5T_COMPOUND ? H5Tget_nmembers(made.type) : 0;
  (void)H5Sclose(space);
  if (rows < 1 || (size_t)rows > max_rows || columns < 1 || (size_t)columns > max_columns) {
    mb_results_table_close(&made);
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: %s: should be a table of 1 to %zu rows and of 1 to %zu columns with names",
                   path, name, max_rows, max_columns);
  }
  made.n_rows = (size_t)rows;
  made.n_columns = (size_t)columns;
  *table = made;
  return MB_OK;
}

void mb_results_table_close(mb_results_table *table) {
  (void)H5Tclose(table->type);
  (void)H5Dclose(table->id);
}

mb_status mb_results_table_column_name(const mb_results_table *table, size_t column, char **name) {
  char *found = H5Tget_member_name(table->type, (unsigned)column);
  bool fine = found != NULL && mb_results_is_name(found);
  char *copy = fine ? copy_text(found, MB_RESULTS_NAME_SIZE) : NULL;

  (void)H5free_memory(found);
  if (!fine) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the name of column %zu is none", table->path,
                   table->name, column);
  }
  if (copy == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: %s: no memory for its columns", table->path, table->name);
  }
  *name = copy;
  return MB_OK;
}

static mb_status bad_column(const mb_results_table *table, const char *column, const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: column %s %s", table->path, table->name, column, what);
}

bool mb_results_table_has(const mb_results_table *table, const char *column) {
  return H5Tget_member_index(table->type, column) >= 0;
}

/* The type of a column that is of that class. @param type Transferred. */
static mb_status find_column(const mb_results_table *table, const char *column, H5T_class_t kind,
                             hid_t *type) {
  int index = H5Tget_member_index(table->type, column);
  hid_t found = index >= 0 ? H5Tget_member_type(table->type, (unsigned)index) : H5I_INVALID_HID;

  if (found < 0) {
    return bad_column(table, column, "is missing");
  }
  if (H5Tget_class(found) != kind) {
    (void)H5Tclose(found);
    return bad_column(table, column, kind_wanted(kind));
  }
  *type = found;
  return MB_OK;
}

/* One column of all rows, as that type of `size` bytes. */
static mb_status read_column(const mb_results_table *table, const char *column, hid_t type,
                             size_t size, void *values) {
  hid_t row = H5Tcreate(H5T_COMPOUND, size);
  bool read = row >= 0 && H5Tinsert(row, column, 0, type) >= 0 &&
              H5Dread(table->id, row, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;

  if (row >= 0) {
    (void)H5Tclose(row);
  }
  return read ? MB_OK : bad_column(table, column, "cannot be read: the file is damaged");
}

mb_status mb_results_table_texts(const mb_results_table *table, const char *column, char ***texts) {
  hid_t type = H5I_INVALID_HID;

  MB_TRY(find_column(table, column, H5T_STRING, &type));
  size_t size = raw_size(type);
  char *raw = size > 0 ? calloc(table->n_rows, size) : NULL;
  char **list = calloc(table->n_rows, sizeof *list);
  mb_status status = MB_OK;
  if (raw == NULL || list == NULL) {
    status = bad_column(table, column, "is too large");
  } else {
    status = read_column(table, column, type, size, raw);
    status = status == MB_OK ? take_texts(type, table->n_rows, raw, list) : status;
  }
  (void)H5Tclose(type);
  free(raw);
  if (status != MB_OK) {
    mb_results_texts_free(table->n_rows, list);
    return status;
  }
  *texts = list;
  return MB_OK;
}

mb_status mb_results_table_numbers(const mb_results_table *table, const char *column, hid_t type,
                                   void *values) {
  bool real = H5Tequal(type, H5T_NATIVE_DOUBLE) > 0;
  hid_t stored = H5I_INVALID_HID;

  MB_TRY(find_column(table, column, real ? H5T_FLOAT : H5T_INTEGER, &stored));
  (void)H5Tclose(stored);
  MB_TRY(read_column(table, column, type, sizeof(int64_t), values));
  for (size_t i = 0; i < table->n_rows; i++) {
    double value = real ? ((const double *)values)[i] : (double)((const int64_t *)values)[i];
    if (!isfinite(value) || value < 0.0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: column %s, row %zu has %g; should be at least 0",
                     table->path, table->name, column, i, value);
    }
  }
  return MB_OK;
}

mb_status mb_results_table_reals(const mb_results_table *table, const char *column,
                                 double *values) {
  hid_t stored = H5I_INVALID_HID;

  MB_TRY(find_column(table, column, H5T_FLOAT, &stored));
  (void)H5Tclose(stored);
  MB_TRY(read_column(table, column, H5T_NATIVE_DOUBLE, sizeof *values, values));
  for (size_t i = 0; i < table->n_rows; i++) {
    if (values[i] < 0.0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: %s: column %s, row %zu has %g; should be at least 0, or NaN", table->path,
                     table->name, column, i, values[i]);
    }
  }
  return MB_OK;
}
