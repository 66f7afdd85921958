/* experiments/results_write.c - the file and its datasets. workloads/new_file.c has the temporary
 * name, results_summary.c the table of summaries. */
#include "experiments/results_write.h"

#include <assert.h>
#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/attribute.h"
#include "experiments/results_summary.h"
#include "sim/metrics.h"
#include "workloads/new_file.h"

/* A chunk has about this many values: small enough for HDF5's cache, 1 MiB a dataset. */
enum { CHUNK_VALUES = 1 << 16, DEFLATE_LEVEL = 4, MAX_RANK = 3 };

/* The datasets of a strategy. */
typedef enum leaf {
  STEP_IMBALANCE,
  IMBALANCE,
  ACTIVE_EXPERTS,
  PLAN_STEP,
  EFFECT_STEP,
  DUPLICATE_SLOTS,
  NODE_IMBALANCE,
  PLANNED_IMBALANCE,
  PLANNED_GAP,
  GPU_LOAD_BEFORE,
  GPU_LOAD_AFTER,
  MOVED_EXPERTS,
  PHYSICAL_TO_LOGICAL_MAP,
  PLANNER_SECONDS,
  STEP_LATENCY, /* from here to the last of these only with costs */
  TIME_IMBALANCE,
  GPU_TIME_LOST,
  REBALANCE_STALL,
  SAME_GPU_BYTES,
  INTRA_NODE_BYTES,
  INTER_NODE_BYTES,
  ATTRIBUTION_STEP,
  ATTRIBUTION_STEPS,
  ATTRIBUTION_LOAD,
  ATTRIBUTION_EXCESS,
#define MB_PART(name, text) ATTRIBUTION_##name,
#include "sim/attribution.def"
#undef MB_PART
#define MB_PART(name, text) SHAPLEY_##name,
#include "sim/attribution.def"
#undef MB_PART
  N_LEAVES
} leaf;

typedef enum value_type { FLOAT32, FLOAT64, INT32, INT64 } value_type;

typedef struct leaf_spec {
  const char *group; /* below the run's group, with the strategy in between */
  const char *name;
  value_type type;
  const char *dims; /* letters of T, L, D, P; K and I, the plans and the intervals, grow */
  /* Of metrics.def where NULL. */
  const char *unit, *better, *help;
} leaf_spec;

