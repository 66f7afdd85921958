/* tests/test_packing_bound.c - the bound of a placement's packing by hand, and below plans. */
#include "balancer/packing_bound.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "balancer/bounds.h"
#include "balancer/rebalance.h"
#include "tests/test.h"

enum { SEED = 92, MAX_EXPERTS = 64, MAX_SLOTS = 128 };

static void by_hand(void) {
  mb_shape shape = {1, 4, 8, 2, 2, 4};
  mb_shape global = {1, 4, 8, 1, 1, 4};
  int32_t map[] = {2, 3, 2, 2, 0, 1, 0, 0};
  double share[] = {10, 4, 1, 0};
  double weight[8];

  /* Node 1 has 10 10 10 4 on two GPUs: two 10s meet. Were it one node: 10 + 0, and 37 / 4. */
  CU_ASSERT_EQUAL(mb_bound_packing(&shape, share, map, weight), 20);
  CU_ASSERT_EQUAL(mb_bound_packing(&global, share, map, weight), 10);
  double none[] = {0, 0, 0, 0};
  CU_ASSERT_EQUAL(mb_bound_packing(&shape, none, map, weight), 0);
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

/* No plan is below it, many are close to it, and it is not below what holds for more. */
static void plans(void) {
  static const mb_shape shapes[] = {{1, 16, 20, 1, 1, 4}, {1, 64, 72, 8, 2, 8},
                                    {1, 64, 72, 8, 8, 8}, {1, 32, 128, 4, 2, 16},
                                    {1, 64, 64, 8, 2, 8}, {1, 64, 64, 1, 1, 64}};
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double load[MAX_EXPERTS], share[MAX_EXPERTS], weight[MAX_SLOTS];
  int32_t map[MAX_SLOTS], count[MAX_EXPERTS];
  int close = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < 600; i++) {
    const mb_shape *shape = &shapes[i % 6];
    mb_placement placement = {.physical_to_logical_map = map, .expert_count = count};
    for (size_t e = 0; e < shape->n_experts; e++) {
      load[e] = floor(gsl_ran_lognormal(random, 4, 1.2));
    }
    CHECK_OK(mb_rebalance(shape, load, mb_refinement_find("l2"), NULL, &placement));
    for (size_t e = 0; e < shape->n_experts; e++) {
      share[e] = load[e] / (double)count[e];
    }
    double largest = largest_gpu(shape, share, map);
    double bound = mb_bound_packing(shape, share, map, weight);
    CU_ASSERT(bound <= largest * (1 + 1e-12));
    CU_ASSERT(mb_bound_hierarchy(shape, load) <= bound * (1 + 1e-12));
    close += largest < 1.02 * bound;
  }
  CU_ASSERT(close > 500);
  gsl_rng_free(random);
}

int main(void) {
  CU_TestInfo tests[] = {{"by hand", by_hand}, {"plans are above it", plans}, CU_TEST_INFO_NULL};
  return run_suite("packing_bound", tests);
}
