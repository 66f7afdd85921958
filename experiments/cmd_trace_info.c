/* experiments/cmd_trace_info.c - `moebal trace info`: describes a trace. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_command.h"
#include "experiments/trace_report.h"
#include "workloads/source.h"
#include "workloads/trace.h"
#include "workloads/trace_stats.h"

typedef struct info_arguments {
  const char *path;
  size_t window; /* 0: not given */
} info_arguments;

static error_t parse_info(int key, char *value, struct argp_state *state) {
  info_arguments *given = state->input;

  switch (key) {
  case 'w':
    given->window = mb_trace_parse_number(state, "--window", value);
    if (given->window == 0) {
      argp_error(state, "--window: it has at least 1 step");
    }
    return 0;
  default:
    return mb_trace_parse_place(key, value, state, &given->path, NULL);
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
    size_t n = left < mb_trace_chunk_steps(info) ? left : mb_trace_chunk_steps(info);
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

  uint32_t *load = mb_trace_chunk_allocate(info);
  mb_status status = load != NULL ? MB_OK : MB_ERR_MEMORY;
  if (status == MB_OK && tokens_known) {
    tokens = calloc(mb_trace_chunk_steps(info), sizeof *tokens);
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

static int run(int argc, char **argv) {
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

const mb_command mb_trace_command_info = {
    .name = "info",
    .summary = "describe a trace, and check that its counts can be right",
    .run = run,
};
