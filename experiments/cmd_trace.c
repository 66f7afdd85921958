/* experiments/cmd_trace.c - `moebal trace`: makes traces, describes them, verifies them. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_report.h"
#include "moebal_version.h"
#include "workloads/generator.h"
#include "workloads/source.h"
#include "workloads/trace.h"
#include "workloads/trace_stats.h"

/* Loads that are read or made at a time: 4 MiB of them. */
enum { CHUNK_LOADS = 1 << 20 };

static size_t chunk_steps(const mb_trace_info *info) {
  size_t n = CHUNK_LOADS / (info->n_layers * info->n_experts);

  return n < 1 ? 1 : n < info->n_steps ? n : info->n_steps;
}

static uint32_t *allocate_chunk(const mb_trace_info *info) {
  uint32_t *load = malloc(chunk_steps(info) * info->n_layers * info->n_experts * sizeof *load);

  if (load == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps of %zu layers of %zu experts",
                  chunk_steps(info), info->n_layers, info->n_experts);
  }
  return load;
}

/* --- moebal trace generate */

typedef struct generate_arguments {
  const mb_generator_type *type;
  const char **settings; /* "key=value", in the order given; no more than there are arguments */
  size_t n_settings;
  const char *model; /* short for model=...; NULL: not given */
  const char *output;
  uint64_t seed;
} generate_arguments;

static uint64_t parse_number(struct argp_state *state, const char *what, const char *text) {
  char *end = NULL;

  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0) {
    argp_error(state, "%s: '%s' is not a whole number from 0 to 2^64 - 1", what, text);
  }
  return number;
}

