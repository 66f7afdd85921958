/* tests/balance.h - what the balancer's tests share: both implementations, placements, checks. */
#ifndef MB_TESTS_BALANCE_H
#define MB_TESTS_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/naive/naive.h"
#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/rebalance.h"
#ifdef MB_TEST_CUDA
#include "cuda/rebalance.h"
#endif
#include "tests/test.h"

/** One way to balance, refinements by name. */
typedef struct balancer {
  const char *name;
  mb_status (*pack)(size_t n_items, size_t n_packs, const double *weight, const char *refinement,
                    const mb_balance_options *options, int32_t *pack_index, int32_t *rank_in_pack,
                    double *pack_load, mb_pack_stats *stats);
  mb_status (*rebalance)(const mb_shape *shape, const double *load, const char *refinement,
                         const mb_balance_options *options, mb_placement *placement,
                         mb_pack_stats *stats);
} balancer;

static inline mb_status production_pack(size_t n_items, size_t n_packs, const double *weight,
                                        const char *refinement, const mb_balance_options *options,
                                        int32_t *pack_index, int32_t *rank_in_pack,
                                        double *pack_load, mb_pack_stats *stats) {
  return mb_pack(n_items, n_packs, weight, mb_refinement_find(refinement), options, pack_index,
                 rank_in_pack, pack_load, stats);
}

static inline mb_status production_rebalance(const mb_shape *shape, const double *load,
                                             const char *refinement,
                                             const mb_balance_options *options,
                                             mb_placement *placement, mb_pack_stats *stats) {
  mb_workspace *workspace = NULL;

  MB_TRY(mb_workspace_create(shape, 0, &workspace));
  mb_status status = mb_workspace_rebalance(workspace, load, mb_refinement_find(refinement),
                                            options, placement, stats);
  mb_workspace_destroy(workspace);
  return status;
}

/** One layer that is a packing: n experts with a slot each, on m GPUs. */
static inline mb_shape packing_shape(size_t n, size_t m) {
  return (mb_shape){
      .n_layers = 1, .n_experts = n, .n_slots = n, .n_groups = 1, .n_nodes = 1, .n_gpus = m};
}

#ifdef MB_TEST_CUDA
static inline mb_status cuda_rebalance(const mb_shape *shape, const double *load,
                                       const char *refinement, const mb_balance_options *options,
                                       mb_placement *placement, mb_pack_stats *stats) {
  void *rebalancer = NULL;

  MB_TRY(mb_backend_cuda.create(shape, &rebalancer));
  mb_status status = mb_backend_cuda.rebalance(rebalancer, load, mb_refinement_find(refinement),
                                               options, placement, stats);
  mb_backend_cuda.destroy(rebalancer);
  return status;
}

/* A packing is the rebalance of one layer whose experts have a slot each. An item's slot says its
   pack and rank, and by rank a pack's items stand in the sorted order. */
static inline mb_status cuda_pack(size_t n_items, size_t n_packs, const double *weight,
                                  const char *refinement, const mb_balance_options *options,
                                  int32_t *pack_index, int32_t *rank_in_pack, double *pack_load,
                                  mb_pack_stats *stats) {
  const mb_shape shape = packing_shape(n_items, n_packs);
  size_t k = n_items / n_packs;
  int32_t *map = calloc(n_items, sizeof *map);
  mb_placement placement = {.physical_to_logical_map = map};

  if (map == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu items", n_items);
  }
  mb_status status = cuda_rebalance(&shape, weight, refinement, options, &placement, stats);
  for (size_t s = 0; status == MB_OK && s < n_items; s++) {
    pack_index[map[s]] = (int32_t)(s / k);
    rank_in_pack[map[s]] = (int32_t)(s % k);
    pack_load[s / k] = (s % k == 0 ? 0 : pack_load[s / k]) + weight[map[s]];
  }
  free(map);
  return status;
}
#endif

/** What people use, and the twin that defines it; in programs built for it, the GPU's. Ended by an
 * entry without a name. */
static const balancer balancers[] = {
    {"production", production_pack, production_rebalance},
    {"naive", mb_naive_pack, mb_naive_rebalance},
#ifdef MB_TEST_CUDA
    {"cuda", cuda_pack, cuda_rebalance},
#endif
    {NULL, NULL, NULL},
};

/** malloc() that ends the test program rather than fail. */
static inline void *test_alloc(size_t count, size_t size) {
  void *memory = calloc(count > 0 ? count : 1, size);
  if (memory == NULL) {
    (void)fprintf(stderr, "no memory for %zu x %zu bytes\n", count, size);
    exit(EXIT_FAILURE);
  }
  return memory;
}

/** Maps of all layers, filled with -7, which no answer contains. */
static inline mb_placement placement_alloc(const mb_shape *s) {
  size_t n_map = s->n_layers * s->n_slots;
  size_t n_count = s->n_layers * s->n_experts;
  size_t n_back = n_count * mb_shape_max_replicas(s);
  mb_placement placement = {test_alloc(n_map, sizeof(int32_t)), test_alloc(n_back, sizeof(int32_t)),
                            test_alloc(n_count, sizeof(int32_t))};
  for (size_t x = 0; x < n_map; x++) {
    placement.physical_to_logical_map[x] = -7;
  }
  for (size_t x = 0; x < n_back; x++) {
    placement.logical_to_physical_map[x] = -7;
  }
  for (size_t x = 0; x < n_count; x++) {
    placement.expert_count[x] = -7;
  }
  return placement;
}

static inline void placement_free(mb_placement *placement) {
  free(placement->physical_to_logical_map);
  free(placement->logical_to_physical_map);
  free(placement->expert_count);
}

static inline bool placement_equal(const mb_shape *s, const mb_placement *a,
                                   const mb_placement *b) {
  size_t n_map = s->n_layers * s->n_slots;
  size_t n_count = s->n_layers * s->n_experts;
  size_t n_back = n_count * mb_shape_max_replicas(s);

  return memcmp(a->physical_to_logical_map, b->physical_to_logical_map, n_map * sizeof(int32_t)) ==
             0 &&
         memcmp(a->logical_to_physical_map, b->logical_to_physical_map, n_back * sizeof(int32_t)) ==
             0 &&
         memcmp(a->expert_count, b->expert_count, n_count * sizeof(int32_t)) == 0;
}

#endif
