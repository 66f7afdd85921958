/* experiments/results_plans.c - the plans of a run. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/results_run.h"

enum { SIZES_MAX = 1 << 20 }; /* as mb_shape_check() has it */

mb_status mb_results_read_shape(const mb_results *results, mb_shape *shape) {
  char name[MB_RESULTS_OBJECT_SIZE];
  mb_shape made = {.n_layers = results->run.n_layers};
  const struct {
    const char *name;
    size_t *value;
  } sizes[] = {{"n_experts", &made.n_experts},
               {"n_slots", &made.n_slots},
               {"n_groups", &made.n_groups},
               {"n_nodes", &made.n_nodes},
               {"n_gpus", &made.n_gpus}};

  (void)snprintf(name, sizeof name, "/runs/%s", results->name);
  const mb_results_object group = {results->path, name, H5Gopen2(results->file, name, H5P_DEFAULT)};
  if (group.id < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: the group is damaged", results->path, name);
  }
  mb_status status = MB_OK;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes && status == MB_OK; i++) {
    status = mb_results_attribute_size(&group, sizes[i].name, 1, SIZES_MAX, sizes[i].value);
  }
  (void)H5Gclose(group.id);
  MB_TRY(status);
  status = mb_shape_check(&made);
  if (status != MB_OK) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: %s", results->path, name, mb_error_message());
  }
  *shape = made;
  return MB_OK;
}

/* --- one plan --- */

/* Row k of a dataset of whole numbers, [K] or [K,L,P]. */
static mb_status read_plan_row(const mb_results *results, size_t strategy, const char *leaf,
                               const hsize_t row[3], int rank, size_t k, hid_t type, void *values) {
  char object[MB_RESULTS_OBJECT_SIZE];
  mb_results_dataset dataset;

  mb_results_leaf(results, strategy, leaf, object);
  MB_TRY(mb_results_dataset_open(results->path, results->file, object, H5T_INTEGER, rank, row,
                                 results->run.n_steps, &dataset));
  mb_status status = k < dataset.size[0]
                         ? mb_results_dataset_read(&dataset, k, 1, type, values)
                         : MB_FAIL(MB_ERR_FORMAT,
                                   "%s: %s: should be whole numbers of shape [plans,..] "
                                   "with a row for plan %zu, as effect_step has",
                                   results->path, object, k);
  mb_results_dataset_close(&dataset);
  return status;
}