static error_t parse_generate(int key, char *value, struct argp_state *state) {
  generate_arguments *given = state->input;

  switch (key) {
  case 'g':
    given->type = mb_generator_find(value);
    if (given->type == NULL) {
      argp_error(state, "there is no generator '%s'; `moebal list generators` lists them", value);
    }
    return 0;
  case 'm':
    given->model = value;
    return 0;
  case 's':
    given->settings[given->n_settings++] = value;
    return 0;
  case 'S':
    given->seed = parse_number(state, "--seed", value);
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

static mb_status write_steps(mb_generator *generator, mb_trace_writer *writer) {
  const mb_trace_info *info = mb_generator_get_info(generator);
  uint32_t *load = allocate_chunk(info);
  mb_progress progress;

  if (load == NULL) {
    return MB_ERR_MEMORY;
  }
  mb_progress_start(&progress, "steps written", info->n_steps, false);
  mb_status status = MB_OK;
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < chunk_steps(info) ? left : chunk_steps(info);
    status = mb_interrupt_check();
    status = status == MB_OK ? mb_generator_next(generator, n, load) : status;
    status = status == MB_OK ? mb_trace_writer_append(writer, n, load) : status;
    t += n;
    mb_progress_update(&progress, t);
  }
  mb_progress_end(&progress);
  free(load);
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

/* Returns an exit status: parameters that are wrong are a wrong command line. */
static int generate_as_told(const generate_arguments *given) {
  mb_generator *generator = NULL;
  void *params = malloc(given->type->params_size);

  mb_status status =
      params != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for %s", given->type->name);
  if (status == MB_OK) {
    mb_params_init(given->type->params, params);
  }
  if (status == MB_OK && given->model != NULL) {
    status = mb_params_set(given->type->params, "model", given->model, params);
  }
  for (size_t i = 0; status == MB_OK && i < given->n_settings; i++) {
    status = apply_setting(given->type, given->settings[i], params);
  }
  if (status == MB_OK) {
    status = mb_generator_create(given->type, params, given->seed, &generator);
  }
  free(params);
  if (status != MB_OK) {
    (void)mb_command_failed();
    return status == MB_ERR_MEMORY ? MB_EXIT_FAILURE : MB_EXIT_USAGE;
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

static int run_generate(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 0},
      {"set", 's', "KEY=VALUE", 0,
       "a parameter of the generator (`moebal list generators`); may be repeated", 0},
      {"model", 'm', "NAME", 0, "short for --set model=NAME (`moebal list models`)", 0},
      {"seed", 'S', "N", 0, "same seed and parameters, same loads (default 1)", 0},
      {"generator", 'g', "NAME", 0, "the generator (default domains)", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse_generate,
      .doc = "Writes a synthetic trace. Its `source` says that it is synthetic, with all "
             "parameters.\vFor example: moebal trace generate --model kimi-k2 --set steps=500 "
             "--set drift=ramp -o kimi.h5",
  };
  generate_arguments given = {.type = mb_generator_find("domains"), .seed = 1};

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

/* --- moebal trace info */

typedef struct info_arguments {
  const char *path;
  size_t window; /* 0: not given */
} info_arguments;

static error_t parse_info(int key, char *value, struct argp_state *state) {
  info_arguments *given = state->input;

  switch (key) {
  case 'w':
    given->window = parse_number(state, "--window", value);
    if (given->window == 0) {
      argp_error(state, "--window: it has at least 1 step");
    }
    return 0;
  case ARGP_KEY_ARG:
    if (given->path != NULL) {
      argp_error(state, "'%s': one file at a time", value);
    }
    given->path = value;
    return 0;
  case ARGP_KEY_END:
    if (given->path == NULL) {
      argp_error(state, "which FILE?");
    }
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static mb_status read_steps(mb_source *source, mb_trace_stats *stats, uint32_t *load,
                            uint64_t *tokens) {
  const mb_trace_info *info = mb_source_get_info(source);
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "steps read", info->n_steps, false);
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < chunk_steps(info) ? left : chunk_steps(info);
    status = mb_interrupt_check();
    if (status == MB_OK && tokens != NULL) {
      status = mb_trace_read_tokens(mb_source_get_trace(source), t, n, tokens);
    }
    status = status == MB_OK ? mb_source_read(source, n, load) : status;
    if (status == MB_OK) {
      mb_trace_stats_add(stats, n, load, tokens);
    }
    t += n;
    mb_progress_update(&progress, t);
  }
  mb_progress_end(&progress);
  return status;
}

/* A sixteenth of a shorter trace, so that there is a drift to see. */
static size_t default_window(size_t n_steps) {
  size_t sixteenth = n_steps / 16;

  return sixteenth > 64 ? 64 : sixteenth > 0 ? sixteenth : 1;
}

static mb_status describe(mb_source *source, const info_arguments *given) {
  const mb_trace_info *info = mb_source_get_info(source);
  bool tokens_known = (info->objects & MB_TRACE_TOKENS) != 0;
  size_t window = given->window != 0 ? given->window : default_window(info->n_steps);
  mb_trace_stats *stats = NULL;
  uint64_t *tokens = NULL;
  char digest[MB_DIGEST_SIZE];

  uint32_t *load = allocate_chunk(info);
  mb_status status = load != NULL ? MB_OK : MB_ERR_MEMORY;
  if (status == MB_OK && tokens_known) {
    tokens = calloc(chunk_steps(info), sizeof *tokens);
    status = tokens != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for the tokens");
  }
  status = status == MB_OK ? mb_trace_stats_create(info, window, tokens_known, &stats) : status;
  status = status == MB_OK ? read_steps(source, stats, load, tokens) : status;
  if (status == MB_OK) {
    mb_source_digest(source, digest);
    mb_trace_report_print(stdout, given->path, info, digest, mb_trace_stats_finish(stats));
  }
  mb_trace_stats_destroy(stats);
  free(tokens);
  free(load);
  return status;
}

static int run_info(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"window", 'w', "N", 0,
       "steps of a window (default 64, and for a shorter trace a sixteenth of it)", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse_info,
      .args_doc = "FILE",
      .doc = "Describes a trace: its shape, how skewed the experts' loads are in each layer, how "
             "they drift from window to window, and whether the sums are as they must be.",
  };
  info_arguments given = {.path = NULL};
  mb_source *source = NULL;

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  mb_status status = mb_source_open_trace(given.path, &source);
  status = status == MB_OK ? describe(source, &given) : status;
  mb_source_destroy(source);
  return status == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

/* --- moebal trace verify */

static error_t parse_verify(int key, char *value, struct argp_state *state) {
  if (key == 'w') {
    return ARGP_ERR_UNKNOWN;
  }
  return parse_info(key, value, state);
}

static mb_status verify(const char *path) {
  char digest[MB_DIGEST_SIZE];
  mb_trace *trace = NULL;

  MB_TRY(mb_trace_verify(path, digest));
  MB_TRY(mb_trace_open(path, &trace));
  bool recorded = mb_trace_get_info(trace)->load_xxh3[0] != '\0';
  mb_trace_destroy(trace);
  (void)printf("%s: ok, all of it can be read\nXXH3-128 of the loads: %s, %s\n", path, digest,
               recorded ? "as recorded in the file" : "and none is recorded in the file");
  return MB_OK;
}

static int run_verify(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse_verify,
      .args_doc = "FILE",
      .doc = "Reads every chunk of every object of a trace, whatever its size, and compares the "
             "loads with the digest that is recorded in the file.",
  };
  info_arguments given = {.path = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  return verify(given.path) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

/* --- moebal trace */

typedef struct subcommand {
  const char *name;
  int (*run)(int argc, char **argv);
} subcommand;

static const subcommand subcommands[] = {
    {"generate", run_generate}, {"info", run_info}, {"verify", run_verify}, {NULL, NULL}};

static const subcommand *find_subcommand(const char *name) {
  for (const subcommand *found = subcommands; found->name != NULL; found++) {
    if (strcmp(found->name, name) == 0) {
      return found;
    }
  }
  return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  int *first = state->input;

  switch (key) {
  case ARGP_KEY_ARG:
    if (find_subcommand(value) == NULL) {
      argp_error(state, "there is no `trace %s`; there are generate, info and verify", value);
    }
    *first = state->next - 1;
    state->next = state->argc; /* the rest is the sub-command's */
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_usage(state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int run(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse,
      .args_doc = "generate|info|verify [ARGUMENT...]",
      .doc = "Makes, describes and verifies traces of routing loads.\v"
             "  generate   write a synthetic trace\n"
             "  info       describe a trace, and check that its counts can be right\n"
             "  verify     read every byte of a trace, and compare its digest\n\n"
             "`moebal trace generate --help` and so on tell more of each.",
  };
  int first = 0;
  char name[64];

  (void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);
  const subcommand *found = find_subcommand(argv[first]);
  (void)snprintf(name, sizeof name, "%s %s", argv[0], found->name);
  argv[first] = name;
  return found->run(argc - first, argv + first);
}

const mb_command mb_command_trace = {
    .name = "trace",
    .summary = "make, describe and verify traces",
    .run = run,
};
