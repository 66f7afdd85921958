/* tests/test_slices.c - l2slices and stay: swaps against their twin and brute force, and what the
 * planners promise. */
#include "balancer/naive/slices.h"
#include "tests/rivals.h"

enum { N_INSTANCES = 120, ITEMS_MAX = 40, SLICES_MAX = 24 };

/* A random packing problem in arrays of its own. */
typedef struct instance {
  mb_slices_items items;
  mb_slices_rule rule;
  double load[SLICES_MAX * ITEMS_MAX];
  int32_t kind[ITEMS_MAX];
  int32_t pack_of[ITEMS_MAX];
  bool held[ITEMS_MAX * ITEMS_MAX];
} instance;

static size_t roll(uint64_t *state, size_t from, size_t to) {
  return from + dice(state) % (to - from + 1);
}

/* Few values where `ties`, so that scores are often equal. */
static void fill_instance(uint64_t *state, instance *x) {
  size_t m = roll(state, 2, 6);
  size_t k = roll(state, 2, ITEMS_MAX / m < 7 ? ITEMS_MAX / m : 7);
  size_t n = m * k;
  size_t n_kinds = roll(state, (n + 1) / 2, n);
  bool ties = dice(state) % 3 == 0;

  x->items =
      (mb_slices_items){n, m, n_kinds, roll(state, 1, SLICES_MAX), x->load, x->kind, x->held};
  for (size_t v = 0; v < x->items.n_slices * n_kinds; v++) {
    x->load[v] =
        ties ? (double)(dice(state) % 4) : floor(exp(8 * (dice(state) / 4294967296.0))) / 3;
  }
  for (size_t i = 0; i < n; i++) {
    x->kind[i] = (int32_t)(i < n_kinds ? i : roll(state, 0, n_kinds - 1));
    x->pack_of[i] = (int32_t)(i % m);
  }
  for (size_t i = 0; i < n; i++) {
    size_t j = roll(state, 0, n - 1);
    int32_t pack = x->pack_of[i];
    x->pack_of[i] = x->pack_of[j];
    x->pack_of[j] = pack;
  }
  for (size_t v = 0; v < m * n_kinds; v++) {
    x->held[v] = dice(state) % m == 0;
  }
  if (dice(state) % 4 == 0) {
    x->items.held = NULL;
  }
  const double costs[] = {0, 0.001, 0.02, 0.3};
  const int64_t rounds[] = {MB_ROUNDS_UNLIMITED, 3, 0, MB_ROUNDS_UNLIMITED};
  x->rule = (mb_slices_rule){costs[dice(state) % 4], dice(state) % 2 ? 1e-6 : 0.01,
                             rounds[dice(state) % 4]};
}

typedef mb_pack_stats search_function(const mb_slices_items *items, const mb_slices_rule *rule,
                                      int32_t *pack_of, void *scratch);

static mb_pack_stats run_search(const instance *x, bool maxima, int32_t *pack_of) {
  const mb_slices_items *items = &x->items;
  search_function *search = maxima ? mb_slices_maxima : mb_slices_squares;
  void *scratch = test_alloc(
      1, maxima ? mb_slices_maxima_size(items->n_items, items->n_packs, items->n_kinds,
                                        items->n_slices)
                : mb_slices_squares_size(items->n_items, items->n_packs, items->n_kinds));

  memcpy(pack_of, x->pack_of, items->n_items * sizeof *pack_of);
  mb_pack_stats stats = search(items, &x->rule, pack_of, scratch);
  free(scratch);
  return stats;
}

