/* tests/test_bounds.c - bounds against all packings, replica counts and placements of tiny
 * instances under their best dispatch, and by hand. */
#include "balancer/bounds.h"

#include <math.h>

#include "balancer/rebalance.h"
#include "balancer/split.h"
#include "tests/rivals.h"
#include "tests/test.h"

enum { MAX_SLOTS = 9, MAX_MAPS = 2000, N_LOADS = 60, N_PACKINGS = 400, N_COUNTS = 3000 };

/* Whole numbers and fractions, few and many, none, and one that dwarfs the others. */
static void fill_loads(uint64_t *state, size_t n, double *load) {
  uint32_t kind = dice(state) % 5;

  for (size_t e = 0; e < n; e++) {
    uint32_t x = dice(state);
    load[e] = kind == 0   ? x % 4
              : kind == 1 ? x % 1000
              : kind == 2 ? x / 4294967296.0
              : kind == 3 ? (x % 2 == 0 ? 0 : x % 16)
                          : exp2(x % 12);
  }
  if (dice(state) % 4 == 0) {
    load[dice(state) % n] *= 16;
  }
}

/* --- B2 */

/* The least largest load of packing items i.. in any way. @param room [m] */
static double best_packing(size_t n, size_t m, const double *weight, size_t i, double *pack,
                           size_t *room) {
  double best = INFINITY;

  if (i == n) {
    double largest = 0;
    for (size_t p = 0; p < m; p++) {
      largest = fmax(largest, pack[p]);
    }
    return largest;
  }
  for (size_t p = 0; p < m; p++) {
    if (room[p] > 0) {
      double before = pack[p];
      room[p]--;
      pack[p] += weight[i];
      best = fmin(best, best_packing(n, m, weight, i + 1, pack, room));
      pack[p] = before;
      room[p]++;
    }
  }
  return best;
}

static void cardinality(void) {
  static const size_t sizes[][2] = {{4, 2}, {6, 2}, {6, 3}, {8, 4}, {8, 2}, {5, 5}, {5, 1}};
  uint64_t state = 11;
  size_t n_tight = 0;
  size_t n_mean = 0;

  for (size_t i = 0; i < N_PACKINGS; i++) {
    size_t n = sizes[i % 7][0];
    size_t m = sizes[i % 7][1];
    double weight[8], pack[8] = {0}, total = 0;
    size_t room[8];
    fill_loads(&state, n, weight);
    for (size_t p = 0; p < m; p++) {
      room[p] = n / m;
    }
    for (size_t j = 0; j < n; j++) {
      total += weight[j];
    }
    double best = best_packing(n, m, weight, 0, pack, room);
    double bound = mb_bound_cardinality(n, m, weight);
    CU_ASSERT(bound <= best * (1 + 1e-14));
    CU_ASSERT(bound >= total / (double)m * (1 - 1e-14));
    n_tight += bound >= best * (1 - 1e-14);
    n_mean += total / (double)m >= best * (1 - 1e-14);
  }
  (void)printf("\n    of %d, B2 is the optimum of %zu, the mean that of %zu\n    ", N_PACKINGS,
               n_tight, n_mean);
  CU_ASSERT(n_tight > N_PACKINGS * 7 / 10);
  CU_ASSERT(n_mean < N_PACKINGS / 2);
}

/* j = 1 of the first: the two smaller of the three largest; j = 0 of the second; of the third two
 * of the four 6s meet, with a 1. */
static void cardinality_by_hand(void) {
  double three[] = {5, 1, 5, 5};
  double one[] = {1, 9, 1, 1};
  double middle[] = {1, 6, 2, 6, 6, 1, 6, 1, 2};

  CU_ASSERT_EQUAL(mb_bound_cardinality(4, 2, three), 10);
  CU_ASSERT_EQUAL(mb_bound_cardinality(4, 2, one), 10);
  CU_ASSERT_EQUAL(mb_bound_cardinality(9, 3, middle), 13);
  CU_ASSERT_EQUAL(mb_bound_cardinality(4, 1, one), 12);
  CU_ASSERT_EQUAL(mb_bound_cardinality(4, 4, one), 9);
}

/* 256 experts by Zipf's law in 288 slots on 72 GPUs: the mean can be had of replicas, but not of
 * packs of four. An independent program gives B2 / mean = 1.118, and packings of 1.131. */
