/* tests/test_swift.c - swift: by hand, and what it promises on random layers. */
#include "tests/rivals.h"

static void swift(const mb_shape *s, const char *const *settings, const double *load,
                  bool *replaced, int32_t *map) {
  mb_planner *planner = make_planner("swift", s, settings);

  plan_with(planner, s, load, replaced, map);
  mb_planner_destroy(planner);
}

/* GPU 3's two slots are redundant. Copies by load: two of expert 2, with 80 / 3 each. The first
   goes to GPU 3, into its last slot; the second finds no other empty slot. With two replicas of 2
   at 40, the largest that may come to GPU 3 is expert 4 (2 is there, 3 would be the second from GPU
   1). GPUs then have 20, 60, 60, 60; the last, the hottest of equals, has but what came, and it
   ends. */
static void test_redundant(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 6, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 4};
  const double load[6] = {10, 10, 80, 20, 40, 40};
  const int32_t expected[8] = {0, 1, 2, 3, 4, 5, 4, 2};
  int32_t map[8] = {0, 1, 2, 3, 4, 5, 0, 1};
  bool replaced[1];

  swift(&s, NULL, load, replaced, map);
  CU_ASSERT(replaced[0]);
  CU_ASSERT(memcmp(map, expected, sizeof expected) == 0);
}

/* Copies are given to 0, 1, 0, with 10 and 8 a replica, and so go out as 0, 0, 1: to the GPUs as
   they are filled, of loads 1, 2 and 3. All that GPU 0 may send has gone then. */
static void test_order_of_copies(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 5, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 4};
  const double load[5] = {30, 16, 1, 2, 3};
  const int32_t expected[8] = {0, 1, 2, 0, 3, 0, 4, 1};
  int32_t map[8] = {0, 1, 2, 0, 3, 0, 4, 0};
  bool replaced[1];

  swift(&s, NULL, load, replaced, map);
  CU_ASSERT(replaced[0]);
  CU_ASSERT(memcmp(map, expected, sizeof expected) == 0);
}

/* Without any transfer the redundant slots keep what they had, and there is nothing better. */
static void test_no_transfers(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 6, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 4};
  const double load[6] = {10, 10, 80, 20, 40, 40};
  const int32_t expected[8] = {0, 1, 2, 3, 4, 5, 0, 1};
  int32_t map[8] = {0, 1, 2, 3, 4, 5, 0, 1};
  bool replaced[1];

  swift(&s, (const char *const[]){"num_max_com", "0", NULL}, load, replaced, map);
  CU_ASSERT(!replaced[0]);
  CU_ASSERT(memcmp(map, expected, sizeof expected) == 0);
}

/* 8 6 | 1 1: both swaps of 8 leave 9 at most, as does that of 6; the first in slot order is made,
   and the pair has had its transfer. It gains 5 of the mean 8. */
static void test_swap(void) {
  const mb_shape s = packing_shape(4, 2);
  const double load[4] = {8, 6, 1, 1};
  const int32_t expected[4] = {2, 1, 0, 3};
  const struct {
    const char *settings[3];
    bool replaced;
  } cases[] = {{{NULL}, true},
               {{"increment", "0.625", NULL}, true},
               {{"increment", "0.626", NULL}, false},
               {{"max_swap_times", "0", NULL}, false},
               {{"imbalance_threshold", "1.75", NULL}, true},
               {{"imbalance_threshold", "1.76", NULL}, false}};

  for (size_t x = 0; x < sizeof cases / sizeof cases[0]; x++) {
    int32_t map[4] = {0, 1, 2, 3};
    bool replaced[1];
    swift(&s, cases[x].settings, load, replaced, map);
    CU_ASSERT_EQUAL(replaced[0], cases[x].replaced);
    CU_ASSERT(!cases[x].replaced || memcmp(map, expected, sizeof expected) == 0);
  }
}

/* 9 3 | 4 2 | 1 1: the hottest GPU and the coldest swap 9 with the first 1, for 4 and 10; 3 with 1
   would be as good, but stands behind. Now the last GPU is the hottest, but its 9 came just now,
   and its 1 relieves nothing. */