static void test_twin(void) {
  uint64_t state = 20210;

  for (size_t at = 0; at < N_INSTANCES; at++) {
    static instance x;
    fill_instance(&state, &x);
    for (int maxima = 0; maxima < 2; maxima++) {
      int32_t fast[ITEMS_MAX];
      int32_t naive[ITEMS_MAX];
      mb_pack_stats expected = {0};
      mb_pack_stats stats = run_search(&x, maxima != 0, fast);
      memcpy(naive, x.pack_of, sizeof naive);
      CHECK_OK(mb_naive_slices(&x.items, &x.rule, maxima ? MB_NAIVE_MAXIMA : MB_NAIVE_SQUARES,
                               naive, &expected));
      CU_ASSERT(memcmp(fast, naive, x.items.n_items * sizeof *fast) == 0);
      CU_ASSERT_EQUAL(stats.swaps, expected.swaps);
      CU_ASSERT_EQUAL(stats.rounds, expected.rounds);
    }
  }
}

/* --- objectives, written down once more --- */

static void sum_loads(const instance *x, const int32_t *pack_of, size_t s, double *load) {
  memset(load, 0, x->items.n_packs * sizeof *load);
  for (size_t i = 0; i < x->items.n_items; i++) {
    load[pack_of[i]] += x->load[s * x->items.n_kinds + (size_t)x->kind[i]];
  }
}

static double objective(const instance *x, bool maxima, const int32_t *pack_of) {
  double sum = 0;

  for (size_t s = 0; s < x->items.n_slices; s++) {
    double load[ITEMS_MAX];
    double largest = 0;
    sum_loads(x, pack_of, s, load);
    for (size_t a = 0; a < x->items.n_packs; a++) {
      sum += maxima ? 0 : load[a] * load[a];
      largest = load[a] > largest ? load[a] : largest;
    }
    sum += maxima ? largest : 0;
  }
  return sum;
}

static int moved(const instance *x, const int32_t *pack_of) {
  static bool seen[ITEMS_MAX * ITEMS_MAX];
  int sum = 0;

  memset(seen, 0, sizeof seen);
  for (size_t i = 0; i < x->items.n_items; i++) {
    size_t at = (size_t)pack_of[i] * x->items.n_kinds + (size_t)x->kind[i];
    sum += !seen[at] && !x->held[at];
    seen[at] = true;
  }
  return sum;
}

/* No swap is left that gains more than min_gain; what is left fell; packs are as full as before. */
static void test_local_optimum(void) {
  uint64_t state = 7;

  for (size_t at = 0; at < N_INSTANCES; at++) {
    static instance x;
    int32_t pack_of[ITEMS_MAX];
    size_t in[ITEMS_MAX] = {0};
    bool maxima = at % 2 != 0;
    fill_instance(&state, &x);
    x.rule = (mb_slices_rule){0, 1e-9, MB_ROUNDS_UNLIMITED};
    (void)run_search(&x, maxima, pack_of);
    double reached = objective(&x, maxima, pack_of);
    CU_ASSERT(reached <= objective(&x, maxima, x.pack_of) * (1 + 1e-12));
    for (size_t i = 0; i < x.items.n_items; i++) {
      in[pack_of[i]]++;
      for (size_t j = i + 1; j < x.items.n_items; j++) {
        int32_t swapped[ITEMS_MAX];
        memcpy(swapped, pack_of, sizeof swapped);
        swapped[i] = pack_of[j];
        swapped[j] = pack_of[i];
        CU_ASSERT(objective(&x, maxima, swapped) >= reached * (1 - 1e-8));
      }
    }
    for (size_t a = 0; a < x.items.n_packs; a++) {
      CU_ASSERT_EQUAL(in[a], x.items.n_items / x.items.n_packs);
    }
  }
}

