/* experiments/bench_implementation.h - the implementations that `moebal bench` compares. */
#ifndef MB_EXPERIMENTS_BENCH_IMPLEMENTATION_H
#define MB_EXPERIMENTS_BENCH_IMPLEMENTATION_H

#include <stdbool.h>

#include "balancer/backend.h"

typedef struct mb_bench_implementation {
  const char *name;
  /* Where create() answers MB_ERR_UNSUPPORTED the implementation is left out, and its message says
     why. */
  const mb_backend *backend;
  bool brute; /* looks at all pairs of items: left out of problems that are too large for that */
} mb_bench_implementation;

/** All implementations, ended by an entry without a name. Static. */
const mb_bench_implementation *mb_bench_implementations(void);

#endif
