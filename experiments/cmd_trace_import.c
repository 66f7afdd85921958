/* experiments/cmd_trace_import.c - `moebal trace import`: what others recorded becomes a trace. */
#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_command.h"
#include "moebal_version.h"
#include "workloads/import.h"
#include "workloads/importer.h"
#include "workloads/input.h"
#include "workloads/model.h"

enum {
  KEY_FORMAT = 256,
  KEY_TOP_K,
  KEY_GROUPS,
  KEY_PHASE,
  KEY_SOURCE,
  KEY_DATASET,
  KEY_KEEP_SOURCES,
  KEY_SEMANTICS,
  KEY_CONCURRENCY,
  KEY_TOKENS_PER_STEP,
  KEY_DP_RANKS,
  KEY_ARRIVAL_RATE,
  KEY_WARM_UP,
  KEY_SHUFFLE,
};

typedef struct import_arguments {
  const char **paths; /* [n_paths], room for as many as there are arguments */
  size_t n_paths;
  const char *output;
  const mb_importer *importer; /* NULL: to be recognised */
  mb_import_options options;
} import_arguments;

/* ---- the command line ---- */

static int64_t parse_count(struct argp_state *state, const char *what, const char *text,
                           uint64_t least) {
  uint64_t number = mb_trace_parse_number(state, what, text);

  if (number < least || number > INT32_MAX) {
    argp_error(state, "%s: is %s, but should be %d to 2147483647", what, text, (int)least);
  }
  return (int64_t)number;
}

static double parse_rate(struct argp_state *state, const char *text) {
  char *end = NULL;
  double rate = strtod(text, &end);

  if (end == text || *end != '\0' || !isfinite(rate) || rate <= 0.0) {
    argp_error(state, "--arrival-rate: '%s' is not a number of requests a step, above 0", text);
  }
  return rate;
}

static mb_semantics parse_semantics(struct argp_state *state, const char *text) {
  if (strcmp(text, "attention_dp") == 0) {
    return MB_SEMANTICS_ATTENTION_DP;
  }
  if (strcmp(text, "attention_tp") != 0) {
    argp_error(state,
               "--source-semantics: '%s' should be attention_dp (each rank counts tokens of its "
               "own) or attention_tp (all count the same)",
               text);
  }
  return MB_SEMANTICS_ATTENTION_TP;
}

static const char *parse_phase(struct argp_state *state, const char *text) {
  for (mb_phase phase = MB_PHASE_PREFILL; phase <= MB_PHASE_TRAIN; phase++) {
    if (strcmp(text, mb_phase_name(phase)) == 0) {
      return text;
    }
  }
  argp_error(state, "--phase: '%s' should be prefill, decode, mixed or train", text);
  return NULL;
}

/* How requests are served together: for formats that record them one by one. */
static error_t parse_serving(int key, char *value, struct argp_state *state) {
  static const char *const names[] = {
      [0] = "--concurrency",
      [KEY_TOKENS_PER_STEP - KEY_CONCURRENCY] = "--tokens-per-step",
      [KEY_DP_RANKS - KEY_CONCURRENCY] = "--dp-ranks",
      [KEY_ARRIVAL_RATE - KEY_CONCURRENCY] = "--arrival-rate",
      [KEY_WARM_UP - KEY_CONCURRENCY] = "--warm-up",
      [KEY_SHUFFLE - KEY_CONCURRENCY] = "--shuffle",
  };
  import_arguments *given = state->input;
  mb_import_serving *serving = &given->options.serving;

  if (key < KEY_CONCURRENCY || key > KEY_SHUFFLE) {
    return ARGP_ERR_UNKNOWN;
  }
  const char *name = names[key - KEY_CONCURRENCY];
  if (given->options.serving_option == NULL) {
    given->options.serving_option = name;
  }
  switch (key) {
  case KEY_CONCURRENCY:
    serving->concurrency = parse_count(state, name, value, 1);
    return 0;
  case KEY_TOKENS_PER_STEP:
    serving->tokens_per_step = parse_count(state, name, value, 1);
    return 0;
  case KEY_DP_RANKS:
    serving->dp_ranks = parse_count(state, name, value, 1);
    return 0;
  case KEY_ARRIVAL_RATE:
    serving->arrival_rate = parse_rate(state, value);
    return 0;
  case KEY_WARM_UP:
    serving->warm_up = parse_count(state, name, value, 0);
    return 0;
  default:
    serving->shuffle = true;
    serving->seed = mb_trace_parse_number(state, name, value);
    return 0;
  }
}

