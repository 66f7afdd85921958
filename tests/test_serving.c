/* tests/test_serving.c - recorded requests that are served together, counted by hand. */
#include "workloads/serving.h"

#include <math.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/trace.h"

enum { STEPS_MAX = 8192, EXPERTS = 32 };

static char folder[] = "/tmp/moebal-test-serving-XXXXXX";
static char path[64];
static const mb_input input = {.path = "requests.jsonl", .fd = -1};

/* What came of a replay: by_source [T,R,E] of its only layer, tokens [T,R]. */
static struct {
  size_t n_steps, n_ranks;
  uint32_t load[STEPS_MAX * EXPERTS];
  uint32_t by_source[STEPS_MAX * EXPERTS];
  uint32_t tokens[STEPS_MAX * 4];
} result;

typedef struct request {
  size_t n_tokens, n_prompt;
} request;

/* Token p of request r goes to expert 8 r + p. */
static mb_routed *record(size_t n, const request *requests) {
  mb_routed *routed = NULL;

  CHECK_OK(mb_routed_create(0, &routed));
  CU_ASSERT_PTR_NOT_NULL_FATAL(routed);
  for (size_t r = 0; r < n; r++) {
    char name[32];
    size_t made = 99;
    (void)snprintf(name, sizeof name, "r%zu", r);
    CHECK_OK(mb_routed_request(routed, name, &made));
    CU_ASSERT_EQUAL(made, r);
    mb_routed_set_prompt(routed, r, requests[r].n_prompt);
    for (size_t p = 0; p < requests[r].n_tokens; p++) {
      int64_t expert = (int64_t)((8 * r + p) % EXPERTS);
      CHECK_OK(mb_routed_append(routed, r, 5, 1, &expert));
    }
  }
  return routed;
}

static void read_result(void) {
  mb_trace *trace = NULL;

  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  const mb_trace_info *info = mb_trace_get_info(trace);
  CU_ASSERT_FATAL(info->n_steps <= STEPS_MAX && info->n_experts <= EXPERTS);
  CU_ASSERT_EQUAL(info->layer_ids[0], 5);
  result.n_steps = info->n_steps;
  result.n_ranks = info->n_sources;
  CHECK_OK(mb_trace_read(trace, 0, info->n_steps, result.load));
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_TOKENS, 0, info->n_steps, result.tokens));
  if (info->n_sources > 1) {
    CHECK_OK(
        mb_trace_read_object(trace, MB_TRACE_LOAD_BY_SOURCE, 0, info->n_steps, result.by_source));
  }
  mb_trace_destroy(trace);
}

static mb_status serve(size_t n, const request *requests, const mb_import_serving *how) {
  mb_import_options options = {
      .created_by = "test", .phase = "mixed", .keep_sources = how->dp_ranks > 1, .serving = *how};
  mb_routed *routed = record(n, requests);
  mb_routed_view view;
  mb_import *import = NULL;
  mb_import_summary summary;

  CHECK_OK(mb_routed_complete(routed, "requests.jsonl", &view));
  CHECK_OK(mb_import_create(path, "tokens", &options, &import));
  mb_status status = mb_serving_replay(&view, &options, NULL, &input, import);
  status = status == MB_OK ? mb_import_finish(import, &summary) : status;
  mb_import_destroy(import);
  mb_routed_destroy(routed);
  if (status == MB_OK) {
    read_result();
  }
  return status;
}

/* Experts of a step that have load, as text: "0 8". Every one has 1 token. */
static const char *experts_of(size_t step, size_t n_experts) {
  static char text[256];
  size_t n = 0;

  text[0] = '\0';
  for (size_t e = 0; e < n_experts; e++) {
    uint32_t load = result.load[step * n_experts + e];
    CU_ASSERT(load <= 1);
    if (load > 0) {
      n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu", n == 0 ? "" : " ", e);
    }
  }
  return text;
}

/* A has 2 tokens, B 4, C 3; two at once. C comes in when A has left; when B leaves, nobody
   is left to take its place, so C's last token is in no step. */
