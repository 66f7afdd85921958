/* experiments/junit.h - results of checks as JUnit XML, which CI systems show. */
#ifndef MB_EXPERIMENTS_JUNIT_H
#define MB_EXPERIMENTS_JUNIT_H

#include <stddef.h>

#include "balancer/status.h"

typedef enum mb_junit_result { MB_JUNIT_PASS, MB_JUNIT_FAILURE, MB_JUNIT_ERROR } mb_junit_result;

/** One test case; all texts borrowed, and escaped when they are written. */
typedef struct mb_junit_case {
  const char *group; /* becomes classname: "domains" or "domains.cluster.slots=64" */
  const char *name;
  mb_junit_result result;
  const char *message; /* a line; of a case that passed, something to say of it, or NULL */
  const char *details; /* more of a case that did not pass; or NULL */
} mb_junit_case;

/**
 * Writes one test suite of these cases, under a temporary name, then renames.
 * @return MB_OK; MB_ERR_IO naming the file, which then is as it was; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_junit_write(const char *path, const char *suite, size_t n_cases,
                                      const mb_junit_case *cases);

#endif
