/* tests/test_trace.c - trace files: what is written is read, and what is wrong is named. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/test.h"
#include "workloads/source.h"
#include "workloads/trace.h"

enum { T = 7, L = 3, E = 8, N = T * L * E };

static char folder[] = "/tmp/moebal-test-trace-XXXXXX";
static char path[64];

static const int32_t layer_ids[L] = {3, 4, 6};
static const mb_trace_info info = {.n_steps = T,
                                   .n_layers = L,
                                   .n_experts = E,
                                   .top_k = 2,
                                   .n_groups = 4,
                                   .layer_ids = layer_ids,
                                   .model = "a model",
                                   .source = "made up; public domain",
                                   .created_by = "test_trace",
                                   .phase = MB_PHASE_MIXED,
                                   .padding = "excluded",
                                   .counts = "",
                                   .source_semantics = NULL,
                                   .steps_per_record = 5};
static uint32_t loads[N];

static void fill_loads(void) {
  for (uint32_t x = 0; x < N; x++) {
    loads[x] = x * 2654435761U >> (x % 24);
  }
}

static void write_trace(void) {
  mb_trace_writer *writer = NULL;

  CHECK_OK(mb_trace_writer_create(path, &info, &writer));
  CHECK_OK(mb_trace_writer_append(writer, 2, loads));
  CHECK_OK(mb_trace_writer_append(writer, 0, NULL));
  CHECK_OK(mb_trace_writer_append(writer, T - 2, loads + (size_t)2 * L * E));
  CHECK_OK(mb_trace_writer_finish(writer));
}

/* Entries of the folder, to see that nothing is left behind. */
static size_t count_files(void) {
  glob_t found;
  char pattern[80];

  (void)snprintf(pattern, sizeof pattern, "%s/*", folder);
  size_t n = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
  globfree(&found);
  return n;
}

/* ---- changing what is in a good file ---- */

static hid_t open_file(void) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  CU_ASSERT_FATAL(file >= 0);
  return file;
}

static void set_int(const char *name, int64_t value) {
  hid_t file = open_file();
  hid_t space = H5Screate(H5S_SCALAR);
  if (H5Aexists(file, name) > 0) {
    (void)H5Adelete(file, name);
  }
  hid_t attribute = H5Acreate2(file, name, H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT);
  CU_ASSERT(H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0);
  (void)H5Aclose(attribute);
  (void)H5Sclose(space);
  (void)H5Fclose(file);
}

/* A text of variable length, as h5py writes it. */
static void set_text(const char *name, const char *value) {
  hid_t file = open_file();
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t type = H5Tcopy(H5T_C_S1);
  (void)H5Tset_size(type, H5T_VARIABLE);
  if (H5Aexists(file, name) > 0) {
    (void)H5Adelete(file, name);
  }
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  CU_ASSERT(H5Awrite(attribute, type, &value) >= 0);
  (void)H5Aclose(attribute);
  (void)H5Tclose(type);
  (void)H5Sclose(space);
  (void)H5Fclose(file);
}

static void delete_attribute(const char *name) {
  hid_t file = open_file();
  CU_ASSERT(H5Adelete(file, name) >= 0);
  (void)H5Fclose(file);
}

/* A dataset in place of another; `values` NULL: none are written. */
static void put_dataset(const char *name, hid_t type, hid_t memory_type, int rank,
                        const hsize_t *dims, const hsize_t *chunk, const void *values) {
  hid_t file = open_file();
  if (H5Lexists(file, name, H5P_DEFAULT) > 0) {
    (void)H5Ldelete(file, name, H5P_DEFAULT);
  }
  hid_t space = H5Screate_simple(rank, dims, NULL);
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  if (chunk != NULL) {
    (void)H5Pset_chunk(plist, rank, chunk);
    (void)H5Pset_deflate(plist, 1);
  }
  hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  CU_ASSERT(dataset >= 0);
  if (values != NULL) {
    CU_ASSERT(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  }
  (void)H5Dclose(dataset);
  (void)H5Pclose(plist);
  (void)H5Sclose(space);
  (void)H5Fclose(file);
}

static mb_status open_trace(void) {
  mb_trace *trace = NULL;
  mb_status status = mb_trace_open(path, &trace);

  mb_trace_destroy(trace);
  return status;
}

/* The message names the file too, and is one line. */
#define CHECK_REFUSED(call, status, text)                     \
  do {                                                        \
    CHECK_FAILS((call), (status), (text));                    \
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), path)); \
    CU_ASSERT_PTR_NULL(strchr(mb_error_message(), '\n'));     \
  } while (0)

