/* tests/test_sweep_damaged.c - damaged sweeps are refused, or are sweeps that can be written and
 * read again; they never crash or hang the program. */
#include "tests/test.h"

#include <unistd.h>

#include "experiments/sweep.h"

#define PATH "test_sweep_damaged.yaml"

enum { N_VARIANTS = 3000, SECONDS = 300 };

static const char ORIGINAL[] = "name: base\n"
                               "trace: {generate: domains}\n"
                               "cluster: {gpus: 8, slots: 16}\n"
                               "schedule: {interval: 10, window: 20}\n"
                               "sweep:\n"
                               "  schedule.delay: [0, 5]\n"
                               "  zip:\n"
                               "    - {cluster.gpus: [4, 8], cluster.slots: [16, 24]}\n"
                               "    - {seed: 1..2, trace.merge: [2, 1]}\n"
                               "  strategies: [[lpt], ['l2', \"none\"]]\n"
                               "  parameters.l2: [{max_rounds: 3}, {min_gain: 1e-3}]\n"
                               "  trace.generate.seed: [7, 9..10]\n";

/* xorshift64*: the same variants everywhere. */
static uint64_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(2685821657736338717);
}

/* Cuts, flips, deletes or moves bytes; returns the new size. Most of it is in the sweep. */
static size_t damage(uint64_t *random, char *text, size_t size) {
  size_t n = 1 + next_random(random) % 3;

  for (size_t i = 0; i < n && size > 1; i++) {
    size_t at = next_random(random) % size;
    at = next_random(random) % 4 != 0 && at < size / 3 ? at + size / 3 : at;
    switch (next_random(random) % 6) {
    case 0:
      size = at;
      break;
    case 1:
      text[at] = (char)(text[at] ^ (1 << next_random(random) % 8));
      break;
    case 2:
    case 3:
      text[at] = "{}[]:,-.0123456789 \"'~\n"[next_random(random) % 23];
      break;
    case 4:
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

/* What a sweep says of itself means the same sweep. */
static void check_again(const mb_sweep *sweep) {
  mb_sweep *again = NULL;

  write_bytes(sweep->text, strlen(sweep->text));
  CHECK_OK(mb_sweep_read(PATH, 0, NULL, 0, &again));
  if (again == NULL) {
    (void)printf("\n%s", sweep->text);
    return;
  }
  CU_ASSERT_STRING_EQUAL(again->text, sweep->text);
  CU_ASSERT_EQUAL_FATAL(again->n_keys, sweep->n_keys);
  CU_ASSERT_EQUAL_FATAL(again->n_cells, sweep->n_cells);
  for (size_t i = 0; i < sweep->n_cells; i++) {
    CU_ASSERT_STRING_EQUAL(again->cell[i].config->name, sweep->cell[i].config->name);
    for (size_t k = 0; k < sweep->n_keys; k++) {
      CU_ASSERT_STRING_EQUAL(again->cell[i].value[k], sweep->cell[i].value[k]);
    }
  }
  mb_sweep_destroy(again);
}

/* Returns whether it is a sweep still. */
static bool try_sweep(void) {
  mb_sweep *sweep = NULL;

  if (mb_sweep_read(PATH, 0, NULL, 0, &sweep) != MB_OK) {
    const char *message = mb_error_message();
    CU_ASSERT(strncmp(message, PATH, strlen(PATH)) == 0);
    CU_ASSERT_PTR_NULL(strchr(message, '\n'));
    return false;
  }
  check_again(sweep);
  mb_sweep_destroy(sweep);
  return true;
}

static void test_damaged(void) {
  uint64_t random = 20261124;
  char text[sizeof ORIGINAL];
  size_t valid = 0;

  write_bytes(ORIGINAL, sizeof ORIGINAL - 1);
  CU_ASSERT_TRUE_FATAL(try_sweep());
  (void)alarm(SECONDS); /* a hang ends the test */
  for (size_t i = 0; i < N_VARIANTS; i++) {
    memcpy(text, ORIGINAL, sizeof text);
    write_bytes(text, damage(&random, text, sizeof text - 1));
    valid += try_sweep();
  }
  (void)alarm(0);
  (void)printf("%zu of %d variants are valid still; ", valid, N_VARIANTS);
  CU_ASSERT(valid > 0 && valid < N_VARIANTS / 2);
}

int main(void) {
  CU_TestInfo tests[] = {{"bytes flipped, cut, moved", test_damaged}, CU_TEST_INFO_NULL};
  int status = run_suite("sweep_damaged", tests);

  (void)remove(PATH);
  return status;
}
