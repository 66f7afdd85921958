/* workloads/trace_probe.h - internal: lets a child process find out whether HDF5 survives a file.
 *
 * libhdf5 crashes on some damaged files and hangs on others. So a short-lived child first does with
 * the file all that this process is about to do, and more: it walks all objects, reads all
 * attributes, and reads the chunks of all datasets.
 */
#ifndef MB_WORKLOADS_TRACE_PROBE_H
#define MB_WORKLOADS_TRACE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/status.h"

typedef struct mb_probe_limits {
  uint64_t data_bytes;  /* of datasets read at most, UINT64_MAX: all */
  unsigned n_seconds;   /* until the child is killed, 0: no limit */
  uint64_t extra_bytes; /* memory beyond what the process has; not heeded under sanitizers */
} mb_probe_limits;

/** What mb_trace_open() grants: 256 MiB of data, 10 s, 1 GiB. */
#define MB_PROBE_OPEN ((mb_probe_limits){(uint64_t)256 << 20, 10, (uint64_t)1 << 30})

/** What mb_trace_verify() grants: everything, however long it takes. */
#define MB_PROBE_VERIFY ((mb_probe_limits){UINT64_MAX, 0, (uint64_t)1 << 30})

/**
 * @return MB_OK if the child came to its end without an unreadable chunk, though the file may still
 *         be anything; MB_ERR_FORMAT "FILE: damaged, ..." where it died, timed out or found a chunk
 *         that cannot be read; MB_ERR_IO where there could be no child.
 */
MB_NODISCARD mb_status mb_trace_probe(const char *path, mb_probe_limits limits);

#endif