/* What the user says of the input. */
static error_t parse_facts(int key, char *value, struct argp_state *state) {
  import_arguments *given = state->input;
  mb_import_options *options = &given->options;

  switch (key) {
  case 'm':
    options->model_name = value;
    options->model = mb_model_find(value);
    return 0;
  case KEY_TOP_K:
    options->top_k = parse_count(state, "--top-k", value, 1);
    return 0;
  case KEY_GROUPS:
    options->n_groups = parse_count(state, "--groups", value, 1);
    return 0;
  case KEY_PHASE:
    options->phase = parse_phase(state, value);
    return 0;
  case KEY_SOURCE:
    options->source = value;
    return 0;
  case KEY_DATASET:
    options->dataset = value;
    return 0;
  case KEY_KEEP_SOURCES:
    options->keep_sources = true;
    return 0;
  case KEY_SEMANTICS:
    options->semantics = parse_semantics(state, value);
    return 0;
  default:
    return parse_serving(key, value, state);
  }
}

static error_t parse_end(const import_arguments *given, struct argp_state *state) {
  if (given->n_paths == 0) {
    argp_error(state, "which INPUT?");
  }
  if (given->output == NULL) {
    argp_error(state, "-o FILE is missing: where to write the trace");
  }
  return 0;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  import_arguments *given = state->input;

  switch (key) {
  case 'o':
    given->output = value;
    return 0;
  case KEY_FORMAT:
    given->importer = mb_importer_find(value);
    if (given->importer == NULL) {
      argp_error(state, "there is no format '%s'; `moebal list importers` lists them", value);
    }
    return 0;
  case ARGP_KEY_ARG:
    given->paths[given->n_paths++] = value;
    return 0;
  case ARGP_KEY_END:
    return parse_end(given, state);
  default:
    return parse_facts(key, value, state);
  }
}

/* ---- the inputs ---- */

static mb_status open_inputs(const import_arguments *given, mb_input *inputs) {
  for (size_t i = 0; i < given->n_paths; i++) {
    MB_TRY(mb_input_open(given->paths[i], &inputs[i]));
    MB_TRY(mb_trace_check_output(given->output, given->paths[i]));
  }
  return MB_OK;
}

/* All inputs have to be of one format. */
static mb_status recognise(const import_arguments *given, const mb_input *inputs,
                           const mb_importer **importer) {
  *importer = given->importer;
  for (size_t i = 0; given->importer == NULL && i < given->n_paths; i++) {
    const mb_importer *found = mb_importer_recognise(&inputs[i]);
    if (found == NULL && inputs[i].is_folder) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: is a folder, and neither TensorRT-LLM's statistics (meta_info.json, "
                     "rank*.safetensors), nor Megatron-Core's dumps, nor requests of vLLM",
                     inputs[i].path);
    }
    if (found == NULL) {
      return MB_FAIL(
          MB_ERR_FORMAT,
          "%s: of no format that is recognised by its content: if it is one of `moebal list "
          "importers`, say which with --format",
          inputs[i].path);
    }
    if (i > 0 && found != *importer) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: is %s, but %s is %s: one format at a time, or say which with --format",
                     inputs[i].path, found->name, inputs[0].path, (*importer)->name);
    }
    *importer = found;
  }
  return MB_OK;
}

/* ---- importing ---- */

static mb_status on_progress(void *context, size_t n_steps) {
  mb_progress_update(context, n_steps);
  return mb_interrupt_check();
}

static void print_summary(const import_arguments *given, const mb_importer *importer,
                          const mb_import_summary *made) {
  (void)printf("%s: %zu steps x %zu layers x %zu experts, top %lld\n", given->output, made->n_steps,
               made->n_layers, made->n_experts, (long long)made->top_k);
  (void)printf("format: %s, %s\n", importer->name,
               given->importer != NULL ? "as told" : "recognised by content");
  for (size_t i = 0; i < made->n_notes; i++) {
    (void)printf("note: %s\n", made->notes[i]);
  }
}

