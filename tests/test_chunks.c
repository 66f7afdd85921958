/* tests/test_chunks.c - chunks packed and unpacked by ourselves: the numbers that HDF5 gives, for
 * any shape, filters, threads and order of reading; and what is damaged is told. */
#include <hdf5.h>
#include <omp.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/chunk_reader.h"
#include "workloads/chunk_writer.h"
#include "workloads/pipeline.h"
#include "workloads/trace.h"

enum { N_MAX = 1 << 16 };
enum { SHUFFLE = 1, DEFLATE = 2, BOTH = 3 };

static char folder[] = "/tmp/moebal-test-chunks-XXXXXX";
static char path[64], other_path[64];
static uint32_t numbers[N_MAX], found[N_MAX];

/* Some large, many small, so that deflate has something to do. */
static void fill_numbers(void) {
  uint32_t x = 12345;

  for (size_t i = 0; i < N_MAX; i++) {
    x = x * 1664525U + 1013904223U;
    numbers[i] = x >> (x % 7 == 0 ? 0 : 24 + x % 8);
  }
}

/* `chunk` and `filters` are for HDF5 to write. */
typedef struct layout {
  hsize_t dims[4], chunk[4];
  int rank, filters;
} layout;

static size_t size_of(int rank, const hsize_t *dims) {
  size_t size = 1;

  for (int i = 0; i < rank; i++) {
    size *= (size_t)dims[i];
  }
  return size;
}

static hid_t make_plist(const layout *shape) {
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);

  CU_ASSERT_FATAL(plist >= 0 && H5Pset_chunk(plist, shape->rank, shape->chunk) >= 0);
  if ((shape->filters & SHUFFLE) != 0) {
    CU_ASSERT(H5Pset_shuffle(plist) >= 0);
  }
  if ((shape->filters & DEFLATE) != 0) {
    CU_ASSERT(H5Pset_deflate(plist, 6) >= 0);
  }
  return plist;
}

