/* experiments/cmd_trace_sum.c - `moebal trace sum`: blocks of steps become one step each. */
#include <argp.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_batch.h"
#include "experiments/trace_command.h"
#include "moebal_version.h"
#include "workloads/trace.h"

typedef struct sum_arguments {
  const char *path, *output;
  size_t block; /* steps that become one; 0: not given */
} sum_arguments;

/* The block so far. */
typedef struct summing {
  const sum_arguments *given;
  mb_trace *trace;
  mb_trace_writer *writer;
  mb_trace_batch in, out; /* out: one step */
  size_t n_added;         /* steps of the block */
  size_t n_blocks;
} summing;

static error_t parse(int key, char *value, struct argp_state *state) {
  sum_arguments *given = state->input;

  switch (key) {
  case 'n':
    given->block = (size_t)mb_trace_parse_number(state, "--block", value);
    if (given->block < 2) {
      argp_error(state, "--block: is %s, but should be 2 or more steps", value);
    }
    return 0;
  case ARGP_KEY_END:
    if (given->path != NULL && given->output != NULL && given->block == 0) {
      argp_error(state, "--block N is missing: how many steps become one");
    }
    break;
  default:
    break;
  }
  return mb_trace_parse_place(key, value, state, &given->path, &given->output);
}

/* Adds n values; returns n, or the place of the first sum that a trace cannot hold. */
static size_t add(size_t n, const uint32_t *values, uint32_t *sums) {
  for (size_t i = 0; i < n; i++) {
    if (values[i] > UINT32_MAX - sums[i]) {
      return i;
    }
    sums[i] += values[i];
  }
  return n;
}

static mb_status fail_sum(const summing *s, const char *what, const char *which, size_t at) {
  size_t first = s->n_blocks * s->given->block;

  return MB_FAIL(
      MB_ERR_RANGE,
      "%s: steps %zu to %zu, %s %zu: the %s add up to more than 4294967295: take smaller "
      "blocks",
      s->given->path, first, first + s->given->block - 1, which, at, what);
}

static mb_status add_counts(summing *s, const mb_trace_info *info, size_t t) {
  size_t step = info->n_layers * info->n_experts;
  size_t at = add(step, s->in.load + t * step, s->out.load);

  if (at < step) {
    return fail_sum(s, "loads", "layer", at / info->n_experts);
  }
  if (s->in.load_by_source != NULL) {
    /* No larger than the sums of all sources, where the trace is right. */
    size_t n = step * info->n_sources;
    at = add(n, s->in.load_by_source + t * n, s->out.load_by_source);
    if (at < n) {
      return fail_sum(s, "loads of a source", "layer", at / info->n_experts / info->n_sources);
    }
  }
  if (s->in.tokens != NULL) {
    at = add(info->n_sources, s->in.tokens + t * info->n_sources, s->out.tokens);
    if (at < info->n_sources) {
      return fail_sum(s, "tokens", "source", at);
    }
  }
  return MB_OK;
}

static void clear(summing *s, const mb_trace_info *info) {
  size_t step = info->n_layers * info->n_experts;

  memset(s->out.load, 0, step * sizeof *s->out.load);
  if (s->out.load_by_source != NULL) {
    memset(s->out.load_by_source, 0, step * info->n_sources * sizeof(uint32_t));
  }
  if (s->out.tokens != NULL) {
    memset(s->out.tokens, 0, info->n_sources * sizeof *s->out.tokens);
  }
  s->n_added = 0;
}

/* A block has the time of its first step, and its phase, if all steps have the same. */
static mb_status add_step(summing *s, const mb_trace_info *info, size_t t) {
  MB_TRY(add_counts(s, info, t));
  if (s->in.step_time != NULL && s->n_added == 0) {
    s->out.step_time[0] = s->in.step_time[t];
  }
  if (s->in.step_phase != NULL) {
    bool same = s->n_added == 0 || s->out.step_phase[0] == s->in.step_phase[t];
    s->out.step_phase[0] = same ? s->in.step_phase[t] : (uint8_t)MB_PHASE_MIXED;
  }
  if (++s->n_added == s->given->block) {
    mb_trace_steps steps = mb_trace_batch_steps(&s->out);
    MB_TRY(mb_trace_writer_append_steps(s->writer, 1, &steps));
    s->n_blocks++;
    clear(s, info);
  }
  return MB_OK;
}

