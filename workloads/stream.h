/* workloads/stream.h - random streams, each seeded from a seed and a name. */
#ifndef MB_WORKLOADS_STREAM_H
#define MB_WORKLOADS_STREAM_H

#include <gsl/gsl_rng.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A random stream of its own for every name, so that a new use of randomness leaves the numbers of
 * the others as they are: gsl_rng_taus2, seeded by XXH3 of the name under the seed.
 *
 * @param name as in printf, with one number: mb_stream_create(seed, "domains/noise/%zu", layer).
 * @return Transferred: gsl_rng_free() it. NULL: out of memory.
 */
gsl_rng *mb_stream_create(uint64_t seed, const char *name, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