static void cardinality_of_zipf(void) {
  enum { E = 256, P = 288, D = 72 };
  mb_shape shape = {1, E, P, 1, 1, D};
  double load[E], weight[P], mean = 0;
  int32_t map[P], count[E];
  mb_placement placement = {map, NULL, count};

  for (size_t e = 0; e < E; e++) {
    load[e] = 1e6 / (double)(e + 1);
    mean += load[e] / D;
  }
  CHECK_OK(mb_rebalance(&shape, load, mb_refinement_find("l2"), NULL, &placement));
  for (size_t p = 0; p < P; p++) {
    weight[p] = load[map[p]] / count[map[p]];
  }
  double b2 = mb_bound_cardinality(P, D, weight);
  CU_ASSERT_DOUBLE_EQUAL(b2 / mean, 1.118, 5e-4);
  CU_ASSERT_DOUBLE_EQUAL(mb_bound_replication(&shape, load), mean, 1e-9 * mean);
  CU_ASSERT(gpu_load_max(&shape, load, map, NULL) > b2);
}

/* The same items in another order, more of them than need no allocation, and packs of more than
 * there are terms for. */
static void cardinality_of_many(void) {
  enum { N = 1536 };
  static double weight[N], turned[N];
  uint64_t state = 5;

  fill_lognormal_dice(&state, 2, N, weight);
  for (size_t i = 0; i < N; i++) {
    turned[i] = weight[(i * 5 + 7) % N];
  }
  CU_ASSERT_EQUAL(mb_bound_cardinality(N, 512, weight), mb_bound_cardinality(N, 512, turned));
  CU_ASSERT_EQUAL(mb_bound_cardinality(N, 2, weight), mb_bound_cardinality(N, 2, turned));
  for (size_t i = 0; i < N; i++) {
    weight[i] = i < 513 ? 3 : 1;
  }
  CU_ASSERT_EQUAL(mb_bound_cardinality(N, 512, weight), 7);
}

/* --- replicas */

/* The least largest replica over all counts of experts e.. that leave one for each. */
static double best_counts(size_t n, const double *load, size_t slots) {
  double best = INFINITY;

  if (n == 1) {
    return load[0] / (double)slots;
  }
  for (size_t c = 1; c + n - 1 <= slots; c++) {
    best = fmin(best, fmax(load[0] / (double)c, best_counts(n - 1, load + 1, slots - c)));
  }
  return best;
}

static void replication(void) {
  uint64_t state = 23;
  size_t n_mean = 0;

  for (size_t i = 0; i < N_COUNTS; i++) {
    size_t n_gpus = 1 + dice(&state) % 4;
    size_t n_slots = n_gpus * (1 + dice(&state) % 3);
    size_t n = 1 + dice(&state) % (n_slots < 6 ? n_slots : 6);
    mb_shape shape = {1, n, n_slots, 1, 1, n_gpus};
    double load[6], total = 0;
    fill_loads(&state, n, load);
    for (size_t e = 0; e < n; e++) {
      total += load[e];
    }
    double mean = total / (double)n_gpus;
    double expected = fmax(mean, best_counts(n, load, n_slots));
    CU_ASSERT_EQUAL(mb_bound_replication(&shape, load), expected);
    CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, load), expected);
    n_mean += expected == mean;
  }
  CU_ASSERT(n_mean > N_COUNTS / 10 && n_mean < N_COUNTS * 9 / 10);
}

/* Giving replicas one by one, for shapes of the size that there are. */
static void replication_of_many(void) {
  enum { E = 100, P = 128, D = 64 };
  mb_shape shape = {1, E, P, 1, 1, D};
  uint64_t state = 3;
  double load[E];
  size_t n_above = 0;

  for (size_t i = 0; i < 40; i++) {
    double count[E], total = 0;
    size_t largest = 0;
    fill_lognormal_dice(&state, 0.25 * (double)(i % 16), E, load);
    for (size_t e = 0; e < E; e++) {
      count[e] = 1;
      total += load[e];
    }
    for (size_t p = E; p <= P; p++) {
      for (size_t e = 0; e < E; e++) {
        largest = load[e] / count[e] > load[largest] / count[largest] ? e : largest;
      }
      count[largest] += p < P;
    }
    double replica = load[largest] / count[largest];
    CU_ASSERT_EQUAL(mb_bound_replication(&shape, load), fmax(total / D, replica));
    n_above += replica > total / D;
  }
  CU_ASSERT(n_above > 4 && n_above < 36);
}