/* The dataset /load of a new file. */
static hid_t make_dataset(const layout *shape, hid_t type, hid_t plist, hid_t *file) {
  hsize_t most[4] = {H5S_UNLIMITED};

  memcpy(most + 1, shape->dims + 1, sizeof most - sizeof *most);
  hid_t space = H5Screate_simple(shape->rank, shape->dims, most);
  *file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t dataset = H5Dcreate2(*file, "load", type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  CU_ASSERT_FATAL(dataset >= 0);
  (void)H5Sclose(space);
  return dataset;
}

static hid_t open_file(const char *name, hid_t *dataset) {
  hid_t file = H5Fopen(name, H5F_ACC_RDONLY, H5P_DEFAULT);

  *dataset = H5Dopen2(file, "load", H5P_DEFAULT);
  CU_ASSERT_FATAL(file >= 0 && *dataset >= 0);
  return file;
}

/* By HDF5, as the numbers to expect. */
static void write_file(const layout *shape) {
  hid_t plist = make_plist(shape);
  hid_t file = -1;
  hid_t dataset = make_dataset(shape, H5T_STD_U32LE, plist, &file);

  CU_ASSERT_FATAL(size_of(shape->rank, shape->dims) <= N_MAX);
  CU_ASSERT_FATAL(H5Dwrite(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >=
                  0);
  (void)H5Pclose(plist);
  (void)H5Dclose(dataset);
  CU_ASSERT_FATAL(H5Fclose(file) >= 0);
}

/* Reads rows [first, first + n), and compares. */
static void check_rows(mb_chunk_reader *reader, size_t row_size, size_t first, size_t n) {
  memset(found, 0xa5, sizeof found);
  CHECK_OK(mb_chunk_reader_read(reader, first, n, found));
  CU_ASSERT(memcmp(found, numbers + first * row_size, n * row_size * sizeof *found) == 0);
  CU_ASSERT_EQUAL(found[n * row_size], 0xa5a5a5a5U);
}

/* On and on, in leaps, backwards, and all at once. */
static void read_in_all_ways(const layout *shape) {
  size_t n_rows = (size_t)shape->dims[0];
  size_t row_size = size_of(shape->rank - 1, shape->dims + 1);
  mb_chunk_reader *reader = NULL;
  hid_t dataset = -1;
  hid_t file = open_file(path, &dataset);

  CU_ASSERT_FATAL(n_rows > 0);
  CHECK_OK(mb_chunk_reader_open(path, "load", dataset, &reader));
  CU_ASSERT_PTR_NOT_NULL_FATAL(reader);
  for (size_t piece = 1; piece <= n_rows; piece = piece * 2 + 1) {
    for (size_t first = 0; first < n_rows; first += piece) {
      check_rows(reader, row_size, first, n_rows - first < piece ? n_rows - first : piece);
    }
  }
  for (size_t first = n_rows; first-- > 0;) {
    check_rows(reader, row_size, first, 1);
  }
  for (size_t i = 0; i < 50; i++) {
    size_t first = (i * 7919) % n_rows;
    check_rows(reader, row_size, first, (i * 104729) % (n_rows - first + 1));
  }
  check_rows(reader, row_size, 0, n_rows);
  mb_chunk_reader_close(reader);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
}

static void test_reads_as_hdf5_does(void) {
  static const layout shapes[] = {
      {{37, 3, 8}, {1, 3, 8}, 3, 0},
      {{37, 3, 8}, {5, 3, 8}, 3, 0},
      {{37, 3, 8}, {37, 3, 8}, 3, 0},
      {{37, 3, 8}, {64, 3, 8}, 3, 0},
      {{1, 1, 1}, {1, 1, 1}, 3, 0},
      {{600, 1, 3}, {1, 1, 3}, 3, 0},
      {{1000}, {7}, 1, 0},
      {{99, 5}, {10, 5}, 2, 0},
      {{23, 2, 3, 7}, {4, 2, 3, 7}, 4, 0},
      {{40, 31, 47}, {3, 31, 47}, 3, 0},
  };

  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    for (int filters = 0; filters <= BOTH; filters++) {
      layout shape = shapes[i];
      shape.filters = filters;
      write_file(&shape);
      for (int n_threads = 1; n_threads <= 4; n_threads += 3) {
        omp_set_num_threads(n_threads);
        read_in_all_ways(&shape);
      }
    }
  }
}

/* ---- what is left to HDF5 ---- */

static bool is_ours(hid_t type, hid_t plist, const layout *shape) {
  hid_t file = -1;
  hid_t dataset = make_dataset(shape, type, plist, &file);
  mb_chunk_reader *reader = NULL;

  CHECK_OK(mb_chunk_reader_open(path, "load", dataset, &reader));
  bool ours = reader != NULL;
  mb_chunk_reader_close(reader);
  (void)H5Pclose(plist);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
  return ours;
}

static void test_left_to_hdf5(void) {
  static const layout whole = {{37, 3, 8}, {5, 3, 8}, 3, BOTH};
  static const layout split = {{37, 3, 8}, {5, 3, 4}, 3, BOTH};
  static const layout layers = {{37, 3, 8}, {5, 1, 8}, 3, BOTH};
  static const layout bare = {{37, 3, 8}, {5, 3, 8}, 3, 0};

  CU_ASSERT(is_ours(H5T_STD_U32LE, make_plist(&whole), &whole));
  CU_ASSERT(!is_ours(H5T_STD_U32BE, make_plist(&whole), &whole));
  CU_ASSERT(!is_ours(H5T_STD_I32LE, make_plist(&whole), &whole));
  CU_ASSERT(!is_ours(H5T_STD_I64LE, make_plist(&whole), &whole));
  CU_ASSERT(!is_ours(H5T_IEEE_F32LE, make_plist(&whole), &whole));
  CU_ASSERT(!is_ours(H5T_STD_U32LE, make_plist(&split), &split));
  CU_ASSERT(!is_ours(H5T_STD_U32LE, make_plist(&layers), &layers));
  hid_t plist = make_plist(&whole);
  CU_ASSERT(H5Pset_fletcher32(plist) >= 0);
  CU_ASSERT(!is_ours(H5T_STD_U32LE, plist, &whole));
  plist = make_plist(&bare);
  CU_ASSERT(H5Pset_deflate(plist, 1) >= 0 && H5Pset_shuffle(plist) >= 0);
  CU_ASSERT(!is_ours(H5T_STD_U32LE, plist, &whole));
  plist = make_plist(&bare);
  CU_ASSERT(H5Pset_scaleoffset(plist, H5Z_SO_INT, 0) >= 0);
  CU_ASSERT(!is_ours(H5T_STD_U32LE, plist, &whole));
  plist = make_plist(&whole);
  CU_ASSERT(H5Pset_chunk_opts(plist, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) >= 0);
  CU_ASSERT(!is_ours(H5T_STD_U32LE, plist, &whole));
}

/* ---- chunks that say which filters they went through ---- */

static const layout masked = {{20, 3, 8}, {5, 3, 8}, 3, BOTH};

/* A file of four chunks, the third of which is replaced by such bytes. */
static void replace_chunk(unsigned mask, size_t n_bytes, const void *bytes) {
  hsize_t offset[3] = {10, 0, 0};

  write_file(&masked);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t dataset = H5Dopen2(file, "load", H5P_DEFAULT);
  CU_ASSERT_FATAL(H5Dwrite_chunk(dataset, H5P_DEFAULT, mask, offset, n_bytes, bytes) >= 0);
  (void)H5Dclose(dataset);
  CU_ASSERT_FATAL(H5Fclose(file) >= 0);
}

/* How that chunk lies in another file with fewer filters: as it does where they were left out. */
static size_t take_chunk(int filters, unsigned char *bytes) {
  layout shape = masked;
  hsize_t offset[3] = {10, 0, 0};
  hsize_t n_bytes = 0;
  uint32_t mask = 0;
  hid_t dataset = -1;

  shape.filters = filters;
  write_file(&shape);
  hid_t file = open_file(path, &dataset);
  CU_ASSERT_FATAL(H5Dget_chunk_storage_size(dataset, offset, &n_bytes) >= 0);
  CU_ASSERT_FATAL(H5Dread_chunk(dataset, H5P_DEFAULT, offset, &mask, bytes) >= 0 && mask == 0);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
  return (size_t)n_bytes;
}

static void test_filter_masks(void) {
  static const struct {
    int filters;
    unsigned mask;
  } cases[] = {{BOTH, 0}, {SHUFFLE, 2}, {DEFLATE, 1}, {0, 3}};
  unsigned char bytes[4096];

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n_bytes = take_chunk(cases[i].filters, bytes);
    replace_chunk(cases[i].mask, n_bytes, bytes);
    read_in_all_ways(&masked);
  }
}

