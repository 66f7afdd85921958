/* tests/test_sweep.c - the cells of a sweep: which, in what order, under which names; and how a
 * sweep that cannot be meant so is refused. */
#include "tests/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "balancer/eplb.h"
#include "experiments/sweep.h"
#include "workloads/model.h"

#define PATH "test_sweep.yaml"

/* Its sweep begins in line 6. */
static const char BASE[] = "name: base\n"
                           "trace: {generate: domains}\n"
                           "cluster: {gpus: 8, slots: 80}\n"
                           "schedule: {interval: 10, window: 20}\n"
                           "\n";

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

/* BASE with `more` after it. */
static void write_base(const char *more) {
  char text[8192];

  (void)snprintf(text, sizeof text, "%s%s", BASE, more);
  write_text(PATH, text);
}

static mb_sweep *read_with(const char *more, size_t n, const char *const *settings,
                           size_t n_relabellings) {
  mb_sweep *sweep = NULL;

  write_base(more);
  CHECK_OK(mb_sweep_read(PATH, n, settings, n_relabellings, &sweep));
  CU_ASSERT_PTR_NOT_NULL_FATAL(sweep);
  return sweep;
}

static mb_sweep *read_sweep(const char *more) {
  return read_with(more, 0, NULL, 0);
}

/* "key,key: value,value; value,value": all cells in their order. */
static void check_cells(const mb_sweep *sweep, const char *right) {
  char text[4096] = "";
  size_t length = 0;

  for (size_t k = 0; k < sweep->n_keys; k++) {
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", k > 0 ? "," : "",
                               sweep->key[k]);
  }
  for (size_t i = 0; i < sweep->n_cells; i++) {
    length += (size_t)snprintf(text + length, sizeof text - length, "%s", i > 0 ? "; " : ": ");
    for (size_t k = 0; k < sweep->n_keys; k++) {
      length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", k > 0 ? "," : "",
                                 sweep->cell[i].value[k]);
    }
  }
  CU_ASSERT_STRING_EQUAL(text, right);
  if (strcmp(text, right) != 0) {
    (void)printf("\n    %s\n    is not\n    %s\n", text, right);
  }
}

static void check_swept(const char *more, const char *right) {
  mb_sweep *sweep = read_sweep(more);

  CU_ASSERT(sweep->swept);
  check_cells(sweep, right);
  mb_sweep_destroy(sweep);
}

/* --- which cells there are */

static void test_single(void) {
  mb_sweep *sweep = read_sweep("output: there.h5\n");

  CU_ASSERT(!sweep->swept);
  CU_ASSERT_EQUAL(sweep->n_keys, 0);
  CU_ASSERT_EQUAL_FATAL(sweep->n_cells, 1);
  CU_ASSERT_STRING_EQUAL(sweep->name, "base");
  CU_ASSERT_STRING_EQUAL(sweep->output, "there.h5");
  CU_ASSERT_STRING_EQUAL(sweep->cell[0].config->name, "base");
  CU_ASSERT_EQUAL(sweep->cell[0].config->summary_from_auto, 0);
  mb_sweep_destroy(sweep);
}

static void test_crossed(void) {
  mb_sweep *sweep = read_sweep("sweep:\n"
                               "  schedule.interval: [5, 10]\n"
                               "  seed: 1..3\n");

  check_cells(sweep, "schedule.interval,seed: 5,1; 5,2; 5,3; 10,1; 10,2; 10,3");
  CU_ASSERT_STRING_EQUAL(sweep->name, "base");
  CU_ASSERT_STRING_EQUAL(sweep->output, "base.h5");
  for (size_t i = 0; i < 6; i++) {
    CU_ASSERT_EQUAL(sweep->cell[i].config->interval, i < 3 ? 5 : 10);
    CU_ASSERT_EQUAL(sweep->cell[i].config->seed, (int64_t)(1 + i % 3));
    CU_ASSERT_EQUAL(sweep->cell[i].config->loads_seed, (int64_t)(1 + i % 3));
    CU_ASSERT_EQUAL(sweep->cell[i].config->window, 20);
  }
  mb_sweep_destroy(sweep);
}