/* ---- tests ---- */

static void test_round_trip(void) {
  mb_trace *trace = NULL;
  uint32_t read[N];
  char digest[MB_DIGEST_SIZE];

  write_trace();
  CU_ASSERT_EQUAL(count_files(), 1);
  CHECK_OK(mb_trace_open(path, &trace));
  const mb_trace_info *got = mb_trace_get_info(trace);
  CU_ASSERT(got->n_steps == T && got->n_layers == L && got->n_experts == E);
  CU_ASSERT(got->top_k == 2 && got->n_groups == 4 && got->phase == MB_PHASE_MIXED);
  CU_ASSERT(memcmp(got->layer_ids, layer_ids, sizeof layer_ids) == 0);
  CU_ASSERT_STRING_EQUAL(got->model, "a model");
  CU_ASSERT_STRING_EQUAL(got->source, "made up; public domain");
  CU_ASSERT_STRING_EQUAL(got->created_by, "test_trace");
  CU_ASSERT_STRING_EQUAL(got->padding, "excluded");
  CU_ASSERT_STRING_EQUAL(got->counts, "");
  CU_ASSERT_STRING_EQUAL(got->source_semantics, "");
  CU_ASSERT_EQUAL(got->steps_per_record, 5);
  CU_ASSERT_EQUAL(got->objects, 0);
  CHECK_OK(mb_trace_read(trace, 0, T, read));
  CU_ASSERT(memcmp(read, loads, sizeof loads) == 0);
  CHECK_OK(mb_trace_read(trace, 3, 2, read));
  CU_ASSERT(memcmp(read, loads + (size_t)3 * L * E, (size_t)2 * L * E * sizeof *read) == 0);

  XXH128_hash_t hash = XXH3_128bits(loads, sizeof loads);
  (void)snprintf(digest, sizeof digest, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
  CU_ASSERT_STRING_EQUAL(got->load_xxh3, digest);
  mb_trace_destroy(trace);
  char verified[MB_DIGEST_SIZE];
  CHECK_OK(mb_trace_verify(path, verified));
  CU_ASSERT_STRING_EQUAL(verified, digest);
}

static void test_source(void) {
  mb_source *source = NULL;
  uint32_t read[N];
  char digest[MB_DIGEST_SIZE];

  write_trace();
  CHECK_OK(mb_source_open_trace(path, &source));
  CU_ASSERT_PTR_NOT_NULL(mb_source_get_trace(source));
  for (size_t t = 0; t < T; t++) {
    CHECK_OK(mb_source_read(source, 1, read + t * L * E));
  }
  CU_ASSERT(memcmp(read, loads, sizeof loads) == 0);
  mb_source_digest(source, digest);
  CU_ASSERT_STRING_EQUAL(digest, mb_source_get_info(source)->load_xxh3);
  mb_source_destroy(source);

  CHECK_OK(mb_source_open_memory(&info, loads, &source));
  CHECK_OK(mb_source_read(source, 3, read));
  CHECK_OK(mb_source_read(source, T - 3, read + (size_t)3 * L * E));
  CU_ASSERT(memcmp(read, loads, sizeof loads) == 0);
  CU_ASSERT_PTR_NULL(mb_source_get_trace(source));
  mb_source_destroy(source);
}

static void test_wrong_digest(void) {
  mb_source *source = NULL;
  uint32_t read[N];
  char digest[MB_DIGEST_SIZE] = "untouched";

  write_trace();
  set_text("load_xxh3", "00000000000000000000000000000000");
  CHECK_OK(mb_source_open_trace(path, &source));
  CHECK_OK(mb_source_read(source, T - 1, read));
  CHECK_REFUSED(mb_source_read(source, 1, read), MB_ERR_FORMAT, "is not what was written");
  mb_source_destroy(source);
  CHECK_REFUSED(mb_trace_verify(path, digest), MB_ERR_FORMAT, "is not what was written");
  CU_ASSERT_STRING_EQUAL(digest, "untouched");
  set_text("load_xxh3", "0000");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be 32 lower-case hex digits");
}

static void test_no_trace(void) {
  (void)unlink(path);
  CHECK_REFUSED(open_trace(), MB_ERR_IO, "No such file");
  (void)mkdir(path, 0700);
  CHECK_REFUSED(open_trace(), MB_ERR_IO, "is not a file");
  (void)rmdir(path);
  FILE *file = fopen(path, "w");
  CU_ASSERT_FATAL(file != NULL);
  CHECK_REFUSED((fflush(file), open_trace()), MB_ERR_FORMAT, "is not HDF5");
  (void)fputs("step,layer,expert\n", file);
  CHECK_REFUSED((fflush(file), open_trace()), MB_ERR_FORMAT, "is not HDF5");
  (void)fclose(file);
  (void)unlink(path);
  write_trace();
  struct stat about;
  CU_ASSERT(stat(path, &about) == 0 && truncate(path, about.st_size - 100) == 0);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "cut off at the end");
}

