/* tests/test_results.c - results files as `moebal run` writes them: complete, described, and the
 * same bytes for the same config. */
#include "experiments/results_read.h"
#include "tests/test.h"

#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "sim/metrics.h"

enum { T = 60, L = 3, E = 16, P = 24, FROM = 12, K = 5 };

static const char CONFIG[] = "test_results.yaml";
static const char RUN[] = "/runs/tiny";

static const char BASE[] = "name: tiny\n"
                           "trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, "
                           "top_k: 2, groups: 4, tokens: 64}}\n"
                           "cluster: {nodes: 2, gpus: 4, slots: 24}\n"
                           "schedule: {interval: 10, window: 15, delay: 2}\n"
                           "strategies:\n"
                           "  - lpt\n"
                           "  - l2-long: {use: l2, max_rounds: unlimited}\n"
                           "seed: 5\n";

static const char *const labels[] = {"none", "lpt", "l2-long", "hindsight"};
enum { N_LABELS = sizeof labels / sizeof *labels };

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

/* Runs moebal with that number of threads on a config; returns the open results. */
static hid_t run_moebal(const char *config, const char *output, int threads) {
  char command[1024];
  const char *moebal = getenv("MOEBAL");

  write_text(CONFIG, config);
  (void)snprintf(command, sizeof command, "OMP_NUM_THREADS=%d '%s' run %s --quiet -o %s", threads,
                 moebal != NULL ? moebal : "moebal", CONFIG, output);
  CU_ASSERT_EQUAL_FATAL(system(command), 0);
  hid_t file = H5Fopen(output, H5F_ACC_RDONLY, H5P_DEFAULT);
  CU_ASSERT_FATAL(file >= 0);
  return file;
}

/* --- attributes --- */

static void read_texts(hid_t object, const char *name, size_t n, char *texts[]) {
  CU_ASSERT_FATAL(H5Aexists(object, name) > 0);
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  hid_t type = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);

  CU_ASSERT_FATAL(H5Tis_variable_str(type) > 0);
  CU_ASSERT_EQUAL_FATAL(H5Sget_simple_extent_npoints(space), (hssize_t)n);
  CU_ASSERT_FATAL(H5Aread(attribute, type, texts) >= 0);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
}

/* free() it. */
static char *read_text(hid_t object, const char *name) {
  char *text = NULL;

  read_texts(object, name, 1, &text);
  char *copy = strdup(text);
  (void)H5free_memory(text);
  return copy;
}

static void check_text(hid_t object, const char *name, const char *expected) {
  char *text = read_text(object, name);

  CU_ASSERT_STRING_EQUAL(text, expected);
  free(text);
}

static void check_text_there(hid_t object, const char *name) {
  char *text = read_text(object, name);

  CU_ASSERT(text[0] != '\0');
  free(text);
}

static void check_int(hid_t object, const char *name, int64_t expected) {
  int64_t value = INT64_MIN;

  CU_ASSERT_FATAL(H5Aexists(object, name) > 0);
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  CU_ASSERT(H5Aread(attribute, H5T_NATIVE_INT64, &value) >= 0);
  CU_ASSERT_EQUAL(value, expected);
  (void)H5Aclose(attribute);
}

static void check_run_attributes(hid_t file) {
  char *found[N_LABELS] = {NULL};
  int32_t layer_ids[L] = {-1};
  hid_t run = H5Gopen2(file, RUN, H5P_DEFAULT);

  CU_ASSERT_FATAL(run >= 0);
  read_texts(run, "strategies", N_LABELS, found);
  for (size_t i = 0; i < N_LABELS; i++) {
    CU_ASSERT_STRING_EQUAL(found[i], labels[i]);
    (void)H5free_memory(found[i]);
  }
  check_text(run, "mode", "hierarchical");
  check_text(run, "trace", "domains");
  check_text(run, "phase", "decode");
  check_text_there(run, "model");
  check_int(run, "n_steps", T);
  check_int(run, "n_layers", L);
  check_int(run, "n_experts", E);
  check_int(run, "n_slots", P);
  check_int(run, "n_groups", 4);
  check_int(run, "n_nodes", 2);
  check_int(run, "n_gpus", 4);
  check_int(run, "top_k", 2);
  check_int(run, "interval", 10);
  check_int(run, "window", 15);
  check_int(run, "delay", 2);
  check_int(run, "summary_from", FROM);
  check_int(run, "seed", 5);
  check_int(run, "relabel", 0);
  check_int(run, "merge", 1);
  check_int(run, "request_lifetime", 0);
  hid_t attribute = H5Aopen(run, "layer_ids", H5P_DEFAULT);
  CU_ASSERT(H5Aread(attribute, H5T_NATIVE_INT32, layer_ids) >= 0);
  CU_ASSERT_EQUAL(layer_ids[1], layer_ids[0] + 1);
  (void)H5Aclose(attribute);
  (void)H5Gclose(run);
}