/* ---- damage ---- */

/* The third chunk is damaged, the others are as they were, whatever is read first. */
static void check_damaged(void) {
  mb_chunk_reader *reader = NULL;
  hid_t dataset = -1;
  hid_t file = open_file(path, &dataset);

  CHECK_OK(mb_chunk_reader_open("a.h5", "load", dataset, &reader));
  for (int i = 0; i < 2; i++) {
    check_rows(reader, 24, 0, 10);
    CHECK_FAILS(mb_chunk_reader_read(reader, 10, 1, found), MB_ERR_FORMAT,
                "a.h5: /load: steps 10 to 14 are damaged and cannot be read");
    CHECK_FAILS(mb_chunk_reader_read(reader, 14, 2, found), MB_ERR_FORMAT, "steps 10 to 14");
    CHECK_FAILS(mb_chunk_reader_read(reader, 0, 20, found), MB_ERR_FORMAT, "steps 10 to 14");
    check_rows(reader, 24, 15, 5);
  }
  mb_chunk_reader_close(reader);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
}

/* Deflated rows of another chunk shape: too few or too many numbers. */
static size_t pack_rows(hsize_t n_rows, unsigned char *bytes) {
  layout shape = {{n_rows, 3, 8}, {n_rows, 3, 8}, 3, BOTH};
  hsize_t offset[3] = {0};
  hsize_t n_bytes = 0;
  uint32_t mask = 0;
  hid_t dataset = -1;

  write_file(&shape);
  hid_t file = open_file(path, &dataset);
  CU_ASSERT_FATAL(H5Dget_chunk_storage_size(dataset, offset, &n_bytes) >= 0);
  CU_ASSERT_FATAL(H5Dread_chunk(dataset, H5P_DEFAULT, offset, &mask, bytes) >= 0);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
  return (size_t)n_bytes;
}