static void test_attributes(void) {
  static const char *const required[] = {"version",   "model", "top_k",  "num_groups",
                                         "layer_ids", "phase", "source", "created_by"};

  for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
    write_trace();
    delete_attribute(required[i]);
    CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "is missing");
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), required[i]));
  }
  write_trace();
  delete_attribute("format");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "not a trace: its attribute format");
  set_text("format", "moebal-results");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "is a results file, not a trace; `moebal report`");
  mb_trace_writer *writer = NULL;
  CHECK_FAILS(mb_trace_writer_create(path, &info, &writer), MB_ERR_IO, "no trace");
  (void)unlink(path);
  write_trace();
  set_int("version", 2);
  CHECK_REFUSED(open_trace(), MB_ERR_UNSUPPORTED, "is moebal-trace version 2");
  set_int("version", 0);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be 1");
  write_trace();
  set_text("top_k", "two");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be a whole number");
  set_int("top_k", E + 1);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "attribute top_k: is 9, but should be 1 to 8");
  set_int("top_k", (int64_t)1 << 40);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "far out of range");
}

static void test_more_attributes(void) {
  write_trace();
  set_int("num_groups", 3);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "is 3, which does not divide 8 experts");
  write_trace();
  set_int("layer_ids", 3);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "has 1 values, but should have 3");
  write_trace();
  set_text("phase", "training");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be prefill, decode, mixed or train");
  write_trace();
  set_int("model", 4);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "attribute model: is not a text");
  write_trace();
  set_text("padding", "some");
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be excluded or included");
  write_trace();
  set_int("steps_per_record", 0);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should be 1 or more");
}

/* Texts reach terminals: nothing in them may move a cursor. */
static void test_texts_are_tame(void) {
  mb_trace *trace = NULL;

  write_trace();
  set_text("source", "two\nlines \033[31m \xff caf\xc3\xa9");
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_STRING_EQUAL(mb_trace_get_info(trace)->source, "two lines  [31m ? caf\xc3\xa9");
  mb_trace_destroy(trace);
}