static void test_zipped(void) {
  check_swept("sweep: {zip: {cluster.gpus: [4, 8], cluster.slots: [72, 80]}}\n",
              "cluster.gpus,cluster.slots: 4,72; 8,80");
  /* Where it stands is how fast it changes; a value may come again. */
  check_swept("sweep:\n"
              "  seed: [3, 4]\n"
              "  zip: {cluster.gpus: [4, 8], cluster.slots: [80, 80]}\n"
              "  schedule.delay: 0..1\n",
              "seed,cluster.gpus,cluster.slots,schedule.delay: 3,4,80,0; 3,4,80,1; 3,8,80,0; "
              "3,8,80,1; 4,4,80,0; 4,4,80,1; 4,8,80,0; 4,8,80,1");
  check_swept("sweep:\n"
              "  zip:\n"
              "    - {cluster.gpus: [4, 8], cluster.slots: [72, 80]}\n"
              "    - {schedule.interval: 5..6, schedule.window: [7, 8]}\n",
              "cluster.gpus,cluster.slots,schedule.interval,schedule.window: 4,72,5,7; 4,72,6,8; "
              "8,80,5,7; 8,80,6,8");
}

static void test_ranges(void) {
  check_swept("sweep: {seed: 7..7}\n", "seed: 7");
  check_swept("sweep: {seed: [1..2, 9, 11..12]}\n", "seed: 1; 2; 9; 11; 12");
  check_swept("sweep: {seed: 999999999999999..1000000000000000}\n",
              "seed: 999999999999999; 1000000000000000");
}

static const mb_balance_options *options_of(const mb_config *config, const char *label) {
  for (size_t i = 0; i < config->n_strategies; i++) {
    if (strcmp(config->strategies[i].label, label) == 0) {
      return &((const mb_eplb_params *)config->strategies[i].params)->options;
    }
  }
  CU_FAIL_FATAL("no such strategy");
  return NULL;
}

/* Anything that a config holds can be a value. What is for a whole section comes before what is for
   a key of it, whichever is written first. */
static void test_values(void) {
  mb_sweep *sweep = read_sweep("strategies: [l2]\n"
                               "sweep:\n"
                               "  parameters.l2.max_rounds: [3, unlimited]\n"
                               "  parameters.l2: [{min_gain: 0.5}]\n"
                               "  trace.generate.sigma: [1e-1]\n"
                               "  trace: [{generate: {use: steady}}]\n"
                               "  strategies: [[lpt], [l2, b: {use: l2, min_gain: 2}]]\n");

  CU_ASSERT_EQUAL_FATAL(sweep->n_cells, 4);
  CU_ASSERT_STRING_EQUAL(sweep->cell[3].value[1], "{min_gain: 0.5}");
  CU_ASSERT_STRING_EQUAL(sweep->cell[3].value[3], "{generate: {use: steady}}");
  CU_ASSERT_STRING_EQUAL(sweep->cell[3].value[4], "[l2, {b: {use: l2, min_gain: 2}}]");
  CU_ASSERT_EQUAL(sweep->cell[0].config->n_strategies, 3);
  CU_ASSERT_EQUAL(sweep->cell[1].config->n_strategies, 4);
  CU_ASSERT_EQUAL(options_of(sweep->cell[1].config, "l2")->max_rounds, 3);
  CU_ASSERT_EQUAL(options_of(sweep->cell[1].config, "l2")->min_gain, 0.5);
  CU_ASSERT_EQUAL(options_of(sweep->cell[3].config, "l2")->max_rounds, MB_ROUNDS_UNLIMITED);
  CU_ASSERT_EQUAL(options_of(sweep->cell[3].config, "b")->min_gain, 2.0);
  CU_ASSERT_STRING_EQUAL(sweep->cell[3].config->generator->name, "steady");
  mb_sweep_destroy(sweep);
}

/* A generator that is a name alone takes parameters; its seed is its own. */
static void test_generators(void) {
  mb_sweep *sweep = read_sweep("seed: 5\n"
                               "sweep:\n"
                               "  trace.generate: [domains, requests, {use: requests, seed: 9}]\n"
                               "  relabel: [0, 4]\n");

  CU_ASSERT_EQUAL(sweep->cell[0].config->loads_seed, 5);
  CU_ASSERT_EQUAL(sweep->cell[4].config->loads_seed, 9);
  CU_ASSERT_EQUAL(sweep->cell[5].config->relabel, 4);
  CU_ASSERT_EQUAL(sweep->cell[5].config->seed, 5);
  CU_ASSERT_EQUAL(sweep->cell[0].config->request_lifetime, 0);
  CU_ASSERT_EQUAL(sweep->cell[2].config->request_lifetime, 300); /* output_tokens, decoding */
  mb_sweep_destroy(sweep);
  sweep = read_sweep("sweep:\n"
                     "  trace.generate.seed: 3..4\n"
                     "  trace.generate: [domains, requests]\n");
  CU_ASSERT_EQUAL(sweep->cell[0].config->loads_seed, 3);
  CU_ASSERT_STRING_EQUAL(sweep->cell[1].config->generator->name, "requests");
  CU_ASSERT_EQUAL(sweep->cell[3].config->loads_seed, 4);
  CU_ASSERT_EQUAL(sweep->cell[3].config->seed, 1);
  mb_sweep_destroy(sweep);
}

