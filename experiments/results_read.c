/* experiments/results_read.c - a file's one run, and its steps. results_run.c opens,
 * results_plans.c reads plans. */
#include "experiments/results_read.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/results_run.h"

/* --- steps --- */

static mb_status bad_value(const mb_results_dataset *dataset, size_t step, double value,
                           const char *right) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: step %zu has %g; should be %s", dataset->path,
                 dataset->name, step, value, right);
}

static mb_status read_steps(const mb_results *results, const char *object, bool ratio,
                            double *values) {
  const hsize_t size = results->run.n_steps;
  mb_results_dataset dataset;

  MB_TRY(mb_results_dataset_open(results->path, results->file, object, H5T_FLOAT, 1, &size, 0,
                                 &dataset));
  mb_status status = mb_results_dataset_read(&dataset, 0, size, H5T_NATIVE_DOUBLE, values);
  mb_results_dataset_close(&dataset);
  MB_TRY(status);
  for (size_t t = 0; t < size; t++) {
    bool fine = ratio ? mb_results_is_ratio(values[t]) : isfinite(values[t]) && values[t] >= 0.0;
    if (!fine) {
      return bad_value(&dataset, t, values[t], ratio ? "NaN or at least 1" : "at least 0");
    }
  }
  return MB_OK;
}

mb_status mb_results_read_step_imbalance(const mb_results *results, size_t strategy,
                                         double *step_imbalance) {
  char object[MB_RESULTS_OBJECT_SIZE];

  mb_results_leaf(results, strategy, "step_imbalance", object);
  return read_steps(results, object, true, step_imbalance);
}

mb_status mb_results_read_step_load(const mb_results *results, double *step_load) {
  char object[MB_RESULTS_OBJECT_SIZE];

  (void)snprintf(object, sizeof object, "/runs/%s/step_load", results->name);
  if (!mb_results_has_object(results, object)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: %s: the dataset is missing: an older moebal wrote the file; run its config "
                   "again",
                   results->path, object);
  }
  return read_steps(results, object, false, step_load);
}

mb_status mb_results_read_imbalance(const mb_results *results, size_t strategy, size_t first,
                                    size_t n, float *imbalance) {
  const hsize_t size[2] = {results->run.n_steps, results->run.n_layers};
  char object[MB_RESULTS_OBJECT_SIZE];
  mb_results_dataset dataset;

  assert(n >= 1 && first + n <= results->run.n_steps);
  mb_results_leaf(results, strategy, "imbalance", object);
  MB_TRY(mb_results_dataset_open(results->path, results->file, object, H5T_FLOAT, 2, size, 0,
                                 &dataset));
  mb_status status = mb_results_dataset_read(&dataset, first, n, H5T_NATIVE_FLOAT, imbalance);
  mb_results_dataset_close(&dataset);
  MB_TRY(status);
  for (size_t i = 0; i < n * results->run.n_layers; i++) {
    if (!mb_results_is_ratio((double)imbalance[i])) {
      return bad_value(&dataset, first + i / results->run.n_layers, (double)imbalance[i],
                       "NaN or at least 1");
    }
  }
  return MB_OK;
}

/* --- summary --- */

static mb_status find_layer(const mb_results *results, int64_t number, size_t *layer) {
  for (size_t l = 0; l < results->run.n_layers; l++) {
    if (results->layer_ids[l] == number) {
      *layer = l;
      return MB_OK;
    }
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: /summary: run %s has no layer %lld", results->path,
                 results->name, (long long)number);
}

mb_status mb_results_read_summary(const mb_results *results, size_t strategy,
                                  mb_replay_summary *summary) {
  const char *label = results->labels[strategy];
  const mb_results_summary *row =
      mb_results_summaries_find(results->summaries, results->name, label);

  if (row == NULL) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /summary: there is no row of run %s and strategy %s",
                   results->path, results->name, label);
  }
  mb_replay_summary found = row->summary;
  MB_TRY(find_layer(results, row->worst_layer, &found.worst_layer));
  MB_TRY(mb_results_planner_seconds(results, strategy, &found.planner_seconds));
  *summary = found;
  return MB_OK;
}

/* --- opening --- */

