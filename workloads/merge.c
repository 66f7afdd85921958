/* workloads/merge.c */
#include "workloads/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/trace_info.h"

/* Loads that are read at a time, unless a single step has more: 4 MiB. */
#define BLOCK_LOADS ((size_t)1 << 20)

struct mb_merge {
  mb_source *inner;
  size_t merge;
  size_t step_size;  /* L x E */
  size_t block_size; /* steps that `block` holds */
  uint32_t *block;
  size_t n_done; /* merged steps */
  char *text;    /* what the trace says of its source */
};

static char *describe_source(const mb_trace_info *info, size_t merge) {
  static const char format[] = "%zu steps at a time summed into one of: %s";
  int length = snprintf(NULL, 0, format, merge, info->source);
  char *text = malloc((size_t)length + 1);

  if (text != NULL) {
    (void)snprintf(text, (size_t)length + 1, format, merge, info->source);
  }
  return text;
}

mb_status mb_merge_create(mb_source *inner, size_t merge, mb_merge **merged) {
  const mb_trace_info *info = mb_source_get_info(inner);
  mb_merge *made = calloc(1, sizeof *made);

  if (made == NULL) {
    mb_source_destroy(inner);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to merge steps");
  }
  made->inner = inner;
  made->merge = merge;
  made->step_size = info->n_layers * info->n_experts;
  made->block_size = BLOCK_LOADS / made->step_size > 0 ? BLOCK_LOADS / made->step_size : 1;
  made->block_size = made->block_size < merge ? made->block_size : merge;
  made->block = malloc(made->block_size * made->step_size * sizeof *made->block);
  made->text = describe_source(info, merge);
  mb_status status = MB_OK;
  if (info->n_steps < merge) {
    status = MB_FAIL(MB_ERR_SHAPE, "%zu steps cannot be summed into one: there are %zu", merge,
                     info->n_steps);
  } else if (made->block == NULL || made->text == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to merge steps");
  }
  if (status != MB_OK) {
    mb_merge_destroy(made);
    return status;
  }
  *merged = made;
  return MB_OK;
}

void mb_merge_destroy(mb_merge *merged) {
  if (merged == NULL) {
    return;
  }
  mb_source_destroy(merged->inner);
  free(merged->block);
  free(merged->text);
  free(merged);
}

void mb_merge_describe(const mb_merge *merged, mb_trace_info *info) {
  *info = *mb_source_get_info(merged->inner);
  info->n_steps /= merged->merge;
  info->source = merged->text;
  info->objects = 0;
  info->n_sources = 0;
  info->steps_per_record *= (int64_t)merged->merge; /* 0 stays: not known */
  info->load_xxh3[0] = '\0';
}

/* `at` is the load's index in the step. */
static mb_status fail_sum(const mb_merge *merged, size_t step, size_t at) {
  size_t n_experts = mb_source_get_info(merged->inner)->n_experts;

  return MB_FAIL(MB_ERR_RANGE,
                 "step %zu, layer %zu, expert %zu: the sum of %zu steps is beyond %" PRIu32
                 ": merge fewer",
                 step, at / n_experts, at % n_experts, merged->merge, UINT32_MAX);
}

/* Adds the next n steps of the source, at most a block, to `sum`. */
static mb_status add_steps(mb_merge *merged, size_t n, uint32_t *sum) {
  MB_TRY(mb_source_read(merged->inner, n, merged->block));
  for (size_t t = 0; t < n; t++) {
    const uint32_t *load = merged->block + t * merged->step_size;
    uint32_t carry = 0;
    for (size_t i = 0; i < merged->step_size; i++) {
      sum[i] += load[i];
      carry |= sum[i] < load[i];
    }
    for (size_t i = 0; carry != 0 && i < merged->step_size; i++) {
      if (sum[i] < load[i]) {
        return fail_sum(merged, merged->n_done, i);
      }
    }
  }
  return MB_OK;
}

/* So that a trace that is not what was written is found out, too, where its last steps are not
   used: the digest is of all. */
static mb_status drop_rest(mb_merge *merged) {
  size_t left = mb_source_get_info(merged->inner)->n_steps % merged->merge;

  while (left > 0) {
    size_t n = left < merged->block_size ? left : merged->block_size;
    MB_TRY(mb_source_read(merged->inner, n, merged->block));
    left -= n;
  }
  return MB_OK;
}

mb_status mb_merge_read(mb_merge *merged, size_t n, uint32_t *load) {
  size_t n_steps = mb_source_get_info(merged->inner)->n_steps / merged->merge;

  memset(load, 0, n * merged->step_size * sizeof *load);
  for (size_t t = 0; t < n; t++) {
    for (size_t done = 0; done < merged->merge;) {
      size_t left = merged->merge - done;
      size_t block = left < merged->block_size ? left : merged->block_size;
      MB_TRY(add_steps(merged, block, load + t * merged->step_size));
      done += block;
    }
    merged->n_done++;
  }
  return n > 0 && merged->n_done == n_steps ? drop_rest(merged) : MB_OK;
}