/* --- names --- */

static void check_name(const char *more, size_t cell, const char *name) {
  mb_sweep *sweep = read_sweep(more);

  CU_ASSERT_FATAL(cell < sweep->n_cells);
  CU_ASSERT_STRING_EQUAL(sweep->cell[cell].config->name, name);
  for (size_t i = 0; i < sweep->n_cells; i++) {
    const char *own = sweep->cell[i].config->name;
    CU_ASSERT(strlen(own) <= MB_CONFIG_LABEL_MAX);
    for (size_t k = 0; k < i; k++) {
      CU_ASSERT(strcmp(own, sweep->cell[k].config->name) != 0);
    }
  }
  mb_sweep_destroy(sweep);
}

static void test_names(void) {
  check_name("sweep: {schedule.interval: [5, 10], seed: 1..6}\n", 7, "07.interval-10.seed-2");
  check_name("sweep: {seed: 1..9}\n", 3, "3.seed-4");
  check_name("sweep: {seed: 1..10}\n", 3, "03.seed-4");
  check_name("sweep: {strategies: [[lpt, 'l2'], [{a.b: {use: l2}}, lpt]]}\n"
             "summary: {from: 30}\n",
             0, "0.strategies-lpt_l2");
  check_name("sweep: {parameters.l2.min_gain: [1e-3, 0.5], summary.from: [auto, 30]}\n", 0,
             "0.min_gain-1e-3.from-auto");
  check_name("sweep: {trace: [{file: ../a/b c.h5}, {generate: domains}]}\n", 0,
             "0.trace-file_.._a_b_c.h5");
  /* Cut off, and still different. */
  check_name("sweep:\n"
             "  parameters.l2: [{max_rounds: 1, min_gain: 0.0000000000000000000000000000001},\n"
             "    {max_rounds: 1, min_gain: 0.0000000000000000000000000000002}]\n",
             0, "0.l2-max_rounds_1_min_gain_0.0000000000000000000000000000001");
  check_name(
      "sweep:\n"
      "  parameters.l2: [{max_rounds: 1, min_gain: 0.00000000000000000000000000000000000001},"
      "\n    {max_rounds: 1, min_gain: 0.00000000000000000000000000000000000002}]\n",
      1, "1.l2-max_rounds_1_min_gain_0.00000000000000000000000000000000000");
}

/* --- the command line --- */

static void check_set(const char *more, const char *setting, const char *right) {
  mb_sweep *sweep = read_with(more, 1, &setting, 0);

  check_cells(sweep, right);
  mb_sweep_destroy(sweep);
}

static void test_settings(void) {
  static const char swept[] = "sweep: {cluster.gpus: [4, 8], seed: 1..2}\n";
  static const char zipped[] =
      "sweep: {zip: [{cluster.gpus: [4, 8], cluster.slots: [72, 80]}, {seed: [1]}]}\n";
  static const char *const several[] = {"cluster.gpus=2", "sweep.cluster.gpus=[1, 2]", "seed=5"};
  mb_sweep *sweep = NULL;

  check_set(swept, "schedule.window=30", "cluster.gpus,seed: 4,1; 4,2; 8,1; 8,2");
  check_set(swept, "seed=7", "cluster.gpus: 4; 8");
  check_set(swept, "sweep.seed=8..9", "cluster.gpus,seed: 4,8; 4,9; 8,8; 8,9");
  check_set(swept, "sweep.cluster.slots=[80]",
            "cluster.gpus,seed,cluster.slots: 4,1,80; 4,2,80; "
            "8,1,80; 8,2,80");
  check_set(swept, "sweep={seed: [3]}", "seed: 3");
  check_set(swept, "sweep=null", ": ");
  check_set(swept, "cluster={gpus: 2, slots: 80}", "seed: 1; 2");
  check_set(zipped, "cluster.gpus=8", "cluster.slots,seed: 72,1; 80,1");
  check_set(zipped, "seed=8", "cluster.gpus,cluster.slots: 4,72; 8,80");
  check_set("sweep: {zip: {seed: [1], schedule.window: [3]}}\n", "sweep.zip.seed=[2]",
            "seed,schedule.window: 2,3");
  check_set("", "sweep.seed=[2]", "seed: 2");
  check_set("", "sweep.zip.seed=[2]", "seed: 2");
  check_set("sweep: {seed: [1]}\n", "seed=2", ": ");
  check_set("sweep: {zip: {seed: [1]}}\n", "seed=2", ": ");
  check_set("sweep: {zip: [{seed: [1]}]}\n", "seed=2", ": ");

  sweep = read_with(swept, 3, several, 0);
  check_cells(sweep, "cluster.gpus: 1; 2");
  CU_ASSERT_EQUAL(sweep->cell[0].config->seed, 5);
  mb_sweep_destroy(sweep);
}

