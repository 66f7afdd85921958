/* tests/test_packed.c - packed loads come back as they were, whatever their size; damaged files and
 * sources that fail are refused. */
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/packed.h"

/* Steps of 1,000 loads: blocks of 262, the last one cut short. */
enum { T = 700, L = 4, E = 250, STEP = L * E, HALF = 262 };

static char path[] = "/tmp/moebal-packed-XXXXXX";
static uint32_t loads[(size_t)T * STEP];
static const int32_t layer_ids[L] = {3, 5, 6, 9};
static const mb_trace_info info = {.n_steps = T,
                                   .n_layers = L,
                                   .n_experts = E,
                                   .top_k = 2,
                                   .n_groups = 10,
                                   .layer_ids = layer_ids,
                                   .model = "a model",
                                   .source = "made by hand",
                                   .created_by = "",
                                   .phase = MB_PHASE_MIXED,
                                   .padding = "excluded",
                                   .counts = "",
                                   .source_semantics = "attention_dp",
                                   .steps_per_record = 7};

/* The largest loads of the three blocks ask for 1, 2 and 4 bytes. */
static void fill(void) {
  static const uint32_t largest[] = {UINT8_MAX, UINT16_MAX, UINT32_MAX};

  for (size_t i = 0; i < (size_t)T * STEP; i++) {
    loads[i] = (uint32_t)(i * 2654435761U) >> 24;
  }
  for (size_t b = 0; b < 3; b++) {
    loads[(size_t)b * HALF * STEP + 17] = largest[b];
  }
}

static mb_status no_objection(void) {
  return MB_OK;
}

static mb_status objection(void) {
  return MB_FAIL(MB_ERR_CANCELLED, "that will do");
}

static void pack(void) {
  mb_source *source = NULL;

  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CHECK_OK(mb_packed_write(source, path, no_objection));
  mb_source_destroy(source);
}

static void check_info(const mb_trace_info *read) {
  CU_ASSERT_EQUAL(read->n_steps, T);
  CU_ASSERT_EQUAL(read->n_layers, L);
  CU_ASSERT_EQUAL(read->n_experts, E);
  CU_ASSERT_EQUAL(read->top_k, 2);
  CU_ASSERT_EQUAL(read->n_groups, 10);
  CU_ASSERT(memcmp(read->layer_ids, layer_ids, sizeof layer_ids) == 0);
  CU_ASSERT_STRING_EQUAL(read->model, "a model");
  CU_ASSERT_STRING_EQUAL(read->source, "made by hand");
  CU_ASSERT_STRING_EQUAL(read->created_by, "");
  CU_ASSERT_EQUAL(read->phase, MB_PHASE_MIXED);
  CU_ASSERT_STRING_EQUAL(read->padding, "excluded");
  CU_ASSERT_STRING_EQUAL(read->counts, "");
  CU_ASSERT_STRING_EQUAL(read->source_semantics, "attention_dp");
  CU_ASSERT_EQUAL(read->steps_per_record, 7);
}

/* Read in odd pieces, all is there, and in no more bytes than the blocks' largest loads ask for. */
static void test_round_trip(void) {
  static uint32_t read[(size_t)T * STEP];
  static const size_t pieces[] = {1, 300, 0, 261, 138};
  mb_source *source = NULL;
  char was[MB_DIGEST_SIZE];
  char is[MB_DIGEST_SIZE];
  struct stat file;
  size_t t = 0;

  pack();
  CHECK_OK(mb_source_open_packed(path, &source));
  CU_ASSERT_PTR_NOT_NULL_FATAL(source);
  check_info(mb_source_get_info(source));
  for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
    CHECK_OK(mb_source_read(source, pieces[i], read + t * STEP));
    t += pieces[i];
  }
  CU_ASSERT_EQUAL_FATAL(t, T);
  CU_ASSERT(memcmp(read, loads, sizeof loads) == 0);
  mb_source_digest(source, is);
  mb_source_destroy(source);
  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CHECK_OK(mb_source_read(source, T, read));
  mb_source_digest(source, was);
  mb_source_destroy(source);
  CU_ASSERT_STRING_EQUAL(is, was);
  size_t least = (size_t)HALF * STEP + (size_t)HALF * STEP * 2 + (size_t)(T - 2 * HALF) * STEP * 4;
  CU_ASSERT_FATAL(stat(path, &file) == 0);
  CU_ASSERT((size_t)file.st_size >= least && (size_t)file.st_size < least + 1000);
}

/* Cut off anywhere, it is refused when it is opened, or where it ends. */
static void test_cut(void) {
  static uint32_t read[(size_t)T * STEP];
  static const off_t sizes[] = {0, 7, 40, 200, 300, 1000, (off_t)HALF * STEP + 500, 1400000};

  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mb_source *source = NULL;
    pack();
    CU_ASSERT_FATAL(truncate(path, sizes[i]) == 0);
    mb_status status = mb_source_open_packed(path, &source);
    if (status == MB_OK) {
      CHECK_FAILS(mb_source_read(source, T, read), MB_ERR_IO, "packed loads end at step ");
    } else {
      CU_ASSERT_EQUAL(status, MB_ERR_FORMAT);
      CU_ASSERT_PTR_NULL(source);
    }
    mb_source_destroy(source);
  }
  (void)unlink(path);
  mb_source *source = NULL;
  CHECK_FAILS(mb_source_open_packed(path, &source), MB_ERR_IO, "cannot be read");
}

/* What is not complete gets no name. */
static void test_stopped(void) {
  mb_source *source = NULL;

  (void)unlink(path);
  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CHECK_FAILS(mb_packed_write(source, path, objection), MB_ERR_CANCELLED, "that will do");
  CU_ASSERT(access(path, F_OK) != 0);
  mb_source_destroy(source);
  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CHECK_FAILS(mb_packed_write(source, "/tmp/there/is/no/such/folder", NULL), MB_ERR_IO, "folder");
  mb_source_destroy(source);
}

int main(void) {
  CU_TestInfo tests[] = {{"loads come back", test_round_trip},
                         {"a file that was cut off", test_cut},
                         {"work that is stopped", test_stopped},
                         CU_TEST_INFO_NULL};
  int file = mkstemp(path);

  if (file < 0) {
    return EXIT_FAILURE;
  }
  (void)close(file);
  fill();
  int exit_status = run_suite("packed", tests);
  (void)unlink(path);
  return exit_status;
}
