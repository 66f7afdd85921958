/* tests/test_config.c - what a config says, and every way in which it is refused. */
#include "tests/test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "balancer/eplb.h"
#include "experiments/config.h"
#include "experiments/config_schema.h"

#define PATH "test_config.yaml"

static const char BASE[] = "name: base\n"
                           "trace: {file: loads.h5}\n"
                           "cluster:\n"
                           "  nodes: 2\n"
                           "  gpus: 8\n"
                           "  slots: 80\n"
                           "schedule:\n"
                           "  interval: 10\n"
                           "  window: 20\n";

static const int32_t layer_ids[] = {3, 4, 5};

/* A trace of 100 steps that BASE fits. */
static mb_trace_info trace_info(void) {
  return (mb_trace_info){.n_steps = 100,
                         .n_layers = 3,
                         .n_experts = 64,
                         .top_k = 4,
                         .n_groups = 8,
                         .layer_ids = layer_ids,
                         .model = "m",
                         .source = "s",
                         .created_by = "c",
                         .padding = "",
                         .counts = "",
                         .source_semantics = ""};
}

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT(fputs(text, file) >= 0);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static mb_config *read_config(const char *text, size_t n, const char *const *settings) {
  mb_config *config = NULL;

  write_text(PATH, text);
  CHECK_OK(mb_config_read(PATH, n, settings, &config));
  CU_ASSERT_PTR_NOT_NULL_FATAL(config);
  return config;
}

/* BASE with `more` after it. */
static char *extended(const char *more) {
  static char text[4096];

  (void)snprintf(text, sizeof text, "%s%s", BASE, more);
  return text;
}

static void check_refused(const char *text, const char *message) {
  mb_config *config = NULL;

  write_text(PATH, text);
  CHECK_FAILS(mb_config_read(PATH, 0, NULL, &config), MB_ERR_PARAM, message);
  CU_ASSERT_PTR_NULL(config);
}

static void check_setting_refused(const char *setting, mb_status status, const char *message) {
  mb_config *config = NULL;

  write_text(PATH, BASE);
  CHECK_FAILS(mb_config_read(PATH, 1, &setting, &config), status, message);
  CU_ASSERT_PTR_NULL(config);
}

/* --- what is accepted --- */

static void check_strategy(const mb_config *config, size_t i, const char *label,
                           mb_replay_role role, const char *name) {
  CU_ASSERT_FATAL(i < config->n_strategies);
  CU_ASSERT_STRING_EQUAL(config->strategies[i].label, label);
  CU_ASSERT_EQUAL(config->strategies[i].role, role);
  if (name == NULL) {
    CU_ASSERT_PTR_NULL(config->strategies[i].strategy);
  } else {
    CU_ASSERT_STRING_EQUAL(config->strategies[i].strategy->name, name);
  }
}

static const mb_balance_options *options_of(const mb_config *config, size_t i) {
  return &((const mb_eplb_params *)config->strategies[i].params)->options;
}

static void test_defaults(void) {
  mb_config *config = read_config(BASE, 0, NULL);
  mb_trace_info info = trace_info();
  mb_replay_config replay;

  CU_ASSERT_STRING_EQUAL(config->name, "base");
  CU_ASSERT_STRING_EQUAL(config->output, "base.h5");
  CU_ASSERT_PTR_NULL(config->generator);
  CU_ASSERT_EQUAL(config->seed, 1);
  CU_ASSERT_EQUAL(config->n_strategies, 5);
  check_strategy(config, 0, "none", MB_REPLAY_NONE, NULL);
  check_strategy(config, 1, "lpt", MB_REPLAY_ONLINE, "lpt");
  check_strategy(config, 2, "maxmin", MB_REPLAY_ONLINE, "maxmin");
  check_strategy(config, 3, "l2", MB_REPLAY_ONLINE, "l2");
  check_strategy(config, 4, "hindsight", MB_REPLAY_HINDSIGHT, "l2");
  CHECK_OK(mb_config_fit(config, &info, &replay));
  CU_ASSERT_EQUAL(replay.shape.n_layers, 3);
  CU_ASSERT_EQUAL(replay.shape.n_experts, 64);
  CU_ASSERT_EQUAL(replay.shape.n_slots, 80);
  CU_ASSERT_EQUAL(replay.shape.n_groups, 8);
  CU_ASSERT_EQUAL(replay.shape.n_nodes, 2);
  CU_ASSERT_EQUAL(replay.shape.n_gpus, 8);
  CU_ASSERT_EQUAL(replay.interval, 10);
  CU_ASSERT_EQUAL(replay.window, 20);
  CU_ASSERT_EQUAL(replay.delay, 0);
  CU_ASSERT_EQUAL(replay.summary_from, 10);
  mb_config_destroy(config);
}

