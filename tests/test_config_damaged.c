/* tests/test_config_damaged.c - damaged configs are refused, or mean something; they never crash or
 * hang the program. */
#include "tests/test.h"

#include <unistd.h>

#include "experiments/config.h"

#define PATH "test_config_damaged.yaml"

enum { N_VARIANTS = 2000, SECONDS = 120 };

static const char ORIGINAL[] =
    "# loads of a day\n"
    "name: base\n"
    "trace:\n"
    "  generate: {use: domains, model: mixtral-8x7b, steps: 50, sigma: 0.5}\n"
    "cluster: {nodes: 2, gpus: 8, slots: 16, groups: trace}\n"
    "schedule:\n"
    "  interval: 10\n"
    "  window: 20\n"
    "strategies:\n"
    "  - lpt\n"
    "  - \"l2\"\n"
    "  - l2-long: {use: l2, max_rounds: unlimited}\n"
    "parameters:\n"
    "  l2: {min_gain: 1e-3, reference_quirks: true}\n"
    "summary: {from: 12}\n"
    "seed: 7\n"
    "output: out/x.h5\n";

/* xorshift64*: the same variants everywhere. */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(2685821657736338717);
}

/* Cuts, flips, deletes, doubles or moves bytes; returns the new size. */
static size_t damage(uint64_t *random, char *text, size_t size) {
  size_t n = 1 + next_random(random) % 4;

  for (size_t i = 0; i < n && size > 1; i++) {
    size_t at = next_random(random) % size;
    switch (next_random(random) % 5) {
    case 0:
      size = at;
      break;
    case 1:
      text[at] = (char)(text[at] ^ (1 << next_random(random) % 8));
      break;
    case 2:
      text[at] = "{}[]:,-&*!|>'\"%@`#\n\t 0~\\?"[next_random(random) % 25];
      break;
    case 3:
      memmove(text + at, text + at + 1, size - at - 1);
      size--;
      break;
    default:
      memmove(text + at, text, size - at);
      break;
    }
  }
  return size;
}

static void write_bytes(const char *text, size_t size) {
  FILE *file = fopen(PATH, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(fwrite(text, 1, size, file), size);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

/* Returns whether it is a config still. */
static bool try_config(void) {
  static const int32_t layer_ids[] = {0, 1};
  const mb_trace_info info = {.n_steps = 50,
                              .n_layers = 2,
                              .n_experts = 8,
                              .top_k = 2,
                              .n_groups = 1,
                              .layer_ids = layer_ids,
                              .model = ""};
  mb_config *config = NULL;
  mb_replay_config replay;
  char *text = NULL;

  if (mb_config_read(PATH, 0, NULL, &config) != MB_OK) {
    const char *message = mb_error_message();
    CU_ASSERT(strncmp(message, PATH, strlen(PATH)) == 0);
    CU_ASSERT_PTR_NULL(strchr(message, '\n'));
    return false;
  }
  if (mb_config_fit(config, &info, &replay) == MB_OK) {
    CHECK_OK(mb_config_format(config, &replay, &text));
  }
  free(text);
  mb_config_destroy(config);
  return true;
}

static void test_damaged(void) {
  uint64_t random = 20240607;
  char text[sizeof ORIGINAL];
  size_t valid = 0;

  write_bytes(ORIGINAL, sizeof ORIGINAL - 1);
  CU_ASSERT_TRUE_FATAL(try_config());
  (void)alarm(SECONDS); /* a hang ends the test */
  for (size_t i = 0; i < N_VARIANTS; i++) {
    memcpy(text, ORIGINAL, sizeof text);
    write_bytes(text, damage(&random, text, sizeof text - 1));
    valid += try_config();
  }
  (void)alarm(0);
  (void)printf("%zu of %d variants are valid still; ", valid, N_VARIANTS);
  /* Damage to a comment or a digit leaves a config; damage that hurts is found. */
  CU_ASSERT(valid > 0 && valid < N_VARIANTS / 2);
}

int main(void) {
  CU_TestInfo tests[] = {{"bytes flipped, cut, moved", test_damaged}, CU_TEST_INFO_NULL};
  int status = run_suite("config_damaged", tests);

  (void)remove(PATH);
  return status;
}
