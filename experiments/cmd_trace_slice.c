/* experiments/cmd_trace_slice.c - `moebal trace slice`: some steps and layers of a trace. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
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

enum { KEY_STEPS = 256, KEY_LAYERS, KEY_LAYER_IDS };

typedef struct slice_arguments {
  const char *path, *output;
  const char *steps, *layers, *layer_ids; /* NULL: all */
} slice_arguments;

/* What is kept. */
typedef struct slice {
  const slice_arguments *given;
  mb_trace *trace;
  size_t first, end;  /* steps [first, end) */
  size_t *layers;     /* [n_layers] indices, ascending */
  int32_t *layer_ids; /* [n_layers] */
  size_t n_layers;
  double start; /* step_time of the first step */
} slice;

static error_t parse(int key, char *value, struct argp_state *state) {
  slice_arguments *given = state->input;

  switch (key) {
  case KEY_STEPS:
    given->steps = value;
    return 0;
  case KEY_LAYERS:
    given->layers = value;
    return 0;
  case KEY_LAYER_IDS:
    given->layer_ids = value;
    return 0;
  case ARGP_KEY_END:
    if (given->layers != NULL && given->layer_ids != NULL) {
      argp_error(state, "--layers and --layer-ids: one of them at a time");
    }
    break;
  default:
    break;
  }
  return mb_trace_parse_place(key, value, state, &given->path, &given->output);
}

/* ---- what was asked for */

/* A number at *text, which is moved behind it; `otherwise` where there is none. */
static bool parse_bound(const char **text, uint64_t otherwise, uint64_t *value) {
  char *end = NULL;

  *value = otherwise;
  if (isdigit((unsigned char)**text)) {
    errno = 0;
    *value = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0;
  }
  return true;
}

/* "A:B", "A:", ":B" or "A" up to a comma or the end: [first, end) of 0 to n. */
static mb_status parse_range(const char *option, const char *whole, const char **text, uint64_t n,
                             uint64_t *first, uint64_t *end) {
  const char *at = *text;
  bool good = parse_bound(&at, 0, first);
  bool single = *at != ':';

  good = good && (!single || at > *text);
  *end = *first + 1;
  if (good && !single) {
    at++;
    good = parse_bound(&at, n, end);
  }
  if (!good || (*at != '\0' && *at != ',')) {
    return MB_FAIL(MB_ERR_PARAM, "%s %s: should be like 10:20, which is 10 to 19, or 10", option,
                   whole);
  }
  *text = at;
  return MB_OK;
}

static mb_status choose_steps(slice *s, const mb_trace_info *info) {
  const char *text = s->given->steps;
  uint64_t first = 0;
  uint64_t end = info->n_steps;

  if (text != NULL) {
    MB_TRY(parse_range("--steps", text, &text, info->n_steps, &first, &end));
    if (*text != '\0' || first >= end || end > info->n_steps) {
      return MB_FAIL(MB_ERR_PARAM,
                     "--steps %s: should be a range, A:B with A < B, of the %zu steps of %s",
                     s->given->steps, info->n_steps, s->given->path);
    }
  }
  s->first = (size_t)first;
  s->end = (size_t)end;
  return MB_OK;
}

/* Adds the layers [first, end), by index or by id. */
static mb_status add_layers(slice *s, const mb_trace_info *info, bool by_id, uint64_t first,
                            uint64_t end, const char *whole) {
  size_t before = s->n_layers;

  for (size_t l = 0; l < info->n_layers; l++) {
    uint64_t number = by_id ? (uint64_t)info->layer_ids[l] : l;
    if (number < first || number >= end) {
      continue;
    }
    if (s->n_layers > 0 && l <= s->layers[s->n_layers - 1]) {
      return MB_FAIL(MB_ERR_PARAM, "%s %s: layers should ascend, and be named once",
                     by_id ? "--layer-ids" : "--layers", whole);
    }
    s->layers[s->n_layers] = l;
    s->layer_ids[s->n_layers++] = info->layer_ids[l];
  }
  if (s->n_layers == before || (!by_id && end > info->n_layers)) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s %s: %s has %zu layers, number %" PRId32 " to %" PRId32 " of the model",
                   by_id ? "--layer-ids" : "--layers", whole, s->given->path, info->n_layers,
                   info->layer_ids[0], info->layer_ids[info->n_layers - 1]);
  }
  return MB_OK;
}

static mb_status choose_layers(slice *s, const mb_trace_info *info) {
  bool by_id = s->given->layer_ids != NULL;
  const char *option = by_id ? "--layer-ids" : "--layers";
  const char *whole = by_id ? s->given->layer_ids : s->given->layers;
  const char *text = whole != NULL ? whole : ":";
  bool more = true;

  s->layers = calloc(info->n_layers, sizeof *s->layers);
  s->layer_ids = calloc(info->n_layers, sizeof *s->layer_ids);
  if (s->layers == NULL || s->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", info->n_layers);
  }
  while (more) {
    uint64_t first = 0;
    uint64_t end = 0;
    MB_TRY(parse_range(option, whole, &text, by_id ? UINT64_MAX : info->n_layers, &first, &end));
    MB_TRY(add_layers(s, info, by_id, first, end, whole));
    more = *text == ',';
    text += more ? 1 : 0;
  }
  return MB_OK;
}

