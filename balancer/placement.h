/* balancer/placement.h - the shape of a cluster and a model, and which expert each slot holds. */
#ifndef MB_BALANCER_PLACEMENT_H
#define MB_BALANCER_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Sizes of a balancing problem. Slot p is on GPU p / (P/D), that GPU on node gpu / (D/N); expert e
 * is in group e / (E/G).
 */
typedef struct mb_shape {
  size_t n_layers;  /* L, MoE layers */
  size_t n_experts; /* E, logical experts of a layer */
  size_t n_slots;   /* P, places for an expert's weights, over all GPUs; P - E are redundant */
  size_t n_groups;  /* G, groups of E/G consecutive experts */
  size_t n_nodes;   /* N, servers */
  size_t n_gpus;    /* D, devices over all nodes */
} mb_shape;

/**
 * MB_OK, or MB_ERR_SHAPE with a message that names both numbers: every size is at least 1 and at
 * most 2^20 (so that all products fit 63 bits), P >= E, P % D == 0, D % N == 0, E % G == 0.
 */
MB_NODISCARD mb_status mb_shape_check(const mb_shape *shape);

/** Whether the hierarchical policy applies (G % N == 0); otherwise global, which ignores nodes. */
bool mb_shape_is_hierarchical(const mb_shape *shape);

/** X: entries of a row of logical_to_physical_map, P - E + 1. */
size_t mb_shape_max_replicas(const mb_shape *shape);

/**
 * A placement of all layers, row-major; the arrays are the caller's.
 */
typedef struct mb_placement {
  int32_t *physical_to_logical_map; /* [L,P] expert that each slot holds, 0..E-1 */
  int32_t *logical_to_physical_map; /* [L,E,X] slot of each replica r, -1 beyond; or NULL */
  int32_t *expert_count;            /* [L,E] replicas of each expert, >= 1; or NULL */
} mb_placement;

/** One layer's linear placement, the one before any plan: slot p holds expert p mod E. [P] */
void mb_placement_linear(const mb_shape *shape, int32_t *physical_to_logical_map);

/**
 * Checks one layer's [P] map: every entry in 0..E-1 and every expert somewhere. Counts the
 * replicas.
 *
 * @param expert_count [E], caller-owned; contents unspecified on failure.
 * @return MB_OK; MB_ERR_RANGE naming the slot or the expert.
 */
MB_NODISCARD mb_status mb_placement_count(const mb_shape *shape,
                                          const int32_t *physical_to_logical_map,
                                          int32_t *expert_count);

/** Slots of one layer [P] that hold an expert which an earlier slot of the same GPU holds too. */
int32_t mb_placement_duplicate_slots(const mb_shape *shape, const int32_t *physical_to_logical_map);

/**
 * Over one layer's GPUs, the distinct experts that a GPU holds after and held not before: what has
 * to be copied to it. Both maps are [P].
 *
 * @param scratch [E], caller-owned; contents unspecified.
 */
int32_t mb_placement_moved_experts(const mb_shape *shape, const int32_t *before,
                                   const int32_t *after, int32_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
