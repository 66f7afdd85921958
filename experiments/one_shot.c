/* experiments/one_shot.c */
#include "experiments/one_shot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiments/interrupt.h"
#include "workloads/new_file.h"
#include "workloads/npy.h"
#include "workloads/trace.h"

enum { SIZE_LIMIT = 1 << 20 };

#define CELLS_LIMIT ((size_t)1 << 32)
#define EXACT_LIMIT 9007199254740992.0 /* 2^53 */

/* Where steps come from. */
typedef struct reader {
  const char *path;
  mb_trace *trace;
  mb_array *array;
  size_t n_steps;
  bool one_step; /* an array [L,E], whose rows are layers */
} reader;

static mb_status read_step(reader *r, size_t t, size_t n_layers, uint32_t *load) {
  if (r->trace != NULL) {
    return mb_trace_read(r->trace, t, 1, load);
  }
  return r->one_step ? mb_array_read_counts(r->array, 0, n_layers, load)
                     : mb_array_read_counts(r->array, t, 1, load);
}

static mb_status allocate(mb_one_shot *loads, const char *path, uint64_t n_layers,
                          uint64_t n_experts) {
  if (n_layers == 0 || n_experts == 0 || n_layers > SIZE_LIMIT || n_experts > SIZE_LIMIT ||
      n_layers * n_experts > CELLS_LIMIT) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %" PRIu64 " layers of %" PRIu64 " experts; should be 1 to %d of each",
                   path, n_layers, n_experts, SIZE_LIMIT);
  }
  loads->n_layers = (size_t)n_layers;
  loads->n_experts = (size_t)n_experts;
  loads->layer_ids = calloc(loads->n_layers, sizeof *loads->layer_ids);
  loads->load = calloc(loads->n_layers * loads->n_experts, sizeof *loads->load);
  return loads->layer_ids != NULL && loads->load != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu layers of %zu experts", path,
                       loads->n_layers, loads->n_experts);
}

static mb_status add_step(const reader *r, mb_one_shot *loads, const uint32_t *step) {
  for (size_t i = 0; i < loads->n_layers * loads->n_experts; i++) {
    loads->load[i] += (double)step[i];
    if (loads->load[i] > EXACT_LIMIT) {
      return MB_FAIL(MB_ERR_RANGE,
                     "%s: layer %zu, expert %zu: more than 2^53 tokens in all: add up fewer steps",
                     r->path, i / loads->n_experts, i % loads->n_experts);
    }
  }
  return MB_OK;
}

static mb_status add_steps(reader *r, mb_one_shot_steps steps, mb_one_shot *loads) {
  size_t end = steps.end == SIZE_MAX ? r->n_steps : steps.end;

  if (steps.first >= end || end > r->n_steps) {
    return MB_FAIL(MB_ERR_RANGE, "%s: steps %zu to %zu are asked for, but it has steps 0 to %zu",
                   r->path, steps.first, end - 1, r->n_steps - 1);
  }
  uint32_t *step = malloc(loads->n_layers * loads->n_experts * sizeof *step);
  mb_status status = step != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: no memory", r->path);
  for (size_t t = steps.first; t < end && status == MB_OK; t++) {
    status = mb_interrupt_check();
    status = status == MB_OK ? read_step(r, t, loads->n_layers, step) : status;
    status = status == MB_OK ? add_step(r, loads, step) : status;
  }
  free(step);
  loads->n_steps = end - steps.first;
  if (r->n_steps == 1) {
    (void)snprintf(loads->what, sizeof loads->what, "these loads");
  } else {
    (void)snprintf(loads->what, sizeof loads->what, "the sum of steps %zu to %zu", steps.first,
                   end - 1);
  }
  return status;
}

static mb_status read_trace(const char *path, mb_one_shot_steps steps, mb_one_shot *loads) {
  reader r = {.path = path};

  MB_TRY(mb_trace_open(path, &r.trace));
  const mb_trace_info *info = mb_trace_get_info(r.trace);
  r.n_steps = info->n_steps;
  mb_status status = allocate(loads, path, info->n_layers, info->n_experts);
  if (status == MB_OK) {
    loads->n_groups = (size_t)info->n_groups;
    for (size_t l = 0; l < loads->n_layers; l++) {
      loads->layer_ids[l] = info->layer_ids[l];
    }
    status = add_steps(&r, steps, loads);
  }
  mb_trace_destroy(r.trace);
  return status;
}

static mb_status read_array(reader *r, mb_one_shot_steps steps, mb_one_shot *loads) {
  const mb_array_info *info = mb_array_get_info(r->array);

  if (info->rank != 2 && info->rank != 3) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %zu dimensions; should be [layers, experts] or [steps, layers, "
                   "experts]",
                   r->path, info->rank);
  }
  r->one_step = info->rank == 2;
  if (!r->one_step && (info->dims[0] == 0 || info->dims[0] > SIZE_MAX / 2)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has %" PRIu64 " steps; should have at least 1", r->path,
                   info->dims[0]);
  }
  r->n_steps = r->one_step ? 1 : (size_t)info->dims[0];
  MB_TRY(allocate(loads, r->path, info->dims[info->rank - 2], info->dims[info->rank - 1]));
  loads->n_groups = 1;
  for (size_t l = 0; l < loads->n_layers; l++) {
    loads->layer_ids[l] = (int32_t)l;
  }
  return add_steps(r, steps, loads);
}

static mb_status read_npy(const char *path, mb_one_shot_steps steps, mb_one_shot *loads) {
  reader r = {.path = path};
  mb_input input;

  MB_TRY(mb_input_open(path, &input));
  mb_status status = MB_OK;
  if (!mb_input_begins(&input, "\x93NUMPY", 6)) {
    status = MB_FAIL(MB_ERR_FORMAT,
                     "%s: is neither a trace nor an .npy file; `moebal trace import` makes traces "
                     "of other formats",
                     path);
  }
  status = status == MB_OK ? mb_npy_open(&input, &r.array) : status;
  if (status == MB_OK) {
    status = read_array(&r, steps, loads);
    mb_array_destroy(r.array);
  }
  mb_input_close(&input);
  return status;
}

mb_status mb_one_shot_read(const char *path, mb_one_shot_steps steps, mb_one_shot *loads) {
  mb_one_shot made = {.load = NULL};
  mb_status status =
      mb_file_is_hdf5(path) ? read_trace(path, steps, &made) : read_npy(path, steps, &made);

  if (status != MB_OK) {
    mb_one_shot_fini(&made);
    return status;
  }
  *loads = made;
  return MB_OK;
}

void mb_one_shot_fini(mb_one_shot *loads) {
  free(loads->layer_ids);
  free(loads->load);
  *loads = (mb_one_shot){.load = NULL};
}