static void test_strategies(void) {
  mb_config *config = read_config(extended("strategies:\n"
                                           "  - hindsight\n"
                                           "  - l2\n"
                                           "  - l2-long: {use: l2, max_rounds: unlimited}\n"
                                           "  - my.eplb_2: {use: eplb, refinement: maxmin}\n"
                                           "  - none\n"
                                           "parameters:\n"
                                           "  l2: {max_rounds: 7, min_gain: 0.5}\n"
                                           "  hindsight: {max_rounds: 9}\n"),
                                  0, NULL);

  CU_ASSERT_EQUAL(config->n_strategies, 5);
  check_strategy(config, 0, "hindsight", MB_REPLAY_HINDSIGHT, "l2");
  check_strategy(config, 1, "l2", MB_REPLAY_ONLINE, "l2");
  check_strategy(config, 2, "l2-long", MB_REPLAY_ONLINE, "l2");
  check_strategy(config, 3, "my.eplb_2", MB_REPLAY_ONLINE, "eplb");
  check_strategy(config, 4, "none", MB_REPLAY_NONE, NULL);
  CU_ASSERT_EQUAL(options_of(config, 0)->max_rounds, 9);
  CU_ASSERT_EQUAL(options_of(config, 0)->min_gain, 1e-6);
  CU_ASSERT_EQUAL(options_of(config, 1)->max_rounds, 7);
  CU_ASSERT_EQUAL(options_of(config, 1)->min_gain, 0.5);
  CU_ASSERT_EQUAL(options_of(config, 2)->max_rounds, MB_ROUNDS_UNLIMITED);
  CU_ASSERT_EQUAL(options_of(config, 2)->min_gain, 0.5);
  CU_ASSERT_EQUAL(options_of(config, 3)->max_rounds, 50);
  CU_ASSERT_STRING_EQUAL(((const mb_eplb_params *)config->strategies[3].params)->refinement,
                         "maxmin");
  mb_config_destroy(config);
}

/* What is said of a parameter holds for every strategy that has it, unless one's own says else. */
static void test_common_parameters(void) {
  mb_config *config = read_config(extended("strategies: [lpt, l2, {a: {use: l2, max_rounds: 3}}]\n"
                                           "parameters:\n"
                                           "  reference_quirks: true\n"
                                           "  max_rounds: 7\n"
                                           "  min_gain: 0.25\n"
                                           "  l2: {min_gain: 0.5}\n"
                                           "  hindsight: {reference_quirks: false}\n"),
                                  0, NULL);

  for (size_t i = 1; i <= 3; i++) {
    CU_ASSERT(options_of(config, i)->reference_quirks);
  }
  CU_ASSERT(options_of(config, 2)->max_rounds == 7 && options_of(config, 2)->min_gain == 0.5);
  CU_ASSERT(options_of(config, 3)->max_rounds == 3 && options_of(config, 3)->min_gain == 0.5);
  check_strategy(config, 4, "hindsight", MB_REPLAY_HINDSIGHT, "l2");
  CU_ASSERT(options_of(config, 4)->max_rounds == 7 && options_of(config, 4)->min_gain == 0.25);
  CU_ASSERT(!options_of(config, 4)->reference_quirks);
  mb_config_destroy(config);
}

