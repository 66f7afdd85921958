/* experiments/results_read.c */
#include "experiments/results_read.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/probe.h"

enum {
  RESULTS_VERSION = 1,
  NAME_SIZE = 128, /* of a run or a label, with its end */
  OBJECT_SIZE = 2 * NAME_SIZE + 64,
  STEPS_MAX = 1 << 28,
  LAYERS_MAX = 1 << 20,
  LABELS_MAX = 4096,
  TEXT_SIZE_MAX = 65536,
  SIZES_MAX = 1 << 20, /* as mb_shape_check() has it */
  PROBE_SECONDS = 60,
  PROBE_STEPS = 64, /* steps of imbalance that it reads at a time */
};

struct mb_results {
  char *path;
  hid_t file;
  char name[NAME_SIZE];
  int32_t *layer_ids;
  char **labels;
  mb_results_run run;
};

/* --- attributes --- */

static mb_status bad_attribute(const mb_results *results, const char *object, const char *name,
                               const char *what) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s %s", results->path, object, name, what);
}

/* An attribute of that class that is one value or a list, and how many it has. */
static mb_status open_attribute(const mb_results *results, hid_t group, const char *object,
                                const char *name, H5T_class_t class, hid_t *attribute,
                                size_t *count) {
  hid_t found = H5Aexists(group, name) > 0 ? H5Aopen(group, name, H5P_DEFAULT) : H5I_INVALID_HID;
  if (found < 0) {
    return bad_attribute(results, object, name, "is missing");
  }
  hid_t type = H5Aget_type(found);
  hid_t space = H5Aget_space(found);
  bool fits = H5Tget_class(type) == class && H5Sget_simple_extent_ndims(space) <= 1;
  hssize_t points = H5Sget_simple_extent_npoints(space);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  if (!fits || points < 1) {
    (void)H5Aclose(found);
    return bad_attribute(results, object, name,
                         class == H5T_STRING ? "should be text" : "should be a whole number");
  }
  *attribute = found;
  *count = (size_t)points;
  return MB_OK;
}

/* `count` whole numbers, converted to `type`. */
static mb_status read_integers(const mb_results *results, hid_t group, const char *object,
                               const char *name, hid_t type, size_t count, void *values) {
  hid_t attribute = H5I_INVALID_HID;
  size_t found = 0;

  MB_TRY(open_attribute(results, group, object, name, H5T_INTEGER, &attribute, &found));
  bool read = found == count && H5Aread(attribute, type, values) >= 0;
  (void)H5Aclose(attribute);
  if (!read) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s has %zu values, not %zu, or is damaged",
                   results->path, object, name, found, count);
  }
  return MB_OK;
}

/* A whole number in [min, max]. */
static mb_status read_size(const mb_results *results, hid_t group, const char *object,
                           const char *name, size_t min, size_t max, size_t *value) {
  int64_t number = 0;

  MB_TRY(read_integers(results, group, object, name, H5T_NATIVE_INT64, 1, &number));
  if (number < (int64_t)min || number > (int64_t)max) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s is %" PRId64 ", not in [%zu, %zu]",
                   results->path, object, name, number, min, max);
  }
  *value = (size_t)number;
  return MB_OK;
}

static void free_texts(size_t count, char **texts) {
  for (size_t i = 0; texts != NULL && i < count; i++) {
    free(texts[i]);
  }
  free(texts);
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

/* The texts of an open attribute, of fixed or variable length; `texts` has `count` entries, all
   NULL, and keeps what was read before a failure. */
static mb_status copy_texts(hid_t attribute, hid_t type, size_t count, char **texts) {
  bool variable = H5Tis_variable_str(type) > 0;
  size_t size = variable ? sizeof(char *) : H5Tget_size(type);
  char *raw = size > 0 && size <= TEXT_SIZE_MAX ? calloc(count, size) : NULL;

  if (raw == NULL || H5Aread(attribute, type, raw) < 0) {
    free(raw);
    return MB_FAIL(MB_ERR_FORMAT, "cannot be read");
  }
  bool complete = true;
  for (size_t i = 0; i < count; i++) {
    char *text = raw + i * size;
    if (variable) {
      memcpy(&text, raw + i * size, sizeof text);
    }
    texts[i] = copy_text(text, variable ? NAME_SIZE : size);
    complete = complete && texts[i] != NULL;
    if (variable) {
      (void)H5free_memory(text);
    }
  }
  free(raw);
  return complete ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "finds no memory");
}

