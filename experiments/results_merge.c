/* experiments/results_merge.c - objects are copied as they are, chunks and all; only tables are
 * made anew. */
#include "experiments/results_merge.h"

#include <assert.h>
#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/attribute.h"
#include "experiments/interrupt.h"
#include "workloads/new_file.h"

enum { NAME_SIZE = 512, CHUNK_CELLS = 1024, DEFLATE_LEVEL = 4 };

typedef struct merger {
  const mb_merge *merge;
  mb_new_file path;
  hid_t file;
  hid_t row; /* type of a row of /summary, with room for the longest texts */
  size_t row_size, n_rows, n_filled;
  char *rows; /* [n_rows] of row_size bytes */
} merger;

/* Both to be called before anything else of HDF5, which would forget the reason. */
static mb_status fail_write(const merger *m, const char *what) {
  char why[256];

  return MB_FAIL(MB_ERR_IO, "%s: %s cannot be written: %s", m->path.name, what,
                 mb_hdf5_reason(why, sizeof why));
}

static mb_status fail_read(const char *part, const char *what) {
  char why[256];

  return MB_FAIL(MB_ERR_IO, "%s: %s cannot be read: %s", part, what,
                 mb_hdf5_reason(why, sizeof why));
}

/* --- the rows of all: the type --- */

static bool is_text(hid_t type) {
  return H5Tget_class(type) == H5T_STRING;
}

/* The type of a column, wide enough for both. @param from of the same column elsewhere, or < 0. */
static hid_t wider(hid_t type, hid_t from) {
  if (from >= 0 && is_text(type) && is_text(from) && H5Tget_size(from) > H5Tget_size(type)) {
    (void)H5Tset_size(type, H5Tget_size(from));
  }
  return type;
}

static hid_t find_column(hid_t row, const char *name) {
  int index = row >= 0 ? H5Tget_member_index(row, name) : -1;

  return index >= 0 ? H5Tget_member_type(row, (unsigned)index) : H5I_INVALID_HID;
}

static size_t add_column(hid_t row, const char *name, size_t offset, hid_t type) {
  size_t end = offset + H5Tget_size(type);

  if (H5Tget_size(row) < end) {
    (void)H5Tset_size(row, end);
  }
  (void)H5Tinsert(row, name, offset, type);
  return end;
}

/* `row` with texts as long as those of `widest`, which may be < 0. */
static hid_t widen_row(hid_t row, hid_t widest) {
  hid_t made = H5Tcreate(H5T_COMPOUND, 1);
  int n = H5Tget_nmembers(row);
  size_t end = 0;

  for (int i = 0; made >= 0 && i < n; i++) {
    char *name = H5Tget_member_name(row, (unsigned)i);
    hid_t type = H5Tget_member_type(row, (unsigned)i);
    hid_t other = find_column(widest, name);
    end = add_column(made, name, end, wider(type, other));
    if (other >= 0) {
      (void)H5Tclose(other);
    }
    (void)H5Tclose(type);
    (void)H5free_memory(name);
  }
  return made;
}

static size_t count_rows(hid_t dataset) {
  hid_t space = H5Dget_space(dataset);
  hssize_t n = H5Sget_simple_extent_npoints(space);

  (void)H5Sclose(space);
  return n > 0 ? (size_t)n : 0;
}

/* @param dataset Transferred. */
static mb_status open_part(const char *path, hid_t *file, hid_t *dataset) {
  *dataset = H5I_INVALID_HID;
  *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (*file < 0) {
    return fail_read(path, "the part");
  }
  *dataset = H5Dopen2(*file, "/summary", H5P_DEFAULT);
  return *dataset >= 0 ? MB_OK : fail_read(path, "/summary");
}

static void close_part(hid_t file, hid_t dataset) {
  if (dataset >= 0) {
    (void)H5Dclose(dataset);
  }
  if (file >= 0) {
    (void)H5Fclose(file);
  }
}

