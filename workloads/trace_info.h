/* workloads/trace_info.h - internal: a mb_trace_info that owns its texts, and what it has to be. */
#ifndef MB_WORKLOADS_TRACE_INFO_H
#define MB_WORKLOADS_TRACE_INFO_H

#include "workloads/trace.h"

/** Layers or experts at most: far more than models have, few enough to multiply. */
#define MB_TRACE_SIZE_MAX ((size_t)1 << 20)

/** Layers times experts at most. */
#define MB_TRACE_STEP_SIZE_MAX ((size_t)1 << 26)

/** Whether a step may have so many loads: each at least 1, and not too many. MB_ERR_FORMAT. */
MB_NODISCARD mb_status mb_trace_sizes_check(const char *what, size_t n_layers, size_t n_experts);

/**
 * Checks what both reader and writer ask of a trace: sizes, top_k, groups, layer_ids.
 * @param what the file, for messages.
 * @return MB_OK; MB_ERR_FORMAT naming the attribute and what would be right.
 */
MB_NODISCARD mb_status mb_trace_info_check(const char *what, const mb_trace_info *info);

/** Copies texts and layer_ids, so that `copy` owns its own: mb_trace_info_fini() it. */
MB_NODISCARD mb_status mb_trace_info_copy(const mb_trace_info *info, mb_trace_info *copy);
void mb_trace_info_fini(mb_trace_info *info); /* a struct of zeros is fine */

/** The phase of that name. @return whether there is one. */
bool mb_phase_find(const char *name, mb_phase *phase);

#endif
