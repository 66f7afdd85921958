/* tests/results_cells.h - writes small results files of several cells by hand. */
#ifndef MB_TESTS_RESULTS_CELLS_H
#define MB_TESTS_RESULTS_CELLS_H

#include "tests/results_file.h"

enum { CELLS_SUMMARY_ROWS = 4 };

/** A row of /cells, of a sweep over schedule.interval and seed. */
typedef struct cell_row {
  char run[16], error[32], interval[16], seed[16];
} cell_row;

/** What differs between the rows of /summary; all else is the same in all. */
typedef struct summary_row {
  char run[16], strategy[16];
  double run_imbalance;
  int64_t worst_layer;
} summary_row;

static const summary_row cells_summary[CELLS_SUMMARY_ROWS] = {{"1.a", "none", 2.0, 3},
                                                              {"1.a", "l2_x", 1.25, 7},
                                                              {"3.c", "none", 2.5, 3},
                                                              {"3.c", "l2_x", 1.5, 7}};

static inline hid_t cells_text(size_t size) {
  hid_t type = H5Tcopy(H5T_C_S1);

  results_check(H5Tset_size(type, size));
  return type;
}

static inline void cells_insert(hid_t row, const char *name, size_t offset, hid_t type) {
  results_check(H5Tinsert(row, name, offset, type));
  results_check(H5Tclose(type));
}

static inline hid_t cells_type(void) {
  hid_t row = H5Tcreate(H5T_COMPOUND, sizeof(cell_row));

  cells_insert(row, "run", offsetof(cell_row, run), cells_text(16));
  cells_insert(row, "error", offsetof(cell_row, error), cells_text(32));
  cells_insert(row, "schedule.interval", offsetof(cell_row, interval), cells_text(16));
  cells_insert(row, "seed", offsetof(cell_row, seed), cells_text(16));
  return row;
}

static inline void cells_put_table(hid_t file, hsize_t n, const cell_row *rows) {
  hid_t type = cells_type();

  results_put_dataset(file, "/cells", type, 1, &n, rows);
  results_check(H5Tclose(type));
}

static inline void cells_put_summary(hid_t file, hsize_t n, const summary_row *rows) {
  static const char *const reals[] = {"step_imbalance_mean",    "step_imbalance_p50",
                                      "step_imbalance_p95",     "step_imbalance_p99",
                                      "imbalance_p99",          "worst_layer_imbalance",
                                      "tokens_per_active_slot", "run_imbalance"};
  static const char *const counts[] = {"plans",        "skipped_plans",     "moved_experts",
                                       "steps_scored", "empty_layer_steps", "worst_layer"};
  typedef struct row {
    char run[16], strategy[16];
    double real[8];
    int64_t count[6];
  } row;
  row whole[64] = {{.run = ""}};
  hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(row));

  cells_insert(type, "strategy", offsetof(row, strategy), cells_text(16));
  cells_insert(type, "run", offsetof(row, run), cells_text(16));
  for (size_t i = 0; i < 8; i++) {
    results_check(H5Tinsert(type, reals[i], offsetof(row, real) + 8 * i, H5T_NATIVE_DOUBLE));
  }
  for (size_t i = 0; i < 6; i++) {
    results_check(H5Tinsert(type, counts[i], offsetof(row, count) + 8 * i, H5T_NATIVE_INT64));
  }
  for (size_t i = 0; i < n; i++) {
    whole[i] = (row){.real = {3, 3, 3, 3, 3, 3, 3, rows[i].run_imbalance},
                     .count = {5, 6, 7, 8, 9, rows[i].worst_layer}};
    memcpy(whole[i].run, rows[i].run, sizeof whole[i].run);
    memcpy(whole[i].strategy, rows[i].strategy, sizeof whole[i].strategy);
  }
  results_put_dataset(file, "/summary", type, 1, &n, whole);
  results_check(H5Tclose(type));
}

/** A file of the cells 1.a, 2.b, which failed, and 3.c. @return its path. */
static inline const char *cells_write(const char *name) {
  static const cell_row rows[] = {
      {"1.a", "", "2", "1"}, {"2.b", "no such trace", "2", "2"}, {"3.c", "", "4", "2"}};
  results_file content = results_small();
  const char *path = results_path(name);

  content.run = "1.a";
  content.n_plans = 0;
  results_write(path, &content);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  content.run = "3.c";
  results_put_run(file, &content);
  cells_put_table(file, 3, rows);
  cells_put_summary(file, CELLS_SUMMARY_ROWS, cells_summary);
  hid_t group = H5Gcreate2(file, "/provenance", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  results_put_text(group, "config", "name: tiny\nsweep: {}\n");
  results_put_number(group, "threads", 2);
  results_check(H5Gclose(group));
  results_check(H5Fclose(file));
  return path;
}

#endif