/* Up to `max` texts; free_texts() them. */
static mb_status read_texts(const mb_results *results, hid_t group, const char *object,
                            const char *name, size_t max, size_t *count, char ***texts) {
  hid_t attribute = H5I_INVALID_HID;
  size_t found = 0;

  MB_TRY(open_attribute(results, group, object, name, H5T_STRING, &attribute, &found));
  if (found > max) {
    (void)H5Aclose(attribute);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s has %zu texts, more than %zu",
                   results->path, object, name, found, max);
  }
  hid_t type = H5Aget_type(attribute);
  char **list = calloc(found, sizeof *list);
  mb_status status = MB_FAIL(MB_ERR_MEMORY, "finds no memory");
  if (list != NULL) {
    status = copy_texts(attribute, type, found, list);
  }
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  if (status != MB_OK) {
    free_texts(found, list);
    return MB_FAIL(status, "%s: %s: attribute %s %s", results->path, object, name,
                   mb_error_message());
  }
  *count = found;
  *texts = list;
  return MB_OK;
}

/* --- datasets --- */

static void dataset_name(const mb_results *results, size_t strategy, const char *leaf,
                         char object[OBJECT_SIZE]) {
  (void)snprintf(object, OBJECT_SIZE, "/runs/%s/%s/%s", results->name, results->labels[strategy],
                 leaf);
}

/* Whether a dataset's shape is `want`, where 0 is any length; `got` is what it is. */
static bool has_shape(hid_t dataset, int rank, const hsize_t *want, hsize_t *got) {
  hid_t space = H5Dget_space(dataset);
  bool fits = H5Sget_simple_extent_ndims(space) == rank &&
              H5Sget_simple_extent_dims(space, got, NULL) == rank;

  for (int i = 0; fits && i < rank; i++) {
    fits = want[i] == 0 || want[i] == got[i];
  }
  (void)H5Sclose(space);
  return fits;
}

/* Opens a strategy's dataset of shape [T], [T,L] or, with `n_plans`, [K,L]. */
static mb_status open_dataset(const mb_results *results, size_t strategy, const char *leaf,
                              H5T_class_t class, int rank, size_t *n_plans, hid_t *dataset) {
  const mb_results_run *run = &results->run;
  hsize_t want[2] = {n_plans != NULL ? 0 : run->n_steps, run->n_layers};
  hsize_t got[2] = {0, 0};
  char object[OBJECT_SIZE];

  dataset_name(results, strategy, leaf, object);
  hid_t found = H5Dopen2(results->file, object, H5P_DEFAULT);
  if (found < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the dataset is missing or damaged", results->path,
                   object);
  }
  hid_t type = H5Dget_type(found);
  bool right_class = H5Tget_class(type) == class;
  (void)H5Tclose(type);
  if (!right_class || !has_shape(found, rank, want, got) || got[0] > run->n_steps) {
    (void)H5Dclose(found);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: should be %s of shape %s, with %zu steps and %zu layers",
                   results->path, object,
                   class == H5T_FLOAT ? "floating-point numbers" : "whole numbers",
                   n_plans != NULL ? "[plans,layers]" : (rank == 1 ? "[steps]" : "[steps,layers]"),
                   run->n_steps, run->n_layers);
  }
  if (n_plans != NULL) {
    *n_plans = (size_t)got[0];
  }
  *dataset = found;
  return MB_OK;
}

