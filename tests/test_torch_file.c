/* tests/test_torch_file.c - tensors of torch.save(), whatever their strides; files that are wrong.
 */
#include "workloads/torch_file.h"

#include <unistd.h>

#include "tests/recordings.h"
#include "tests/test.h"

static const char path[] = "test_torch_file.pt";

enum { N = 24 };

/* The numbers 0 to 23 in storage 0, int32, and a tensor "t" of them. */
typedef struct fixture {
  const char *storage, *byteorder;
  int32_t n_stored, offset;
  size_t rank, n_bytes;
  int32_t dims[4], strides[4];
} fixture;

static const fixture plain = {.storage = "IntStorage",
                              .n_stored = N,
                              .rank = 3,
                              .n_bytes = N * sizeof(int32_t),
                              .dims = {2, 3, 4},
                              .strides = {12, 4, 1}};

static blob make_bytes(const fixture *f) {
  blob pickle = {0};
  blob numbers = {0};
  zip_writer zip = {0};

  put_text(&pickle, "\x80\x02}");
  pickle_text(&pickle, "t");
  pickle_view(&pickle, f->storage, "0", f->n_stored, f->offset, f->rank, f->dims, f->strides);
  put_text(&pickle, "s.");
  for (uint32_t i = 0; i < N; i++) {
    bool big = f->byteorder != NULL && strcmp(f->byteorder, "big") == 0;
    put_number(&numbers, big ? i << 24 : i, 4);
  }
  zip_put(&zip, "any name/data.pkl", pickle.bytes, pickle.n);
  if (f->byteorder != NULL) {
    zip_put(&zip, "any name/byteorder", f->byteorder, strlen(f->byteorder));
  }
  zip_put(&zip, "any name/data/0", numbers.bytes, f->n_bytes);
  zip_put(&zip, "any name/version", "3\n", 2);
  free_blob(&pickle);
  free_blob(&numbers);
  return zip_finish(&zip);
}

static mb_status open_file(mb_input *input, mb_torch_file **file) {
  *file = NULL;
  CHECK_OK(mb_input_open(path, input));
  mb_status status = mb_torch_open(input, file);
  if (status != MB_OK) {
    CU_ASSERT_PTR_NULL(*file);
    mb_input_close(input);
  }
  return status;
}

/* Rows [first, first + n) as both kinds of numbers. */
static mb_status read_rows(const fixture *f, uint64_t first, uint64_t n, int64_t *ints,
                           uint32_t *counts) {
  blob b = make_bytes(f);
  mb_input input;
  mb_torch_file *file = NULL;
  mb_py tensor = {.kind = MB_PY_NONE};

  write_file(path, b.bytes, b.n);
  free_blob(&b);
  mb_status status = open_file(&input, &file);
  if (status != MB_OK) {
    return status;
  }
  CU_ASSERT_FATAL(mb_py_find(mb_torch_root(file), "t", &tensor) && tensor.kind == MB_PY_TENSOR);
  status = mb_torch_read_ints(file, "t", tensor.as.tensor, first, n, ints);
  if (status == MB_OK) {
    status = mb_torch_read_counts(file, "t", tensor.as.tensor, first, n, counts);
  }
  mb_torch_close(file);
  mb_input_close(&input);
  return status;
}

static void check_rows(const fixture *f, uint64_t first, uint64_t n, size_t n_expected,
                       const int64_t *expected) {
  int64_t ints[N] = {0};
  uint32_t counts[N] = {0};

  CHECK_OK(read_rows(f, first, n, ints, counts));
  for (size_t i = 0; i < n_expected; i++) {
    CU_ASSERT_EQUAL(ints[i], expected[i]);
    CU_ASSERT_EQUAL(counts[i], (uint32_t)expected[i]);
  }
}

