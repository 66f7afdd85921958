/* tests/test_import.c - what importers tell becomes a trace, and what does not fit is named. */
#include "workloads/import.h"

#include <unistd.h>

#include "tests/test.h"
#include "workloads/importer.h"
#include "workloads/trace.h"

enum { L = 2, R = 3, E = 4 };

static char folder[] = "/tmp/moebal-test-import-XXXXXX";
static char path[64];

static const mb_input first = {.path = "/data/first.npy", .fd = -1};
static const mb_input second = {.path = "/data/second.npy", .fd = -1};
static const mb_import_options plain = {.top_k = 2, .phase = "decode", .created_by = "test"};
static const mb_import_facts one_rank = {.n_layers = L, .n_experts = E, .n_sources = 1};
static const mb_import_facts ranks = {
    .n_layers = L, .n_experts = E, .n_sources = R, .has_tokens = true};

static mb_import *create(const mb_import_options *options) {
  mb_import *import = NULL;

  CHECK_OK(mb_import_create(path, "npy", options, &import));
  CU_ASSERT_PTR_NOT_NULL_FATAL(import);
  return import;
}

static bool has_note(const mb_import_summary *summary, const char *text) {
  for (size_t i = 0; i < summary->n_notes; i++) {
    if (strstr(summary->notes[i], text) != NULL) {
      return true;
    }
  }
  return false;
}

/* Two inputs one after the other; more steps than a batch holds. */
static void test_concatenates(void) {
  enum { STEPS = 5000 };
  mb_import *import = create(&plain);
  mb_import_summary summary;
  mb_trace *trace = NULL;
  uint32_t read[L * E];

  for (uint64_t t = 0; t < (uint64_t)2 * STEPS; t++) {
    uint64_t load[L * E];
    for (size_t i = 0; i < (size_t)L * E; i++) {
      load[i] = 10 * t + i;
    }
    if (t % STEPS == 0) {
      CHECK_OK(mb_import_begin(import, t == 0 ? &first : &second, &one_rank));
    }
    CHECK_OK(mb_import_step(import, load, NULL));
  }
  CHECK_OK(mb_import_finish(import, &summary));
  CU_ASSERT(summary.n_steps == (size_t)2 * STEPS && summary.n_layers == L &&
            summary.n_experts == E && summary.top_k == 2);
  CU_ASSERT_EQUAL(summary.n_notes, 0);
  mb_import_destroy(import);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  const mb_trace_info *info = mb_trace_get_info(trace);
  CU_ASSERT_EQUAL(info->n_steps, (size_t)2 * STEPS);
  CU_ASSERT(info->phase == MB_PHASE_DECODE && info->n_groups == 1 && info->objects == 0);
  CU_ASSERT_STRING_EQUAL(info->source, "imported from first.npy (npy)");
  CU_ASSERT_STRING_EQUAL(info->model, "unknown");
  for (size_t t = 0; t < (size_t)2 * STEPS; t += 4999) {
    CHECK_OK(mb_trace_read(trace, t, 1, read));
    CU_ASSERT(read[0] == 10 * t && read[L * E - 1] == 10 * t + L * E - 1);
  }
  mb_trace_destroy(trace);
}

static mb_status import_ranks(const mb_import_options *options, const uint64_t *load,
                              mb_import_summary *summary, mb_import **import) {
  uint32_t tokens[R] = {5, 6, 7};

  *import = create(options);
  MB_TRY(mb_import_begin(*import, &first, &ranks));
  MB_TRY(mb_import_step(*import, load, tokens));
  return mb_import_finish(*import, summary);
}

static void test_ranks_are_summed(void) {
  mb_import_options options = plain;
  uint64_t load[L * R * E];
  uint32_t read[L * R * E];
  mb_import *import = NULL;
  mb_import_summary summary;
  mb_trace *trace = NULL;

  options.keep_sources = true;
  for (size_t i = 0; i < (size_t)L * R * E; i++) {
    load[i] = i;
  }
  CHECK_OK(import_ranks(&options, load, &summary, &import));
  CU_ASSERT(has_note(&summary, "3 ranks are taken to count tokens of their own"));
  CU_ASSERT_FALSE(has_note(&summary, "alike"));
  mb_import_destroy(import);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->objects, MB_TRACE_LOAD_BY_SOURCE | MB_TRACE_TOKENS);
  CU_ASSERT_STRING_EQUAL(mb_trace_get_info(trace)->source_semantics, "attention_dp");
  CHECK_OK(mb_trace_read(trace, 0, 1, read));
  CU_ASSERT(read[0] == 0 + 4 + 8 && read[E + 3] == 15 + 19 + 23);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_LOAD_BY_SOURCE, 0, 1, read));
  CU_ASSERT(read[5] == 5 && read[23] == 23);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_TOKENS, 0, 1, read));
  CU_ASSERT(read[0] == 5 && read[2] == 7);
  mb_trace_destroy(trace);
}