static void test_shapes(void) {
  hsize_t dims[] = {T, L, E};
  hsize_t empty[] = {0, L, E};
  hsize_t chunk[] = {1, L, E};

  write_trace();
  hid_t file = open_file();
  (void)H5Ldelete(file, "load", H5P_DEFAULT);
  (void)H5Fclose(file);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "there is no dataset /load");
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 2, dims, NULL, loads);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "has 2 dimensions, but should have 3");
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, dims, NULL, NULL);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "holds no data for its shape");
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, dims, chunk, NULL);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "only 0 of its 7 chunks are there");
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, empty, chunk, NULL);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should have at least 1");
  put_dataset("load", H5T_C_S1, H5T_C_S1, 3, dims, chunk, loads);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "does not hold numbers");
  file = open_file();
  (void)H5Ldelete(file, "load", H5P_DEFAULT);
  (void)H5Lcreate_external("other.h5", "/load", file, "load", H5P_DEFAULT, H5P_DEFAULT);
  (void)H5Fclose(file);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "is a link to elsewhere");
}

/* Dimensions that no file could hold are refused before any memory is asked for. */
static void test_huge(void) {
  hsize_t huge[] = {(hsize_t)1 << 40, (hsize_t)1 << 20, (hsize_t)1 << 20};
  hsize_t chunk[] = {1, 1 << 8, 1 << 19};
  hsize_t wide[] = {1, 1, (hsize_t)1 << 21};
  hsize_t small[] = {1, 1, 1 << 10};

  write_trace();
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, huge, chunk, NULL);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "chunks of more than 256 MiB");
  chunk[1] = 1;
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, huge, chunk, NULL);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "only 0 of its");
  uint32_t *zeros = calloc((size_t)1 << 21, sizeof *zeros);
  CU_ASSERT_FATAL(zeros != NULL);
  put_dataset("load", H5T_STD_U32LE, H5T_NATIVE_UINT32, 3, wide, small, zeros);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "has 1 layers of 2097152 experts");
  free(zeros);
}

/* Reads all of /load as double or int64 that was stored so, `odd` at step 5, layer 2, expert 1. */
static mb_status read_number(bool real, double odd, uint32_t *read) {
  hsize_t dims[] = {T, L, E};
  hsize_t chunk[] = {2, L, E};
  double values[N];
  mb_trace *trace = NULL;

  for (size_t x = 0; x < N; x++) {
    values[x] = loads[x];
  }
  values[(5 * L + 2) * E + 1] = odd;
  write_trace();
  delete_attribute("load_xxh3");
  put_dataset("load", real ? H5T_IEEE_F64LE : H5T_STD_I64BE, H5T_NATIVE_DOUBLE, 3, dims, chunk,
              values);
  CHECK_OK(mb_trace_open(path, &trace));
  mb_status status = mb_trace_read(trace, 0, T, read);
  mb_trace_destroy(trace);
  return status;
}

static void test_other_numbers(void) {
  static const char right[] = "step 5, layer 2, expert 1 is ";
  uint32_t read[N];
  size_t at = (5 * L + 2) * E + 1;

  for (int real = 0; real <= 1; real++) {
    CHECK_OK(read_number(real, 4294967295.0, read));
    CU_ASSERT_EQUAL(read[at], UINT32_MAX);
    read[at] = loads[at];
    CU_ASSERT(memcmp(read, loads, sizeof loads) == 0);
    CHECK_REFUSED(read_number(real, 4294967296.0, read), MB_ERR_FORMAT, right);
    CHECK_REFUSED(read_number(real, -1, read), MB_ERR_FORMAT, right);
  }
  CHECK_REFUSED(read_number(true, 0.5, read), MB_ERR_FORMAT, right);
  CHECK_REFUSED(read_number(true, NAN, read), MB_ERR_FORMAT, right);
  CHECK_REFUSED(read_number(true, INFINITY, read), MB_ERR_FORMAT, right);
}

static void test_unknown_objects(void) {
  hsize_t dims[] = {2, 2};
  mb_trace *trace = NULL;

  write_trace();
  put_dataset("notes", H5T_STD_U32LE, H5T_NATIVE_UINT32, 2, dims, NULL, loads);
  set_text("weather", "fine");
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->objects, 0);
  mb_trace_destroy(trace);
}

