/* experiments/config_schema.c */
#include "experiments/config_schema.h"

#include <string.h>

#include "balancer/planner.h"
#include "experiments/backend.h"
#include "experiments/config.h"
#include "experiments/external_planner.h"
#include "experiments/recorded_maps.h"
#include "experiments/tune.h"
#include "experiments/wrap.h"
#include "sim/lane_options.h"
#include "workloads/generator.h"

/* As much as mb_shape_check() allows; and more steps than a file would hold. */
#define SIZE_LIMIT (1 << 20)
#define STEP_LIMIT (1 << 30)

/* Columns of a key in the help; no declared key is longer. */
enum { KEY_WIDTH = 29 };

#define COUNT(name, thing, start, text)                                                           \
  {                                                                                               \
    .key = "cluster." #name, .type = MB_PARAM_INT, .unit = (thing), .initial = (start), .min = 1, \
    .max = SIZE_LIMIT, .help = (text), .offset = offsetof(mb_config, name)                        \
  }

#define STEPS(section, name, start, least, text)                                       \
  .key = section "." #name, .type = MB_PARAM_INT, .unit = "steps", .initial = (start), \
  .min = (least), .max = STEP_LIMIT, .help = (text)

const mb_param *mb_config_values(void) {
  static const mb_param values[] = {
      {.key = "name",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .help = "the run's name in the results; letters, digits and _ . -",
       .offset = offsetof(mb_config, name)},
      {.key = "trace.file",
       .type = MB_PARAM_TEXT,
       .unit = MB_CONFIG_PATH_UNIT,
       .initial = "",
       .help = "a recorded trace; either this or trace.generate",
       .offset = offsetof(mb_config, trace_file)},
      {STEPS("trace", merge, "1", 1,
             "steps that are summed into one, before anything else; what is left at the end is "
             "dropped, and steps everywhere else are those after it"),
       .offset = offsetof(mb_config, merge)},
      {STEPS("trace", request_lifetime, "auto", 0,
             "how long a request stays, in the mean, before trace.merge, for statistics; 0: not "
             "known; auto: what the generator's parameters say, else not known"),
       .word = "auto", .word_value = MB_CONFIG_LIFETIME_AUTO,
       .offset = offsetof(mb_config, request_lifetime)},
      COUNT(nodes, "nodes", "1", "servers; has to divide gpus"),
      COUNT(gpus, "GPUs", NULL, "devices over all nodes"),
      COUNT(slots, "slots", NULL,
            "places for experts over all GPUs, a multiple of gpus; those beyond the model's "
            "experts hold replicas"),
      {.key = "cluster.groups",
       .type = MB_PARAM_INT,
       .unit = "groups",
       .initial = "trace",
       .min = 1,
       .max = SIZE_LIMIT,
       .word = "trace",
       .word_value = MB_CONFIG_GROUPS_OF_TRACE,
       .help = "groups of consecutive experts; trace: as the trace says. Where they do not divide "
               "by nodes, the policy is global and ignores nodes",
       .offset = offsetof(mb_config, groups)},
      {.key = "cluster.expert_bytes",
       .type = MB_PARAM_INT,
       .unit = "bytes",
       .initial = "auto",
       .min = 1,
       .max = 1e12,
       .word = "auto",
       .word_value = MB_CONFIG_BYTES_AUTO,
       .help = "weights of one expert in one layer; auto: of the model that the trace names "
               "(`moebal list models`) at 16 bits a weight, if it is known",
       .offset = offsetof(mb_config, expert_bytes)},
      {STEPS("schedule", interval, NULL, 1, "from one plan to the next"),
       .offset = offsetof(mb_config, interval)},
      {STEPS("schedule", window, NULL, 1,
             "a plan is made from the loads of this many last steps, or of as many as there are"),
       .offset = offsetof(mb_config, window)},
      {STEPS("schedule", delay, "0", 0, "until a plan takes effect; less than interval"),
       .offset = offsetof(mb_config, delay)},
      {STEPS("summary", from, "auto", 0,
             "summaries cover the steps from this one on; auto: interval + delay, in a sweep the "
             "largest "
             "of all cells"),
       .word = "auto", .word_value = MB_CONFIG_FROM_AUTO,
       .offset = offsetof(mb_config, summary_from)},
      {.key = "tune.objective",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "step_imbalance",
       .choices = mb_tune_objective_words,
       .help = "what `moebal tune` makes small",
       .offset = offsetof(mb_config, tune_objective)},
      {.key = "tune.split",
       .type = MB_PARAM_REAL,
       .unit = "1",
       .initial = "0.5",
       .min = 0.05,
       .max = 0.95,
       .help = "share of the trace's steps that it chooses on; the rest judges the choice",
       .offset = offsetof(mb_config, tune_split)},
      {.key = "tune.max_expert_bytes_per_gpu",
       .type = MB_PARAM_INT,
       .unit = "bytes",
       .initial = "none",
       .min = 1,
       .max = 1e15,
       .word = "none",
       .word_value = 0,
       .help =
           "weights of experts, of all layers, that a GPU has room for; `moebal tune` has to be "
           "given it, and leaves out settings with more slots",
       .offset = offsetof(mb_config, max_expert_bytes_per_gpu)},
      {.key = "attribution",
       .type = MB_PARAM_BOOL,
       .unit = "1",
       .initial = "false",
       .help = "puts the imbalance of every interval down to its causes, by replays of what could "
               "have been: some 10 times the work of a plain run",
       .offset = offsetof(mb_config, attribution)},
      {.key = "seed",
       .type = MB_PARAM_INT,
       .unit = "1",
       .initial = "1",
       .min = 0,
       .max = 1e15,
       .help = "seeds all that is random: the same seed gives the same loads",
       .offset = offsetof(mb_config, seed)},
      {.key = "relabel",
       .type = MB_PARAM_INT,
       .unit = "1",
       .initial = "0",
       .min = 0,
       .max = 1e9,
       .help = "the balancers see groups, and experts within them, in an order drawn at random, "
               "the one of this number, which decides ties; what they answer is turned back. 0: "
               "the order of the trace",
       .offset = offsetof(mb_config, relabel)},
      {.key = "backend",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "cpu",
       .choices = mb_backend_words,
       .help = "what plans are made with; auto: cuda where there is a GPU, else cpu. Placements do "
               "not depend on it",
       .offset = offsetof(mb_config, backend)},
      {.key = "output",
       .type = MB_PARAM_TEXT,
       .unit = MB_CONFIG_PATH_UNIT,
       .initial = "",
       .help = "the results file; default: NAME.h5 in the current directory",
       .offset = offsetof(mb_config, output)},
#define MB_COST_KEY(name) "cost." #name
#define MB_COST_OFFSET(name) offsetof(mb_config, cost.name)
#include "sim/cost_table.def"
#undef MB_COST_KEY
#undef MB_COST_OFFSET
      {0}};

  return values;
}