static const leaf_spec specs[N_LEAVES] = {
    [STEP_IMBALANCE] = {"", "step_imbalance", FLOAT64, "T", NULL, NULL, NULL},
    [IMBALANCE] = {"", "imbalance", FLOAT32, "TL", NULL, NULL, NULL},
    [ACTIVE_EXPERTS] = {"", "active_experts", INT32, "TL", NULL, NULL, NULL},
    [PLAN_STEP] = {"plans/", "step", INT64, "K", "step", "none", "step at which the plan was made"},
    [EFFECT_STEP] = {"plans/", "effect_step", INT64, "KL", "step", "none",
                     "first step under the plan; -1: the layer keeps its placement"},
    [DUPLICATE_SLOTS] = {"plans/", "duplicate_slots", INT32, "KL", NULL, NULL, NULL},
    [NODE_IMBALANCE] = {"plans/", "node_imbalance", FLOAT32, "KL", NULL, NULL, NULL},
    [PLANNED_IMBALANCE] = {"plans/", "planned_imbalance", FLOAT32, "KL", NULL, NULL, NULL},
    [PLANNED_GAP] = {"plans/", "planned_gap", FLOAT32, "KL", NULL, NULL, NULL},
    [GPU_LOAD_BEFORE] = {"plans/", "gpu_load_before", FLOAT32, "KLD", NULL, NULL, NULL},
    [GPU_LOAD_AFTER] = {"plans/", "gpu_load_after", FLOAT32, "KLD", NULL, NULL, NULL},
    [MOVED_EXPERTS] = {"plans/", "moved_experts", INT32, "KL", "experts", "lower",
                       "over GPUs: distinct experts the GPU holds after the plan and held not just "
                       "before"},
    [PHYSICAL_TO_LOGICAL_MAP] = {"plans/", "physical_to_logical_map", INT32, "KLP", "expert",
                                 "none", "expert that each slot holds; slot p is on GPU p / (P/D)"},
    [PLANNER_SECONDS] = {"", "planner_seconds", FLOAT64, "K", "s", "lower",
                         "measured time of the balancer alone"},
    [STEP_LATENCY] = {"", "step_latency", FLOAT64, "T", NULL, NULL, NULL},
    [TIME_IMBALANCE] = {"", "time_imbalance", FLOAT64, "T", NULL, NULL, NULL},
    [GPU_TIME_LOST] = {"", "gpu_time_lost", FLOAT64, "T", NULL, NULL, NULL},
    [REBALANCE_STALL] = {"", "rebalance_stall", FLOAT64, "T", NULL, NULL, NULL},
    [SAME_GPU_BYTES] = {"plans/", "same_gpu_bytes", FLOAT64, "K", NULL, NULL, NULL},
    [INTRA_NODE_BYTES] = {"plans/", "intra_node_bytes", FLOAT64, "K", NULL, NULL, NULL},
    [INTER_NODE_BYTES] = {"plans/", "inter_node_bytes", FLOAT64, "K", NULL, NULL, NULL},
    [ATTRIBUTION_STEP] = {"attribution/", "step", INT64, "I", "step", "none",
                          "step at which the interval begins"},
    [ATTRIBUTION_STEPS] = {"attribution/", "n_steps", INT64, "I", "steps", "none",
                           "steps of the interval"},
    [ATTRIBUTION_LOAD] = {"attribution/", "load", FLOAT64, "I", "tokens", "none",
                          "load of the interval: its weight in a mean over intervals"},
    [ATTRIBUTION_EXCESS] = {"attribution/", "excess", FLOAT64, "I", "1", "lower",
                            "sum over steps and layers of max GPU load / of the mean - 1: the sum "
                            "of the parts"},
#define MB_PART(name, text) \
  [ATTRIBUTION_##name] = {"attribution/", #name, FLOAT64, "I", "1", "lower", text},
#include "sim/attribution.def"
#undef MB_PART
#define MB_PART(name, text) \
  [SHAPLEY_##name] = {"attribution/shapley/", #name, FLOAT64, "I", "1", "lower", text},
#include "sim/attribution.def"
#undef MB_PART
};

/* Of the run, not of a strategy. */
static const leaf_spec step_load_spec = {"", "step_load", FLOAT64, "T", NULL, NULL, NULL};

struct mb_results_writer {
  mb_new_file path;
  hid_t file;
  char *run;
  mb_shape shape;
  size_t n_steps, n_strategies;
  double cost_bytes; /* of an expert that moves; 0: there are no costs */
  int32_t *layer_ids;
  char **labels;
  bool attributed;     /* strategies that plan online have intervals with parts */
  size_t *n_intervals; /* [n_strategies] written so far */
  hid_t step_load;
  hid_t (*dataset)[N_LEAVES]; /* [n_strategies]; H5I_INVALID_HID: not there */
};

/* To be called before anything else of HDF5, which would forget the reason. */
static mb_status fail_write(const mb_results_writer *writer, const char *what) {
  char why[256];

  return MB_FAIL(MB_ERR_IO, "%s: %s cannot be written: %s", writer->path.name, what,
                 mb_hdf5_reason(why, sizeof why));
}

/* --- groups and datasets --- */

/* Objects remember no times, so that the same run gives the same bytes, and the order in which they
 * were made. */
static void set_group_properties(hid_t properties) {
  (void)H5Pset_obj_track_times(properties, false);
  (void)H5Pset_link_creation_order(properties, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
}

/* @param group Transferred; or NULL, where the group is only made. */
static mb_status create_group(const mb_results_writer *writer, const char *name, hid_t *group) {
  hid_t properties = H5Pcreate(H5P_GROUP_CREATE);

  set_group_properties(properties);
  hid_t made = H5Gcreate2(writer->file, name, H5P_DEFAULT, properties, H5P_DEFAULT);
  mb_status status = made >= 0 ? MB_OK : fail_write(writer, name);
  (void)H5Pclose(properties);
  MB_TRY(status);
  if (group != NULL) {
    *group = made;
  } else {
    (void)H5Gclose(made);
  }
  return MB_OK;
}

static hid_t memory_type(value_type type) {
  switch (type) {
  case FLOAT32:
    return H5T_NATIVE_FLOAT;
  case FLOAT64:
    return H5T_NATIVE_DOUBLE;
  case INT32:
    return H5T_NATIVE_INT32;
  case INT64:
    return H5T_NATIVE_INT64;
  }
  return H5I_INVALID_HID;
}

/* The same whatever the machine. */
static hid_t file_type(value_type type) {
  switch (type) {
  case FLOAT32:
    return H5T_IEEE_F32LE;
  case FLOAT64:
    return H5T_IEEE_F64LE;
  case INT32:
    return H5T_STD_I32LE;
  case INT64:
    return H5T_STD_I64LE;
  }
  return H5I_INVALID_HID;
}

static hsize_t extent(const mb_results_writer *writer, char letter) {
  switch (letter) {
  case 'T':
    return writer->n_steps;
  case 'L':
    return writer->shape.n_layers;
  case 'D':
    return writer->shape.n_gpus;
  case 'P':
    return writer->shape.n_slots;
  default:
    return 0; /* K, I: grow */
  }
}

static int shape_of(const mb_results_writer *writer, const char *dims, hsize_t size[MAX_RANK]) {
  int rank = (int)strlen(dims);

  for (int i = 0; i < rank; i++) {
    size[i] = extent(writer, dims[i]);
  }
  return rank;
}

static bool grows(const char *dims) {
  return dims[0] == 'K' || dims[0] == 'I';
}

/* From the last dimension on, as much as fits; plans come one at a time, steps many. */
static void choose_chunk(int rank, const hsize_t *size, hsize_t *chunk) {
  hsize_t left = CHUNK_VALUES;

  for (int i = rank - 1; i >= 0; i--) {
    hsize_t want = size[i] > 0 ? size[i] : 64;
    chunk[i] = want < left ? want : left;
    assert(chunk[i] > 0);
    left = left > chunk[i] ? left / chunk[i] : 1;
  }
}

/* "T,L" of "TL" */
static mb_status put_dims(hid_t dataset, const char *dims) {
  char text[2 * MAX_RANK] = "";

  for (size_t i = 0; dims[i] != '\0'; i++) {
    text[2 * i] = dims[i];
    text[2 * i + 1] = dims[i + 1] != '\0' ? ',' : '\0';
  }
  return mb_attribute_put_text(dataset, "dims", text);
}

static mb_status describe(hid_t dataset, const leaf_spec *spec) {
  const mb_metric *metric = spec->unit == NULL ? mb_metric_find(spec->name) : NULL;

  MB_TRY(mb_attribute_put_text(dataset, "unit", metric != NULL ? metric->unit : spec->unit));
  MB_TRY(put_dims(dataset, spec->dims));
  MB_TRY(mb_attribute_put_text(dataset, "better", metric != NULL ? metric->better : spec->better));
  return mb_attribute_put_text(dataset, "help", metric != NULL ? metric->formula : spec->help);
}

/* @param dataset Transferred. */
static mb_status create_dataset(const mb_results_writer *writer, const char *name,
                                const leaf_spec *spec, hid_t *dataset) {
  hsize_t size[MAX_RANK] = {0};
  hsize_t most[MAX_RANK] = {0};
  hsize_t chunk[MAX_RANK] = {0};
  int rank = shape_of(writer, spec->dims, size);

  choose_chunk(rank, size, chunk);
  memcpy(most, size, sizeof most);
  most[0] = grows(spec->dims) ? H5S_UNLIMITED : size[0];
  hid_t space = H5Screate_simple(rank, size, most);
  hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  hid_t made = H5I_INVALID_HID;
  if (H5Pset_obj_track_times(properties, false) >= 0 &&
      H5Pset_chunk(properties, rank, chunk) >= 0 && H5Pset_shuffle(properties) >= 0 &&
      H5Pset_deflate(properties, DEFLATE_LEVEL) >= 0) {
    made = H5Dcreate2(writer->file, name, file_type(spec->type), space, H5P_DEFAULT, properties,
                      H5P_DEFAULT);
  }
  mb_status status = made >= 0 ? MB_OK : fail_write(writer, name);
  (void)H5Pclose(properties);
  (void)H5Sclose(space);
  MB_TRY(status);
  *dataset = made;
  return MB_OK;
}

static mb_status create_described(const mb_results_writer *writer, const char *name,
                                  const leaf_spec *spec, hid_t *dataset) {
  MB_TRY(create_dataset(writer, name, spec, dataset));
  mb_status status = describe(*dataset, spec);
  return status == MB_OK
             ? MB_OK
             : MB_FAIL(status, "%s: %s: %s", writer->path.name, name, mb_error_message());
}

static mb_status create_leaf(mb_results_writer *writer, size_t strategy, leaf which) {
  const leaf_spec *spec = &specs[which];
  const char *root = which == PLANNER_SECONDS ? "timing" : "runs";
  char name[512];

  (void)snprintf(name, sizeof name, "/%s/%s/%s/%s%s", root, writer->run, writer->labels[strategy],
                 spec->group, spec->name);
  return create_described(writer, name, spec, &writer->dataset[strategy][which]);
}

static mb_status create_step_load(mb_results_writer *writer) {
  char name[512];

  (void)snprintf(name, sizeof name, "/runs/%s/%s", writer->run, step_load_spec.name);
  return create_described(writer, name, &step_load_spec, &writer->step_load);
}

static bool has_leaf(const mb_results_writer *writer, leaf which) {
  if (which == NODE_IMBALANCE) {
    return mb_shape_is_hierarchical(&writer->shape);
  }
  return writer->cost_bytes > 0.0 || which < STEP_LATENCY || which > INTER_NODE_BYTES;
}

static mb_status create_attribution(mb_results_writer *writer, size_t strategy) {
  static const char *const groups[] = {"attribution", "attribution/shapley"};
  char name[512];

  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
    (void)snprintf(name, sizeof name, "/runs/%s/%s/%s", writer->run, writer->labels[strategy],
                   groups[i]);
    MB_TRY(create_group(writer, name, NULL));
  }
  for (leaf which = ATTRIBUTION_STEP; which < N_LEAVES; which++) {
    MB_TRY(create_leaf(writer, strategy, which));
  }
  return MB_OK;
}

static mb_status create_strategy(mb_results_writer *writer, size_t strategy, mb_replay_role role) {
  char name[512];

  (void)snprintf(name, sizeof name, "/runs/%s/%s", writer->run, writer->labels[strategy]);
  MB_TRY(create_group(writer, name, NULL));
  (void)snprintf(name, sizeof name, "/runs/%s/%s/plans", writer->run, writer->labels[strategy]);
  MB_TRY(create_group(writer, name, NULL));
  (void)snprintf(name, sizeof name, "/timing/%s/%s", writer->run, writer->labels[strategy]);
  MB_TRY(create_group(writer, name, NULL));
  for (leaf which = 0; which < ATTRIBUTION_STEP; which++) {
    if (has_leaf(writer, which)) {
      MB_TRY(create_leaf(writer, strategy, which));
    }
  }
  return writer->attributed && role == MB_REPLAY_ONLINE ? create_attribution(writer, strategy)
                                                        : MB_OK;
}

/* --- the run's attributes --- */

static mb_status put_sizes(hid_t group, const mb_replay_config *replay, const mb_trace_info *info) {
  const mb_shape *shape = &replay->shape;

  MB_TRY(mb_attribute_put_int(group, "n_steps", (int64_t)info->n_steps));
  MB_TRY(mb_attribute_put_int(group, "n_layers", (int64_t)shape->n_layers));
  MB_TRY(mb_attribute_put_int(group, "n_experts", (int64_t)shape->n_experts));
  MB_TRY(mb_attribute_put_int(group, "n_slots", (int64_t)shape->n_slots));
  MB_TRY(mb_attribute_put_int(group, "n_groups", (int64_t)shape->n_groups));
  MB_TRY(mb_attribute_put_int(group, "n_nodes", (int64_t)shape->n_nodes));
  MB_TRY(mb_attribute_put_int(group, "n_gpus", (int64_t)shape->n_gpus));
  MB_TRY(mb_attribute_put_int(group, "top_k", info->top_k));
  MB_TRY(mb_attribute_put_int(group, "interval", (int64_t)replay->interval));
  MB_TRY(mb_attribute_put_int(group, "window", (int64_t)replay->window));
  MB_TRY(mb_attribute_put_int(group, "delay", (int64_t)replay->delay));
  MB_TRY(mb_attribute_put_int(group, "summary_from", (int64_t)replay->summary_from));
  return mb_attribute_put_int32s(group, "layer_ids", info->n_layers, info->layer_ids);
}

static mb_status put_origin(hid_t group, const mb_results_origin *origin,
                            const mb_replay_config *replay) {
  MB_TRY(mb_attribute_put_text(group, "trace", origin->trace));
  MB_TRY(mb_attribute_put_int(group, "seed", origin->seed));
  MB_TRY(mb_attribute_put_int(group, "relabel", (int64_t)replay->relabel));
  MB_TRY(mb_attribute_put_int(group, "merge", (int64_t)origin->merge));
  MB_TRY(mb_attribute_put_int(group, "request_lifetime", (int64_t)origin->request_lifetime));
  return mb_attribute_put_real(group, "expert_bytes", origin->expert_bytes);
}

static mb_status put_run(const mb_results_writer *writer, hid_t group,
                         const mb_results_origin *origin, const mb_replay_config *replay,
                         const mb_trace_info *info) {
  bool hierarchical = mb_shape_is_hierarchical(&replay->shape);

  MB_TRY(mb_attribute_put_texts(group, "strategies", writer->n_strategies,
                                (const char *const *)writer->labels));
  MB_TRY(mb_attribute_put_text(group, "mode", hierarchical ? "hierarchical" : "global"));
  MB_TRY(put_origin(group, origin, replay));
  MB_TRY(mb_attribute_put_text(group, "model", info->model));
  MB_TRY(mb_attribute_put_text(group, "phase", mb_phase_name(info->phase)));
  return put_sizes(group, replay, info);
}

static mb_status create_run(mb_results_writer *writer, const mb_results_origin *origin,
                            const mb_replay_config *replay, const mb_trace_info *info) {
  char name[512];
  hid_t group = H5I_INVALID_HID;

  (void)snprintf(name, sizeof name, "/timing/%s", writer->run);
  MB_TRY(create_group(writer, "/provenance", NULL));
  MB_TRY(create_group(writer, "/runs", NULL));
  MB_TRY(create_group(writer, "/timing", NULL));
  MB_TRY(create_group(writer, name, NULL));
  (void)snprintf(name, sizeof name, "/runs/%s", writer->run);
  MB_TRY(create_group(writer, name, &group));
  mb_status status = put_run(writer, group, origin, replay, info);
  (void)H5Gclose(group);
  if (status != MB_OK) {
    return MB_FAIL(status, "%s: %s: %s", writer->path.name, name, mb_error_message());
  }
  MB_TRY(create_step_load(writer));
  for (size_t i = 0; i < writer->n_strategies; i++) {
    MB_TRY(create_strategy(writer, i, replay->strategies[i].role));
  }
  return MB_OK;
}

static mb_status create_file(mb_results_writer *writer) {
  hid_t properties = H5Pcreate(H5P_FILE_CREATE);

  set_group_properties(properties);
  writer->file = H5Fcreate(writer->path.temporary, H5F_ACC_TRUNC, properties, H5P_DEFAULT);
  mb_status status = writer->file >= 0 ? MB_OK : fail_write(writer, "the results");
  (void)H5Pclose(properties);
  MB_TRY(status);
  status = mb_attribute_put_text(writer->file, "format", "moebal-results");
  if (status == MB_OK) {
    status = mb_attribute_put_int(writer->file, "version", MB_RESULTS_VERSION);
  }
  return status == MB_OK ? MB_OK : MB_FAIL(status, "%s: %s", writer->path.name, mb_error_message());
}

/* --- the writer --- */

static mb_status copy_names(mb_results_writer *writer, const char *run,
                            const mb_replay_config *replay, const mb_trace_info *info) {
  size_t n = replay->n_strategies;

  writer->run = strdup(run);
  writer->labels = calloc(n, sizeof *writer->labels);
  writer->dataset = calloc(n, sizeof *writer->dataset);
  writer->n_intervals = calloc(n, sizeof *writer->n_intervals);
  writer->layer_ids = calloc(info->n_layers, sizeof *writer->layer_ids);
  bool complete = writer->run != NULL && writer->labels != NULL && writer->dataset != NULL &&
                  writer->n_intervals != NULL && writer->layer_ids != NULL;
  for (size_t i = 0; complete && i < n; i++) {
    writer->n_strategies = i + 1;
    for (leaf which = 0; which < N_LEAVES; which++) {
      writer->dataset[i][which] = H5I_INVALID_HID;
    }
    writer->labels[i] = strdup(replay->strategies[i].label);
    complete = writer->labels[i] != NULL;
  }
  if (!complete) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", writer->path.name);
  }
  memcpy(writer->layer_ids, info->layer_ids, info->n_layers * sizeof *writer->layer_ids);
  return MB_OK;
}

mb_status mb_results_writer_create(const char *path, const mb_results_origin *origin,
                                   const mb_replay_config *replay, const mb_trace_info *info,
                                   mb_results_writer **writer) {
  mb_results_writer *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", path);
  }
  made->file = H5I_INVALID_HID;
  made->step_load = H5I_INVALID_HID;
  made->shape = replay->shape;
  made->n_steps = info->n_steps;
  made->cost_bytes = replay->cost != NULL ? replay->cost->expert_bytes : 0.0;
  made->attributed = origin->attributed;
  mb_status status = mb_new_file_open(path, &made->path);
  if (status == MB_OK) {
    status = copy_names(made, origin->run, replay, info);
  }
  if (status == MB_OK) {
    status = create_file(made);
  }
  if (status == MB_OK) {
    status = create_run(made, origin, replay, info);
  }
  if (status != MB_OK) {
    mb_results_writer_destroy(made);
    return status;
  }
  *writer = made;
  return MB_OK;
}

