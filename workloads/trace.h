/* workloads/trace.h - moebal-trace files, version 1 (HDF5): reading them with suspicion, and
 * writing. */
#ifndef MB_WORKLOADS_TRACE_H
#define MB_WORKLOADS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MB_TRACE_VERSION 1

/** Bytes of a XXH3-128 digest as 32 lower-case hex digits (canonical, big-endian) and a NUL. */
#define MB_DIGEST_SIZE 33

typedef enum mb_phase {
  MB_PHASE_PREFILL = 0,
  MB_PHASE_DECODE = 1,
  MB_PHASE_MIXED = 2,
  MB_PHASE_TRAIN = 3,
} mb_phase;

/** "prefill", "decode", "mixed" or "train". Static. */
const char *mb_phase_name(mb_phase phase);

/** The optional objects of the format: where they are, their shapes and types have been checked. */
typedef enum mb_trace_object {
  MB_TRACE_STEP_TIME = 1 << 0,      /* /step_time [T] */
  MB_TRACE_STEP_PHASE = 1 << 1,     /* /step_phase [T] */
  MB_TRACE_LOAD_BY_SOURCE = 1 << 2, /* /load_by_source [T,L,R,E] */
  MB_TRACE_TOKENS = 1 << 3,         /* /tokens [T,R] */
  MB_TRACE_TOPK = 1 << 4,           /* /topk, /topk_offset, /topk_source */
} mb_trace_object;

/** What a trace says of itself. Texts and layer_ids belong to whoever made the struct. */
typedef struct mb_trace_info {
  size_t n_steps;           /* T >= 1 */
  size_t n_layers;          /* L >= 1 */
  size_t n_experts;         /* E >= 1 */
  int32_t top_k;            /* experts a token goes to, 1..E */
  int32_t n_groups;         /* G >= 1, divides E */
  const int32_t *layer_ids; /* [L] the layers' numbers in the model */
  const char *model;
  const char *source; /* how it was recorded or made; licence */
  const char *created_by;
  mb_phase phase;
  const char *padding;            /* "excluded", "included", or "" where not known */
  const char *counts;             /* "logical", "from_physical", or "" */
  const char *source_semantics;   /* "attention_dp", "attention_tp", or "" */
  int64_t steps_per_record;       /* >= 1; 0 where not known */
  size_t n_sources;               /* R of the optional objects; 0 without them */
  unsigned objects;               /* set of mb_trace_object */
  char load_xxh3[MB_DIGEST_SIZE]; /* digest of the raw little-endian uint32 loads, or "" */
} mb_trace_info;

/** An open trace file. Not for use by two threads at once. */
typedef struct mb_trace mb_trace;

/**
 * Opens and checks a trace: format and version, every shape, type and attribute, and that the
 * optional objects fit /load. Unknown objects are passed over. Before this process trusts libhdf5
 * with the file, a child process (10 s, 1 GiB) walks all of its metadata and, of files with up to
 * 256 MiB of data, every chunk; one that dies or times out is "FILE: damaged, HDF5 cannot read it".
 *
 * @param trace Transferred: mb_trace_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO (no such file, no permission); MB_ERR_FORMAT naming file and object and
 *         what would be right; MB_ERR_UNSUPPORTED for a higher version; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_trace_open(const char *path, mb_trace **trace);
void mb_trace_destroy(mb_trace *trace); /* NULL is fine */

/** Borrowed: lives as long as the trace. */
const mb_trace_info *mb_trace_get_info(const mb_trace *trace);

/**
 * Reads steps [first, first + n) of /load. float and int64 loads are accepted where they hold whole
 * numbers in [0, 2^32 - 1]; a value that isn't one is MB_ERR_FORMAT naming step, layer and expert.
 *
 * Chunks of whole steps, as mb_trace_writer makes them, are unpacked on as many threads as OpenMP
 * may use, and those that follow while the caller works on these. Others are read by HDF5 alone.
 * Memory: 64 MiB or two chunks; where HDF5 reads, the chunks touched, no more than 64 MiB of cache,
 * or 256 MiB, where that saves unpacking them again and again, as with chunks of many steps and few
 * experts.
 *
 * @param load [n,L,E] caller-owned; contents unspecified on failure.
 */
