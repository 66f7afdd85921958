/* tests/exact_gaps.c - moebal-exact: how far strategies, and the bound B2, are from the exact
 * optimum of small instances, as a table on standard output.
 *
 *   moebal-exact [--instances] [N]
 *
 * Instances: 3 GPUs of 2 to 5 slots each, 2 of all slots redundant, lognormal loads (sigma 1, a
 * mean of some thousand tokens), N (100) of each size. Replicas are given as in DeepSeek EPLB; the
 * optimum is that of packing them, k to a GPU (tests/exact_glpk.h).
 *
 *   gap = largest GPU load / optimum - 1, in percent; of B2 (balancer/bounds.h): bound / optimum -
 * 1
 *
 * A row a size: the mean gap of each, and the 95 % interval of the mean by Student's t, as
 * plots/gap_to_optimum.gp draws it; with --instances a row an instance.
 */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/bounds.h"
#include "balancer/rebalance.h"
#include "tests/exact_glpk.h"

enum { GPUS = 3, FEWEST = 2, MOST = 5, REDUNDANT = 2, MAX_SLOTS = GPUS * MOST, SERIES = 4 };

static const char *const series[SERIES] = {"lpt", "maxmin", "l2", "B2"};

/* The largest load of a GPU; weight [P] gets what each slot has. */
static double largest_gpu(const mb_shape *shape, const double *load, const int32_t *map,
                          const int32_t *count, double *weight) {
  size_t k = shape->n_slots / shape->n_gpus;
  double largest = 0;

  for (size_t g = 0; g < shape->n_gpus; g++) {
    double sum = 0;
    for (size_t p = g * k; p < (g + 1) * k; p++) {
      weight[p] = load[map[p]] / (double)count[map[p]];
      sum += weight[p];
    }
    largest = fmax(largest, sum);
  }
  return largest;
}

/* Percent. @return whether the optimum was found. */
static bool gaps_of(const mb_shape *shape, const double *load, double *gap) {
  int32_t map[MAX_SLOTS], count[MAX_SLOTS];
  double weight[MAX_SLOTS];
  mb_placement placement = {map, NULL, count};

  for (size_t s = 0; s < SERIES - 1; s++) {
    if (mb_rebalance(shape, load, mb_refinement_find(series[s]), NULL, &placement) != MB_OK) {
      (void)fprintf(stderr, "moebal-exact: %s\n", mb_error_message());
      exit(EXIT_FAILURE);
    }
    gap[s] = largest_gpu(shape, load, map, count, weight);
  }
  gap[SERIES - 1] = mb_bound_cardinality(shape->n_slots, shape->n_gpus, weight);
  double optimum = exact_packing(shape->n_slots, shape->n_gpus, weight);
  for (size_t s = 0; s < SERIES; s++) {
    gap[s] = 100 * (gap[s] / optimum - 1);
    gap[s] = fabs(gap[s]) < 1e-6 ? 0 : gap[s]; /* the optimum is as exact as a solver's */
  }
  return optimum > 0;
}

static void print_mean(size_t n, double sum, double squares) {
  double mean = sum / (double)n;
  double variance = n > 1 ? fmax(squares - sum * mean, 0) / (double)(n - 1) : 0;
  double half = n > 1 ? gsl_cdf_tdist_Pinv(0.975, (double)(n - 1)) * sqrt(variance / (double)n) : 0;

  (void)printf("\t%.6g\t%.6g\t%.6g", mean, mean - half, mean + half);
}

static void run_size(gsl_rng *random, size_t slots, size_t n_wanted, bool instances) {
  mb_shape shape = {1, GPUS * slots - REDUNDANT, GPUS * slots, 1, 1, GPUS};
  double load[MAX_SLOTS], gap[SERIES], sum[SERIES] = {0}, squares[SERIES] = {0};
  size_t n = 0;

  for (size_t i = 0; i < n_wanted; i++) {
    for (size_t e = 0; e < shape.n_experts; e++) {
      load[e] = floor(gsl_ran_lognormal(random, 7, 1));
    }
    bool found = gaps_of(&shape, load, gap);
    for (size_t s = 0; s < SERIES && found; s++) {
      sum[s] += gap[s];
      squares[s] += gap[s] * gap[s];
    }
    n += found;
    if (instances && found) {
      (void)printf("%zu\t%zu\t%.6g\t%.6g\t%.6g\t%.6g\n", slots, i, gap[0], gap[1], gap[2], gap[3]);
    }
  }
  if (n < n_wanted) {
    (void)fprintf(stderr, "moebal-exact: %zu of %zu optima with %zu slots were not found in time\n",
                  n_wanted - n, n_wanted, slots);
  }
  if (!instances && n > 0) {
    (void)printf("%zu\t%zu", slots, n);
    for (size_t s = 0; s < SERIES; s++) {
      print_mean(n, sum[s], squares[s]);
    }
    (void)printf("\n");
    (void)fflush(stdout);
  }
}

int main(int argc, char **argv) {
  bool instances = argc > 1 && strcmp(argv[1], "--instances") == 0;
  long n = argc > 1 + instances ? strtol(argv[1 + instances], NULL, 10) : 100;
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);

  if (n < 1 || n > 100000 || argc > 2 + instances || random == NULL) {
    (void)fprintf(stderr, "usage: moebal-exact [--instances] [N], N from 1 to 100000\n");
    return EXIT_FAILURE;
  }
  (void)printf("slots\t%s", instances ? "instance" : "instances");
  for (size_t s = 0; s < SERIES; s++) {
    (void)printf("\t%s", series[s]);
    if (!instances) {
      (void)printf("\t%s low\t%s high", series[s], series[s]);
    }
  }
  (void)printf("\n");
  for (size_t slots = FEWEST; slots <= MOST; slots++) {
    gsl_rng_set(random, slots);
    run_size(random, slots, (size_t)n, instances);
  }
  gsl_rng_free(random);
  return EXIT_SUCCESS;
}
