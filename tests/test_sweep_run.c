/* tests/test_sweep_run.c - sweeps made by hand, of configs that differ in a setting each: cells
 * side by side, cells that fail, workers that die. What resuming does is in sweep.py. */
#include <hdf5.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiments/part.h"
#include "experiments/parts.h"
#include "experiments/results_file.h"
#include "experiments/sweep_run.h"
#include "tests/test.h"

enum { N_CELLS_MAX = 8, PATH_SIZE = 512 };

static char folder[] = "/tmp/moebal-sweep-XXXXXX";

static const char base[] =
    "name: tiny\n"
    "trace: {generate: {use: domains, steps: 60, layers: 3, experts: 16, top_k: 2, groups: 4}}\n"
    "cluster: {nodes: 2, gpus: 4, slots: 24}\n"
    "schedule: {interval: 10, window: 15}\n"
    "summary: {from: 20}\n"
    "strategies: [lpt, l2]\n";

static char *in_folder(const char *name) {
  static char path[PATH_SIZE];

  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static bool is_there(const char *name) {
  return access(in_folder(name), F_OK) == 0;
}

/* A cell for each value of a key. */
static mb_sweep *make_sweep(const char *key, size_t n, const char *const *values) {
  mb_sweep *sweep = calloc(1, sizeof *sweep);
  char path[PATH_SIZE];

  (void)snprintf(path, sizeof path, "%s", in_folder("tiny.yaml"));
  FILE *file = fopen(path, "w");
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  (void)fputs(base, file);
  (void)fclose(file);
  CU_ASSERT_PTR_NOT_NULL_FATAL(sweep);
  sweep->swept = true;
  sweep->name = strdup("tiny");
  sweep->output = strdup(in_folder("tiny.h5"));
  sweep->text = malloc(PATH_SIZE);
  (void)snprintf(sweep->text, PATH_SIZE, "key: %s\n", key);
  sweep->n_keys = 1;
  sweep->key = calloc(1, sizeof *sweep->key);
  sweep->key[0] = strdup(key);
  sweep->n_cells = n;
  sweep->cell = calloc(n, sizeof *sweep->cell);
  for (size_t i = 0; i < n; i++) {
    char name[64];
    char setting[128];
    const char *settings[] = {name, setting};
    (void)snprintf(name, sizeof name, "name=%zu.%s", i, values[i]);
    (void)snprintf(setting, sizeof setting, "%s=%s", key, values[i]);
    CHECK_OK(mb_config_read(path, 2, settings, &sweep->cell[i].config));
    CU_ASSERT_PTR_NOT_NULL_FATAL(sweep->cell[i].config);
    sweep->cell[i].value = calloc(1, sizeof *sweep->cell[i].value);
    sweep->cell[i].value[0] = strdup(values[i]);
  }
  return sweep;
}

static void free_sweep(mb_sweep *sweep) {
  for (size_t i = 0; i < sweep->n_cells; i++) {
    mb_config_destroy(sweep->cell[i].config);
    free(sweep->cell[i].value[0]);
    free(sweep->cell[i].value);
  }
  free(sweep->cell);
  free(sweep->key[0]);
  free(sweep->key);
  free(sweep->text);
  free(sweep->output);
  free(sweep->name);
  free(sweep);
}

static void test_all_runs(void) {
  static const char *const intervals[] = {"5", "10", "15", "20"};
  mb_sweep *sweep = make_sweep("schedule.interval", 4, intervals);
  const mb_sweep_options options = {.jobs = 2, .quiet = true};
  mb_sweep_outcome outcome = {.n_failed = 7};
  mb_results_file *file = NULL;

  CHECK_OK(mb_sweep_run(sweep, &options, &outcome));
  CU_ASSERT_EQUAL(outcome.n_failed, 0);
  CU_ASSERT(!is_there("tiny.h5.parts"));
  CU_ASSERT(!is_there("tiny.h5.parts.done"));
  CHECK_OK(mb_results_file_open(sweep->output, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  const mb_results_cells *cells = mb_results_file_cells(file);
  CU_ASSERT_EQUAL(cells->n_cells, 4);
  for (size_t i = 0; i < cells->n_cells; i++) {
    mb_results *results = NULL;
    CU_ASSERT_STRING_EQUAL(cells->cell[i].error, "");
    CU_ASSERT_STRING_EQUAL(mb_results_file_value(file, i, "schedule.interval"), intervals[i]);
    CHECK_OK(mb_results_file_open_run(file, i, &results));
    CU_ASSERT_EQUAL(mb_results_get_run(results)->interval, strtoul(intervals[i], NULL, 10));
    mb_results_destroy(results);
  }
  mb_results_file_close(file);
  free_sweep(sweep);
}

/* --- loads that cells share */

/* XXH3-128 of the loads that a part's results are of. */
static char *digest_of(const mb_parts *parts, const char *run) {
  static char digest[64];
  mb_results_file *file = NULL;
  char *found = NULL;
  char *path = mb_parts_path(parts, run, ".h5");

  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CHECK_OK(mb_results_file_provenance(file, "load_xxh3", &found));
  CU_ASSERT_PTR_NOT_NULL_FATAL(found);
  (void)snprintf(digest, sizeof digest, "%s", found);
  free(found);
  free(path);
  mb_results_file_close(file);
  return digest;
}

/* One load more or less at the very end. */
static void change_loads(const char *name) {
  FILE *file = fopen(in_folder(name), "r+b");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_FATAL(fseek(file, -1, SEEK_END) == 0);
  int last = fgetc(file);
  CU_ASSERT_FATAL(fseek(file, -1, SEEK_END) == 0);
  (void)fputc(last ^ 1, file);
  (void)fclose(file);
}

/* The first cell reads for all; the second one sees what was read, as a change of it shows, and the
 * third and last takes it away. */
static void test_shared_loads(void) {
  static const char *const intervals[] = {"5", "10", "15"};
  static const char loads[] = "tiny.h5.parts/0.5.loads";
  mb_sweep *sweep = make_sweep("schedule.interval", 3, intervals);
  mb_parts *parts = NULL;
  char first[64];

  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CU_ASSERT_PTR_NOT_NULL_FATAL(parts);
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  CU_ASSERT(is_there(loads));
  (void)snprintf(first, sizeof first, "%s", digest_of(parts, "0.5"));
  change_loads(loads);
  CHECK_OK(mb_part_make(sweep, parts, 1, NULL, NULL));
  CU_ASSERT(is_there(loads));
  CU_ASSERT_STRING_NOT_EQUAL(digest_of(parts, "1.10"), first);
  change_loads(loads);
  CHECK_OK(mb_part_make(sweep, parts, 2, NULL, NULL));
  CU_ASSERT(!is_there(loads));
  CU_ASSERT_STRING_EQUAL(digest_of(parts, "2.15"), first);
  mb_parts_discard(parts);
  free_sweep(sweep);
}

/* Loads of one cell are nobody else's, nor are they once all others are done; and a cell that does
 * not fit its loads has none read. */
static void test_loads_not_shared(void) {
  static const char *const seeds[] = {"5", "6"};
  static const char *const slots[] = {"24", "30", "32"};
  mb_parts *parts = NULL;

  mb_sweep *sweep = make_sweep("seed", 2, seeds);
  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  CU_ASSERT(is_there("tiny.h5.parts/0.5.h5"));
  CU_ASSERT(!is_there("tiny.h5.parts/0.5.loads"));
  mb_parts_discard(parts);
  free_sweep(sweep);

  sweep = make_sweep("cluster.slots", 3, slots);
  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CHECK_OK(mb_part_make(sweep, parts, 2, NULL, NULL));
  CHECK_OK(mb_part_make(sweep, parts, 1, NULL, NULL));
  CU_ASSERT(mb_parts_is_failed(parts, 1));
  CU_ASSERT(!is_there("tiny.h5.parts/0.24.loads"));
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  CU_ASSERT(mb_parts_is_finished(parts, 0) && mb_parts_is_finished(parts, 2));
  mb_parts_discard(parts);
  free_sweep(sweep);
}

/* A cell that another process works on is left to it; once that process is gone, it is free. */
static void test_claims(void) {
  static const char *const intervals[] = {"5", "10"};
  mb_sweep *sweep = make_sweep("schedule.interval", 2, intervals);
  mb_parts *parts = NULL;
  int told[2];
  int ended = 0;
  char byte = 0;

  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CU_ASSERT_PTR_NOT_NULL_FATAL(parts);
  CU_ASSERT_FATAL(pipe(told) == 0);
  pid_t child = fork();
  if (child == 0) {
    bool claimed = false;
    byte = mb_parts_claim(parts, 0, &claimed) == MB_OK && claimed ? 'y' : 'n';
    (void)!write(told[1], &byte, 1);
    (void)pause();
    _exit(EXIT_SUCCESS);
  }
  CU_ASSERT_FATAL(child > 0 && read(told[0], &byte, 1) == 1);
  CU_ASSERT_EQUAL(byte, 'y');
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  CU_ASSERT(!mb_parts_is_finished(parts, 0));
  CHECK_OK(mb_part_make(sweep, parts, 1, NULL, NULL));
  CU_ASSERT(mb_parts_is_finished(parts, 1));
  (void)kill(child, SIGKILL);
  CU_ASSERT_FATAL(waitpid(child, &ended, 0) == child);
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  CU_ASSERT(mb_parts_is_finished(parts, 0));
  (void)close(told[0]);
  (void)close(told[1]);
  mb_parts_discard(parts);
  free_sweep(sweep);
}

/* Who joins has to be at the same sweep as who leads. */
static void test_join(void) {
  static const char *const intervals[] = {"5", "10"};
  mb_sweep *sweep = make_sweep("schedule.interval", 2, intervals);
  mb_sweep *other = make_sweep("schedule.window", 2, intervals);
  mb_parts *parts = NULL;
  mb_parts *joined = NULL;

  CHECK_OK(mb_parts_join(sweep, sweep->output, &joined));
  CU_ASSERT_PTR_NULL(joined); /* nobody leads, or all is done */
  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CHECK_FAILS(mb_parts_join(other, sweep->output, &joined), MB_ERR_IO, "is of another run");
  CU_ASSERT_PTR_NULL(joined);
  CHECK_OK(mb_parts_join(sweep, sweep->output, &joined));
  CU_ASSERT_PTR_NOT_NULL(joined);
  mb_parts_close(joined);
  mb_parts_discard(parts);
  free_sweep(sweep);
  free_sweep(other);
}

/* What only looks like the name of a file half written. */
static void test_names(void) {
  static const char *const names[] = {"x.part-001", "y.part-abc"};
  mb_sweep *sweep = make_sweep("seed", 2, (const char *const[]){"1", "2"});
  mb_parts *parts = NULL;

  for (size_t i = 0; i < 2; i++) {
    (void)snprintf(sweep->cell[i].config->name, sizeof sweep->cell[i].config->name, "%s", names[i]);
  }
  CHECK_OK(mb_parts_open(sweep, sweep->output, false, &parts));
  CHECK_OK(mb_part_make(sweep, parts, 0, NULL, NULL));
  mb_parts_close(parts);
  CHECK_OK(mb_parts_open(sweep, sweep->output, true, &parts));
  CU_ASSERT(mb_parts_is_finished(parts, 0));
  mb_parts_discard(parts);
  free_sweep(sweep);
}

int main(void) {
  CU_TestInfo tests[] = {{"all cells are in one file", test_all_runs},
                         {"loads are read once for all cells", test_shared_loads},
                         {"loads that are not shared", test_loads_not_shared},
                         {"a cell that another process is at", test_claims},
                         {"who joins is at the same sweep", test_join},
                         {"parts with odd names are kept", test_names},
                         CU_TEST_INFO_NULL};

  (void)H5dont_atexit();
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  int exit_status = run_suite("sweep_run", tests);
  (void)unlink(in_folder("tiny.yaml"));
  (void)unlink(in_folder("tiny.h5"));
  (void)rmdir(folder);
  return exit_status;
}