static void test_relabellings(void) {
  static const char *const setting = "relabel=7";
  mb_sweep *sweep = read_with("sweep: {relabel: [8, 9], seed: 1..2}\n", 0, NULL, 3);

  check_cells(sweep, "seed,relabel: 1,1; 1,2; 1,3; 2,1; 2,2; 2,3");
  CU_ASSERT_EQUAL(sweep->cell[5].config->relabel, 3);
  mb_sweep_destroy(sweep);
  sweep = read_with("", 1, &setting, 2);
  check_cells(sweep, "relabel: 1; 2");
  mb_sweep_destroy(sweep);
}

/* --- what is scored --- */

/* "50 50 13": each cell's first step. */
static void check_from(const char *more, const char *right) {
  mb_sweep *sweep = read_sweep(more);
  char text[256] = "";

  for (size_t i = 0; i < sweep->n_cells; i++) {
    const mb_config *config = sweep->cell[i].config;
    size_t length = strlen(text);
    CU_ASSERT_EQUAL(config->summary_from, MB_CONFIG_FROM_AUTO);
    (void)snprintf(text + length, sizeof text - length, "%s%lld", i > 0 ? " " : "",
                   (long long)config->summary_from_auto);
  }
  CU_ASSERT_STRING_EQUAL(text, right);
  mb_sweep_destroy(sweep);
}

static void test_from(void) {
  check_from("sweep: {schedule.interval: [5, 50, 10]}\n", "50 50 50");
  check_from("sweep: {zip: {schedule.interval: [5, 50, 10], schedule.delay: [4, 2, 0]}}\n",
             "52 52 52");
  /* 10 steps of 16 are 160 of the trace; a multiple of all. */
  check_from("sweep: {trace.merge: [1, 4, 16]}\n", "160 40 10");
  check_from("sweep: {zip: {trace.merge: [1, 4, 16], schedule.interval: [170, 1, 2]}}\n",
             "176 44 11");
  check_from("sweep: {zip: {trace.merge: [2, 3], schedule.interval: [4, 1]}}\n", "6 4");
}

static void test_from_fits(void) {
  static const int32_t layer_ids[] = {0};
  const mb_trace_info info = {.n_steps = 60,
                              .n_layers = 1,
                              .n_experts = 64,
                              .top_k = 2,
                              .n_groups = 1,
                              .layer_ids = layer_ids,
                              .model = "Qwen/Qwen3-30B-A3B"};
  mb_sweep *sweep = read_sweep("sweep: {schedule.interval: [5, 50]}\n");
  mb_replay_config replay;

  CHECK_OK(mb_config_fit(sweep->cell[0].config, &info, &replay));
  CU_ASSERT_EQUAL(replay.interval, 5);
  CU_ASSERT_EQUAL(replay.summary_from, 50);
  mb_sweep_destroy(sweep);
  sweep = read_sweep("sweep: {schedule.interval: [5, 60]}\n");
  CHECK_FAILS(mb_config_fit(sweep->cell[0].config, &info, &replay), MB_ERR_PARAM,
              "by default the largest interval + delay of all cells of the sweep");
  mb_sweep_destroy(sweep);
}

/* --- written and read again --- */

static void check_same(const mb_sweep *one, const mb_sweep *two) {
  CU_ASSERT_STRING_EQUAL(one->name, two->name);
  CU_ASSERT_EQUAL(one->swept, two->swept);
  CU_ASSERT_EQUAL_FATAL(one->n_keys, two->n_keys);
  CU_ASSERT_EQUAL_FATAL(one->n_cells, two->n_cells);
  for (size_t i = 0; i < one->n_cells; i++) {
    const mb_config *a = one->cell[i].config;
    const mb_config *b = two->cell[i].config;
    for (size_t k = 0; k < one->n_keys; k++) {
      CU_ASSERT_STRING_EQUAL(one->key[k], two->key[k]);
      CU_ASSERT_STRING_EQUAL(one->cell[i].value[k], two->cell[i].value[k]);
    }
    CU_ASSERT_STRING_EQUAL(a->name, b->name);
    CU_ASSERT_EQUAL(a->seed, b->seed);
    CU_ASSERT_EQUAL(a->loads_seed, b->loads_seed);
    CU_ASSERT_EQUAL(a->interval, b->interval);
    CU_ASSERT_EQUAL(a->gpus, b->gpus);
    CU_ASSERT_EQUAL(a->summary_from_auto, b->summary_from_auto);
    CU_ASSERT_EQUAL_FATAL(a->n_strategies, b->n_strategies);
    for (size_t s = 0; s < a->n_strategies; s++) {
      CU_ASSERT_STRING_EQUAL(a->strategies[s].label, b->strategies[s].label);
    }
  }
  CU_ASSERT_STRING_EQUAL(one->text, two->text);
}

