/* experiments/cmd_trace_concat.c - `moebal trace concat`: traces one after the other. */
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

typedef struct concat_arguments {
  const char **paths; /* [n_paths], room for as many as there are arguments */
  size_t n_paths;
  const char *output;
} concat_arguments;

typedef struct concat {
  const concat_arguments *given;
  mb_trace **traces;  /* [n_paths] */
  mb_trace_info info; /* of what is written; texts and layer_ids are the first trace's */
  bool many_phases;   /* the traces' phases differ */
  unsigned left_out;  /* objects that some have and others don't */
  size_t n_steps;     /* of all */
  size_t n_written;
  double clock; /* step_time at which the next trace starts */
} concat;

static error_t parse(int key, char *value, struct argp_state *state) {
  concat_arguments *given = state->input;

  switch (key) {
  case 'o':
    given->output = value;
    return 0;
  case ARGP_KEY_ARG:
    given->paths[given->n_paths++] = value;
    return 0;
  case ARGP_KEY_END:
    if (given->n_paths < 2) {
      argp_error(state, "which FILEs? at least two");
    }
    if (given->output == NULL) {
      argp_error(state, "-o FILE is missing: where to write the trace");
    }
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* ---- whether they fit */

static mb_status fail_number(const concat *c, size_t i, const char *what, uint64_t here,
                             uint64_t there) {
  return MB_FAIL(MB_ERR_SHAPE, "%s: its %s is %" PRIu64 ", but that of %s is %" PRIu64,
                 c->given->paths[i], what, here, c->given->paths[0], there);
}

static mb_status check_text(const concat *c, size_t i, const char *what, const char *here,
                            const char *there) {
  return strcmp(here, there) == 0
             ? MB_OK
             : MB_FAIL(MB_ERR_SHAPE, "%s: its %s is \"%.64s\", but that of %s is \"%.64s\"",
                       c->given->paths[i], what, here, c->given->paths[0], there);
}

/* One trace has one shape and one meaning. */
static mb_status check_fit(const concat *c, size_t i, const mb_trace_info *info) {
  const mb_trace_info *first = &c->info;

  if (info->n_layers != first->n_layers) {
    return fail_number(c, i, "number of layers", info->n_layers, first->n_layers);
  }
  if (info->n_experts != first->n_experts) {
    return fail_number(c, i, "number of experts", info->n_experts, first->n_experts);
  }
  if (info->top_k != first->top_k) {
    return fail_number(c, i, "top_k", (uint64_t)info->top_k, (uint64_t)first->top_k);
  }
  if (info->n_groups != first->n_groups) {
    return fail_number(c, i, "number of groups", (uint64_t)info->n_groups,
                       (uint64_t)first->n_groups);
  }
  if (info->steps_per_record != first->steps_per_record) {
    return fail_number(c, i, "steps_per_record", (uint64_t)info->steps_per_record,
                       (uint64_t)first->steps_per_record);
  }
  if (memcmp(info->layer_ids, first->layer_ids, info->n_layers * sizeof *info->layer_ids) != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: its layers have other numbers in the model than those of %s",
                   c->given->paths[i], c->given->paths[0]);
  }
  MB_TRY(check_text(c, i, "model", info->model, first->model));
  MB_TRY(check_text(c, i, "padding", info->padding, first->padding));
  MB_TRY(check_text(c, i, "counts", info->counts, first->counts));
  return check_text(c, i, "source_semantics", info->source_semantics, first->source_semantics);
}

static mb_status open_traces(concat *c) {
  unsigned all = 0;

  for (size_t i = 0; i < c->given->n_paths; i++) {
    MB_TRY(mb_trace_check_output(c->given->output, c->given->paths[i]));
    MB_TRY(mb_trace_open(c->given->paths[i], &c->traces[i]));
    const mb_trace_info *info = mb_trace_get_info(c->traces[i]);
    if (i == 0) {
      c->info = *info;
    }
    MB_TRY(check_fit(c, i, info));
    c->many_phases = c->many_phases || info->phase != c->info.phase;
    c->n_steps += info->n_steps;
    all |= info->objects;
    c->info.objects &= info->objects;
    if (info->n_sources != c->info.n_sources) {
      c->info.objects &= ~(unsigned)(MB_TRACE_LOAD_BY_SOURCE | MB_TRACE_TOKENS);
    }
  }
  c->info.objects &= ~(unsigned)MB_TRACE_TOPK;
  /* A trace without phases of its own has one for all steps. */
  if (c->many_phases) {
    c->info.phase = MB_PHASE_MIXED;
    c->info.objects |= MB_TRACE_STEP_PHASE;
  }
  c->left_out = all & ~c->info.objects;
  return MB_OK;
}

/* ---- writing */

/* Time goes on from one trace to the next by the mean step of the one before. */
static void shift_time(const concat *c, mb_trace_batch *batch, size_t n) {
  for (size_t t = 0; batch->step_time != NULL && t < n; t++) {
    batch->step_time[t] += c->clock;
  }
}

static mb_status append_trace(concat *c, size_t i, mb_trace_batch *batch, mb_trace_writer *writer,
                              mb_progress *progress) {
  const mb_trace_info *info = mb_trace_get_info(c->traces[i]);
  double start = c->clock;

  for (size_t t = 0; t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < batch->n_most ? left : batch->n_most;
    MB_TRY(mb_interrupt_check());
    MB_TRY(mb_trace_batch_read(c->traces[i], t, n, batch));
    if (batch->step_phase != NULL && (info->objects & MB_TRACE_STEP_PHASE) == 0) {
      memset(batch->step_phase, (int)info->phase, n);
    }
    shift_time(c, batch, n);
    mb_trace_steps steps = mb_trace_batch_steps(batch);
    MB_TRY(mb_trace_writer_append_steps(writer, n, &steps));
    t += n;
    c->n_written += n;
    mb_progress_update(progress, c->n_written);
    if (t == info->n_steps && batch->step_time != NULL) {
      double last = batch->step_time[n - 1];
      c->clock = last + (info->n_steps > 1 ? (last - start) / (double)(info->n_steps - 1) : 0.0);
    }
  }
  return MB_OK;
}

static void print_notes(const concat *c) {
  static const struct {
    mb_trace_object object;
    const char *name;
  } names[] = {{MB_TRACE_STEP_TIME, "/step_time"},
               {MB_TRACE_STEP_PHASE, "/step_phase"},
               {MB_TRACE_LOAD_BY_SOURCE, "/load_by_source"},
               {MB_TRACE_TOKENS, "/tokens"},
               {MB_TRACE_TOPK, "/topk"}};

  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if ((c->left_out & names[i].object) != 0) {
      (void)printf("note: %s is left out%s\n", names[i].name,
                   names[i].object == MB_TRACE_TOPK ? "" : ": not all have it alike");
    }
  }
  if (c->many_phases) {
    (void)puts("note: the phases differ: /step_phase says which, the trace's phase is mixed");
  }
  if ((c->info.objects & MB_TRACE_STEP_TIME) != 0) {
    (void)puts("note: in /step_time each trace goes on where the one before it ended");
  }
}

