/* experiments/stat_blocks.h - cuts the scored steps of a run into blocks that can be taken as
 * independent.
 */
#ifndef MB_EXPERIMENTS_STAT_BLOCKS_H
#define MB_EXPERIMENTS_STAT_BLOCKS_H

#include <stddef.h>

#include "balancer/status.h"

/** Fewer blocks than this carry no interval: too little is known of their spread. */
enum { MB_STAT_BLOCKS_MIN = 20 };

/** What makes steps depend on each other. All in steps. */
typedef struct mb_stat_steps {
  size_t first, n_steps;   /* the scored ones: first..n_steps - 1 */
  size_t interval, window; /* between plans, >= 1; that a plan is made from, >= 1 */
  size_t delay;            /* plans take effect at i interval + delay */
  size_t lifetime;         /* of a request; 0: unknown */
} mb_stat_steps;

typedef struct mb_stat_blocks {
  size_t length;    /* steps, a multiple of the interval */
  const char *from; /* what decided it: "interval", "window", "lifetime", "data". Static */
  size_t n_blocks;
  size_t *edge; /* [n_blocks + 1] block b is of the steps edge[b]..edge[b + 1] - 1 */
} mb_stat_blocks;

/**
 * Length: the largest of interval, window, lifetime and mb_stat_block_length() of the series, in
 * this order where they are equal, rounded up to whole intervals. Blocks begin where plans take
 * effect, so that no plan is in two of them. What is left over at either end, if shorter than half
 * a block, belongs to the block beside it, else it is one of its own: every scored step is in one.
 *
 * @param series [n_steps - first] a difference for each scored step, 0 for one without load.
 * @param blocks Transferred: mb_stat_blocks_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_stat_blocks_cut(const mb_stat_steps *steps, const double *series,
                                          mb_stat_blocks *blocks);
void mb_stat_blocks_fini(mb_stat_blocks *blocks);

#endif
