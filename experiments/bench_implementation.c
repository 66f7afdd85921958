/* experiments/bench_implementation.c */
#include "experiments/bench_implementation.h"

#include <stdlib.h>

#include "balancer/naive/naive.h"
#include "balancer/rebalance.h"
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

/* --- one thread --- */

static mb_status one_thread_create(const mb_shape *shape, void **rebalancer) {
  mb_workspace *workspace = NULL;

  MB_TRY(mb_workspace_create(shape, 1, &workspace));
  *rebalancer = workspace;
  return MB_OK;
}

static mb_status one_thread_rebalance(void *rebalancer, const double *load,
                                      const mb_refinement_type *refinement,
                                      const mb_balance_options *options, mb_placement *placement,
                                      mb_pack_stats *stats) {
  return mb_workspace_rebalance(rebalancer, load, refinement, options, placement, stats);
}

static void one_thread_destroy(void *rebalancer) {
  mb_workspace_destroy(rebalancer);
}

static const mb_backend one_thread = {.name = "cpu-1",
                                      .create = one_thread_create,
                                      .rebalance = one_thread_rebalance,
                                      .destroy = one_thread_destroy};

/* --- all of them: a new one is a line here --- */

const mb_bench_implementation *mb_bench_implementations(void) {
  static const mb_bench_implementation implementations[] = {
      {"naive", "the twin that defines the result: all pairs, one thread", &naive, true},
      {"cpu-1", "the library on one thread", &one_thread, false},
      {"cpu", "the library on all threads, or --threads", &mb_backend_cpu, false},
      {"cuda", "the library on a GPU, copies to it and from it included", &mb_backend_cuda, false},
      {.name = NULL}};
  return implementations;
}
