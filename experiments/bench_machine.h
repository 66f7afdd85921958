/* experiments/bench_machine.h - what a benchmark ran on, without which its times mean nothing. */
#ifndef MB_EXPERIMENTS_BENCH_MACHINE_H
#define MB_EXPERIMENTS_BENCH_MACHINE_H

#include <stddef.h>

#include "experiments/provenance.h"

typedef struct mb_bench_machine {
  char cpu[256];
  size_t cores;    /* that this process may use */
  size_t threads;  /* of the implementation `cpu` */
  char gpu[256];   /* "none" */
  char torch[128]; /* version of torch; "" where it takes no part */
  const char *version, *git;
  const char *compiler;
  const char *build; /* "Release (-O3 -DNDEBUG)" */
  char time[MB_TIME_SIZE];
} mb_bench_machine;

/** This machine, now; torch's version is left as "". */
mb_bench_machine mb_bench_machine_find(void);

#endif
