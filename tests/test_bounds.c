/* tests/test_bounds.c - bounds by hand, and against all packings and replica counts there are. */
#include "balancer/bounds.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>

#include "balancer/rebalance.h"
#include "tests/test.h"

enum { MAX_ITEMS = 12, SEED = 92 };

/* Room for all shapes here, aligned for doubles. */
static double scratch[4096];

/* The least largest load over all ways to put items i.. into packs with `room` left. */
typedef struct search {
  size_t n, m;
  const double *weight;
  size_t room[MAX_ITEMS];
  double load[MAX_ITEMS], best;
} search;

static void place_from(search *s, size_t i) {
  if (i == s->n) {
    double largest = 0;
    for (size_t g = 0; g < s->m; g++) {
      largest = fmax(largest, s->load[g]);
    }
    s->best = fmin(s->best, largest);
    return;
  }
  bool tried_empty = false; /* empty packs are alike */
  for (size_t g = 0; g < s->m; g++) {
    bool empty = s->room[g] == s->n / s->m;
    if (s->room[g] == 0 || (empty && tried_empty)) {
      continue;
    }
    double before = s->load[g];
    tried_empty = tried_empty || empty;
    s->room[g]--;
    s->load[g] += s->weight[i];
    place_from(s, i + 1);
    s->load[g] = before;
    s->room[g]++;
  }
}

static double best_packing(size_t n, size_t m, const double *weight) {
  search s = {.n = n, .m = m, .weight = weight, .best = INFINITY};

  for (size_t g = 0; g < m; g++) {
    s.room[g] = n / m;
  }
  place_from(&s, 0);
  return s.best;
}

static void fill(gsl_rng *random, int i, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    load[e] = i % 3 == 0   ? floor(gsl_ran_lognormal(random, 4, 1.5))
              : i % 3 == 1 ? (double)gsl_rng_uniform_int(random, 4)
                           : gsl_ran_exponential(random, 1);
  }
}

/* Never above the best packing; at it in most cases, and always with one item a pack. */
static void cardinality_brute_force(void) {
  static const size_t sizes[][2] = {{1, 1}, {4, 4},  {8, 4},  {12, 6},
                                    {9, 3}, {12, 3}, {12, 4}, {8, 2}};
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double weight[MAX_ITEMS], sorted[MAX_ITEMS];
  int tight = 0;

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < 800; i++) {
    size_t n = sizes[i % 8][0];
    size_t m = sizes[i % 8][1];
    fill(random, i, n, weight);
    memcpy(sorted, weight, sizeof sorted);
    double best = best_packing(n, m, weight);
    double bound = mb_bound_cardinality(n, m, sorted);
    CU_ASSERT(bound <= best * (1 + 1e-12));
    CU_ASSERT(n / m != 1 || bound >= best * (1 - 1e-12));
    tight += bound >= best * (1 - 1e-12);
  }
  CU_ASSERT(tight > 400);
  gsl_rng_free(random);
}

/* 3 packs of 3. One heavy: mean 10; j = 0: 9 + 1 + 1; j = 1, of the 4 largest 2 together: 4 + 3 +
 * 1; j = 2, of the 7 largest 3: 2 + 1 + 1. Four heavy: mean 12; j = 1: 8 + 7 + 1. */
