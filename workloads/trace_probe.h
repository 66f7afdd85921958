/* workloads/trace_probe.h - internal: lets a child process find out whether HDF5 survives a file.
 *
 * libhdf5 crashes on some damaged files and hangs on others. So a short-lived child first does with
 * the file all that this process is about to do, and more: it walks all objects, reads all
 * attributes, and reads the chunks of all datasets.
 */
#ifndef MB_WORKLOADS_TRACE_PROBE_H
#define MB_WORKLOADS_TRACE_PROBE_H

#include <stdint.h>

#include "balancer/status.h"
#include "workloads/probe.h"

/** Bytes of datasets that are read before mb_trace_open() takes a file: 256 MiB; in 10 s, 1 GiB. */
#define MB_PROBE_OPEN_BYTES ((uint64_t)256 << 20)
#define MB_PROBE_OPEN ((mb_probe_limits){10, (uint64_t)1 << 30})

/** What mb_trace_verify() grants: everything, however long it takes. */
#define MB_PROBE_VERIFY_BYTES UINT64_MAX
#define MB_PROBE_VERIFY ((mb_probe_limits){0, (uint64_t)1 << 30})

/**
 * @param data_bytes of datasets that are read at most.
 * @return MB_OK if the child came to its end without an unreadable chunk, though the file may still
 *         be anything; MB_ERR_FORMAT "FILE: damaged, ..." where it died, timed out or found a chunk
 *         that cannot be read; otherwise as mb_probe().
 */
MB_NODISCARD mb_status mb_trace_probe(const char *path, uint64_t data_bytes,
                                      mb_probe_limits limits);

#endif
