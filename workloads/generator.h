/* workloads/generator.h - synthetic loads: generators, their parameters and their random streams.
 */
#ifndef MB_WORKLOADS_GENERATOR_H
#define MB_WORKLOADS_GENERATOR_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/status.h"
#include "workloads/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where a generator's next steps go: load, and what else its info names; NULL: not wanted. */
typedef struct mb_generator_steps {
  uint32_t *load;           /* [n,L,E] */
  uint32_t *load_by_source; /* [n,L,R,E] */
  uint32_t *tokens;         /* [n,R] */
  uint8_t *step_phase;      /* [n] mb_phase */
} mb_generator_steps;

/**
 * A generator: one file, ending in `const mb_generator_type mb_generator_<name>`, and one line in
 * generators.def.
 */
typedef struct mb_generator_type {
  const char *name;
  const char *summary;    /* required; half a sentence for `moebal list generators` */
  const mb_param *params; /* required */
  size_t params_size;
  size_t state_size; /* bytes that the caller allocates, zeroed, before init */
  /* Required. On failure the state owns nothing. Fills `info`, whose texts and layer_ids are
     borrowed from the state or static; its `source` says that the loads are synthetic, by what
     model, parameters and seed. */
  mb_status (*init)(void *state, const void *params, uint64_t seed, mb_trace_info *info);
  /* Required. The next n steps, [n,L,E]; the same whatever the n of each call and the threads. */
  mb_status (*next)(void *state, size_t n, uint32_t *load);
  /* The same with the optional objects; NULL: its info names none. */
  mb_status (*next_steps)(void *state, size_t n, const mb_generator_steps *steps);
  void (*fini)(void *state); /* optional, NULL: the state owns nothing */
} mb_generator_type;

/** The generator of that name, or NULL. */
const mb_generator_type *mb_generator_find(const char *name);

/** All generators in the order of generators.def, NULL-terminated. Static. */
const mb_generator_type *const *mb_generators(void);

/**
 * What a generator's `source` says: that the loads are synthetic, and all parameters and the seed.
 * Cut off at `size` bytes; 4096 are plenty. Returns `buffer`.
 */
char *mb_generator_describe(const mb_generator_type *type, const void *params, uint64_t seed,
                            char *buffer, size_t size);

/** A generator with its state. */
typedef struct mb_generator mb_generator;

/**
 * @param params a struct of type->params_size bytes, set by mb_params_init(type->params, ...) and
 *               mb_params_set(). Copied.
 * @param seed   Same parameters and seed, same loads. Streams are seeded from (seed, stream name).
 * @return MB_OK; MB_ERR_PARAM, MB_ERR_SHAPE naming the parameters that do not fit; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_generator_create(const mb_generator_type *type, const void *params,
                                           uint64_t seed, mb_generator **generator);
const mb_trace_info *mb_generator_get_info(const mb_generator *generator);
MB_NODISCARD mb_status mb_generator_next(mb_generator *generator, size_t n, uint32_t *load);
/** The same with the optional objects that the info names. */
MB_NODISCARD mb_status mb_generator_next_steps(mb_generator *generator, size_t n,
                                               const mb_generator_steps *steps);
void mb_generator_destroy(mb_generator *generator); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
