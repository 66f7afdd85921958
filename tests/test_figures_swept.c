/* tests/test_figures_swept.c - figures of sweeps and of plans: their tables and captions, with
 * answers worked out by hand, and what they say where they don't apply. */
#include <math.h>

#include "experiments/figure.h"
#include "tests/results_file.h"

enum { KEYS = 2, CELLS_MAX = 8, PLANS = 2 };

/* A cell: two strategies, none and l2_x, on two GPUs of two slots for four experts. */
typedef struct cell {
  const char *value[KEYS];
  double none, l2_x; /* run_imbalance */
  int64_t moved;     /* by l2_x, in 4 scored steps */
  int64_t interval, window, slots, gpus;
  int64_t top_k; /* 0: the file does not say */
  double load;   /* of every step */
  const char *error;
  bool none_plans; /* none has plans too */
} cell;

typedef struct sweep {
  const char *key[KEYS];
  hsize_t n;
  cell cells[CELLS_MAX];
} sweep;

/* --- writing --- */

static void put_real(hid_t object, const char *name, double number) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t attribute = H5Acreate2(object, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);

  results_check(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &number));
  results_check(H5Aclose(attribute));
  results_check(H5Sclose(space));
}

static void insert_text(hid_t row, const char *name, size_t offset, size_t size) {
  hid_t type = H5Tcopy(H5T_C_S1);

  results_check(H5Tset_size(type, size));
  results_check(H5Tinsert(row, name, offset, type));
  results_check(H5Tclose(type));
}

typedef struct cell_row {
  char run[16], error[32], value[KEYS][16];
} cell_row;

static void put_cells(hid_t file, const sweep *all) {
  cell_row rows[CELLS_MAX] = {{.run = ""}};
  hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(cell_row));

  insert_text(type, "run", offsetof(cell_row, run), 16);
  insert_text(type, "error", offsetof(cell_row, error), 32);
  for (size_t k = 0; k < KEYS && all->key[k] != NULL; k++) {
    insert_text(type, all->key[k], offsetof(cell_row, value) + 16 * k, 16);
  }
  for (size_t c = 0; c < all->n; c++) {
    const cell *one = &all->cells[c];
    (void)snprintf(rows[c].run, sizeof rows[c].run, "run%u", (unsigned)c);
    (void)snprintf(rows[c].error, sizeof rows[c].error, "%s", one->error != NULL ? one->error : "");
    for (size_t k = 0; k < KEYS && all->key[k] != NULL; k++) {
      (void)snprintf(rows[c].value[k], sizeof rows[c].value[k], "%s", one->value[k]);
    }
  }
  results_put_dataset(file, "/cells", type, 1, &all->n, rows);
  results_check(H5Tclose(type));
}

static void put_summary(hid_t file, const sweep *all) {
  static const char *const reals[] = {"run_imbalance",         "step_imbalance_mean",
                                      "step_imbalance_p50",    "step_imbalance_p95",
                                      "step_imbalance_p99",    "imbalance_p99",
                                      "worst_layer_imbalance", "tokens_per_active_slot"};
  static const char *const counts[] = {"plans",        "skipped_plans",     "moved_experts",
                                       "steps_scored", "empty_layer_steps", "worst_layer"};
  typedef struct row {
    char run[16], strategy[16];
    double real[8];
    int64_t count[6];
  } row;
  row rows[2 * CELLS_MAX] = {{.run = ""}};
  hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(row));
  hsize_t n = 0;

  insert_text(type, "run", offsetof(row, run), 16);
  insert_text(type, "strategy", offsetof(row, strategy), 16);
  for (size_t i = 0; i < 8; i++) {
    results_check(H5Tinsert(type, reals[i], offsetof(row, real) + 8 * i, H5T_NATIVE_DOUBLE));
  }
  for (size_t i = 0; i < 6; i++) {
    results_check(H5Tinsert(type, counts[i], offsetof(row, count) + 8 * i, H5T_NATIVE_INT64));
  }
  for (size_t c = 0; c < all->n; c++) {
    for (size_t i = 0; i < 2 && all->cells[c].error == NULL; i++) {
      rows[n] =
          (row){.real = {i == 0 ? all->cells[c].none : all->cells[c].l2_x, 1, 1, 1, 1, 1, 1, 1},
                .count = {1, 0, i == 0 ? 0 : all->cells[c].moved, 4, 0, 3}};
      (void)snprintf(rows[n].run, sizeof rows[n].run, "run%u", (unsigned)c);
      (void)snprintf(rows[n].strategy, sizeof rows[n].strategy, "%s", i == 0 ? "none" : "l2_x");
      n++;
    }
  }
  if (n > 0) {
    results_put_dataset(file, "/summary", type, 1, &n, rows);
  }
  results_check(H5Tclose(type));
}

