/* tests/test_edges.c - shapes and loads at the edges; answers by hand, for both implementations. */
#include <math.h>
#include <omp.h>
#include <stdint.h>

#include "tests/balance.h"

static const char *const refinements[] = {"lpt", "maxmin", "l2"};
enum { N_REFINEMENTS = 3 };

/* One layer: every implementation with every refinement gives this map. */
static void check_map(const mb_shape *s, const double *load, const mb_balance_options *options,
                      const int32_t *expected) {
  for (const balancer *how = balancers; how->name != NULL; how++) {
    for (size_t r = 0; r < N_REFINEMENTS; r++) {
      mb_placement placement = placement_alloc(s);
      CHECK_OK(how->rebalance(s, load, refinements[r], options, &placement, NULL));
      bool same =
          memcmp(placement.physical_to_logical_map, expected, s->n_slots * sizeof *expected) == 0;
      CU_ASSERT(same);
      if (!same) {
        (void)printf("\n    %s, %s\n", how->name, refinements[r]);
      }
      placement_free(&placement);
    }
  }
}

/* Four replicas of equal weight are dealt out in turn: 0 and 2 to GPU 0, 1 and 3 to GPU 1. */
static void test_one_expert(void) {
  const mb_shape s = {1, 1, 4, 1, 1, 2};
  const int32_t back[4] = {0, 2, 1, 3};
  const double load[1] = {12};

  check_map(&s, load, NULL, (const int32_t[]){0, 0, 0, 0});
  for (const balancer *how = balancers; how->name != NULL; how++) {
    mb_placement placement = placement_alloc(&s);
    CHECK_OK(how->rebalance(&s, load, "lpt", NULL, &placement, NULL));
    CU_ASSERT(memcmp(placement.logical_to_physical_map, back, sizeof back) == 0);
    CU_ASSERT_EQUAL(placement.expert_count[0], 4);
    placement_free(&placement);
  }
}

/* One of everything. */
static void test_single(void) {
  const mb_shape s = {1, 1, 1, 1, 1, 1};

  check_map(&s, (const double[]){0}, NULL, (const int32_t[]){0});
  check_map(&s, (const double[]){5}, NULL, (const int32_t[]){0});
}

/* Replicas for 1 (40) and 3 (30): six slots of 20, 20, 20, 15, 15, 10, heaviest first. */
static void test_one_gpu(void) {
  const mb_shape s = {1, 4, 6, 1, 1, 1};

  check_map(&s, (const double[]){10, 40, 20, 30}, NULL, (const int32_t[]){1, 2, 1, 3, 3, 0});
}

/* The same slots, one a GPU: nothing is sorted, extra replicas stand last. */
static void test_one_slot_a_gpu(void) {
  const mb_shape s = {1, 4, 6, 1, 1, 6};

  check_map(&s, (const double[]){10, 40, 20, 30}, NULL, (const int32_t[]){0, 1, 2, 3, 1, 3});
}

/* No redundancy: 4 + 1 and 3 + 2, which no swap improves. */
static void test_no_redundancy(void) {
  const mb_shape s = {1, 4, 4, 1, 1, 2};

  check_map(&s, (const double[]){1, 2, 3, 4}, NULL, (const int32_t[]){3, 0, 2, 1});
}

/* Without load the extra replicas go one each down the list; DeepSeek's go to the first. */
static void test_no_load(void) {
  const mb_shape s = {1, 3, 8, 1, 1, 2};
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  check_map(&s, (const double[]){0, 0, 0}, &options, (const int32_t[]){0, 1, 2, 0, 1, 2, 0, 1});
  options.reference_quirks = true;
  check_map(&s, (const double[]){0, 0, 0}, &options, (const int32_t[]){0, 1, 2, 0, 0, 0, 0, 0});
}

/* A node without load beside one with: each replicates by its own list. */
static void test_node_without_load(void) {
  const mb_shape s = {1, 4, 8, 2, 2, 4};
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  check_map(&s, (const double[]){5, 3, 0, 0}, &options, (const int32_t[]){0, 1, 0, 1, 2, 3, 2, 3});
  options.reference_quirks = true;
  check_map(&s, (const double[]){5, 3, 0, 0}, &options, (const int32_t[]){0, 1, 0, 1, 2, 3, 2, 2});
}

