/* workloads/source.c - steps from a file, a generator or memory, and their digest. */
#include "workloads/source.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "workloads/digest.h"
#include "workloads/merge.h"
#include "workloads/packed.h"
#include "workloads/trace_info.h"

/* The digest is defined over little-endian bytes, and we hash the loads as they lie in memory. */
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN,
               "the digest of loads needs a little-endian machine");

struct mb_source {
  mb_trace_info info;
  mb_trace *trace;         /* one of these five */
  mb_generator *generator; /* */
  const uint32_t *memory;  /* */
  mb_merge *merged;        /* */
  mb_packed *packed;       /* */
  char *path;              /* of the trace */
  XXH3_state_t *hash;
  size_t n_done;
};

/* Takes `trace` and `generator`, also on failure. */
static mb_status source_make(const mb_trace_info *info, mb_trace *trace, mb_generator *generator,
                             const uint32_t *memory, mb_source **source) {
  mb_source *made = calloc(1, sizeof *made);

  if (made == NULL) {
    mb_trace_destroy(trace);
    mb_generator_destroy(generator);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a source of loads");
  }
  made->trace = trace;
  made->generator = generator;
  made->memory = memory;
  made->hash = XXH3_createState();
  mb_status status = mb_trace_info_copy(info, &made->info);
  if (status == MB_OK && (made->hash == NULL || XXH3_128bits_reset(made->hash) != XXH_OK)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for a digest");
  }
  if (status != MB_OK) {
    mb_source_destroy(made);
    return status;
  }
  *source = made;
  return MB_OK;
}

mb_status mb_source_open_trace(const char *path, mb_source **source) {
  mb_trace *trace = NULL;
  mb_source *made = NULL;

  MB_TRY(mb_trace_open(path, &trace));
  MB_TRY(source_make(mb_trace_get_info(trace), trace, NULL, NULL, &made));
  made->path = strdup(path);
  if (made->path == NULL) {
    mb_source_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to open %s", path);
  }
  *source = made;
  return MB_OK;
}

mb_status mb_source_open_generator(const mb_generator_type *type, const void *params, uint64_t seed,
                                   mb_source **source) {
  mb_generator *generator = NULL;

  MB_TRY(mb_generator_create(type, params, seed, &generator));
  return source_make(mb_generator_get_info(generator), NULL, generator, NULL, source);
}

mb_status mb_source_open_memory(const mb_trace_info *info, const uint32_t *load,
                                mb_source **source) {
  assert(info != NULL && load != NULL);
  MB_TRY(mb_trace_info_check("loads in memory", info));
  return source_make(info, NULL, NULL, load, source);
}

mb_status mb_source_open_merged(mb_source *inner, size_t merge, mb_source **source) {
  mb_merge *merged = NULL;
  mb_trace_info info;

  assert(inner != NULL && merge >= 1);
  MB_TRY(mb_merge_create(inner, merge, &merged));
  mb_merge_describe(merged, &info);
  mb_status status = source_make(&info, NULL, NULL, NULL, source);
  if (status != MB_OK) {
    mb_merge_destroy(merged);
    return status;
  }
  (*source)->merged = merged;
  return MB_OK;
}

mb_status mb_source_open_packed(const char *path, mb_source **source) {
  mb_packed *packed = NULL;

  MB_TRY(mb_packed_open(path, &packed));
  mb_status status = source_make(mb_packed_get_info(packed), NULL, NULL, NULL, source);
  if (status != MB_OK) {
    mb_packed_close(packed);
    return status;
  }
  (*source)->packed = packed;
  return MB_OK;
}

void mb_source_destroy(mb_source *source) {
  if (source == NULL) {
    return;
  }
  mb_merge_destroy(source->merged);
  mb_packed_close(source->packed);
  mb_trace_destroy(source->trace);
  mb_generator_destroy(source->generator);
  mb_trace_info_fini(&source->info);
  (void)XXH3_freeState(source->hash);
  free(source->path);
  free(source);
}

const mb_trace_info *mb_source_get_info(const mb_source *source) {
  return &source->info;
}

mb_trace *mb_source_get_trace(mb_source *source) {
  return source->trace;
}

static mb_status read_steps(mb_source *source, size_t n, uint32_t *load) {
  size_t step_size = source->info.n_layers * source->info.n_experts;

  if (source->trace != NULL) {
    return mb_trace_read(source->trace, source->n_done, n, load);
  }
  if (source->generator != NULL) {
    return mb_generator_next(source->generator, n, load);
  }
  if (source->merged != NULL) {
    return mb_merge_read(source->merged, n, load);
  }
  if (source->packed != NULL) {
    return mb_packed_read(source->packed, n, load);
  }
  memcpy(load, source->memory + source->n_done * step_size, n * step_size * sizeof *load);
  return MB_OK;
}

static mb_status check_digest(const mb_source *source) {
  char digest[MB_DIGEST_SIZE];

  mb_source_digest(source, digest);
  if (source->info.load_xxh3[0] != '\0' && strcmp(digest, source->info.load_xxh3) != 0) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /load: is not what was written: its XXH3-128 is %s, but load_xxh3 says %s",
                   source->path != NULL ? source->path : "loads", digest, source->info.load_xxh3);
  }
  return MB_OK;
}

mb_status mb_source_read(mb_source *source, size_t n, uint32_t *load) {
  size_t step_size = source->info.n_layers * source->info.n_experts;

  assert(n <= source->info.n_steps - source->n_done);
  MB_TRY(read_steps(source, n, load));
  (void)XXH3_128bits_update(source->hash, load, n * step_size * sizeof *load);
  source->n_done += n;
  return n > 0 && source->n_done == source->info.n_steps ? check_digest(source) : MB_OK;
}

size_t mb_source_n_sources(const mb_source *source) {
  bool known = source->trace != NULL && (source->info.objects & MB_TRACE_LOAD_BY_SOURCE) != 0;

  return known ? source->info.n_sources : 0;
}

/* One layer of a step: load [E] and by_source [R,E]. */
static mb_status check_layer(const mb_source *source, size_t step, size_t layer,
                             const uint32_t *load, const uint32_t *by_source) {
  size_t n_experts = source->info.n_experts;

  for (size_t e = 0; e < n_experts; e++) {
    uint64_t sum = 0;
    for (size_t r = 0; r < source->info.n_sources; r++) {
      sum += by_source[r * n_experts + e];
    }
    if (sum != load[e]) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: /load_by_source: step %zu, layer %zu, expert %zu: the ranks' loads add "
                     "up to %" PRIu64 ", but /load has %" PRIu32,
                     source->path != NULL ? source->path : "loads", step, layer, e, sum, load[e]);
    }
  }
  return MB_OK;
}

mb_status mb_source_read_by_source(mb_source *source, size_t n, uint32_t *load,
                                   uint32_t *by_source) {
  size_t n_layers = source->info.n_layers;
  size_t n_experts = source->info.n_experts;
  size_t first = source->n_done;

  assert(mb_source_n_sources(source) > 0);
  MB_TRY(mb_source_read(source, n, load));
  MB_TRY(mb_trace_read_object(source->trace, MB_TRACE_LOAD_BY_SOURCE, first, n, by_source));
  for (size_t row = 0; row < n * n_layers; row++) {
    MB_TRY(check_layer(source, first + row / n_layers, row % n_layers, load + row * n_experts,
                       by_source + row * source->info.n_sources * n_experts));
  }
  return MB_OK;
}

void mb_source_digest(const mb_source *source, char digest[MB_DIGEST_SIZE]) {
  mb_digest_format(source->hash, digest);
}