/* So it is with what every strategy that plans can be given. */
static void test_plan_options(void) {
  mb_config *config = read_config(extended("strategies: [lpt, {a: {use: l2, assign: none}}, "
                                           "{b: {use: command, command: x, window: 4}}]\n"
                                           "parameters:\n"
                                           "  keep_slots: true\n"
                                           "  assign: gpus\n"
                                           "  l2: {window: 5}\n"
                                           "  lpt: {keep_slots: false}\n"),
                                  0, NULL);

  for (size_t i = 1; i <= 4; i++) {
    const mb_lane_options *options = config->strategies[i].options;
    CU_ASSERT_EQUAL(options->post_pass.keep_slots, i != 1);
    CU_ASSERT_STRING_EQUAL(options->post_pass.assign, i == 2 ? "none" : "gpus");
    CU_ASSERT_EQUAL(options->window, (i == 2 ? 5 : 0) + (i == 3 ? 4 : 0));
  }
  mb_config_destroy(config);
}

static void test_settings(void) {
  static const char *const settings[] = {"cluster.gpus=16",
                                         "summary.from=40",
                                         "cluster.gpus=4",
                                         "strategies=[l2]",
                                         "parameters.l2.max_rounds=3",
                                         "name=a=b",
                                         "cluster.groups=trace",
                                         "name=other"};
  mb_config *config = NULL;

  write_text(PATH, BASE);
  CHECK_FAILS(mb_config_read(PATH, 6, settings, &config), MB_ERR_PARAM, "name is 'a=b'");
  config = read_config(BASE, 8, settings);
  CU_ASSERT_EQUAL(config->gpus, 4);
  CU_ASSERT_EQUAL(config->summary_from, 40);
  CU_ASSERT_EQUAL(config->n_strategies, 3);
  CU_ASSERT_EQUAL(options_of(config, 1)->max_rounds, 3);
  CU_ASSERT_STRING_EQUAL(config->name, "other");
  mb_config_destroy(config);
}

/* Relative to the config's folder; what the command line gives, to the current one. */
static void test_paths(void) {
  static const char *const settings[] = {"trace.file=x/loads.h5", "output=out.h5"};
  static const char path[] = "test_config_folder/c.yaml";
  mb_config *config = NULL;

  (void)mkdir("test_config_folder", 0777);
  write_text(path, extended("output: /tmp/o.h5\n"));
  CHECK_OK(mb_config_read(path, 0, NULL, &config));
  CU_ASSERT_PTR_NOT_NULL_FATAL(config);
  CU_ASSERT_STRING_EQUAL(config->trace_file, "test_config_folder/loads.h5");
  CU_ASSERT_STRING_EQUAL(config->output, "/tmp/o.h5");
  mb_config_destroy(config);
  CHECK_OK(mb_config_read(path, 2, settings, &config));
  CU_ASSERT_PTR_NOT_NULL_FATAL(config);
  CU_ASSERT_STRING_EQUAL(config->trace_file, "x/loads.h5");
  CU_ASSERT_STRING_EQUAL(config->output, "out.h5");
  mb_config_destroy(config);
  (void)remove(path);
  (void)rmdir("test_config_folder");
}

static void test_generator(void) {
  mb_source *source = NULL;
  mb_config *config = read_config("name: g\n"
                                  "trace:\n"
                                  "  generate: {use: domains, steps: 30, layers: 2, experts: 8, "
                                  "top_k: 2, groups: 4}\n"
                                  "cluster: {gpus: 4, slots: 8}\n"
                                  "schedule: {interval: 5, window: 5}\n"
                                  "seed: 77\n",
                                  0, NULL);

  CU_ASSERT_STRING_EQUAL(config->generator->name, "domains");
  CHECK_OK(mb_config_open_source(config, &source));
  CU_ASSERT_EQUAL(mb_source_get_info(source)->n_steps, 30);
  CU_ASSERT_EQUAL(mb_source_get_info(source)->n_experts, 8);
  mb_source_destroy(source);
  mb_config_destroy(config);
}