/* Writes n rows from `first` on; a dataset whose rows are not known before grows to hold them. */
static mb_status write_dataset(const mb_results_writer *writer, hid_t dataset,
                               const leaf_spec *spec, size_t first, size_t n, const void *values) {
  hsize_t start[MAX_RANK] = {first};
  hsize_t size[MAX_RANK] = {0};
  int rank = shape_of(writer, spec->dims, size);

  size[0] = first + n;
  bool written = !grows(spec->dims) || H5Dset_extent(dataset, size) >= 0;
  size[0] = n;
  hid_t memory = H5Screate_simple(rank, size, NULL);
  hid_t file = H5Dget_space(dataset);
  written = written && H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
            H5Dwrite(dataset, memory_type(spec->type), memory, file, H5P_DEFAULT, values) >= 0;
  mb_status status = written ? MB_OK : fail_write(writer, spec->name);
  (void)H5Sclose(memory);
  (void)H5Sclose(file);
  return status;
}

static mb_status write_rows(const mb_results_writer *writer, size_t strategy, leaf which,
                            size_t first, size_t n, const void *values) {
  hid_t dataset = writer->dataset[strategy][which];

  return dataset >= 0 ? write_dataset(writer, dataset, &specs[which], first, n, values) : MB_OK;
}

mb_status mb_results_writer_put_step_load(mb_results_writer *writer, size_t first, size_t n,
                                          const double *step_load) {
  return write_dataset(writer, writer->step_load, &step_load_spec, first, n, step_load);
}

