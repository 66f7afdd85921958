/* balancer/split_flow.h - internal: experts and the GPUs that share them, as a flow network. */
#ifndef MB_BALANCER_SPLIT_FLOW_H
#define MB_BALANCER_SPLIT_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Shared experts are those with replicas on several GPUs, numbered 0..n_shared-1. An arc is a
 * shared expert on one of its GPUs; arcs lie expert by expert. Load moves from GPU to GPU through
 * an expert that both hold: out of the arc of the one, into the arc of the other.
 */
typedef struct mb_split_flow {
  size_t n_gpus, n_shared, n_arcs;
  /* The network, of one placement. */
  int32_t *shared_first; /* [n_shared + 1] first arc of an expert */
  int32_t *arc_gpu;      /* [n_arcs] */
  int32_t *arc_shared;   /* [n_arcs] */
  int32_t *gpu_first;    /* [D + 1] where a GPU's arcs begin in gpu_arc */
  int32_t *gpu_arc;      /* [n_arcs] arcs, GPU by GPU */
  /* The flow, of one step. */
  double *flow;  /* [n_arcs] tokens that the expert sends to the GPU */
  double *load;  /* [D] tokens of a GPU; kept true to the flow */
  double *cap;   /* [D] tokens that a GPU is to have at most */
  double *slack; /* [D] what of a GPU's load above its cap is rounding */
  /* The search: distance from the GPUs above their caps, or -1. */
  int32_t *gpu_level, *shared_level;
  int32_t *gpu_next, *shared_next; /* where the search for a way goes on */
  int32_t *queue;                  /* [D], the n_starts GPUs above their caps first */
  size_t n_starts;
  int32_t *way; /* [2 D] arcs out of and into GPUs, alternating */
} mb_split_flow;

/**
 * Moves load until no GPU is above its cap, or as much as can be moved.
 *
 * @return whether none is above. If one is, gpu_level is >= 0 for the GPUs, and shared_level for
 * the experts with load on these, that hold too much together: all replicas of these experts are on
 * these GPUs, every one of which is at its cap or above.
 *
 * Dinic's algorithm, whose ways lead from GPUs above their caps to those below: O(A D^2) at worst,
 * a few passes over the arcs in practice. Each push makes an excess, an arc's flow or a room end at
 * exactly nothing, so that it ends in spite of rounding.
 */
bool mb_split_flow_push(mb_split_flow *flow);

#ifdef __cplusplus
}
#endif

#endif
