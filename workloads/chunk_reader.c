/* workloads/chunk_reader.c */
#include "workloads/chunk_reader.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/pipeline.h"
#include "workloads/shuffle.h"

/* What is unpacked ahead: 564 steps of 58 layers of 256 experts, about as many as are scored
 * between two plans. */
enum { AHEAD_BYTES = 32 << 20, AHEAD_CHUNKS = 256, RANK_MAX = 4 };

/* A chunk on its way from the file to numbers. */
typedef struct chunk {
  mb_status status; /* why it cannot be read */
  bool shuffled, deflated;
  size_t chunk_bytes, packed_bytes, packed_capacity;
  unsigned char *packed, *unpacked;
  struct libdeflate_decompressor *inflater;
} chunk;

struct mb_chunk_reader {
  const char *path, *name;
  hid_t dataset;
  int rank;
  size_t n_rows, row_size;             /* row_size: numbers */
  size_t chunk_rows, chunk_size;       /* chunk_size: numbers */
  unsigned shuffle_mask, deflate_mask; /* of a chunk's filter mask; 0: there is no such filter */
  mb_pipeline *pipeline;               /* NULL until something is read; holds these chunks: */
  size_t oldest, next;                 /* [oldest, next) */
  size_t row;                          /* where the last call ended */
};

/* By any thread. */
static void unpack(void *job) {
  chunk *c = job;

  if (c->status != MB_OK || !c->deflated) {
    return;
  }
  /* Without a place for the size that it finds, the only good one is chunk_bytes. */
  if (libdeflate_zlib_decompress(c->inflater, c->packed, c->packed_bytes, c->unpacked,
                                 c->chunk_bytes, NULL) != LIBDEFLATE_SUCCESS) {
    c->status = MB_ERR_FORMAT;
  }
}

static void chunk_fini(void *job) {
  chunk *c = job;

  free(c->packed);
  free(c->unpacked);
  if (c->inflater != NULL) {
    libdeflate_free_decompressor(c->inflater);
  }
}

/* ---- opening ---- */

/* Shuffle, then deflate, or one of them, or none; each only once, and the chunks at the edge are no
 * exceptions. */
static bool learn_filters(mb_chunk_reader *reader, hid_t plist) {
  int n = H5Pget_nfilters(plist);
  unsigned exceptions = 0;
  bool known = n >= 0 && H5Pget_chunk_opts(plist, &exceptions) >= 0 && exceptions == 0;

  for (int i = 0; i < n && known; i++) {
    unsigned flags = 0;
    unsigned size = 0;
    size_t n_values = 1;
    H5Z_filter_t filter =
        H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, &size, 0, NULL, NULL);
    if (filter == H5Z_FILTER_SHUFFLE && i == 0 && n_values == 1 && size == sizeof(uint32_t)) {
      reader->shuffle_mask = 1;
    } else if (filter == H5Z_FILTER_DEFLATE && i == n - 1) {
      reader->deflate_mask = 1U << i;
    } else {
      known = false;
    }
  }
  return known;
}

static bool learn_shape(mb_chunk_reader *reader, hid_t plist) {
  hid_t space = H5Dget_space(reader->dataset);
  hsize_t dims[RANK_MAX] = {0};
  hsize_t shape[RANK_MAX] = {0};
  int rank = H5Sget_simple_extent_ndims(space);
  bool good = rank >= 1 && rank <= RANK_MAX &&
              H5Sget_simple_extent_dims(space, dims, NULL) == rank &&
              H5Pget_layout(plist) == H5D_CHUNKED && H5Pget_chunk(plist, RANK_MAX, shape) == rank;

  (void)H5Sclose(space);
  reader->rank = rank;
  reader->n_rows = (size_t)dims[0];
  reader->row_size = 1;
  for (int i = 1; i < rank && good; i++) {
    good = shape[i] == dims[i];
    reader->row_size *= (size_t)dims[i];
  }
  /* HDF5 holds a chunk below 4 GiB. */
  reader->chunk_rows = (size_t)shape[0];
  reader->chunk_size = reader->chunk_rows * reader->row_size;
  return good && reader->chunk_size > 0;
}

/* Whether the dataset is one of those that can be read here. */
static bool learn(mb_chunk_reader *reader) {
  hid_t plist = H5Dget_create_plist(reader->dataset);
  hid_t type = H5Dget_type(reader->dataset);
  bool good = plist >= 0 && type >= 0 && H5Tequal(type, H5T_STD_U32LE) > 0 &&
              learn_shape(reader, plist) && learn_filters(reader, plist);

  (void)H5Tclose(type);
  (void)H5Pclose(plist);
  return good;
}

mb_status mb_chunk_reader_open(const char *path, const char *name, hid_t dataset,
                               mb_chunk_reader **reader) {
  mb_chunk_reader *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", path);
  }
  made->path = path;
  made->name = name;
  made->dataset = dataset;
  if (!learn(made)) {
    free(made);
    made = NULL;
  }
  *reader = made;
  return MB_OK;
}

void mb_chunk_reader_close(mb_chunk_reader *reader) {
  if (reader != NULL) {
    mb_pipeline_destroy(reader->pipeline, chunk_fini);
    free(reader);
  }
}

/* ---- fetching ---- */

static size_t chunk_bytes(const mb_chunk_reader *reader) {
  return reader->chunk_size * sizeof(uint32_t);
}

