/* experiments/cmd_rebalance.c - `moebal rebalance`: one set of loads in, one placement out. */
#include <argp.h>
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/planner.h"
#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/map_output.h"
#include "experiments/one_shot.h"

typedef struct arguments {
  const char *loads, *output;
  const mb_map_format *format;
  const mb_strategy *strategy;
  const char **settings; /* "key=value", in the order given; no more than there are arguments */
  size_t n_settings;
  size_t slots, gpus, nodes;
  size_t groups; /* 0: the trace's, or 1 */
  mb_one_shot_steps steps;
  bool has_first_layer;
  int32_t first_layer;
} arguments;

/* --- what is printed --- */

/* Max over mean of the GPUs' loads in one layer; `sum` gets both. NaN without load. */
static double imbalance(const mb_shape *shape, const double *load, const int32_t *map,
                        int32_t *count, double sum[2]) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  double max = 0.0;
  double total = 0.0;

  memset(count, 0, shape->n_experts * sizeof *count);
  for (size_t p = 0; p < shape->n_slots; p++) {
    count[map[p]]++;
  }
  for (size_t d = 0; d < shape->n_gpus; d++) {
    double gpu_load = 0.0;
    for (size_t p = d * slots_per_gpu; p < (d + 1) * slots_per_gpu; p++) {
      gpu_load += load[map[p]] / (double)count[map[p]];
    }
    max = gpu_load > max ? gpu_load : max;
    total += gpu_load;
  }
  double mean = total / (double)shape->n_gpus;
  sum[0] += max;
  sum[1] += mean;
  return mean > 0.0 ? max / mean : NAN;
}

static void print_ratio(double value) {
  if (isnan(value)) {
    (void)printf("  %10s", "-");
  } else {
    (void)printf("  %10.4f", value);
  }
}

static mb_status print_table(const mb_shape *shape, const mb_one_shot *loads, const int32_t *linear,
                             const int32_t *map, const mb_strategy *strategy) {
  double before[2] = {0.0, 0.0};
  double after[2] = {0.0, 0.0};
  int32_t *count = calloc(shape->n_experts, sizeof *count);

  if (count == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu experts", shape->n_experts);
  }
  (void)printf("%5s  %10s  %10s\n", "layer", "linear", strategy->name);
  for (size_t l = 0; l < shape->n_layers; l++) {
    const double *load = loads->load + l * shape->n_experts;
    (void)printf("%5" PRId32, loads->layer_ids[l]);
    print_ratio(imbalance(shape, load, linear + l * shape->n_slots, count, before));
    print_ratio(imbalance(shape, load, map + l * shape->n_slots, count, after));
    (void)putchar('\n');
  }
  (void)printf("%5s", "all");
  print_ratio(before[1] > 0.0 ? before[0] / before[1] : NAN);
  print_ratio(after[1] > 0.0 ? after[0] / after[1] : NAN);
  (void)printf("\n\nLargest GPU load / mean GPU load, of %s;\n"
               "all: sum of the layers' largest / sum of their means.\n",
               loads->what);
  free(count);
  return MB_OK;
}

/* --- the plan --- */

static mb_status apply_setting(const mb_strategy *strategy, const char *setting, void *params) {
  const char *equals = strchr(setting, '=');
  char key[64];

  if (equals == NULL || equals == setting || (size_t)(equals - setting) >= sizeof key) {
    return MB_FAIL(MB_ERR_PARAM, "--set %s: it takes key=value, as in --set max_rounds=100",
                   setting);
  }
  (void)snprintf(key, sizeof key, "%.*s", (int)(equals - setting), setting);
  return mb_params_set(strategy->params, key, equals + 1, params);
}

static mb_status set_params(const arguments *given, void *params) {
  mb_strategy_params_init(given->strategy, params);
  for (size_t i = 0; i < given->n_settings; i++) {
    MB_TRY(apply_setting(given->strategy, given->settings[i], params));
  }
  return MB_OK;
}

/* One plan from the sum of the loads. @param linear, map [L,P] */
static mb_status plan(const arguments *given, const mb_shape *shape, const void *params,
                      const mb_one_shot *loads, const int32_t *linear, int32_t *map) {
  bool *replaced = calloc(shape->n_layers, sizeof *replaced);
  double *realised = calloc(shape->n_layers, sizeof *realised);
  mb_planner *planner = NULL;
  mb_status status = replaced != NULL && realised != NULL
                         ? mb_planner_create(given->strategy, shape, params, NULL, &planner)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", shape->n_layers);

  if (status == MB_OK && mb_planner_n_slices(planner) != 1) {
    status = MB_FAIL(MB_ERR_UNSUPPORTED,
                     "strategy %s wants its loads in %zu slices of time, but there is one sum here",
                     given->strategy->name, mb_planner_n_slices(planner));
  }
  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    realised[l] = NAN;
  }
  if (status == MB_OK) {
    const mb_plan_input input = {.shape = *shape,
                                 .step = loads->n_steps,
                                 .n_window_steps = loads->n_steps,
                                 .n_slices = 1,
                                 .load = loads->load,
                                 .physical_to_logical_map = linear,
                                 .imbalance = realised};
    mb_plan_output output = {.replaced = replaced, .physical_to_logical_map = map};
    status = mb_planner_plan(planner, &input, &output);
  }
  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    if (!replaced[l]) {
      memcpy(map + l * shape->n_slots, linear + l * shape->n_slots, shape->n_slots * sizeof *map);
    }
  }
  mb_planner_destroy(planner);
  free(realised);
  free(replaced);
  return status;
}