/* A node's list goes by the rank of its groups, heaviest first, and by id within a group. */
static void test_list_of_node(void) {
  const mb_shape s = {1, 4, 4, 2, 1, 4};

  check_map(&s, (const double[]){1, 2, 3, 4}, NULL, (const int32_t[]){2, 3, 0, 1});
}

/* Groups that do not divide over the nodes: as if there were one group and one node. */
static void test_global(void) {
  const mb_shape s = {1, 6, 8, 3, 2, 4};
  const mb_shape plain = {1, 6, 8, 1, 1, 4};
  const double load[6] = {7, 1, 9, 4, 4, 2};

  for (size_t r = 0; r < N_REFINEMENTS; r++) {
    mb_placement a = placement_alloc(&s);
    mb_placement b = placement_alloc(&plain);
    CHECK_OK(production_rebalance(&s, load, refinements[r], NULL, &a, NULL));
    CHECK_OK(production_rebalance(&plain, load, refinements[r], NULL, &b, NULL));
    CU_ASSERT(placement_equal(&s, &a, &b));
    placement_free(&a);
    placement_free(&b);
  }
}

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

/* Skewed loads: a few experts get most tokens. */
static double *random_load(const mb_shape *s, uint32_t seed) {
  double *load = test_alloc(s->n_layers * s->n_experts, sizeof *load);

  for (size_t x = 0; x < s->n_layers * s->n_experts; x++) {
    double tokens = next_random(&seed) % 1000000;
    load[x] = floor(tokens / (1 + next_random(&seed) % 999));
  }
  return load;
}

/* The last has more GPUs than l2 keeps rows for. */
static void test_many_experts(void) {
  const mb_shape shapes[] = {{2, 1024, 1152, 1, 1, 64},
                             {2, 1024, 1280, 8, 4, 32},
                             {2, 1024, 1024, 1, 1, 512},
                             {1, 3084, 3084, 1, 1, 1028}};

  for (size_t x = 0; x < sizeof shapes / sizeof shapes[0]; x++) {
    const mb_shape *s = &shapes[x];
    double *load = random_load(s, 7 + (uint32_t)x);
    for (size_t r = 0; r < N_REFINEMENTS; r++) {
      mb_placement ours = placement_alloc(s);
      mb_placement naive = placement_alloc(s);
      CHECK_OK(production_rebalance(s, load, refinements[r], NULL, &ours, NULL));
      CHECK_OK(mb_naive_rebalance(s, load, refinements[r], NULL, &naive, NULL));
      CU_ASSERT(placement_equal(s, &ours, &naive));
      placement_free(&ours);
      placement_free(&naive);
    }
    free(load);
  }
}

/* Maps that nobody asks for are not needed for the one that is. */
static void test_optional_maps(void) {
  const mb_shape s = {2, 6, 8, 2, 2, 4};
  double *load = random_load(&s, 3);
  mb_placement all = placement_alloc(&s);
  mb_placement one = placement_alloc(&s);
  const mb_placement bare = {.physical_to_logical_map = one.physical_to_logical_map};
  mb_placement given = bare;

  CHECK_OK(production_rebalance(&s, load, "l2", NULL, &all, NULL));
  CHECK_OK(production_rebalance(&s, load, "l2", NULL, &given, NULL));
  CU_ASSERT(memcmp(all.physical_to_logical_map, one.physical_to_logical_map,
                   s.n_layers * s.n_slots * sizeof(int32_t)) == 0);
  placement_free(&all);
  placement_free(&one);
  free(load);
}

static void test_threads(void) {
  const mb_shape s = {37, 32, 40, 4, 2, 8};
  double *load = random_load(&s, 11);
  int n_threads = omp_get_max_threads();

  for (size_t r = 0; r < N_REFINEMENTS; r++) {
    mb_placement first = placement_alloc(&s);
    omp_set_num_threads(1);
    CHECK_OK(production_rebalance(&s, load, refinements[r], NULL, &first, NULL));
    for (int n = 2; n <= 8; n += 3) {
      mb_placement again = placement_alloc(&s);
      omp_set_num_threads(n);
      CHECK_OK(production_rebalance(&s, load, refinements[r], NULL, &again, NULL));
      CU_ASSERT(placement_equal(&s, &first, &again));
      placement_free(&again);
    }
    placement_free(&first);
  }
  omp_set_num_threads(n_threads);
  free(load);
}