static void test_damage(void) {
  static const unsigned char noise[6000] = {0x78, 0x9c, 7, 3, 1, 99};
  unsigned char bytes[8192];

  for (hsize_t n_rows = 4; n_rows <= 6; n_rows += 2) {
    size_t n_bytes = pack_rows(n_rows, bytes);
    replace_chunk(0, n_bytes, bytes);
    check_damaged();
  }
  size_t n_bytes = take_chunk(BOTH, bytes);
  replace_chunk(0, n_bytes / 2, bytes);
  check_damaged();
  bytes[n_bytes / 2] ^= 1;
  replace_chunk(0, n_bytes, bytes);
  check_damaged();
  replace_chunk(0, sizeof noise, noise); /* larger than any chunk could be */
  check_damaged();
  replace_chunk(0, 100, noise);
  check_damaged();
  replace_chunk(2, 479, noise); /* not deflated, a byte short */
  check_damaged();
  replace_chunk(3, 481, noise);
  check_damaged();
}

/* A dataset that was made, but not all written. */
static void test_missing_chunk(void) {
  hid_t plist = make_plist(&masked);
  hid_t file = -1;
  hid_t dataset = make_dataset(&masked, H5T_STD_U32LE, plist, &file);
  hsize_t start[3] = {0};
  hsize_t count[3] = {10, 3, 8};
  hid_t rows = H5Screate_simple(3, count, NULL);
  hid_t space = H5Dget_space(dataset);

  for (int i = 0; i < 2; i++, start[0] = 15, count[0] = 5) {
    CU_ASSERT_FATAL(H5Sset_extent_simple(rows, 3, count, NULL) >= 0 &&
                    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0);
    CU_ASSERT(H5Dwrite(dataset, H5T_NATIVE_UINT32, rows, space, H5P_DEFAULT,
                       numbers + start[0] * 24) >= 0);
  }
  (void)H5Sclose(space);
  (void)H5Sclose(rows);
  (void)H5Dclose(dataset);
  (void)H5Pclose(plist);
  CU_ASSERT_FATAL(H5Fclose(file) >= 0);
  check_damaged();
}

/* ---- writing ---- */

/* Rows in pieces of that many, each taken from the first half of `numbers` on. */
static void write_rows(const char *name, const layout *shape, size_t piece) {
  size_t n_rows = (size_t)shape->dims[0];
  size_t row_size = size_of(shape->rank - 1, shape->dims + 1);
  mb_chunk_writer *writer = NULL;
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);

  CU_ASSERT(H5Pset_obj_track_times(creation, false) >= 0);
  hid_t file = H5Fcreate(name, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
  CHECK_OK(mb_chunk_writer_create(file, "load", shape->rank, shape->dims, &writer));
  for (size_t first = 0; first < n_rows; first += piece) {
    size_t n = n_rows - first < piece ? n_rows - first : piece;
    CU_ASSERT(mb_chunk_writer_append(writer, n, numbers + first * row_size % (N_MAX / 2)));
  }
  CU_ASSERT(mb_chunk_writer_flush(writer));
  CU_ASSERT(mb_chunk_writer_close(writer));
  (void)H5Pclose(creation);
  CU_ASSERT_FATAL(H5Fclose(file) >= 0);
}

static bool same_bytes(const char *one, const char *other) {
  FILE *a = fopen(one, "rb");
  FILE *b = fopen(other, "rb");
  int x = 0;
  int y = 0;

  CU_ASSERT_FATAL(a != NULL && b != NULL);
  while (x == y && x != EOF) {
    x = fgetc(a);
    y = fgetc(b);
  }
  (void)fclose(b);
  (void)fclose(a);
  return x == y;
}