static mb_status check_map(const mb_results *results, size_t strategy, size_t k,
                           const mb_shape *shape, const int32_t *map) {
  char object[MB_RESULTS_OBJECT_SIZE];
  mb_status status = MB_OK;
  int32_t *count = calloc(shape->n_experts, sizeof *count);

  if (count == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu experts", shape->n_experts);
  }
  mb_results_leaf(results, strategy, "plans/physical_to_logical_map", object);
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

static mb_status check_maps(const mb_results *results, size_t strategy, size_t n_plans) {
  mb_shape shape;
  int64_t step = 0;

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

/* --- what is known of all plans --- */

/* What a value may be. */
typedef enum range {
  STEP,        /* 0..T-1 */
  EFFECT_STEP, /* the same, or -1 */
  COUNT,       /* >= 0 */
  RATIO,       /* NaN or >= 1 */
  LOAD,        /* NaN or >= 0 */
  SECONDS      /* >= 0 */
} range;

typedef struct plan_leaf {
  const char *name;
  range range;
  int rank;
  size_t size;   /* of a value in memory */
  size_t offset; /* of its array in mb_results_plans */
} plan_leaf;

static const plan_leaf leaves[] = {
    {"plans/effect_step", EFFECT_STEP, 2, sizeof(int64_t), offsetof(mb_results_plans, effect_step)},
    {"plans/step", STEP, 1, sizeof(int64_t), offsetof(mb_results_plans, step)},
    {"plans/moved_experts", COUNT, 2, sizeof(int32_t), offsetof(mb_results_plans, moved_experts)},
    {"plans/planned_imbalance", RATIO, 2, sizeof(float),
     offsetof(mb_results_plans, planned_imbalance)},
    {"plans/gpu_load_before", LOAD, 3, sizeof(float), offsetof(mb_results_plans, next_before)},
    {"plans/gpu_load_after", LOAD, 3, sizeof(float), offsetof(mb_results_plans, next_after)},
    {"planner_seconds", SECONDS, 1, sizeof(double), offsetof(mb_results_plans, planner_seconds)},
};

enum { N_LEAVES = sizeof leaves / sizeof *leaves };

static bool is_whole(const plan_leaf *leaf) {
  return leaf->range <= COUNT;
}

static hid_t memory_type(const plan_leaf *leaf) {
  if (is_whole(leaf)) {
    return leaf->size == sizeof(int64_t) ? H5T_NATIVE_INT64 : H5T_NATIVE_INT32;
  }
  return leaf->size == sizeof(double) ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
}

static double value_at(const plan_leaf *leaf, const void *values, size_t i) {
  if (is_whole(leaf)) {
    return leaf->size == sizeof(int64_t) ? (double)((const int64_t *)values)[i]
                                         : (double)((const int32_t *)values)[i];
  }
  return leaf->size == sizeof(double) ? ((const double *)values)[i]
                                      : (double)((const float *)values)[i];
}

static mb_status check_values(const mb_results_dataset *dataset, const plan_leaf *leaf,
                              size_t n_steps, size_t n_plans, size_t row, const void *values) {
  char right[64] = "at least 0";
  double last = (double)(n_steps - 1);

  if (leaf->range == STEP || leaf->range == EFFECT_STEP) {
    (void)snprintf(right, sizeof right, "in [%d, %zu]", leaf->range == STEP ? 0 : -1, n_steps - 1);
  } else if (leaf->range == RATIO || leaf->range == LOAD) {
    (void)snprintf(right, sizeof right, "NaN or at least %d", leaf->range == RATIO ? 1 : 0);
  }
  for (size_t i = 0; i < n_plans * row; i++) {
    double value = value_at(leaf, values, i);
    bool fine = false;
    switch (leaf->range) {
    case STEP:
    case EFFECT_STEP:
      fine = value >= (leaf->range == STEP ? 0.0 : -1.0) && value <= last;
      break;
    case COUNT:
    case SECONDS:
      fine = isfinite(value) && value >= 0.0;
      break;
    case RATIO:
      fine = mb_results_is_ratio(value);
      break;
    case LOAD:
      fine = isnan(value) || (isfinite(value) && value >= 0.0);
      break;
    }
    if (!fine) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: %s: plan %zu has %g; should be %s", dataset->path,
                     dataset->name, i / row, value, right);
    }
  }
  return MB_OK;
}

static void leaf_name(const mb_results *results, size_t strategy, const plan_leaf *leaf,
                      char object[MB_RESULTS_OBJECT_SIZE]) {
  if (leaf->range == SECONDS) {
    (void)snprintf(object, MB_RESULTS_OBJECT_SIZE, "/timing/%s/%s/%s", results->name,
                   results->labels[strategy], leaf->name);
  } else {
    mb_results_leaf(results, strategy, leaf->name, object);
  }
}

/* All rows of an open dataset. @param values Transferred: free() them; NULL where there is no plan.
 */
static mb_status read_values(const mb_results_dataset *dataset, const plan_leaf *leaf,
                             size_t n_steps, void **values) {
  size_t n_plans = dataset->size[0];
  size_t row = 1;

  for (int i = 1; i < leaf->rank; i++) {
    row *= dataset->size[i];
  }
  if (n_plans == 0) {
    *values = NULL;
    return MB_OK;
  }
  void *found = n_plans <= SIZE_MAX / leaf->size / row ? calloc(n_plans, row * leaf->size) : NULL;
  if (found == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: %s: no memory for %zu plans", dataset->path, dataset->name,
                   n_plans);
  }
  mb_status status = mb_results_dataset_read(dataset, 0, n_plans, memory_type(leaf), found);
  if (status == MB_OK) {
    status = check_values(dataset, leaf, n_steps, n_plans, row, found);
  }
  if (status != MB_OK) {
    free(found);
    return status;
  }
  *values = found;
  return MB_OK;
}

/* @param n_gpus  D, where the dataset has that dimension.
 * @param n_plans K; SIZE_MAX: any, and it is set. */