const mb_config_branch *mb_config_branches(void) {
  static const mb_config_branch branches[] = {
      {"trace", "the loads: a file, or a generator", true},
      {"trace.generate",
       "a generator's name, or {use: NAME, PARAMETER: VALUE, ...} with parameters of its own; "
       "seed is one of each, in place of the config's seed",
       false},
      {"cluster", "what the experts are placed on", true},
      {"schedule", "when plans are made, and from what", true},
      {"summary", "what summaries cover", true},
      {"cost", "how long steps and moves take; off unless cost.gpu is given", true},
      {"tune", "what `moebal tune` looks for", true},
      {"strategies",
       "a list of names; LABEL: {use: NAME, PARAMETER: VALUE, ...} runs a strategy under a label "
       "of letters a-z, digits and _ . -. Without a list: lpt, maxmin, l2. none and hindsight "
       "always "
       "run",
       false},
      {"parameters",
       "STRATEGY: {PARAMETER: VALUE, ...}, for every entry that uses the strategy; what an entry "
       "says itself comes on top. For hindsight, those of l2. PARAMETER: VALUE, for every strategy "
       "that has it, hindsight too; what is said of one strategy comes on top",
       false},
      {"sweep",
       "many runs, one for each combination of values: KEY: [VALUE, ...], keys with dots as for "
       "--set, A..B for a range of whole numbers; the last key changes fastest. What is under zip, "
       "a mapping of lists of one length or a list of such mappings, goes together. `--set "
       "KEY=VALUE` of a swept key takes its list's place, `--set sweep.KEY=1..4` sets the list, "
       "`--set sweep=null` leaves all out",
       false},
      {0}};

  return branches;
}

const char *const *mb_config_default_strategies(void) {
  static const char *const names[] = {"lpt", "maxmin", "l2", NULL};

  return names;
}