static void check_written(const char *more, size_t n_relabellings) {
  mb_sweep *again = NULL;
  mb_sweep *sweep = read_with(more, 0, NULL, n_relabellings);

  write_text(PATH, sweep->text);
  CHECK_OK(mb_sweep_read(PATH, 0, NULL, 0, &again));
  CU_ASSERT_PTR_NOT_NULL_FATAL(again);
  check_same(sweep, again);
  mb_sweep_destroy(sweep);
  mb_sweep_destroy(again);
}

static void test_written(void) {
  check_written("", 0);
  check_written("seed: 12\nbackend: \"cpu\"\n", 3);
  check_written("sweep:\n"
                "  schedule.interval: [5, 1e1]\n"
                "  zip: [{cluster.gpus: [4, 8], cluster.slots: [72, 80]}, {seed: [1..2, 5]}]\n"
                "  strategies: [[lpt, 'none'], [\"l2\", {1: {use: l2, min_gain: .5}}]]\n"
                "  parameters.l2.max_rounds: [unlimited, 3]\n"
                "  trace.generate.seed: 1..2\n",
                0);
  /* Line breaks that YAML would fold, and what would end a value in a list. */
  check_written(
      "sweep:\n"
      "  strategies: [[{c: {use: command, folder: /, command: \"a\\Lb\\Nc\\Pd\\n e, ]}\"}}]]\n",
      0);
}

/* Relative paths are so no longer: the text means the same in another folder. */
static void test_paths(void) {
  static const char path[] = "test_sweep_folder/c.yaml";
  mb_sweep *sweep = NULL;
  mb_sweep *again = NULL;

  (void)mkdir("test_sweep_folder", 0777);
  write_text("test_sweep_folder/t.h5", "");
  write_text("test_sweep_folder/m 1.npy", "");
  write_text(path, "name: base\n"
                   "trace: {file: t.h5}\n"
                   "cluster: {gpus: 8, slots: 80}\n"
                   "schedule: {interval: 10, window: 20}\n"
                   "output: away.h5\n"
                   "sweep:\n"
                   "  trace.file: [t.h5, missing.h5]\n"
                   "  strategies:\n"
                   "    - [{m: {use: maps, file: m 1.npy, effect_step: t.h5}}]\n"
                   "    - [{m: {use: maps, file: m 1.npy, effect_step: 3}},\n"
                   "       {c: {use: command, command: 'a, b: c'}}]\n"
                   "    - [{c: {use: command, command: '#', folder: ..}}]\n");
  CHECK_OK(mb_sweep_read(path, 0, NULL, 0, &sweep));
  CU_ASSERT_PTR_NOT_NULL_FATAL(sweep);
  /* Of a path that is a value by itself, the name alone. */
  CU_ASSERT_EQUAL(strncmp(sweep->cell[0].config->name, "0.file-t.h5.strategies-m_use_maps", 33), 0);
  write_text(PATH, sweep->text);
  CHECK_OK(mb_sweep_read(PATH, 0, NULL, 0, &again));
  CU_ASSERT_PTR_NOT_NULL_FATAL(again);
  CU_ASSERT_PTR_NULL(strstr(sweep->text, "away.h5"));
  CU_ASSERT_PTR_NOT_NULL(strstr(sweep->text, "/test_sweep_folder/m 1.npy\", effect_step: /"));
  CU_ASSERT_PTR_NOT_NULL(strstr(sweep->text, "/test_sweep_folder/m 1.npy\", effect_step: 3}"));
  CU_ASSERT_PTR_NOT_NULL(strstr(sweep->text, "command: \"a, b: c\", folder: /"));
  CU_ASSERT_PTR_NOT_NULL(strstr(again->cell[0].config->trace_file, "/test_sweep_folder/t.h5"));
  CU_ASSERT_EQUAL(again->cell[0].config->trace_file[0], '/');
  mb_sweep_destroy(sweep);
  mb_sweep_destroy(again);
  (void)remove("test_sweep_folder/t.h5");
  (void)remove("test_sweep_folder/m 1.npy");
  (void)remove(path);
  (void)rmdir("test_sweep_folder");
}

/* --- what is refused --- */

static void check_refused(const char *more, const char *message) {
  mb_sweep *sweep = NULL;

  write_base(more);
  CHECK_FAILS(mb_sweep_read(PATH, 0, NULL, 0, &sweep), MB_ERR_PARAM, message);
  CU_ASSERT_PTR_NULL(sweep);
}