/* --- what is refused --- */

static void test_refused_keys(void) {
  check_refused("[1, 2]\n", PATH ":1: a config is a mapping of keys, not a list");
  check_refused(extended("shedule: {window: 3}\n"),
                PATH ":10: unknown key 'shedule'; did you mean 'schedule'?");
  check_refused(extended("gpus: 3\n"),
                PATH ":10: unknown key 'gpus'; did you mean 'cluster.gpus'?");
  check_refused(extended("summary: {form: 3}\n"),
                PATH ":10: unknown key 'summary.form'; did you mean 'from'?");
  check_refused(extended("whatever: 3\n"),
                PATH ":10: unknown key 'whatever'; `moebal help config` lists what there is");
  check_refused(extended("cluster.groups: 8\n"),
                PATH ":10: the key 'cluster.groups' has a dot in it; write it as cluster: "
                     "{groups: ...}");
  check_refused(extended("summary: {a.b: 8}\n"), PATH ":10: the key 'a.b' has a dot in it");
  check_refused(extended("summary:\n"), PATH ":10: summary is empty, but has to be a mapping");
  check_refused(extended("seed: NULL\n"), PATH ":10: seed has no value");
  check_refused(extended("summary: 3\n"), PATH ":10: summary is a text, but has to be a mapping");
  check_refused(extended("seed: [1]\n"), PATH ":10: seed is a list, but has to be a single value");
  check_refused(extended("seed:\n"), PATH ":10: seed has no value");
  check_refused(extended("seed: ~\n"), PATH ":10: seed has no value");
  check_refused(extended("seed: '3'\n"), PATH ":10: seed is the text \"3\": leave the quotes out");
  check_refused(extended("seed: 1.5\n"), PATH ":10: seed is '1.5', but has to be a whole number");
  check_refused(extended("seed: -1\n"), PATH ":10: seed is '-1', but has to be a whole number from "
                                             "0 to");
  check_refused(extended("output: ''\n"), PATH ":10: output is empty: give a path");
}

static void test_refused_values(void) {
  static const char *const keys[] = {"cluster.nodes",  "cluster.gpus",      "cluster.slots",
                                     "cluster.groups", "schedule.interval", "schedule.window"};
  char setting[128];
  char message[128];

  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    (void)snprintf(setting, sizeof setting, "%s=0", keys[i]);
    (void)snprintf(message, sizeof message,
                   "--set: %s is '0', but has to be a whole number from 1 to ", keys[i]);
    check_setting_refused(setting, MB_ERR_PARAM, message);
  }
  check_setting_refused("cluster.groups=some", MB_ERR_PARAM, "or trace");
  check_setting_refused("summary.from=never", MB_ERR_PARAM, "or auto");
  check_setting_refused("schedule.delay=-1", MB_ERR_PARAM, "schedule.delay is '-1'");
  check_setting_refused("name=a/b", MB_ERR_PARAM, "--set: name is 'a/b', but has to be 1 to 64");
  check_setting_refused("name=..", MB_ERR_PARAM, "--set: name is '..', but has to be 1 to 64");
  check_setting_refused("name=\"\"", MB_ERR_PARAM, "--set: name is '', but has to be 1 to 64");
  check_setting_refused("seed", MB_ERR_PARAM, "--set: 'seed' has no '='");
  check_setting_refused("seed=", MB_ERR_FORMAT, "--set: is empty (in 'seed=')");
  check_setting_refused("seed=[", MB_ERR_FORMAT, "--set: not YAML");
  check_setting_refused("=3", MB_ERR_PARAM, "--set: '' is no key");
  check_setting_refused("seed.x=3", MB_ERR_PARAM, "--set: seed is a mapping");
  check_setting_refused("name.x=3", MB_ERR_PARAM, "--set: name.x: name is a text");
}