static void test_contiguous(void) {
  int64_t expected[N];
  fixture f = plain;

  for (int64_t i = 0; i < N; i++) {
    expected[i] = i;
  }
  check_rows(&f, 0, 2, N, expected);
  check_rows(&f, 1, 1, N / 2, expected + N / 2);
  f.byteorder = "little";
  check_rows(&f, 0, 2, N, expected);
  f.byteorder = "big";
  check_rows(&f, 0, 2, N, expected);
  f = (fixture){.storage = "IntStorage",
                .n_stored = N,
                .rank = 1,
                .n_bytes = plain.n_bytes,
                .dims = {N},
                .strides = {1}};
  check_rows(&f, 3, 5, 5, expected + 3);
}

static void test_strides(void) {
  /* Transposed: [4,2] of a part; every other one, backwards in storage order; expanded. */
  const fixture turned = {.storage = "IntStorage",
                          .n_stored = N,
                          .offset = 5,
                          .rank = 2,
                          .n_bytes = plain.n_bytes,
                          .dims = {4, 2},
                          .strides = {1, 4}};
  check_rows(&turned, 1, 2, 4, (const int64_t[]){6, 10, 7, 11});
  const fixture steps = {.storage = "IntStorage",
                         .n_stored = N,
                         .rank = 2,
                         .n_bytes = plain.n_bytes,
                         .dims = {3, 4},
                         .strides = {8, 2}};
  check_rows(&steps, 0, 3, 12, (const int64_t[]){0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22});
  const fixture expanded = {.storage = "IntStorage",
                            .n_stored = N,
                            .offset = 2,
                            .rank = 2,
                            .n_bytes = plain.n_bytes,
                            .dims = {3, 2},
                            .strides = {0, 1}};
  check_rows(&expanded, 0, 3, 6, (const int64_t[]){2, 3, 2, 3, 2, 3});
  fixture none = plain;
  none.dims[1] = 0;
  check_rows(&none, 0, 2, 0, NULL);
}

static void refuse(const fixture *f, mb_status status, const char *text) {
  int64_t ints[N];
  uint32_t counts[N];

  CHECK_FAILS(read_rows(f, 0, 2, ints, counts), status, text);
}

static void test_refused_tensors(void) {
  fixture f = plain;

  f.n_bytes -= 1;
  refuse(&f, MB_ERR_FORMAT, "its storage has 95 bytes, and should have 24 numbers of type int32");
  f = plain;
  f.storage = "LongStorage";
  refuse(&f, MB_ERR_FORMAT, "should have 24 numbers of type int64");
  f = plain;
  f.byteorder = "middle";
  refuse(&f, MB_ERR_FORMAT, "byteorder is \"middle\"");
  f = plain;
  f.storage = "FloatStorage"; /* the number 1 is 1.4e-45 then */
  refuse(&f, MB_ERR_FORMAT, "test_torch_file.pt: t[0,0,1]: is 1.40129846432e-45, and should be");
}

/* The same without a number being read. */
static void test_check(void) {
  fixture f = plain;
  mb_input input;
  mb_torch_file *file = NULL;
  mb_py tensor = {.kind = MB_PY_NONE};

  for (size_t missing = 0; missing < 2; missing++) {
    f.n_bytes = plain.n_bytes - missing;
    blob b = make_bytes(&f);
    write_file(path, b.bytes, b.n);
    free_blob(&b);
    CHECK_OK(open_file(&input, &file));
    CU_ASSERT_FATAL(mb_py_find(mb_torch_root(file), "t", &tensor));
    mb_status status = mb_torch_check(file, "t", tensor.as.tensor);
    CU_ASSERT_EQUAL(status, missing == 0 ? MB_OK : MB_ERR_FORMAT);
    mb_torch_close(file);
    mb_input_close(&input);
  }
}

static void refuse_file(const void *bytes, size_t n, mb_status status, const char *text) {
  mb_input input;
  mb_torch_file *file = NULL;

  write_file(path, bytes, n);
  CHECK_FAILS(open_file(&input, &file), status, text);
}