/* Reads rows [first, first + n), all that follows in one: values of `type`. */
static mb_status read_rows(const mb_results *results, size_t strategy, const char *leaf,
                           hid_t dataset, int rank, size_t first, size_t n, hid_t type,
                           void *values) {
  hsize_t start[2] = {first, 0};
  hsize_t count[2] = {n, results->run.n_layers};
  hid_t in_file = H5Dget_space(dataset);
  hid_t in_memory = H5Screate_simple(rank, count, NULL);
  bool read = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, values) >= 0;

  (void)H5Sclose(in_memory);
  (void)H5Sclose(in_file);
  if (!read) {
    char object[OBJECT_SIZE];
    dataset_name(results, strategy, leaf, object);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: rows %zu to %zu cannot be read: the file is damaged",
                   results->path, object, first, first + n - 1);
  }
  return MB_OK;
}

/* A ratio of the largest to the mean is at least 1; float32 rounds it. */
static bool is_ratio(double value) {
  return isnan(value) || (isfinite(value) && value >= 1.0 - 1e-6);
}

static mb_status bad_ratio(const mb_results *results, size_t strategy, const char *leaf,
                           size_t step, double value) {
  char object[OBJECT_SIZE];

  dataset_name(results, strategy, leaf, object);
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: step %zu has %g; should be NaN or at least 1",
                 results->path, object, step, value);
}

mb_status mb_results_read_step_imbalance(const mb_results *results, size_t strategy,
                                         double *step_imbalance) {
  size_t n_steps = results->run.n_steps;
  hid_t dataset = H5I_INVALID_HID;

  MB_TRY(open_dataset(results, strategy, "step_imbalance", H5T_FLOAT, 1, NULL, &dataset));
  mb_status status = read_rows(results, strategy, "step_imbalance", dataset, 1, 0, n_steps,
                               H5T_NATIVE_DOUBLE, step_imbalance);
  (void)H5Dclose(dataset);
  MB_TRY(status);
  for (size_t t = 0; t < n_steps; t++) {
    if (!is_ratio(step_imbalance[t])) {
      return bad_ratio(results, strategy, "step_imbalance", t, step_imbalance[t]);
    }
  }
  return MB_OK;
}

mb_status mb_results_read_imbalance(const mb_results *results, size_t strategy, size_t first,
                                    size_t n, float *imbalance) {
  size_t n_layers = results->run.n_layers;
  hid_t dataset = H5I_INVALID_HID;

  assert(n >= 1 && first + n <= results->run.n_steps);
  MB_TRY(open_dataset(results, strategy, "imbalance", H5T_FLOAT, 2, NULL, &dataset));
  mb_status status =
      read_rows(results, strategy, "imbalance", dataset, 2, first, n, H5T_NATIVE_FLOAT, imbalance);
  (void)H5Dclose(dataset);
  MB_TRY(status);
  for (size_t i = 0; i < n * n_layers; i++) {
    if (!is_ratio((double)imbalance[i])) {
      return bad_ratio(results, strategy, "imbalance", first + i / n_layers, (double)imbalance[i]);
    }
  }
  return MB_OK;
}

static mb_status check_effect_steps(const mb_results *results, size_t strategy, size_t n_plans,
                                    const int64_t *effect_step) {
  size_t n_steps = results->run.n_steps;

  for (size_t i = 0; i < n_plans * results->run.n_layers; i++) {
    if (effect_step[i] < -1 || effect_step[i] >= (int64_t)n_steps) {
      char object[OBJECT_SIZE];
      dataset_name(results, strategy, "plans/effect_step", object);
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: plan %zu has %" PRId64 "; should be in [-1, %zu]",
                     results->path, object, i / results->run.n_layers, effect_step[i], n_steps - 1);
    }
  }
  return MB_OK;
}

mb_status mb_results_read_effect_steps(const mb_results *results, size_t strategy, size_t *n_plans,
                                       int64_t **effect_step) {
  hid_t dataset = H5I_INVALID_HID;
  size_t plans = 0;
  int64_t *steps = NULL;

  MB_TRY(open_dataset(results, strategy, "plans/effect_step", H5T_INTEGER, 2, &plans, &dataset));
  mb_status status = MB_OK;
  if (plans > 0) {
    steps = calloc(plans * results->run.n_layers, sizeof *steps);
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu plans", plans);
    if (steps != NULL) {
      status = read_rows(results, strategy, "plans/effect_step", dataset, 2, 0, plans,
                         H5T_NATIVE_INT64, steps);
    }
  }
  (void)H5Dclose(dataset);
  if (status == MB_OK) {
    status = check_effect_steps(results, strategy, plans, steps);
  }
  if (status != MB_OK) {
    free(steps);
    return status;
  }
  *n_plans = plans;
  *effect_step = steps;
  return MB_OK;
}