static mb_status measure_part(merger *m, const char *path) {
  hid_t file = H5I_INVALID_HID;
  hid_t dataset = H5I_INVALID_HID;
  mb_status status = open_part(path, &file, &dataset);

  if (status == MB_OK) {
    hid_t type = H5Dget_type(dataset);
    hid_t widened = widen_row(type, m->row);
    (void)H5Tclose(type);
    if (m->row >= 0) {
      (void)H5Tclose(m->row);
    }
    m->row = widened;
    m->n_rows += count_rows(dataset);
    status = widened >= 0 ? MB_OK : fail_read(path, "/summary");
  }
  close_part(file, dataset);
  return status;
}

static mb_status measure(merger *m) {
  for (size_t i = 0; i < m->merge->n_cells; i++) {
    MB_TRY(mb_interrupt_check());
    if (m->merge->cell[i].part != NULL) {
      MB_TRY(measure_part(m, m->merge->cell[i].part));
    }
  }
  m->row_size = H5Tget_size(m->row);
  m->rows = calloc(m->n_rows > 0 ? m->n_rows : 1, m->row_size);
  return m->rows != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu rows", m->n_rows);
}

/* --- attributes --- */

/* An attribute's values in memory: texts of variable length, or numbers. */
typedef struct values {
  hid_t type, space;
  size_t n;
  void *data;
} values;

static void values_fini(values *v) {
  if (v->data != NULL && H5Tis_variable_str(v->type) > 0) {
    (void)H5Dvlen_reclaim(v->type, v->space, H5P_DEFAULT, v->data);
  }
  free(v->data);
  if (v->space >= 0) {
    (void)H5Sclose(v->space);
  }
  if (v->type >= 0) {
    (void)H5Tclose(v->type);
  }
}

/* @param read values_fini() it, also where this is false. */
static bool values_read(hid_t object, const char *name, values *read) {
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);

  *read = (values){H5I_INVALID_HID, H5I_INVALID_HID, 0, NULL};
  if (attribute < 0) {
    return false;
  }
  read->type = H5Aget_type(attribute);
  read->space = H5Aget_space(attribute);
  read->n = (size_t)H5Sget_simple_extent_npoints(read->space);
  void *data = calloc(read->n > 0 ? read->n : 1, H5Tget_size(read->type));
  bool done = data != NULL && H5Aread(attribute, read->type, data) >= 0;
  (void)H5Aclose(attribute);
  if (!done) {
    free(data);
    return false;
  }
  read->data = data;
  return true;
}

static bool values_equal(const values *a, const values *b) {
  if (a->n != b->n || H5Tequal(a->type, b->type) <= 0) {
    return false;
  }
  if (H5Tis_variable_str(a->type) <= 0) {
    return memcmp(a->data, b->data, a->n * H5Tget_size(a->type)) == 0;
  }
  char *const *x = a->data;
  char *const *y = b->data;
  for (size_t i = 0; i < a->n; i++) {
    if (strcmp(x[i] != NULL ? x[i] : "", y[i] != NULL ? y[i] : "") != 0) {
      return false;
    }
  }
  return true;
}

static mb_status values_write(const merger *m, const values *v, hid_t object, const char *name) {
  hid_t attribute = H5Acreate2(object, name, v->type, v->space, H5P_DEFAULT, H5P_DEFAULT);
  mb_status status = MB_OK;

  if (attribute < 0 || H5Awrite(attribute, v->type, v->data) < 0) {
    status = fail_write(m, name);
  }
  if (attribute >= 0) {
    (void)H5Aclose(attribute);
  }
  return status;
}

/* For each attribute's name; a failure ends it. */
static mb_status each_attribute(const merger *m, hid_t object,
                                mb_status (*visit)(const merger *m, hid_t object, const char *name,
                                                   void *context),
                                void *context) {
  char name[NAME_SIZE];

  for (hsize_t i = 0;; i++) {
    if (H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name,
                           H5P_DEFAULT) < 0) {
      return MB_OK;
    }
    MB_TRY(visit(m, object, name, context));
  }
}