static void test_refused_missing(void) {
  check_refused("trace: {file: x}\ncluster: {gpus: 8}\n", PATH ":1: name is missing");
  check_refused("name: x\ntrace: {file: x}\ncluster:\n  gpus: 8\n",
                PATH ":3: cluster.slots is missing: places for experts");
  check_refused("name: x\ncluster: {gpus: 8, slots: 8}\nschedule: {interval: 3}\n",
                PATH ":3: schedule.window is missing");
  check_refused("name: x\ncluster: {gpus: 8, slots: 8}\nschedule: {interval: 3, window: 3}\n",
                PATH ":1: trace is missing: give trace.file");
  check_refused("name: x\ncluster: {gpus: 8, slots: 8}\nschedule: {interval: 3, window: 3}\n"
                "trace: {}\n",
                PATH ":4: trace is missing: give trace.file");
}

static void test_refused_trace(void) {
  check_setting_refused("trace.generate=domains", MB_ERR_PARAM,
                        "--set: trace.generate and trace.file are both given");
  check_setting_refused("trace={generate: domain}", MB_ERR_PARAM,
                        "trace.generate: there is no generator 'domain'; did you mean 'domains'?");
  check_setting_refused("trace={generate: {steps: 3}}", MB_ERR_PARAM,
                        "trace.generate has to be a generator's name (`moebal list generators`)");
  check_setting_refused("trace={generate: [domains]}", MB_ERR_PARAM,
                        "trace.generate has to be a generator's name");
  check_setting_refused("trace={generate: {use: domains, step: 3}}", MB_ERR_PARAM,
                        "trace.generate: unknown parameter 'step'; did you mean 'steps'?");
  check_setting_refused("trace={generate: {use: domains, steps: 0}}", MB_ERR_PARAM,
                        "trace.generate: steps is '0', but has to be a whole number from 1 to");
  check_setting_refused("trace={generate: {use: domains, steps: {a: 1}}}", MB_ERR_PARAM,
                        "steps is a mapping, but has to be a single value");
  check_setting_refused("trace={generate: {use: domains, model: gpt-9}}", MB_ERR_PARAM,
                        "model is 'gpt-9', but has to be one of: deepseek-v3, ");
}

static void test_refused_strategies(void) {
  check_refused(extended("strategies: l2\n"),
                PATH ":10: strategies is a text, but has to be a list");
  check_refused(extended("strategies: [LPT]\n"), "no strategy 'LPT'; did you mean 'lpt'?");
  check_refused(extended("strategies: [{l2: {use: lpt}}]\n"),
                PATH ":10: strategies: 'l2' is a strategy of its own, but stands for lpt here");
  check_refused(extended("strategies:\n  - lpt\n  - maxmim\n"),
                PATH ":12: strategies: there is no strategy 'maxmim'; did you mean 'maxmin'?");
  check_refused(extended("strategies: [greedy-search]\n"),
                "there is no strategy 'greedy-search'; there is none, hindsight, lpt, maxmin, l2");
  check_refused(extended("strategies: [l2, lpt, l2]\n"),
                PATH ":10: strategies: 'l2' is here a second");
  check_refused(extended("strategies: [none, none]\n"), "'none' is here a second time");
  check_refused(extended("strategies: [hindsight, hindsight]\n"), "'hindsight' is here a second");
  check_refused(extended("strategies: [{a: {use: l2}}, {a: {use: lpt}}]\n"),
                "'a' is here a second");
  check_refused(extended("strategies: [{a: {use: l2}, b: {use: lpt}}]\n"),
                "an entry is a name, or");
  check_refused(extended("strategies: [[l2]]\n"), "an entry is a name, or one label");
  check_refused(extended("strategies: [{Fast: {use: l2}}]\n"),
                "the label 'Fast' has to be 1 to 64");
  check_refused(extended("strategies: [{a/b: {use: l2}}]\n"), "the label 'a/b' has to be 1 to 64");
  check_refused(extended("strategies: [{.: {use: l2}}]\n"), "the label '.' has to be 1 to 64");
  check_refused(extended("strategies: [{none: {use: l2}}]\n"), "'none' always is the reference");
  check_refused(extended("strategies: [{a: {max_rounds: 3}}]\n"),
                "'a' has to be a mapping that says");
  check_refused(extended("strategies: [{a: l2}]\n"), "'a' has to be a mapping that says");
  check_refused(extended("strategies: [{a: {use: l3}}]\n"), "there is no strategy 'l3'");
  check_refused(extended("strategies:\n  - a:\n      use: l2\n      max_round: 3\n"),
                PATH ":13: a: unknown parameter 'max_round'; did you mean 'max_rounds'?");
  check_refused(extended("strategies: [{a: {use: lpt, max_rounds: 3}}]\n"),
                "a: unknown parameter 'max_rounds'");
}

