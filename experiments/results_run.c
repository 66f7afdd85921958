/* experiments/results_run.c */
#include "experiments/results_run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/results_write.h"
#include "workloads/probe.h"

enum {
  STEPS_MAX = 1 << 28,
  LAYERS_MAX = 1 << 20,
  LABELS_MAX = 4096,
  PROBE_SECONDS = 60,
  PROBE_BYTES_A_SECOND = 1 << 20, /* no disk is that slow, but a byte may stand for a thousand */
  PROBE_STEPS = 64,               /* steps of imbalance that it reads at a time */
};

void mb_results_leaf(const mb_results *results, size_t strategy, const char *leaf,
                     char object[MB_RESULTS_OBJECT_SIZE]) {
  (void)snprintf(object, MB_RESULTS_OBJECT_SIZE, "/runs/%s/%s/%s", results->name,
                 results->labels[strategy], leaf);
}

bool mb_results_has_object(const mb_results *results, const char *object) {
  char part[MB_RESULTS_OBJECT_SIZE];

  /* HDF5 wants to be asked a group at a time. */
  for (const char *end = strchr(object + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
    (void)snprintf(part, sizeof part, "%.*s", (int)(end - object), object);
    if (H5Lexists(results->file, part, H5P_DEFAULT) <= 0) {
      return false;
    }
  }
  return H5Lexists(results->file, object, H5P_DEFAULT) > 0;
}

bool mb_results_is_ratio(double value) {
  return isnan(value) || (isfinite(value) && value >= 1.0 - 1e-6);
}

/* --- the file --- */

static mb_status check_format(const char *path, hid_t file) {
  const mb_results_object root = {path, "/", file};
  size_t version = 0;
  char *format = NULL;

  MB_TRY(mb_results_attribute_text(&root, "format", &format));
  bool ours = strcmp(format, "moebal-results") == 0;
  bool is_trace = strcmp(format, "moebal-trace") == 0;
  free(format);
  if (is_trace) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a trace; `moebal run` writes results of it", path);
  }
  if (!ours) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /: attribute format is not moebal-results; `moebal run` writes such", path);
  }
  MB_TRY(mb_results_attribute_size(&root, "version", 1, INT32_MAX, &version));
  if (version > MB_RESULTS_VERSION) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: version %zu; this moebal reads up to version %d", path,
                   version, MB_RESULTS_VERSION);
  }
  return MB_OK;
}

mb_status mb_results_open_hdf5(const char *path, hid_t *file) {
  if (H5Fis_hdf5(path) <= 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: not an HDF5 file; `moebal run` writes results", path);
  }
  hid_t found = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (found < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: damaged or cut short, HDF5 cannot open it", path);
  }
  mb_status status = check_format(path, found);
  if (status != MB_OK) {
    (void)H5Fclose(found);
    return status;
  }
  *file = found;
  return MB_OK;
}

typedef struct run_list {
  size_t count;
  size_t room;
  char **names;
} run_list;

/* @return as H5Literate() wants it: < 0 stops. */
static herr_t list_run(hid_t group, const char *name, const H5L_info_t *info, void *context) {
  run_list *list = context;

  (void)group;
  (void)info;
  if (!mb_results_is_name(name)) {
    return 0;
  }
  if (list->count == list->room) {
    return -1;
  }
  list->names[list->count] = strdup(name);
  return list->names[list->count++] != NULL ? 0 : -1;
}

mb_status mb_results_list_runs(const char *path, hid_t file, size_t *count, char ***names) {
  run_list list = {.room = MB_RESULTS_RUNS_MAX};
  hid_t group = H5Gopen2(file, "/runs", H5P_DEFAULT);
  H5G_info_t info = {.nlinks = 0};

  if (group < 0 || H5Gget_info(group, &info) < 0) {
    (void)H5Gclose(group);
    return MB_FAIL(MB_ERR_FORMAT, "%s: /runs: there are no runs in it", path);
  }
  if (info.nlinks == 0) {
    (void)H5Gclose(group);
    *count = 0;
    *names = NULL;
    return MB_OK;
  }
  list.room = info.nlinks < MB_RESULTS_RUNS_MAX ? (size_t)info.nlinks : MB_RESULTS_RUNS_MAX;
  list.names = calloc(list.room, sizeof *list.names);
  bool listed = list.names != NULL &&
                H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, list_run, &list) >= 0;
  (void)H5Gclose(group);
  if (!listed) {
    mb_results_texts_free(list.count, list.names);
    return MB_FAIL(MB_ERR_FORMAT, "%s: /runs: should be a group of at most %d runs", path,
                   MB_RESULTS_RUNS_MAX);
  }
  *count = list.count;
  *names = list.names;
  return MB_OK;
}

