/* experiments/results_read.c */
#include "experiments/results_read.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  RESULTS_VERSION = 1,
  NAME_SIZE = 256,
  OBJECT_SIZE = 2 * NAME_SIZE + 64,
  LIST_SIZE = 512,
};

struct mb_results {
  char *path;
  hid_t file;
  char name[NAME_SIZE];
  int32_t *layer_ids;
  char **labels;
  mb_results_run run;
};

static mb_status wrong(const mb_results *results, const char *object, const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: %s", results->path, object, what);
}

/* --- attributes --- */

static mb_status open_attribute(const mb_results *results, hid_t group, const char *object,
                                const char *name, hid_t *attribute) {
  *attribute = H5Aexists(group, name) > 0 ? H5Aopen(group, name, H5P_DEFAULT) : H5I_INVALID_HID;
  if (*attribute < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s is missing", results->path, object, name);
  }
  return MB_OK;
}

/* Entries of an attribute that is a scalar or a list; -1: it is neither, or of another class. */
static hssize_t attribute_count(hid_t attribute, H5T_class_t class) {
  hid_t type = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  bool fits =
      type >= 0 && space >= 0 && H5Tget_class(type) == class && H5Sget_simple_extent_ndims(space) <= 1;
  hssize_t count = fits ? H5Sget_simple_extent_npoints(space) : -1;

  (void)H5Sclose(space);
  (void)H5Tclose(type);
  return count;
}

/* `count` whole numbers, converted to `type`. */
static mb_status read_integers(const mb_results *results, hid_t group, const char *object,
                               const char *name, hid_t type, size_t count, void *values) {
  hid_t attribute = H5I_INVALID_HID;
  MB_TRY(open_attribute(results, group, object, name, &attribute));
  hssize_t found = attribute_count(attribute, H5T_INTEGER);
  bool read = found >= 0 && (size_t)found == count && H5Aread(attribute, type, values) >= 0;
  (void)H5Aclose(attribute);
  if (!read) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s should be %zu whole number%s", results->path,
                   object, name, count, count == 1 ? "" : "s");
  }
  return MB_OK;
}

/* A whole number in [min, max]. */
static mb_status read_size(const mb_results *results, hid_t group, const char *object,
                           const char *name, size_t min, size_t max, size_t *value) {
  int64_t number = 0;
  MB_TRY(read_integers(results, group, object, name, H5T_NATIVE_INT64, 1, &number));
  if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s is %" PRId64 ", not in [%zu, %zu]",
                   results->path, object, name, number, min, max);
  }
  *value = (size_t)number;
  return MB_OK;
}

static char *copy_text(const char *text, size_t size) {
  char *copy = malloc(size + 1);

  if (copy != NULL) {
    memcpy(copy, text, size);
    copy[size] = '\0';
  }
  return copy;
}

static void free_texts(size_t count, char **texts) {
  for (size_t i = 0; texts != NULL && i < count; i++) {
    free(texts[i]);
  }
  free(texts);
}

/* The texts of an open attribute of `count` strings, of fixed or variable length, as `texts`, which
   has `count` entries, all NULL; what was read before a failure stays in it. */
static mb_status copy_texts(hid_t attribute, hid_t type, size_t count, char **texts) {
  bool variable = H5Tis_variable_str(type) > 0;
  size_t size = variable ? sizeof(char *) : H5Tget_size(type);
  char *raw = size > 0 ? calloc(count, size) : NULL;
  mb_status status = MB_OK;

  if (raw == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu texts", count);
  }
  if (H5Aread(attribute, type, raw) < 0) {
    free(raw);
    return MB_FAIL(MB_ERR_FORMAT, "it cannot be read");
  }
  for (size_t i = 0; i < count; i++) {
    const char *text = variable ? ((char **)(void *)raw)[i] : raw + i * size;
    texts[i] = copy_text(text != NULL ? text : "", text == NULL ? 0 : strnlen(text, variable ? NAME_SIZE : size));
    if (texts[i] == NULL) {
      status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu texts", count);
      break;
    }
  }
  for (size_t i = 0; variable && i < count; i++) {
    (void)H5free_memory(((char **)(void *)raw)[i]);
  }
  free(raw);
  return status;
}

static mb_status read_texts(const mb_results *results, hid_t group, const char *object,
                            const char *name, size_t max, size_t *count, char ***texts) {
  hid_t attribute = H5I_INVALID_HID;
  MB_TRY(open_attribute(results, group, object, name, &attribute));
  hssize_t found = attribute_count(attribute, H5T_STRING);
  if (found < 1 || (size_t)found > max) {
    (void)H5Aclose(attribute);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s should be 1 to %zu texts", results->path,
                   object, name, max);
  }
  hid_t type = H5Aget_type(attribute);
  char **list = calloc((size_t)found, sizeof *list);
  mb_status status = list == NULL ? MB_FAIL(MB_ERR_MEMORY, "no memory for %zu texts", (size_t)found)
                                  : copy_texts(attribute, type, (size_t)found, list);
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  if (status != MB_OK) {
    free_texts((size_t)found, list);
    return MB_FAIL(status, "%s: %s: attribute %s: %s", results->path, object, name,
                   mb_error_message());
  }
  *count = (size_t)found;
  *texts = list;
  return MB_OK;
}

/* --- datasets --- */

static mb_status wrong_shape(const mb_results *results, const char *object, int rank,
                             const hsize_t *want, const hsize_t *got) {
  if (got == NULL || rank == 1) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: shape should be [%" PRIuHSIZE "]%s", results->path, object,
                   want[0], rank == 1 ? "" : " by layers");
  }
  return wrong(results, object, "shape");
}
