/* tests/test_placement.c - shapes, and what is counted about placements. */
#include <stdint.h>

#include "balancer/placement.h"
#include "tests/test.h"

static void test_hierarchical(void) {
  mb_shape s = {
      .n_layers = 1, .n_experts = 8, .n_slots = 16, .n_groups = 4, .n_nodes = 2, .n_gpus = 4};

  CHECK_OK(mb_shape_check(&s));
  CU_ASSERT(mb_shape_is_hierarchical(&s));
  CU_ASSERT_EQUAL(mb_shape_max_replicas(&s), 9);
  s.n_groups = 1;
  CU_ASSERT(!mb_shape_is_hierarchical(&s));
  s.n_nodes = 1;
  CU_ASSERT(mb_shape_is_hierarchical(&s));
  s.n_slots = 8;
  CU_ASSERT_EQUAL(mb_shape_max_replicas(&s), 1);
}

static void test_linear(void) {
  const mb_shape s = {
      .n_layers = 9, .n_experts = 3, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
  const int32_t expected[8] = {0, 1, 2, 0, 1, 2, 0, 1};
  int32_t map[8];

  mb_placement_linear(&s, map);
  CU_ASSERT(memcmp(map, expected, sizeof map) == 0);
}

static void test_count(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 3, .n_slots = 6, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
  int32_t count[3] = {9, 9, 9};

  CHECK_OK(mb_placement_count(&s, (const int32_t[]){2, 0, 2, 1, 2, 0}, count));
  CU_ASSERT(count[0] == 2 && count[1] == 1 && count[2] == 3);
  CHECK_FAILS(mb_placement_count(&s, (const int32_t[]){2, 0, 2, 1, 3, 0}, count), MB_ERR_RANGE,
              "slot 4 holds expert 3, but experts are 0 to 2");
  CHECK_FAILS(mb_placement_count(&s, (const int32_t[]){-1, 0, 2, 1, 2, 0}, count), MB_ERR_RANGE,
              "slot 0 holds expert -1, but experts are 0 to 2");
  CHECK_FAILS(mb_placement_count(&s, (const int32_t[]){2, 0, 2, 0, 2, 0}, count), MB_ERR_RANGE,
              "expert 1 is in none of the 6 slots, but has to be in one");
}

/* By hand: a copy counts only beside an earlier one on the same GPU. */
static void test_duplicates(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 3, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};

  CU_ASSERT_EQUAL(mb_placement_duplicate_slots(&s, (const int32_t[]){0, 1, 2, 0, 1, 2, 0, 1}), 2);
  CU_ASSERT_EQUAL(mb_placement_duplicate_slots(&s, (const int32_t[]){0, 0, 0, 0, 1, 1, 2, 2}), 5);
  mb_shape single = s;
  single.n_gpus = 8;
  CU_ASSERT_EQUAL(mb_placement_duplicate_slots(&single, (const int32_t[]){0, 0, 0, 0, 1, 1, 2, 2}),
                  0);
}

/* By hand: what a GPU held already costs nothing, nor does the second copy of what it gets. */
static void test_moved(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 4, .n_slots = 8, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
  const int32_t before[8] = {0, 1, 2, 0, /**/ 3, 1, 2, 3};
  const int32_t shuffled[8] = {2, 0, 0, 1, /**/ 1, 3, 2, 2};
  const int32_t exchanged[8] = {3, 3, 2, 1, /**/ 0, 1, 0, 3};
  int32_t scratch[4];

  CU_ASSERT_EQUAL(mb_placement_moved_experts(&s, before, before, scratch), 0);
  CU_ASSERT_EQUAL(mb_placement_moved_experts(&s, before, shuffled, scratch), 0);
  CU_ASSERT_EQUAL(mb_placement_moved_experts(&s, before, exchanged, scratch), 2);
}

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 16;
}

static bool gpu_holds(const int32_t *slots, size_t n, int32_t expert) {
  bool found = false;
  for (size_t p = 0; p < n; p++) {
    found = found || slots[p] == expert;
  }
  return found;
}

/* Sets of (GPU, expert), told over one by one, against the counts. */
static void test_against_sets(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 5, .n_slots = 12, .n_groups = 1, .n_nodes = 1, .n_gpus = 3};
  uint32_t state = 2024;

  for (int trial = 0; trial < 2000; trial++) {
    int32_t before[12];
    int32_t after[12];
    int32_t scratch[5];
    int32_t moved = 0;
    int32_t held = 0;
    for (size_t p = 0; p < 12; p++) {
      before[p] = (int32_t)(next_random(&state) % 5);
      after[p] = (int32_t)(next_random(&state) % 5);
    }
    for (size_t gpu = 0; gpu < 3; gpu++) {
      for (int32_t e = 0; e < 5; e++) {
        bool is_there = gpu_holds(after + 4 * gpu, 4, e);
        held += is_there;
        moved += is_there && !gpu_holds(before + 4 * gpu, 4, e);
      }
    }
    CU_ASSERT_EQUAL(mb_placement_moved_experts(&s, before, after, scratch), moved);
    CU_ASSERT_EQUAL(mb_placement_duplicate_slots(&s, after), 12 - held);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"hierarchical and global", test_hierarchical},
                         {"the linear placement", test_linear},
                         {"replicas counted, wrong maps refused", test_count},
                         {"duplicate slots", test_duplicates},
                         {"moved experts", test_moved},
                         {"duplicates and moves as sets (seed 2024)", test_against_sets},
                         CU_TEST_INFO_NULL};
  return run_suite("placement", tests);
}
