/* workloads/source.h - loads as a stream of steps, wherever they come from: a file or a generator.
 */
#ifndef MB_WORKLOADS_SOURCE_H
#define MB_WORKLOADS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/generator.h"
#include "workloads/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A stream of steps, read once from first to last. Not for use by two threads at once. */
typedef struct mb_source mb_source;

/** The steps of a trace file; see mb_trace_open(). @param source Transferred. */
MB_NODISCARD mb_status mb_source_open_trace(const char *path, mb_source **source);

/** The steps that a generator makes. @param params as mb_generator_create(). Transferred. */
MB_NODISCARD mb_status mb_source_open_generator(const mb_generator_type *type, const void *params,
                                                uint64_t seed, mb_source **source);

/**
 * Loads in memory, for tests and for programs that have them already.
 * @param info its n_steps counts; copied. @param load [T,L,E] borrowed as long as the source lives.
 */
MB_NODISCARD mb_status mb_source_open_memory(const mb_trace_info *info, const uint32_t *load,
                                             mb_source **source);

/**
 * Every `merge` steps of a source as one, their loads summed; what is left at its end is read and
 * dropped. Its info has n_steps / merge steps and no optional objects, nor a digest; what it says
 * of itself says that it is merged.
 *
 * @param inner  at its start. Transferred, also on failure.
 * @param merge  >= 1.
 * @return MB_OK; MB_ERR_SHAPE if not one step is left; MB_ERR_MEMORY. mb_source_read() returns
 *         MB_ERR_RANGE with step, layer and expert where a sum does not fit 32 bits.
 */
MB_NODISCARD mb_status mb_source_open_merged(mb_source *inner, size_t merge, mb_source **source);

/** The steps of a file that mb_packed_write() made of another source; see mb_packed_open(). */
MB_NODISCARD mb_status mb_source_open_packed(const char *path, mb_source **source);

void mb_source_destroy(mb_source *source); /* NULL is fine */

/** Borrowed: lives as long as the source. */
const mb_trace_info *mb_source_get_info(const mb_source *source);

/** The open file of mb_source_open_trace(), for its optional objects; NULL of other sources.
 * Borrowed.
 */
mb_trace *mb_source_get_trace(mb_source *source);

/**
 * The next n steps; asking for more than are left is a programmer's error. When the last step has
 * been read, the digest is compared with the trace's load_xxh3, where it has one: MB_ERR_FORMAT.
 *
 * @param load [n,L,E] caller-owned; contents unspecified on failure.
 */
MB_NODISCARD mb_status mb_source_read(mb_source *source, size_t n, uint32_t *load);

/** Ranks that the loads can be had by, R; 0 where the source cannot tell, which is all but trace
 * files with /load_by_source, unmerged. */
size_t mb_source_n_sources(const mb_source *source);

/**
 * The same with the loads by the rank that they come from.
 * @param by_source [n,L,R,E], R = mb_source_n_sources() >= 1. Contents unspecified on failure.
 * @return also MB_ERR_FORMAT where they do not add up to the loads.
 */
MB_NODISCARD mb_status mb_source_read_by_source(mb_source *source, size_t n, uint32_t *load,
                                                uint32_t *by_source);

/** XXH3-128 of the raw little-endian loads read so far, as hex. */
void mb_source_digest(const mb_source *source, char digest[MB_DIGEST_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