static mb_status import_inputs(const import_arguments *given, const mb_importer *importer,
                               const mb_input *inputs) {
  mb_import *import = NULL;
  mb_import_summary made;
  mb_progress progress;

  MB_TRY(mb_import_create(given->output, importer->name, &given->options, &import));
  if (given->options.model_name != NULL && given->options.model == NULL) {
    mb_import_note(import, "model %.64s is none of `moebal list models`: its sizes are not checked",
                   given->options.model_name);
  }
  mb_progress_start(&progress, "steps imported", 0, false);
  mb_import_watch(import, on_progress, &progress);
  mb_status status = mb_importer_read(importer, given->n_paths, inputs, &given->options, import);
  status = status == MB_OK ? mb_interrupt_check() : status;
  status = status == MB_OK ? mb_import_finish(import, &made) : status;
  mb_progress_end(&progress);
  if (status == MB_OK) {
    print_summary(given, importer, &made);
  }
  mb_import_destroy(import);
  return status;
}

static mb_status import_as_told(const import_arguments *given) {
  const mb_importer *importer = NULL;
  mb_input *inputs = calloc(given->n_paths, sizeof *inputs);

  if (inputs == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu inputs", given->n_paths);
  }
  mb_status status = open_inputs(given, inputs);
  status = status == MB_OK ? recognise(given, inputs, &importer) : status;
  status = status == MB_OK ? import_inputs(given, importer, inputs) : status;
  for (size_t i = 0; i < given->n_paths; i++) {
    mb_input_close(&inputs[i]);
  }
  free(inputs);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 1},
      {"format", KEY_FORMAT, "NAME", 0,
       "of the inputs (`moebal list importers`); recognised by content where that is safe", 1},
      {"dataset", KEY_DATASET, "NAME", 0,
       "npz, hdf5: the array of the loads; vllm: latest or window", 1},
      {NULL, 0, NULL, 0, "What the input may not tell itself:", 2},
      {"model", 'm', "NAME", 0,
       "a preset (`moebal list models`), which the sizes have to fit, or any other name", 2},
      {"top-k", KEY_TOP_K, "K", 0, "experts that a token goes to", 2},
      {"groups", KEY_GROUPS, "G", 0, "groups of experts (default: the model's, or 1)", 2},
      {"phase", KEY_PHASE, "NAME", 0, "prefill, decode, mixed or train", 2},
      {"source", KEY_SOURCE, "TEXT", 0, "how it was recorded, by whom, under which licence", 2},
      {NULL, 0, NULL, 0, "Loads that several ranks counted:", 3},
      {"keep-sources", KEY_KEEP_SOURCES, NULL, 0, "keep them apart, too, in /load_by_source", 3},
      {"source-semantics", KEY_SEMANTICS, "NAME", 0,
       "attention_dp: each rank counts tokens of its own; attention_tp: all count the same", 3},
      {NULL, 0, NULL, 0, "Requests that were recorded one by one, served together:", 4},
      {"concurrency", KEY_CONCURRENCY, "N", 0, "requests that decode at once (default 64)", 4},
      {"tokens-per-step", KEY_TOKENS_PER_STEP, "N", 0,
       "tokens a step at most: prefill is cut to fit (default: none is cut)", 4},
      {"dp-ranks", KEY_DP_RANKS, "N", 0, "ranks that requests go to in turn (default 1)", 4},
      {"arrival-rate", KEY_ARRIVAL_RATE, "X", 0,
       "requests a step, Poisson (default: as soon as there is room)", 4},
      {"warm-up", KEY_WARM_UP, "N", 0,
       "steps left out at the start (default: one mean lifetime of a request)", 4},
      {"shuffle", KEY_SHUFFLE, "SEED", 0, "requests in random order, not the file's", 4},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "INPUT...",
      .doc = "Makes a trace of what others recorded. Several inputs are read in order, as one "
             "trace. What was assumed is printed.\vFor example: moebal trace import loads.npz "
             "--model deepseek-v3 --phase decode -o mine.h5",
  };
  import_arguments given = {
      .options = {.created_by = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")",
                  .serving = {.concurrency = 64, .dp_ranks = 1, .warm_up = -1}}};

  given.paths = calloc((size_t)argc, sizeof *given.paths);
  if (given.paths == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %d arguments", argc);
    return mb_command_failed();
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  mb_status status = import_as_told(&given);
  free((void *)given.paths);
  return status == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_import = {
    .name = "import",
    .summary = "make a trace of what others recorded",
    .run = run,
};
