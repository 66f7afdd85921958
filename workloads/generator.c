/* workloads/generator.c */
#include "workloads/generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MB_GENERATOR(name) extern const mb_generator_type mb_generator_##name;
#include "workloads/generators.def"
#undef MB_GENERATOR

struct mb_generator {
  const mb_generator_type *type;
  mb_trace_info info;
  void *state;
};

const mb_generator_type *const *mb_generators(void) {
#define MB_GENERATOR(name) &mb_generator_##name,
  static const mb_generator_type *const generators[] = {
#include "workloads/generators.def"
      NULL};
#undef MB_GENERATOR
  return generators;
}

const mb_generator_type *mb_generator_find(const char *name) {
  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++) {
    if (strcmp((*type)->name, name) == 0) {
      return *type;
    }
  }
  return NULL;
}

char *mb_generator_describe(const mb_generator_type *type, const void *params, uint64_t seed,
                            char *buffer, size_t size) {
  char value[MB_PARAM_TEXT_SIZE];
  size_t used =
      (size_t)snprintf(buffer, size, "synthetic, not a recording: generator %s", type->name);

  for (const mb_param *param = type->params; param->key != NULL && used < size; param++) {
    used += (size_t)snprintf(buffer + used, size - used, ", %s=%s", param->key,
                             mb_param_format(param, params, value, sizeof value));
  }
  if (used < size) {
    (void)snprintf(buffer + used, size - used, ", seed=%" PRIu64, seed);
  }
  return buffer;
}

mb_status mb_generator_create(const mb_generator_type *type, const void *params, uint64_t seed,
                              mb_generator **generator) {
  mb_generator *made = calloc(1, sizeof *made);
  void *state = calloc(1, type->state_size);

  mb_status status = MB_OK;
  if (made == NULL || state == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the generator %s", type->name);
  } else {
    *made = (mb_generator){.type = type, .state = state};
    status = type->init(state, params, seed, &made->info);
  }
  if (status != MB_OK) {
    free(state);
    free(made);
    return status;
  }
  *generator = made;
  return MB_OK;
}

const mb_trace_info *mb_generator_get_info(const mb_generator *generator) {
  return &generator->info;
}

mb_status mb_generator_next(mb_generator *generator, size_t n, uint32_t *load) {
  return generator->type->next(generator->state, n, load);
}

mb_status mb_generator_next_steps(mb_generator *generator, size_t n,
                                  const mb_generator_steps *steps) {
  const mb_generator_type *type = generator->type;

  return type->next_steps != NULL ? type->next_steps(generator->state, n, steps)
                                  : type->next(generator->state, n, steps->load);
}

void mb_generator_destroy(mb_generator *generator) {
  if (generator == NULL) {
    return;
  }
  if (generator->type->fini != NULL) {
    generator->type->fini(generator->state);
  }
  free(generator->state);
  free(generator);
}