static void check_provenance(hid_t file) {
  static const char *const names[] = {"config", "version", "git",          "compiler",
                                      "cpu",    "trace",   "trace_source", "start_time"};
  hid_t group = H5Gopen2(file, "/provenance", H5P_DEFAULT);

  CU_ASSERT_FATAL(group >= 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    check_text_there(group, names[i]);
  }
  check_text(group, "backend", "cpu");
  check_text(group, "gpu", "none");
  check_int(group, "seed", 5);
  check_int(group, "threads", 2);
  CU_ASSERT(H5Aexists(group, "dirty") > 0);
  char *digest = read_text(group, "load_xxh3");
  CU_ASSERT_EQUAL(strlen(digest), 32);
  CU_ASSERT_EQUAL(strspn(digest, "0123456789abcdef"), 32);
  free(digest);
  (void)H5Gclose(group);
}

/* --- datasets --- */

static void check_dataset(hid_t file, const char *path, hid_t type, int rank, hsize_t a, hsize_t b,
                          hsize_t c) {
  hsize_t expected[] = {a, b, c};
  hsize_t size[3] = {0};
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);

  if (dataset < 0) {
    (void)printf("\n    there is no %s\n", path);
  }
  CU_ASSERT_FATAL(dataset >= 0);
  hid_t space = H5Dget_space(dataset);
  hid_t found = H5Dget_type(dataset);
  hid_t properties = H5Dget_create_plist(dataset);
  CU_ASSERT_EQUAL(H5Sget_simple_extent_ndims(space), rank);
  (void)H5Sget_simple_extent_dims(space, size, NULL);
  for (int i = 0; i < rank; i++) {
    CU_ASSERT_EQUAL(size[i], expected[i]);
  }
  CU_ASSERT(H5Tequal(found, type) > 0);
  CU_ASSERT_EQUAL(H5Pget_nfilters(properties), 2);
  (void)H5Pclose(properties);
  (void)H5Tclose(found);
  (void)H5Sclose(space);
  (void)H5Dclose(dataset);
}

static void check_strategy(hid_t file, const char *label, hsize_t plans) {
  static const struct {
    const char *format;
    int rank;
    bool is_plan;
    hsize_t b, c;
  } leaves[] = {{"/runs/tiny/%s/step_imbalance", 1, false, 0, 0},
                {"/runs/tiny/%s/imbalance", 2, false, L, 0},
                {"/runs/tiny/%s/active_experts", 2, false, L, 0},
                {"/runs/tiny/%s/plans/step", 1, true, 0, 0},
                {"/runs/tiny/%s/plans/effect_step", 2, true, L, 0},
                {"/runs/tiny/%s/plans/duplicate_slots", 2, true, L, 0},
                {"/runs/tiny/%s/plans/node_imbalance", 2, true, L, 0},
                {"/runs/tiny/%s/plans/planned_imbalance", 2, true, L, 0},
                {"/runs/tiny/%s/plans/planned_gap", 2, true, L, 0},
                {"/runs/tiny/%s/plans/gpu_load_before", 3, true, L, 4},
                {"/runs/tiny/%s/plans/gpu_load_after", 3, true, L, 4},
                {"/runs/tiny/%s/plans/moved_experts", 2, true, L, 0},
                {"/runs/tiny/%s/plans/physical_to_logical_map", 3, true, L, P},
                {"/timing/tiny/%s/planner_seconds", 1, true, 0, 0}};
  const hid_t types[] = {H5T_IEEE_F64LE, H5T_IEEE_F32LE, H5T_STD_I32LE,  H5T_STD_I64LE,
                         H5T_STD_I64LE,  H5T_STD_I32LE,  H5T_IEEE_F32LE, H5T_IEEE_F32LE,
                         H5T_IEEE_F32LE, H5T_IEEE_F32LE, H5T_IEEE_F32LE, H5T_STD_I32LE,
                         H5T_STD_I32LE,  H5T_IEEE_F64LE};
  char path[256];

  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    const char *middle = strstr(leaves[i].format, "%s");
    (void)snprintf(path, sizeof path, "%.*s%s%s", (int)(middle - leaves[i].format),
                   leaves[i].format, label, middle + 2);
    check_dataset(file, path, types[i], leaves[i].rank, leaves[i].is_plan ? plans : T, leaves[i].b,
                  leaves[i].c);
  }
}

