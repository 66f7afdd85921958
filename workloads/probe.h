/* workloads/probe.h - trying something risky in a child process first: HDF5 on an unknown file. */
#ifndef MB_WORKLOADS_PROBE_H
#define MB_WORKLOADS_PROBE_H

#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a child may take. */
typedef struct mb_probe_limits {
  unsigned n_seconds;   /* of processor time, and six times as many by the clock; 0: any */
  uint64_t extra_bytes; /* memory beyond what this process has; not heeded under sanitizers */
} mb_probe_limits;

/**
 * Runs work(data) in a child process that prints nothing. What it changes in memory is lost; its
 * status and message come back. The child ends with this process, and of the signals that it does.
 *
 * Other threads may run, as long as none of them is inside a library that `work` uses.
 *
 * @param path the file that is tried, for messages.
 * @return what `work` returned; MB_ERR_FORMAT "FILE: damaged, HDF5 cannot read it" where the child
 *         died or went over its limits; MB_ERR_CANCELLED where somebody stopped it; MB_ERR_IO where
 *         there could be no child.
 */
MB_NODISCARD mb_status mb_probe(const char *path, mb_probe_limits limits,
                                mb_status (*work)(void *data), void *data);

#ifdef __cplusplus
}
#endif

#endif
