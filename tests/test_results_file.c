/* tests/test_results_file.c - results files with several runs: good ones, wrong ones, damaged ones.
 */
#include "experiments/results_file.h"

#include <math.h>

#include "tests/results_cells.h"

static void test_one_run(void) {
  results_file content = results_small();
  const char *path = results_path("one.h5");
  mb_results_file *file = NULL;
  mb_results *results = NULL;
  char *text = NULL;

  results_write(path, &content);
  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  const mb_results_cells *cells = mb_results_file_cells(file);
  CU_ASSERT(cells->n_keys == 0 && cells->n_cells == 1);
  CU_ASSERT_STRING_EQUAL(cells->cell[0].run, "tiny");
  CU_ASSERT_STRING_EQUAL(cells->cell[0].error, "");
  CU_ASSERT_PTR_NULL(mb_results_file_value(file, 0, "seed"));
  CHECK_OK(mb_results_file_provenance(file, "config", &text));
  CU_ASSERT_STRING_EQUAL(text, "");
  free(text);
  CHECK_OK(mb_results_file_open_run(file, 0, &results));
  CU_ASSERT_PTR_NOT_NULL_FATAL(results);
  const mb_results_run *run = mb_results_get_run(results);
  CU_ASSERT(run->interval == 2 && run->window == 2 && run->delay == 0);
  CU_ASSERT_STRING_EQUAL(run->model, "tiny-2");
  /* Nothing says so in a file of an older version. */
  CU_ASSERT(run->seed == -1 && run->relabel == 0 && run->merge == 1);
  CU_ASSERT(run->request_lifetime == 0 && run->expert_bytes == 0.0);
  double steps[6];
  CHECK_OK(mb_results_read_step_imbalance(results, 0, steps));
  CHECK_FAILS(mb_results_read_step_load(results, steps), MB_ERR_FORMAT,
              "one.h5: /runs/tiny/step_load: the dataset is missing: an older moebal wrote");
  mb_replay_summary summary;
  CHECK_FAILS(mb_results_read_summary(results, 0, &summary), MB_ERR_FORMAT,
              "one.h5: /summary: there is no row of run tiny and strategy none");
  mb_results_destroy(results);
  mb_results_file_close(file);
  mb_results_file_close(NULL);
}

static void test_runs_without_cells(void) {
  results_file content = results_small();
  const char *path = results_path("runs.h5");
  mb_results_file *file = NULL;

  results_write(path, &content);
  content.run = "other";
  hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  results_put_run(id, &content);
  results_check(H5Fclose(id));
  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL_FATAL(mb_results_file_cells(file)->n_cells, 2);
  CU_ASSERT_STRING_EQUAL(mb_results_file_cells(file)->cell[0].run, "other");
  CU_ASSERT_STRING_EQUAL(mb_results_file_cells(file)->cell[1].run, "tiny");
  mb_results_file_close(file);
}

static void test_cells(void) {
  const char *path = cells_write("cells.h5");
  mb_results_file *file = NULL;
  mb_results *results = NULL;
  char *text = NULL;

  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  const mb_results_cells *cells = mb_results_file_cells(file);
  CU_ASSERT(cells->n_keys == 2 && cells->n_cells == 3);
  CU_ASSERT_STRING_EQUAL(cells->key[0], "schedule.interval");
  CU_ASSERT_STRING_EQUAL(cells->key[1], "seed");
  CU_ASSERT_STRING_EQUAL(cells->cell[1].value[0], "2");
  CU_ASSERT_STRING_EQUAL(mb_results_file_value(file, 2, "seed"), "2");
  CU_ASSERT_PTR_NULL(mb_results_file_value(file, 2, "cluster.gpus"));
  CU_ASSERT_STRING_EQUAL(cells->cell[1].error, "no such trace");
  CHECK_FAILS(mb_results_file_open_run(file, 1, &results), MB_ERR_PARAM,
              "cells.h5: run 2.b failed: no such trace");
  CHECK_OK(mb_results_file_provenance(file, "config", &text));
  CU_ASSERT_STRING_EQUAL(text, "name: tiny\nsweep: {}\n");
  free(text);
  CHECK_OK(mb_results_file_provenance(file, "threads", &text));
  CU_ASSERT_STRING_EQUAL(text, "2");
  free(text);
  CHECK_OK(mb_results_file_run_provenance(file, "1.a", "threads", &text));
  CU_ASSERT_STRING_EQUAL(text, "");
  free(text);
  for (size_t i = 0; i < 3; i += 2) {
    mb_replay_summary summary;
    CHECK_OK(mb_results_file_open_run(file, i, &results));
    CU_ASSERT_STRING_EQUAL(mb_results_get_run(results)->name, cells->cell[i].run);
    CHECK_OK(mb_results_read_summary(results, 1, &summary));
    CU_ASSERT(summary.run_imbalance == (i == 0 ? 1.25 : 1.5) && summary.worst_layer == 1);
    CU_ASSERT(summary.plans == 5 && summary.moved_experts == 7 && isnan(summary.planner_seconds));
    mb_results_destroy(results);
  }
  mb_results_file_close(file);
}