static mb_status write_map(const arguments *given, const mb_shape *shape, const mb_one_shot *loads,
                           int32_t *rows) {
  const mb_map map = {.n_maps = 1,
                      .n_layers = shape->n_layers,
                      .n_slots = shape->n_slots,
                      .n_gpus = shape->n_gpus,
                      .n_experts = shape->n_experts,
                      .layer_ids = loads->layer_ids,
                      .physical_to_logical_map = rows};

  MB_TRY(mb_interrupt_check());
  MB_TRY(mb_map_output_write(given->output, given->format, &map));
  (void)printf("%s: %zu layers of %zu slots, %s\n", given->output, shape->n_layers, shape->n_slots,
               given->format->name);
  return MB_OK;
}

static mb_status rebalance(const arguments *given, const mb_one_shot *loads) {
  mb_shape shape = {.n_layers = loads->n_layers,
                    .n_experts = loads->n_experts,
                    .n_slots = given->slots,
                    .n_groups = given->groups != 0 ? given->groups : loads->n_groups,
                    .n_nodes = given->nodes,
                    .n_gpus = given->gpus};

  MB_TRY(mb_shape_check(&shape));
  if (!mb_shape_is_hierarchical(&shape)) {
    (void)fprintf(stderr,
                  "moebal: the policy is global and ignores nodes: %zu groups do not divide by %zu "
                  "nodes\n",
                  shape.n_groups, shape.n_nodes);
  }
  size_t cells = shape.n_layers * shape.n_slots;
  assert(cells > 0);
  int32_t *maps = calloc(2 * cells, sizeof *maps);
  void *params = calloc(1, given->strategy->params_size + 1);
  mb_status status = maps != NULL && params != NULL
                         ? set_params(given, params)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu slots",
                                   shape.n_layers, shape.n_slots);
  for (size_t l = 0; l < shape.n_layers && status == MB_OK; l++) {
    mb_placement_linear(&shape, maps + l * shape.n_slots);
  }
  if (status == MB_OK) {
    status = plan(given, &shape, params, loads, maps, maps + cells);
  }
  if (status == MB_OK && given->output != NULL) {
    status = write_map(given, &shape, loads, maps + cells);
  }
  if (status == MB_OK) {
    status = print_table(&shape, loads, maps, maps + cells, given->strategy);
  }
  free(params);
  free(maps);
  return status;
}

static mb_status execute(const arguments *given) {
  mb_one_shot loads = {.load = NULL};

  if (given->output != NULL) {
    MB_TRY(mb_map_output_check(given->output, given->format, given->loads));
  }
  MB_TRY(mb_one_shot_read(given->loads, given->steps, &loads));
  if (given->has_first_layer) {
    for (size_t l = 0; l < loads.n_layers; l++) {
      loads.layer_ids[l] = given->first_layer + (int32_t)l;
    }
  }
  mb_status status = rebalance(given, &loads);
  mb_one_shot_fini(&loads);
  return status;
}

/* --- the command line --- */

enum { KEY_SLOTS = 256, KEY_GPUS, KEY_NODES, KEY_GROUPS, KEY_STEPS, KEY_SET, KEY_FIRST_LAYER };

enum { SIZE_MOST = 1 << 20, STEP_MOST = 1 << 30 };

/* A whole number in [min, max] that ends where the text does, or at `end`. */
static size_t parse_size(struct argp_state *state, const char *option, const char *text,
                         const char *end, size_t min, size_t max) {
  size_t number = 0;
  const char *digit = text;

  for (; digit != end && *digit >= '0' && *digit <= '9' && number <= max; digit++) {
    number = 10 * number + (size_t)(*digit - '0');
  }
  if (digit == text || digit != end || number < min || number > max) {
    argp_error(state, "%s: '%s' should be a whole number from %zu to %zu", option, text, min, max);
  }
  return number;
}

static size_t parse_count(struct argp_state *state, const char *option, const char *text) {
  return parse_size(state, option, text, text + strlen(text), 1, SIZE_MOST);
}

