/* balancer/assign.h - internal: which GPU takes which of a placement's sets of experts. */
#ifndef MB_BALANCER_ASSIGN_H
#define MB_BALANCER_ASSIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/hungarian.h"
#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Scratch for one layer at a time. */
typedef struct mb_assign {
  size_t n_nodes; /* whose GPUs stay together; 1 where the policy is global */
  mb_hungarian hungarian;
  int32_t *overlap;      /* [D,D] distinct experts that a GPU holds and a set has */
  int32_t *node_overlap; /* [N,N] the most that a node can keep if it takes a node's sets */
  int32_t *within;       /* [N,N,D/N] by which assignment of GPUs to sets */
  int32_t *node_of;      /* [N] the node whose sets a node takes */
  int32_t *first_holder; /* [E + 1] of each expert, in: */
  int32_t *holder;       /* [P] GPUs */
  int32_t *seen;         /* [E] */
  int32_t *map;          /* [P] */
} mb_assign;

/** @return whether there was memory; mb_assign_fini() it either way. O(D^2 + P + E) bytes. */
bool mb_assign_init(mb_assign *assign, const mb_shape *shape);
void mb_assign_fini(mb_assign *assign); /* of zeroes is fine */

/**
 * Gives the GPUs' sets of slots to other GPUs, so that the fewest distinct experts move from one
 * placement of a layer to the other: the largest sum, over the GPUs, of distinct experts that are
 * there before and after. Where the policy is hierarchical, a node's sets stay together on a node:
 * the best assignment of nodes, each with the best one of its GPUs, which is the best of all that
 * do so.
 *
 * What any GPU, or node, has to do is what another had, so that no imbalance changes. (GPUs are
 * taken to be alike: were some slower, it would matter which of them has the most to do.)
 *
 * @param before [P] the placement in force. Borrowed.
 * @param after  [P] the one to come; its sets change places, slots within a set stay in order.
 *
 * Cost: O(D^3 / N + N^3) at most (mb_hungarian_solve()). Deterministic.
 * Source: the idea is deepseek-ai/EPLB issue 25, to permute after the fact.
 */
void mb_assign_layer(mb_assign *assign, const mb_shape *shape, const int32_t *before,
                     int32_t *after);

#ifdef __cplusplus
}
#endif

#endif
