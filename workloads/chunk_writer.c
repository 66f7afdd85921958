/* workloads/chunk_writer.c */
#include "workloads/chunk_writer.h"

#include <assert.h>
#include <libdeflate.h>
#include <omp.h>
#include <stdlib.h>

#include "workloads/pipeline.h"
#include "workloads/shuffle.h"

/* By moebal-trace-bench, for 58 layers of 256 experts and 4,096 tokens a step (2 cores of a Xeon
 * that others used too): chunks of 1, 4, 17 and 64 steps take 1.117, 1.087, 1.074 and 1.071 bytes a
 * load, and 61, 53, 50 and 50 microseconds a step to unpack. So beyond 1 MiB, 17 steps, nothing is
 * gained, and a chunk being packed should stay in a core's cache. Levels 1, 2, 4 and 6 take 1.097,
 * 1.090, 1.074 and 1.064 bytes a load; 253, 275, 308 and 425 microseconds to pack; 53, 52, 50 and
 * 49 to unpack. With 64 tokens a step: 0.424, 0.409, 0.406 and 0.400 bytes; 199, 235, 286 and 569
 * to pack. A trace is written once and read often: after 4, a percent costs too much. HDF5's cache
 * of chunks plays no part. */
enum { CHUNK_BYTES = 1 << 20, DEFLATE_LEVEL = 4 };
/* What is under way at once, unpacked. */
enum { AHEAD_BYTES = 32 << 20, RANK_MAX = 4 };
/* The second filter left out. */
static const uint32_t NOT_DEFLATED = 2;

/* A chunk on its way from numbers to the file. */
typedef struct chunk {
  size_t bytes, packed_bytes; /* packed_bytes 0: it would not become smaller */
  unsigned char *shuffled, *packed;
  struct libdeflate_compressor *deflater;
} chunk;

struct mb_chunk_writer {
  hid_t dataset;
  int rank;
  hsize_t dims[RANK_MAX];        /* dims[0]: rows appended */
  size_t row_size;               /* numbers */
  size_t chunk_rows, chunk_size; /* chunk_size: numbers */
  hsize_t n_written;             /* chunks */
  size_t n_filled;               /* rows of the chunk that is vacant */
  mb_pipeline *pipeline;
};

/* By any thread. */
static void pack(void *job) {
  chunk *c = job;

  c->packed_bytes =
      libdeflate_zlib_compress(c->deflater, c->shuffled, c->bytes, c->packed, c->bytes);
}

static void chunk_fini(void *job) {
  chunk *c = job;

  free(c->shuffled);
  free(c->packed);
  if (c->deflater != NULL) {
    libdeflate_free_compressor(c->deflater);
  }
}

/* ---- making ---- */

static hid_t create_dataset(const mb_chunk_writer *writer, hid_t file, const char *name) {
  hsize_t dims[RANK_MAX], most[RANK_MAX], shape[RANK_MAX];
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  hid_t dataset = -1;

  for (int i = 0; i < writer->rank; i++) {
    dims[i] = i > 0 ? writer->dims[i] : 0;
    most[i] = i > 0 ? writer->dims[i] : H5S_UNLIMITED;
    shape[i] = i > 0 ? writer->dims[i] : writer->chunk_rows;
  }
  hid_t space = H5Screate_simple(writer->rank, dims, most);
  if (space >= 0 && plist >= 0 && H5Pset_chunk(plist, writer->rank, shape) >= 0 &&
      H5Pset_shuffle(plist) >= 0 && H5Pset_deflate(plist, DEFLATE_LEVEL) >= 0 &&
      H5Pset_obj_track_times(plist, false) >= 0) {
    dataset = H5Dcreate2(file, name, H5T_STD_U32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  }
  (void)H5Pclose(plist);
  (void)H5Sclose(space);
  return dataset;
}

/* Twice as many jobs as threads, so that none waits for chunks to be filled. */
static mb_status start(mb_chunk_writer *writer) {
  size_t n_fit = AHEAD_BYTES / (writer->chunk_size * sizeof(uint32_t));
  size_t n_jobs = 2 * (size_t)omp_get_max_threads();

  n_jobs = n_jobs < n_fit ? n_jobs : n_fit > 0 ? n_fit : 1;
  return mb_pipeline_create(n_jobs, sizeof(chunk), pack, &writer->pipeline);
}

mb_status mb_chunk_writer_create(hid_t file, const char *name, int rank, const hsize_t *dims,
                                 mb_chunk_writer **writer) {
  assert(rank >= 1 && rank <= RANK_MAX);
  mb_chunk_writer *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write /%s", name);
  }
  made->rank = rank;
  made->row_size = 1;
  for (int i = 1; i < rank; i++) {
    made->dims[i] = dims[i];
    made->row_size *= (size_t)dims[i];
  }
  size_t row_bytes = made->row_size * sizeof(uint32_t);
  made->chunk_rows = CHUNK_BYTES > row_bytes ? CHUNK_BYTES / row_bytes : 1;
  made->chunk_size = made->chunk_rows * made->row_size;
  mb_status status = start(made);
  if (status != MB_OK) {
    free(made);
    return status;
  }
  made->dataset = create_dataset(made, file, name);
  if (made->dataset < 0) {
    mb_chunk_writer_abandon(made);
    return MB_FAIL(MB_ERR_IO, "/%s cannot be made", name);
  }
  *writer = made;
  return MB_OK;
}