static void test_fresh(void) {
  const mb_shape s = packing_shape(6, 3);
  const double load[6] = {9, 3, 4, 2, 1, 1};
  const int32_t expected[6] = {4, 1, 2, 3, 0, 5};
  int32_t map[6] = {0, 1, 2, 3, 4, 5};
  bool replaced[1];

  swift(&s, NULL, load, replaced, map);
  CU_ASSERT(replaced[0]);
  CU_ASSERT(memcmp(map, expected, sizeof expected) == 0);
}

/* --- random layers --- */

static size_t holders(const mb_shape *s, const int32_t *map, int32_t expert, size_t *last) {
  size_t k = s->n_slots / s->n_gpus;
  size_t n = 0;

  for (size_t p = 0; p < s->n_slots; p++) {
    if (map[p] == expert) {
      n++;
      *last = p / k;
    }
  }
  return n;
}

static bool gpu_holds(const mb_shape *s, const int32_t *map, size_t gpu, int32_t expert) {
  size_t k = s->n_slots / s->n_gpus;

  for (size_t p = gpu * k; p < (gpu + 1) * k; p++) {
    if (map[p] == expert) {
      return true;
    }
  }
  return false;
}

/* From GPU a to b, experts that only a had: they came from there. */
static void check_transfers(const mb_shape *s, const int32_t *before, const int32_t *after,
                            size_t budget) {
  size_t sent[8][8] = {{0}};
  size_t k = s->n_slots / s->n_gpus;

  for (size_t p = 0; p < s->n_slots; p++) {
    size_t from = 0;
    if (!gpu_holds(s, before, p / k, after[p])) {
      bool only = holders(s, before, after[p], &from) == 1;
      sent[from][p / k] += only;
      CU_ASSERT(!only || sent[from][p / k] <= budget);
    }
  }
}

static void try_layer(uint64_t seed, size_t *n_replaced) {
  const char *const budgets[2][3] = {{NULL}, {"num_max_com", "2", NULL}};
  uint64_t state = seed;
  size_t m = 2 + dice(&state) % 6;
  size_t k = 2 + dice(&state) % 4;
  mb_shape s = packing_shape(m * k, m);
  double load[64];
  int32_t before[64];
  int32_t after[64];
  int32_t count[64];
  bool replaced[1];

  s.n_experts -= dice(&state) % k;
  fill_lognormal_dice(&state, 1, s.n_experts, load);
  plan_from_linear(seed % 2 == 0 ? "snake" : "ldm", &s, NULL, load, replaced, before);
  fill_lognormal_dice(&state, 1, s.n_experts, load);
  for (size_t x = 0; x < 2; x++) {
    memcpy(after, before, sizeof after);
    swift(&s, budgets[x], load, replaced, after);
    *n_replaced += replaced[0];
    CHECK_OK(mb_placement_count(&s, after, count));
    if (replaced[0]) {
      CU_ASSERT(gpu_load_max(&s, load, after, NULL) < gpu_load_max(&s, load, before, NULL));
      check_transfers(&s, before, after, x + 1);
    }
  }
}

static void test_random(void) {
  size_t n_replaced = 0;

  for (uint64_t seed = 1; seed <= 300; seed++) {
    try_layer(seed, &n_replaced);
  }
  CU_ASSERT(n_replaced > 400);
}

/* A layer's outcome is its own: two layers at once, in either order, as each alone. */
static void test_layers(void) {
  const mb_shape one = packing_shape(12, 3);
  mb_shape two = one;
  double load[24];
  int32_t alone[24];
  int32_t both[24];
  bool replaced[2];
  uint64_t state = 7;

  two.n_layers = 2;
  fill_lognormal_dice(&state, 1, 24, load);
  for (size_t l = 0; l < 2; l++) {
    mb_placement_linear(&one, alone + l * 12);
    mb_placement_linear(&one, both + l * 12);
    swift(&one, NULL, load + l * 12, replaced, alone + l * 12);
  }
  swift(&two, NULL, load, replaced, both);
  CU_ASSERT(memcmp(alone, both, sizeof both) == 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"redundant slots by hand", test_redundant},
                         {"the order of copies by hand", test_order_of_copies},
                         {"no transfers, no change", test_no_transfers},
                         {"a swap by hand, and its limits", test_swap},
                         {"what came is not moved on", test_fresh},
                         {"random layers", test_random},
                         {"layers by themselves", test_layers},
                         CU_TEST_INFO_NULL};

  return run_suite("swift", tests);
}
