/* tests/test_results_read.c - reading results files: good ones, wrong ones, damaged ones. */
#include "experiments/results_read.h"

#include <sys/wait.h>

#include "tests/results_file.h"

static const char *write_small(const char *name) {
  results_file content = results_small();

  results_write(results_path(name), &content);
  return results_path(name);
}

static void test_good(void) {
  mb_results *results = NULL;
  double steps[6];
  float imbalance[4];
  size_t n_plans = 9;
  int64_t *effect_step = NULL;

  CHECK_OK(mb_results_open(write_small("good.h5"), NULL, &results));
  CU_ASSERT_PTR_NOT_NULL_FATAL(results);
  const mb_results_run *run = mb_results_get_run(results);
  CU_ASSERT_STRING_EQUAL(run->name, "tiny");
  CU_ASSERT_EQUAL(run->n_steps, 6);
  CU_ASSERT_EQUAL(run->n_layers, 2);
  CU_ASSERT_EQUAL(run->summary_from, 2);
  CU_ASSERT_EQUAL(run->layer_ids[1], 7);
  CU_ASSERT_EQUAL(run->n_strategies, 2);
  CU_ASSERT_STRING_EQUAL(run->labels[1], "l2_x");
  CHECK_OK(mb_results_read_step_imbalance(results, 0, steps));
  CU_ASSERT_EQUAL(steps[3], 1.75);
  CU_ASSERT(isnan(steps[1]));
  CHECK_OK(mb_results_read_imbalance(results, 1, 4, 2, imbalance));
  CU_ASSERT_EQUAL(imbalance[0], 1.5F);
  CU_ASSERT_EQUAL(imbalance[3], 1.0F);
  CHECK_OK(mb_results_read_effect_steps(results, 0, &n_plans, &effect_step));
  CU_ASSERT_EQUAL(n_plans, 0);
  CU_ASSERT_PTR_NULL(effect_step);
  CHECK_OK(mb_results_read_effect_steps(results, 1, &n_plans, &effect_step));
  CU_ASSERT_EQUAL_FATAL(n_plans, 1);
  CU_ASSERT_EQUAL(effect_step[1], 2);
  free(effect_step);
  mb_results_destroy(results);
  mb_results_destroy(NULL);
}

static void test_runs(void) {
  results_file content = results_small();
  const char *path = write_small("runs.h5");
  mb_results *results = NULL;

  content.run = "other";
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  results_put_run(file, &content);
  results_check(H5Fclose(file));
  CHECK_FAILS(mb_results_open(path, NULL, &results), MB_ERR_PARAM,
              "there are 2 runs, name one of them: other, tiny");
  CHECK_FAILS(mb_results_open(path, "third", &results), MB_ERR_PARAM, "there is no run 'third'");
  CHECK_FAILS(mb_results_open(path, "tiny/l2_x", &results), MB_ERR_PARAM, "there is no run");
  CHECK_OK(mb_results_open(path, "other", &results));
  CU_ASSERT_PTR_NOT_NULL_FATAL(results);
  CU_ASSERT_STRING_EQUAL(mb_results_get_run(results)->name, "other");
  mb_results_destroy(results);
}

/* --- wrong files: each is a good one with one thing changed --- */

static void set_format(hid_t file) {
  results_put_text(file, "format", "another");
}
static void set_trace(hid_t file) {
  results_put_text(file, "format", "moebal-trace");
}
static void set_version(hid_t file) {
  results_put_number(file, "version", 2);
}
static void drop_version(hid_t file) {
  results_check(H5Adelete(file, "version"));
}
static void drop_runs(hid_t file) {
  results_check(H5Ldelete(file, "/runs", H5P_DEFAULT));
}
static void drop_steps(hid_t file) {
  results_check(H5Ldelete(file, "/runs/tiny/l2_x/step_imbalance", H5P_DEFAULT));
}
static void drop_effect(hid_t file) {
  results_check(H5Ldelete(file, "/runs/tiny/none/plans/effect_step", H5P_DEFAULT));
}
static void set_run_number(hid_t file, const char *name, int64_t number) {
  hid_t run = H5Gopen2(file, "/runs/tiny", H5P_DEFAULT);
  results_put_number(run, name, number);
  results_check(H5Gclose(run));
}
static void set_from(hid_t file) {
  set_run_number(file, "summary_from", 6);
}
static void set_steps(hid_t file) {
  set_run_number(file, "n_steps", 7);
}
static void set_layers(hid_t file) {
  set_run_number(file, "n_layers", 3);
}
static void set_label(hid_t file) {
  static const char *const labels[] = {"none", "../l2"};
  hid_t run = H5Gopen2(file, "/runs/tiny", H5P_DEFAULT);
  results_put_texts(run, "strategies", 2, labels);
  results_check(H5Gclose(run));
}
static void set_twice(hid_t file) {
  static const char *const labels[] = {"none", "none"};
  hid_t run = H5Gopen2(file, "/runs/tiny", H5P_DEFAULT);
  results_put_texts(run, "strategies", 2, labels);
  results_check(H5Gclose(run));
}
static void set_class(hid_t file) {
  hsize_t dims[2] = {6, 2};
  int64_t zeros[12] = {0};
  hid_t group = H5Gopen2(file, "/runs/tiny/l2_x", H5P_DEFAULT);
  results_check(H5Ldelete(group, "imbalance", H5P_DEFAULT));
  results_put_dataset(group, "imbalance", H5T_NATIVE_INT64, 2, dims, zeros);
  results_check(H5Gclose(group));
}