/* One group a node: each node is a layer of its own. */
static void nodes_of_one_group(void) {
  enum { N = 8, E = 96, P = 128, D = 64 };
  mb_shape shape = {1, E, P, N, N, D};
  mb_shape node = {1, E / N, P / N, 1, 1, D / N};
  uint64_t state = 9;
  double load[E];
  size_t n_above = 0;

  for (size_t i = 0; i < 40; i++) {
    double expected = 0;
    fill_lognormal_dice(&state, 0.25 * (double)(i % 16), E, load);
    for (size_t n = 0; n < N; n++) {
      double of_node = mb_bound_replication(&node, load + n * (E / N));
      double sum = 0;
      for (size_t e = n * (E / N); e < (n + 1) * (E / N); e++) {
        sum += load[e];
      }
      size_t node_gpus = D / N;
      n_above += of_node > sum / (double)node_gpus;
      expected = fmax(expected, of_node);
    }
    CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, load), expected);
  }
  CU_ASSERT(n_above > 40 && n_above < 280);
}

/* Groups of every number, some more than need no allocation, against what refinements make. */
static void hierarchies(void) {
  static const mb_shape shapes[] = {{1, 256, 288, 8, 4, 32}, {1, 256, 320, 16, 4, 64},
                                    {1, 64, 80, 16, 2, 16},  {1, 60, 72, 12, 4, 24},
                                    {1, 60, 72, 60, 4, 24},  {1, 1024, 1088, 1024, 2, 64}};
  static double load[1024];
  static int32_t map[1088];
  uint64_t state = 17;

  for (size_t i = 0; i < 90; i++) {
    const mb_shape *shape = &shapes[i % 6];
    mb_placement placement = {map, NULL, NULL};
    fill_lognormal_dice(&state, 0.25 * (double)(1 + i % 10), shape->n_experts, load);
    double bound = mb_bound_hierarchy(shape, load);
    CU_ASSERT(bound >= mb_bound_replication(shape, load));
    for (size_t r = 0; mb_refinements()[r] != NULL; r++) {
      CHECK_OK(mb_rebalance(shape, load, mb_refinements()[r], NULL, &placement));
      CU_ASSERT(gpu_load_max(shape, load, map, NULL) >= bound * (1 - 1e-14));
    }
  }
}

/* Two nodes with 2 of 4 groups each: that of the hot expert has 60 + 1 and another group's 2. Then
 * groups of 10, 10, 9 and 1: two of the first three meet. No load; loads of any size. */
static void by_hand(void) {
  mb_shape shape = {1, 8, 12, 4, 2, 4};
  double hot[] = {60, 1, 1, 1, 1, 1, 1, 1};
  double heavy[] = {5, 5, 5, 5, 5, 4, 1, 0};
  double none[8] = {0};
  double large[] = {9007199254740992.0, 0, 0, 0, 0, 0, 0, 4.9e-324};
  double small[] = {4.9e-324, 0, 0, 0, 0, 0, 0, 0};

  CU_ASSERT_EQUAL(mb_bound_replication(&shape, hot), 67.0 / 4);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, hot), 63.0 / 2);
  CU_ASSERT_EQUAL(mb_bound_replication(&shape, heavy), 30.0 / 4);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, heavy), 19.0 / 2);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, none), 0);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, large), large[0] / 2);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, small), 0);
  shape.n_gpus = 12; /* one slot each: 3 replicas of the hot one, though 5 without nodes */
  CU_ASSERT_EQUAL(mb_bound_replication(&shape, hot), 60.0 / 5);
  CU_ASSERT_EQUAL(mb_bound_hierarchy(&shape, hot), 60.0 / 3);
}

/* --- all placements */

/* Whether each node holds G/N whole groups; of a global shape, whether each expert is somewhere. */
static bool is_allowed(const mb_shape *shape, const int32_t *map) {
  size_t n_nodes = mb_shape_is_hierarchical(shape) ? shape->n_nodes : 1;
  size_t n_groups = n_nodes > 1 ? shape->n_groups : 1;
  size_t node_of[MAX_SLOTS];
  size_t n_held[MAX_SLOTS] = {0};

  for (size_t e = 0; e < MAX_SLOTS; e++) {
    node_of[e] = SIZE_MAX;
  }
  for (size_t p = 0; p < shape->n_slots; p++) {
    size_t node = p / (shape->n_slots / n_nodes);
    if (node_of[map[p]] != SIZE_MAX && node_of[map[p]] != node) {
      return false;
    }
    node_of[map[p]] = node;
  }
  for (size_t e = 0; e < shape->n_experts; e++) {
    size_t first = e - e % (shape->n_experts / n_groups);
    if (node_of[e] == SIZE_MAX || node_of[e] != node_of[first]) {
      return false;
    }
    n_held[node_of[e]]++;
  }
  for (size_t node = 0; node < n_nodes; node++) {
    if (n_held[node] != shape->n_experts / n_nodes) {
      return false;
    }
  }
  return true;
}

