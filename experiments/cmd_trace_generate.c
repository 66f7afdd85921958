/* experiments/cmd_trace_generate.c - `moebal trace generate`: writes a synthetic trace. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/config.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_command.h"
#include "experiments/yaml.h"
#include "moebal_version.h"
#include "workloads/generator.h"
#include "workloads/trace.h"

#define NO_SEED UINT64_MAX

typedef struct generate_arguments {
  const mb_generator_type *type; /* NULL: not given */
  const char *config;            /* NULL: not given */
  const char **settings; /* "key=value", in the order given; no more than there are arguments */
  size_t n_settings;
  const char *model; /* short for model=...; NULL: not given */
  const char *output;
  uint64_t seed; /* --seed; NO_SEED: the config's, else 1 */
} generate_arguments;

static error_t parse_generate(int key, char *value, struct argp_state *state) {
  generate_arguments *given = state->input;

  switch (key) {
  case 'g':
    given->type = mb_generator_find(value);
    if (given->type == NULL) {
      argp_error(state, "there is no generator '%s'; `moebal list generators` lists them", value);
    }
    return 0;
  case 'c':
    given->config = value;
    return 0;
  case 'm':
    given->model = value;
    return 0;
  case 's':
    given->settings[given->n_settings++] = value;
    return 0;
  case 'S':
    given->seed = mb_trace_parse_number(state, "--seed", value);
    return 0;
  case 'o':
    given->output = value;
    return 0;
  case ARGP_KEY_ARG:
    argp_error(state, "'%s': parameters are given as --set key=value", value);
    return 0;
  case ARGP_KEY_END:
    if (given->output == NULL) {
      argp_error(state, "-o FILE is missing: where to write the trace");
    }
    if (given->config != NULL && given->type != NULL) {
      argp_error(state, "--config names the generator: leave --generator out");
    }
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static mb_status apply_setting(const mb_generator_type *type, const char *setting, void *params) {
  const char *equals = strchr(setting, '=');
  char key[64];

  if (equals == NULL || equals == setting || (size_t)(equals - setting) >= sizeof key) {
    return MB_FAIL(MB_ERR_PARAM, "--set %s: it takes key=value, as in --set steps=200", setting);
  }
  (void)snprintf(key, sizeof key, "%.*s", (int)(equals - setting), setting);
  return mb_params_set(type->params, key, equals + 1, params);
}

/* Room for some steps at a time, with the optional objects that the generator has. */
typedef struct chunk {
  size_t n_steps;
  uint32_t *load, *load_by_source, *tokens;
  uint8_t *step_phase;
} chunk;

static void free_chunk(chunk *room) {
  free(room->load);
  free(room->load_by_source);
  free(room->tokens);
  free(room->step_phase);
}

static mb_status allocate_chunk(const mb_trace_info *info, chunk *room) {
  size_t step_size = info->n_layers * info->n_experts;
  bool by_source = (info->objects & MB_TRACE_LOAD_BY_SOURCE) != 0;
  bool tokens = (info->objects & MB_TRACE_TOKENS) != 0;
  bool phases = (info->objects & MB_TRACE_STEP_PHASE) != 0;
  size_t n = mb_trace_chunk_steps(info) / (by_source ? info->n_sources : 1);

  *room = (chunk){.n_steps = n > 0 ? n : 1};
  room->load = calloc(room->n_steps * step_size, sizeof *room->load);
  if (by_source) {
    room->load_by_source =
        calloc(room->n_steps * info->n_sources * step_size, sizeof *room->load_by_source);
  }
  if (tokens) {
    room->tokens = calloc(room->n_steps * info->n_sources, sizeof *room->tokens);
  }
  if (phases) {
    room->step_phase = calloc(room->n_steps, sizeof *room->step_phase);
  }
  if (room->load == NULL || (by_source && room->load_by_source == NULL) ||
      (tokens && room->tokens == NULL) || (phases && room->step_phase == NULL)) {
    free_chunk(room);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps of %zu layers of %zu experts",
                   room->n_steps, info->n_layers, info->n_experts);
  }
  return MB_OK;
}

static mb_status write_some(mb_generator *generator, size_t n, const chunk *room,
                            mb_trace_writer *writer) {
  mb_generator_steps made = {room->load, room->load_by_source, room->tokens, room->step_phase};
  mb_trace_steps steps = {.load = room->load,
                          .load_by_source = room->load_by_source,
                          .tokens = room->tokens,
                          .step_phase = room->step_phase};

  MB_TRY(mb_generator_next_steps(generator, n, &made));
  return mb_trace_writer_append_steps(writer, n, &steps);
}

static mb_status write_steps(mb_generator *generator, mb_trace_writer *writer) {
  const mb_trace_info *info = mb_generator_get_info(generator);
  mb_progress progress;
  chunk room;

  MB_TRY(allocate_chunk(info, &room));
  mb_progress_start(&progress, "steps written", info->n_steps, false);
  mb_status status = MB_OK;
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < room.n_steps ? left : room.n_steps;
    status = mb_interrupt_check();
    status = status == MB_OK ? write_some(generator, n, &room, writer) : status;
    t += n;
    mb_progress_update(&progress, t);
  }
  mb_progress_end(&progress);
  free_chunk(&room);
  return status;
}

