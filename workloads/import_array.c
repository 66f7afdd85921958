/* workloads/import_array.c */
#include "workloads/import_array.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Loads that are read at a time where nothing else tells: 1 MiB of them. */
static const uint64_t BLOCK_LOADS = (uint64_t)1 << 18;

/* "(10, 58, 256)" */
static void format_shape(const mb_load_array *array, size_t size, char *text) {
  size_t n = 0;

  text[0] = '\0';
  for (size_t d = 0; d < array->rank && n < size; d++) {
    n += (size_t)snprintf(text + n, size - n, "%s%" PRIu64 "%s", d == 0 ? "(" : ", ",
                          array->dims[d], d + 1 == array->rank ? ")" : "");
  }
}

static mb_status check_shape(const mb_load_array *array) {
  char shape[256];

  format_shape(array, sizeof shape, shape);
  if (array->rank != 2 && array->rank != 3) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%s: has %zu dimensions %s, but loads have 3, (steps, layers, experts), or of "
                   "one step 2, (layers, experts)",
                   array->name, array->rank, shape);
  }
  const uint64_t *step = array->dims + array->rank - 2;
  for (size_t d = 0; d < array->rank; d++) {
    if (array->dims[d] == 0) {
      return MB_FAIL(MB_ERR_SHAPE, "%s: holds no loads: its shape is %s", array->name, shape);
    }
  }
  if (step[0] > MB_IMPORT_STEP_LOADS_MAX || step[1] > MB_IMPORT_STEP_LOADS_MAX ||
      step[0] * step[1] > MB_IMPORT_STEP_LOADS_MAX) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%s: has %" PRIu64 " layers of %" PRIu64
                   " experts, which no model has: its shape %s should be (steps, layers, experts)",
                   array->name, step[0], step[1], shape);
  }
  return MB_OK;
}

static mb_status hand_on(const uint32_t *counts, size_t n, uint64_t *load, mb_import *import) {
  for (size_t i = 0; i < n; i++) {
    load[i] = counts[i];
  }
  return mb_import_step(import, load, NULL);
}

/* Blocks of whole steps; counts [block,L,E], load [L,E]. */
static mb_status read_steps(const mb_load_array *array, uint64_t block, size_t step_size,
                            uint32_t *counts, uint64_t *load, mb_import *import) {
  if (array->rank == 2) {
    MB_TRY(array->read(array->state, 0, (size_t)array->dims[0], counts));
    return hand_on(counts, step_size, load, import);
  }
  for (uint64_t t = 0; t < array->dims[0]; t += block) {
    uint64_t left = array->dims[0] - t;
    size_t n = (size_t)(left < block ? left : block);
    MB_TRY(array->read(array->state, t, n, counts));
    for (size_t i = 0; i < n; i++) {
      MB_TRY(hand_on(counts + i * step_size, step_size, load, import));
    }
  }
  return MB_OK;
}

mb_status mb_load_array_import(const mb_input *input, const mb_load_array *array,
                               mb_import *import) {
  MB_TRY(check_shape(array));
  const uint64_t *step = array->dims + array->rank - 2;
  size_t step_size = (size_t)(step[0] * step[1]);
  uint64_t n_steps = array->rank == 3 ? array->dims[0] : 1;
  uint64_t block = array->rows > 0 ? array->rows : BLOCK_LOADS / step_size;
  mb_import_facts facts = {
      .n_layers = (size_t)step[0], .n_experts = (size_t)step[1], .n_sources = 1};

  block = block < 1 || array->rank == 2 ? 1 : block < n_steps ? block : n_steps;
  if (array->rank == 2) {
    mb_import_note(import, "%s: taken as one step: it has no dimension for steps", array->name);
  }
  MB_TRY(mb_import_begin(import, input, &facts));
  uint32_t *counts = malloc((size_t)block * step_size * sizeof *counts);
  uint64_t *load = malloc(step_size * sizeof *load);
  mb_status status = counts != NULL && load != NULL
                         ? read_steps(array, block, step_size, counts, load, import)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for steps of %s", array->name);
  free(load);
  free(counts);
  return status;
}

static mb_status read_npy(void *state, uint64_t first, size_t n, uint32_t *counts) {
  return mb_array_read_counts(state, first, n, counts);
}

mb_status mb_load_array_import_npy(const mb_input *input, mb_array *array, mb_import *import) {
  const mb_array_info *info = mb_array_get_info(array);

  return mb_load_array_import(input,
                              &(mb_load_array){.name = info->name,
                                               .rank = info->rank,
                                               .dims = info->dims,
                                               .read = read_npy,
                                               .state = array},
                              import);
}

static bool is_load_name(const char *name) {
  static const char *const known[] = {"load", "loads", "expert_load", "expert_loads",
                                      "logical_expert_load"};
  const char *slash = strrchr(name, '/');

  name = slash != NULL ? slash + 1 : name;
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcmp(name, known[i]) == 0) {
      return true;
    }
  }
  return false;
}

/* All but `left_out` (n: none), "a, b, c". */
static void list_names(size_t n, const char *const *names, size_t left_out, size_t size,
                       char *text) {
  size_t at = 0;

  text[0] = '\0';
  for (size_t i = 0; i < n && at < size; i++) {
    if (i != left_out) {
      at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? ", " : "", names[i]);
    }
  }
  if (at >= size) {
    memcpy(text + size - 4, "...", 4);
  }
}

mb_status mb_load_array_choose(const mb_input *input, size_t n, const char *const *names,
                               mb_import *import, size_t *chosen) {
  char list[384];
  size_t n_named = 0;
  size_t named = 0;

  if (n == 0) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has no array of numbers with 3 dimensions (steps, layers, experts), or 2",
                   input->path);
  }
  for (size_t i = 0; i < n; i++) {
    if (is_load_name(names[i])) {
      named = i;
      n_named++;
    }
  }
  if (n > 1 && n_named != 1) {
    list_names(n, names, n, sizeof list, list);
    return MB_FAIL(MB_ERR_PARAM, "%s: has several arrays: say which with --dataset NAME; it has %s",
                   input->path, list);
  }
  *chosen = n > 1 ? named : 0;
  if (n > 1) {
    list_names(n, names, named, sizeof list, list);
    mb_import_note(import, "%s: the loads are %s, by its name; left out: %s (--dataset takes one)",
                   input->path, names[named], list);
  }
  return MB_OK;
}
