/* experiments/cost_print.h - costs for people: `moebal run`'s second table, and what it means. */
#ifndef MB_EXPERIMENTS_COST_PRINT_H
#define MB_EXPERIMENTS_COST_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/replay.h"

/** Whether a summary says anything of time. */
bool mb_cost_is_known(const mb_replay_summary *summary);

/** Whether tokens of a slot are fewer than reading its weights takes the time of: then the ratios
 * of time are what counts. */
bool mb_cost_is_memory_bound(const mb_replay_summary *summary);

/** One sentence on how many tokens slots have, against break-even, without a line's end. */
void mb_cost_put_regime(FILE *stream, const mb_replay_summary *summary);

/** The table, and what is below it. @param label, summary [n] of a run with costs. */
void mb_cost_print_table(FILE *stream, size_t n, const char *const *label,
                         const mb_replay_summary *summary);

#endif