static mb_one_shot_steps parse_steps(struct argp_state *state, const char *text) {
  const char *colon = strchr(text, ':');
  const char *end = text + strlen(text);
  mb_one_shot_steps steps = {0, SIZE_MAX};

  if (colon == NULL) {
    argp_error(state, "--steps takes FIRST:END, as in 0:100, not '%s'", text);
    return steps;
  }
  if (colon != text) {
    steps.first = parse_size(state, "--steps", text, colon, 0, STEP_MOST);
  }
  if (colon + 1 != end) {
    steps.end = parse_size(state, "--steps", colon + 1, end, 1, STEP_MOST);
  }
  if (steps.first >= steps.end) {
    argp_error(state, "--steps %s: END is the step after the last, so that it is more than FIRST",
               text);
  }
  return steps;
}

static error_t parse_end(const arguments *given, struct argp_state *state) {
  if (given->loads == NULL) {
    argp_error(state, "which LOADS? a trace, or an .npy file [layers, experts] or [steps, layers, "
                      "experts]");
  }
  if (given->slots == 0 || given->gpus == 0) {
    argp_error(state, "--%s is missing: %s", given->slots == 0 ? "slots" : "gpus",
               given->slots == 0 ? "places for experts over all GPUs" : "GPUs over all nodes");
  }
  if (given->output != NULL && given->format == NULL) {
    argp_error(state, "--format NAME is missing: for which engine is %s?", given->output);
  }
  if (given->output == NULL && given->format != NULL) {
    argp_error(state, "-o FILE is missing: where to write the map");
  }
  return 0;
}

static const mb_strategy *parse_strategy(struct argp_state *state, const char *name) {
  const mb_strategy *strategy = mb_strategy_find(name);

  if (strategy == NULL) {
    argp_error(state, "there is no strategy '%s'; `moebal list strategies` lists them", name);
  }
  return strategy;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  arguments *given = state->input;

  switch (key) {
  case KEY_SLOTS:
    given->slots = parse_count(state, "--slots", value);
    return 0;
  case KEY_GPUS:
    given->gpus = parse_count(state, "--gpus", value);
    return 0;
  case KEY_NODES:
    given->nodes = parse_count(state, "--nodes", value);
    return 0;
  case KEY_GROUPS:
    given->groups = parse_count(state, "--groups", value);
    return 0;
  case KEY_STEPS:
    given->steps = parse_steps(state, value);
    return 0;
  case KEY_SET:
    given->settings[given->n_settings++] = value;
    return 0;
  case KEY_FIRST_LAYER:
    given->has_first_layer = true;
    given->first_layer = (int32_t)parse_size(state, "--first-layer", value, value + strlen(value),
                                             0, MB_MAP_SIZE_LIMIT / 2);
    return 0;
  case 's':
    given->strategy = parse_strategy(state, value);
    return 0;
  case 'f':
    given->format = mb_map_output_format(value, state);
    return 0;
  case 'o':
    given->output = value;
    return 0;
  case ARGP_KEY_ARG:
    if (given->loads != NULL) {
      argp_error(state, "one file of loads at a time: '%s' is a second one", value);
    }
    given->loads = value;
    return 0;
  case ARGP_KEY_END:
    return parse_end(given, state);
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"slots", KEY_SLOTS, "P", 0, "places for experts over all GPUs; must be given", 0},
      {"gpus", KEY_GPUS, "D", 0, "GPUs over all nodes; must be given", 0},
      {"nodes", KEY_NODES, "N", 0, "servers (default 1)", 0},
      {"groups", KEY_GROUPS, "G", 0, "groups of experts (default: the trace's, else 1)", 0},
      {"strategy", 's', "NAME", 0, "as `moebal list strategies` has them (default l2)", 0},
      {"set", KEY_SET, "KEY=VALUE", 0, "a parameter of the strategy; may be repeated", 0},
      {"steps", KEY_STEPS, "FIRST:END", 0,
       "the steps that are added up, without END; either may be left out (default: all)", 0},
      {"first-layer", KEY_FIRST_LAYER, "N", 0,
       "number in the model of the first layer, the others follow (default: the trace's, else 0)",
       0},
      {"format", 'f', "NAME", 0, "which kind of map", 0},
      {"output", 'o', "FILE", 0, "where to write the map (default: it is not written)", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "LOADS",
      .doc = "Makes one placement from the sum of the loads, prints each layer's imbalance under "
             "the linear placement and under this one, and writes the map.\v"
             "LOADS is a trace, or an .npy file of whole numbers [layers, experts] or [steps, "
             "layers, experts].\n\nFor example: moebal rebalance loads.npy --slots 288 --gpus 32 "
             "--nodes 4 --groups 8 --first-layer 3 --format trtllm -o map.yaml",
      .help_filter = mb_map_output_help,
  };
  arguments given = {
      .strategy = mb_strategy_find("l2"), .nodes = 1, .steps = {.first = 0, .end = SIZE_MAX}};

  given.settings = calloc((size_t)argc, sizeof *given.settings);
  if (given.settings == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %d arguments", argc);
    return mb_command_failed();
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  int status = execute(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
  free((void *)given.settings);
  return status;
}

const mb_command mb_command_rebalance = {
    .name = "rebalance",
    .summary = "make one placement from given loads, as a map for an engine",
    .run = run,
};