/* No object keeps a time; every dataset says its unit, dimensions and direction, and what it is. */
static herr_t check_described(hid_t file, const char *name, const H5O_info_t *info, void *context) {
  size_t *n_datasets = context;

  CU_ASSERT(info->mtime == 0 && info->ctime == 0 && info->atime == 0 && info->btime == 0);
  if (info->type != H5O_TYPE_DATASET) {
    return 0;
  }
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  CU_ASSERT(H5Aexists(dataset, "unit") > 0);
  CU_ASSERT(H5Aexists(dataset, "better") > 0);
  CU_ASSERT(H5Aexists(dataset, "help") > 0);
  CU_ASSERT(H5Aexists(dataset, "dims") > 0);
  (void)H5Dclose(dataset);
  ++*n_datasets;
  return 0;
}

static void test_complete(void) {
  hid_t file = run_moebal(BASE, "test_results_a.h5", 2);
  size_t n_datasets = 0;

  check_text(file, "format", "moebal-results");
  check_int(file, "version", 1);
  check_run_attributes(file);
  check_provenance(file);
  check_dataset(file, "/runs/tiny/step_load", H5T_IEEE_F64LE, 1, T, 0, 0);
  check_strategy(file, "none", 0);
  check_strategy(file, "lpt", K);
  check_strategy(file, "l2-long", K);
  check_strategy(file, "hindsight", K + 1);
  CU_ASSERT(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, check_described, &n_datasets,
                      H5O_INFO_BASIC | H5O_INFO_TIME) >= 0);
  CU_ASSERT_EQUAL(n_datasets, N_LABELS * 14 + 2);
  (void)H5Fclose(file);
}

static void read_all(hid_t file, const char *path, hid_t type, void *values) {
  hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);

  CU_ASSERT_FATAL(dataset >= 0);
  CU_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  (void)H5Dclose(dataset);
}

/* --- the summary --- */

/* A column of /summary. */
static void read_column(hid_t file, const char *name, hid_t type, void *values) {
  hid_t row = H5Tcreate(H5T_COMPOUND, H5Tget_size(type));

  CU_ASSERT(H5Tinsert(row, name, 0, type) >= 0);
  read_all(file, "/summary", row, values);
  (void)H5Tclose(row);
}

static void check_columns(hid_t file) {
  char names[N_LABELS][8];
  hid_t text = H5Tcopy(H5T_C_S1);
  hid_t dataset = H5Dopen2(file, "/summary", H5P_DEFAULT);
  hid_t type = H5Dget_type(dataset);
  size_t n_metrics = 0;

  for (const mb_metric *metric = mb_metrics(); metric->name != NULL; metric++) {
    if (metric->dims[0] == '\0' && !metric->of_cost) {
      CU_ASSERT(H5Tget_member_index(type, metric->name) >= 2);
      n_metrics++;
    }
  }
  CU_ASSERT_EQUAL(H5Tget_nmembers(type), (int)n_metrics + 4);
  CU_ASSERT(H5Tget_member_index(type, "worst_layer") > 0);
  CU_ASSERT(H5Tget_member_index(type, "worst_layer_imbalance") > 0);
  (void)H5Tclose(type);
  (void)H5Dclose(dataset);
  (void)H5Tset_size(text, sizeof names[0]);
  read_column(file, "strategy", text, names);
  CU_ASSERT_EQUAL(strncmp(names[0], "none", 8), 0);
  CU_ASSERT_EQUAL(strncmp(names[2], "l2-long", 8), 0);
  read_column(file, "run", text, names);
  CU_ASSERT_EQUAL(strncmp(names[0], "tiny", 8), 0);
  CU_ASSERT_EQUAL(strncmp(names[3], "tiny", 8), 0);
  (void)H5Tclose(text);
}