bool mb_config_is_path(const mb_param *param) {
  return strcmp(param->unit, MB_CONFIG_PATH_UNIT) == 0;
}

/* Whether both keys stand in the same section. */
static bool are_siblings(const char *a, const char *b) {
  const char *dot_a = strrchr(a, '.');
  const char *dot_b = strrchr(b, '.');
  size_t length_a = dot_a != NULL ? (size_t)(dot_a - a) : 0;
  size_t length_b = dot_b != NULL ? (size_t)(dot_b - b) : 0;

  return length_a == length_b && strncmp(a, b, length_a) == 0;
}

static const char *last_part(const char *key) {
  const char *dot = strrchr(key, '.');

  return dot != NULL ? dot + 1 : key;
}

const char *mb_config_nearest(const char *key) {
  enum { MANY = 64 };
  mb_param siblings[MANY] = {{0}};
  size_t n = 0;

  for (const mb_param *param = mb_config_values(); param->key != NULL && n + 1 < MANY; param++) {
    if (are_siblings(param->key, key)) {
      siblings[n++].key = last_part(param->key);
    }
  }
  for (const mb_config_branch *branch = mb_config_branches(); branch->key != NULL && n + 1 < MANY;
       branch++) {
    if (are_siblings(branch->key, key)) {
      siblings[n++].key = last_part(branch->key);
    }
  }
  const char *nearest = mb_param_nearest(siblings, last_part(key));
  if (nearest != NULL) {
    return nearest;
  }
  /* A key of another section at the wrong place: `gpus` beside `cluster`. */
  for (const mb_param *param = mb_config_values(); param->key != NULL; param++) {
    if (strcmp(last_part(param->key), last_part(key)) == 0) {
      return param->key;
    }
  }
  return NULL;
}

static const char *type_name(const mb_param *param) {
  switch (param->type) {
  case MB_PARAM_INT:
    return "whole number";
  case MB_PARAM_REAL:
    return "number";
  case MB_PARAM_BOOL:
    return "true or false";
  case MB_PARAM_TEXT:
    return mb_config_is_path(param) ? "path" : "text";
  }
  return "?";
}

/* Cut off where the buffer ends. */
static void append(char *buffer, size_t size, const char *before, const char *text) {
  size_t used = strlen(buffer);

  (void)snprintf(buffer + used, size - used, "%s%s", before, text);
}

/* "[whole number, rounds, 0 to 1000000000, or unlimited; default 50]" */
static void describe_values(const mb_param *param, char *buffer, size_t size) {
  bool has_unit = param->unit[0] != '\0' && strcmp(param->unit, "1") != 0;
  char range[64];

  (void)snprintf(buffer, size, "[%s", type_name(param));
  if (param->type == MB_PARAM_INT || param->type == MB_PARAM_REAL) {
    (void)snprintf(range, sizeof range, ", %.15g to %.15g", param->min, param->max);
    append(buffer, size, has_unit ? ", " : "", has_unit ? param->unit : "");
    append(buffer, size, range, "");
  }
  if (param->word != NULL) {
    append(buffer, size, ", or ", param->word);
  }
  for (size_t i = 0; param->choices != NULL && param->choices[i] != NULL; i++) {
    append(buffer, size, i == 0 ? ": " : ", ", param->choices[i]);
  }
  if (param->initial == NULL) {
    append(buffer, size, "; must be given", "");
  } else if (param->initial[0] != '\0') {
    append(buffer, size, "; default ", param->initial);
  }
  append(buffer, size, "]", "");
}

/* A key and what it is, in two columns. */
static void print_entry(FILE *stream, const char *indent, const char *key, const char *text) {
  size_t column = strlen(indent) + KEY_WIDTH + 1;

  (void)fprintf(stream, "%s%-*s ", indent, KEY_WIDTH, key);
  mb_wrap_print(stream, column, column, text);
}

void mb_config_print_params(FILE *stream, const mb_param *table, const char *indent) {
  if (table == NULL || table->key == NULL) {
    (void)fprintf(stream, "%s(no parameters)\n", indent);
    return;
  }
  for (const mb_param *param = table; param->key != NULL; param++) {
    char values[1024];
    describe_values(param, values, sizeof values);
    print_entry(stream, indent, param->key, param->help);
    print_entry(stream, indent, "", values);
  }
}