/* --- wrong files: each is a good one with one thing changed --- */

static void test_wrong_cells(void) {
  static const struct {
    const char *run[3], *error[3], *value;
    const char *text;
  } cases[] = {
      {{"1.a", "2.b", "1.a"}, {"", "x", ""}, "1", "/cells: run 1.a has two rows"},
      {{"1.a", "2.b", "4.d"}, {"", "x", ""}, "1", "/runs/3.c: the run is not among the 3 of"},
      {{"1.a", "2.b", "3.c"}, {"", "", ""}, "1", "/cells: run 2.b has no error, so /runs should"},
      {{"1.a", "2.b", "3.c"}, {"", "x", "x"}, "1", "/cells: run 3.c has an error, so /runs should"},
      {{"1.a", "2/b", "3.c"}, {"", "x", ""}, "1", "/cells: row 1: the run's name is none"},
      {{"1.a", "", "3.c"}, {"", "x", ""}, "1", "/cells: row 1: the run's name is none"},
      {{"1.a", "2.b", "3.c"}, {"", "x\ny", ""}, "1", "/cells: row 1 has control characters"},
      {{"1.a", "2.b", "3.c"}, {"", "x", ""}, "\x1b[31m", "/cells: row 0 has control characters"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    cell_row rows[3] = {{"1.a", "", "1", "1"}, {"2.b", "x", "1", "1"}, {"3.c", "", "1", "1"}};
    mb_results_file *file = NULL;
    for (size_t j = 0; j < 3; j++) {
      (void)snprintf(rows[j].run, sizeof rows[j].run, "%s", cases[i].run[j]);
      (void)snprintf(rows[j].error, sizeof rows[j].error, "%s", cases[i].error[j]);
    }
    (void)snprintf(rows[0].interval, sizeof rows[0].interval, "%s", cases[i].value);
    const char *path = cells_write("wrong.h5");
    hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    results_check(H5Ldelete(id, "/cells", H5P_DEFAULT));
    cells_put_table(id, 3, rows);
    results_check(H5Fclose(id));
    CHECK_FAILS(mb_results_file_open(path, &file), MB_ERR_FORMAT, cases[i].text);
    CU_ASSERT_PTR_NULL(file);
  }
}

static void put_cells(hid_t file, hid_t type, hsize_t n) {
  hid_t space = H5Screate_simple(1, &n, NULL);
  hid_t dataset = H5Dcreate2(file, "/cells", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  results_check(dataset);
  results_check(H5Dclose(dataset));
  results_check(H5Sclose(space));
}

static void cells_numbers(hid_t file) {
  put_cells(file, H5T_NATIVE_DOUBLE, 3);
}
static void cells_too_many(hid_t file) {
  hid_t type = cells_type();
  put_cells(file, type, 100001);
  results_check(H5Tclose(type));
}
static void cells_none(hid_t file) {
  hid_t type = cells_type();
  put_cells(file, type, 0);
  results_check(H5Tclose(type));
}
static void put_columns(hid_t file, const char *const *names, const hid_t *types, size_t n) {
  hid_t row = H5Tcreate(H5T_COMPOUND, 64 * n);
  for (size_t i = 0; i < n; i++) {
    results_check(H5Tinsert(row, names[i], 64 * i, types[i]));
  }
  put_cells(file, row, 3);
  results_check(H5Tclose(row));
}
static void cells_no_error(hid_t file) {
  put_columns(file, (const char *const[]){"run", "seed"}, (const hid_t[]){H5T_C_S1, H5T_C_S1}, 2);
}
static void cells_number_run(hid_t file) {
  put_columns(file, (const char *const[]){"run", "error"},
              (const hid_t[]){H5T_NATIVE_INT, H5T_C_S1}, 2);
}
static void cells_number_key(hid_t file) {
  put_columns(file, (const char *const[]){"run", "error", "seed"},
              (const hid_t[]){H5T_C_S1, H5T_C_S1, H5T_NATIVE_INT}, 3);
}
static void cells_odd_key(hid_t file) {
  put_columns(file, (const char *const[]){"run", "error", "a/b"},
              (const hid_t[]){H5T_C_S1, H5T_C_S1, H5T_C_S1}, 3);
}
static void cells_group(hid_t file) {
  results_check(H5Gclose(H5Gcreate2(file, "/cells", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)));
}
static void cells_huge_text(hid_t file) {
  hid_t text = H5Tcopy(H5T_C_S1);
  hid_t row = H5Tcreate(H5T_COMPOUND, ((size_t)1 << 25) + 64);
  results_check(H5Tset_size(text, (size_t)1 << 25));
  results_check(H5Tinsert(row, "run", 0, H5T_C_S1));
  results_check(H5Tinsert(row, "error", 64, text));
  put_cells(file, row, 3);
  results_check(H5Tclose(row));
  results_check(H5Tclose(text));
}

static void test_wrong_tables(void) {
  static const struct {
    void (*put)(hid_t file);
    const char *text;
  } cases[] = {{cells_numbers, "/cells: should be a table of 1 to 100000 rows"},
               {cells_too_many, "/cells: should be a table of 1 to 100000 rows"},
               {cells_none, "/cells: should be a table of 1 to 100000 rows"},
               {cells_group, "/cells: the table is missing or damaged"},
               {cells_no_error, "/cells: column error is missing"},
               {cells_number_run, "/cells: column run should be text"},
               {cells_number_key, "/cells: column seed should be text"},
               {cells_odd_key, "/cells: the name of column 2 is none"},
               {cells_huge_text, "/cells: column error is too large"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = cells_write("table.h5");
    mb_results_file *file = NULL;
    hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    results_check(H5Ldelete(id, "/cells", H5P_DEFAULT));
    cases[i].put(id);
    results_check(H5Fclose(id));
    CHECK_FAILS(mb_results_file_open(path, &file), MB_ERR_FORMAT, cases[i].text);
    CU_ASSERT_PTR_NULL(file);
  }
}

/* What is wrong in any run is found when the file is opened. */
static void test_wrong_run(void) {
  const char *path = cells_write("run.h5");
  mb_results_file *file = NULL;
  double bad = 0.5;

  hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t dataset = H5Dopen2(id, "/runs/3.c/l2_x/step_imbalance", H5P_DEFAULT);
  hsize_t point = 4;
  hid_t space = H5Dget_space(dataset);
  hid_t memory = H5Screate(H5S_SCALAR);
  results_check(H5Sselect_elements(space, H5S_SELECT_SET, 1, &point));
  results_check(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, &bad));
  results_check(H5Sclose(memory));
  results_check(H5Sclose(space));
  results_check(H5Dclose(dataset));
  results_check(H5Fclose(id));
  CHECK_FAILS(mb_results_file_open(path, &file), MB_ERR_FORMAT,
              "run.h5: /runs/3.c/l2_x/step_imbalance: step 4 has 0.5");
  CU_ASSERT_PTR_NULL(file);
}

static void test_wrong_summary(void) {
  static const struct {
    size_t row;
    summary_row value;
    const char *text;
  } cases[] = {
      {0, {"1.a", "none", 0.5, 7}, "/summary: column run_imbalance, row 0 has 0.5; should be at"},
      {1, {"1.a", "l2_x", NAN, 7}, "/summary: column run_imbalance, row 1 has nan"},
      {1, {"1.a", "none", 1.5, 7}, "/summary: run '1.a' and strategy 'none' have two rows"},
      {3, {"3.c", "l2_x", 1.5, 5}, "/summary: run 3.c has no layer 5"},
      {2, {"3.c", "other", 1.5, 7}, "/summary: there is no row of run 3.c and strategy none"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = cells_write("summary.h5");
    mb_results_file *file = NULL;
    summary_row rows[CELLS_SUMMARY_ROWS];
    memcpy(rows, cells_summary, sizeof rows);
    rows[cases[i].row] = cases[i].value;
    hid_t id = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    results_check(H5Ldelete(id, "/summary", H5P_DEFAULT));
    cells_put_summary(id, CELLS_SUMMARY_ROWS, rows);
    results_check(H5Fclose(id));
    CHECK_FAILS(mb_results_file_open(path, &file), MB_ERR_FORMAT, cases[i].text);
    CU_ASSERT_PTR_NULL(file);
  }
}

static void test_no_file(void) {
  mb_results_file *file = NULL;

  CHECK_FAILS(mb_results_file_open(results_path("none.h5"), &file), MB_ERR_IO,
              "none.h5: No such file or directory");
  CHECK_FAILS(mb_results_file_open("/dev/zero", &file), MB_ERR_IO, "is not a file");
}

/* --- damaged files --- */

/* Whether all runs of an open file can be opened too. */
static int opens(const mb_results_file *file) {
  int fine = 1;

  for (size_t i = 0; i < mb_results_file_cells(file)->n_cells; i++) {
    mb_results *results = NULL;
    if (mb_results_file_cells(file)->cell[i].error[0] == '\0') {
      fine = fine && mb_results_file_open_run(file, i, &results) == MB_OK;
    }
    mb_results_destroy(results);
  }
  return fine;
}

static void write_bytes(const char *path, const char *bytes, size_t size) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_EQUAL(fwrite(bytes, 1, size, file), size);
  (void)fclose(file);
}

/* Cut short anywhere, it is an error; with a byte flipped it is one, or the byte didn't matter, but
 * what was opened can be read. */
static void test_damaged(void) {
  size_t size = 0;
  char *bytes = results_slurp(cells_write("whole.h5"), &size);
  const char *path = results_path("damaged.h5");
  mb_results_file *file = NULL;
  size_t refused = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  for (size_t cut = 0; cut < 20; cut++) {
    write_bytes(path, bytes, size * cut / 20);
    CU_ASSERT_NOT_EQUAL(mb_results_file_open(path, &file), MB_OK);
    CU_ASSERT(strstr(mb_error_message(), "damaged.h5") != NULL);
  }
  for (size_t i = 0; i < 100; i++) {
    size_t at = (i * 2654435761U) % size;
    file = NULL;
    bytes[at] = (char)(bytes[at] ^ 0x55);
    write_bytes(path, bytes, size);
    mb_status status = mb_results_file_open(path, &file);
    CU_ASSERT(status != MB_OK || opens(file));
    refused += status != MB_OK;
    mb_results_file_close(file);
    bytes[at] = (char)(bytes[at] ^ 0x55);
  }
  CU_ASSERT(refused > 5);
  free(bytes);
}

int main(void) {
  CU_TestInfo tests[] = {{"a file with one run", test_one_run},
                         {"several runs without /cells", test_runs_without_cells},
                         {"several cells", test_cells},
                         {"damaged files", test_damaged},
                         {"wrong cells", test_wrong_cells},
                         {"wrong tables", test_wrong_tables},
                         {"a wrong run", test_wrong_run},
                         {"wrong summaries", test_wrong_summary},
                         {"no file", test_no_file},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return run_suite("results_file", tests);
}