static void test_refused_files(void) {
  zip_writer zip = {0};
  blob b;

  zip_put(&zip, "archive/other.pkl", "x", 1);
  b = zip_finish(&zip);
  refuse_file(b.bytes, b.n, MB_ERR_FORMAT, "is a zip file without FOLDER/data.pkl");
  free_blob(&b);
  zip_put(&zip, "archive/data.pkl", "\x80\x02", 2);
  b = zip_finish(&zip);
  refuse_file(b.bytes, b.n, MB_ERR_FORMAT, "the pickle ends after 2 bytes");
  free_blob(&b);
  refuse_file("\x80\x02\x8a\x0a\x6c\xfc\x9c", 7, MB_ERR_UNSUPPORTED, "of torch before 1.6");
  refuse_file("PK\3\4", 4, MB_ERR_FORMAT, "no zip archive");
  refuse_file("", 0, MB_ERR_FORMAT, "no zip archive");
}

/* The storage that a pickle names is not there. */
static void test_missing_storage(void) {
  blob pickle = {0};
  zip_writer zip = {0};
  mb_input input;
  mb_torch_file *file = NULL;
  uint32_t counts[2];

  put_text(&pickle, "\x80\x02");
  pickle_tensor(&pickle, "IntStorage", "../../0", 1, (const int32_t[]){2});
  put_text(&pickle, ".");
  zip_put(&zip, "a/data.pkl", pickle.bytes, pickle.n);
  blob b = zip_finish(&zip);
  write_file(path, b.bytes, b.n);
  free_blob(&pickle);
  free_blob(&b);
  CHECK_OK(open_file(&input, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CHECK_FAILS(mb_torch_read_counts(file, "t", mb_torch_root(file).as.tensor, 0, 2, counts),
              MB_ERR_FORMAT, "t: its numbers should be in data/../../0, which is not there");
  mb_torch_close(file);
  mb_input_close(&input);
}

/* Whatever is cut off is missed, and whatever of the numbers is changed. */
static void test_damaged(void) {
  blob b = make_bytes(&plain);
  int64_t ints[N];
  mb_input input;
  mb_torch_file *file = NULL;

  for (size_t n = 0; n < b.n; n++) {
    write_file(path, b.bytes, n);
    CU_ASSERT_NOT_EQUAL(open_file(&input, &file), MB_OK);
  }
  for (size_t i = 0; i + 1 < b.n; i++) {
    if (b.bytes[i] == N - 2 && b.bytes[i + 4] == N - 1) {
      b.bytes[i] ^= 1;
    }
  }
  write_file(path, b.bytes, b.n);
  free_blob(&b);
  CHECK_OK(open_file(&input, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  mb_py tensor = {.kind = MB_PY_NONE};
  CU_ASSERT_FATAL(mb_py_find(mb_torch_root(file), "t", &tensor));
  CHECK_FAILS(mb_torch_read_ints(file, "t", tensor.as.tensor, 0, 2, ints), MB_ERR_FORMAT,
              "test_torch_file.pt: t: cannot be unpacked: CRC error");
  mb_torch_close(file);
  mb_input_close(&input);
}

static void test_recognises(void) {
  blob b = make_bytes(&plain);
  mb_input input;

  write_file(path, b.bytes, b.n);
  CHECK_OK(mb_input_open(path, &input));
  CU_ASSERT(mb_torch_recognise(&input));
  mb_input_close(&input);
  b.bytes[30] = '\0'; /* the name of the first member, whatever it is */
  b.bytes[38 + 8] = 'x';
  write_file(path, b.bytes, b.n);
  CHECK_OK(mb_input_open(path, &input));
  CU_ASSERT_FALSE(mb_torch_recognise(&input));
  mb_input_close(&input);
  free_blob(&b);
}

int main(void) {
  CU_TestInfo tests[] = {{"contiguous tensors", test_contiguous},
                         {"strides", test_strides},
                         {"refused tensors", test_refused_tensors},
                         {"whether numbers are there", test_check},
                         {"refused files", test_refused_files},
                         {"a missing storage", test_missing_storage},
                         {"damaged files", test_damaged},
                         {"recognises", test_recognises},
                         CU_TEST_INFO_NULL};

  int status = run_suite("torch_file", tests);
  (void)unlink(path);
  return status;
}
