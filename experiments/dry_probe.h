/* experiments/dry_probe.h - what cells cost on this machine, measured on some steps of them. */
#ifndef MB_EXPERIMENTS_DRY_PROBE_H
#define MB_EXPERIMENTS_DRY_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/config.h"
#include "sim/replay.h"
#include "workloads/source.h"

/** The first steps of some loads, over and over where there are few. */
typedef struct mb_dry_loads {
  mb_trace_info info;  /* of all of them, before trace.merge; its texts are its own */
  uint32_t *load;      /* [n_steps,L,E] */
  size_t n_steps;      /* at least 6 */
  double step_seconds; /* to read or generate one */
  double open_seconds; /* to open the file, or to start the generator */
} mb_dry_loads;

/** @param loads mb_dry_loads_fini() it. Written only on MB_OK. @return as opening and reading. */
MB_NODISCARD mb_status mb_dry_loads_read(const mb_config *config, mb_dry_loads *loads);
void mb_dry_loads_fini(mb_dry_loads *loads); /* a struct of zeros is fine */

/** What a cell costs: fixed_seconds + steps x step_seconds + plans x plan_seconds of each strategy,
 * and bytes alike. */
typedef struct mb_dry_cost {
  double fixed_seconds, step_seconds;
  double fixed_bytes, compression; /* bytes = fixed_bytes + compression x mb_dry_bytes() */
  double *plan_seconds;            /* [n_strategies] */
} mb_dry_cost;

/** Plans that a strategy makes over n steps, if none is skipped. */
size_t mb_dry_plans(const mb_replay_config *replay, size_t strategy, size_t n_steps);

/** Bytes of the numbers that a cell writes, before they are compressed. */
double mb_dry_bytes(const mb_replay_config *replay, size_t n_steps);

/**
 * Replays some of the loads as the config says, but for its schedule, into a file that is removed
 * again. Strategies from outside are left out, and cost no more than the others' scoring.
 *
 * @param cost free() its plan_seconds. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_dry_probe(const mb_config *config, const mb_dry_loads *loads,
                                    mb_dry_cost *cost);

#endif