mb_status mb_results_writer_put_steps(mb_results_writer *writer, size_t strategy, size_t first,
                                      size_t n, const double *step_imbalance,
                                      const float *imbalance, const int32_t *active_experts) {
  MB_TRY(write_rows(writer, strategy, STEP_IMBALANCE, first, n, step_imbalance));
  MB_TRY(write_rows(writer, strategy, IMBALANCE, first, n, imbalance));
  return write_rows(writer, strategy, ACTIVE_EXPERTS, first, n, active_experts);
}

mb_status mb_results_writer_put_costs(mb_results_writer *writer, size_t strategy, size_t first,
                                      size_t n, const mb_cost_rows *rows) {
  MB_TRY(write_rows(writer, strategy, STEP_LATENCY, first, n, rows->step_latency));
  MB_TRY(write_rows(writer, strategy, TIME_IMBALANCE, first, n, rows->time_imbalance));
  MB_TRY(write_rows(writer, strategy, GPU_TIME_LOST, first, n, rows->gpu_time_lost));
  return write_rows(writer, strategy, REBALANCE_STALL, first, n, rows->rebalance_stall);
}

static mb_status put_movement(mb_results_writer *writer, size_t strategy, size_t plan,
                              const mb_movement *movement) {
  const double same_gpu = (double)movement->same_gpu * writer->cost_bytes;
  const double intra_node = (double)movement->intra_node * writer->cost_bytes;
  const double inter_node = (double)movement->inter_node * writer->cost_bytes;

  MB_TRY(write_rows(writer, strategy, SAME_GPU_BYTES, plan, 1, &same_gpu));
  MB_TRY(write_rows(writer, strategy, INTRA_NODE_BYTES, plan, 1, &intra_node));
  return write_rows(writer, strategy, INTER_NODE_BYTES, plan, 1, &inter_node);
}

