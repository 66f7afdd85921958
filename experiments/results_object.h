/* experiments/results_object.h - attributes, datasets and tables of results files, with suspicion.
 * Only results_*.c and sweep_table.c use this. Every failure names the file, the object and what
 * would be right. */
#ifndef MB_EXPERIMENTS_RESULTS_OBJECT_H
#define MB_EXPERIMENTS_RESULTS_OBJECT_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

enum {
  MB_RESULTS_NAME_SIZE = 128, /* of a run or a label, with its end */
  MB_RESULTS_OBJECT_SIZE = 2 * MB_RESULTS_NAME_SIZE + 64,
  MB_RESULTS_TEXT_MAX = 1 << 24, /* bytes of a text: a whole config, say */
  MB_RESULTS_RANK_MAX = 3,
};

/* --- attributes --- */

/** An open object with attributes, and what messages call it. Borrowed. */
typedef struct mb_results_object {
  const char *path; /* of the file */
  const char *name; /* in the file */
  hid_t id;
} mb_results_object;

bool mb_results_has_attribute(const mb_results_object *object, const char *name);

/** `count` whole numbers, converted to `type`. */
MB_NODISCARD mb_status mb_results_attribute_integers(const mb_results_object *object,
                                                     const char *name, hid_t type, size_t count,
                                                     void *values);

/** A whole number in [min, max]; max <= INT64_MAX. */
MB_NODISCARD mb_status mb_results_attribute_size(const mb_results_object *object, const char *name,
                                                 size_t min, size_t max, size_t *value);

/** A finite number >= 0. */
MB_NODISCARD mb_status mb_results_attribute_amount(const mb_results_object *object,
                                                   const char *name, double *value);

/** @param text Transferred: free() it. Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_attribute_text(const mb_results_object *object, const char *name,
                                                 char **text);

/** Up to `max` texts. @param texts Transferred: mb_results_texts_free() them. */
MB_NODISCARD mb_status mb_results_attribute_texts(const mb_results_object *object, const char *name,
                                                  size_t max, size_t *count, char ***texts);
void mb_results_texts_free(size_t count, char **texts); /* NULL is fine */

/** Whether a text may stand in a message and be part of an object's path. */
bool mb_results_is_name(const char *name);

/** Whether a text has no control characters. */
bool mb_results_is_printable(const char *text);

/* --- datasets --- */

/** An open dataset of numbers. Its path and file outlive it. */
typedef struct mb_results_dataset {
  const char *path;
  char name[MB_RESULTS_OBJECT_SIZE];
  hid_t id;
  int rank;
  hsize_t size[MB_RESULTS_RANK_MAX];
} mb_results_dataset;

/**
 * @param kind    H5T_INTEGER or H5T_FLOAT.
 * @param want    [rank] its sizes; the first may be 0: up to `most` rows, each a plan.
 * @param dataset mb_results_dataset_close() it. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_results_dataset_open(const char *path, hid_t file, const char *name,
                                               H5T_class_t kind, int rank, const hsize_t *want,
                                               size_t most, mb_results_dataset *dataset);
void mb_results_dataset_close(mb_results_dataset *dataset);

/** Reads rows [first, first + n), all that is in them, as `type`. n may be 0. */
MB_NODISCARD mb_status mb_results_dataset_read(const mb_results_dataset *dataset, size_t first,
                                               size_t n, hid_t type, void *values);

/* --- tables: datasets of rank 1 whose rows have named columns --- */

typedef struct mb_results_table {
  const char *path;
  const char *name; /* in the file */
  hid_t id;
  hid_t type; /* of a row */
  size_t n_rows;
  size_t n_columns;
} mb_results_table;

/** @param table mb_results_table_close() it. Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_table_open(const char *path, hid_t file, const char *name,
                                             size_t max_rows, size_t max_columns,
                                             mb_results_table *table);
void mb_results_table_close(mb_results_table *table);

/** A column's name. @param name Transferred: free() it. Written only on MB_OK. */
MB_NODISCARD mb_status mb_results_table_column_name(const mb_results_table *table, size_t column,
                                                    char **name);

bool mb_results_table_has(const mb_results_table *table, const char *column);

/** A column of texts. @param texts [n_rows] Transferred: mb_results_texts_free() them. */
MB_NODISCARD mb_status mb_results_table_texts(const mb_results_table *table, const char *column,
                                              char ***texts);

/** A column of numbers: finite ones and >= 0, each of 8 bytes as `type` says: H5T_NATIVE_DOUBLE
 * or H5T_NATIVE_INT64. @param values [n_rows] caller-owned. */
MB_NODISCARD mb_status mb_results_table_numbers(const mb_results_table *table, const char *column,
                                                hid_t type, void *values);

/** The same of doubles that may be NaN or infinite, but not below 0. */
MB_NODISCARD mb_status mb_results_table_reals(const mb_results_table *table, const char *column,
                                              double *values);

#endif