static void test_turnover(void) {
  static const request requests[] = {{2, 0}, {4, 0}, {3, 0}};
  mb_import_serving how = {.concurrency = 2, .dp_ranks = 1};

  CHECK_OK(serve(3, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 4);
  CU_ASSERT_STRING_EQUAL(experts_of(0, 19), "0 8");
  CU_ASSERT_STRING_EQUAL(experts_of(1, 19), "1 9");
  CU_ASSERT_STRING_EQUAL(experts_of(2, 19), "10 16");
  CU_ASSERT_STRING_EQUAL(experts_of(3, 19), "11 17");
}

/* Ranks are given in turn as requests come in: A to 0, B to 1, C to 0. */
static void test_ranks(void) {
  static const request requests[] = {{2, 0}, {4, 0}, {3, 0}};
  mb_import_serving how = {.concurrency = 2, .dp_ranks = 2};

  CHECK_OK(serve(3, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 4);
  for (size_t t = 0; t < 4; t++) {
    CU_ASSERT(result.tokens[2 * t] == 1 && result.tokens[2 * t + 1] == 1);
    CU_ASSERT_EQUAL(result.by_source[(2 * t + 1) * 19 + 8 + t], 1);
  }
  CU_ASSERT_EQUAL(result.by_source[(2 * 2 + 0) * 19 + 16], 1);
}

/* 4 tokens a step, prompts of 5 and 3: 4+0, 1+3, then one each. */
static void test_prompts(void) {
  static const request requests[] = {{7, 5}, {5, 3}};
  static const uint32_t tokens[] = {4, 0, 1, 3, 1, 1, 1, 1};
  mb_import_serving how = {.concurrency = 2, .dp_ranks = 2, .tokens_per_step = 4};

  CHECK_OK(serve(2, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 4);
  CU_ASSERT_EQUAL(memcmp(result.tokens, tokens, sizeof tokens), 0);
  CU_ASSERT_STRING_EQUAL(experts_of(0, 13), "0 1 2 3");
  CU_ASSERT_STRING_EQUAL(experts_of(1, 13), "4 8 9 10");
  CU_ASSERT_STRING_EQUAL(experts_of(2, 13), "5 11");
  CU_ASSERT_STRING_EQUAL(experts_of(3, 13), "6 12");
  how.tokens_per_step = 0; /* prompts at once */
  CHECK_OK(serve(2, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 3);
  CU_ASSERT(result.tokens[0] == 5 && result.tokens[1] == 3);
}

/* A decodes throughout, and B's prompt of 6 has what 3 tokens a step leave: 2. */
static void test_decoding_comes_first(void) {
  static const request requests[] = {{7, 6}, {3, 0}};
  static const uint32_t tokens[] = {2, 1, 2, 1, 2, 1};
  mb_import_serving how = {.concurrency = 2, .dp_ranks = 2, .tokens_per_step = 3};

  CHECK_OK(serve(2, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 3);
  CU_ASSERT_EQUAL(memcmp(result.tokens, tokens, sizeof tokens), 0);
}

static void test_warm_up(void) {
  static const request requests[] = {{3, 0}, {5, 0}, {4, 0}, {4, 0}};
  mb_import_serving how = {.concurrency = 1, .dp_ranks = 1, .warm_up = -1};

  /* One after the other: 16 steps, and a request runs for 4. */
  CHECK_OK(serve(4, requests, &how));
  CU_ASSERT_EQUAL_FATAL(result.n_steps, 12);
  CU_ASSERT_STRING_EQUAL(experts_of(0, 28), "9");
  how.warm_up = 15;
  CHECK_OK(serve(4, requests, &how));
  CU_ASSERT_EQUAL(result.n_steps, 1);
  how.warm_up = 16;
  CHECK_FAILS(serve(4, requests, &how), MB_ERR_PARAM, "no step is left");
  /* Prompts count as the steps that they take: 2 and 1, of 6 tokens at 4 a step. */
  static const request prompted[] = {{8, 6}, {8, 6}};
  how = (mb_import_serving){.concurrency = 1, .dp_ranks = 1, .tokens_per_step = 4, .warm_up = -1};
  CHECK_OK(serve(2, prompted, &how));
  CU_ASSERT_EQUAL(result.n_steps, 4);
}

/* Little's law: requests of 10 tokens that come at .5 a step make 5 tokens a step. 4000 steps have
   400 lifetimes, so the mean strays by .11. Before there is room, they wait: 3 at most. */
static void test_arrivals(void) {
  enum { N = 2000 };
  static request requests[N];
  mb_import_serving how = {.concurrency = 1000, .dp_ranks = 1, .arrival_rate = 0.5, .seed = 3};
  double sum = 0.0;
  uint64_t first = 0;

  for (size_t i = 0; i < N; i++) {
    requests[i].n_tokens = 10;
  }
  CHECK_OK(serve(N, requests, &how));
  CU_ASSERT(result.n_steps > 3500 && result.n_steps < 4500);
  for (size_t t = 0; t < result.n_steps; t++) {
    sum += result.tokens[t];
    first = first * 31 + result.tokens[t];
    CU_ASSERT(result.tokens[t] > 0);
  }
  CU_ASSERT(fabs(sum / (double)result.n_steps - 5.0) < 0.5);
  uint64_t again = 0;
  CHECK_OK(serve(N, requests, &how));
  for (size_t t = 0; t < result.n_steps; t++) {
    again = again * 31 + result.tokens[t];
  }
  CU_ASSERT_EQUAL(again, first);
  how.concurrency = 3;
  CHECK_OK(serve(N, requests, &how));
  for (size_t t = 0; t < result.n_steps; t++) {
    CU_ASSERT(result.tokens[t] >= 1 && result.tokens[t] <= 3);
  }
}

static void test_shuffle(void) {
  static const request requests[] = {{1, 0}, {1, 0}, {1, 0}, {1, 0}};
  mb_import_serving how = {.concurrency = 1, .dp_ranks = 1, .shuffle = true};
  unsigned firsts = 0;

  for (uint64_t seed = 0; seed < 20; seed++) {
    how.seed = seed;
    CHECK_OK(serve(4, requests, &how));
    CU_ASSERT_EQUAL_FATAL(result.n_steps, 4);
    unsigned all = 0;
    for (size_t t = 0; t < 4; t++) {
      all |= 1U << atoi(experts_of(t, 25));
    }
    CU_ASSERT_EQUAL(all, 1U << 0 | 1U << 8 | 1U << 16 | 1U << 24);
    firsts |= 1U << atoi(experts_of(0, 25));
  }
  CU_ASSERT_EQUAL(firsts, 1U << 0 | 1U << 8 | 1U << 16 | 1U << 24);
}

static void test_refusals(void) {
  static const request requests[] = {{3, 0}, {5, 0}};
  mb_import_serving how = {.dp_ranks = 1};

  CHECK_FAILS(serve(2, requests, &how), MB_ERR_PARAM, "concurrency");
  how = (mb_import_serving){.concurrency = 2};
  CHECK_FAILS(serve(2, requests, &how), MB_ERR_PARAM, "--dp-ranks is 0");
  how = (mb_import_serving){.concurrency = 2, .dp_ranks = 1, .tokens_per_step = 1};
  CHECK_FAILS(serve(2, requests, &how), MB_ERR_PARAM, "has no room for 2 requests");
  how = (mb_import_serving){.concurrency = 2, .dp_ranks = 1, .arrival_rate = NAN};
  CHECK_FAILS(serve(2, requests, &how), MB_ERR_PARAM, "--arrival-rate");
  how = (mb_import_serving){.concurrency = 2, .dp_ranks = 1, .warm_up = -2};
  CHECK_FAILS(serve(2, requests, &how), MB_ERR_PARAM, "--warm-up is -2");
}

static void test_decisions(void) {
  static const int64_t good[] = {3, 1}, twice[] = {3, 3}, high[] = {0, 8};
  mb_routed *routed = NULL;
  mb_routed_view view;
  size_t r = 9;

  CHECK_OK(mb_routed_create(8, &routed));
  CHECK_FAILS(mb_routed_complete(routed, "x", &view), MB_ERR_FORMAT, "x: has no routing decision");
  CHECK_OK(mb_routed_request(routed, "a", &r));
  CHECK_FAILS(mb_routed_append(routed, r, 0, 2, twice), MB_ERR_RANGE, "expert 3 is chosen twice");
  CHECK_FAILS(mb_routed_append(routed, r, 0, 2, high), MB_ERR_RANGE,
              "expert 8 is chosen, and should be 0 to 7");
  CHECK_FAILS(mb_routed_append(routed, r, -1, 2, good), MB_ERR_RANGE, "layer -1");
  CHECK_FAILS(mb_routed_append(routed, r, 0, 0, good), MB_ERR_SHAPE, "0 experts");
  CHECK_OK(mb_routed_append(routed, r, 7, 2, good));
  CHECK_FAILS(mb_routed_append(routed, r, 7, 1, good), MB_ERR_SHAPE,
              "1 experts are chosen, and should be 2");
  CHECK_OK(mb_routed_append(routed, r, 3, 2, good));
  CHECK_OK(mb_routed_append(routed, r, 3, 2, good));
  CHECK_FAILS(mb_routed_set_experts(routed, 9), MB_ERR_SHAPE, "8 experts, not 9");
  CHECK_FAILS(mb_routed_complete(routed, "x", &view), MB_ERR_FORMAT,
              "x: request a has 2 tokens in layer 3 and 1 in layer 7");
  mb_routed_destroy(routed);
}

int main(void) {
  CU_TestInfo tests[] = {{"requests come in as others leave", test_turnover},
                         {"ranks in turn", test_ranks},
                         {"prompts are read in chunks", test_prompts},
                         {"decoding comes before prompts", test_decoding_comes_first},
                         {"the warm-up is left out", test_warm_up},
                         {"arrivals follow Little's law", test_arrivals},
                         {"every order comes up", test_shuffle},
                         {"what can't be served", test_refusals},
                         {"decisions that make no sense", test_decisions},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/t.h5", folder);
  int result_code = run_suite("serving", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return result_code;
}