/* Ranks that saw the same tokens: one is taken, and they have to agree. */
static void test_ranks_are_one(void) {
  mb_import_options options = plain;
  uint64_t load[L * R * E] = {0};
  uint32_t read[L * E];
  mb_import *import = NULL;
  mb_import_summary summary;
  mb_trace *trace = NULL;

  for (size_t r = 0; r < R; r++) {
    load[(R + r) * E + 1] = 9; /* layer 1, expert 1 */
  }
  CHECK_OK(import_ranks(&plain, load, &summary, &import));
  CU_ASSERT(has_note(&summary, "all 3 ranks are alike in every step"));
  mb_import_destroy(import);
  options.semantics = MB_SEMANTICS_ATTENTION_TP;
  CHECK_OK(import_ranks(&options, load, &summary, &import));
  CU_ASSERT_EQUAL(summary.n_notes, 0);
  mb_import_destroy(import);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  CU_ASSERT_STRING_EQUAL(mb_trace_get_info(trace)->source_semantics, "attention_tp");
  CHECK_OK(mb_trace_read(trace, 0, 1, read));
  CU_ASSERT_EQUAL(read[E + 1], 9);
  mb_trace_destroy(trace);
  load[(R + 2) * E + 1] = 8;
  CHECK_FAILS(import_ranks(&options, load, &summary, &import), MB_ERR_FORMAT,
              "step 0, layer 1, expert 1: rank 0 counts 9 tokens and rank 2 8");
  mb_import_destroy(import);
}

/* Whatever was asked for and is not done is said. */
static void test_notes_of_options(void) {
  mb_import_options options = plain;
  uint64_t load[L * R * E] = {0};
  mb_import *import = NULL;
  mb_import_summary summary;

  options.keep_sources = true;
  options.semantics = MB_SEMANTICS_ATTENTION_TP;
  CHECK_OK(import_ranks(&options, load, &summary, &import));
  CU_ASSERT(has_note(&summary, "--keep-sources: the ranks count the same tokens"));
  mb_import_destroy(import);
  options.keep_sources = false;
  import = create(&options);
  CHECK_OK(mb_import_begin(import, &first, &one_rank));
  CHECK_OK(mb_import_step(import, load, NULL));
  CHECK_OK(mb_import_finish(import, &summary));
  CU_ASSERT(has_note(&summary, "--source-semantics: this input does not tell ranks apart"));
  mb_import_destroy(import);
}

/* More notes than anybody reads are counted. */
static void test_many_notes(void) {
  enum { MOST = 64, MORE = 7 };
  uint64_t load[L * E] = {0};
  mb_import *import = create(&plain);
  mb_import_summary summary;

  mb_import_note(import, "column \"%s\"", "a\x1b[31m\nb");
  for (int i = 1; i < MOST - 1 + MORE; i++) {
    mb_import_note(import, "note %d", i);
    mb_import_note(import, "note 1");
  }
  CHECK_OK(mb_import_begin(import, &first, &one_rank));
  CHECK_OK(mb_import_step(import, load, NULL));
  CHECK_OK(mb_import_finish(import, &summary));
  CU_ASSERT_EQUAL(summary.n_notes, MOST);
  CU_ASSERT(has_note(&summary, "note 62") && !has_note(&summary, "note 63"));
  CU_ASSERT(has_note(&summary, "column \"a [31m b\""));
  CU_ASSERT(has_note(&summary, "7 more notes are left out"));
  mb_import_destroy(import);
}

static mb_status import_load(uint64_t value) {
  uint64_t load[L * E] = {0};
  mb_import *import = create(&plain);

  load[L * E - 1] = value;
  mb_status status = mb_import_begin(import, &first, &one_rank);
  status = status == MB_OK ? mb_import_step(import, load, NULL) : status;
  mb_import_destroy(import);
  return status;
}

static void test_overflow(void) {
  uint64_t load[L * R * E] = {0};
  mb_import *import = NULL;
  mb_import_summary summary;

  (void)unlink(path);
  CHECK_OK(import_load(UINT32_MAX));
  CHECK_FAILS(import_load((uint64_t)UINT32_MAX + 1), MB_ERR_FORMAT,
              "first.npy: step 0, layer 1, expert 3: a load of 4294967296");
  CHECK_FAILS(import_load(UINT64_MAX), MB_ERR_FORMAT, "18446744073709551615");
  load[0] = load[E] = UINT32_MAX;
  CHECK_FAILS(import_ranks(&plain, load, &summary, &import), MB_ERR_FORMAT, "add up to 8589934590");
  mb_import_destroy(import);
  CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0); /* nothing half-written */
}

static mb_status begin_two(const mb_import_options *options, const mb_import_facts *one,
                           const mb_import_facts *two) {
  mb_import *import = create(options);
  mb_status status = mb_import_begin(import, &first, one);

  status = status == MB_OK && two != NULL ? mb_import_begin(import, &second, two) : status;
  mb_import_destroy(import);
  return status;
}

