/* tests/test_trace_shared.c - the recorded traces of the shared folder open, and read through. */
#include <hdf5.h>

#include "tests/test.h"
#include "workloads/trace.h"

typedef struct expected {
  const char *name;
  size_t n_steps, n_layers, n_experts;
  int32_t top_k;
  mb_phase phase;
} expected;

/* As the traces' own description has it. */
static const expected traces[] = {
    {"traces/gpt-oss-20b-decode64-drift.h5", 3186, 24, 32, 4, MB_PHASE_DECODE},
    {"traces/gpt-oss-20b-decode256-mixed.h5", 611, 24, 32, 4, MB_PHASE_DECODE},
    {"traces/deepseek-v2-lite-prefill-tasks.h5", 259, 26, 64, 6, MB_PHASE_PREFILL},
};

static void check_trace(const expected *want) {
  const char *path = shared_path(want->name);
  mb_trace *trace = NULL;
  char digest[MB_DIGEST_SIZE];

  CHECK_OK(mb_trace_verify(path, digest));
  CHECK_OK(mb_trace_open(path, &trace));
  const mb_trace_info *info = mb_trace_get_info(trace);
  CU_ASSERT(info->n_steps == want->n_steps && info->n_layers == want->n_layers &&
            info->n_experts == want->n_experts && info->top_k == want->top_k &&
            info->phase == want->phase && info->n_groups == 1);

  /* Every layer gets top_k loads a token: the same sum in all layers of a step. */
  size_t step_size = info->n_layers * info->n_experts;
  uint32_t *load = calloc(step_size, sizeof *load);
  CU_ASSERT_FATAL(load != NULL);
  for (size_t t = 0; t < info->n_steps; t += 50) {
    uint64_t sums[32] = {0};
    CHECK_OK(mb_trace_read(trace, t, 1, load));
    for (size_t x = 0; x < step_size; x++) {
      sums[x / info->n_experts] += load[x];
    }
    CU_ASSERT(sums[0] > 0 && sums[0] % (uint64_t)info->top_k == 0);
    for (size_t l = 1; l < info->n_layers; l++) {
      CU_ASSERT_EQUAL(sums[l], sums[0]);
    }
  }
  free(load);
  mb_trace_destroy(trace);
}

static void test_traces(void) {
  for (size_t i = 0; i < sizeof traces / sizeof *traces; i++) {
    check_trace(&traces[i]);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"recorded traces", test_traces}, CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  (void)shared_path(traces[0].name);
  return run_suite("trace_shared", tests);
}