/* ---- copying it */

/* Moves the kept layers of n steps together: [n,L,size] becomes [n,n_layers,size]. */
static void keep_layers(const slice *s, size_t n_layers, size_t n, size_t size, uint32_t *values) {
  for (size_t t = 0; t < n && values != NULL; t++) {
    for (size_t l = 0; l < s->n_layers; l++) {
      memmove(values + (t * s->n_layers + l) * size, values + (t * n_layers + s->layers[l]) * size,
              size * sizeof *values);
    }
  }
}

static mb_status copy_steps(slice *s, mb_trace_batch *batch, mb_trace_writer *writer) {
  const mb_trace_info *info = mb_trace_get_info(s->trace);
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "steps copied", s->end - s->first, false);
  for (size_t t = s->first; status == MB_OK && t < s->end;) {
    size_t n = s->end - t < batch->n_most ? s->end - t : batch->n_most;
    status = mb_interrupt_check();
    status = status == MB_OK ? mb_trace_batch_read(s->trace, t, n, batch) : status;
    if (status == MB_OK) {
      keep_layers(s, info->n_layers, n, info->n_experts, batch->load);
      keep_layers(s, info->n_layers, n, info->n_sources * info->n_experts, batch->load_by_source);
      s->start = batch->step_time != NULL && t == s->first ? batch->step_time[0] : s->start;
      for (size_t i = 0; batch->step_time != NULL && i < n; i++) {
        batch->step_time[i] -= s->start;
      }
      mb_trace_steps steps = mb_trace_batch_steps(batch);
      status = mb_trace_writer_append_steps(writer, n, &steps);
    }
    t += n;
    mb_progress_update(&progress, t - s->first);
  }
  mb_progress_end(&progress);
  return status == MB_OK ? mb_interrupt_check() : status;
}

static mb_status write_slice(slice *s) {
  mb_trace_info info = *mb_trace_get_info(s->trace);
  bool has_topk = (info.objects & MB_TRACE_TOPK) != 0;
  mb_trace_batch batch = {0};
  mb_trace_writer *writer = NULL;

  char *source = mb_trace_history(info.source, "steps %zu to %zu, %zu of %zu layers (slice)",
                                  s->first, s->end - 1, s->n_layers, info.n_layers);
  if (source == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", s->given->output);
  }
  mb_status status = mb_trace_batch_init(&info, info.objects, &batch);
  info.source = source;
  info.created_by = "moebal " MOEBAL_VERSION " (" MOEBAL_GIT_VERSION ")";
  info.objects = batch.objects;
  info.n_layers = s->n_layers;
  info.layer_ids = s->layer_ids;
  status = status == MB_OK ? mb_trace_writer_create(s->given->output, &info, &writer) : status;
  status = status == MB_OK ? copy_steps(s, &batch, writer) : status;
  if (status == MB_OK) {
    status = mb_trace_writer_finish(writer);
    writer = NULL;
  }
  if (status == MB_OK) {
    (void)printf("%s: %zu steps x %zu layers x %zu experts\n", s->given->output, s->end - s->first,
                 s->n_layers, info.n_experts);
    (void)fputs(has_topk ? "note: /topk is left out\n" : "", stdout);
  }
  mb_trace_writer_destroy(writer);
  mb_trace_batch_fini(&batch);
  free(source);
  return status;
}

static mb_status slice_as_told(const slice_arguments *given) {
  slice s = {.given = given};

  MB_TRY(mb_trace_open(given->path, &s.trace));
  const mb_trace_info *info = mb_trace_get_info(s.trace);
  mb_status status = mb_trace_check_output(given->output, given->path);
  status = status == MB_OK ? choose_steps(&s, info) : status;
  status = status == MB_OK ? choose_layers(&s, info) : status;
  status = status == MB_OK ? write_slice(&s) : status;
  free(s.layers);
  free(s.layer_ids);
  mb_trace_destroy(s.trace);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write the trace; must be given", 0},
      {"steps", KEY_STEPS, "A:B", 0,
       "steps A to B - 1; without A from the first, without B to the "
       "last (default: all)",
       0},
      {"layers", KEY_LAYERS, "LIST", 0, "layers by their place, from 0, as in 0:4,7 (default: all)",
       0},
      {"layer-ids", KEY_LAYER_IDS, "LIST", 0, "the same by their numbers in the model", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "FILE",
      .doc = "Writes some steps and layers of a trace as a trace.\vFor example: moebal trace slice "
             "all.h5 --steps 1000:2000 --layers 0:8 -o part.h5",
  };
  slice_arguments given = {.path = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  return slice_as_told(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_slice = {
    .name = "slice",
    .summary = "some steps and layers of a trace",
    .run = run,
};