mb_status mb_results_writer_put_plan(mb_results_writer *writer, const mb_plan_record *record) {
  size_t s = record->strategy;
  size_t k = record->plan;

  MB_TRY(write_rows(writer, s, PLAN_STEP, k, 1, &record->step));
  MB_TRY(write_rows(writer, s, EFFECT_STEP, k, 1, record->effect_step));
  MB_TRY(write_rows(writer, s, DUPLICATE_SLOTS, k, 1, record->duplicate_slots));
  if (record->node_imbalance != NULL) {
    MB_TRY(write_rows(writer, s, NODE_IMBALANCE, k, 1, record->node_imbalance));
  }
  MB_TRY(write_rows(writer, s, PLANNED_IMBALANCE, k, 1, record->planned_imbalance));
  MB_TRY(write_rows(writer, s, PLANNED_GAP, k, 1, record->planned_gap));
  MB_TRY(write_rows(writer, s, GPU_LOAD_BEFORE, k, 1, record->gpu_load_before));
  MB_TRY(write_rows(writer, s, GPU_LOAD_AFTER, k, 1, record->gpu_load_after));
  MB_TRY(write_rows(writer, s, MOVED_EXPERTS, k, 1, record->moved_experts));
  MB_TRY(write_rows(writer, s, PHYSICAL_TO_LOGICAL_MAP, k, 1, record->physical_to_logical_map));
  if (record->movement != NULL) {
    MB_TRY(put_movement(writer, s, k, record->movement));
  }
  return write_rows(writer, s, PLANNER_SECONDS, k, 1, &record->planner_seconds);
}

