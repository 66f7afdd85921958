/* tests/test_emulator_runtime.c - the emulated runtime and warp operations answer as CUDA's do, and
 * threads run in the order that was asked for. */
#include <stdint.h>

#include "cuda/host/emulator_control.h"
#include "tests/emulator_runtime.h"
#include "tests/test.h"

#define CHECK_HOLDS(call)                                                       \
  do {                                                                          \
    const char *check_wrong_ = (call);                                          \
    CU_ASSERT_PTR_NULL(check_wrong_);                                           \
    if (check_wrong_ != NULL) {                                                 \
      (void)printf("\n    %s (%s)\n", check_wrong_, mb_emulator_last_report()); \
    }                                                                           \
  } while (0)

enum { LANES = 32, THREADS = 96 };

static void set_environment(const char *name, const char *value) {
  CU_ASSERT_EQUAL_FATAL(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
  mb_emulator_configure(NULL);
}

static void test_answers(void) {
  CHECK_HOLDS(check_device_there());
  CHECK_HOLDS(check_memory());
  CHECK_HOLDS(check_broken_device());
  CHECK_HOLDS(check_early_ends());
  CHECK_HOLDS(check_events());
  CHECK_HOLDS(check_captures());
  CHECK_HOLDS(check_handles());
  CHECK_HOLDS(check_atomics());
  CHECK_HOLDS(check_intrinsics());
}

static void test_missing_device(void) {
  set_environment("MB_EMULATOR_DEVICES", "0");
  CHECK_HOLDS(check_device_missing(100, 1));
  set_environment("MB_EMULATOR_DEVICES", "no-driver");
  CHECK_HOLDS(check_device_missing(35, 0));
  set_environment("MB_EMULATOR_DEVICES", "old-driver");
  CHECK_HOLDS(check_device_missing(35, 1));
  set_environment("MB_EMULATOR_DEVICES", NULL);
  mb_emulator_reset_device();
  CHECK_HOLDS(check_device_there());
}

static void test_ill_said(void) {
  static const char *const wrong[][2] = {{"MB_EMULATOR_DEVICES", "two"},
                                         {"MB_EMULATOR_ORDER", "sideways"},
                                         {"MB_EMULATOR_ORDER", "random:x"},
                                         {"MB_EMULATOR_SHARED_KIB", "228"},
                                         {"MB_EMULATOR_SHARED_KIB", "-1"}};

  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const char *before = getenv(wrong[i][0]);
    char *kept = before != NULL ? strdup(before) : NULL;
    set_environment(wrong[i][0], wrong[i][1]);
    CHECK_HOLDS(check_device_missing(3, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_emulator_last_report(), wrong[i][0]));
    set_environment(wrong[i][0], kept);
    free(kept);
  }
  mb_emulator_reset_device();
  CHECK_HOLDS(check_device_there());
}

/* The lane that `lane` reads, as PTX defines it for each kind. */
static int expected_source(int kind, int argument, int width, int lane) {
  int first = lane / width * width;
  int last = first + width - 1;

  switch (kind) {
  case 0:
    return first + argument % width;
  case 1:
    return (lane ^ argument) <= last ? lane ^ argument : lane;
  case 2:
    return lane - argument >= first ? lane - argument : lane;
  default:
    return lane + argument <= last ? lane + argument : lane;
  }
}

static void test_shuffles(void) {
  for (int kind = 0; kind < 4; kind++) {
    for (int width = 1; width <= LANES; width *= 2) {
      for (int argument = 0; argument < LANES; argument++) {
        int results[LANES];
        CU_ASSERT_EQUAL_FATAL(run_shuffle(kind, argument, width, results), 0);
        for (int lane = 0; lane < LANES; lane++) {
          CU_ASSERT_EQUAL(results[lane], expected_source(kind, argument, width, lane));
        }
      }
    }
  }
}

static void test_wrong_width(void) {
  int results[LANES];

  CU_ASSERT_EQUAL(run_shuffle(0, 0, 12, results), 719);
  CU_ASSERT_PTR_NOT_NULL(strstr(mb_emulator_last_report(), "width 12"));
  mb_emulator_reset_device();
}

static void test_reductions(void) {
  int results[6][LANES];

  CU_ASSERT_EQUAL_FATAL(run_reductions(results), 0);
  for (int lane = 0; lane < LANES; lane++) {
    int first = lane / 16 * 16;
    CU_ASSERT_EQUAL(results[0][lane], -3 * (first + 15));
    CU_ASSERT_EQUAL(results[1][lane], -3 * first);
    CU_ASSERT_EQUAL(results[2][lane], -3 * (16 * first + 120));
    CU_ASSERT_EQUAL(results[3][lane], 0);
    CU_ASSERT_EQUAL(results[4][lane], 0xffff);
    CU_ASSERT_EQUAL(results[5][lane], 0xffff);
  }
}

static void run_ordered(mb_emulator_order order, uint64_t seed, int first[THREADS],
                        int second[THREADS]) {
  mb_emulator_options options = {.order = order, .seed = seed};

  mb_emulator_configure(&options);
  CU_ASSERT_EQUAL_FATAL(run_order(first, second), 0);
  mb_emulator_configure(NULL);
}

static void test_orders(void) {
  int first[THREADS];
  int second[THREADS];
  int other_first[THREADS];
  int other_second[THREADS];

  run_ordered(MB_EMULATOR_ASCENDING, 0, first, second);
  run_ordered(MB_EMULATOR_DESCENDING, 0, other_first, other_second);
  for (int i = 0; i < THREADS; i++) {
    CU_ASSERT(first[i] == i && second[i] == i);
    CU_ASSERT(other_first[i] == THREADS - 1 - i && other_second[i] == THREADS - 1 - i);
  }
  run_ordered(MB_EMULATOR_RANDOM, 1, other_first, other_second);
  CU_ASSERT(memcmp(first, other_first, sizeof first) != 0);
  CU_ASSERT(memcmp(other_first, other_second, sizeof first) != 0);
  run_ordered(MB_EMULATOR_RANDOM, 1, first, second);
  CU_ASSERT(memcmp(first, other_first, sizeof first) == 0);
  CU_ASSERT(memcmp(second, other_second, sizeof first) == 0);
  run_ordered(MB_EMULATOR_RANDOM, 2, first, second);
  CU_ASSERT(memcmp(first, other_first, sizeof first) != 0);
}

static void test_stats(void) {
  int first[THREADS];
  int second[THREADS];
  mb_emulator_stats before = mb_emulator_stats_get();

  run_ordered(MB_EMULATOR_ASCENDING, 0, first, second);
  mb_emulator_stats after = mb_emulator_stats_get();
  CU_ASSERT_EQUAL(after.launches - before.launches, 1);
  CU_ASSERT_EQUAL(after.blocks - before.blocks, 3);
  CU_ASSERT_EQUAL(after.threads - before.threads, THREADS);
  CU_ASSERT_EQUAL(after.barriers - before.barriers, THREADS);
  CU_ASSERT_EQUAL(after.warp_ops, before.warp_ops);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"the runtime's answers", test_answers},
      {"no device, no driver, an old driver", test_missing_device},
      {"environment variables that say something unknown", test_ill_said},
      {"shuffles of all kinds and widths", test_shuffles},
      {"a width that is none", test_wrong_width},
      {"reductions of half warps", test_reductions},
      {"orders of threads", test_orders},
      {"what has been run", test_stats},
      CU_TEST_INFO_NULL,
  };

  return run_suite("emulated runtime", tests);
}