/* Three items in each of two packs: ten packings. Best exchange finds the least of most. */
static void test_brute_force(void) {
  uint64_t state = 99;
  size_t found = 0;
  enum { TRIALS = 200 };

  for (size_t at = 0; at < TRIALS; at++) {
    static instance x;
    int32_t pack_of[6];
    double least = INFINITY;
    bool maxima = at % 2 != 0;
    x.items = (mb_slices_items){6, 2, 6, 5, x.load, x.kind, NULL};
    x.rule = (mb_slices_rule){0, 0, MB_ROUNDS_UNLIMITED};
    for (size_t v = 0; v < 30; v++) {
      x.load[v] = (double)(dice(&state) % 100);
    }
    for (int32_t i = 0; i < 6; i++) {
      x.kind[i] = i;
      x.pack_of[i] = i % 2;
    }
    for (unsigned set = 0; set < 64; set++) {
      int32_t other[6];
      int32_t n_in = 0;
      for (unsigned i = 0; i < 6; i++) {
        other[i] = (int32_t)(set >> i & 1);
        n_in += other[i];
      }
      double value = n_in == 3 ? objective(&x, maxima, other) : INFINITY;
      least = value < least ? value : least;
    }
    (void)run_search(&x, maxima, pack_of);
    double reached = objective(&x, maxima, pack_of);
    CU_ASSERT(reached >= least);
    found += reached == least;
  }
  CU_ASSERT(found >= TRIALS * 3 / 4);
}

/* Every swap pays: what falls is at least the price of what moves; and dearer moves are fewer. */
static void test_move_cost(void) {
  const double costs[] = {0, 0.003, 0.03, 0.3};
  long sum[4] = {0};
  uint64_t state = 3;

  for (size_t at = 0; at < N_INSTANCES; at++) {
    static instance x;
    fill_instance(&state, &x);
    x.items.held = x.held;
    memset(x.held, 0, sizeof x.held);
    for (size_t i = 0; i < x.items.n_items; i++) {
      x.held[(size_t)x.pack_of[i] * x.items.n_kinds + (size_t)x.kind[i]] = true;
    }
    for (size_t c = 0; c < 4; c++) {
      int32_t pack_of[ITEMS_MAX];
      x.rule = (mb_slices_rule){costs[c], 0, MB_ROUNDS_UNLIMITED};
      (void)run_search(&x, at % 2 != 0, pack_of);
      sum[c] += moved(&x, pack_of);
    }
    int32_t stays[ITEMS_MAX];
    x.rule = (mb_slices_rule){10, 0, MB_ROUNDS_UNLIMITED};
    (void)run_search(&x, at % 2 != 0, stays);
    CU_ASSERT_EQUAL(moved(&x, stays), 0);
  }
  CU_ASSERT(sum[0] > sum[1] && sum[1] > sum[2] && sum[2] > sum[3] && sum[3] > 0);
}

/* --- planners --- */

static const mb_shape hierarchical = {3, 32, 48, 8, 2, 8};

static double *slices_of(uint64_t *state, const mb_shape *s, size_t n_slices) {
  size_t row = s->n_layers * s->n_experts;
  double *load = test_alloc(n_slices * row, sizeof *load);

  for (size_t x = 0; x < n_slices; x++) {
    fill_lognormal_dice(state, 1, row, load + x * row);
  }
  return load;
}

static int32_t *plan_anew(const char *name, const mb_shape *s, const char *const *settings,
                          const double *load) {
  int32_t *map = test_alloc(s->n_layers * s->n_slots, sizeof *map);
  bool *replaced = test_alloc(s->n_layers, sizeof *replaced);

  plan_from_linear(name, s, settings, load, replaced, map);
  free(replaced);
  return map;
}

static void check_same(const mb_shape *s, int32_t *a, int32_t *b, bool same) {
  size_t size = s->n_layers * s->n_slots * sizeof *a;

  CU_ASSERT_EQUAL(memcmp(a, b, size) == 0, same);
  free(a);
  free(b);
}