static mb_status read_leaf(const mb_results *results, size_t strategy, const plan_leaf *leaf,
                           size_t n_gpus, size_t *n_plans, void **values) {
  const hsize_t want[3] = {0, results->run.n_layers, n_gpus};
  char object[MB_RESULTS_OBJECT_SIZE];
  mb_results_dataset dataset;

  leaf_name(results, strategy, leaf, object);
  if (!mb_results_has_object(results, object)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: %s: the dataset is missing or damaged; where an older moebal wrote the "
                   "file, run its config again",
                   results->path, object);
  }
  MB_TRY(mb_results_dataset_open(results->path, results->file, object,
                                 is_whole(leaf) ? H5T_INTEGER : H5T_FLOAT, leaf->rank, want,
                                 results->run.n_steps, &dataset));
  mb_status status = MB_OK;
  if (*n_plans != SIZE_MAX && dataset.size[0] != *n_plans) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: %s: has %zu plans, but effect_step has %zu", results->path,
                     object, (size_t)dataset.size[0], *n_plans);
  } else {
    status = read_values(&dataset, leaf, results->run.n_steps, values);
  }
  if (status == MB_OK) {
    *n_plans = (size_t)dataset.size[0];
  }
  mb_results_dataset_close(&dataset);
  return status;
}

mb_status mb_results_read_effect_steps(const mb_results *results, size_t strategy, size_t *n_plans,
                                       int64_t **effect_step) {
  size_t count = SIZE_MAX;
  void *steps = NULL;

  MB_TRY(read_leaf(results, strategy, &leaves[0], 0, &count, &steps));
  *n_plans = count;
  *effect_step = steps;
  return MB_OK;
}

mb_status mb_results_read_plans(const mb_results *results, size_t strategy,
                                mb_results_plans *plans) {
  mb_results_plans made = {.n_plans = SIZE_MAX};
  mb_shape shape;
  mb_status status = MB_OK;

  MB_TRY(mb_results_read_shape(results, &shape));
  for (size_t i = 0; i < N_LEAVES && status == MB_OK; i++) {
    void *values = NULL;
    status = read_leaf(results, strategy, &leaves[i], shape.n_gpus, &made.n_plans, &values);
    memcpy((char *)&made + leaves[i].offset, &values, sizeof values);
  }
  if (status != MB_OK) {
    mb_results_plans_fini(&made);
    return status;
  }
  *plans = made;
  return MB_OK;
}

mb_status mb_results_planner_seconds(const mb_results *results, size_t strategy, double *seconds) {
  const plan_leaf *leaf = &leaves[N_LEAVES - 1];
  char object[MB_RESULTS_OBJECT_SIZE];
  size_t n_plans = SIZE_MAX;
  void *values = NULL;
  double sum = 0.0;

  leaf_name(results, strategy, leaf, object);
  if (!mb_results_has_object(results, object)) {
    *seconds = NAN;
    return MB_OK;
  }
  MB_TRY(read_leaf(results, strategy, leaf, 0, &n_plans, &values));
  for (size_t k = 0; k < n_plans; k++) {
    sum += ((const double *)values)[k];
  }
  free(values);
  *seconds = sum;
  return MB_OK;
}

void mb_results_plans_fini(mb_results_plans *plans) {
  free(plans->step);
  free(plans->effect_step);
  free(plans->moved_experts);
  free(plans->planned_imbalance);
  free(plans->next_before);
  free(plans->next_after);
  free(plans->planner_seconds);
  *plans = (mb_results_plans){.n_plans = 0};
}

mb_status mb_results_check_plans(const mb_results *results, size_t strategy, bool maps) {
  char object[MB_RESULTS_OBJECT_SIZE];
  size_t n_plans = SIZE_MAX;
  mb_shape shape = {.n_gpus = 0};

  for (size_t i = 0; i < N_LEAVES; i++) {
    void *values = NULL;
    leaf_name(results, strategy, &leaves[i], object);
    if (i > 0 && !mb_results_has_object(results, object)) {
      continue;
    }
    if (leaves[i].rank == 3 && shape.n_gpus == 0) {
      MB_TRY(mb_results_read_shape(results, &shape));
    }
    MB_TRY(read_leaf(results, strategy, &leaves[i], shape.n_gpus, &n_plans, &values));
    free(values);
  }
  return maps ? check_maps(results, strategy, n_plans) : MB_OK;
}