/* The numbers of the table follow from the datasets. */
static void test_summary(void) {
  hid_t file = run_moebal(BASE, "test_results_a.h5", 2);
  double means[N_LABELS];
  int64_t moved[N_LABELS];
  int64_t plans[N_LABELS];
  int64_t scored[N_LABELS];
  int64_t worst[N_LABELS];

  check_columns(file);
  read_column(file, "step_imbalance_mean", H5T_NATIVE_DOUBLE, means);
  read_column(file, "moved_experts", H5T_NATIVE_INT64, moved);
  read_column(file, "plans", H5T_NATIVE_INT64, plans);
  read_column(file, "steps_scored", H5T_NATIVE_INT64, scored);
  read_column(file, "worst_layer", H5T_NATIVE_INT64, worst);
  for (size_t i = 0; i < N_LABELS; i++) {
    double step_imbalance[T];
    int32_t plan_moved[(K + 1) * L] = {0};
    char path[128];
    double sum = 0;
    int64_t moved_sum = 0;

    (void)snprintf(path, sizeof path, "%s/%s/step_imbalance", RUN, labels[i]);
    read_all(file, path, H5T_NATIVE_DOUBLE, step_imbalance);
    for (size_t t = FROM; t < T; t++) {
      sum += step_imbalance[t];
    }
    CU_ASSERT_DOUBLE_EQUAL(means[i], sum / (T - FROM), 1e-12);
    (void)snprintf(path, sizeof path, "%s/%s/plans/moved_experts", RUN, labels[i]);
    read_all(file, path, H5T_NATIVE_INT32, plan_moved);
    /* Hindsight's plans at 0 and at 10 take effect before the scored steps. */
    for (size_t k = i == 3 ? 2 * L : 0; k < sizeof plan_moved / sizeof *plan_moved; k++) {
      moved_sum += plan_moved[k];
    }
    CU_ASSERT_EQUAL(moved[i], moved_sum);
    CU_ASSERT_EQUAL(plans[i], i == 0 ? 0 : i == 3 ? K - 1 : K);
    CU_ASSERT_EQUAL(scored[i], T - FROM);
    CU_ASSERT(worst[i] >= 0 && worst[i] < 64);
  }
  CU_ASSERT_EQUAL(moved[0], 0);
  CU_ASSERT(moved[1] > 0);
  CU_ASSERT(means[0] > 1.0);
  (void)H5Fclose(file);
}

/* Plans at 10, 20, ... take effect 2 steps later, hindsight's at 0, 10, ... at once. */
static void check_plans(hid_t file, const char *label, size_t n, int64_t first, int64_t delay) {
  int64_t step[K + 1];
  int64_t effect_step[(K + 1) * L];
  int32_t map[(K + 1) * L * P];
  char path[128];

  (void)snprintf(path, sizeof path, "%s/%s/plans/step", RUN, label);
  read_all(file, path, H5T_NATIVE_INT64, step);
  (void)snprintf(path, sizeof path, "%s/%s/plans/effect_step", RUN, label);
  read_all(file, path, H5T_NATIVE_INT64, effect_step);
  (void)snprintf(path, sizeof path, "%s/%s/plans/physical_to_logical_map", RUN, label);
  read_all(file, path, H5T_NATIVE_INT32, map);
  for (size_t k = 0; k < n; k++) {
    CU_ASSERT_EQUAL(step[k], first + 10 * (int64_t)k);
    for (size_t l = 0; l < L; l++) {
      unsigned found = 0;
      CU_ASSERT_EQUAL(effect_step[k * L + l], step[k] + delay);
      for (size_t p = 0; p < P; p++) {
        found |= 1U << map[(k * L + l) * P + p];
      }
      CU_ASSERT_EQUAL(found, (1U << E) - 1);
    }
  }
}