void mb_chunk_writer_abandon(mb_chunk_writer *writer) {
  if (writer != NULL) {
    mb_pipeline_destroy(writer->pipeline, chunk_fini);
    free(writer);
  }
}

/* ---- writing ---- */

/* The oldest chunk under way. */
static bool write_oldest(mb_chunk_writer *writer) {
  hsize_t offset[RANK_MAX] = {writer->n_written * writer->chunk_rows};
  const chunk *c = mb_pipeline_oldest(writer->pipeline);
  bool deflated = c->packed_bytes > 0;

  bool good = H5Dset_extent(writer->dataset, writer->dims) >= 0 &&
              H5Dwrite_chunk(writer->dataset, H5P_DEFAULT, deflated ? 0 : NOT_DEFLATED, offset,
                             deflated ? c->packed_bytes : c->bytes,
                             deflated ? c->packed : c->shuffled) >= 0;
  mb_pipeline_release(writer->pipeline);
  writer->n_written++;
  return good;
}

static bool make_room(const mb_chunk_writer *writer, chunk *c) {
  if (c->bytes == 0) {
    size_t bytes = writer->chunk_size * sizeof(uint32_t);
    c->shuffled = malloc(bytes);
    c->packed = malloc(bytes);
    c->deflater = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    c->bytes = bytes;
  }
  return c->shuffled != NULL && c->packed != NULL && c->deflater != NULL;
}

/* A chunk that has room for rows; NULL where something failed. */
static chunk *find_room(mb_chunk_writer *writer) {
  chunk *c = mb_pipeline_vacant(writer->pipeline);

  if (c == NULL) {
    if (!write_oldest(writer)) {
      return NULL;
    }
    c = mb_pipeline_vacant(writer->pipeline);
  }
  return make_room(writer, c) ? c : NULL;
}

bool mb_chunk_writer_append(mb_chunk_writer *writer, size_t n, const uint32_t *rows) {
  while (n > 0) {
    chunk *c = find_room(writer);
    if (c == NULL) {
      return false;
    }
    size_t room = writer->chunk_rows - writer->n_filled;
    size_t n_now = n < room ? n : room;
    mb_shuffle(n_now * writer->row_size, rows, writer->chunk_size,
               writer->n_filled * writer->row_size, c->shuffled);
    writer->dims[0] += n_now;
    writer->n_filled += n_now;
    rows += n_now * writer->row_size;
    n -= n_now;
    if (writer->n_filled == writer->chunk_rows) {
      mb_pipeline_submit(writer->pipeline);
      writer->n_filled = 0;
    }
  }
  return true;
}

/* A last chunk that isn't full is written whole, its rest zero. */
bool mb_chunk_writer_flush(mb_chunk_writer *writer) {
  static const uint32_t zeros[4096];
  bool good = true;

  if (writer->n_filled > 0) {
    chunk *c = mb_pipeline_vacant(writer->pipeline);
    size_t at = writer->n_filled * writer->row_size;
    for (size_t n = 0; at < writer->chunk_size; at += n) {
      size_t left = writer->chunk_size - at;
      n = left < sizeof zeros / sizeof *zeros ? left : sizeof zeros / sizeof *zeros;
      mb_shuffle(n, zeros, writer->chunk_size, at, c->shuffled);
    }
    mb_pipeline_submit(writer->pipeline);
    writer->n_filled = 0;
  }
  while (good && mb_pipeline_oldest(writer->pipeline) != NULL) {
    good = write_oldest(writer);
  }
  return good;
}

bool mb_chunk_writer_close(mb_chunk_writer *writer) {
  bool good = H5Dclose(writer->dataset) >= 0;

  mb_chunk_writer_abandon(writer);
  return good;
}