mb_status mb_results_writer_put_attribution(mb_results_writer *writer,
                                            const mb_attribution_record *record) {
  size_t s = record->strategy;
  size_t i = writer->n_intervals[s]++;

  MB_TRY(write_rows(writer, s, ATTRIBUTION_STEP, i, 1, &record->step));
  MB_TRY(write_rows(writer, s, ATTRIBUTION_STEPS, i, 1, &record->n_steps));
  MB_TRY(write_rows(writer, s, ATTRIBUTION_LOAD, i, 1, &record->load));
  MB_TRY(write_rows(writer, s, ATTRIBUTION_EXCESS, i, 1, &record->excess));
  for (size_t part = 0; part < MB_N_PARTS; part++) {
    MB_TRY(
        write_rows(writer, s, (leaf)(ATTRIBUTION_granularity + part), i, 1, &record->parts[part]));
    MB_TRY(write_rows(writer, s, (leaf)(SHAPLEY_granularity + part), i, 1, &record->shapley[part]));
  }
  return MB_OK;
}

mb_status mb_results_writer_put_startup(mb_results_writer *writer, size_t strategy,
                                        double seconds) {
  mb_status status =
      mb_attribute_put_real(writer->dataset[strategy][PLANNER_SECONDS], "startup_seconds", seconds);
  return status == MB_OK
             ? MB_OK
             : MB_FAIL(status, "%s: startup_seconds: %s", writer->path.name, mb_error_message());
}

