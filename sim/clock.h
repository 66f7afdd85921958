/* sim/clock.h - seconds that only go forward, for what is measured or shown and decides nothing. */
#ifndef MB_SIM_CLOCK_H
#define MB_SIM_CLOCK_H

#include <time.h>

/** Seconds since some moment in the past, by the clock on the wall. */
static inline double mb_clock_seconds(void) {
  struct timespec now = {0};

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