static void put_optional(void) {
  static const double times[T] = {0, 1, 2, 3, 4, 5, 6};
  static const uint32_t by_source[N * 2] = {1};
  static const uint32_t tokens[T * 2] = {10, 20, 1, 2};
  static const int16_t topk[5 * L * 2] = {0};
  static const int64_t offset[T + 1] = {0};
  static const uint16_t from[5] = {0};

  put_dataset("step_time", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, (hsize_t[]){T}, NULL, times);
  put_dataset("step_phase", H5T_STD_U8LE, H5T_NATIVE_INT16, 1, (hsize_t[]){T}, NULL, topk);
  put_dataset("load_by_source", H5T_STD_U32LE, H5T_NATIVE_UINT32, 4, (hsize_t[]){T, L, 2, E}, NULL,
              by_source);
  put_dataset("tokens", H5T_STD_U32LE, H5T_NATIVE_UINT32, 2, (hsize_t[]){T, 2}, NULL, tokens);
  put_dataset("topk", H5T_STD_I16LE, H5T_NATIVE_INT16, 3, (hsize_t[]){5, L, 2}, NULL, topk);
  put_dataset("topk_offset", H5T_STD_I64LE, H5T_NATIVE_INT64, 1, (hsize_t[]){T + 1}, NULL, offset);
  put_dataset("topk_source", H5T_STD_U16LE, H5T_NATIVE_UINT16, 1, (hsize_t[]){5}, NULL, from);
}

static void test_optional_objects(void) {
  mb_trace *trace = NULL;
  uint64_t tokens[2];

  write_trace();
  put_optional();
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->objects, MB_TRACE_STEP_TIME | MB_TRACE_STEP_PHASE |
                                                         MB_TRACE_LOAD_BY_SOURCE | MB_TRACE_TOKENS |
                                                         MB_TRACE_TOPK);
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->n_sources, 2);
  CHECK_OK(mb_trace_read_tokens(trace, 0, 2, tokens));
  CU_ASSERT(tokens[0] == 30 && tokens[1] == 3);
  mb_trace_destroy(trace);
}

enum { R = 3 };

static uint32_t by_source[N * R], split_loads[N], tokens[T * R];
static double times[T];
static uint8_t phases[T];

static void fill_objects(void) {
  memset(split_loads, 0, sizeof split_loads);
  for (size_t t = 0; t < T; t++) {
    times[t] = 0.25 * (double)t;
    phases[t] = (uint8_t)(t % 4);
    for (size_t r = 0; r < R; r++) {
      tokens[t * R + r] = (uint32_t)(10 * t + r);
    }
    for (size_t i = 0; i < (size_t)L * R * E; i++) {
      size_t l = i / ((size_t)R * E);
      by_source[t * L * R * E + i] = (uint32_t)(1000 * t + i);
      split_loads[(t * L + l) * E + i % E] += (uint32_t)(1000 * t + i);
    }
  }
}

static void write_objects(mb_trace_writer *writer) {
  for (size_t t = 0, n = 2; t < T; t += n, n = T - t < 2 ? T - t : 2) {
    mb_trace_steps steps = {.load = split_loads + t * L * E,
                            .load_by_source = by_source + t * L * R * E,
                            .tokens = tokens + t * R,
                            .step_time = times + t,
                            .step_phase = phases + t};
    CHECK_OK(mb_trace_writer_append_steps(writer, n, &steps));
  }
  CHECK_OK(mb_trace_writer_finish(writer));
}