static void test_inputs_must_fit(void) {
  static const int32_t ids[L] = {3, 4};
  mb_import_facts other = one_rank;

  other.n_layers = 3;
  CHECK_FAILS(begin_two(&plain, &one_rank, &other), MB_ERR_SHAPE,
              "second.npy: has 3 layers, but /data/first.npy before it has 2");
  other = one_rank;
  other.n_experts = 5;
  CHECK_FAILS(begin_two(&plain, &one_rank, &other), MB_ERR_SHAPE, "5 experts");
  CHECK_FAILS(begin_two(&plain, &one_rank, &ranks), MB_ERR_SHAPE, "3 ranks");
  other = one_rank;
  other.top_k = 3;
  CHECK_FAILS(begin_two(&plain, &one_rank, &other), MB_ERR_SHAPE, "top_k");
  other = one_rank;
  other.layer_ids = ids;
  CHECK_FAILS(begin_two(&plain, &one_rank, &other), MB_ERR_SHAPE, "layer 0 is number 3");
}

static void test_options_must_fit(void) {
  mb_import_options options = {.created_by = "test", .phase = "decode"};
  mb_import_facts facts = one_rank;

  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_PARAM, "--top-k K");
  options.top_k = 5;
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_PARAM, "top_k 5");
  options.top_k = 1;
  facts.top_k = 2;
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_PARAM, "is 2, but --top-k 1");
  options.top_k = 0;
  CHECK_OK(begin_two(&options, &facts, NULL));
  options.n_groups = 3;
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_FORMAT, "does not divide");
  options.n_groups = 0;
  options.phase = "sleep";
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_PARAM, "\"sleep\"");
  options.phase = "decode";
  char source[2048];
  memset(source, 'a', sizeof source - 1);
  source[sizeof source - 1] = '\0';
  options.source = source;
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_PARAM, "should have 1023");
  options.source = NULL;
  options.model = mb_model_find("mixtral-8x7b");
  CHECK_FAILS(begin_two(&options, &facts, NULL), MB_ERR_SHAPE, "4 experts, but mixtral-8x7b has 8");
}

static void test_model(void) {
  mb_import_options options = {.created_by = "test", .phase = "decode"};
  mb_import_facts facts = {.n_layers = 58, .n_experts = 256, .n_sources = 1};
  mb_trace *trace = NULL;
  mb_import_summary summary;
  static uint64_t load[58 * 256];

  options.model = mb_model_find("deepseek-v3");
  mb_import *import = create(&options);
  CHECK_OK(mb_import_begin(import, &first, &facts));
  CHECK_OK(mb_import_step(import, load, NULL));
  CHECK_OK(mb_import_finish(import, &summary));
  mb_import_destroy(import);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  const mb_trace_info *info = mb_trace_get_info(trace);
  CU_ASSERT(info->top_k == 8 && info->n_groups == 8);
  CU_ASSERT(info->layer_ids[0] == 3 && info->layer_ids[57] == 60);
  CU_ASSERT_STRING_EQUAL(info->model, "DeepSeek-V3");
  mb_trace_destroy(trace);
}

static void test_empty(void) {
  mb_import_summary summary;
  mb_import *import = create(&plain);

  (void)unlink(path);
  CHECK_FAILS(mb_import_finish(import, &summary), MB_ERR_FORMAT, "holds no step");
  CHECK_OK(mb_import_begin(import, &first, &one_rank));
  CHECK_FAILS(mb_import_finish(import, &summary), MB_ERR_FORMAT, "first.npy: holds no step");
  mb_import_destroy(import);
  CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
}

/* Names are there once, and every importer is found by its own. */
static void test_registry(void) {
  const mb_importer *const *all = mb_importers();

  for (size_t i = 0; all[i] != NULL; i++) {
    CU_ASSERT_PTR_EQUAL(mb_importer_find(all[i]->name), all[i]);
    CU_ASSERT(all[i]->summary != NULL && all[i]->summary[0] != '\0' && all[i]->read != NULL);
  }
  CU_ASSERT_PTR_NULL(mb_importer_find("no such format"));
}

int main(void) {
  CU_TestInfo tests[] = {{"inputs are joined", test_concatenates},
                         {"ranks are summed", test_ranks_are_summed},
                         {"ranks that are one", test_ranks_are_one},
                         {"options that change nothing", test_notes_of_options},
                         {"many notes", test_many_notes},
                         {"loads that do not fit", test_overflow},
                         {"inputs must fit each other", test_inputs_must_fit},
                         {"options must fit", test_options_must_fit},
                         {"a model tells the rest", test_model},
                         {"no step at all", test_empty},
                         {"the registry", test_registry},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/trace.h5", folder);
  int status = run_suite("import", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return status;
}