static mb_status add_all(summing *s) {
  const mb_trace_info *info = mb_trace_get_info(s->trace);
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "steps added", info->n_steps, false);
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < s->in.n_most ? left : s->in.n_most;
    status = mb_interrupt_check();
    status = status == MB_OK ? mb_trace_batch_read(s->trace, t, n, &s->in) : status;
    for (size_t i = 0; status == MB_OK && i < n; i++) {
      status = add_step(s, info, i);
    }
    t += n;
    mb_progress_update(&progress, t);
  }
  mb_progress_end(&progress);
  return status == MB_OK ? mb_interrupt_check() : status;
}

static mb_status create_writer(summing *s, const char *source) {
  mb_trace_info info = *mb_trace_get_info(s->trace);

  info.source = source;
  info.created_by = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")";
  info.objects = s->in.objects;
  int64_t before = info.steps_per_record > 0 ? info.steps_per_record : 1;
  if (__builtin_mul_overflow(before, (int64_t)s->given->block, &info.steps_per_record)) {
    return MB_FAIL(MB_ERR_RANGE,
                   "%s: has steps of %" PRId64 " forward passes each, of which %zu are too many",
                   s->given->path, before, s->given->block);
  }
  return mb_trace_writer_create(s->given->output, &info, &s->writer);
}

static void print_outcome(const summing *s) {
  const mb_trace_info *info = mb_trace_get_info(s->trace);

  (void)printf("%s: %zu steps x %zu layers x %zu experts, each the sum of %zu\n", s->given->output,
               s->n_blocks, info->n_layers, info->n_experts, s->given->block);
  if (s->n_added > 0) {
    (void)printf("note: the last %zu step%s left out: no whole block\n", s->n_added,
                 s->n_added == 1 ? " is" : "s are");
  }
  if ((info->objects & MB_TRACE_TOPK) != 0) {
    (void)puts("note: /topk is left out");
  }
}

static mb_status sum_trace(summing *s) {
  const mb_trace_info *info = mb_trace_get_info(s->trace);

  MB_TRY(mb_trace_check_output(s->given->output, s->given->path));
  if (s->given->block > info->n_steps) {
    return MB_FAIL(MB_ERR_PARAM, "--block %zu: %s has only %zu steps", s->given->block,
                   s->given->path, info->n_steps);
  }
  char *source = mb_trace_history(info->source, "sums of %zu steps (sum)", s->given->block);
  if (source == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", s->given->output);
  }
  mb_status status = mb_trace_batch_init(info, info->objects, &s->in);
  status = status == MB_OK ? mb_trace_batch_init(info, info->objects, &s->out) : status;
  status = status == MB_OK ? create_writer(s, source) : status;
  free(source);
  status = status == MB_OK ? add_all(s) : status;
  if (status == MB_OK) {
    status = mb_trace_writer_finish(s->writer);
    s->writer = NULL;
  }
  return status;
}

static mb_status sum_as_told(const sum_arguments *given) {
  summing s = {.given = given};

  MB_TRY(mb_trace_open(given->path, &s.trace));
  mb_status status = sum_trace(&s);
  if (status == MB_OK) {
    print_outcome(&s);
  }
  mb_trace_writer_destroy(s.writer);
  mb_trace_batch_fini(&s.in);
  mb_trace_batch_fini(&s.out);
  mb_trace_destroy(s.trace);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 0},
      {"block", 'n', "N", 0, "steps that become one; must be given", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "FILE",
      .doc = "Writes a trace whose steps are the sums of N steps each, as a recorder with a longer "
             "interval would have. Steps at the end that make no whole block are left out.",
  };
  sum_arguments given = {.path = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  return sum_as_told(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_sum = {
    .name = "sum",
    .summary = "blocks of steps become one step each",
    .run = run,
};