static void test_plans(void) {
  hid_t file = run_moebal(BASE, "test_results_a.h5", 2);

  check_plans(file, "lpt", K, 10, 2);
  check_plans(file, "l2-long", K, 10, 2);
  check_plans(file, "hindsight", K + 1, 0, 0);
  (void)H5Fclose(file);
}

/* --- loads, as the reader gives them --- */

/* GPUs serve all there is in the interval from the plan's step on, under either placement. */
static void check_gpu_loads(const mb_results_plans *plans, size_t k, const double *step_load) {
  double before = 0.0;
  double after = 0.0;
  double served = 0.0;

  for (size_t t = (size_t)plans->step[k]; t < T && t < (size_t)plans->step[k] + 10; t++) {
    served += step_load[t];
  }
  for (size_t i = 0; i < (size_t)L * 4; i++) {
    before += (double)plans->next_before[k * L * 4 + i];
    after += (double)plans->next_after[k * L * 4 + i];
  }
  CU_ASSERT_DOUBLE_EQUAL(before, served, 1e-2);
  CU_ASSERT_DOUBLE_EQUAL(after, served, 1e-2);
}

/* Hindsight plans for the very loads that it is shown to get. */
static void check_hindsight(const mb_results_plans *plans, size_t k) {
  for (size_t l = 0; l < L; l++) {
    const float *load = plans->next_after + (k * L + l) * 4;
    double max = 0.0;
    double sum = 0.0;
    for (size_t d = 0; d < 4; d++) {
      max = (double)load[d] > max ? (double)load[d] : max;
      sum += (double)load[d];
    }
    CU_ASSERT_DOUBLE_EQUAL(plans->planned_imbalance[k * L + l], max / (sum / 4), 1e-5);
  }
}

static void check_loads(const mb_results *results, size_t strategy, const double *step_load) {
  double step_imbalance[T];
  double sum = 0.0;
  double weights = 0.0;
  mb_replay_summary summary;
  mb_results_plans plans;

  CHECK_OK(mb_results_read_step_imbalance(results, strategy, step_imbalance));
  CHECK_OK(mb_results_read_summary(results, strategy, &summary));
  for (size_t t = FROM; t < T; t++) {
    sum += step_imbalance[t] * step_load[t];
    weights += step_load[t];
  }
  CU_ASSERT_DOUBLE_EQUAL(summary.run_imbalance, sum / weights, 1e-12);
  CHECK_OK(mb_results_read_plans(results, strategy, &plans));
  for (size_t k = 0; k < plans.n_plans; k++) {
    check_gpu_loads(&plans, k, step_load);
    if (strategy == 3) {
      check_hindsight(&plans, k);
    }
  }
  CU_ASSERT_EQUAL(plans.n_plans, strategy == 0 ? 0 : strategy == 3 ? K + 1 : K);
  mb_results_plans_fini(&plans);
}

static void test_loads(void) {
  hid_t file = run_moebal(BASE, "test_results_a.h5", 2);
  double step_load[T];
  mb_results *results = NULL;

  (void)H5Fclose(file);
  CHECK_OK(mb_results_open("test_results_a.h5", NULL, &results));
  CU_ASSERT_PTR_NOT_NULL_FATAL(results);
  CU_ASSERT_EQUAL(mb_results_get_run(results)->seed, 5);
  CHECK_OK(mb_results_read_step_load(results, step_load));
  /* 64 tokens to 2 experts each, in 3 layers. */
  CU_ASSERT(step_load[0] == 64 * 2 * L && step_load[T - 1] == 64 * 2 * L);
  for (size_t i = 0; i < N_LABELS; i++) {
    check_loads(results, i, step_load);
  }
  mb_results_destroy(results);
}

/* --- the same bytes --- */

typedef struct comparison {
  hid_t other;
  size_t n_same, n_different;
} comparison;