/* Room for a chunk of that size in the file. */
static mb_status make_room(const mb_chunk_reader *reader, chunk *c, size_t packed_bytes) {
  c->chunk_bytes = chunk_bytes(reader);
  if (c->packed_capacity < packed_bytes) {
    free(c->packed);
    c->packed = malloc(packed_bytes);
    c->packed_capacity = c->packed != NULL ? packed_bytes : 0;
  }
  if (reader->deflate_mask != 0 && c->unpacked == NULL) {
    c->unpacked = malloc(c->chunk_bytes);
    c->inflater = libdeflate_alloc_decompressor();
  }
  bool good = c->packed != NULL &&
              (reader->deflate_mask == 0 || (c->unpacked != NULL && c->inflater != NULL));
  return good ? MB_OK : MB_ERR_MEMORY;
}

/* Deflated data are a little longer than their contents at worst, and others just as long. */
static bool size_is_sound(const chunk *c, hsize_t packed_bytes, bool deflated) {
  return deflated ? packed_bytes > 0 && packed_bytes <= 2 * (hsize_t)c->chunk_bytes + 4096
                  : packed_bytes == c->chunk_bytes;
}

static mb_status fetch_packed(const mb_chunk_reader *reader, size_t number, chunk *c) {
  hsize_t offset[RANK_MAX] = {(hsize_t)number * reader->chunk_rows};
  hsize_t packed_bytes = 0;
  uint32_t mask = 0;

  c->chunk_bytes = chunk_bytes(reader);
  if (H5Dget_chunk_storage_size(reader->dataset, offset, &packed_bytes) < 0 ||
      !size_is_sound(c, packed_bytes, reader->deflate_mask != 0)) {
    return MB_ERR_FORMAT;
  }
  mb_status status = make_room(reader, c, (size_t)packed_bytes);
  if (status != MB_OK) {
    return status;
  }
  if (H5Dread_chunk(reader->dataset, H5P_DEFAULT, offset, &mask, c->packed) < 0) {
    return MB_ERR_FORMAT;
  }
  /* A filter that made nothing smaller may have been left out for this chunk. */
  c->shuffled = reader->shuffle_mask != 0 && (mask & reader->shuffle_mask) == 0;
  c->deflated = reader->deflate_mask != 0 && (mask & reader->deflate_mask) == 0;
  c->packed_bytes = (size_t)packed_bytes;
  return size_is_sound(c, packed_bytes, c->deflated) ? MB_OK : MB_ERR_FORMAT;
}

/* Hands chunks in, up to chunk `end`, while there is room. What is wrong with one is told when it
 * is asked for. */
static void fetch_until(mb_chunk_reader *reader, size_t end) {
  while (reader->next < end) {
    chunk *c = mb_pipeline_vacant(reader->pipeline);
    if (c == NULL) {
      return;
    }
    c->status = fetch_packed(reader, reader->next, c);
    mb_pipeline_submit(reader->pipeline);
    reader->next++;
  }
}

/* ---- reading ---- */

static mb_status start(mb_chunk_reader *reader) {
  size_t n_jobs = AHEAD_BYTES / chunk_bytes(reader);

  n_jobs = n_jobs > AHEAD_CHUNKS ? AHEAD_CHUNKS : n_jobs > 0 ? n_jobs : 1;
  return mb_pipeline_create(n_jobs, sizeof(chunk), unpack, &reader->pipeline);
}

/* Lets go of the chunks before that one, or of all where it comes before them. */
static void pass_to(mb_chunk_reader *reader, size_t number) {
  bool back = number < reader->oldest;

  while (reader->oldest < reader->next && (back || reader->oldest < number)) {
    (void)mb_pipeline_oldest(reader->pipeline);
    mb_pipeline_release(reader->pipeline);
    reader->oldest++;
  }
  if (reader->oldest == reader->next) {
    reader->oldest = reader->next = number;
  }
}

static mb_status fail_chunk(const mb_chunk_reader *reader, size_t number, mb_status status) {
  size_t first = number * reader->chunk_rows;
  size_t left = reader->n_rows - first;
  size_t n = left < reader->chunk_rows ? left : reader->chunk_rows;

  if (status == MB_ERR_MEMORY) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read steps of %s", reader->path);
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: steps %zu to %zu are damaged and cannot be read",
                 reader->path, reader->name, first, first + n - 1);
}

/* Rows [first, first + n) of a chunk that is done. */
static void copy_rows(const mb_chunk_reader *reader, const chunk *c, size_t first, size_t n,
                      uint32_t *rows) {
  const unsigned char *bytes = c->deflated ? c->unpacked : c->packed;
  size_t at = first * reader->row_size;
  size_t size = n * reader->row_size;

  if (c->shuffled) {
    mb_unshuffle(size, bytes, reader->chunk_size, at, rows);
  } else {
    memcpy(rows, bytes + at * sizeof *rows, size * sizeof *rows);
  }
}

mb_status mb_chunk_reader_read(mb_chunk_reader *reader, size_t first, size_t n, uint32_t *rows) {
  assert(first <= reader->n_rows && n <= reader->n_rows - first);
  if (n == 0) {
    return MB_OK;
  }
  if (reader->pipeline == NULL) {
    MB_TRY(start(reader));
  }
  bool onward = first == reader->row;
  size_t n_chunks = (reader->n_rows - 1) / reader->chunk_rows + 1;
  size_t end = onward ? n_chunks : (first + n - 1) / reader->chunk_rows + 1;
  for (size_t row = first, n_now = 0; row < first + n; row += n_now) {
    size_t number = row / reader->chunk_rows;
    size_t within = row % reader->chunk_rows;
    size_t to_end = reader->chunk_rows - within;
    n_now = first + n - row < to_end ? first + n - row : to_end;
    pass_to(reader, number);
    fetch_until(reader, end);
    const chunk *c = mb_pipeline_oldest(reader->pipeline);
    if (c->status != MB_OK) {
      return fail_chunk(reader, number, c->status);
    }
    copy_rows(reader, c, within, n_now, rows + (row - first) * reader->row_size);
  }
  reader->row = first + n;
  return MB_OK;
}
