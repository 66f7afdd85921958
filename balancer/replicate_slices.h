/* balancer/replicate_slices.h - internal: how many replicas each expert of a node gets, by its
 * loads in slices of time. */
#ifndef MB_BALANCER_REPLICATE_SLICES_H
#define MB_BALANCER_REPLICATE_SLICES_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What slices count in the gain of a replica. */
typedef struct mb_slice_rule {
  const double *weight; /* [S] or NULL: 1 each */
  /* What a slice counts, before its weight, for the hottest expert that is not alone: one more
     replica lowers nothing by itself there. Tokens; 0 as SGLang, 1 as FlashLB. */
  double tie_gain;
} mb_slice_rule;

/** Memory of a call, from mb_slice_memory_take(). */
typedef struct mb_slice_memory {
  double *rate;          /* [S,n] load a replica */
  double *gain;          /* [n] */
  double *worth;         /* [S] what each slice counts for its hottest expert */
  int32_t *top, *second; /* [S] the hottest expert by load a replica, and the next; -1: none */
} mb_slice_memory;

mb_slice_memory mb_slice_memory_take(mb_arena *arena, size_t n_slices, size_t n);

/**
 * One replica each, then, until all slots are taken, one more for the expert x with the largest
 *
 *   gain(x) = sum over the slices s whose hottest expert is x, by load a replica, of
 *             weight_s (max_s - max_s if x had one replica more)
 *
 * which is by how much the weighted sum of the slices' largest loads a replica falls; the first in
 * the list on a tie, of the hottest too. Where none gains, the largest total load a replica
 * decides, and without any load the replicas go down the list, wrapping round, as in
 * mb_replicate(): with one slice both give the same.
 *
 * @param n, n_slots, load, total as in mb_node_task; n_slots >= n >= 1.
 * @param count [n] replicas of each expert.
 * @param item  [n_slots] as mb_replicate() has it.
 *
 * Cost: O(S n + (n_slots - n)(S + n)) and O(n) for each slice whose hottest or second got a
 * replica. Source: SGLang, deepseek_vec.py, make_redundant_experts_chunkwise; with weights,
 * FlashLB's compute_piece_counts (vLLM pull request 37656). Both search everything anew for each
 * replica.
 */
void mb_replicate_slices(size_t n, size_t n_slots, size_t n_slices, const double *load,
                         const double *total, const mb_slice_rule *rule, mb_slice_memory *memory,
                         int32_t *count, int32_t *item);

#ifdef __cplusplus
}
#endif

#endif
