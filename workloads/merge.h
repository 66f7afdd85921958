/* workloads/merge.h - internal: several steps of a source summed into one. */
#ifndef MB_WORKLOADS_MERGE_H
#define MB_WORKLOADS_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/source.h"

typedef struct mb_merge mb_merge;

/** As mb_source_open_merged(). @param inner transferred, also on failure. */
MB_NODISCARD mb_status mb_merge_create(mb_source *inner, size_t merge, mb_merge **merged);
void mb_merge_destroy(mb_merge *merged); /* NULL is fine */

/** What the merged steps are. Its texts and layer_ids are borrowed from `merged`. */
void mb_merge_describe(const mb_merge *merged, mb_trace_info *info);

/** The next n merged steps, [n,L,E]. */
MB_NODISCARD mb_status mb_merge_read(mb_merge *merged, size_t n, uint32_t *load);

#endif