/* "a, b, c", as many as fit. */
static void list_names(size_t count, const char *const *names, char *buffer, size_t size) {
  size_t used = 0;

  buffer[0] = '\0';
  for (size_t i = 0; i < count && used < size; i++) {
    int length = snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
    used += length > 0 ? (size_t)length : 0;
  }
}

/* The run's name: the one asked for, or the only one. */
static mb_status choose_run(const char *path, const char *run, size_t count,
                            const char *const *names, const char **name) {
  char known[512];

  if (count == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /runs: there are no runs in it", path);
  }
  list_names(count, names, known, sizeof known);
  if (run == NULL && count > 1) {
    return MB_FAIL(MB_ERR_PARAM, "%s: there are %zu runs, name one of them: %s", path, count,
                   known);
  }
  for (size_t i = 0; i < count; i++) {
    if (run == NULL || strcmp(run, names[i]) == 0) {
      *name = names[i];
      return MB_OK;
    }
  }
  return MB_FAIL(MB_ERR_PARAM, "%s: there is no run '%.128s'; there is %s", path, run, known);
}

static mb_status open_in(const char *path, hid_t file, const char *run, mb_results **results) {
  size_t count = 0;
  char **names = NULL;
  const char *name = NULL;

  MB_TRY(mb_results_list_runs(path, file, &count, &names));
  mb_status status = choose_run(path, run, count, (const char *const *)names, &name);
  if (status == MB_OK) {
    status = mb_results_open_run(path, file, name, NULL, results);
  }
  mb_results_texts_free(count, names);
  return status;
}

static mb_status open_results(const char *path, const char *run, mb_results **results) {
  hid_t file = H5I_INVALID_HID;

  MB_TRY(mb_results_open_hdf5(path, &file));
  mb_status status = open_in(path, file, run, results);
  (void)H5Fclose(file); /* the run has a reference of its own */
  return status;
}

static mb_status find_label(const mb_results *results, const char *label, size_t *strategy) {
  const mb_results_run *run = &results->run;
  char known[512];

  for (size_t i = 0; i < run->n_strategies; i++) {
    if (strcmp(run->labels[i], label) == 0) {
      *strategy = i;
      return MB_OK;
    }
  }
  list_names(run->n_strategies, run->labels, known, sizeof known);
  return MB_FAIL(MB_ERR_PARAM, "%s: run %s has no strategy '%.64s'; it has %s", results->path,
                 run->name, label, known);
}

typedef struct errand {
  const char *path, *run;
  const char *label; /* of the strategy whose plans are wanted; NULL: all but the plans' maps */
} errand;

/* In the child. */
static mb_status check_all(void *data) {
  const errand *asked = data;
  mb_results *results = NULL;
  size_t strategy = 0;

  MB_TRY(open_results(asked->path, asked->run, &results));
  mb_status status = MB_OK;
  if (asked->label == NULL) {
    status = mb_results_check_run(results, false);
  } else {
    status = find_label(results, asked->label, &strategy);
    status = status == MB_OK ? mb_results_check_plans(results, strategy, true) : status;
  }
  mb_results_destroy(results);
  return status;
}

static mb_status open_checked(errand *asked, mb_results **results) {
  MB_TRY(mb_results_probe(asked->path, check_all, asked));
  return open_results(asked->path, asked->run, results);
}

mb_status mb_results_open(const char *path, const char *run, mb_results **results) {
  errand asked = {path, run, NULL};

  return open_checked(&asked, results);
}

mb_status mb_results_open_plans(const char *path, const char *run, const char *label,
                                mb_results **results, size_t *strategy, size_t *n_plans) {
  errand asked = {path, run, label};
  mb_results *made = NULL;
  size_t found = 0;
  size_t count = 0;
  int64_t *effect_step = NULL;

  MB_TRY(open_checked(&asked, &made));
  mb_status status = find_label(made, label, &found);
  if (status == MB_OK) {
    status = mb_results_read_effect_steps(made, found, &count, &effect_step);
  }
  free(effect_step);
  if (status != MB_OK) {
    mb_results_destroy(made);
    return status;
  }
  *results = made;
  *strategy = found;
  *n_plans = count;
  return MB_OK;
}