MB_NODISCARD mb_status mb_trace_read(mb_trace *trace, size_t first, size_t n, uint32_t *load);

/** The same, always through HDF5's own filters, one chunk after the other: what to compare with. */
MB_NODISCARD mb_status mb_trace_read_plainly(mb_trace *trace, size_t first, size_t n,
                                             uint32_t *load);

/**
 * Tokens of steps [first, first + n), summed over the ranks that they come from; only for a trace
 * that has MB_TRACE_TOKENS.
 *
 * @param tokens [n] caller-owned; contents unspecified on failure.
 */
MB_NODISCARD mb_status mb_trace_read_tokens(mb_trace *trace, size_t first, size_t n,
                                            uint64_t *tokens);

/**
 * One of the optional objects over steps [first, first + n); only for a trace that has it.
 *
 * @param object MB_TRACE_STEP_TIME, STEP_PHASE, LOAD_BY_SOURCE or TOKENS.
 * @param values double [n], uint8_t [n], uint32_t [n,L,R,E] or uint32_t [n,R]; caller-owned;
 *               contents unspecified on failure.
 * @return MB_OK; MB_ERR_FORMAT naming the object, and the value that is out of range.
 */
MB_NODISCARD mb_status mb_trace_read_object(mb_trace *trace, mb_trace_object object, size_t first,
                                            size_t n, void *values);

/**
 * Reads every chunk of every object, in a child process without a time limit, and checks load_xxh3
 * where present: what `moebal trace verify` does.
 * @param digest of the loads, always computed. Written only on MB_OK.
 */
MB_NODISCARD mb_status mb_trace_verify(const char *path, char digest[MB_DIGEST_SIZE]);

/**
 * Whether the root of an HDF5 file has that text as its attribute `format`; found out in a child
 * process. False of whatever cannot be read.
 */
bool mb_file_has_format(const char *path, const char *format);

/** A trace being written: under a temporary name in the same folder, renamed when it is finished.
 */
typedef struct mb_trace_writer mb_trace_writer;

/**
 * @param info   n_steps and load_xxh3 are not heeded: steps are counted, the digest is computed.
 *               `objects` says which of the optional ones will be there, n_sources their R;
 *               MB_TRACE_TOPK can not be written. Borrowed for the call.
 * @param writer Transferred: finish or destroy it.
 * @return MB_OK; MB_ERR_IO naming the folder or file, also where it is there already and no HDF5,
 * or results; MB_ERR_SHAPE, MB_ERR_RANGE for an info that the reader would refuse.
 */
MB_NODISCARD mb_status mb_trace_writer_create(const char *path, const mb_trace_info *info,
                                              mb_trace_writer **writer);
/** Steps of a trace, with the optional objects that it has; the others are NULL. All borrowed. */
typedef struct mb_trace_steps {
  const uint32_t *load;           /* [n,L,E] */
  const uint32_t *load_by_source; /* [n,L,R,E] adds up to load */
  const uint32_t *tokens;         /* [n,R] */
  const double *step_time;        /* [n] seconds since the first step */
  const uint8_t *step_phase;      /* [n] mb_phase */
} mb_trace_steps;

/** Appends n steps, with the objects that the info named. */
MB_NODISCARD mb_status mb_trace_writer_append_steps(mb_trace_writer *writer, size_t n,
                                                    const mb_trace_steps *steps);
/** The same of a trace without optional objects; load [n,L,E] (borrowed). */
MB_NODISCARD mb_status mb_trace_writer_append(mb_trace_writer *writer, size_t n,
                                              const uint32_t *load);
/** Completes the file and gives it its name. The writer is gone afterwards, even on failure. */
MB_NODISCARD mb_status mb_trace_writer_finish(mb_trace_writer *writer);
/** Gives up: leaves nothing behind. NULL is fine. */
void mb_trace_writer_destroy(mb_trace_writer *writer);

#ifdef __cplusplus
}
#endif

#endif