static mb_status append_all(concat *c, mb_trace_batch *batch, mb_trace_writer *writer) {
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "steps copied", c->n_steps, false);
  for (size_t i = 0; status == MB_OK && i < c->given->n_paths; i++) {
    status = append_trace(c, i, batch, writer, &progress);
  }
  mb_progress_end(&progress);
  return status == MB_OK ? mb_interrupt_check() : status;
}

static mb_status write_all(concat *c) {
  mb_trace_info info = c->info;
  mb_trace_batch batch = {0};
  mb_trace_writer *writer = NULL;
  char *source = mb_trace_history(info.source, "first of %zu traces (concat)", c->given->n_paths);

  if (source == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", c->given->output);
  }
  info.source = source;
  info.created_by = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")";
  mb_status status = mb_trace_batch_init(&info, info.objects, &batch);
  status = status == MB_OK ? mb_trace_writer_create(c->given->output, &info, &writer) : status;
  status = status == MB_OK ? append_all(c, &batch, writer) : status;
  if (status == MB_OK) {
    status = mb_trace_writer_finish(writer);
    writer = NULL;
  }
  if (status == MB_OK) {
    (void)printf("%s: %zu steps x %zu layers x %zu experts\n", c->given->output, c->n_written,
                 info.n_layers, info.n_experts);
    print_notes(c);
  }
  mb_trace_writer_destroy(writer);
  mb_trace_batch_fini(&batch);
  free(source);
  return status;
}

static mb_status concat_as_told(const concat_arguments *given) {
  concat c = {.given = given};

  c.traces = calloc(given->n_paths, sizeof(mb_trace *));
  if (c.traces == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu traces", given->n_paths);
  }
  mb_status status = open_traces(&c);
  status = status == MB_OK ? write_all(&c) : status;
  for (size_t i = 0; i < given->n_paths; i++) {
    mb_trace_destroy(c.traces[i]);
  }
  free((void *)c.traces);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "FILE FILE...",
      .doc = "Writes the steps of several traces of one model, in that order, as one trace.",
  };
  concat_arguments given = {.n_paths = 0};

  given.paths = calloc((size_t)argc, sizeof *given.paths);
  if (given.paths == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %d arguments", argc);
    return mb_command_failed();
  }
  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  mb_status status = concat_as_told(&given);
  free((void *)given.paths);
  return status == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_concat = {
    .name = "concat",
    .summary = "several traces, one after the other",
    .run = run,
};