static mb_status write_trace(mb_generator *generator, const char *path) {
  mb_trace_info info = *mb_generator_get_info(generator);
  mb_trace_writer *writer = NULL;

  info.created_by = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")";
  MB_TRY(mb_trace_writer_create(path, &info, &writer));
  mb_status status = write_steps(generator, writer);
  /* A signal that comes while the last steps are written counts, too. */
  status = status == MB_OK ? mb_interrupt_check() : status;
  if (status != MB_OK) {
    mb_trace_writer_destroy(writer);
    return status;
  }
  return mb_trace_writer_finish(writer);
}

static mb_status read_config(const char *path, const mb_generator_type **type, void **params,
                             int64_t *seed) {
  mb_yaml *root = NULL;

  MB_TRY(mb_yaml_read(path, &root));
  const mb_yaml *node = mb_yaml_find(root, "trace.generate");
  mb_status status = node != NULL ? mb_config_read_generator(node, type, params, seed)
                                  : MB_FAIL(MB_ERR_PARAM, "%s: it has no trace.generate", path);
  mb_yaml_destroy(root);
  return status;
}

static mb_status init_params(const mb_generator_type *type, void **params) {
  void *made = malloc(type->params_size);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %s", type->name);
  }
  mb_params_init(type->params, made);
  *params = made;
  return MB_OK;
}

static mb_status create_as_told(const generate_arguments *given, mb_generator **generator) {
  const mb_generator_type *type = given->type != NULL ? given->type : mb_generator_find("domains");
  void *params = NULL;
  int64_t seed = 1;

  MB_TRY(given->config != NULL ? read_config(given->config, &type, &params, &seed)
                               : init_params(type, &params));
  mb_status status = MB_OK;
  if (given->model != NULL) {
    status = mb_params_set(type->params, "model", given->model, params);
  }
  for (size_t i = 0; status == MB_OK && i < given->n_settings; i++) {
    status = apply_setting(type, given->settings[i], params);
  }
  if (status == MB_OK) {
    status = mb_generator_create(type, params,
                                 given->seed != NO_SEED ? given->seed : (uint64_t)seed, generator);
  }
  free(params);
  return status;
}

/* Returns an exit status: parameters that are wrong are a wrong command line. */
static int generate_as_told(const generate_arguments *given) {
  mb_generator *generator = NULL;

  mb_status status = create_as_told(given, &generator);
  if (status != MB_OK) {
    (void)mb_command_failed();
    return status == MB_ERR_MEMORY || status == MB_ERR_IO ? MB_EXIT_FAILURE : MB_EXIT_USAGE;
  }
  status = write_trace(generator, given->output);
  if (status == MB_OK) {
    const mb_trace_info *info = mb_generator_get_info(generator);
    (void)printf("%s: %zu steps x %zu layers x %zu experts, synthetic\n", given->output,
                 info->n_steps, info->n_layers, info->n_experts);
  }
  mb_generator_destroy(generator);
  return status == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 0},
      {"set", 's', "KEY=VALUE", 0,
       "a parameter of the generator (`moebal list generators`); may be repeated", 0},
      {"model", 'm', "NAME", 0, "short for --set model=NAME (`moebal list models`)", 0},
      {"seed", 'S', "N", 0,
       "same seed and parameters, same loads (default 1, or seed of trace.generate in --config)",
       0},
      {"generator", 'g', "NAME", 0, "the generator (default domains)", 0},
      {"config", 'c', "FILE", 0,
       "the generator and its parameters from trace.generate of a config, such as `moebal trace "
       "fit` writes; --model and --set change them",
       0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse_generate,
      .doc = "Writes a synthetic trace. Its `source` says that it is synthetic, with all "
             "parameters.\vFor example: moebal trace generate --model kimi-k2 --set steps=500 "
             "--set drift=ramp -o kimi.h5",
  };
  generate_arguments given = {.seed = NO_SEED};

  given.settings = calloc((size_t)argc, sizeof *given.settings);
  if (given.settings == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %d arguments", argc);
    return mb_command_failed();
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  int status = generate_as_told(&given);
  free((void *)given.settings);
  return status;
}

const mb_command mb_trace_command_generate = {
    .name = "generate",
    .summary = "write a synthetic trace",
    .run = run,
};