static void test_refused_parameters(void) {
  check_refused(extended("parameters: 3\n"),
                PATH ":10: parameters is a text, but has to be a mapping");
  check_refused(extended("parameters:\n  # l2: {}\n"),
                PATH ":10: parameters is empty, but has to be a mapping");
  check_refused(extended("parameters: {l2: 3}\n"),
                "parameters.l2 is a text, but has to be a mapping");
  check_refused(extended("parameters: {max_round: 1}\n"),
                PATH ":10: parameters: unknown parameter 'max_round'; did you mean 'max_rounds'?");
  check_refused(extended("parameters: {max_rounds: -1}\n"),
                PATH ":10: parameters: max_rounds is '-1', but has to be a whole number");
  check_refused(extended("strategies: []\nparameters: {refinement: best}\n"),
                PATH ":11: parameters: refinement is 'best', but has to be one of: lpt");
  check_refused(extended("parameters: {max_rounds: {l2: 3}}\n"),
                PATH ":10: max_rounds is a mapping, but has to be a single value");
  check_refused(extended("parameters: {none: {a: 1}}\n"), "parameters.none: unknown parameter 'a'");
  check_refused(extended("parameters: {none: {window: 1}}\n"),
                "parameters.none: unknown parameter 'window'");
  check_refused(extended("parameters: {none: 1}\n"), "parameters.none is a text, but has to be");
  check_refused(extended("parameters: {dispatch: odd}\n"),
                PATH ":10: parameters: dispatch is 'odd', but has to be one of: even");
  check_refused(extended("parameters: {lpt: {window: 0}}\n"), PATH ":10: lpt: window is '0', but");
  check_refused(extended("parameters: {windo: 5}\n"), "did you mean 'window'?");
  check_refused(extended("strategies: [{a: {use: l2, dispatc: even}}]\n"),
                "a: unknown parameter 'dispatc'; did you mean 'dispatch'?");
  check_refused(extended("parameters: {l4: {a: 1}}\n"), "parameters: there is no strategy 'l4'");
  check_refused(extended("parameters:\n  l2:\n    min_gain: -1\n"),
                PATH ":12: parameters.l2: min_gain is '-1', but has to be a number from 0 to");
  check_refused(extended("parameters: {l2: {use: lpt}}\n"),
                "parameters.l2: unknown parameter 'use'");
  check_refused(
      extended("parameters: {hindsight: {max_rounds: many}}\n"),
      "parameters.hindsight: max_rounds is 'many', but has to be a whole number from 0 to");
}

static void test_refused_files(void) {
  mb_config *config = NULL;

  CHECK_FAILS(mb_config_read("nowhere.yaml", 0, NULL, &config), MB_ERR_IO,
              "nowhere.yaml: cannot be read: ");
  write_text(PATH, "a: 1\na: 2\n");
  CHECK_FAILS(mb_config_read(PATH, 0, NULL, &config), MB_ERR_FORMAT, "here a second time");
  CU_ASSERT_PTR_NULL(config);
}