void mb_config_print_outside(FILE *stream, const char *indent) {
  char more[32];

  (void)snprintf(more, sizeof more, "%.16s  ", indent);
  (void)fprintf(stream, "%smaps: %s\n", indent, mb_recorded_maps_summary);
  mb_config_print_params(stream, mb_recorded_maps_params(), more);
  (void)fprintf(stream, "%s%s: %s\n", indent, mb_strategy_command.name,
                mb_strategy_command.summary);
  mb_config_print_params(stream, mb_strategy_command.params, more);
}

/* Whether all generators have that parameter, and mean the same by it. */
static bool is_common(const mb_param *param) {
  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++) {
    const mb_param *own = mb_param_find((*type)->params, param->key);
    if (own == NULL || strcmp(own->help, param->help) != 0 || own->initial == NULL ||
        param->initial == NULL || strcmp(own->initial, param->initial) != 0) {
      return false;
    }
  }
  return true;
}

static void print_some(FILE *stream, const mb_param *table, bool common, const char *indent) {
  for (const mb_param *param = table; param->key != NULL; param++) {
    if (is_common(param) == common) {
      const mb_param alone[] = {*param, {.key = NULL}};
      mb_config_print_params(stream, alone, indent);
    }
  }
}

void mb_config_print_generators(FILE *stream, const char *indent) {
  char more[32];

  (void)snprintf(more, sizeof more, "%.16s  ", indent);
  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++) {
    (void)fprintf(stream, "%s%s: %s\n", indent, (*type)->name, (*type)->summary);
    print_some(stream, (*type)->params, false, more);
  }
  (void)fprintf(stream, "%sand each of them has:\n", indent);
  print_some(stream, (*mb_generators())->params, true, more);
}

static void print_example(FILE *stream) {
  (void)fputs("\nExample:\n"
              "  name: first\n"
              "  trace: {file: loads.h5}\n"
              "  cluster: {nodes: 4, gpus: 32, slots: 288}\n"
              "  schedule: {interval: 100, window: 100}\n"
              "  strategies:\n"
              "    - lpt\n"
              "    - l2\n"
              "    - l2-long: {use: l2, max_rounds: unlimited}\n"
              "    - theirs: {use: maps, file: maps.npy, effect_step: maps.steps.npy}\n"
              "    - rival: {use: command, command: python3 planner.py rival, timeout: 10}\n"
              "  parameters:\n"
              "    l2: {min_gain: 1e-3}\n"
              "\n"
              "or, without a recorded trace:\n"
              "  trace: {generate: {use: domains, model: deepseek-v3}}\n"
              "\n"
              "or 12 runs, with 2 seeds for each of 6 combinations:\n"
              "  sweep:\n"
              "    schedule.interval: [50, 100, 200]\n"
              "    zip: {cluster.gpus: [8, 16], cluster.slots: [72, 80]}\n"
              "    trace.generate.seed: 1..2\n",
              stream);
}

void mb_config_print_schema(FILE *stream) {
  (void)fputs("A config is a YAML file with these keys. `moebal run --set KEY=VALUE` sets one, as "
              "in\n`--set cluster.gpus=64`. A relative path in a config starts at the config's "
              "folder, one\non the command line at the current directory.\n\n",
              stream);
  for (const mb_config_branch *branch = mb_config_branches(); branch->key != NULL; branch++) {
    print_entry(stream, "  ", branch->key, branch->help);
  }
  (void)fputc('\n', stream);
  mb_config_print_params(stream, mb_config_values(), "  ");
  (void)fputs("\nStrategies (strategies, parameters.STRATEGY):\n", stream);
  (void)fputs("  every strategy, maps and command, none and hindsight too:\n", stream);
  mb_config_print_params(stream, mb_lane_dispatch_params(), "    ");
  (void)fputs("  every strategy that plans:\n", stream);
  mb_config_print_params(stream, mb_lane_plan_params(), "    ");
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    (void)fprintf(stream, "  %s: %s\n", strategy->name, strategy->summary);
    mb_config_print_params(stream, strategy->params, "    ");
  }
  (void)fputs("\nStrategies from outside, under a label of yours:\n", stream);
  mb_config_print_outside(stream, "  ");
  (void)fputs("\nGenerators (trace.generate):\n", stream);
  mb_config_print_generators(stream, "  ");
  print_example(stream);
}
