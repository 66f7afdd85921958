/* tests/test_outside.c - placements and planners from outside score as our own, bit for bit: plans
 * that were exported and read back, and lpt in Python through the adapter. */
#include <hdf5.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "tests/results_file.h"
#include "tests/test.h"

static const char CONFIG[] = "name: outside\n"
                             "trace: {generate: {use: domains, steps: 90, layers: 3, experts: 16, "
                             "top_k: 2, groups: 4, tokens: 900}}\n"
                             "cluster: {nodes: 2, gpus: 4, slots: 24}\n"
                             "schedule: {interval: 10, window: 15, delay: 3}\n";

/* Runs moebal in the test's folder; %s of the words stands for the program. */
static bool moebal(const char *words) {
  char command[16384];
  const char *program = getenv("MOEBAL");

  (void)snprintf(command, sizeof command, "cd '%s' && '%s' %s", results_folder(),
                 program != NULL ? program : "moebal", words);
  return system(command) == 0;
}

static void write_text(const char *name, const char *text) {
  FILE *file = fopen(results_path(name), "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

/* All bytes of a dataset; free() them. */
static void *read_all(hid_t file, const char *name, size_t *size) {
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  hid_t type = dataset >= 0 ? H5Dget_type(dataset) : H5I_INVALID_HID;
  hid_t space = dataset >= 0 ? H5Dget_space(dataset) : H5I_INVALID_HID;
  void *bytes = NULL;

  CU_ASSERT_FATAL(dataset >= 0);
  *size = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
  bytes = malloc(*size + 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
  CU_ASSERT(H5Sclose(space) >= 0 && H5Tclose(type) >= 0 && H5Dclose(dataset) >= 0);
  return bytes;
}

static bool same(const char *path, const char *a, const char *b, const char *leaf) {
  hid_t file = H5Fopen(results_path(path), H5F_ACC_RDONLY, H5P_DEFAULT);
  char name[256];
  size_t size[2] = {0, 0};

  CU_ASSERT_FATAL(file >= 0);
  (void)snprintf(name, sizeof name, "/runs/outside/%s/%s", a, leaf);
  void *first = read_all(file, name, &size[0]);
  (void)snprintf(name, sizeof name, "/runs/outside/%s/%s", b, leaf);
  void *second = read_all(file, name, &size[1]);
  bool equal = size[0] > 0 && size[0] == size[1] && memcmp(first, second, size[0]) == 0;
  free(first);
  free(second);
  CU_ASSERT(H5Fclose(file) >= 0);
  return equal;
}

static void check_same(const char *path, const char *a, const char *b) {
  static const char *const leaves[] = {"step_imbalance",
                                       "imbalance",
                                       "active_experts",
                                       "plans/effect_step",
                                       "plans/duplicate_slots",
                                       "plans/moved_experts",
                                       "plans/physical_to_logical_map"};

  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
    CU_ASSERT(same(path, a, b, leaves[i]));
  }
}

static void exported_plans(void) {
  write_text("c.yaml", CONFIG);
  CU_ASSERT_FATAL(moebal("run c.yaml -q -o first.h5"));
  CU_ASSERT_FATAL(moebal("export first.h5 -s l2 -p all -f npy -o l2.npy >said"));
  CU_ASSERT_FATAL(moebal("export first.h5 -s hindsight -p all -f npy -o best.npy >said"));
  CU_ASSERT_FATAL(moebal("run c.yaml -q -o maps.h5 --set 'strategies=[l2, lpt, "
                         "theirs: {use: maps, file: l2.npy, effect_step: l2.steps.npy}, "
                         "best: {use: maps, file: best.npy, effect_step: best.steps.npy}]'"));
  check_same("maps.h5", "l2", "theirs");
  check_same("maps.h5", "hindsight", "best");
  CU_ASSERT(!same("maps.h5", "lpt", "theirs", "step_imbalance")); /* so that same() can fail */
}

/* The last plan from the start, by way of each format. */
static void formats_agree(void) {
  CU_ASSERT_FATAL(moebal("export first.h5 -s l2 -f npy -o m.npy >said"));
  CU_ASSERT_FATAL(moebal("export first.h5 -s l2 -f trtllm -o m.yaml >said"));
  CU_ASSERT_FATAL(moebal("export first.h5 -s l2 -f sglang -o s.json >said"));
  CU_ASSERT_FATAL(moebal("export first.h5 -s l2 -f vllm-ascend -o a.json >said"));
  CU_ASSERT_FATAL(
      moebal("run c.yaml -q -o formats.h5 --set 'strategies=[npy: {use: maps, file: m.npy}, trt: "
             "{use: maps, file: m.yaml}, sgl: {use: maps, file: s.json}, asc: {use: maps, file: "
             "a.json}, later: {use: maps, file: a.json, effect_step: 1}]'"));
  check_same("formats.h5", "npy", "trt");
  check_same("formats.h5", "npy", "sgl");
  check_same("formats.h5", "npy", "asc");
  CU_ASSERT(!same("formats.h5", "npy", "later", "step_imbalance"));
  CU_ASSERT(!same("formats.h5", "npy", "none", "step_imbalance"));
}

/* What a run says of itself runs again, from another folder, to the same. */
static void effective_config(void) {
  hid_t file = H5Fopen(results_path("maps.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t attribute = H5Aopen_by_name(file, "/provenance", "config", H5P_DEFAULT, H5P_DEFAULT);
  hid_t type = H5Aget_type(attribute);
  char *config = NULL;

  CU_ASSERT_FATAL(attribute >= 0 && H5Aread(attribute, type, &config) >= 0);
  CU_ASSERT(strstr(config, "theirs: {use: maps, file: /") != NULL);
  CU_ASSERT(H5Tclose(type) >= 0 && H5Aclose(attribute) >= 0 && H5Fclose(file) >= 0);
  CU_ASSERT_EQUAL_FATAL(mkdir(results_path("elsewhere"), 0700), 0);
  write_text("elsewhere/again.yaml", config);
  (void)H5free_memory(config);
  CU_ASSERT_FATAL(moebal("run elsewhere/again.yaml -q -o again.h5"));
  check_same("again.h5", "l2", "theirs");
  check_same("again.h5", "hindsight", "best");
}

/* --- results whose plans are damaged: each is a good file with one thing changed --- */

#define PLANS "/runs/outside/l2/plans/"

static void change_expert(hid_t file) {
  const hsize_t where[3] = {1, 2, 3};
  const hsize_t one[3] = {1, 1, 1};
  const int32_t expert = 99;
  hid_t dataset = H5Dopen2(file, PLANS "physical_to_logical_map", H5P_DEFAULT);
  hid_t space = H5Dget_space(dataset);
  hid_t memory = H5Screate_simple(3, one, NULL);

  results_check(H5Sselect_hyperslab(space, H5S_SELECT_SET, where, NULL, one, NULL));
  results_check(H5Dwrite(dataset, H5T_NATIVE_INT32, memory, space, H5P_DEFAULT, &expert));
  results_check(H5Sclose(memory));
  results_check(H5Sclose(space));
  results_check(H5Dclose(dataset));
}

static void drop_maps(hid_t file) {
  results_check(H5Ldelete(file, PLANS "physical_to_logical_map", H5P_DEFAULT));
}
static void drop_steps(hid_t file) {
  results_check(H5Ldelete(file, PLANS "step", H5P_DEFAULT));
}
static void swap_maps(hid_t file) {
  drop_maps(file);
  results_check(
      H5Lcopy(file, PLANS "step", file, PLANS "physical_to_logical_map", H5P_DEFAULT, H5P_DEFAULT));
}
static void fewer_maps(hid_t file) {
  const hsize_t size[3] = {4, 3, 24};
  hid_t dataset = H5Dopen2(file, PLANS "physical_to_logical_map", H5P_DEFAULT);
  results_check(H5Dset_extent(dataset, size));
  results_check(H5Dclose(dataset));
}

static void set_number(hid_t file, const char *name, int64_t number) {
  hid_t run = H5Gopen2(file, "/runs/outside", H5P_DEFAULT);
  results_put_number(run, name, number);
  results_check(H5Gclose(run));
}
static void more_slots(hid_t file) {
  set_number(file, "n_slots", 28);
}
static void no_gpus(hid_t file) {
  set_number(file, "n_gpus", 0);
}
static void odd_gpus(hid_t file) {
  set_number(file, "n_gpus", 5);
}

static void damaged_plans(void) {
  static const struct {
    void (*change)(hid_t file);
    const char *text;
  } cases[] = {
      {change_expert, "plan 1, layer 5: slot 3 holds expert 99, but experts are 0 to 15"},
      {drop_maps, PLANS "physical_to_logical_map: the dataset is missing"},
      {drop_steps, PLANS "step: the dataset is missing"},
      {swap_maps, "physical_to_logical_map: should be whole numbers of shape"},
      {fewer_maps, "physical_to_logical_map: should be whole numbers of shape"},
      {more_slots, "physical_to_logical_map: should be whole numbers of shape"},
      {no_gpus, "attribute n_gpus is 0"},
      {odd_gpus, "24 slots do not divide evenly over 5 GPUs"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t size = 0;
    CU_ASSERT_FATAL(moebal("run c.yaml -q -o damaged.h5"));
    hid_t file = H5Fopen(results_path("damaged.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    CU_ASSERT_FATAL(file >= 0);
    cases[i].change(file);
    CU_ASSERT(H5Fclose(file) >= 0);
    CU_ASSERT(!moebal("export damaged.h5 -s l2 -p all -f npy -o damaged.npy 2>said"));
    char *said = results_slurp(results_path("said"), &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(said);
    bool found = strstr(said, cases[i].text) != NULL && strstr(said, "damaged.h5: /runs/") != NULL;
    CU_ASSERT(found);
    if (!found) {
      (void)printf("\n    %zu: %s", i, said);
    }
    free(said);
  }
}

/* A Python that has numpy, or NULL. */
static const char *find_python(void) {
  static const char *const names[] = {"/usr/bin/python3", "python3"};
  const char *named = getenv("MOEBAL_PYTHON");
  char command[256];

  for (size_t i = 0; named == NULL && i < sizeof names / sizeof *names; i++) {
    (void)snprintf(command, sizeof command, "%s -c 'import numpy' 2>/dev/null", names[i]);
    named = system(command) == 0 ? names[i] : NULL;
  }
  return named;
}

/* Also with the window in slices, which the adapter adds up. */
static void python_planner(void) {
  const char *python = find_python();
  const char *source = getenv("MOEBAL_SOURCE");
  char command[4096];

  if (python == NULL || source == NULL) {
    (void)printf("skipped: no Python with numpy, or MOEBAL_SOURCE is not set ... ");
    return;
  }
  (void)snprintf(command, sizeof command,
                 "run c.yaml -q -o python.h5 --set cluster.nodes=1 --set cluster.groups=1 --set "
                 "'strategies=[lpt, l2, rival: {use: command, command: %s planner.py lpt, folder: "
                 "\"%s/experiments/adapters\"}, sliced: {use: command, command: %s planner.py lpt, "
                 "slices: 4, folder: \"%s/experiments/adapters\"}]'",
                 python, source, python, source);
  CU_ASSERT_FATAL(moebal(command));
  check_same("python.h5", "lpt", "rival");
  check_same("python.h5", "lpt", "sliced");
  CU_ASSERT(!same("python.h5", "l2", "rival", "step_imbalance"));
}

/* A rival in torch: the benchmark's baseline, with groups and nodes, is our own l2. */
static void torch_planner(void) {
  static const char rival[] =
      "import torch_baseline\n"
      "\n"
      "def rebalance_experts(load, slots, groups, nodes, gpus):\n"
      "    print('thinking')\n"
      "    return torch_baseline.rebalance(load, slots, groups, nodes, gpus, 'l2')[0]\n";
  const char *python = getenv("MOEBAL_PYTHON");
  const char *source = getenv("MOEBAL_SOURCE");
  char command[4096];

  (void)snprintf(command, sizeof command, "%s -c 'import numpy, torch' 2>/dev/null",
                 python != NULL ? python : "/usr/bin/python3");
  if (source == NULL || system(command) != 0) {
    (void)printf("skipped: no torch (MOEBAL_PYTHON names a Python that has it) ... ");
    return;
  }
  write_text("rival.py", rival);
  (void)snprintf(command, sizeof command,
                 "run c.yaml -q -o torch.h5 --set 'strategies=[l2, rival: {use: command, command: "
                 "PYTHONPATH=%s/balancer/naive %s %s/experiments/adapters/planner.py rival}]'",
                 source, python != NULL ? python : "/usr/bin/python3", source);
  CU_ASSERT_FATAL(moebal(command));
  check_same("torch.h5", "l2", "rival");
}

int main(void) {
  CU_TestInfo tests[] = {{"exported plans, read back", exported_plans},
                         {"all formats of a map", formats_agree},
                         {"the config that a run writes down", effective_config},
                         {"results with damaged plans", damaged_plans},
                         {"lpt in Python", python_planner},
                         {"l2 in torch", torch_planner},
                         CU_TEST_INFO_NULL};

  return run_suite("outside", tests);
}