/* All placements that are allowed, those that only order a GPU's slots otherwise left out. */
static size_t list_maps(const mb_shape *shape, int32_t (*maps)[MAX_SLOTS]) {
  int32_t map[MAX_SLOTS] = {0};
  size_t k = shape->n_slots / shape->n_gpus;
  size_t n_maps = 0;

  for (;;) {
    bool ordered = true;
    size_t p = 0;
    for (size_t q = 1; q < shape->n_slots; q++) {
      ordered = ordered && (q % k == 0 || map[q - 1] <= map[q]);
    }
    if (ordered && is_allowed(shape, map)) {
      CU_ASSERT_FATAL(n_maps < MAX_MAPS);
      memcpy(maps[n_maps++], map, sizeof map);
    }
    while (p < shape->n_slots && ++map[p] == (int32_t)shape->n_experts) {
      map[p++] = 0;
    }
    if (p == shape->n_slots) {
      return n_maps;
    }
  }
}

/* The best of all placements, each with its best dispatch. */
static double best_placement(size_t n_maps, int32_t (*maps)[MAX_SLOTS], mb_split *split,
                             const double *load) {
  double slot_load[MAX_SLOTS];
  double best = INFINITY;

  for (size_t i = 0; i < n_maps; i++) {
    mb_split_result result = {0};
    CHECK_OK(mb_split_prepare(split, maps[i], NULL));
    CHECK_OK(mb_split_solve(split, load, NULL, slot_load, &result));
    best = fmin(best, result.load_max);
  }
  return best;
}

/* How often bounds are below, and how often they are what can be had. */
static void placements_of(const mb_shape *shape, size_t at_least) {
  static int32_t maps[MAX_MAPS][MAX_SLOTS];
  size_t n_maps = list_maps(shape, maps);
  uint64_t state = shape->n_slots;
  mb_split *split = NULL;
  size_t n_tight = 0;

  CHECK_OK(mb_split_create(shape, &split));
  CU_ASSERT_PTR_NOT_NULL_FATAL(split);
  for (size_t i = 0; i < N_LOADS; i++) {
    double load[MAX_SLOTS];
    fill_loads(&state, shape->n_experts, load);
    double best = best_placement(n_maps, maps, split, load);
    double bound = mb_bound_hierarchy(shape, load);
    CU_ASSERT(bound <= best * (1 + 1e-14));
    CU_ASSERT(mb_bound_replication(shape, load) <= bound);
    n_tight += bound >= best * (1 - 1e-14);
  }
  (void)printf("\n    E %zu P %zu G %zu N %zu D %zu: %zu placements, %zu of %d bounds attained",
               shape->n_experts, shape->n_slots, shape->n_groups, shape->n_nodes, shape->n_gpus,
               n_maps, n_tight, N_LOADS);
  CU_ASSERT(n_tight >= at_least);
  mb_split_destroy(split);
}

static void placements(void) {
  placements_of(&(mb_shape){1, 3, 6, 1, 1, 3}, 50);
  placements_of(&(mb_shape){1, 4, 6, 1, 1, 3}, 50);
  placements_of(&(mb_shape){1, 3, 6, 3, 2, 2}, 50); /* global: 3 groups on 2 nodes */
  placements_of(&(mb_shape){1, 4, 6, 4, 2, 2}, 50);
  placements_of(&(mb_shape){1, 4, 8, 4, 2, 4}, 50);
  placements_of(&(mb_shape){1, 4, 8, 2, 2, 4}, 50);
  placements_of(&(mb_shape){1, 6, 6, 6, 2, 2}, 50);
  placements_of(&(mb_shape){1, 6, 6, 6, 3, 3}, 50);
  (void)printf("\n    ");
}

int main(void) {
  CU_TestInfo tests[] = {{"B2 against all packings", cardinality},
                         {"B2 by hand", cardinality_by_hand},
                         {"B2 of Zipf's law", cardinality_of_zipf},
                         {"B2 of many items", cardinality_of_many},
                         {"replication against all counts", replication},
                         {"replication of many experts", replication_of_many},
                         {"nodes of one group", nodes_of_one_group},
                         {"hierarchical placements", hierarchies},
                         {"nodes by hand", by_hand},
                         {"no placement and dispatch is below", placements},
                         CU_TEST_INFO_NULL};
  return run_suite("bounds", tests);
}
