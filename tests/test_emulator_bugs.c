/* tests/test_emulator_bugs.c - every planted bug of tests/emulator_bugs.cu is caught by what has to
 * catch it, and the same code without the bug passes in silence.
 *
 * Each runs in a process of its own, which a sanitizer may end: `test_emulator_bugs NAME bug` and
 * `test_emulator_bugs NAME fixed` print what becomes of it. */
#include <stdbool.h>

#include "cuda/host/emulator_control.h"
#include "tests/emulator_bugs.h"
#include "tests/test.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif

/* What the program is built with; in which builds a bug is to be caught. */
typedef enum build {
  PLAIN = 1,
  ADDRESS = 2, /* and undefined behaviour */
  THREAD = 4,
  MEMORY = 8,
  ANY = PLAIN | ADDRESS | THREAD | MEMORY
} build;

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
static const build this_build = ADDRESS;
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
static const build this_build = THREAD;
#elif __has_feature(memory_sanitizer)
static const build this_build = MEMORY;
#else
static const build this_build = PLAIN;
#endif

static const char right[] = "the results are right";
static const char wrong[] = "the results are wrong";
static const char race[] = "ThreadSanitizer: data race";
static const char unwritten[] = "MemorySanitizer: use-of-uninitialized-value";
static const char overflow[] = "AddressSanitizer: heap-buffer-overflow";

typedef struct expectation {
  const char *bug;
  unsigned builds;
  const char *order;
  const char *text; /* in what is printed */
} expectation;

static const expectation expectations[] = {
    {"divergent_barrier", ANY, "ascending", "LaunchFailure"},
    {"divergent_barrier", ANY, "descending", "divergent barrier: thread 0 at"},
    {"divergent_barrier", ANY, "random", "divergent barrier: thread 0 at"},
    {"full_mask_in_half_a_warp", ANY, "ascending", "which has ended"},
    {"full_mask_in_half_a_warp", ANY, "descending", "which has ended"},
    {"stranger_to_its_mask", ANY, "ascending", "is not in its own mask 0000ffff"},
    {"shuffle_from_outside", ANY, "ascending", "shuffles from lane 16, which is not in the mask"},
    {"divergent_warp_operation", ANY, "ascending", "divergent warp operation: lane"},
    {"barrier_against_warp", ANY, "ascending", "deadlock, 64 threads wait for ever"},
    {"barrier_against_warp", ANY, "random", "deadlock"},
    {"partial_warp", ANY, "ascending", "lane 16, which does not exist"},
    {"too_much_shared", ANY, "ascending", "bytes of shared memory in a block, 232448 are the most"},
    {"block_too_large", ANY, "ascending", "cudaErrorInvalidConfiguration"},
    {"host_pointer", ANY, "ascending", "argument 1 is no memory of the device"},
    {"copy_past_allocation", PLAIN, "ascending", "past an allocation with 256 bytes left"},
    {"copy_direction", ANY, "ascending", "against its direction"},
    {"missing_synchronise", ANY, "ascending", wrong},
    {"missing_wait", ANY, "descending", wrong},
    {"allocation_in_capture", ANY, "ascending", "cudaErrorStreamCaptureUnsupported"},
    {"synchronise_in_capture", ANY, "ascending", "cudaErrorStreamCaptureUnsupported"},
    /* In ascending order every thread reads what one before it has written. */
    {"missing_barrier", PLAIN, "ascending", right},
    {"missing_barrier", PLAIN, "descending", wrong},
    {"missing_barrier", PLAIN, "random:1", wrong},
    {"missing_barrier", PLAIN, "random:2", wrong},
    {"missing_barrier", THREAD, "ascending", race},
    {"overwritten_too_soon", PLAIN, "ascending", right},
    {"overwritten_too_soon", PLAIN, "descending", wrong},
    {"overwritten_too_soon", PLAIN, "random:1", wrong},
    {"overwritten_too_soon", THREAD, "ascending", race},
    {"missing_syncwarp", PLAIN, "ascending", wrong},
    {"missing_syncwarp", PLAIN, "descending", wrong},
    {"missing_syncwarp", THREAD, "ascending", race},
    {"race_between_blocks", THREAD, "ascending", race},
    {"missing_fence", THREAD, "ascending", race},
    {"outside_shared_array", ADDRESS, "ascending", "index 64 out of bounds for type"},
    {"outside_dynamic_shared", ADDRESS, "ascending", overflow},
    {"outside_device_memory", ADDRESS, "ascending", overflow},
    {"never_written_shared", MEMORY, "ascending", unwritten},
    {"never_written_device", MEMORY, "ascending", unwritten},
};
enum { N_EXPECTATIONS = sizeof expectations / sizeof *expectations };

