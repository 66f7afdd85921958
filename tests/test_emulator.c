/* tests/test_emulator.c - correct kernels are right in the emulator, whatever the order in which
 * their threads run. The expected results come from plain C. */
#include <math.h>
#include <stdint.h>

#include "cuda/host/emulator_control.h"
#include "tests/emulator_kernels.h"
#include "tests/test.h"

enum { N_SCHEDULES = 24, N_VALUES = 500, N_KEYS = 256, N_ROWS = 3 };

/* Schedule 0 is ascending, 1 descending, the others random. */
static void use_schedule(int i) {
  mb_emulator_options options = {.order = MB_EMULATOR_ASCENDING};

  if (i == 1) {
    options.order = MB_EMULATOR_DESCENDING;
  } else if (i > 1) {
    options.order = MB_EMULATOR_RANDOM;
    options.seed = (uint64_t)i;
    options.preempt_percent = 30;
  }
  mb_emulator_configure(&options);
}

/* A few values that look random. */
static uint32_t value_of(int i) {
  uint32_t x = (uint32_t)i * 2654435761U + 12345U;

  return x ^ (x >> 15);
}

static int key_compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a;
  uint32_t y = *(const uint32_t *)b;

  return (x > y) - (x < y);
}

static void check_argmax(void) {
  float values[N_VALUES];
  float greatest = 0;
  unsigned place = 0;
  int expected = 0;

  for (int i = 0; i < N_VALUES; i++) {
    values[i] = (float)(value_of(i) % 97);
    expected = values[i] > values[expected] ? i : expected;
  }
  CU_ASSERT_EQUAL(run_argmax(values, N_VALUES, &greatest, &place), 0);
  CU_ASSERT_EQUAL(place, (unsigned)expected);
  CU_ASSERT_EQUAL(greatest, values[expected]);
}

static void check_sort(void) {
  uint32_t keys[N_ROWS * N_KEYS];
  uint32_t expected[N_ROWS * N_KEYS];

  for (int i = 0; i < N_ROWS * N_KEYS; i++) {
    keys[i] = expected[i] = value_of(i) % 1000;
  }
  for (size_t r = 0; r < N_ROWS; r++) {
    qsort(expected + r * N_KEYS, N_KEYS, sizeof *expected, key_compare);
  }
  CU_ASSERT_EQUAL(run_sort(keys, N_KEYS, N_ROWS), 0);
  CU_ASSERT(memcmp(keys, expected, sizeof keys) == 0);
}

static void check_histogram(void) {
  uint32_t values[N_VALUES];
  uint32_t counts[64];
  uint32_t expected[64] = {0};
  uint64_t sum = 0;
  uint64_t sum_expected = 0;
  uint32_t n_even = 0;
  uint32_t n_even_expected = 0;

  for (int i = 0; i < N_VALUES; i++) {
    values[i] = value_of(i);
    expected[values[i] % 64]++;
    sum_expected += values[i];
    n_even_expected += values[i] % 2 == 0;
  }
  CU_ASSERT_EQUAL(run_histogram(values, N_VALUES, counts, &sum, &n_even), 0);
  CU_ASSERT(memcmp(counts, expected, sizeof counts) == 0);
  CU_ASSERT_EQUAL(sum, sum_expected);
  CU_ASSERT_EQUAL(n_even, n_even_expected);
}

static void check_scan(void) {
  enum { N = 160 };
  double values[N];
  double sums[N];
  double sum = 0;

  for (int i = 0; i < N; i++) {
    values[i] = (double)(value_of(i) % 1000);
  }
  CU_ASSERT_EQUAL(run_scan(values, N, sums), 0);
  for (int i = 0; i < N; i++) {
    sum += values[i];
    CU_ASSERT_EQUAL(sums[i], sum);
  }
}

static void check_mixture(void) {
  long long results[96];
  int least = 0;
  double total = 0;

  CU_ASSERT_EQUAL(run_mixture(results, &least, &total), 0);
  for (long long i = 0; i < 96; i++) {
    long long first = i / 8 * 8;
    long long segment = 8 * first + 28;
    /* One warp has thread 5; 48 threads are even; some thread is 95, so not all are below. */
    CU_ASSERT_EQUAL(results[i], segment + 1000 + 480000 + 7);
  }
  CU_ASSERT_EQUAL(least, -95);
  CU_ASSERT_EQUAL(total, 48.0);
}

static void check_last_block(void) {
  enum { N = 9 };
  int values[N];
  int sum = 0;
  int expected = 0;

  for (int i = 0; i < N; i++) {
    values[i] = 10 * i + 1;
    expected += values[i];
  }
  CU_ASSERT_EQUAL(run_last_block(values, N, &sum), 0);
  CU_ASSERT_EQUAL(sum, expected);
}

static void check_streams_and_graphs(void) {
  enum { N = 70 };
  int on_streams[N];
  int by_graph[N];

  for (int i = 0; i < N; i++) {
    on_streams[i] = by_graph[i] = i;
  }
  CU_ASSERT_EQUAL(run_streams(on_streams, N), 0);
  CU_ASSERT_EQUAL(run_graph(by_graph, N, 5), 0);
  for (int i = 0; i < N; i++) {
    CU_ASSERT_EQUAL(on_streams[i], 2 * (i + 1));
    CU_ASSERT_EQUAL(by_graph[i], i + 5);
  }
}

static void test_schedules(void) {
  for (int i = 0; i < N_SCHEDULES; i++) {
    use_schedule(i);
    check_argmax();
    check_sort();
    check_histogram();
    check_scan();
    check_mixture();
    check_last_block();
    check_streams_and_graphs();
    CU_ASSERT_STRING_EQUAL(mb_emulator_last_report(), "");
  }
}

int main(void) {
  CU_TestInfo tests[] = {
      {"correct kernels are right under every schedule", test_schedules},
      CU_TEST_INFO_NULL,
  };

  return run_suite("emulator", tests);
}