/* HDF5 reads what was appended row by row. */
static void check_written(const layout *shape) {
  size_t row_size = size_of(shape->rank - 1, shape->dims + 1);
  hsize_t dims[4] = {0};
  hid_t dataset = -1;
  hid_t file = open_file(path, &dataset);
  hid_t space = H5Dget_space(dataset);
  size_t size = size_of(shape->rank, shape->dims);
  uint32_t *all = malloc((size + 1) * sizeof *all);

  CU_ASSERT_EQUAL(H5Sget_simple_extent_dims(space, dims, NULL), shape->rank);
  CU_ASSERT(memcmp(dims, shape->dims, (size_t)shape->rank * sizeof *dims) == 0);
  CU_ASSERT_FATAL(all != NULL &&
                  H5Dread(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
  size_t n_wrong = 0;
  for (size_t row = 0; row < (size_t)shape->dims[0]; row++) {
    n_wrong += memcmp(all + row * row_size, numbers + row * row_size % (N_MAX / 2),
                      row_size * sizeof *all) != 0;
  }
  CU_ASSERT_EQUAL(n_wrong, 0);
  free(all);
  (void)H5Sclose(space);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
}

static void test_writes_as_hdf5_reads(void) {
  static const layout shapes[] = {
      {{1, 1, 1}, {0}, 3, 0},        {{100000}, {0}, 1, 0},       {{3000, 64}, {0}, 2, 0},
      {{1024, 16, 64}, {0}, 3, 0},   {{1025, 16, 64}, {0}, 3, 0}, {{515, 32, 512}, {0}, 3, 0},
      {{515, 4, 8, 129}, {0}, 4, 0},
  };

  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    omp_set_num_threads(4);
    write_rows(path, &shapes[i], 1);
    check_written(&shapes[i]);
    omp_set_num_threads(1);
    write_rows(other_path, &shapes[i], 1);
    CU_ASSERT(same_bytes(path, other_path));
  }
}

/* The same rows in other pieces. */
static void test_pieces_do_not_matter(void) {
  static const layout shape = {{700, 1, 32}, {0}, 3, 0};

  omp_set_num_threads(4);
  write_rows(path, &shape, 1);
  for (size_t piece = 3; piece < 800; piece *= 4) {
    write_rows(other_path, &shape, piece);
    CU_ASSERT(same_bytes(path, other_path));
  }
}

/* What deflate does not make smaller is kept as it is, and any reader is told so. */
static void test_incompressible(void) {
  static const hsize_t dims[1] = {0};
  uint32_t x = 1;
  uint32_t mask = 0;
  hsize_t offset[1] = {0};
  hid_t dataset = -1;

  /* A chunk is 2^18 numbers; with fewer, the zeros of its rest would be packed. */
  for (size_t i = 0; i < N_MAX; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    numbers[i] = x;
  }
  mb_chunk_writer *writer = NULL;
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  CHECK_OK(mb_chunk_writer_create(file, "load", 1, dims, &writer));
  for (uint32_t i = 0; i < 4; i++) {
    for (size_t j = 0; j < N_MAX; j++) {
      found[j] = numbers[j] * (2 * i + 1);
    }
    CU_ASSERT(mb_chunk_writer_append(writer, N_MAX, found));
  }
  CU_ASSERT(mb_chunk_writer_flush(writer) && mb_chunk_writer_close(writer));
  CU_ASSERT(H5Fclose(file) >= 0);
  file = open_file(path, &dataset);
  uint32_t *raw = malloc((size_t)4 * N_MAX * sizeof *raw);
  uint32_t *all = malloc((size_t)4 * N_MAX * sizeof *all);
  CU_ASSERT_FATAL(raw != NULL && all != NULL);
  CU_ASSERT(H5Dread_chunk(dataset, H5P_DEFAULT, offset, &mask, raw) >= 0);
  CU_ASSERT_EQUAL(mask, 2);
  CU_ASSERT(H5Dread(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, all) >= 0);
  CU_ASSERT(memcmp(all, numbers, sizeof numbers) == 0);
  CU_ASSERT(memcmp(all + (size_t)3 * N_MAX, found, sizeof found) == 0);
  mb_chunk_reader *reader = NULL;
  CHECK_OK(mb_chunk_reader_open(path, "load", dataset, &reader));
  CHECK_OK(mb_chunk_reader_read(reader, 0, (size_t)4 * N_MAX, raw));
  CU_ASSERT(memcmp(all, raw, (size_t)4 * N_MAX * sizeof *raw) == 0);
  mb_chunk_reader_close(reader);
  free(all);
  free(raw);
  (void)H5Dclose(dataset);
  (void)H5Fclose(file);
  fill_numbers();
}

/* ---- the jobs themselves ---- */

typedef struct square {
  uint64_t number, result;
} square;

static void work_square(void *job) {
  square *s = job;

  for (uint64_t i = 0; i < s->number % 1000; i++) {
    s->result += s->number;
  }
}

/* All jobs come back in order, each done once, with as many under way as there may be. */
static void test_pipeline(void) {
  for (size_t n_jobs = 1; n_jobs <= 33; n_jobs *= 2) {
    mb_pipeline *pipeline = NULL;
    uint64_t n_out = 0;
    omp_set_num_threads(n_jobs % 3 == 1 ? 5 : 2);
    CHECK_OK(mb_pipeline_create(n_jobs, sizeof(square), work_square, &pipeline));
    CU_ASSERT_PTR_NULL(mb_pipeline_oldest(pipeline));
    for (uint64_t n_in = 0; n_in < 2000 || n_out < n_in;) {
      square *s = n_in < 2000 ? mb_pipeline_vacant(pipeline) : NULL;
      if (s != NULL) {
        *s = (square){.number = n_in++};
        mb_pipeline_submit(pipeline);
        continue;
      }
      CU_ASSERT(n_in == 2000 || n_in - n_out == n_jobs);
      s = mb_pipeline_oldest(pipeline);
      CU_ASSERT_EQUAL(s->number, n_out);
      CU_ASSERT_EQUAL(s->result, n_out * (n_out % 1000));
      mb_pipeline_release(pipeline);
      n_out++;
    }
    CU_ASSERT_PTR_NULL(mb_pipeline_oldest(pipeline));
    for (size_t i = 0; i < n_jobs; i++) { /* left behind */
      mb_pipeline_submit(pipeline);
    }
    mb_pipeline_destroy(pipeline, NULL);
  }
}

/* ---- a trace ---- */

/* Through the writer and both ways to read, more than what is unpacked ahead. */
static void test_trace(void) {
  enum { T = 700, L = 32, E = 512, STEP = L * E };
  static const int32_t layer_ids[L] = {0};
  static const mb_trace_info info = {.n_layers = L,
                                     .n_experts = E,
                                     .top_k = 2,
                                     .n_groups = 4,
                                     .layer_ids = layer_ids,
                                     .model = "a model",
                                     .source = "made up",
                                     .created_by = "test_chunks"};
  mb_trace_writer *writer = NULL;
  mb_trace *trace = NULL;
  size_t n_wrong = 0;

  omp_set_num_threads(3);
  CHECK_OK(mb_trace_writer_create(other_path, &info, &writer));
  for (size_t t = 0; t < T; t++) {
    CHECK_OK(mb_trace_writer_append(writer, 1, numbers + t * 17 % (N_MAX - STEP)));
  }
  CHECK_OK(mb_trace_writer_finish(writer));
  CHECK_OK(mb_trace_open(other_path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  for (size_t t = 0; t < T; t += 2) {
    CHECK_OK(mb_trace_read(trace, t, 2, found));
    CHECK_OK(mb_trace_read_plainly(trace, t, 2, found + (size_t)2 * STEP));
    for (size_t i = 0; i < 2; i++) {
      const uint32_t *wanted = numbers + (t + i) * 17 % (N_MAX - STEP);
      n_wrong += memcmp(found + i * STEP, wanted, STEP * sizeof *found) != 0;
      n_wrong += memcmp(found + (2 + i) * STEP, wanted, STEP * sizeof *found) != 0;
    }
  }
  CU_ASSERT_EQUAL(n_wrong, 0);
  mb_trace_destroy(trace);
}

int main(void) {
  CU_TestInfo tests[] = {{"jobs come back in order", test_pipeline},
                         {"chunks read as HDF5 reads them", test_reads_as_hdf5_does},
                         {"other datasets are left to HDF5", test_left_to_hdf5},
                         {"filters left out of a chunk", test_filter_masks},
                         {"damaged chunks are named", test_damage},
                         {"missing chunks are named", test_missing_chunk},
                         {"chunks written as HDF5 reads them", test_writes_as_hdf5_reads},
                         {"pieces do not matter", test_pieces_do_not_matter},
                         {"what cannot be packed", test_incompressible},
                         {"a trace", test_trace},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/one.h5", folder);
  (void)snprintf(other_path, sizeof other_path, "%s/other.h5", folder);
  fill_numbers();
  int status = run_suite("chunks", tests);
  (void)unlink(path);
  (void)unlink(other_path);
  (void)rmdir(folder);
  return status;
}