static void test_one_slice_is_l2(void) {
  const mb_shape shapes[] = {
      hierarchical, {2, 16, 20, 1, 1, 4}, {2, 12, 16, 1, 1, 16}, {1, 8, 8, 8, 8, 8}};
  const char *const one[] = {"slices", "1", "max_rounds", "50", NULL};
  const char *const flat[] = {"slices", "7", "lambda", "0", "max_rounds", "50", NULL};
  uint64_t state = 11;

  for (size_t x = 0; x < 100; x++) {
    const mb_shape *s = &shapes[x % (sizeof shapes / sizeof shapes[0])];
    double *load = slices_of(&state, s, 1);
    for (size_t v = 0; x % 2 != 0 && v < s->n_layers * s->n_experts; v++) {
      load[v] = (double)(dice(&state) % 8);
    }
    check_same(s, plan_anew("l2slices", s, one, load), plan_anew("l2", s, NULL, load), true);
    check_same(s, plan_anew("l2slices", s, flat, load), plan_anew("l2", s, NULL, load), true);
    free(load);
  }
}

/* The same slice over and over has no more to tell than one: the search by products makes the
   swaps of l2 where sums of squares are whole numbers that doubles hold. */
static void test_equal_slices(void) {
  const mb_shape s = {4, 24, 24, 1, 1, 6};
  const char *const settings[] = {"slices", "4", "max_rounds", "50", NULL};
  const size_t row = s.n_layers * s.n_experts;
  uint64_t state = 5;
  double *load = slices_of(&state, &s, 4);

  for (size_t x = 1; x < 4; x++) {
    memcpy(load + x * row, load, row * sizeof *load);
  }
  check_same(&s, plan_anew("l2slices", &s, settings, load), plan_anew("l2", &s, NULL, load), true);
  free(load);
}

/* Experts 0 and 1 are hot together, 2 and 3 at other times; all have the same sum. */
static void test_parts_what_is_hot_together(void) {
  const mb_shape s = {1, 4, 4, 1, 1, 2};
  const double load[8] = {30, 30, 10, 10, 10, 10, 30, 30};
  const char *const two[] = {"slices", "2", NULL};

  for (size_t x = 0; x < 2; x++) {
    int32_t *map = plan_anew(x ? "stay" : "l2slices", &s, two, load);
    CU_ASSERT_EQUAL(map[0] / 2 + map[1] / 2, 1);
    free(map);
  }
}

/* lambda 4 doubles how far experts depart from their shares; permuted slices are other slices. */
static void test_ablations(void) {
  uint64_t state = 21;
  double *load = slices_of(&state, &hierarchical, 8);
  const char *const plain[] = {"slices", "8", NULL};
  const char *const permuted[] = {"slices", "8", "permute", "true", NULL};
  const char *const seeded[] = {"slices", "8", "permute", "true", "seed", "2", NULL};
  const char *const weighed[] = {"slices", "8", "lambda", "0.25", NULL};
  const char *const by_slices[] = {"slices", "8", "replication", "slices", NULL};
  const char *const empty[] = {"slices", "9", NULL};
  const char *const *const others[] = {permuted, weighed, by_slices};
  const mb_shape *s = &hierarchical;
  const size_t row = s->n_layers * s->n_experts;

  for (size_t x = 0; x < 3; x++) {
    check_same(s, plan_anew("l2slices", s, plain, load), plan_anew("l2slices", s, others[x], load),
               false);
  }
  check_same(s, plan_anew("l2slices", s, permuted, load), plan_anew("l2slices", s, permuted, load),
             true);
  check_same(s, plan_anew("l2slices", s, permuted, load), plan_anew("l2slices", s, seeded, load),
             false);
  double *more = test_alloc(9 * row, sizeof *more); /* an empty slice before the last */
  memcpy(more, load, 7 * row * sizeof *load);
  memset(more + 7 * row, 0, row * sizeof *load);
  memcpy(more + 8 * row, load + 7 * row, row * sizeof *load);
  check_same(s, plan_anew("l2slices", s, plain, load), plan_anew("l2slices", s, empty, more), true);
  free(more);
  free(load);
}

