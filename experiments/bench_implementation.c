/* experiments/bench_implementation.c */
#include "experiments/bench_implementation.h"

#include <stdlib.h>

#include "balancer/naive/naive.h"
#include "cuda/rebalance.h"

/* --- the naive twin, which remembers nothing but the shape --- */

static mb_status naive_create(const mb_shape *shape, void **rebalancer) {
  mb_shape *copy = malloc(sizeof *copy);

  if (copy == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a shape");
  }
  *copy = *shape;
  *rebalancer = copy;
  return MB_OK;
}

static mb_status naive_rebalance(void *rebalancer, const double *load,
                                 const mb_refinement_type *refinement,
                                 const mb_balance_options *options, mb_placement *placement,
                                 mb_pack_stats *stats) {
  return mb_naive_rebalance(rebalancer, load, refinement->name, options, placement, stats);
}

static const mb_backend naive = {
    .name = "naive", .create = naive_create, .rebalance = naive_rebalance, .destroy = free};

/* --- all of them: a new one is a line here --- */

const mb_bench_implementation *mb_bench_implementations(void) {
  static const mb_bench_implementation implementations[] = {
      {"naive", &naive, true}, /* all pairs of items, on one thread */
      {"cpu-1", &mb_backend_cpu_1, false},
      {"cpu", &mb_backend_cpu, false},   /* all threads, or --threads */
      {"cuda", &mb_backend_cuda, false}, /* copies to the GPU and from it included */
      {.name = NULL}};
  return implementations;
}