static void check_misfit(const char *setting, mb_status status, const char *message) {
  mb_config *config = read_config(BASE, 1, &setting);
  mb_trace_info info = trace_info();
  mb_replay_config replay = {.interval = 12345};

  CHECK_FAILS(mb_config_fit(config, &info, &replay), status, message);
  CU_ASSERT_EQUAL(replay.interval, 12345);
  mb_config_destroy(config);
}

static void test_misfits(void) {
  check_misfit("cluster.slots=81", MB_ERR_SHAPE, "--set: cluster.slots: ");
  check_misfit("cluster.slots=56", MB_ERR_SHAPE, "--set: cluster.slots: ");
  check_misfit("cluster.nodes=3", MB_ERR_SHAPE, PATH ":5: cluster.gpus: ");
  check_misfit("cluster.groups=7", MB_ERR_SHAPE, "--set: cluster.groups: ");
  check_misfit("schedule.delay=10", MB_ERR_PARAM, "--set: schedule.delay: ");
  check_misfit("summary.from=100", MB_ERR_PARAM,
               "--set: summary.from: summaries begin at step 100, but the loads have 100 steps");
  check_misfit(
      "schedule.interval=100", MB_ERR_PARAM,
      "--set: schedule.interval: summaries begin at step 100, but the loads have 100 steps: "
      "it must be less; summary.from says where, by default interval + delay");
  check_misfit("cluster.slots=81", MB_ERR_SHAPE, "81");
  check_misfit("cluster.slots=81", MB_ERR_SHAPE, "8 GPUs");
}

/* --- written out --- */

static void check_written(const char *text) {
  mb_config *config = read_config(text, 0, NULL);
  mb_trace_info info = trace_info();
  mb_replay_config replay;
  char *first = NULL;
  char *second = NULL;

  CHECK_OK(mb_config_fit(config, &info, &replay));
  CHECK_OK(mb_config_format(config, &replay, &first));
  CU_ASSERT_PTR_NOT_NULL_FATAL(first);
  mb_config *again = read_config(first, 0, NULL);
  CHECK_OK(mb_config_fit(again, &info, &replay));
  CHECK_OK(mb_config_format(again, &replay, &second));
  CU_ASSERT_PTR_NOT_NULL_FATAL(second);
  CU_ASSERT_STRING_EQUAL(first, second);
  CU_ASSERT_EQUAL_FATAL(config->n_strategies, again->n_strategies);
  for (size_t i = 0; i < config->n_strategies; i++) {
    const mb_replay_strategy *one = &config->strategies[i];
    const mb_replay_strategy *two = &again->strategies[i];
    CU_ASSERT_STRING_EQUAL(one->label, two->label);
    CU_ASSERT_EQUAL(one->role, two->role);
    CU_ASSERT_PTR_EQUAL(one->strategy, two->strategy);
    CU_ASSERT_EQUAL(memcmp(one->options, two->options, sizeof *one->options), 0);
    if (one->strategy != NULL) {
      CU_ASSERT_EQUAL(memcmp(one->params, two->params, one->strategy->params_size), 0);
    }
  }
  free(first);
  free(second);
  mb_config_destroy(config);
  mb_config_destroy(again);
}