/* The experts of l2's plan that a weight of the covariance part makes: lambda -> 0 is l2's sum. */
static void test_small_lambda(void) {
  const mb_shape s = {3, 24, 24, 1, 1, 6};
  const char *const small[] = {"slices", "6", "lambda", "1e-12", "max_rounds", "50", NULL};
  const size_t row = s.n_layers * s.n_experts;
  uint64_t state = 8;
  double *load = slices_of(&state, &s, 6);
  double *sum = test_alloc(row, sizeof *sum);

  for (size_t v = 0; v < 6 * row; v++) {
    sum[v % row] = (v < row ? 0 : sum[v % row]) + load[v];
  }
  check_same(&s, plan_anew("l2slices", &s, small, load), plan_anew("l2", &s, NULL, sum), true);
  free(sum);
  free(load);
}

/* Two plans from the same loads: the second moves nothing. And stay moves less than l2slices when
   loads change a little. */
static void check_stays(bool both) {
  const mb_shape *s = &hierarchical;
  const char *const settings[] = {"slices", "8", "objective", both ? "both" : "squares", NULL};
  const char *const dear[] = {"slices", "8", "move_cost", "100", NULL};
  const size_t n_map = s->n_layers * s->n_slots;
  uint64_t state = 31;
  double *load = slices_of(&state, s, 8);
  int32_t *first = plan_anew("stay", s, settings, load);
  int32_t *again = test_alloc(n_map, sizeof *again);
  int32_t *scratch = test_alloc(s->n_experts, sizeof *scratch);
  bool replaced[3];
  int32_t sum[3] = {0};

  for (size_t pass = 0; pass < 3; pass++) {
    mb_planner *planner = make_planner(pass == 2 ? "l2slices" : "stay", s, settings);
    memcpy(again, first, n_map * sizeof *again);
    for (size_t v = 0; pass == 1 && v < 8 * s->n_layers * s->n_experts; v++) {
      load[v] = floor(load[v] * (1 + 0.2 * (dice(&state) / 4294967296.0)));
    }
    plan_with(planner, s, load, replaced, again);
    for (size_t l = 0; l < s->n_layers; l++) {
      sum[pass] +=
          mb_placement_moved_experts(s, first + l * s->n_slots, again + l * s->n_slots, scratch);
    }
    mb_planner_destroy(planner);
  }
  CU_ASSERT_EQUAL(sum[0], 0);
  CU_ASSERT(sum[1] < sum[2]);

  /* Other loads and dear moves: only what the replicas' numbers ask for, and as many are enough. */
  mb_planner *planner = make_planner("stay", s, dear);
  int32_t *kept = test_alloc(n_map, sizeof *kept);
  fill_lognormal_dice(&state, 1, 8 * s->n_layers * s->n_experts, load);
  memcpy(kept, first, n_map * sizeof *kept);
  plan_with(planner, s, load, replaced, kept);
  int32_t least = 0;
  for (size_t l = 0; l < s->n_layers; l++) {
    int32_t moves =
        mb_placement_moved_experts(s, first + l * s->n_slots, kept + l * s->n_slots, scratch);
    int32_t *counts = test_alloc(2 * s->n_experts, sizeof *counts);
    CHECK_OK(mb_placement_count(s, first + l * s->n_slots, counts));
    CHECK_OK(mb_placement_count(s, kept + l * s->n_slots, counts + s->n_experts));
    for (size_t e = 0; e < s->n_experts; e++) {
      int32_t more = counts[s->n_experts + e] - counts[e];
      least += more > 0 ? more : 0;
    }
    CU_ASSERT(moves <= least);
    least = 0;
    free(counts);
  }
  mb_planner_destroy(planner);
  free(kept);
  free(first);
  free(again);
  free(scratch);
  free(load);
}

