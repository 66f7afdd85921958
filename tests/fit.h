/* tests/fit.h - windows of a source, for the tests of fits. */
#ifndef MB_TESTS_FIT_H
#define MB_TESTS_FIT_H

#include "tests/test.h"
#include "workloads/source.h"
#include "workloads/windows.h"

/** The first n_layers layers of the source, in windows of that many steps. Transferred. */
static inline mb_windows *windows_of_layers(mb_source *source, size_t steps, size_t n_layers) {
  const mb_trace_info *info = mb_source_get_info(source);
  size_t size = n_layers * info->n_experts;
  uint32_t *load = malloc(steps * info->n_layers * info->n_experts * sizeof *load);
  mb_windows *windows = NULL;

  CU_ASSERT_PTR_NOT_NULL_FATAL(load);
  CHECK_OK(mb_windows_create(info->n_steps, n_layers, info->n_experts, steps, &windows));
  CU_ASSERT_PTR_NOT_NULL_FATAL(windows);
  for (size_t t = 0; t < info->n_steps; t += steps) {
    size_t n = info->n_steps - t < steps ? info->n_steps - t : steps;
    CHECK_OK(mb_source_read(source, n, load));
    for (size_t i = 1; i < n; i++) {
      memmove(load + i * size, load + i * info->n_layers * info->n_experts, size * sizeof *load);
    }
    mb_windows_add(windows, n, load);
  }
  free(load);
  return windows;
}

/** All of the source. Transferred. */
static inline mb_windows *windows_of(mb_source *source, size_t steps) {
  return windows_of_layers(source, steps, mb_source_get_info(source)->n_layers);
}

/** The mean over seeds 1 to n of what a generator's windows show. @param layers [L] zeroed. */
static inline void measure_generated(const mb_generator_type *type, const void *params,
                                     size_t steps, size_t n, size_t n_layers,
                                     mb_windows_layer *layers) {
  mb_windows_layer *one = calloc(n_layers, sizeof *one);

  CU_ASSERT_PTR_NOT_NULL_FATAL(one);
  for (size_t seed = 1; seed <= n; seed++) {
    mb_source *source = NULL;
    CHECK_OK(mb_source_open_generator(type, params, seed, &source));
    CU_ASSERT_PTR_NOT_NULL_FATAL(source);
    mb_windows *windows = windows_of(source, steps);
    CHECK_OK(mb_windows_measure(windows, one));
    for (size_t i = 0; i < n_layers * sizeof *one / sizeof(double); i++) {
      ((double *)layers)[i] += ((const double *)one)[i] / (double)n;
    }
    mb_windows_destroy(windows);
    mb_source_destroy(source);
  }
  free(one);
}

#endif
