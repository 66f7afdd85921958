/* experiments/results_attribution.c - where the excess of a run's intervals comes from. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiments/results_run.h"

bool mb_results_has_attribution(const mb_results *results, size_t strategy) {
  char object[MB_RESULTS_OBJECT_SIZE];

  mb_results_leaf(results, strategy, "attribution/excess", object);
  return mb_results_has_object(results, object);
}

/* @param n_intervals SIZE_MAX: any, and it is set. @param values [n] Transferred: free() them. */
static mb_status read_column(const mb_results *results, size_t strategy, const char *leaf,
                             H5T_class_t kind, size_t *n_intervals, void **values) {
  const hsize_t want[MB_RESULTS_RANK_MAX] = {0};
  hid_t type = kind == H5T_INTEGER ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
  char object[MB_RESULTS_OBJECT_SIZE];
  mb_results_dataset dataset;

  mb_results_leaf(results, strategy, leaf, object);
  if (!mb_results_has_object(results, object)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the dataset is missing or damaged", results->path,
                   object);
  }
  MB_TRY(mb_results_dataset_open(results->path, results->file, object, kind, 1, want,
                                 results->run.n_steps, &dataset));
  size_t n = (size_t)dataset.size[0];
  mb_status status = MB_OK;
  void *found = calloc(n + 1, sizeof(double));
  if (found == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for %zu intervals", n);
  } else if (*n_intervals != SIZE_MAX && *n_intervals != n) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: %s: has %zu intervals, but step has %zu", results->path,
                     object, n, *n_intervals);
  } else {
    status = mb_results_dataset_read(&dataset, 0, n, type, found);
  }
  mb_results_dataset_close(&dataset);
  if (status != MB_OK) {
    free(found);
    return status;
  }
  *n_intervals = n;
  *values = found;
  return MB_OK;
}

static mb_status read_numbers(const mb_results *results, size_t strategy, const char *leaf,
                              size_t *n_intervals, double **values) {
  char object[MB_RESULTS_OBJECT_SIZE];
  void *found = NULL;

  MB_TRY(read_column(results, strategy, leaf, H5T_FLOAT, n_intervals, &found));
  *values = found;
  for (size_t i = 0; i < *n_intervals; i++) {
    if (!isfinite((*values)[i])) {
      mb_results_leaf(results, strategy, leaf, object);
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: interval %zu has %g; should be finite", results->path,
                     object, i, (*values)[i]);
    }
  }
  return MB_OK;
}

static mb_status read_parts(const mb_results *results, size_t strategy, const char *group,
                            size_t *n_intervals, double *parts[MB_N_PARTS]) {
  for (size_t i = 0; i < MB_N_PARTS; i++) {
    char leaf[64];
    (void)snprintf(leaf, sizeof leaf, "%s/%s", group, mb_attribution_parts()[i].name);
    MB_TRY(read_numbers(results, strategy, leaf, n_intervals, &parts[i]));
  }
  return MB_OK;
}

/* Intervals follow each other and lie within the run, and weigh something. */
static mb_status check(const mb_results *results, size_t strategy,
                       const mb_results_attribution *read) {
  char object[MB_RESULTS_OBJECT_SIZE];
  int64_t last = 0;

  mb_results_leaf(results, strategy, "attribution", object);
  for (size_t i = 0; i < read->n_intervals; i++) {
    int64_t n_steps = (int64_t)results->run.n_steps;
    if (read->step[i] < last || read->n_steps[i] < 1 || read->step[i] >= n_steps ||
        read->n_steps[i] > n_steps - read->step[i] || read->load[i] <= 0.0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: %s: interval %zu should have load, and lie behind the one before it and "
                     "within %zu steps",
                     results->path, object, i, results->run.n_steps);
    }
    last = read->step[i] + read->n_steps[i];
  }
  return MB_OK;
}

mb_status mb_results_read_attribution(const mb_results *results, size_t strategy,
                                      mb_results_attribution *attribution) {
  mb_results_attribution read = {.n_intervals = SIZE_MAX};
  size_t *n = &read.n_intervals;
  void *steps = NULL;
  void *lengths = NULL;

  mb_status status = read_column(results, strategy, "attribution/step", H5T_INTEGER, n, &steps);
  read.step = steps;
  if (status == MB_OK) {
    status = read_column(results, strategy, "attribution/n_steps", H5T_INTEGER, n, &lengths);
    read.n_steps = lengths;
  }
  if (status == MB_OK) {
    status = read_numbers(results, strategy, "attribution/load", n, &read.load);
  }
  if (status == MB_OK) {
    status = read_numbers(results, strategy, "attribution/excess", n, &read.excess);
  }
  if (status == MB_OK) {
    status = read_parts(results, strategy, "attribution", n, read.parts);
  }
  if (status == MB_OK) {
    status = read_parts(results, strategy, "attribution/shapley", n, read.shapley);
  }
  if (status == MB_OK) {
    status = check(results, strategy, &read);
  }
  if (status != MB_OK) {
    mb_results_attribution_fini(&read);
    return status;
  }
  *attribution = read;
  return MB_OK;
}

void mb_results_attribution_fini(mb_results_attribution *attribution) {
  free(attribution->step);
  free(attribution->n_steps);
  free(attribution->load);
  free(attribution->excess);
  for (size_t i = 0; i < MB_N_PARTS; i++) {
    free(attribution->parts[i]);
    free(attribution->shapley[i]);
  }
  *attribution = (mb_results_attribution){.n_intervals = 0};
}

bool mb_results_attribution_mean(const mb_results_attribution *attribution, size_t from, size_t to,
                                 mb_attribution_mean *mean) {
  mb_attribution_mean sum = {.n_intervals = 0};

  for (size_t i = 0; i < attribution->n_intervals; i++) {
    if (attribution->step[i] < (int64_t)from || attribution->step[i] >= (int64_t)to) {
      continue;
    }
    double parts[MB_N_PARTS];
    double shapley[MB_N_PARTS];
    for (size_t k = 0; k < MB_N_PARTS; k++) {
      parts[k] = attribution->parts[k][i];
      shapley[k] = attribution->shapley[k][i];
    }
    mb_attribution_add(&sum, &(mb_attribution_record){.n_steps = attribution->n_steps[i],
                                                      .load = attribution->load[i],
                                                      .excess = attribution->excess[i],
                                                      .parts = parts,
                                                      .shapley = shapley});
  }
  if (sum.n_intervals > 0) {
    *mean = mb_attribution_divide(&sum);
  }
  return sum.n_intervals > 0;
}
