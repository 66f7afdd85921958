/* workloads/stream.h - random streams, each seeded from a seed and a name. */
#ifndef MB_WORKLOADS_STREAM_H
#define MB_WORKLOADS_STREAM_H

#include <gsl/gsl_rng.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A random stream of its own for every name, so that a new use of randomness leaves the numbers of
 * the others as they are: gsl_rng_taus2, seeded by XXH3 of "name/index" under the seed.
 *
 * @param index of the stream among those of the name: a layer, say.
 * @return Transferred: gsl_rng_free() it. NULL: out of memory.
 */
gsl_rng *mb_stream_create(uint64_t seed, const char *name, size_t index);

#ifdef __cplusplus
}
#endif

#endif