/* Whether the path is a file that may be read, before anything is made of its contents. */
static mb_status check_file(const char *path, uint64_t *n_bytes) {
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
  *n_bytes = (uint64_t)there.st_size;
  return S_ISREG(there.st_mode) ? MB_OK : MB_FAIL(MB_ERR_IO, "%s: is not a file", path);
}

mb_status mb_results_probe(const char *path, mb_status (*work)(void *data), void *data) {
  uint64_t n_bytes = 0;

  MB_TRY(check_file(path, &n_bytes));
  const mb_probe_limits limits = {PROBE_SECONDS + (unsigned)(n_bytes / PROBE_BYTES_A_SECOND),
                                  (uint64_t)1 << 30};
  return mb_probe(path, limits, work, data);
}

/* --- a run --- */

static mb_status check_labels(const mb_results *results, const char *object) {
  for (size_t i = 0; i < results->run.n_strategies; i++) {
    const char *label = results->labels[i];
    size_t length = strlen(label);
    bool fine = length > 0 && length < MB_RESULTS_NAME_SIZE && strcmp(label, ".") != 0 &&
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

static mb_status read_layers(mb_results *results, const mb_results_object *group) {
  mb_results_run *run = &results->run;

  MB_TRY(mb_results_attribute_size(group, "n_layers", 1, LAYERS_MAX, &run->n_layers));
  results->layer_ids = calloc(run->n_layers, sizeof *results->layer_ids);
  if (results->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu layers", results->path, run->n_layers);
  }
  MB_TRY(mb_results_attribute_integers(group, "layer_ids", H5T_NATIVE_INT32, run->n_layers,
                                       results->layer_ids));
  run->layer_ids = results->layer_ids;
  return MB_OK;
}

static mb_status read_text(const mb_results_object *group, const char *name, char **own,
                           const char **text) {
  MB_TRY(mb_results_attribute_text(group, name, own));
  if (!mb_results_is_printable(*own)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: attribute %s has control characters", group->path,
                   group->name, name);
  }
  *text = *own;
  return MB_OK;
}

/* What files of older versions do not say keeps its default. */
static mb_status read_newer_attributes(const mb_results_object *group, mb_results_run *run) {
  int64_t seed = -1;

  run->merge = 1;
  if (mb_results_has_attribute(group, "relabel")) {
    MB_TRY(mb_results_attribute_size(group, "relabel", 0, INT64_MAX, &run->relabel));
  }
  if (mb_results_has_attribute(group, "merge")) {
    MB_TRY(mb_results_attribute_size(group, "merge", 1, INT64_MAX, &run->merge));
  }
  if (mb_results_has_attribute(group, "request_lifetime")) {
    MB_TRY(
        mb_results_attribute_size(group, "request_lifetime", 0, INT64_MAX, &run->request_lifetime));
  }
  if (mb_results_has_attribute(group, "expert_bytes")) {
    MB_TRY(mb_results_attribute_amount(group, "expert_bytes", &run->expert_bytes));
  }
  if (mb_results_has_attribute(group, "top_k")) {
    MB_TRY(mb_results_attribute_size(group, "top_k", 0, INT64_MAX, &run->top_k));
  }
  if (mb_results_has_attribute(group, "seed")) {
    MB_TRY(mb_results_attribute_integers(group, "seed", H5T_NATIVE_INT64, 1, &seed));
  }
  run->seed = seed;
  return MB_OK;
}

static mb_status read_attributes(mb_results *results, const mb_results_object *group) {
  mb_results_run *run = &results->run;

  MB_TRY(mb_results_attribute_size(group, "n_steps", 1, STEPS_MAX, &run->n_steps));
  MB_TRY(read_layers(results, group));
  MB_TRY(mb_results_attribute_size(group, "summary_from", 0, run->n_steps - 1, &run->summary_from));
  MB_TRY(mb_results_attribute_size(group, "interval", 1, INT64_MAX, &run->interval));
  MB_TRY(mb_results_attribute_size(group, "window", 1, INT64_MAX, &run->window));
  MB_TRY(mb_results_attribute_size(group, "delay", 0, run->interval - 1, &run->delay));
  MB_TRY(read_text(group, "trace", &results->trace, &run->trace));
  MB_TRY(read_text(group, "model", &results->model, &run->model));
  MB_TRY(read_text(group, "phase", &results->phase, &run->phase));
  MB_TRY(read_newer_attributes(group, run));
  MB_TRY(mb_results_attribute_texts(group, "strategies", LABELS_MAX, &run->n_strategies,
                                    &results->labels));
  run->labels = (const char *const *)results->labels;
  return check_labels(results, group->name);
}

static mb_status check_datasets(const mb_results *results) {
  const hsize_t steps[2] = {results->run.n_steps, results->run.n_layers};
  const hsize_t plans[2] = {0, results->run.n_layers};
  const struct {
    const char *name;
    H5T_class_t kind;
    int rank;
    const hsize_t *size;
  } wanted[] = {{"step_imbalance", H5T_FLOAT, 1, steps},
                {"imbalance", H5T_FLOAT, 2, steps},
                {"plans/effect_step", H5T_INTEGER, 2, plans}};

  for (size_t i = 0; i < results->run.n_strategies; i++) {
    for (size_t j = 0; j < sizeof wanted / sizeof *wanted; j++) {
      char object[MB_RESULTS_OBJECT_SIZE];
      mb_results_dataset dataset;
      mb_results_leaf(results, i, wanted[j].name, object);
      MB_TRY(mb_results_dataset_open(results->path, results->file, object, wanted[j].kind,
                                     wanted[j].rank, wanted[j].size, results->run.n_steps,
                                     &dataset));
      mb_results_dataset_close(&dataset);
    }
  }
  return MB_OK;
}

static mb_status read_run(mb_results *results) {
  char name[MB_RESULTS_OBJECT_SIZE];

  (void)snprintf(name, sizeof name, "/runs/%s", results->name);
  const mb_results_object group = {results->path, name, H5Gopen2(results->file, name, H5P_DEFAULT)};
  if (group.id < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the group is damaged", results->path, name);
  }
  mb_status status = read_attributes(results, &group);
  (void)H5Gclose(group.id);
  MB_TRY(status);
  MB_TRY(check_datasets(results));
  if (results->summaries != NULL) {
    return MB_OK;
  }
  results->summaries = &results->own;
  return mb_results_summaries_read(results->path, results->file, &results->own);
}

mb_status mb_results_open_run(const char *path, hid_t file, const char *run,
                              const mb_results_summaries *summaries, mb_results **results) {
  mb_results *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  made->file = H5Iinc_ref(file) > 0 ? file : H5I_INVALID_HID;
  made->path = strdup(path);
  made->summaries = summaries;
  (void)snprintf(made->name, sizeof made->name, "%s", run);
  made->run.name = made->name;
  mb_status status = made->path != NULL && made->file >= 0
                         ? read_run(made)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  if (status != MB_OK) {
    mb_results_destroy(made);
    return status;
  }
  *results = made;
  return MB_OK;
}

void mb_results_destroy(mb_results *results) {
  if (results == NULL) {
    return;
  }
  if (results->file >= 0) {
    (void)H5Fclose(results->file);
  }
  mb_results_summaries_fini(&results->own);
  mb_results_texts_free(results->run.n_strategies, results->labels);
  free(results->layer_ids);
  free(results->trace);
  free(results->model);
  free(results->phase);
  free(results->path);
  free(results);
}

const mb_results_run *mb_results_get_run(const mb_results *results) {
  return &results->run;
}

/* --- reading everything --- */

static mb_status check_strategy(const mb_results *results, size_t strategy, double *steps,
                                float *layers) {
  const mb_results_run *run = &results->run;

  MB_TRY(mb_results_read_step_imbalance(results, strategy, steps));
  for (size_t t = 0; t < run->n_steps; t += PROBE_STEPS) {
    size_t left = run->n_steps - t;
    MB_TRY(mb_results_read_imbalance(results, strategy, t, left < PROBE_STEPS ? left : PROBE_STEPS,
                                     layers));
  }
  return MB_OK;
}

static mb_status check_strategies(const mb_results *results, bool maps, double *steps,
                                  float *layers) {
  char object[MB_RESULTS_OBJECT_SIZE];

  (void)snprintf(object, sizeof object, "/runs/%s/step_load", results->name);
  if (mb_results_has_object(results, object)) {
    MB_TRY(mb_results_read_step_load(results, steps));
  }
  for (size_t i = 0; i < results->run.n_strategies; i++) {
    MB_TRY(check_strategy(results, i, steps, layers));
    mb_results_leaf(results, i, "plans/physical_to_logical_map", object);
    MB_TRY(mb_results_check_plans(results, i, maps && mb_results_has_object(results, object)));
    if (results->summaries->n_rows > 0) {
      mb_replay_summary summary;
      MB_TRY(mb_results_read_summary(results, i, &summary));
    }
  }
  return MB_OK;
}

mb_status mb_results_check_run(const mb_results *results, bool maps) {
  double *steps = malloc(results->run.n_steps * sizeof *steps);
  float *layers = malloc(PROBE_STEPS * results->run.n_layers * sizeof *layers);
  mb_status status = steps != NULL && layers != NULL
                         ? check_strategies(results, maps, steps, layers)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory to check %s", results->path);

  free(layers);
  free(steps);
  return status;
}