static mb_status copy_attribute(const merger *m, hid_t object, const char *name, void *context) {
  const hid_t *to = context;
  values found;

  mb_status status = values_read(object, name, &found) ? values_write(m, &found, *to, name)
                                                       : fail_read(m->path.name, name);
  values_fini(&found);
  return status;
}

/* --- groups --- */

/* As results_write.c has them: no times, and the order of creation. */
static void set_group_properties(hid_t properties) {
  (void)H5Pset_obj_track_times(properties, false);
  (void)H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
}

static mb_status create_file(merger *m) {
  static const char *const groups[] = {"/provenance", "/runs", "/timing"};
  hid_t properties = H5Pcreate(H5P_FILE_CREATE);

  set_group_properties(properties);
  m->file = H5Fcreate(m->path.temporary, H5F_ACC_TRUNC, properties, H5P_DEFAULT);
  mb_status status = m->file >= 0 ? MB_OK : fail_write(m, "the results");
  (void)H5Pclose(properties);
  properties = H5Pcreate(H5P_GROUP_CREATE);
  set_group_properties(properties);
  for (size_t i = 0; i < sizeof groups / sizeof *groups && status == MB_OK; i++) {
    hid_t group = H5Gcreate2(m->file, groups[i], H5P_DEFAULT, properties, H5P_DEFAULT);
    status = group >= 0 ? MB_OK : fail_write(m, groups[i]);
    if (group >= 0) {
      (void)H5Gclose(group);
    }
  }
  (void)H5Pclose(properties);
  return status;
}

static mb_status copy_object(const merger *m, hid_t part, const char *from, const char *to) {
  return H5Ocopy(part, from, m->file, to, H5P_DEFAULT, H5P_DEFAULT) >= 0 ? MB_OK
                                                                         : fail_write(m, to);
}

static mb_status copy_groups(const merger *m, hid_t part, const char *run) {
  char name[NAME_SIZE];

  (void)snprintf(name, sizeof name, "/provenance/%s", run);
  MB_TRY(copy_object(m, part, "/provenance", name));
  (void)snprintf(name, sizeof name, "/runs/%s", run);
  MB_TRY(copy_object(m, part, name, name));
  (void)snprintf(name, sizeof name, "/timing/%s", run);
  return copy_object(m, part, name, name);
}

static mb_status read_rows(merger *m, hid_t dataset, const char *path) {
  size_t n = count_rows(dataset);

  if (n > m->n_rows - m->n_filled) {
    return MB_FAIL(MB_ERR_IO, "%s: has changed while it was read", path);
  }
  if (H5Dread(dataset, m->row, H5S_ALL, H5S_ALL, H5P_DEFAULT, m->rows + m->n_filled * m->row_size) <
      0) {
    return fail_read(path, "/summary");
  }
  m->n_filled += n;
  return MB_OK;
}

/* The file's own attributes, format and version, are those of the parts. */
static mb_status copy_part(merger *m, const mb_merge_cell *cell) {
  hid_t file = H5I_INVALID_HID;
  hid_t dataset = H5I_INVALID_HID;
  bool first = m->n_filled == 0;

  mb_status status = open_part(cell->part, &file, &dataset);
  if (status == MB_OK) {
    status = copy_groups(m, file, cell->run);
  }
  if (status == MB_OK) {
    status = read_rows(m, dataset, cell->part);
  }
  if (status == MB_OK && first) {
    status = each_attribute(m, file, copy_attribute, &m->file);
  }
  close_part(file, dataset);
  return status;
}

/* --- tables --- */