static void test_wrong(void) {
  static const struct {
    void (*change)(hid_t file);
    mb_status status;
    const char *text;
  } cases[] = {
      {set_format, MB_ERR_FORMAT, "wrong.h5: /: attribute format is not moebal-results"},
      {set_trace, MB_ERR_FORMAT, "wrong.h5: is a trace; `moebal run` writes results of it"},
      {set_version, MB_ERR_UNSUPPORTED, "wrong.h5: version 2; this moebal reads up to version 1"},
      {drop_version, MB_ERR_FORMAT, "wrong.h5: /: attribute version is missing"},
      {drop_runs, MB_ERR_FORMAT, "wrong.h5: /runs: there are no runs"},
      {drop_steps, MB_ERR_FORMAT, "wrong.h5: /runs/tiny/l2_x/step_imbalance: the dataset is miss"},
      {drop_effect, MB_ERR_FORMAT, "wrong.h5: /runs/tiny/none/plans/effect_step: the dataset is"},
      {set_from, MB_ERR_FORMAT, "/runs/tiny: attribute summary_from is 6, not in [0, 5]"},
      {set_steps, MB_ERR_FORMAT, "/runs/tiny/none/step_imbalance: should be floating-point"},
      {set_layers, MB_ERR_FORMAT, "/runs/tiny: attribute layer_ids has 2 values, not 3"},
      {set_label, MB_ERR_FORMAT, "/runs/tiny: attribute strategies: label 1 is not a name"},
      {set_twice, MB_ERR_FORMAT, "/runs/tiny: attribute strategies: label 1 is not a name"},
      {set_class, MB_ERR_FORMAT, "/runs/tiny/l2_x/imbalance: should be floating-point numbers"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = write_small("wrong.h5");
    mb_results *results = NULL;
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    cases[i].change(file);
    results_check(H5Fclose(file));
    CHECK_FAILS(mb_results_open(path, NULL, &results), cases[i].status, cases[i].text);
    CU_ASSERT_PTR_NULL(results);
  }
}

static void check_value(const results_file *content, const char *text) {
  mb_results *results = NULL;

  results_write(results_path("values.h5"), content);
  CHECK_FAILS(mb_results_open(results_path("values.h5"), NULL, &results), MB_ERR_FORMAT, text);
  CU_ASSERT_PTR_NULL(results);
}

static void test_values(void) {
  results_file content = results_small();

  content.step_imbalance[1][4] = 0.5;
  check_value(&content, "values.h5: /runs/tiny/l2_x/step_imbalance: step 4 has 0.5");
  content = results_small();
  content.imbalance[0][7] = INFINITY;
  check_value(&content, "values.h5: /runs/tiny/none/imbalance: step 3 has inf");
  content = results_small();
  content.effect_step[1] = 6;
  check_value(&content, "/runs/tiny/l2_x/plans/effect_step: plan 0 has 6; should be in [-1, 5]");
}

static void test_no_file(void) {
  mb_results *results = NULL;
  FILE *file = fopen(results_path("text.h5"), "w");

  (void)fputs("not HDF5\n", file);
  (void)fclose(file);
  CHECK_FAILS(mb_results_open(results_path("text.h5"), NULL, &results), MB_ERR_FORMAT,
              "text.h5: not an HDF5 file");
  CHECK_FAILS(mb_results_open(results_path("none.h5"), NULL, &results), MB_ERR_IO,
              "none.h5: No such file or directory");
  CHECK_FAILS(mb_results_open(results_folder(), NULL, &results), MB_ERR_IO, "is not a file");
  CHECK_FAILS(mb_results_open("/dev/zero", NULL, &results), MB_ERR_IO, "is not a file");
}

/* --- damaged files --- */

static void write_bytes(const char *path, const char *bytes, size_t size) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_EQUAL(fwrite(bytes, 1, size, file), size);
  (void)fclose(file);
}

/* Opens and reads all; true if nothing was wrong. */
static int reads(const char *path) {
  mb_results *results = NULL;
  double steps[6];
  float imbalance[12];
  size_t n_plans = 0;
  int64_t *effect_step = NULL;

  if (mb_results_open(path, "tiny", &results) != MB_OK) {
    return 0;
  }
  int fine = mb_results_get_run(results)->n_steps == 6 &&
             mb_results_get_run(results)->n_layers == 2 &&
             mb_results_read_step_imbalance(results, 0, steps) == MB_OK &&
             mb_results_read_imbalance(results, 0, 0, 6, imbalance) == MB_OK &&
             mb_results_read_effect_steps(results, 0, &n_plans, &effect_step) == MB_OK;
  free(effect_step);
  mb_results_destroy(results);
  return fine;
}

/* Cut short anywhere, it is an error; with a byte flipped it is one, or the byte didn't matter. */
static void test_damaged(void) {
  size_t size = 0;
  char *bytes = results_slurp(write_small("whole.h5"), &size);
  const char *path = results_path("damaged.h5");

  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(reads(results_path("whole.h5")));
  for (size_t cut = 0; cut < 40; cut++) {
    write_bytes(path, bytes, size * cut / 40);
    CU_ASSERT_FALSE(reads(path));
    CU_ASSERT(strstr(mb_error_message(), "damaged.h5") != NULL);
  }
  size_t refused = 0;
  for (size_t i = 0; i < 300; i++) {
    size_t at = (i * 2654435761U) % size;
    bytes[at] = (char)(bytes[at] ^ 0x55);
    write_bytes(path, bytes, size);
    refused += reads(path) == 0;
    bytes[at] = (char)(bytes[at] ^ 0x55);
  }
  CU_ASSERT(refused > 10);
  free(bytes);
}

int main(void) {
  CU_TestInfo tests[] = {{"a good file", test_good},
                         {"several runs", test_runs},
                         {"wrong files", test_wrong},
                         {"wrong values", test_values},
                         {"no results at all", test_no_file},
                         {"damaged files", test_damaged},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return run_suite("results_read", tests);
}