/* More and fewer rounds: none is LPT, and unlimited ends though no swap need gain much. */
static void test_rounds(void) {
  const double weight[6] = {9, 8, 7, 3, 3, 1};
  int32_t index[6];
  int32_t rank[6];
  double load[2];
  mb_pack_stats stats;
  mb_balance_options options = {0, 0, false};

  for (const balancer *how = balancers; how->name != NULL; how++) {
    /* LPT: 9, 3, 3 and 8, 7, 1, that is 15 and 16; no d lies between 0 and 1. */
    options.max_rounds = 0;
    CHECK_OK(how->pack(6, 2, weight, "l2", &options, index, rank, load, &stats));
    CU_ASSERT(load[0] == 15 && load[1] == 16 && stats.rounds == 0 && stats.swaps == 0);
    options.max_rounds = MB_ROUNDS_UNLIMITED;
    CHECK_OK(how->pack(6, 2, weight, "l2", &options, index, rank, load, &stats));
    CU_ASSERT(load[0] == 15 && load[1] == 16 && stats.rounds == 1 && stats.swaps == 0);
  }
}

/* Small whole weights, which tie, and weights a few ulps apart, which rounding makes tie: decisions
 * like the twin's, any rounds. */
static void test_near_ties(void) {
  uint32_t state = 5;

  for (int trial = 0; trial < 20000; trial++) {
    double weight[240];
    int32_t index[2][240];
    int32_t rank[2][240];
    mb_pack_stats stats[2];
    size_t m = 2 + next_random(&state) % 5;
    size_t k =
        next_random(&state) % 3 == 0 ? 17 + next_random(&state) % 24 : 2 + next_random(&state) % 7;
    size_t n = m * k; /* small packs and large, which are searched differently */
    double base = (1 + next_random(&state) % 100000) / 97.0;
    uint32_t n_sizes = 1 + next_random(&state) % 12;
    const char *refinement = next_random(&state) % 2 == 0 ? "l2" : "maxmin";
    mb_balance_options options = {next_random(&state) % 2 == 0 ? 40 : MB_ROUNDS_UNLIMITED, 0,
                                  false};
    for (size_t i = 0; i < n; i++) {
      /* Some are heavy, or the longest-processing-time rule would leave large packs nothing to do.
       */
      uint32_t sizes = next_random(&state) % 8 == 0 ? 60 : n_sizes;
      weight[i] = base * (1 + next_random(&state) % sizes);
      if (trial % 2 == 0) { /* small whole numbers: exact ties on both sides of the optimum */
        weight[i] = next_random(&state) % 40;
        continue;
      }
      for (uint32_t ulps = next_random(&state) % 12; ulps > 0; ulps--) {
        weight[i] = nextafter(weight[i], INFINITY);
      }
    }
    for (size_t x = 0; x < 2; x++) {
      CHECK_OK(balancers[x].pack(n, m, weight, refinement, &options, index[x], rank[x], NULL,
                                 &stats[x]));
    }
    CU_ASSERT(memcmp(index[0], index[1], n * sizeof(int32_t)) == 0 &&
              memcmp(rank[0], rank[1], n * sizeof(int32_t)) == 0 &&
              stats[0].rounds == stats[1].rounds && stats[0].swaps == stats[1].swaps);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"one expert", test_one_expert},
                         {"one of everything", test_single},
                         {"one GPU", test_one_gpu},
                         {"one slot a GPU", test_one_slot_a_gpu},
                         {"as many slots as experts", test_no_redundancy},
                         {"no load at all", test_no_load},
                         {"a node without load", test_node_without_load},
                         {"the order of a node's list", test_list_of_node},
                         {"global where groups do not divide", test_global},
                         {"1024 experts and more (seeds 7 to 10)", test_many_experts},
                         {"maps that are not asked for", test_optional_maps},
                         {"any number of threads (seed 11)", test_threads},
                         {"no rounds and unlimited rounds", test_rounds},
                         {"weights that tie or nearly do (seed 5)", test_near_ties},
                         CU_TEST_INFO_NULL};
  return run_suite("edges", tests);
}
