/* experiments/trace_batch.h - some steps of a trace in memory, with its optional objects: for
 * commands that make a trace of others. */
#ifndef MB_EXPERIMENTS_TRACE_BATCH_H
#define MB_EXPERIMENTS_TRACE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "workloads/trace.h"

/** Room for n_most steps. What `objects` does not name is NULL. */
typedef struct mb_trace_batch {
  size_t n_most;            /* 4 MiB of loads, or one step */
  unsigned objects;         /* all that will be read, a set of mb_trace_object */
  uint32_t *load;           /* [n_most,L,E] */
  uint32_t *load_by_source; /* [n_most,L,R,E] */
  uint32_t *tokens;         /* [n_most,R] */
  double *step_time;        /* [n_most] */
  uint8_t *step_phase;      /* [n_most] */
} mb_trace_batch;

/** @param objects of info->objects; MB_TRACE_TOPK is not read. @param batch written always:
 * mb_trace_batch_fini() it, also after a failure. */
MB_NODISCARD mb_status mb_trace_batch_init(const mb_trace_info *info, unsigned objects,
                                           mb_trace_batch *batch);
void mb_trace_batch_fini(mb_trace_batch *batch);

/** Steps [first, first + n) of a trace of such a shape, which has those objects; n <= n_most. */
MB_NODISCARD mb_status mb_trace_batch_read(mb_trace *trace, size_t first, size_t n,
                                           mb_trace_batch *batch);

/** What is in it, for a writer. */
mb_trace_steps mb_trace_batch_steps(const mb_trace_batch *batch);

#endif
