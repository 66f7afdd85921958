/* experiments/bench_problem.c */
#include "experiments/bench_problem.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <stdio.h>
#include <string.h>

#include "workloads/stream.h"

const mb_bench_problem *mb_bench_problems(void) {
#define MB_BENCH_PROBLEM(name, family, layers, experts, slots, groups, nodes, gpus, brute) \
  {name, family, {layers, experts, slots, groups, nodes, gpus}, brute},
  static const mb_bench_problem problems[] = {
#include "experiments/bench_problems.def"
      {.name = NULL}};
#undef MB_BENCH_PROBLEM
  return problems;
}

bool mb_bench_problem_scales(const mb_bench_problem *problem) {
  return strcmp(problem->family, "k8") == 0 || strcmp(problem->family, "m16") == 0;
}

mb_status mb_bench_loads(const mb_bench_problem *problem, uint64_t seed, size_t repetition,
                         double *load) {
  char stream[96];

  (void)snprintf(stream, sizeof stream, "bench/%s", problem->name);
  gsl_rng *rng = mb_stream_create(seed, stream, repetition);
  if (rng == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the loads of %s", problem->name);
  }
  for (size_t i = 0; i < problem->shape.n_layers * problem->shape.n_experts; i++) {
    load[i] = 1000 * gsl_ran_lognormal(rng, 0, 1);
  }
  gsl_rng_free(rng);
  return MB_OK;
}

/* One layer's gpu_load [D]. */
static void spread(const mb_shape *shape, size_t layer, const double *load,
                   const mb_placement *placement, double *gpu_load) {
  const size_t gpu_slots = shape->n_slots / shape->n_gpus;

  memset(gpu_load, 0, shape->n_gpus * sizeof *gpu_load);
  for (size_t p = 0; p < shape->n_slots; p++) {
    size_t expert = (size_t)placement->physical_to_logical_map[layer * shape->n_slots + p];
    size_t at = layer * shape->n_experts + expert;
    gpu_load[p / gpu_slots] += load[at] / placement->expert_count[at];
  }
}

void mb_bench_objective(const mb_shape *shape, const double *load, const mb_placement *placement,
                        double *scratch, double *imbalance, double *mean_square) {
  const double n_gpus = (double)shape->n_gpus;

  *imbalance = 0;
  *mean_square = 0;
  for (size_t l = 0; l < shape->n_layers; l++) {
    double most = 0;
    double sum = 0;
    double squares = 0;
    spread(shape, l, load, placement, scratch);
    for (size_t d = 0; d < shape->n_gpus; d++) {
      most = scratch[d] > most ? scratch[d] : most;
      sum += scratch[d];
      squares += scratch[d] * scratch[d];
    }
    *imbalance += sum > 0 ? most * n_gpus / sum : 1;
    *mean_square += sum > 0 ? squares * n_gpus / (sum * sum) : 1;
  }
  *imbalance /= (double)shape->n_layers;
  *mean_square /= (double)shape->n_layers;
}