/* What a newer file has of plans, made at the steps 2 and 4. */
static void put_plans(hid_t file, const char *run, const char *label, hsize_t n_plans,
                      hsize_t n_gpus) {
  static const int64_t step[PLANS] = {2, 4};
  static const int32_t moved[PLANS * RESULTS_LAYERS] = {1, 1, 1, 1};
  static const float planned[PLANS * RESULTS_LAYERS] = {1.25F, 1.75F, 1.5F, 2.0F};
  static const float before[] = {4, 0, 3, 1, 2, 2, 0, 0};
  static const float after[] = {3, 1, 1, 1, 4, 0, 0, 0};
  static const float after_none[] = {2, 2, 2, 2, 2, 2, 0, 0};
  static const double seconds[PLANS] = {0.002, 0.004};
  const hsize_t dims[3] = {n_plans, RESULTS_LAYERS, n_gpus};
  char name[64];

  (void)snprintf(name, sizeof name, "/runs/%s/%s/plans", run, label);
  hid_t plans = H5Gopen2(file, name, H5P_DEFAULT);
  results_put_dataset(plans, "step", H5T_NATIVE_INT64, 1, dims, step);
  results_put_dataset(plans, "moved_experts", H5T_NATIVE_INT32, 2, dims, moved);
  results_put_dataset(plans, "planned_imbalance", H5T_NATIVE_FLOAT, 2, dims, planned);
  results_put_dataset(plans, "gpu_load_before", H5T_NATIVE_FLOAT, 3, dims, before);
  results_put_dataset(plans, "gpu_load_after", H5T_NATIVE_FLOAT, 3, dims,
                      strcmp(label, "none") == 0 ? after_none : after);
  results_check(H5Gclose(plans));
  (void)snprintf(name, sizeof name, "/timing/%s/%s", run, label);
  hid_t create = H5Pcreate(H5P_LINK_CREATE);
  results_check(H5Pset_create_intermediate_group(create, 1));
  hid_t timing = H5Gcreate2(file, name, create, H5P_DEFAULT, H5P_DEFAULT);
  results_put_dataset(timing, "planner_seconds", H5T_NATIVE_DOUBLE, 1, dims, seconds);
  results_check(H5Gclose(timing));
  results_check(H5Pclose(create));
}

static void put_run(hid_t file, size_t number, const cell *one) {
  const hsize_t n_steps = 6;
  results_file content = results_small();
  double load[6];
  char run[16];
  char path[32];

  (void)snprintf(run, sizeof run, "run%u", (unsigned)number);
  (void)snprintf(path, sizeof path, "/runs/%s", run);
  content.run = run;
  content.n_plans = one->gpus == 2 ? PLANS : 0;
  content.n_plans_none = one->none_plans ? PLANS : 0;
  content.effect_step[2] = content.effect_step[3] = 4;
  results_put_run(file, &content);
  hid_t group = H5Gopen2(file, path, H5P_DEFAULT);
  results_put_number(group, "interval", one->interval);
  results_put_number(group, "window", one->window);
  results_put_number(group, "n_experts", 4);
  results_put_number(group, "n_slots", one->slots);
  results_put_number(group, "n_groups", 1);
  results_put_number(group, "n_nodes", 1);
  results_put_number(group, "n_gpus", one->gpus);
  put_real(group, "expert_bytes", 5e8);
  if (one->top_k > 0) {
    results_put_number(group, "top_k", one->top_k);
  }
  for (size_t t = 0; t < 6; t++) {
    load[t] = one->load;
  }
  results_put_dataset(group, "step_load", H5T_NATIVE_DOUBLE, 1, &n_steps, load);
  results_check(H5Gclose(group));
  put_plans(file, run, "none", content.n_plans_none, (hsize_t)one->gpus);
  put_plans(file, run, "l2_x", content.n_plans, (hsize_t)one->gpus);
}

