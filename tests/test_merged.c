/* tests/test_merged.c - steps summed: what they sum to, what is dropped, and what does not fit. */
#include "tests/test.h"

#include <xxhash.h>

#include "workloads/source.h"

enum { T = 11, L = 2, E = 3, STEP = L * E };

static const int32_t layer_ids[L] = {4, 9};
static uint32_t loads[T * STEP];

static mb_trace_info trace_info(size_t n_steps) {
  return (mb_trace_info){.n_steps = n_steps,
                         .n_layers = L,
                         .n_experts = E,
                         .top_k = 2,
                         .n_groups = 1,
                         .layer_ids = layer_ids,
                         .model = "m",
                         .source = "counted by hand",
                         .created_by = "test",
                         .phase = MB_PHASE_DECODE,
                         .padding = "excluded",
                         .counts = "",
                         .source_semantics = "",
                         .steps_per_record = 3};
}

/* Different in every place; load[t,l,e] = 100 t + 10 l + e. */
static mb_source *open_inner(size_t n_steps) {
  mb_trace_info info = trace_info(n_steps);
  mb_source *source = NULL;

  for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
    loads[i] = (uint32_t)(100 * (i / STEP) + 10 * (i % STEP / E) + i % E);
  }
  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  return source;
}

static mb_source *open_merged(size_t n_steps, size_t merge) {
  mb_source *source = NULL;

  CHECK_OK(mb_source_open_merged(open_inner(n_steps), merge, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  return source;
}

/* The sum over t = first .. first + n - 1 of 100 t + 10 l + e. */
static uint32_t expected(size_t first, size_t n, size_t at) {
  return (uint32_t)(100 * (n * first + n * (n - 1) / 2) + n * (10 * (at / E) + at % E));
}

static void check_sums(size_t n_steps, size_t merge, size_t at_a_time) {
  mb_source *source = open_merged(n_steps, merge);
  size_t n_merged = n_steps / merge;
  uint32_t got[T * STEP];
  char digest[MB_DIGEST_SIZE];
  char hex[MB_DIGEST_SIZE];

  CU_ASSERT_EQUAL_FATAL(mb_source_get_info(source)->n_steps, n_merged);
  for (size_t t = 0; t < n_merged; t += at_a_time) {
    size_t n = n_merged - t < at_a_time ? n_merged - t : at_a_time;
    CHECK_OK(mb_source_read(source, n, got + t * STEP));
  }
  for (size_t i = 0; i < n_merged * STEP; i++) {
    CU_ASSERT_EQUAL(got[i], expected(i / STEP * merge, merge, i % STEP));
  }
  mb_source_digest(source, digest);
  XXH128_hash_t hash = XXH3_128bits(got, n_merged * STEP * sizeof *got);
  (void)snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
  CU_ASSERT_STRING_EQUAL(digest, hex);
  mb_source_destroy(source);
}

static void test_sums(void) {
  for (size_t merge = 1; merge <= T; merge++) {
    check_sums(T, merge, 1);
    check_sums(T, merge, 3);
    check_sums(T, merge, T);
  }
}

static void test_info(void) {
  mb_source *source = open_merged(T, 4);
  const mb_trace_info *info = mb_source_get_info(source);

  CU_ASSERT_EQUAL(info->n_steps, 2);
  CU_ASSERT_EQUAL(info->n_layers, L);
  CU_ASSERT_EQUAL(info->n_experts, E);
  CU_ASSERT_EQUAL(info->steps_per_record, 12);
  CU_ASSERT_EQUAL(info->layer_ids[1], 9);
  CU_ASSERT_EQUAL(info->objects, 0);
  CU_ASSERT_STRING_EQUAL(info->load_xxh3, "");
  CU_ASSERT_STRING_EQUAL(info->source, "4 steps at a time summed into one of: counted by hand");
  CU_ASSERT_PTR_NULL(mb_source_get_trace(source));
  mb_source_destroy(source);
}

/* A block of what is read holds 2^20 loads: steps that are larger, and merges that are longer. */
static void test_large(void) {
  enum { WIDE = 700000, N = 5, LONG = 400000 };
  mb_trace_info info = trace_info(N);
  mb_source *inner = NULL;
  mb_source *source = NULL;
  uint32_t *load = malloc(sizeof *load * N * 2 * WIDE);
  uint32_t *sum = malloc(sizeof *sum * 2 * WIDE);

  CU_ASSERT_FATAL(load != NULL && sum != NULL);
  for (size_t i = 0; i < (size_t)N * 2 * WIDE; i++) {
    load[i] = (uint32_t)(i % 1000003);
  }
  info.n_experts = WIDE;
  CHECK_OK(mb_source_open_memory(&info, load, &inner));
  CHECK_OK(mb_source_open_merged(inner, N, &source));
  CHECK_OK(mb_source_read(source, 1, sum));
  for (size_t i = 0; i < (size_t)2 * WIDE; i++) {
    uint32_t right = 0;
    for (size_t t = 0; t < N; t++) {
      right += load[t * 2 * WIDE + i];
    }
    if (sum[i] != right) {
      CU_FAIL_FATAL("a wrong sum");
    }
  }
  mb_source_destroy(source);

  info = trace_info(LONG); /* of STEP loads, 2.4 million */
  for (size_t i = 0; i < (size_t)LONG * STEP; i++) {
    load[i] = (uint32_t)(i % STEP);
  }
  CHECK_OK(mb_source_open_memory(&info, load, &inner));
  CHECK_OK(mb_source_open_merged(inner, LONG, &source));
  CHECK_OK(mb_source_read(source, 1, sum));
  for (size_t i = 0; i < STEP; i++) {
    CU_ASSERT_EQUAL(sum[i], LONG * i);
  }
  mb_source_destroy(source);
  free(load);
  free(sum);
}

static void test_refused(void) {
  mb_source *source = NULL;
  mb_trace_info info = trace_info(T);
  uint32_t got[T * STEP];

  CHECK_FAILS(mb_source_open_merged(open_inner(T), T + 1, &source), MB_ERR_SHAPE,
              "12 steps cannot be summed into one: there are 11");
  CU_ASSERT_PTR_NULL(source);
  /* The largest sum there is, and one more, in step 1 of the merged ones. */
  mb_source *inner = open_inner(T);
  memset(loads, 0, sizeof loads);
  loads[5 * STEP + 4] = UINT32_MAX - 7;
  loads[4 * STEP + 4] = 7;
  CHECK_OK(mb_source_open_merged(inner, 3, &source));
  CHECK_OK(mb_source_read(source, 3, got));
  CU_ASSERT_EQUAL(got[STEP + 4], UINT32_MAX);
  mb_source_destroy(source);
  loads[3 * STEP + 4] = 1;
  CHECK_OK(mb_source_open_memory(&info, loads, &inner));
  CHECK_OK(mb_source_open_merged(inner, 3, &source));
  CHECK_OK(mb_source_read(source, 1, got));
  CHECK_FAILS(mb_source_read(source, 2, got), MB_ERR_RANGE,
              "step 1, layer 1, expert 1: the sum of 3 steps is beyond 4294967295");
  mb_source_destroy(source);
}

/* The digest is of all steps: it is looked at though the last ones are dropped. */
static void test_damaged(void) {
  mb_trace_info info = trace_info(T);
  mb_source *inner = NULL;
  mb_source *source = NULL;
  uint32_t got[T * STEP];

  (void)snprintf(info.load_xxh3, sizeof info.load_xxh3, "00000000000000000000000000000000");
  CHECK_OK(mb_source_open_memory(&info, loads, &inner));
  CHECK_OK(mb_source_open_merged(inner, 4, &source));
  CHECK_OK(mb_source_read(source, 1, got));
  CHECK_FAILS(mb_source_read(source, 1, got), MB_ERR_FORMAT, "is not what was written");
  mb_source_destroy(source);
}

int main(void) {
  CU_TestInfo tests[] = {{"sums", test_sums},
                         {"what it says of itself", test_info},
                         {"beyond a block", test_large},
                         {"refused", test_refused},
                         {"damage in what is dropped", test_damaged},
                         CU_TEST_INFO_NULL};

  return run_suite("merged", tests);
}