static const char *program; /* argv[0], a path with a slash in it */

/* What a process of ours prints, sanitizer reports included. */
static void run_child(const char *bug, const char *variant, const char *order, char *output,
                      size_t capacity) {
  char command[5000];

  (void)snprintf(command, sizeof command, "MB_EMULATOR_ORDER=%s '%s' %s %s 2>&1", order, program,
                 bug, variant);
  FILE *child = popen(command, "r"); // NOLINT(cert-env33-c): our own path, in quotes
  CU_ASSERT_PTR_NOT_NULL_FATAL(child);
  size_t used = fread(output, 1, capacity - 1, child);
  output[used] = '\0';
  /* Read to the end, or the child could wait for us for ever. */
  for (char rest[4096]; fread(rest, 1, sizeof rest, child) > 0;) {
  }
  (void)pclose(child);
}

/* Whether the text is in what a bug prints; what is fixed has to print that and nothing else. */
static bool prints(const expectation *expected, const char *variant, const char *text) {
  static char output[1 << 16];
  const char *found;

  run_child(expected->bug, variant, expected->order, output, sizeof output);
  found = strstr(output, text);
  if (found != NULL && (strcmp(variant, "bug") == 0 ||
                        (found == output && strcmp(output + strlen(text), "\n") == 0))) {
    return true;
  }
  (void)printf("\n    %s (%s, %s) does not print \"%s\" but:\n%s\n", expected->bug, variant,
               expected->order, text, output);
  return false;
}

static void test_bugs_are_caught(void) {
  int n_checked = 0;

  for (int i = 0; i < N_EXPECTATIONS; i++) {
    if ((expectations[i].builds & this_build) != 0) {
      CU_ASSERT(prints(&expectations[i], "bug", expectations[i].text));
      n_checked++;
    }
  }
  CU_ASSERT(n_checked > 0);
}

static void test_fixed_code_passes(void) {
  for (int i = 0; i < N_EXPECTATIONS; i++) {
    if ((expectations[i].builds & this_build) != 0) {
      CU_ASSERT(prints(&expectations[i], "fixed", right));
    }
  }
}

/* Not only that they diverge, but where. */
static void test_both_lines_are_named(void) {
  char output[1 << 12];
  int n_named = 0;

  run_child("divergent_barrier", "bug", "ascending", output, sizeof output);
  for (const char *at = output; (at = strstr(at, "emulator_bugs.cu:")) != NULL; at++) {
    n_named++;
  }
  CU_ASSERT_EQUAL(n_named, 2);
}

static int run_named(const char *name, bool fixed) {
  bug_outcome outcome;
  bool are_right = true;

  if (!bug_run(name, fixed, &outcome)) {
    (void)fprintf(stderr, "no bug of the name %s\n", name);
    return EXIT_FAILURE;
  }
  if (outcome.error != NULL) {
    (void)printf("%s\n", outcome.error);
    return EXIT_FAILURE;
  }
  for (int i = 0; i < BUG_RESULTS; i++) {
    are_right = are_right && outcome.results[i] == i;
  }
  (void)printf("%s\n", are_right ? right : wrong);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {
      {"planted bugs are caught", test_bugs_are_caught},
      {"the same without the bug passes", test_fixed_code_passes},
      {"both lines of a divergent barrier are named", test_both_lines_are_named},
      CU_TEST_INFO_NULL,
  };

  if (argc == 3) {
    return run_named(argv[1], strcmp(argv[2], "fixed") == 0);
  }
  program = argv[0];
  return run_suite("emulator bugs", tests);
}