static void test_written(void) {
  check_written(BASE);
  check_written(extended("strategies: [{a.b-c_1: {use: l2, max_rounds: unlimited, min_gain: 0.1}}, "
                         "lpt, hindsight, {1: {use: eplb, refinement: l2}}, none]\n"
                         "parameters: {hindsight: {min_gain: 0.3, reference_quirks: true}}\n"
                         "summary: {from: 33}\n"
                         "seed: 123456789012345\n"));
  check_written(extended("strategies: [{b: {use: lpt, forecast: shrink, forecast_parts: 3}}]\n"
                         "parameters: {forecast: ewma, forecast_decay: 0.1}\n"));
  check_written(
      extended("strategies: [{b: {use: lpt, trigger: cost_aware, trigger_horizon: 7}}]\n"
               "parameters: {trigger_scope: all, trigger_move_cost: 0.3, trigger_move_gain: 0.7, "
               "trigger_imbalance: 1.1, trigger_reference: bound, l2: {trigger: threshold}}\n"));
  check_written(extended("strategies: [lpt, {a: {use: l2, assign: gpus, window: 9}}]\n"
                         "parameters: {keep_slots: true, lpt: {keep_slots: false, window: 3}, "
                         "hindsight: {assign: gpus}}\n"));
  check_written("name: 12.5e3\n"
                "trace: {generate: {use: domains, steps: 100, sigma: 0.30000000000000004}}\n"
                "cluster: {gpus: 8, slots: 64, groups: 1}\n"
                "schedule: {interval: 10, window: 1e2, delay: 9}\n");
}

/* Lines joined and runs of spaces made one, so that wrapped texts are found. */
static void unwrap(char *text) {
  char *to = text;
  char last = ' ';

  for (char *from = text; *from != '\0'; from++) {
    if (*from == '\n') {
      *from = ' ';
    }
    if (*from != ' ' || last != ' ') {
      *to++ = *from;
    }
    last = *from;
  }
  *to = '\0';
}

static void check_line_widths(const char *text) {
  for (const char *line = text; *line != '\0'; line += *line == '\n') {
    size_t length = strcspn(line, "\n");
    CU_ASSERT(length <= 100);
    line += length;
  }
}

/* Every key and parameter is in `moebal help config`, with a space behind it. */
static void test_schema(void) {
  char key[MB_PARAM_TEXT_SIZE];
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
  mb_config_print_schema(stream);
  CU_ASSERT_EQUAL(fclose(stream), 0);
  check_line_widths(text);
  for (const mb_param *param = mb_generator_find("domains")->params; param->key != NULL; param++) {
    (void)snprintf(key, sizeof key, "\n    %-29s %c", param->key, param->help[0]);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, key));
  }
  unwrap(text);
  for (const mb_param *param = mb_config_values(); param->key != NULL; param++) {
    CU_ASSERT_PTR_NOT_NULL(strstr(text, param->key));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, param->help));
  }
  for (const mb_param *param = mb_lane_plan_params(); param->key != NULL; param++) {
    CU_ASSERT_PTR_NOT_NULL(strstr(text, param->key));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, param->help));
  }
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    CU_ASSERT_PTR_NOT_NULL(strstr(text, strategy->summary));
  }
  for (const mb_param *param = mb_generator_find("domains")->params; param->key != NULL; param++) {
    CU_ASSERT_PTR_NOT_NULL(strstr(text, param->help));
  }
  for (const char *const *name = mb_config_default_strategies(); *name != NULL; name++) {
    const char *list = strstr(text, "Without a list: ");
    CU_ASSERT_PTR_NOT_NULL_FATAL(list);
    CU_ASSERT(strstr(list, *name) < strchr(list, '.'));
  }
  free(text);
}

int main(void) {
  CU_TestInfo tests[] = {{"defaults", test_defaults},
                         {"strategies and parameters", test_strategies},
                         {"parameters of all strategies", test_common_parameters},
                         {"options of plans", test_plan_options},
                         {"--set", test_settings},
                         {"relative paths", test_paths},
                         {"generators", test_generator},
                         {"refused: keys", test_refused_keys},
                         {"refused: values", test_refused_values},
                         {"refused: missing", test_refused_missing},
                         {"refused: traces", test_refused_trace},
                         {"refused: strategies", test_refused_strategies},
                         {"refused: parameters", test_refused_parameters},
                         {"refused: files", test_refused_files},
                         {"refused: what does not fit the trace", test_misfits},
                         {"written out and read again", test_written},
                         {"the schema is complete", test_schema},
                         CU_TEST_INFO_NULL};
  int status = run_suite("config", tests);

  (void)remove(PATH);
  return status;
}
