/* tests/emulator_bugs.h - kernels and host code with one mistake each, as people make them. */
#ifndef MB_TESTS_EMULATOR_BUGS_H
#define MB_TESTS_EMULATOR_BUGS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BUG_RESULTS = 64 };

/** What became of a run. Where all went well, each result is its own index. */
typedef struct bug_outcome {
  const char *error; /**< the first error, by CUDA's name and text. Static; NULL if none */
  int results[BUG_RESULTS];
} bug_outcome;

/** Runs the mistake of that name, or the same code without it. False: there is none of that name.
 */
bool bug_run(const char *name, bool fixed, bug_outcome *outcome);

#ifdef __cplusplus
}
#endif

#endif