/* --- plans --- */

mb_status mb_results_read_shape(const mb_results *results, mb_shape *shape) {
  char object[OBJECT_SIZE];
  mb_shape made = {.n_layers = results->run.n_layers};
  const struct {
    const char *name;
    size_t *value;
  } sizes[] = {{"n_experts", &made.n_experts},
               {"n_slots", &made.n_slots},
               {"n_groups", &made.n_groups},
               {"n_nodes", &made.n_nodes},
               {"n_gpus", &made.n_gpus}};

  (void)snprintf(object, sizeof object, "/runs/%s", results->name);
  hid_t group = H5Gopen2(results->file, object, H5P_DEFAULT);
  if (group < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the group is damaged", results->path, object);
  }
  mb_status status = MB_OK;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == MB_OK; i++) {
    status = read_size(results, group, object, sizes[i].name, 1, SIZES_MAX, sizes[i].value);
  }
  (void)H5Gclose(group);
  MB_TRY(status);
  status = mb_shape_check(&made);
  if (status != MB_OK) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: %s", results->path, object, mb_error_message());
  }
  *shape = made;
  return MB_OK;
}

/* Reads row k of a dataset of whole numbers, [K] or [K,L,P]. */
static mb_status read_plan_row(const mb_results *results, size_t strategy, const char *leaf,
                               const hsize_t row[3], int rank, size_t k, hid_t type, void *values) {
  hsize_t start[3] = {k, 0, 0};
  hsize_t count[3] = {1, row[1], row[2]};
  hsize_t got[3] = {0};
  char object[OBJECT_SIZE];

  dataset_name(results, strategy, leaf, object);
  hid_t dataset = H5Dopen2(results->file, object, H5P_DEFAULT);
  if (dataset < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the dataset is missing or damaged", results->path,
                   object);
  }
  hid_t stored = H5Dget_type(dataset);
  bool fits = H5Tget_class(stored) == H5T_INTEGER && has_shape(dataset, rank, row, got);
  (void)H5Tclose(stored);
  if (!fits || k >= got[0]) {
    (void)H5Dclose(dataset);
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: should be whole numbers of shape %s, a row a plan",
                   results->path, object, rank == 1 ? "[plans]" : "[plans,layers,slots]");
  }
  hid_t in_file = H5Dget_space(dataset);
  hid_t in_memory = H5Screate_simple(rank, count, NULL);
  bool read = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, values) >= 0;
  (void)H5Sclose(in_memory);
  (void)H5Sclose(in_file);
  (void)H5Dclose(dataset);
  return read ? MB_OK
              : MB_FAIL(MB_ERR_FORMAT, "%s: %s: plan %zu cannot be read: the file is damaged",
                        results->path, object, k);
}

static mb_status check_map(const mb_results *results, size_t strategy, size_t k,
                           const mb_shape *shape, const int32_t *map) {
  char object[OBJECT_SIZE];
  mb_status status = MB_OK;
  int32_t *count = calloc(shape->n_experts, sizeof *count);

  if (count == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu experts", shape->n_experts);
  }
  dataset_name(results, strategy, "plans/physical_to_logical_map", object);
  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    status = mb_placement_count(shape, map + l * shape->n_slots, count);
    if (status != MB_OK) {
      status = MB_FAIL(MB_ERR_FORMAT, "%s: %s: plan %zu, layer %" PRId32 ": %s", results->path,
                       object, k, results->layer_ids[l], mb_error_message());
    }
  }
  free(count);
  return status;
}