/* Every optional object that is written is read back, whatever the pieces. */
static void test_objects_round_trip(void) {
  mb_trace_info with = info;
  mb_trace_writer *writer = NULL;
  mb_trace *trace = NULL;
  uint32_t read[N * R];
  double read_times[T];
  uint8_t read_phases[T];

  with.objects =
      MB_TRACE_LOAD_BY_SOURCE | MB_TRACE_TOKENS | MB_TRACE_STEP_TIME | MB_TRACE_STEP_PHASE;
  with.n_sources = R;
  fill_objects();
  CHECK_OK(mb_trace_writer_create(path, &with, &writer));
  CU_ASSERT_PTR_NOT_NULL_FATAL(writer);
  write_objects(writer);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->objects, with.objects);
  CU_ASSERT_EQUAL(mb_trace_get_info(trace)->n_sources, R);
  CHECK_OK(mb_trace_read(trace, 0, T, read));
  CU_ASSERT(memcmp(read, split_loads, sizeof split_loads) == 0);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_LOAD_BY_SOURCE, 1, T - 1, read));
  CU_ASSERT(memcmp(read, by_source + (size_t)L * R * E, sizeof by_source / T * (T - 1)) == 0);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_TOKENS, 0, T, read));
  CU_ASSERT(memcmp(read, tokens, sizeof tokens) == 0);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_STEP_TIME, 0, T, read_times));
  CU_ASSERT(memcmp(read_times, times, sizeof times) == 0);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_STEP_PHASE, 3, 2, read_phases));
  CU_ASSERT(memcmp(read_phases, phases + 3, 2) == 0);
  mb_trace_destroy(trace);
}

/* What HDF5 by itself would clip is refused. */
static void test_objects_out_of_range(void) {
  static const int64_t counts[T * 2] = {1, 2, 3, -4, 1, INT64_C(1) << 32};
  uint32_t read[T * 2];
  mb_trace *trace = NULL;

  write_trace();
  put_dataset("tokens", H5T_STD_I64LE, H5T_NATIVE_INT64, 2, (hsize_t[]){T, 2}, NULL, counts);
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_PTR_NOT_NULL_FATAL(trace);
  CHECK_OK(mb_trace_read_object(trace, MB_TRACE_TOKENS, 0, 1, read));
  CU_ASSERT(read[0] == 1 && read[1] == 2);
  CHECK_REFUSED(mb_trace_read_object(trace, MB_TRACE_TOKENS, 0, 2, read), MB_ERR_FORMAT,
                "/tokens: step 1 has -4");
  CHECK_REFUSED(mb_trace_read_object(trace, MB_TRACE_TOKENS, 2, 1, read), MB_ERR_FORMAT,
                "4294967296, but should have 0 to 4294967295");
  mb_trace_destroy(trace);
}

static void test_objects_not_written(void) {
  mb_trace_info with = info;
  mb_trace_writer *writer = NULL;

  with.objects = MB_TRACE_TOPK;
  CHECK_REFUSED(mb_trace_writer_create(path, &with, &writer), MB_ERR_UNSUPPORTED, "/topk");
  with.objects = MB_TRACE_LOAD_BY_SOURCE;
  CHECK_REFUSED(mb_trace_writer_create(path, &with, &writer), MB_ERR_SHAPE, "0 ranks");
}

/* Every optional object, once in a shape or type that does not fit. */
static void test_optional_refused(void) {
  static const int64_t zeros[T * L * 2 * (E + 1)] = {0}; /* the largest below */
  static const struct {
    const char *name;
    hsize_t dims[4];
    int rank;
    bool real;
  } wrong[] = {{"step_time", {T + 1}, 1, true},
               {"step_time", {T}, 1, false},
               {"step_phase", {T - 1}, 1, false},
               {"step_phase", {T}, 1, true},
               {"load_by_source", {T, L, 2, E + 1}, 4, false},
               {"tokens", {T, 3}, 2, false},
               {"tokens", {T}, 1, false},
               {"topk", {5, L, 3}, 3, false},
               {"topk_offset", {T}, 1, false},
               {"topk_source", {6}, 1, false}};

  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    write_trace();
    put_optional();
    put_dataset(wrong[i].name, wrong[i].real ? H5T_IEEE_F64LE : H5T_STD_I64LE, H5T_NATIVE_INT64,
                wrong[i].rank, wrong[i].dims, NULL, zeros);
    CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "should h");
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), wrong[i].name));
    if (strstr(mb_error_message(), "should have") == NULL) {
      CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), "should hold"));
    }
  }
}