static void check_setting_refused(const char *more, const char *setting, const char *message) {
  mb_sweep *sweep = NULL;

  write_base(more);
  CHECK_FAILS(mb_sweep_read(PATH, 1, &setting, 0, &sweep), MB_ERR_PARAM, message);
  CU_ASSERT_PTR_NULL(sweep);
}

static void test_refused_lists(void) {
  check_refused("sweep:\n", PATH ":6: sweep is empty, but has to be a mapping of lists");
  check_refused("sweep: {}\n", PATH ":6: sweep is empty, but has to be a mapping of lists");
  check_refused("sweep: [1, 2]\n", PATH ":6: sweep is a list, but has to be a mapping of lists");
  check_refused("sweep:\n  seed: []\n", PATH ":7: sweep: seed is an empty list: give it values");
  check_refused("sweep:\n  seed: 3\n", PATH ":7: sweep: seed is a text, but has to be a list of "
                                            "values, or a range 1..8");
  check_refused("sweep:\n  seed:\n", PATH ":7: sweep: seed is empty, but has to be a list");
  check_refused("sweep:\n  cluster:\n    gpus: [4, 8]\n",
                PATH ":7: sweep: cluster is a mapping, but has to be a list of values, or a range "
                     "1..8; keys below it are written with dots");
  check_refused("sweep:\n  seed: [3,\n    4..1]\n",
                PATH ":8: sweep: seed: the range 4..1 ends before it starts");
  check_refused("sweep:\n  seed: '1..2'\n", PATH ":7: sweep: seed is a text");
  check_refused("sweep:\n  seed: 1...2\n", PATH ":7: sweep: seed is a text");
  check_refused("sweep:\n  seed: 1..100001\n", PATH ":7: sweep: seed has more than 100000 values");
  check_refused("sweep:\n  seed: 1..99999999999999999999999\n",
                PATH ":7: sweep: seed has more than 100000 values");
  check_refused("sweep:\n  seed: 99999999999999999999999..99999999999999999999999\n",
                PATH ":7: sweep: seed has more than 100000 values");
  check_refused("sweep:\n  seed: [3, 4, 3]\n",
                PATH ":7: sweep: seed 3 is in the list twice: two cells would be the same");
  check_refused("sweep:\n  seed: [3, 4, 03]\n",
                PATH ":7: sweep: seed 3 is in the list twice: two cells would be the same");
  check_refused("sweep:\n  schedule.window: [5, 10, 1e1]\n",
                PATH ":7: sweep: schedule.window 10 is in the list twice");
  check_refused("sweep:\n  trace: [{file: t.h5}]\n  seed: [3, 4]\n",
                PATH ":8: sweep: seed: the loads of a trace file are the same for every seed");
  check_refused("sweep:\n  trace: [{file: t.h5}]\n  trace.generate.seed: [3, 4]\n", PATH ":");
  check_refused("sweep:\n  seed: 1..400\n  schedule.window: 1..251\n",
                PATH ":6: sweep: these lists make more than 100000 cells");
}

static void test_refused_zips(void) {
  check_refused("sweep:\n  zip:\n    seed: 1..3\n    schedule.window: [3,\n      4]\n",
                PATH ":9: sweep: zip: schedule.window has 2 values, but seed has 3");
  check_refused("sweep:\n  zip:\n", PATH ":7: sweep: zip is empty, but has to be a mapping");
  check_refused("sweep:\n  zip: []\n", PATH ":7: sweep: zip is empty, but has to be a mapping");
  check_refused("sweep:\n  zip: [{seed: [1]},\n    []]\n", PATH ":8: sweep: zip is empty");
  check_refused("sweep:\n  zip: [{seed: [1]},\n    [1]]\n", PATH ":8: sweep: zip is a list");
  check_refused("sweep:\n  zip: all\n", PATH ":7: sweep: zip is a text");
  check_refused("sweep:\n  zip: {seed: [3, 4, 3], schedule.window: [7, 7, 7]}\n",
                PATH ":7: sweep: seed 3, schedule.window 7 is in the list twice");
  check_refused("sweep:\n  zip: {zip: {seed: [1]}}\n", PATH ":7: sweep: zip is a mapping");
}

