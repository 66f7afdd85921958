/* tests/generators.h - what the tests of the generators share. */
#ifndef MB_TESTS_GENERATORS_H
#define MB_TESTS_GENERATORS_H

#include <omp.h>

#include "tests/test.h"
#include "workloads/generator.h"

/* The defaults, but for the "key=value key=value" given, in params[size]. */
static inline void set_params(const mb_generator_type *type, const char *settings, void *params) {
  char text[512];
  char *rest = text;

  mb_params_init(type->params, params);
  (void)snprintf(text, sizeof text, "%s", settings);
  for (char *key = strtok_r(text, " ", &rest); key != NULL; key = strtok_r(NULL, " ", &rest)) {
    char *value = strchr(key, '=');
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    *value = '\0';
    CHECK_OK(mb_params_set(type->params, key, value + 1, params));
  }
}

/* A generator's state, to be looked into, with the loads of all its steps and what else it has. */
typedef struct taken {
  const mb_generator_type *type;
  void *params, *state;
  mb_trace_info info;
  mb_generator_steps steps;
} taken;

/* So many steps a call. */
static inline taken take_in_chunks(const char *name, const char *settings, uint64_t seed,
                                   size_t chunk, int n_threads) {
  taken made = {.type = mb_generator_find(name)};

  CU_ASSERT_PTR_NOT_NULL_FATAL(made.type);
  omp_set_num_threads(n_threads);
  made.params = calloc(1, made.type->params_size);
  made.state = calloc(1, made.type->state_size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(made.params);
  CU_ASSERT_PTR_NOT_NULL_FATAL(made.state);
  set_params(made.type, settings, made.params);
  CHECK_OK(made.type->init(made.state, made.params, seed, &made.info));
  size_t n_steps = made.info.n_steps;
  size_t size = made.info.n_layers * made.info.n_experts;
  size_t n_ranks = made.info.n_sources > 0 ? made.info.n_sources : 1;
  made.steps = (mb_generator_steps){
      .load = malloc(n_steps * size * sizeof(uint32_t)),
      .load_by_source = malloc(n_steps * n_ranks * size * sizeof(uint32_t)),
      .tokens = malloc(n_steps * n_ranks * sizeof(uint32_t)),
      .step_phase = malloc(n_steps),
  };
  CU_ASSERT_PTR_NOT_NULL_FATAL(made.steps.load);
  for (size_t t = 0; t < n_steps; t += chunk) {
    size_t n = n_steps - t < chunk ? n_steps - t : chunk;
    mb_generator_steps at = {made.steps.load + t * size,
                             made.steps.load_by_source + t * n_ranks * size,
                             made.steps.tokens + t * n_ranks, made.steps.step_phase + t};
    CHECK_OK(made.type->next_steps != NULL ? made.type->next_steps(made.state, n, &at)
                                           : made.type->next(made.state, n, at.load));
  }
  return made;
}

static inline taken take_steps(const char *name, const char *settings, uint64_t seed) {
  return take_in_chunks(name, settings, seed, (size_t)1 << 20, 2);
}

static inline void drop(taken *made) {
  if (made->type->fini != NULL) {
    made->type->fini(made->state);
  }
  free(made->params);
  free(made->state);
  free(made->steps.load);
  free(made->steps.load_by_source);
  free(made->steps.tokens);
  free(made->steps.step_phase);
}

static inline const uint32_t *row_of(const taken *made, size_t t, size_t l) {
  return made->steps.load + (t * made->info.n_layers + l) * made->info.n_experts;
}

#endif