/* Loads of no tokens in compressed chunks of all steps and one expert, all of them the same. */
static void put_columns(hsize_t n_steps, hsize_t n_experts) {
  hid_t file = open_file();
  hsize_t dims[3] = {n_steps, L, n_experts};
  hsize_t chunk[3] = {n_steps, 1, 1};
  hsize_t at[3] = {0, 0, 0};
  hsize_t n_bytes = 0;
  uint32_t filters = 0;
  hid_t space = H5Screate_simple(3, dims, NULL);
  hid_t rows = H5Screate_simple(3, chunk, NULL);
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  uint32_t *zeros = calloc(n_steps, sizeof *zeros);

  CU_ASSERT_FATAL(zeros != NULL && H5Ldelete(file, "load", H5P_DEFAULT) >= 0);
  (void)H5Pset_chunk(plist, 3, chunk);
  (void)H5Pset_deflate(plist, 1);
  hid_t load = H5Dcreate2(file, "load", H5T_STD_U32LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  (void)H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, chunk, NULL);
  CU_ASSERT(H5Dwrite(load, H5T_NATIVE_UINT32, rows, space, H5P_DEFAULT, zeros) >= 0);
  CU_ASSERT(H5Dflush(load) >= 0 && H5Dget_chunk_storage_size(load, at, &n_bytes) >= 0);
  CU_ASSERT_FATAL(n_bytes > 0 && n_bytes < n_steps * sizeof *zeros);
  CU_ASSERT(H5Dread_chunk(load, H5P_DEFAULT, at, &filters, zeros) >= 0);
  for (hsize_t x = 1; x < L * n_experts; x++) {
    hsize_t place[3] = {0, x / n_experts, x % n_experts};
    CU_ASSERT(H5Dwrite_chunk(load, H5P_DEFAULT, filters, place, n_bytes, zeros) >= 0);
  }
  free(zeros);
  (void)H5Dclose(load);
  (void)H5Pclose(plist);
  (void)H5Sclose(rows);
  (void)H5Sclose(space);
  (void)H5Fclose(file);
}

/* Where every read would unpack every chunk again, all of them stay in memory, or it is said. */
static void test_columns(void) {
  mb_trace *trace = NULL;
  static uint32_t read[L * 80];

  write_trace();
  set_int("num_groups", 1);
  put_columns(80000, 80);
  CHECK_OK(mb_trace_open(path, &trace));
  for (size_t t = 0; t < 80000; t += 2000) {
    CHECK_OK(mb_trace_read(trace, t, 1, read));
  }
  CU_ASSERT_EQUAL(read[L * 80 - 1], 0);
  mb_trace_destroy(trace);
  put_columns(300000, 80);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "h5repack -l /load:CHUNK=16x");
}

static void test_odd_texts(void) {
  mb_trace *trace = NULL;
  char long_text[70000];

  write_trace();
  set_text("padding", "");
  set_text("model", "a\nb\xc2\x9b[1m\xed\xa0\x80z\xc3\xbc");
  CHECK_OK(mb_trace_open(path, &trace));
  CU_ASSERT_STRING_EQUAL(mb_trace_get_info(trace)->padding, "");
  CU_ASSERT_STRING_EQUAL(mb_trace_get_info(trace)->model, "a b  [1m???z\xc3\xbc");
  mb_trace_destroy(trace);
  memset(long_text, 'x', sizeof long_text);
  long_text[sizeof long_text - 1] = '\0';
  set_text("source", long_text);
  CHECK_REFUSED(open_trace(), MB_ERR_FORMAT, "at most 64 KiB");
}