static void test_refused_keys(void) {
  check_refused("sweep:\n  seed: [1]\n  zip:\n    seed: [2]\n",
                PATH ":9: sweep: seed is swept a second time");
  check_refused("sweep:\n  zip: [{seed: [1]}, {seed: [1]}]\n",
                PATH ":7: sweep: seed is swept a second time");
  check_refused("sweep:\n  name: [a, b]\n", PATH ":7: sweep: name is the same for all cells");
  check_refused("sweep:\n  output: [a, b]\n", PATH ":7: sweep: output is the same for all cells");
  check_refused("sweep:\n  sweep: [1]\n", PATH ":7: sweep: sweep is the same for all cells");
  check_refused("sweep:\n  cluster.gpsu: [4,\n    8]\n",
                PATH ":7: unknown key 'cluster.gpsu'; did you mean 'gpus'? (cell 0 of 2: "
                     "cluster.gpsu 4)");
  check_refused("sweep:\n  cluster..gpus: [4]\n", PATH ":7: 'cluster..gpus' is no key");
  check_refused("sweep:\n  seed.x: [4]\n", PATH ":7: seed is a mapping, but has to be a single");
  check_refused("sweep:\n  name.x: [4]\n", PATH ":7: name.x: name is a text, which has no keys");
  write_base("sweep:\n  seed: [1]\n  seed: [2]\n");
  mb_sweep *sweep = NULL;
  CHECK_FAILS(mb_sweep_read(PATH, 0, NULL, 0, &sweep), MB_ERR_FORMAT,
              PATH ":8:3: seed: this key is here a second time");
}

/* The whole sweep is refused for what is wrong in one cell, at the line of its value. */
static void test_refused_cells(void) {
  check_refused("sweep:\n  seed: 1..2\n  schedule.window:\n    - 5\n    - 0\n",
                PATH ":10: schedule.window is '0', but has to be a whole number from 1 to "
                     "1073741824 (cell 1 of 4: seed 1, schedule.window 0)");
  check_refused("sweep:\n  strategies:\n    - [lpt]\n    - [l3]\n",
                PATH ":9: strategies: there is no strategy 'l3'; did you mean 'l2'? (cell 1 of 2: "
                     "strategies [l3])");
  check_refused("sweep:\n  parameters.l2.max_round: [4]\n", "did you mean 'max_rounds'?");
  check_refused("sweep:\n  trace.generate.seed: [a]\n",
                PATH ":7: trace.generate.seed is 'a', but has to be a whole number");
  check_refused("sweep:\n  cluster.nodes: [[1]]\n", PATH ":7: cluster.nodes is a list");
}

static void test_refused_settings(void) {
  check_setting_refused("sweep: {parameters.l2: [{max_rounds: 3}]}\n", "parameters.l2.max_rounds=4",
                        "--set: parameters.l2.max_rounds: parameters.l2 is swept, and its values "
                        "would take this one's place");
  check_setting_refused("sweep: {zip: [{seed: [1]}]}\n", "sweep.zip.seed=[2]",
                        "--set: zip is a list, which has no keys: set it as a whole");
  check_setting_refused("sweep: 3\n", "sweep.seed=[2]", "--set: sweep is a text");
  check_setting_refused("", "sweep.seed=[]", "--set: sweep: seed is an empty list");
  check_setting_refused("", "sweep.=[1]", "'' is no key");
}

/* Who reads one config says what to do with many. */
static void test_refused_elsewhere(void) {
  static const char *const settings[] = {"sweep=null", "seed=3"};
  mb_config *config = NULL;

  write_base("sweep: {seed: [1, 2]}\n");
  CHECK_FAILS(mb_config_read(PATH, 0, NULL, &config), MB_ERR_PARAM,
              PATH ":6: a sweep is many runs, and this takes one: leave it out (--set sweep=null)");
  CU_ASSERT_PTR_NULL(config);
  CHECK_OK(mb_config_read(PATH, 1, settings, &config));
  mb_config_destroy(config);
  CHECK_OK(mb_config_read(PATH, 1, settings + 1, &config));
  CU_ASSERT_EQUAL(config->seed, 3);
  mb_config_destroy(config);
}

/* --- the other keys --- */

static void test_expert_bytes(void) {
  mb_trace_info info = {.model = "Qwen/Qwen3-30B-A3B"};
  mb_sweep *sweep = read_sweep("sweep: {cluster.expert_bytes: [auto, 1000]}\n");

  /* 3 matrices of 2048 x 768, two bytes each */
  CU_ASSERT_EQUAL(mb_config_expert_bytes(sweep->cell[0].config, &info),
                  INT64_C(3) * 2048 * 768 * 2);
  CU_ASSERT_EQUAL(mb_config_expert_bytes(sweep->cell[1].config, &info), 1000);
  info.model = "qwen3-30b-a3b";
  CU_ASSERT_EQUAL(mb_config_expert_bytes(sweep->cell[0].config, &info),
                  INT64_C(3) * 2048 * 768 * 2);
  info.model = "tiny";
  CU_ASSERT_EQUAL(mb_config_expert_bytes(sweep->cell[0].config, &info), 0);
  CU_ASSERT_EQUAL(mb_config_expert_bytes(sweep->cell[1].config, &info), 1000);
  CU_ASSERT_PTR_NULL(mb_model_find_title(""));
  mb_sweep_destroy(sweep);
}