/* Copies by hand. Sums are 20 and 18; but expert 1 has all its load in one slice. */
static void test_replication_by_risk(void) {
  const mb_shape s = {1, 5, 6, 1, 1, 2};
  const double load[10] = {10, 0, 1, 1, 1, 10, 18, 1, 1, 1};
  const char *const rules[] = {"sum", "risk"};

  for (size_t x = 0; x < 2; x++) {
    const char *const settings[] = {"slices", "2", "replication", rules[x], NULL};
    int32_t *map = plan_anew("l2slices", &s, settings, load);
    int32_t count[5];
    CHECK_OK(mb_placement_count(&s, map, count));
    CU_ASSERT_EQUAL(count[x], 2);
    free(map);
  }
}

/* Expert 1 gets the second replica that 0 had. GPU 1 holds 17 then, GPU 0 but 12: it gives up its
   0, and so 1 comes to both. */
static void test_repair_by_hand(void) {
  const mb_shape s = {1, 3, 4, 1, 1, 2};
  const double load[3] = {2, 20, 15};
  int32_t map[4] = {0, 1, 0, 2};
  bool replaced[1];
  mb_planner *planner =
      make_planner("stay", &s, (const char *const[]){"slices", "1", "max_rounds", "0", NULL});

  plan_with(planner, &s, load, replaced, map);
  CU_ASSERT_EQUAL(map[0], 1);
  CU_ASSERT_EQUAL(map[1], 0);
  CU_ASSERT_EQUAL(map[2], 2);
  CU_ASSERT_EQUAL(map[3], 1);
  mb_planner_destroy(planner);
}

/* How far the sum of the slices' largest GPU loads is above that of the means. */
static double above_of(const mb_shape *s, const double *load, size_t n_slices, const int32_t *map) {
  double sum = 0;

  for (size_t x = 0; x < n_slices; x++) {
    double mean = 0;
    sum += gpu_load_max(s, load + x * s->n_experts, map, &mean);
    sum -= mean;
  }
  return sum;
}

/* One replica each, so that the start is the placement in force: `both` costs no more than either
   of its two searches would, moves and all. */
static void test_both_is_the_cheaper(void) {
  const mb_shape s = {1, 24, 24, 1, 1, 4};
  const double price = 0.02;
  const char *const objectives[] = {"maxima", "both"};
  uint64_t state = 77;

  for (size_t at = 0; at < 40; at++) {
    double *load = slices_of(&state, &s, 8);
    double cost[2];
    for (size_t x = 0; x < 2; x++) {
      const char *const settings[] = {"slices",    "8",    "objective", objectives[x],
                                      "move_cost", "0.02", NULL};
      int32_t scratch[24];
      int32_t linear[24];
      mb_placement_linear(&s, linear);
      int32_t *map = plan_anew("stay", &s, settings, load);
      int32_t moves = mb_placement_moved_experts(&s, linear, map, scratch);
      cost[x] = above_of(&s, load, 8, map) + price * moves * above_of(&s, load, 8, linear);
      free(map);
    }
    CU_ASSERT(cost[1] <= cost[0] * (1 + 1e-9));
    free(load);
  }
}

static void test_stays(void) {
  check_stays(false);
  check_stays(true);
}

int main(void) {
  CU_TestInfo tests[] = {{"swaps as their twin", test_twin},
                         {"no swap is left that gains", test_local_optimum},
                         {"against brute force", test_brute_force},
                         {"moves are paid for", test_move_cost},
                         {"one slice is l2", test_one_slice_is_l2},
                         {"equal slices are one", test_equal_slices},
                         {"what is hot together is parted", test_parts_what_is_hot_together},
                         {"lambda, permuted and empty slices", test_ablations},
                         {"little lambda is l2", test_small_lambda},
                         {"replicas by risk", test_replication_by_risk},
                         {"replicas that come and go", test_repair_by_hand},
                         {"both is the cheaper of two", test_both_is_the_cheaper},
                         {"what pays for no move stays", test_stays},
                         CU_TEST_INFO_NULL};

  return run_suite("slices", tests);
}