static void *read_raw(hid_t dataset, size_t *size) {
  hid_t type = H5Dget_type(dataset);
  hid_t space = H5Dget_space(dataset);

  *size = H5Tget_size(type) * (size_t)H5Sget_simple_extent_npoints(space);
  void *bytes = calloc(1, *size + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  return bytes;
}

static herr_t compare_object(hid_t file, const char *name, const H5O_info_t *info, void *context) {
  comparison *c = context;

  if (info->type != H5O_TYPE_DATASET || strncmp(name, "timing/", 7) == 0) {
    return 0;
  }
  hid_t one = H5Dopen2(file, name, H5P_DEFAULT);
  hid_t two = H5Dopen2(c->other, name, H5P_DEFAULT);
  CU_ASSERT_FATAL(two >= 0);
  size_t size_one = 0;
  size_t size_two = 0;
  void *bytes_one = read_raw(one, &size_one);
  void *bytes_two = read_raw(two, &size_two);
  if (size_one == size_two && memcmp(bytes_one, bytes_two, size_one) == 0) {
    c->n_same++;
  } else {
    c->n_different++;
  }
  free(bytes_one);
  free(bytes_two);
  (void)H5Dclose(one);
  (void)H5Dclose(two);
  return 0;
}

static comparison compare(hid_t one, hid_t two) {
  comparison c = {.other = two};

  CU_ASSERT(H5Ovisit2(one, H5_INDEX_NAME, H5_ITER_NATIVE, compare_object, &c, H5O_INFO_BASIC) >= 0);
  return c;
}

static void test_same_bytes(void) {
  hid_t one = run_moebal(BASE, "test_results_a.h5", 1);
  hid_t two = run_moebal(BASE, "test_results_b.h5", 3);
  comparison c = compare(one, two);

  CU_ASSERT_EQUAL(c.n_different, 0);
  CU_ASSERT_EQUAL(c.n_same, N_LABELS * 13 + 2);
  (void)H5Fclose(two);

  /* The effective config gives the same again; another seed gives something else. */
  hid_t group = H5Gopen2(one, "/provenance", H5P_DEFAULT);
  char *config = read_text(group, "config");
  (void)H5Gclose(group);
  two = run_moebal(config, "test_results_b.h5", 2);
  c = compare(one, two);
  CU_ASSERT_EQUAL(c.n_different, 0);
  CU_ASSERT_EQUAL(c.n_same, N_LABELS * 13 + 2);
  (void)H5Fclose(two);
  strstr(config, "seed: 5")[strlen("seed: ")] = '6';
  two = run_moebal(config, "test_results_b.h5", 2);
  CU_ASSERT(compare(one, two).n_different > N_LABELS);
  (void)H5Fclose(two);
  (void)H5Fclose(one);
  free(config);
}

/* 1 group does not divide by 2 nodes: nodes are ignored, and the results say so. */
static void test_global(void) {
  char text[sizeof BASE + 64];

  (void)snprintf(text, sizeof text, "%s", BASE);
  char *groups = strstr(text, "groups: 4");
  CU_ASSERT_PTR_NOT_NULL_FATAL(groups);
  groups[strlen("groups: ")] = '1';
  hid_t file = run_moebal(text, "test_results_a.h5", 2);
  hid_t run = H5Gopen2(file, RUN, H5P_DEFAULT);
  check_text(run, "mode", "global");
  CU_ASSERT(H5Lexists(run, "lpt/plans/node_imbalance", H5P_DEFAULT) <= 0);
  CU_ASSERT(H5Lexists(run, "lpt/plans/moved_experts", H5P_DEFAULT) > 0);
  (void)H5Gclose(run);
  (void)H5Fclose(file);
}

int main(void) {
  CU_TestInfo tests[] = {{"all objects and attributes", test_complete},
                         {"the summary", test_summary},
                         {"the plans", test_plans},
                         {"the loads", test_loads},
                         {"the same bytes", test_same_bytes},
                         {"the global policy", test_global},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  int status = run_suite("results", tests);
  (void)remove(CONFIG);
  (void)remove("test_results_a.h5");
  (void)remove("test_results_b.h5");
  return status;
}