mb_status mb_results_writer_put_summary(mb_results_writer *writer,
                                        const mb_replay_summary *summary) {
  mb_status status = mb_results_summary_write(writer->file, writer->run, writer->n_strategies,
                                              (const char *const *)writer->labels,
                                              writer->layer_ids, summary, writer->cost_bytes > 0.0);
  return status == MB_OK
             ? MB_OK
             : MB_FAIL(status, "%s: /summary: %s", writer->path.name, mb_error_message());
}

static void close_datasets(mb_results_writer *writer) {
  (void)H5Dclose(writer->step_load);
  for (size_t i = 0; i < writer->n_strategies; i++) {
    for (leaf which = 0; which < N_LEAVES; which++) {
      if (writer->dataset[i][which] >= 0) {
        (void)H5Dclose(writer->dataset[i][which]);
      }
    }
  }
}

static mb_status put_provenance(const mb_results_writer *writer, const mb_provenance *provenance) {
  hid_t group = H5Gopen2(writer->file, "/provenance", H5P_DEFAULT);

  if (group < 0) {
    return fail_write(writer, "/provenance");
  }
  mb_status status = mb_provenance_write(provenance, group);
  (void)H5Gclose(group);
  return status == MB_OK
             ? MB_OK
             : MB_FAIL(status, "%s: /provenance: %s", writer->path.name, mb_error_message());
}

