/* experiments/bench_lane.c */
#include "experiments/bench_lane.h"

#include <stdlib.h>

#include "sim/clock.h"

static const double SECONDS_AT_LEAST = 0.002;

mb_status mb_bench_lane_init(mb_bench_lane *lane, const char *name, const mb_shape *shape,
                             const mb_backend *backend, mb_torch *torch) {
  const size_t n_load = shape->n_layers * shape->n_experts;
  mb_bench_lane made = {.name = name, .shape = shape, .backend = backend, .torch = torch};

  if (backend != NULL) {
    MB_TRY(backend->create(shape, &made.rebalancer));
  }
  made.placement = (mb_placement){
      .physical_to_logical_map = calloc(shape->n_layers * shape->n_slots, sizeof(int32_t)),
      .logical_to_physical_map = calloc(n_load * mb_shape_max_replicas(shape), sizeof(int32_t)),
      .expert_count = calloc(n_load, sizeof(int32_t))};
  if (made.placement.physical_to_logical_map == NULL ||
      made.placement.logical_to_physical_map == NULL || made.placement.expert_count == NULL) {
    mb_bench_lane_fini(&made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a placement of %zu slots", shape->n_slots);
  }
  *lane = made;
  return MB_OK;
}

mb_status mb_bench_lane_time(mb_bench_lane *lane, const double *load,
                             const mb_refinement_type *strategy, const mb_balance_options *options,
                             mb_pack_stats *stats, double *seconds) {
  size_t calls = 0;
  double elapsed = 0;

  if (lane->backend == NULL) {
    return mb_torch_rebalance(lane->torch, lane->mode, lane->shape, load, strategy->name,
                              &lane->placement, stats, seconds);
  }
  double start = mb_clock_seconds();
  while (elapsed < SECONDS_AT_LEAST) {
    MB_TRY(lane->backend->rebalance(lane->rebalancer, load, strategy, options, &lane->placement,
                                    stats));
    calls++;
    elapsed = mb_clock_seconds() - start;
  }
  *seconds = elapsed / (double)calls;
  return MB_OK;
}

/* The first of n places where both differ; n where they are the same. */
static size_t first_difference(size_t n, const int32_t *a, const int32_t *b) {
  size_t i = 0;

  while (i < n && a[i] == b[i]) {
    i++;
  }
  return i;
}

mb_status mb_bench_lane_compare(const mb_bench_lane *a, const mb_bench_lane *b) {
  const mb_shape *shape = a->shape;
  const size_t n_load = shape->n_layers * shape->n_experts;
  const struct {
    const char *name;
    size_t row, n;
    const int32_t *a, *b;
  } maps[] = {
      {"physical_to_logical_map", shape->n_slots, shape->n_layers * shape->n_slots,
       a->placement.physical_to_logical_map, b->placement.physical_to_logical_map},
      {"expert_count", shape->n_experts, n_load, a->placement.expert_count,
       b->placement.expert_count},
      {"logical_to_physical_map", shape->n_experts * mb_shape_max_replicas(shape),
       n_load * mb_shape_max_replicas(shape), a->placement.logical_to_physical_map,
       b->placement.logical_to_physical_map},
  };

  for (size_t m = 0; m < sizeof maps / sizeof *maps; m++) {
    size_t at = first_difference(maps[m].n, maps[m].a, maps[m].b);
    if (at < maps[m].n) {
      return MB_FAIL(MB_ERR_RANGE, "%s differs in layer %zu at %zu: %s has %d, %s has %d",
                     maps[m].name, at / maps[m].row, at % maps[m].row, a->name, (int)maps[m].a[at],
                     b->name, (int)maps[m].b[at]);
    }
  }
  return MB_OK;
}

void mb_bench_lane_fini(mb_bench_lane *lane) {
  if (lane->backend != NULL) {
    lane->backend->destroy(lane->rebalancer);
  }
  free(lane->placement.physical_to_logical_map);
  free(lane->placement.logical_to_physical_map);
  free(lane->placement.expert_count);
}
