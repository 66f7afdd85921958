/* workloads/packed.h - loads in few bytes, in a scratch file: read or generated once, then read by
 * many processes, at a fraction of the cost. */
#ifndef MB_WORKLOADS_PACKED_H
#define MB_WORKLOADS_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/source.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that such a file likely takes: loads beyond 65,535 tokens are rare. */
uint64_t mb_packed_bytes_likely(const mb_trace_info *info);

/**
 * Reads all steps of a source into a file, which appears once it is complete: first what the source
 * says of itself, then the steps in blocks of 1 MiB, whose loads have 1, 2 or 4 bytes each, as the
 * largest asks for. The file is for programs of this build on machines of this kind.
 *
 * @param source at its start.
 * @param check  called now and then; what it returns but MB_OK ends the work. NULL: nobody asks.
 * @return MB_OK; what reading or `check` returned; MB_ERR_IO; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_packed_write(mb_source *source, const char *path,
                                       mb_status (*check)(void));

/** Such a file, open: mb_source_open_packed() reads through it. */
typedef struct mb_packed mb_packed;

/** @param packed Transferred. @return MB_OK; MB_ERR_IO; MB_ERR_FORMAT: it is no such file;
 * MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_packed_open(const char *path, mb_packed **packed);
void mb_packed_close(mb_packed *packed); /* NULL is fine */

/** What its loads are, as their source had it, but for optional objects. Borrowed. */
const mb_trace_info *mb_packed_get_info(const mb_packed *packed);

/** The next n steps, [n,L,E], of those that are left. MB_ERR_IO where the file ends before. */
MB_NODISCARD mb_status mb_packed_read(mb_packed *packed, size_t n, uint32_t *load);

#ifdef __cplusplus
}
#endif

#endif