/* What is in caches goes to the disk first: a dataset's close does not tell whether it could. */
static mb_status complete_file(mb_results_writer *writer, const mb_provenance *provenance) {
  MB_TRY(put_provenance(writer, provenance));
  if (H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0) {
    return fail_write(writer, "the results");
  }
  close_datasets(writer);
  if (H5Fclose(writer->file) < 0) {
    return fail_write(writer, "the results");
  }
  writer->file = H5I_INVALID_HID;
  return mb_new_file_commit(&writer->path);
}

mb_status mb_results_writer_finish(mb_results_writer *writer, const mb_provenance *provenance) {
  mb_status status = complete_file(writer, provenance);

  mb_results_writer_destroy(writer);
  return status;
}

/* A file that is still open is dropped, not closed: libhdf5 1.10 crashes in closing what it could
 * not write, and nobody will look at it. main() keeps HDF5 from trying at the program's end. */
void mb_results_writer_destroy(mb_results_writer *writer) {
  if (writer == NULL) {
    return;
  }
  mb_new_file_close(&writer->path);
  for (size_t i = 0; writer->labels != NULL && i < writer->n_strategies; i++) {
    free(writer->labels[i]);
  }
  free(writer->labels);
  free(writer->dataset);
  free(writer->n_intervals);
  free(writer->layer_ids);
  free(writer->run);
  free(writer);
}