mb_status mb_results_read_plan(const mb_results *results, size_t strategy, size_t k,
                               const mb_shape *shape, int64_t *step, int32_t *map) {
  const hsize_t steps[3] = {0, 0, 0};
  const hsize_t rows[3] = {0, shape->n_layers, shape->n_slots};
  int64_t made = 0;

  MB_TRY(read_plan_row(results, strategy, "plans/step", steps, 1, k, H5T_NATIVE_INT64, &made));
  MB_TRY(read_plan_row(results, strategy, "plans/physical_to_logical_map", rows, 3, k,
                       H5T_NATIVE_INT32, map));
  MB_TRY(check_map(results, strategy, k, shape, map));
  *step = made;
  return MB_OK;
}

/* Reads all plans of a strategy, and forgets them. */
static mb_status read_plans(const mb_results *results, size_t strategy) {
  size_t n_plans = 0;
  int64_t *effect_step = NULL;
  mb_shape shape;
  int64_t step = 0;

  MB_TRY(mb_results_read_effect_steps(results, strategy, &n_plans, &effect_step));
  free(effect_step);
  MB_TRY(mb_results_read_shape(results, &shape));
  int32_t *map = malloc(shape.n_layers * shape.n_slots * sizeof *map);
  mb_status status = map != NULL ? MB_OK
                                 : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu slots",
                                           shape.n_layers, shape.n_slots);
  for (size_t k = 0; k < n_plans && status == MB_OK; k++) {
    status = mb_results_read_plan(results, strategy, k, &shape, &step, map);
  }
  free(map);
  return status;
}

static mb_status find_label(const mb_results *results, const char *label, size_t *strategy) {
  const mb_results_run *run = &results->run;
  char known[512] = "";

  for (size_t i = 0; i < run->n_strategies; i++) {
    size_t used = strlen(known);
    if (strcmp(run->labels[i], label) == 0) {
      *strategy = i;
      return MB_OK;
    }
    (void)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", run->labels[i]);
  }
  return MB_FAIL(MB_ERR_PARAM, "%s: run %s has no strategy '%.64s'; it has %s", results->path,
                 run->name, label, known);
}

/* --- opening --- */

static mb_status check_format(const mb_results *results) {
  size_t count = 0;
  size_t version = 0;
  char **format = NULL;

  MB_TRY(read_texts(results, results->file, "/", "format", 1, &count, &format));
  bool ours = strcmp(format[0], "moebal-results") == 0;
  free_texts(count, format);
  if (!ours) {
    return bad_attribute(results, "/", "format", "is not moebal-results; `moebal run` writes such");
  }
  MB_TRY(read_size(results, results->file, "/", "version", 1, INT32_MAX, &version));
  if (version > RESULTS_VERSION) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: version %zu; this moebal reads up to version %d",
                   results->path, version, RESULTS_VERSION);
  }
  return MB_OK;
}

typedef struct run_list {
  size_t count;
  char last[NAME_SIZE];
  char names[512]; /* as many as fit, separated by commas */
} run_list;

/* Names get into messages and paths of objects. */
static bool is_name(const char *name) {
  size_t length = strnlen(name, NAME_SIZE);

  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)name[i] < ' ' || name[i] == 0x7f || name[i] == '/') {
      return false;
    }
  }
  return length > 0 && length < NAME_SIZE && strcmp(name, ".") != 0;
}

static herr_t list_run(hid_t group, const char *name, const H5L_info_t *info, void *context) {
  run_list *list = context;
  size_t used = strlen(list->names);

  (void)group;
  (void)info;
  if (!is_name(name)) {
    return 0;
  }
  (void)snprintf(list->last, sizeof list->last, "%s", name);
  (void)snprintf(list->names + used, sizeof list->names - used, "%s%s",
                 list->count == 0 ? "" : ", ", name);
  list->count++;
  return 0;
}

/* Finds the run's name: the one asked for, or the only one. */
static mb_status choose_run(mb_results *results, const char *run) {
  run_list list = {.count = 0};
  hid_t group = H5Gopen2(results->file, "/runs", H5P_DEFAULT);
  bool listed =
      group >= 0 && H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, list_run, &list) >= 0;
  bool there = listed && run != NULL && is_name(run) && H5Lexists(group, run, H5P_DEFAULT) > 0;

  (void)H5Gclose(group);
  if (!listed || list.count == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /runs: there are no runs in it", results->path);
  }
  if (run != NULL && !there) {
    return MB_FAIL(MB_ERR_PARAM, "%s: there is no run '%s'; there is %s", results->path, run,
                   list.names);
  }
  if (run == NULL && list.count > 1) {
    return MB_FAIL(MB_ERR_PARAM, "%s: there are %zu runs, name one of them: %s", results->path,
                   list.count, list.names);
  }
  (void)snprintf(results->name, sizeof results->name, "%s", run != NULL ? run : list.last);
  results->run.name = results->name;
  return MB_OK;
}

