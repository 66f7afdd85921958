/* tests/test_progress.c - what the progress line says. */
#include "tests/test.h"

#include "experiments/progress.h"

static void check(size_t done, size_t total, double seconds, const char *expected) {
  char line[160];

  CU_ASSERT_STRING_EQUAL(mb_progress_format("steps", done, total, seconds, line, sizeof line),
                         expected);
}

static void test_format(void) {
  check(0, 200, 0, "0 of 200 steps (0 %)");
  check(50, 200, 0.1, "50 of 200 steps (25 %)"); /* too early to tell */
  check(50, 200, 10, "50 of 200 steps (25 %), about 30 s left");
  check(199, 200, 10, "199 of 200 steps (100 %), about 1 s left");
  check(100, 200, 120, "100 of 200 steps (50 %), about 2 min left");
  check(1, 200, 360, "1 of 200 steps (0 %), about 19.9 h left");
  check(200, 200, 10, "200 of 200 steps (100 %)");
  check(1234, 0, 1, "1234 steps"); /* nobody knows of how many */
}

/* Standard error of a test is no terminal: nothing is drawn, and nothing fails. */
static void test_quiet(void) {
  mb_progress progress;

  mb_progress_start(&progress, "steps", 10, true);
  CU_ASSERT_FALSE(progress.visible);
  mb_progress_update(&progress, 5);
  CU_ASSERT_EQUAL(progress.shown, 0);
  mb_progress_end(&progress);
}

int main(void) {
  CU_TestInfo tests[] = {{"the line", test_format}, {"quiet", test_quiet}, CU_TEST_INFO_NULL};

  return run_suite("progress", tests);
}
