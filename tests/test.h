/* tests/test.h - what every CUnit program here shares. */
#ifndef MB_TESTS_TEST_H
#define MB_TESTS_TEST_H

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/status.h"

/* The static analyzer does not know that a fatal assertion leaves the test. */
#ifdef __clang_analyzer__
#undef CU_ASSERT_FATAL
#undef CU_ASSERT_PTR_NOT_NULL_FATAL
#define CU_ASSERT_FATAL(value) ((value) ? (void)0 : abort())
#define CU_ASSERT_PTR_NOT_NULL_FATAL(value) CU_ASSERT_FATAL((value) != NULL)
#endif

/** CTest's code for a skipped test. */
enum { MB_TEST_SKIPPED = 77 };

/** MB_OK, or the message is printed beside the failure. */
#define CHECK_OK(call)                                                           \
  do {                                                                           \
    mb_status check_status_ = (call);                                            \
    CU_ASSERT_EQUAL(check_status_, MB_OK);                                       \
    if (check_status_ != MB_OK) {                                                \
      (void)printf("\n    %s:%d: %s\n", __FILE__, __LINE__, mb_error_message()); \
    }                                                                            \
  } while (0)

/** Fails with that status, and a message that contains `text`. */
#define CHECK_FAILS(call, status, text)                                                         \
  do {                                                                                          \
    CU_ASSERT_EQUAL((call), (status));                                                          \
    int check_found_ = strstr(mb_error_message(), (text)) != NULL;                              \
    CU_ASSERT(check_found_);                                                                    \
    if (!check_found_) {                                                                        \
      (void)printf("\n    %s:%d: message is \"%s\"\n", __FILE__, __LINE__, mb_error_message()); \
    }                                                                                           \
  } while (0)

/** Path of a file of the shared folder, in a static buffer; leaves with 77 where it isn't there. */
static inline const char *shared_path(const char *name) {
  static char path[4096];
  const char *root = getenv("MOEBAL_SHARED");

  (void)snprintf(path, sizeof path, "%s/%s", root != NULL ? root : "../shared", name);
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    (void)printf("skipped: %s is not there (MOEBAL_SHARED says where it is)\n", path);
    exit(MB_TEST_SKIPPED);
  }
  (void)fclose(file);
  return path;
}

/** Runs one suite; CUnit itself returns success when tests fail. */
static inline int run_suite(const char *name, CU_TestInfo *tests) {
  CU_SuiteInfo suites[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};

  if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
    (void)fprintf(stderr, "%s\n", CU_get_error_msg());
    return EXIT_FAILURE;
  }
  CU_basic_set_mode(CU_BRM_VERBOSE);
  (void)CU_basic_run_tests();
  unsigned failures = CU_get_number_of_failures();
  CU_cleanup_registry();
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