static mb_status check_labels(const mb_results *results, const char *object) {
  for (size_t i = 0; i < results->run.n_strategies; i++) {
    const char *label = results->labels[i];
    size_t length = strlen(label);
    bool fine = length > 0 && length < NAME_SIZE && strcmp(label, ".") != 0 &&
                strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == length;
    for (size_t j = 0; fine && j < i; j++) {
      fine = strcmp(label, results->labels[j]) != 0;
    }
    if (!fine) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: %s: attribute strategies: label %zu is not a name of its own of "
                     "[a-z0-9_.-]+",
                     results->path, object, i);
    }
  }
  return MB_OK;
}

static mb_status read_run_attributes(mb_results *results, hid_t group, const char *object) {
  mb_results_run *run = &results->run;

  MB_TRY(read_size(results, group, object, "n_steps", 1, STEPS_MAX, &run->n_steps));
  MB_TRY(read_size(results, group, object, "n_layers", 1, LAYERS_MAX, &run->n_layers));
  MB_TRY(
      read_size(results, group, object, "summary_from", 0, run->n_steps - 1, &run->summary_from));
  results->layer_ids = calloc(run->n_layers, sizeof *results->layer_ids);
  if (results->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", run->n_layers);
  }
  MB_TRY(read_integers(results, group, object, "layer_ids", H5T_NATIVE_INT32, run->n_layers,
                       results->layer_ids));
  MB_TRY(read_texts(results, group, object, "strategies", LABELS_MAX, &run->n_strategies,
                    &results->labels));
  run->layer_ids = results->layer_ids;
  run->labels = (const char *const *)results->labels;
  return check_labels(results, object);
}

static mb_status check_datasets(const mb_results *results) {
  for (size_t i = 0; i < results->run.n_strategies; i++) {
    hid_t dataset = H5I_INVALID_HID;
    size_t n_plans = 0;
    MB_TRY(open_dataset(results, i, "step_imbalance", H5T_FLOAT, 1, NULL, &dataset));
    (void)H5Dclose(dataset);
    MB_TRY(open_dataset(results, i, "imbalance", H5T_FLOAT, 2, NULL, &dataset));
    (void)H5Dclose(dataset);
    MB_TRY(open_dataset(results, i, "plans/effect_step", H5T_INTEGER, 2, &n_plans, &dataset));
    (void)H5Dclose(dataset);
  }
  return MB_OK;
}

/* Whether the path is a file that may be read, before anything is made of its contents. */
static mb_status check_file(const char *path) {
  struct stat there;
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (file < 0 || fstat(file, &there) != 0) {
    int why = errno;
    if (file >= 0) {
      (void)close(file);
    }
    return MB_FAIL(MB_ERR_IO, "%s: %s", path, strerror(why));
  }
  (void)close(file);
  return S_ISREG(there.st_mode) ? MB_OK : MB_FAIL(MB_ERR_IO, "%s: is not a file", path);
}

static mb_status open_file(mb_results *results) {
  if (H5Fis_hdf5(results->path) <= 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: not an HDF5 file; `moebal run` writes results",
                   results->path);
  }
  results->file = H5Fopen(results->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (results->file < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: damaged or cut short, HDF5 cannot open it", results->path);
  }
  return MB_OK;
}

static mb_status read_results(mb_results *results, const char *run) {
  char object[OBJECT_SIZE];

  MB_TRY(open_file(results));
  MB_TRY(check_format(results));
  MB_TRY(choose_run(results, run));
  (void)snprintf(object, sizeof object, "/runs/%s", results->name);
  hid_t group = H5Gopen2(results->file, object, H5P_DEFAULT);
  if (group < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the group is damaged", results->path, object);
  }
  mb_status status = read_run_attributes(results, group, object);
  (void)H5Gclose(group);
  MB_TRY(status);
  return check_datasets(results);
}