static const char *write_sweep(const char *name, const sweep *all) {
  const char *path = results_path(name);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

  results_check(file);
  results_put_text(file, "format", "moebal-results");
  results_put_number(file, "version", 1);
  for (size_t c = 0; c < all->n; c++) {
    if (all->cells[c].error == NULL) {
      put_run(file, c, &all->cells[c]);
    }
  }
  hid_t provenance = H5Gcreate2(file, "/provenance", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  results_put_text(provenance, "cpu", "Abacus 3000");
  results_check(H5Gclose(provenance));
  put_cells(file, all);
  put_summary(file, all);
  results_check(H5Fclose(file));
  return path;
}

/* --- reading --- */

/* The table of a figure, to be freed, as is the caption; without `run` no run is chosen. */
static char *tabulate(const char *figure, const char *path, int run, char **caption) {
  mb_results_file *file = NULL;
  mb_results *results = NULL;
  size_t size = 0;

  *caption = NULL;
  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  if (run >= 0) {
    CHECK_OK(mb_results_file_open_run(file, (size_t)run, &results));
  }
  const mb_figure_source source = {.file = file, .run = results};
  CU_ASSERT_PTR_NOT_NULL_FATAL(mb_figure_find(figure));
  CHECK_OK(mb_figure_write(mb_figure_find(figure), &source, results_path("t.tsv"), caption));
  CU_ASSERT_PTR_NOT_NULL_FATAL(*caption);
  mb_results_destroy(results);
  mb_results_file_close(file);
  char *text = results_slurp(results_path("t.tsv"), &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  return text;
}

static void check_said(const char *text, const char *part) {
  CU_ASSERT(strstr(text, part) != NULL);
  if (strstr(text, part) == NULL) {
    (void)printf("\n    no \"%s\" in:\n%s\n", part, text);
  }
}

static void check_table(const char *figure, const char *path, int run, const char *table,
                        const char *caption) {
  char *said = NULL;
  char *text = tabulate(figure, path, run, &said);

  CU_ASSERT_STRING_EQUAL(text, table);
  if (strcmp(text, table) != 0) {
    (void)printf("\n    %s is\n%s    not\n%s", figure, text, table);
  }
  check_said(said, caption);
  free(text);
  free(said);
}

/* That figure says that it does not apply, and why. */
static void check_refused(const char *figure, const char *path, const char *text) {
  mb_results_file *file = NULL;
  char *caption = NULL;

  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  const mb_figure_source source = {.file = file, .run = NULL};
  CHECK_FAILS(mb_figure_write(mb_figure_find(figure), &source, results_path("no.tsv"), &caption),
              MB_ERR_PARAM, text);
  CU_ASSERT(access(results_path("no.tsv"), F_OK) != 0);
  CU_ASSERT_PTR_NULL(caption);
  mb_results_file_close(file);
}

/* --- sweeps --- */

#define SMALL .window = 2, .slots = 4, .gpus = 2, .load = 80

/* Unsorted intervals; of 10 a third seed failed. 1.2, 1.3, 1.4: a standard deviation of 0.1, and
   t(0.975, 2) = 4.30265273; 1.5 and 1.7: t(0.975, 1) = 12.70620474 times 0.1. */
static sweep interval_sweep(void) {
  return (sweep){.key = {"schedule.interval", "seed"},
                 .n = 6,
                 .cells = {{{"10", "1"}, 2.0, 1.5, .moved = 8, .interval = 10, SMALL},
                           {{"10", "2"}, 2.0, 1.7, .moved = 16, .interval = 10, SMALL},
                           {{"10", "3"}, .error = "no such trace"},
                           {{"2", "1"}, 2.0, 1.2, .moved = 40, .interval = 2, SMALL},
                           {{"2", "2"}, 2.0, 1.3, .moved = 40, .interval = 2, SMALL},
                           {{"2", "3"}, 2.0, 1.4, .moved = 40, .interval = 2, SMALL}}};
}

/* 40 experts of 5e8 bytes in 4 steps to 2 GPUs: 2500 MB a step and GPU. 8 and 16: 500 and 1000. */
static void test_moved_bytes(void) {
  const sweep all = interval_sweep();

  check_table(
      "pareto_moved_bytes", write_sweep("moved.h5", &all), -1,
      "unit\tcondition\tnone\tnone:low\tnone:high\tnone:x\tnone:x_low\tnone:x_high\tnone:n\t"
      "l2_x\tl2_x:low\tl2_x:high\tl2_x:x\tl2_x:x_low\tl2_x:x_high\tl2_x:n\n"
      "MB\t2\t2\t2\t2\tNaN\tNaN\tNaN\t3\t"
      "1.3\t1.051586229\t1.548413771\t2500\t2500\t2500\t3\n"
      "MB\t10\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\t0\t"
      "1.6\t0.3293795264\t2.870620474\t750\t-2426.551184\t3926.551184\t2\n",
      "Means over n = 2 to 3 seeds, with 95 % intervals over the seeds by Student's t.\n"
      "Intervals are of means over runs that the strategies share, not of the strategies' "
      "differences: `moebal compare` compares them in pairs.\n"
      "1 cell failed, and is left out.\n");
}

/* On 4 GPUs 40 experts of 5e8 bytes in 4 steps are 1250 MB a step and GPU; 8 are 250. */
static void test_moved_bytes_of_gpus(void) {
  sweep all = {.key = {"schedule.interval"},
               .n = 2,
               .cells = {{{"2"}, 2.0, 1.25, .moved = 40, .interval = 2, SMALL},
                         {{"10"}, 2.0, 1.5, .moved = 8, .interval = 10, SMALL}}};

  all.cells[0].gpus = all.cells[1].gpus = 4;
  all.cells[0].slots = all.cells[1].slots = 8;
  check_table(
      "pareto_moved_bytes", write_sweep("moved4.h5", &all), -1,
      "unit\tcondition\tnone\tnone:low\tnone:high\tnone:x\tnone:x_low\tnone:x_high\tnone:n\t"
      "l2_x\tl2_x:low\tl2_x:high\tl2_x:x\tl2_x:x_low\tl2_x:x_high\tl2_x:n\n"
      "MB\t2\t2\tNaN\tNaN\tNaN\tNaN\tNaN\t1\t1.25\tNaN\tNaN\t1250\tNaN\tNaN\t1\n"
      "MB\t10\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\t0\t1.5\tNaN\tNaN\t250\tNaN\tNaN\t1\n",
      "n = 1 run a point: there are no intervals.\n");
}

static void test_interval_window(void) {
  const sweep all = {
      .key = {"schedule.interval", "schedule.window"},
      .n = 2,
      .cells = {
          {{"4", "8"}, 2.0, 1.5, .interval = 4, .window = 8, .slots = 4, .gpus = 2, .load = 8},
          {{"2", "8"}, 2.0, 1.25, .interval = 2, .window = 8, .slots = 4, .gpus = 2, .load = 8}}};

  check_table(
      "interval_window", write_sweep("window.h5", &all), -1,
      "interval\twindow\tnone\tnone:low\tnone:high\tnone:n\tl2_x\tl2_x:low\tl2_x:high\tl2_x:n\n"
      "2\t8\t2\tNaN\tNaN\t1\t1.25\tNaN\tNaN\t1\n"
      "4\t8\t2\tNaN\tNaN\t1\t1.5\tNaN\tNaN\t1\n",
      "n = 1 run a point: there are no intervals.\n");
}

/* Where nothing but relabellings repeats a setting, the interval is over these: 1.25 and 1.75 have
   the mean 1.5, and t(0.975, 1) = 12.70620474 times 0.25 to either side. */
static void test_redundancy(void) {
  sweep all = {.key = {"cluster.slots", "relabel"},
               .n = 3,
               .cells = {{{"4", "1"}, 2.0, 1.25, .interval = 2, SMALL},
                         {{"4", "2"}, 2.0, 1.75, .interval = 2, SMALL},
                         {{"6", "1"}, 1.5, 1.25, .interval = 2, SMALL}}};

  all.cells[2].slots = 6;
  check_table(
      "redundancy", write_sweep("slots.h5", &all), -1,
      "slots\tgigabytes\tnone\tnone:low\tnone:high\tnone:n\tl2_x\tl2_x:low\tl2_x:high\tl2_x:n\n"
      "2\t2\t2\t2\t2\t2\t1.5\t-1.676551184\t4.676551184\t2\n"
      "3\t3\t1.5\tNaN\tNaN\t1\t1.25\tNaN\tNaN\t1\n",
      "Means over n = 1 to 2 relabellings of the experts, with 95 % intervals over the "
      "relabellings by Student's t, which say what ties and the order of experts do, and "
      "nothing of other traffic.\n");
}

/* Relabellings are averaged within a seed: n stays the number of seeds. */
static void test_seeds_and_relabellings(void) {
  const sweep all = {.key = {"seed", "relabel"},
                     .n = 4,
                     .cells = {{{"1", "1"}, 2.0, 1.25, .interval = 2, SMALL},
                               {{"1", "2"}, 2.0, 1.75, .interval = 2, SMALL},
                               {{"2", "1"}, 2.0, 1.5, .interval = 2, SMALL},
                               {{"2", "2"}, 2.0, 2.0, .interval = 2, SMALL}}};

  check_table(
      "pareto_planner_time", write_sweep("both.h5", &all), -1,
      "unit\tcondition\tnone\tnone:low\tnone:high\tnone:x\tnone:x_low\tnone:x_high\tnone:n\t"
      "l2_x\tl2_x:low\tl2_x:high\tl2_x:x\tl2_x:x_low\tl2_x:x_high\tl2_x:n\n"
      "ms\t-\t2\t2\t2\tNaN\tNaN\tNaN\t2\t"
      "1.625\t0.03672440798\t3.213275592\t3\t3\t3\t2\n",
      "Measured on: Abacus 3000.\n"
      "Means over n = 2 seeds, each the mean over 2 relabellings of the experts, with 95 % "
      "intervals over the seeds by Student's t.\n");
}

/* A parameter that none does not have: one point. */
static void test_planner_time(void) {
  const sweep all = {.key = {"parameters.max_rounds"},
                     .n = 2,
                     .cells = {{{"unlimited"}, 2.0, 1.25, .interval = 2, SMALL},
                               {{"5"}, 2.0, 1.5, .interval = 2, SMALL}}};

  check_table(
      "pareto_planner_time", write_sweep("rounds.h5", &all), -1,
      "unit\tcondition\tnone\tnone:low\tnone:high\tnone:x\tnone:x_low\tnone:x_high\tnone:n\t"
      "l2_x\tl2_x:low\tl2_x:high\tl2_x:x\tl2_x:x_low\tl2_x:x_high\tl2_x:n\n"
      "ms\t5\t2\tNaN\tNaN\tNaN\tNaN\tNaN\t1\t1.5\tNaN\tNaN\t3\tNaN\tNaN\t1\n"
      "ms\tunlimited\tNaN\tNaN\tNaN\tNaN\tNaN\tNaN\t0\t1.25\tNaN\tNaN\t3\tNaN\tNaN\t1\n",
      "Swept: parameters.max_rounds unlimited, 5.\n");
}

/* 80 loads a step on 2 layers of 4 experts: 10 an expert. Gains are paired within a run: 1 - 1.5/2
   and 1 - 1.5/1.6 are 25 % and 6.25 %. */
static void test_batch_size(void) {
  sweep all = {.key = {"trace.merge", "seed"},
               .n = 3,
               .cells = {{{"1", "1"}, 2.0, 1.5, .interval = 2, SMALL},
                         {{"1", "2"}, 1.6, 1.5, .interval = 2, SMALL},
                         {{"4", "1"}, 2.0, 1.0, .interval = 2, SMALL}}};

  /* A step of 80 in 2 layers: 40 a layer are 20 tokens of 2 experts each, or 10 of each of 4. */
  all.cells[0].top_k = all.cells[1].top_k = 2;
  all.cells[2].load = 320;
  check_table("batch_size", write_sweep("merge.h5", &all), -1,
              "expert_tokens\ttokens\tl2_x\tl2_x:low\tl2_x:high\tl2_x:n\n"
              "10\t20\t15.625\t-103.4956694\t134.7456694\t2\n"
              "40\tNaN\t50\tNaN\tNaN\t1\n",
              "above: tokens of an expert in a layer and step; both the mean of the scored steps.");
}

static void test_ep_size(void) {
  sweep all = {.key = {"cluster.gpus", "cluster.slots"},
               .n = 2,
               .cells = {{{"4", "8"}, 2.0, 1.5, .interval = 2, SMALL},
                         {{"2", "4"}, 1.5, 1.25, .interval = 2, SMALL}}};

  all.cells[0].gpus = 4;
  all.cells[0].slots = 8;
  check_table("ep_size", write_sweep("gpus.h5", &all), -1,
              "gpus\tnone\tnone:low\tnone:high\tnone:n\tl2_x\tl2_x:low\tl2_x:high\tl2_x:n\n"
              "2\t1.5\tNaN\tNaN\t1\t1.25\tNaN\tNaN\t1\n"
              "4\t2\tNaN\tNaN\t1\t1.5\tNaN\tNaN\t1\n",
              "Cluster: 2 GPUs on 1 node, 4 slots for 4 experts a layer, each of 500 MB.\n"
              "Schedule: a plan every 2 steps, from the last 2.\n"
              "Swept: cluster.gpus 4, 2.\nSwept: cluster.slots 8, 4.\n");
}

static void test_refused(void) {
  sweep all = interval_sweep();
  const char *interval = write_sweep("interval.h5", &all);

  check_refused("redundancy", interval, "redundancy needs a sweep of cluster.slots: cluster.slots");
  check_refused("interval_window", interval,
                "a sweep of schedule.interval and schedule.window: schedule.window is not swept");
  check_refused("imbalance_cdf", interval, "shows one run, and there are 6: choose it by --run");
  check_refused("pareto_planner_time", interval,
                "here schedule.interval is swept too, which it would mix");
  all.key[1] = "cluster.gpus";
  const char *both = write_sweep("two.h5", &all);
  check_refused("pareto_moved_bytes", both, "here cluster.gpus is swept too");
  check_refused("ep_size", both, "here schedule.interval is swept too");
}

static void test_all_failed(void) {
  const sweep all = {
      .key = {"cluster.slots"}, .n = 1, .cells = {{{"4"}, .error = "no such trace"}}};
  const char *path = write_sweep("failed.h5", &all);
  mb_results_file *file = NULL;
  char *caption = NULL;

  hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  results_check(H5Gclose(H5Gcreate2(id, "/runs", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)));
  results_check(H5Fclose(id));
  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  const mb_figure_source source = {.file = file};
  CHECK_FAILS(
      mb_figure_write(mb_figure_find("redundancy"), &source, results_path("no.tsv"), &caption),
      MB_ERR_PARAM, "all 1 cells failed; the first: no such trace");
  mb_results_file_close(file);
}

/* --- plans --- */

static const char *plans_file(void) {
  const sweep all = {.key = {"seed"}, .n = 1, .cells = {{{"1"}, 2.0, 1.5, .interval = 2, SMALL}}};

  return write_sweep("plans.h5", &all);
}

/* In sample the layers' means are 1.5 and 1.75; on the sums ahead (1.5 + 1) / 2, and 2, as a layer
   has no load; by step (1.25 + 1 + 1) / 3, with a step without load, and (1.5 + 1 + 1.125 + 1) / 4.
 */
static void test_in_sample(void) {
  check_table("in_sample", plans_file(), 0,
              "strategy\tplans\tplanned:p5\tplanned:p25\tplanned:p50\tplanned:p75\tplanned:p95\t"
              "planned:mean\tahead:p5\tahead:p25\tahead:p50\tahead:p75\tahead:p95\tahead:mean\t"
              "steps:p5\tsteps:p25\tsteps:p50\tsteps:p75\tsteps:p95\tsteps:mean\n"
              "l2_x\t2\t1.5125\t1.5625\t1.625\t1.6875\t1.7375\t1.625\t"
              "1.2875\t1.4375\t1.625\t1.8125\t1.9625\t1.625\t"
              "1.086979167\t1.1015625\t1.119791667\t1.138020833\t1.152604167\t1.119791667\n",
              "n = 2 plans of one run");
}

/* Gains: 0.5 in both layers of the first plan, -1 in the first of the second. The median is that of
   plan 0 in layer 3. */
static void test_gpu_load(void) {
  const sweep both = {.key = {"seed"},
                      .n = 1,
                      .cells = {{{"1"}, 2.0, 1.5, .interval = 2, .none_plans = true, SMALL}}};

  check_table("gpu_load", plans_file(), 0,
              "gpu\tl2_x\tl2_x:before\tl2_x:plan\tl2_x:step\tl2_x:layer\n"
              "1\t1.5\t2\t0\t2\t3\n"
              "2\t0.5\t0\t0\t2\t3\n",
              "l2_x: plan 0, made at step 2, layer 3: 2.000 becomes 1.500.\n");
  /* Where none plans too, it chooses: its gains are 1 and 0.5, then 0. */
  check_table("gpu_load", write_sweep("both_plan.h5", &both), 0,
              "gpu\tnone\tnone:before\tnone:plan\tnone:step\tnone:layer\t"
              "l2_x\tl2_x:before\tl2_x:plan\tl2_x:step\tl2_x:layer\n"
              "1\t1\t1.5\t0\t2\t7\t1\t1.5\t0\t2\t7\n"
              "2\t1\t0.5\t0\t2\t7\t1\t0.5\t0\t2\t7\n",
              "of none whose whole interval is in the scored steps");
}

/* The last plan counts only if its whole interval is there, and the first if it is scored. */
static void test_plans_that_count(void) {
  const mb_results_run run = {.n_steps = 100, .summary_from = 12, .interval = 10, .delay = 2};

  CU_ASSERT_FALSE(mb_figure_plan_counts(&run, 9));
  CU_ASSERT(mb_figure_plan_counts(&run, 10));
  CU_ASSERT(mb_figure_plan_counts(&run, 88));
  CU_ASSERT_FALSE(mb_figure_plan_counts(&run, 89));
}

int main(void) {
  CU_TestInfo tests[] = {{"pareto_moved_bytes", test_moved_bytes},
                         {"bytes that move, on 4 GPUs", test_moved_bytes_of_gpus},
                         {"interval_window", test_interval_window},
                         {"redundancy", test_redundancy},
                         {"seeds and relabellings", test_seeds_and_relabellings},
                         {"pareto_planner_time", test_planner_time},
                         {"batch_size", test_batch_size},
                         {"ep_size", test_ep_size},
                         {"figures that don't apply", test_refused},
                         {"all cells failed", test_all_failed},
                         {"in_sample", test_in_sample},
                         {"gpu_load", test_gpu_load},
                         {"plans that count", test_plans_that_count},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return run_suite("figures_swept", tests);
}
