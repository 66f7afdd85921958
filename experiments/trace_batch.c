/* experiments/trace_batch.c */
#include "experiments/trace_batch.h"

#include <stdbool.h>
#include <stdlib.h>

enum { BATCH_LOADS = 1 << 20 };

/* Room for an object, if it is read; `good` becomes false without memory. */
static void *allocate(const mb_trace_batch *batch, unsigned object, size_t size, bool *good) {
  void *made = (batch->objects & object) != 0 ? calloc(batch->n_most, size > 0 ? size : 1) : NULL;

  *good = *good && (made != NULL || (batch->objects & object) == 0);
  return made;
}

mb_status mb_trace_batch_init(const mb_trace_info *info, unsigned objects, mb_trace_batch *batch) {
  size_t step = info->n_layers * info->n_experts;
  size_t n_sources = (objects & MB_TRACE_LOAD_BY_SOURCE) != 0 ? info->n_sources : 0;
  size_t fit = BATCH_LOADS / (step * (n_sources + 1));
  bool good = true;

  *batch = (mb_trace_batch){.n_most = fit < 1      ? 1
                                      : fit < 4096 ? fit
                                                   : 4096,
                            .objects = objects & ~(unsigned)MB_TRACE_TOPK};
  batch->load = calloc(batch->n_most * step, sizeof *batch->load);
  batch->load_by_source =
      allocate(batch, MB_TRACE_LOAD_BY_SOURCE, step * n_sources * sizeof(uint32_t), &good);
  batch->tokens = allocate(batch, MB_TRACE_TOKENS, info->n_sources * sizeof(uint32_t), &good);
  batch->step_time = allocate(batch, MB_TRACE_STEP_TIME, sizeof(double), &good);
  batch->step_phase = allocate(batch, MB_TRACE_STEP_PHASE, sizeof(uint8_t), &good);
  if (batch->load == NULL || !good) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps of %zu layers of %zu experts",
                   batch->n_most, info->n_layers, info->n_experts);
  }
  return MB_OK;
}

void mb_trace_batch_fini(mb_trace_batch *batch) {
  free(batch->load);
  free(batch->load_by_source);
  free(batch->tokens);
  free(batch->step_time);
  free(batch->step_phase);
  *batch = (mb_trace_batch){0};
}

mb_status mb_trace_batch_read(mb_trace *trace, size_t first, size_t n, mb_trace_batch *batch) {
  const struct {
    mb_trace_object object;
    void *values;
  } parts[] = {{MB_TRACE_LOAD_BY_SOURCE, batch->load_by_source},
               {MB_TRACE_TOKENS, batch->tokens},
               {MB_TRACE_STEP_TIME, batch->step_time},
               {MB_TRACE_STEP_PHASE, batch->step_phase}};
  unsigned there = mb_trace_get_info(trace)->objects;

  MB_TRY(mb_trace_read(trace, first, n, batch->load));
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if ((batch->objects & there & parts[i].object) != 0) {
      MB_TRY(mb_trace_read_object(trace, parts[i].object, first, n, parts[i].values));
    }
  }
  return MB_OK;
}

mb_trace_steps mb_trace_batch_steps(const mb_trace_batch *batch) {
  return (mb_trace_steps){.load = batch->load,
                          .load_by_source = batch->load_by_source,
                          .tokens = batch->tokens,
                          .step_time = batch->step_time,
                          .step_phase = batch->step_phase};
}