static void cardinality_by_hand(void) {
  double crowded[] = {1, 2, 9, 1, 3, 8, 1, 4, 1};
  double four[] = {1, 8, 1, 8, 1, 8, 1, 7, 1};
  double odd[] = {1, 2, 3, 4, 5, 6}; /* 9, 10 and 9, but 21 / 2 on average */
  double alone[] = {20, 1, 1, 1, 1, 2};
  double level[] = {5, 5, 5, 5};
  double none[] = {0, 0};

  CU_ASSERT_DOUBLE_EQUAL(mb_bound_cardinality(9, 3, crowded), 11, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(mb_bound_cardinality(9, 3, four), 16, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(mb_bound_cardinality(6, 2, odd), 10.5, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(mb_bound_cardinality(6, 3, alone), 21, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(mb_bound_cardinality(4, 2, level), 10, 1e-12);
  CU_ASSERT_EQUAL(mb_bound_cardinality(2, 1, none), 0);
}

/* The least over all counts from expert e on, with `left` slots to give and the rest decided. */
static double best_counts(const mb_shape *shape, const double *load, size_t e, size_t left,
                          double largest) {
  size_t others = shape->n_experts - e - 1;
  double best = INFINITY;

  for (size_t c = 1; c + others <= left && c <= mb_bound_replica_limit(shape); c++) {
    double value = fmax(largest, load[e] / (double)c);
    best = fmin(best, others == 0 ? value : best_counts(shape, load, e + 1, left - c, value));
  }
  return best;
}

static void replication_brute_force(void) {
  static const mb_shape shapes[] = {{1, 1, 4, 1, 1, 4}, {1, 4, 8, 1, 1, 4},  {1, 5, 10, 1, 1, 2},
                                    {1, 6, 6, 1, 1, 3}, {1, 4, 12, 2, 2, 4}, {1, 6, 10, 2, 2, 2}};
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double load[MAX_ITEMS];

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < 600; i++) {
    const mb_shape *shape = &shapes[i % 6];
    fill(random, i / 6, shape->n_experts, load);
    double expected = best_counts(shape, load, 0, shape->n_slots, 0);
    CU_ASSERT_EQUAL(mb_bound_replication(shape, load, scratch), expected);
  }
  gsl_rng_free(random);
}

/* Two nodes with two groups of two experts, 2 GPUs and 3 slots each, 6 slots each. */
static void hierarchical_by_hand(void) {
  mb_shape shape = {1, 8, 12, 4, 2, 4};
  mb_shape global = {1, 8, 12, 1, 2, 4};
  double load[] = {30, 30, 10, 10, 8, 2, 1, 1};

  CU_ASSERT_EQUAL(mb_bound_mean(&shape, load), 23);
  CU_ASSERT_EQUAL(mb_bound_replica_limit(&shape), 3);
  CU_ASSERT_EQUAL(mb_bound_replica_limit(&global), 5);
  /* Groups 60, 20, 10, 2: one node has 60 and at least 2. */
  CU_ASSERT_EQUAL(mb_bound_node(&shape, load, scratch), 31);
  CU_ASSERT_EQUAL(mb_bound_node(&global, load, scratch), 0);
  /* 30 / 3, with both 30s three times: 4 replicas more. */
  CU_ASSERT_EQUAL(mb_bound_replication(&shape, load, scratch), 10);
  CU_ASSERT_EQUAL(mb_bound_any(&shape, load, scratch), 31);
  CU_ASSERT_EQUAL(mb_bound_any(&global, load, scratch), 23);
  /* One expert with all load: three replicas at most where nodes bind it, else five. */
  double hot[] = {60, 0, 0, 0, 0, 0, 0, 0};
  CU_ASSERT_EQUAL(mb_bound_replication(&shape, hot, scratch), 20);
  CU_ASSERT_EQUAL(mb_bound_replication(&global, hot, scratch), 12);
  CU_ASSERT_EQUAL(mb_bound_any(&shape, hot, scratch), 30);
}

static void packing_by_hand(void) {
  mb_shape shape = {1, 4, 8, 2, 2, 4};
  mb_shape global = {1, 4, 8, 1, 1, 4};
  int32_t map[] = {0, 1, 0, 0, 2, 3, 2, 2};
  int32_t count[] = {3, 1, 3, 1};
  double load[] = {30, 4, 3, 0};

  CU_ASSERT_EQUAL(mb_bound_largest(&shape, load, count), 10);
  /* Node 0 has 10 10 10 4 on two GPUs: two 10s meet. */
  CU_ASSERT_EQUAL(mb_bound_packing(&shape, load, map, count, scratch), 20);
  /* Were it one node: 10 + 0, and the mean of 37 / 4. */
  CU_ASSERT_EQUAL(mb_bound_packing(&global, load, map, count, scratch), 10);
}

/* No plan is better than any of its bounds. */
static void plans(void) {
  static const mb_shape shapes[] = {{1, 16, 20, 1, 1, 4}, {1, 64, 72, 8, 2, 8},
                                    {1, 64, 72, 8, 8, 8}, {1, 32, 128, 4, 2, 16},
                                    {1, 64, 64, 8, 2, 8}, {1, 64, 64, 1, 1, 64}};
  gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
  double load[64];
  int32_t map[128], count[64];

  CU_ASSERT_PTR_NOT_NULL_FATAL(random);
  gsl_rng_set(random, SEED);
  for (int i = 0; i < 600; i++) {
    const mb_shape *shape = &shapes[i % 6];
    mb_placement placement = {.physical_to_logical_map = map, .expert_count = count};
    double largest = 0;
    fill(random, i / 6, shape->n_experts, load);
    CU_ASSERT_FATAL(mb_bounds_scratch_size(shape) <= sizeof scratch);
    CHECK_OK(mb_rebalance(shape, load, mb_refinement_find("l2"), NULL, &placement));
    for (size_t g = 0; g < shape->n_gpus; g++) {
      double gpu_load = 0;
      for (size_t p = 0; p < shape->n_slots / shape->n_gpus; p++) {
        int32_t e = map[g * (shape->n_slots / shape->n_gpus) + p];
        gpu_load += load[e] / (double)count[e];
      }
      largest = fmax(largest, gpu_load);
    }
    largest *= 1 + 1e-12;
    double packing = mb_bound_packing(shape, load, map, count, scratch);
    CU_ASSERT(packing <= largest);
    CU_ASSERT(mb_bound_largest(shape, load, count) <= packing * (1 + 1e-12));
    CU_ASSERT(mb_bound_replication(shape, load, scratch) <= mb_bound_largest(shape, load, count));
    CU_ASSERT(mb_bound_any(shape, load, scratch) <= largest);
  }
  gsl_rng_free(random);
}

int main(void) {
  CU_TestInfo tests[] = {{"cardinality, by all packings", cardinality_brute_force},
                         {"cardinality by hand", cardinality_by_hand},
                         {"replication, by all counts", replication_brute_force},
                         {"nodes and groups by hand", hierarchical_by_hand},
                         {"packings by hand", packing_by_hand},
                         {"plans are above their bounds", plans},
                         CU_TEST_INFO_NULL};
  return run_suite("bounds", tests);
}