static void test_writer_refuses(void) {
  mb_trace_writer *writer = NULL;
  mb_trace_info wrong = info;

  (void)unlink(path);
  wrong.top_k = 0;
  CHECK_REFUSED(mb_trace_writer_create(path, &wrong, &writer), MB_ERR_FORMAT, "top_k");
  CHECK_FAILS(mb_trace_writer_create("/nowhere/at/all.h5", &info, &writer), MB_ERR_IO,
              "/nowhere/at/all.h5: cannot be written: No such file");
  CU_ASSERT_PTR_NULL(writer);
  CHECK_FAILS(mb_trace_writer_create(folder, &info, &writer), MB_ERR_IO, "is a folder");
  CHECK_FAILS(mb_trace_writer_create("/dev/null", &info, &writer), MB_ERR_IO, "no trace");
  FILE *notes = fopen(path, "w");
  CU_ASSERT_FATAL(notes != NULL && fputs("notes\n", notes) >= 0 && fclose(notes) == 0);
  CHECK_FAILS(mb_trace_writer_create(path, &info, &writer), MB_ERR_IO, "no trace");
  CU_ASSERT_EQUAL(count_files(), 1);
  (void)unlink(path);
  CHECK_OK(mb_trace_writer_create(path, &info, &writer));
  CHECK_REFUSED(mb_trace_writer_finish(writer), MB_ERR_SHAPE, "at least one step");
  CHECK_OK(mb_trace_writer_create(path, &info, &writer));
  CHECK_OK(mb_trace_writer_append(writer, T, loads));
  CU_ASSERT_EQUAL(count_files(), 1);
  mb_trace_writer_destroy(writer);
  CU_ASSERT_EQUAL(count_files(), 0);
}

/* In a child, since libhdf5 may not be fit for use after a failed write. */
static int write_to_full_disk(void) {
  mb_trace_writer *writer = NULL;
  struct rlimit most = {16384, 16384};
  mb_status status = mb_trace_writer_create(path, &info, &writer);

  (void)signal(SIGXFSZ, SIG_IGN);
  (void)setrlimit(RLIMIT_FSIZE, &most);
  uint32_t noise[N];
  uint64_t state = 1;
  for (int i = 0; i < 5000 && status == MB_OK; i++) {
    for (size_t x = 0; x < N; x++) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      noise[x] = (uint32_t)(state >> 32);
    }
    status = mb_trace_writer_append(writer, T, noise);
  }
  if (status == MB_OK) {
    status = mb_trace_writer_finish(writer);
  } else {
    mb_trace_writer_destroy(writer);
  }
  return status == MB_ERR_IO &&
                 strstr(mb_error_message(), "cannot be written: File too large") != NULL
             ? 0
             : 1;
}

static void test_full_disk(void) {
  int status = -1;

  (void)unlink(path);
  pid_t child = fork();
  if (child == 0) {
    _exit(write_to_full_disk());
  }
  CU_ASSERT(waitpid(child, &status, 0) == child);
  CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CU_ASSERT_EQUAL(count_files(), 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"what is written is read", test_round_trip},
                         {"sources read it too", test_source},
                         {"a wrong digest", test_wrong_digest},
                         {"no trace at all", test_no_trace},
                         {"attributes", test_attributes},
                         {"more attributes", test_more_attributes},
                         {"texts are tame", test_texts_are_tame},
                         {"shapes and links of /load", test_shapes},
                         {"huge dimensions", test_huge},
                         {"loads stored as other numbers", test_other_numbers},
                         {"unknown objects", test_unknown_objects},
                         {"optional objects", test_optional_objects},
                         {"optional objects that do not fit", test_optional_refused},
                         {"optional objects, written and read", test_objects_round_trip},
                         {"optional objects out of range", test_objects_out_of_range},
                         {"optional objects that are not written", test_objects_not_written},
                         {"what the writer refuses", test_writer_refuses},
                         {"chunks of many steps", test_columns},
                         {"odd texts", test_odd_texts},
                         {"a full disk", test_full_disk},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/trace.h5", folder);
  fill_loads();
  int status = run_suite("trace", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return status;
}