/* A config as provenance has it reads back to the same, seeds and all. */
static void test_formatted(void) {
  static const int32_t layer_ids[] = {0};
  const mb_trace_info info = {.n_steps = 600,
                              .n_layers = 1,
                              .n_experts = 64,
                              .top_k = 2,
                              .n_groups = 1,
                              .layer_ids = layer_ids,
                              .model = "m"};
  mb_sweep *sweep = read_sweep("sweep:\n"
                               "  trace.generate: [{use: requests, seed: 77}]\n"
                               "  trace.merge: [3, 5]\n"
                               "  relabel: [6]\n"
                               "  trace.request_lifetime: [auto, 12]\n"
                               "  cluster.expert_bytes: [auto, 99]\n");

  for (size_t i = 0; i < sweep->n_cells; i++) {
    const mb_config *one = sweep->cell[i].config;
    mb_config *two = NULL;
    mb_replay_config replay;
    char *text = NULL;
    CHECK_OK(mb_config_fit(one, &info, &replay));
    CHECK_OK(mb_config_format(one, &replay, &text));
    write_text(PATH, text);
    CHECK_OK(mb_config_read(PATH, 0, NULL, &two));
    CU_ASSERT_PTR_NOT_NULL_FATAL(two);
    CU_ASSERT_STRING_EQUAL(one->name, two->name);
    CU_ASSERT_EQUAL(two->loads_seed, 77);
    CU_ASSERT_EQUAL(two->seed, 1);
    CU_ASSERT_EQUAL(two->relabel, 6);
    CU_ASSERT_EQUAL(one->merge, two->merge);
    CU_ASSERT_EQUAL(two->request_lifetime, i / 2 % 2 == 0 ? 300 : 12);
    CU_ASSERT_EQUAL(one->expert_bytes, two->expert_bytes);
    CU_ASSERT_EQUAL(two->summary_from, one->summary_from_auto);
    free(text);
    mb_config_destroy(two);
  }
  mb_sweep_destroy(sweep);
}

static void test_merged(void) {
  mb_sweep *sweep =
      read_sweep("sweep:\n"
                 "  trace.generate: [{use: domains, model: mixtral-8x7b, steps: 11}]\n"
                 "  trace.merge: [1, 4, 12]\n");
  mb_source *source = NULL;

  CHECK_OK(mb_config_open_source(sweep->cell[0].config, &source));
  CU_ASSERT_EQUAL(mb_source_get_info(source)->n_steps, 11);
  mb_source_destroy(source);
  CHECK_OK(mb_config_open_source(sweep->cell[1].config, &source));
  CU_ASSERT_EQUAL(mb_source_get_info(source)->n_steps, 2);
  mb_source_destroy(source);
  CHECK_OK(mb_config_open_recorded(sweep->cell[1].config, &source));
  CU_ASSERT_EQUAL(mb_source_get_info(source)->n_steps, 11);
  mb_source_destroy(source);
  CHECK_FAILS(mb_config_open_source(sweep->cell[2].config, &source), MB_ERR_SHAPE,
              PATH ":8: trace.merge: 12 steps cannot be summed into one: there are 11");
  mb_sweep_destroy(sweep);
}

int main(void) {
  CU_TestInfo tests[] = {{"no sweep", test_single},
                         {"crossed", test_crossed},
                         {"zipped", test_zipped},
                         {"ranges", test_ranges},
                         {"values of all kinds", test_values},
                         {"generators and seeds", test_generators},
                         {"names", test_names},
                         {"--set", test_settings},
                         {"--relabellings", test_relabellings},
                         {"summary.from: auto", test_from},
                         {"summary.from against the trace", test_from_fits},
                         {"written and read again", test_written},
                         {"paths", test_paths},
                         {"refused: lists", test_refused_lists},
                         {"refused: zips", test_refused_zips},
                         {"refused: keys", test_refused_keys},
                         {"refused: cells", test_refused_cells},
                         {"refused: --set", test_refused_settings},
                         {"refused: a sweep where one run is meant", test_refused_elsewhere},
                         {"bytes of an expert", test_expert_bytes},
                         {"a cell written and read again", test_formatted},
                         {"merged steps", test_merged},
                         CU_TEST_INFO_NULL};
  int status = run_suite("sweep", tests);

  (void)remove(PATH);
  return status;
}
