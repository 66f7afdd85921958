/* tests/test_dispatch.c - even dispatch on examples worked out by hand. */
#include "sim/dispatch.h"

#include "tests/test.h"

/* Expert 0 has three replicas, two of them on one GPU; expert 2 idles. */
static void shares(void) {
  mb_shape shape = {1, 3, 6, 1, 1, 3};
  uint32_t load[] = {10, 7, 0};
  int32_t map[] = {0, 0, 1, 2, 0, 1};
  int32_t count[] = {3, 2, 1};
  double expected[] = {10.0 / 3.0, 10.0 / 3.0, 3.5, 0.0, 10.0 / 3.0, 3.5};
  double slot_load[6] = {-1, -1, -1, -1, -1, -1};

  mb_dispatch_even_split(&shape, load, map, count, slot_load);
  for (size_t p = 0; p < 6; p++) {
    CU_ASSERT_EQUAL(slot_load[p], expected[p]);
  }
}

/* The largest load that a trace can hold isn't taken for a negative number. */
static void largest_load(void) {
  mb_shape shape = {1, 2, 3, 1, 1, 3};
  uint32_t load[] = {UINT32_MAX, 1};
  int32_t map[] = {0, 1, 0};
  int32_t count[] = {2, 1};
  double slot_load[3];

  mb_dispatch_even_split(&shape, load, map, count, slot_load);
  CU_ASSERT_EQUAL(slot_load[0], 2147483647.5);
  CU_ASSERT_EQUAL(slot_load[1], 1.0);
  CU_ASSERT_EQUAL(slot_load[2], 2147483647.5);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"replicas get equal shares", shares}, {"the largest load", largest_load}, CU_TEST_INFO_NULL};
  return run_suite("dispatch", tests);
}