static mb_status open_results(const char *path, const char *run, mb_results **results) {
  mb_results *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  made->file = H5I_INVALID_HID;
  made->path = strdup(path);
  mb_status status = MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  if (made->path != NULL) {
    status = read_results(made, run);
  }
  if (status != MB_OK) {
    mb_results_destroy(made);
    return status;
  }
  *results = made;
  return MB_OK;
}

/* --- the probe --- */

/* Reads all that the figures are made of. */
static mb_status read_everything(const mb_results *results) {
  const mb_results_run *run = &results->run;
  double *steps = malloc(run->n_steps * sizeof *steps);
  float *layers = malloc(PROBE_STEPS * run->n_layers * sizeof *layers);
  mb_status status = steps == NULL || layers == NULL
                         ? MB_FAIL(MB_ERR_MEMORY, "no memory to check %s", results->path)
                         : MB_OK;

  for (size_t i = 0; status == MB_OK && i < run->n_strategies; i++) {
    size_t n_plans = 0;
    int64_t *effect_step = NULL;
    status = mb_results_read_step_imbalance(results, i, steps);
    if (status == MB_OK) {
      status = mb_results_read_effect_steps(results, i, &n_plans, &effect_step);
    }
    free(effect_step);
    for (size_t t = 0; status == MB_OK && t < run->n_steps; t += PROBE_STEPS) {
      size_t left = run->n_steps - t;
      status =
          mb_results_read_imbalance(results, i, t, left < PROBE_STEPS ? left : PROBE_STEPS, layers);
    }
  }
  free(layers);
  free(steps);
  return status;
}

typedef struct errand {
  const char *path, *run;
  const char
      *label; /* of the strategy whose plans are wanted; NULL: what the figures are made of */
} errand;

/* In the child. */
static mb_status check_all(void *data) {
  const errand *asked = data;
  mb_results *results = NULL;
  size_t strategy = 0;

  MB_TRY(open_results(asked->path, asked->run, &results));
  mb_status status = MB_OK;
  if (asked->label == NULL) {
    status = read_everything(results);
  } else {
    status = find_label(results, asked->label, &strategy);
    status = status == MB_OK ? read_plans(results, strategy) : status;
  }
  mb_results_destroy(results);
  return status;
}

static mb_status open_checked(errand *asked, mb_results **results) {
  const mb_probe_limits limits = {PROBE_SECONDS, (uint64_t)1 << 30};

  MB_TRY(check_file(asked->path));
  MB_TRY(mb_probe(asked->path, limits, check_all, asked));
  return open_results(asked->path, asked->run, results);
}

mb_status mb_results_open(const char *path, const char *run, mb_results **results) {
  errand asked = {path, run, NULL};

  return open_checked(&asked, results);
}

mb_status mb_results_open_plans(const char *path, const char *run, const char *label,
                                mb_results **results, size_t *strategy, size_t *n_plans) {
  errand asked = {path, run, label};
  hid_t dataset = H5I_INVALID_HID;
  mb_results *made = NULL;
  size_t found = 0;
  size_t count = 0;

  MB_TRY(open_checked(&asked, &made));
  mb_status status = find_label(made, label, &found);
  if (status == MB_OK) {
    status = open_dataset(made, found, "plans/effect_step", H5T_INTEGER, 2, &count, &dataset);
  }
  if (status != MB_OK) {
    mb_results_destroy(made);
    return status;
  }
  (void)H5Dclose(dataset);
  *results = made;
  *strategy = found;
  *n_plans = count;
  return MB_OK;
}

void mb_results_destroy(mb_results *results) {
  if (results == NULL) {
    return;
  }
  if (results->file >= 0) {
    (void)H5Fclose(results->file);
  }
  free_texts(results->run.n_strategies, results->labels);
  free(results->layer_ids);
  free(results->path);
  free(results);
}

const mb_results_run *mb_results_get_run(const mb_results *results) {
  return &results->run;
}
