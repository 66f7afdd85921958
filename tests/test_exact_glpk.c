/* tests/test_exact_glpk.c - bounds and strategies against the exact optimum of small instances. */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "balancer/bounds.h"
#include "balancer/packing_bound.h"
#include "balancer/rebalance.h"
#include "tests/exact_glpk.h"
#include "tests/test.h"

#ifndef MB_TEST_GLPK

int main(void) {
  (void)printf("skipped: built without GLPK (Debian's libglpk-dev)\n");
  return MB_TEST_SKIPPED;
}

#else

enum { SEED = 77, MAX = 32, N_PACKED = 200, N_PLACED = 40 };

/* Pairs of the heaviest and the lightest; 6 4 1 and 5 3 2; one a pack; all in one. */
static void packings_by_hand(void) {
  double three[] = {6, 5, 4, 3, 2, 1};
  double four[] = {9, 7, 5, 3};

  CU_ASSERT_DOUBLE_EQUAL(exact_packing(6, 3, three), 7, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(exact_packing(6, 2, three), 11, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(exact_packing(4, 4, four), 9, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(exact_packing(4, 1, four), 24, 1e-9);
}

/* Three 4s and a 2 give 8, but 6, 6 and 1, 1 give 7. */
static void placements_by_hand(void) {
  mb_shape shape = {1, 2, 4, 1, 1, 2};
  mb_shape single = {1, 3, 4, 1, 1, 2};
  double load[] = {12, 2};
  double loads[] = {8, 5, 1};

  CU_ASSERT_DOUBLE_EQUAL(exact_placement(&shape, load), 7, 1e-9);
  /* 8 twice, on one GPU: 4 + 4, and 5 + 1. */
  CU_ASSERT_DOUBLE_EQUAL(exact_placement(&single, loads), 8, 1e-9);
}

static double largest_gpu(const mb_shape *shape, const double *share, const int32_t *map) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  double largest = 0;

  for (size_t g = 0; g < shape->n_gpus; g++) {
    double sum = 0;
    for (size_t p = g * slots_per_gpu; p < (g + 1) * slots_per_gpu; p++) {
      sum += share[map[p]];
    }
    largest = fmax(largest, sum);
  }
  return largest;
}

/* bound <= optimum of these replicas <= each refinement, and mb_bound_hierarchy() <= optimum of all
 * <= that. */
static void between(void) {
  static const mb_shape shapes[] = {
      {1, 8, 8, 1, 1, 2}, {1, 7, 9, 1, 1, 3}, {1, 6, 8, 1, 1, 4}, {1, 9, 12, 1, 1, 3}};
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double load[MAX], share[MAX], weight[MAX], scratch[MAX];
  int32_t map[MAX], count[MAX];

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < N_PACKED; i++) {
    const mb_shape *shape = &shapes[i % 4];
    mb_placement placement = {.physical_to_logical_map = map, .expert_count = count};
    for (size_t e = 0; e < shape->n_experts; e++) {
      load[e] = floor(gsl_ran_lognormal(random, 5, 1));
    }
    CHECK_OK(mb_rebalance(shape, load, mb_refinement_find("l2"), NULL, &placement));
    for (size_t e = 0; e < shape->n_experts; e++) {
      share[e] = load[e] / (double)count[e];
    }
    for (size_t p = 0; p < shape->n_slots; p++) {
      weight[p] = share[map[p]];
    }
    double packed = exact_packing(shape->n_slots, shape->n_gpus, weight);
    double placed = i < N_PLACED && i % 4 < 3 ? exact_placement(shape, load) : packed;
    double above = 1 + 1e-9;
    CU_ASSERT(packed >= 0 && placed >= 0);
    CU_ASSERT(mb_bound_packing(shape, share, map, scratch) <= packed * above);
    for (size_t r = 0; mb_refinements()[r] != NULL; r++) {
      /* Globally the replicas are the same for all. */
      CHECK_OK(mb_rebalance(shape, load, mb_refinements()[r], NULL, &placement));
      CU_ASSERT(packed <= largest_gpu(shape, share, map) * above);
    }
    CU_ASSERT(placed <= packed * above);
    CU_ASSERT(mb_bound_hierarchy(shape, load) <= placed * above);
  }
  gsl_rng_free(random);
}

int main(void) {
  CU_TestInfo tests[] = {{"packings by hand", packings_by_hand},
                         {"placements by hand", placements_by_hand},
                         {"optima are between bounds and strategies", between},
                         CU_TEST_INFO_NULL};
  return run_suite("exact_glpk", tests);
}

#endif
