/* experiments/provenance.h - where results come from: enough to make them again. */
#ifndef MB_EXPERIMENTS_PROVENANCE_H
#define MB_EXPERIMENTS_PROVENANCE_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/** What only the run itself knows; the rest is asked of the machine and the build. Borrowed. */
typedef struct mb_provenance {
  const char *config;     /* effective, as YAML text */
  const char *trace;      /* its path, or the generator's name */
  const char *source;     /* what the trace says of its origin */
  const char *load_xxh3;  /* digest of the loads that were replayed */
  const char *start_time; /* mb_provenance_time() */
  int64_t seed;
  const char *backend; /* that made the plans */
  const char *gpu;     /* its name, or "none" */
} mb_provenance;

/** Bytes of a time such as "2026-01-31T12:00:00Z", with its end. */
enum { MB_TIME_SIZE = 32 };

/** The time now, UTC. @return `buffer`. */
char *mb_provenance_time(char buffer[MB_TIME_SIZE]);

/** The processor's name, or at least its architecture. @param cpu [size] caller-owned. */
void mb_provenance_cpu(char *cpu, size_t size);

/** The compiler that built this. Static. */
const char *mb_provenance_compiler(void);

/** Writes the attributes into an open, empty group. @return MB_OK; MB_ERR_IO. */
MB_NODISCARD mb_status mb_provenance_write(const mb_provenance *provenance, hid_t group);

#endif