/* @param dataset Transferred. */
static mb_status write_table(const merger *m, const char *name, hid_t type, size_t n,
                             const void *rows, hid_t *dataset) {
  hsize_t size = n;
  hsize_t chunk = n < CHUNK_CELLS ? n : CHUNK_CELLS;
  hid_t space = H5Screate_simple(1, &size, NULL);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);

  (void)H5Pset_obj_track_times(properties, false);
  (void)H5Pset_chunk(properties, 1, &chunk);
  (void)H5Pset_deflate(properties, DEFLATE_LEVEL);
  hid_t made = H5Dcreate2(m->file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  mb_status status = MB_OK;
  if (made < 0 || H5Dwrite(made, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0) {
    status = fail_write(m, name);
  }
  (void)H5Pclose(properties);
  (void)H5Sclose(space);
  if (status == MB_OK) {
    *dataset = made;
  } else if (made >= 0) {
    (void)H5Dclose(made);
  }
  return status;
}

static const mb_merge_cell *first_part(const mb_merge *merge) {
  const mb_merge_cell *cell = merge->cell;

  while (cell->part == NULL) {
    cell++;
  }
  return cell;
}

static mb_status write_summary(const merger *m) {
  hid_t file = H5I_INVALID_HID;
  hid_t first = H5I_INVALID_HID;
  hid_t dataset = H5I_INVALID_HID;

  MB_TRY(write_table(m, "/summary", m->row, m->n_rows, m->rows, &dataset));
  mb_status status = open_part(first_part(m->merge)->part, &file, &first);
  if (status == MB_OK) {
    status = each_attribute(m, first, copy_attribute, &dataset);
  }
  close_part(file, first);
  (void)H5Dclose(dataset);
  return status;
}

/* Column c of a cell: run, error, the keys. */
static const char *cell_text(const mb_merge_cell *cell, size_t column) {
  return column == 0 ? cell->run : column == 1 ? cell->error : cell->value[column - 2];
}

static size_t cell_width(const mb_merge *merge, size_t column) {
  size_t most = 1;

  for (size_t i = 0; i < merge->n_cells; i++) {
    size_t length = strlen(cell_text(&merge->cell[i], column));
    most = length > most ? length : most;
  }
  return most;
}

static const char *column_name(const mb_merge *merge, size_t column) {
  return column == 0 ? "run" : column == 1 ? "error" : merge->key[column - 2];
}

static hid_t cells_type(const mb_merge *merge) {
  hid_t row = H5Tcreate(H5T_COMPOUND, 1);
  size_t end = 0;

  for (size_t c = 0; c < 2 + merge->n_keys; c++) {
    hid_t text = H5Tcopy(H5T_C_S1);
    (void)H5Tset_size(text, cell_width(merge, c));
    (void)H5Tset_strpad(text, H5T_STR_NULLPAD);
    (void)H5Tset_cset(text, H5T_CSET_UTF8);
    end = add_column(row, column_name(merge, c), end, text);
    (void)H5Tclose(text);
  }
  return row;
}

/* Filled up with NULs; the longest text of a column has none. */
static void fill_cell(const mb_merge *merge, hid_t type, const mb_merge_cell *cell, char *row) {
  for (size_t c = 0; c < 2 + merge->n_keys; c++) {
    const char *text = cell_text(cell, c);
    char *place = row + H5Tget_member_offset(type, (unsigned)c);
    for (size_t i = 0; text[i] != '\0'; i++) {
      place[i] = text[i];
    }
  }
}

static mb_status describe_cells(hid_t dataset) {
  MB_TRY(mb_attribute_put_text(dataset, "unit", ""));
  MB_TRY(mb_attribute_put_text(dataset, "dims", "cell"));
  MB_TRY(mb_attribute_put_text(dataset, "better", "none"));
  return mb_attribute_put_text(dataset, "help",
                               "the sweep's cells: the run's name, why it failed or \"\", and the "
                               "value of each swept key, by its name");
}

static mb_status write_cells(const merger *m) {
  const mb_merge *merge = m->merge;
  hid_t type = cells_type(merge);
  size_t size = H5Tget_size(type);
  assert(merge->n_cells > 0 && size > 0);
  char *rows = calloc(merge->n_cells, size);
  hid_t dataset = H5I_INVALID_HID;
  mb_status status = MB_OK;

  if (rows == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu cells", merge->n_cells);
  } else {
    for (size_t i = 0; i < merge->n_cells; i++) {
      fill_cell(merge, type, &merge->cell[i], rows + i * size);
    }
    status = write_table(m, "/cells", type, merge->n_cells, rows, &dataset);
  }
  if (status == MB_OK) {
    status = describe_cells(dataset);
    (void)H5Dclose(dataset);
  }
  free(rows);
  (void)H5Tclose(type);
  return status;
}

/* --- provenance --- */

static hid_t open_provenance(const merger *m, const char *run) {
  char name[NAME_SIZE];

  (void)snprintf(name, sizeof name, "/provenance/%s", run);
  return H5Gopen2(m->file, name, H5P_DEFAULT);
}

static bool has_same(const merger *m, const char *run, const char *name, const values *expected) {
  hid_t group = open_provenance(m, run);
  values found;

  bool same = values_read(group, name, &found) && values_equal(&found, expected);
  values_fini(&found);
  (void)H5Gclose(group);
  return same;
}

/* What all runs agree in is true of the whole; the config is more than each of theirs. */
static mb_status put_common(const merger *m, hid_t object, const char *name, void *context) {
  const mb_merge *merge = m->merge;
  const hid_t *to = context;
  values expected;

  if (strcmp(name, "config") == 0) {
    return MB_OK;
  }
  bool same = values_read(object, name, &expected);
  for (size_t i = 0; i < merge->n_cells && same; i++) {
    same = merge->cell[i].part == NULL || has_same(m, merge->cell[i].run, name, &expected);
  }
  mb_status status = same ? values_write(m, &expected, *to, name) : MB_OK;
  values_fini(&expected);
  return status;
}

static mb_status write_provenance(const merger *m) {
  hid_t group = H5Gopen2(m->file, "/provenance", H5P_DEFAULT);
  hid_t first = open_provenance(m, first_part(m->merge)->run);
  mb_status status = MB_OK;

  if (group < 0 || first < 0) {
    status = fail_write(m, "/provenance");
  } else {
    status = mb_attribute_put_text(group, "config", m->merge->config);
    if (status != MB_OK) {
      status = MB_FAIL(status, "%s: /provenance: %s", m->path.name, mb_error_message());
    }
  }
  if (status == MB_OK) {
    status = each_attribute(m, first, put_common, &group);
  }
  if (first >= 0) {
    (void)H5Gclose(first);
  }
  if (group >= 0) {
    (void)H5Gclose(group);
  }
  return status;
}

/* --- the whole --- */

static mb_status write_all(merger *m, const char *path) {
  MB_TRY(measure(m));
  MB_TRY(mb_new_file_open(path, &m->path));
  MB_TRY(create_file(m));
  for (size_t i = 0; i < m->merge->n_cells; i++) {
    MB_TRY(mb_interrupt_check());
    if (m->merge->cell[i].part != NULL) {
      MB_TRY(copy_part(m, &m->merge->cell[i]));
    }
  }
  MB_TRY(write_summary(m));
  MB_TRY(write_cells(m));
  MB_TRY(write_provenance(m));
  if (H5Fflush(m->file, H5F_SCOPE_GLOBAL) < 0 || H5Fclose(m->file) < 0) {
    return fail_write(m, "the results");
  }
  return mb_new_file_commit(&m->path);
}

/* A file that is still open is dropped, not closed: libhdf5 1.10 crashes in closing what it could
 * not write. */
mb_status mb_results_merge(const mb_merge *merge, const char *path) {
  merger m = {.merge = merge, .file = H5I_INVALID_HID, .row = H5I_INVALID_HID};

  mb_status status = write_all(&m, path);
  mb_new_file_close(&m.path);
  if (m.row >= 0) {
    (void)H5Tclose(m.row);
  }
  free(m.rows);
  return status;
}
