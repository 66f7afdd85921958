/* tests/test_npy.c - numpy's arrays: byte for byte as numpy writes them, and as nobody should. */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "tests/test.h"
#include "workloads/npy.h"

enum { BYTES_MAX = 4096 };

/* A .npy file in the making. */
typedef struct blob {
  unsigned char bytes[BYTES_MAX];
  size_t n;
} blob;

static char folder[] = "/tmp/moebal-test-npy-XXXXXX";
static char path[64];

static void put(blob *b, const void *bytes, size_t n) {
  CU_ASSERT_FATAL(b->n + n <= sizeof b->bytes);
  memcpy(b->bytes + b->n, bytes, n);
  b->n += n;
}

/* Magic, version, length and text of a header, padded as numpy does it. */
static void put_header(blob *b, int version, const char *text) {
  size_t prefix = version == 1 ? 10 : 12;
  size_t length = (prefix + strlen(text) + 1 + 63) / 64 * 64 - prefix;
  unsigned char head[12] = "\x93NUMPY";

  head[6] = (unsigned char)version;
  head[8] = (unsigned char)(length & 255);
  head[9] = (unsigned char)(length >> 8);
  put(b, head, prefix);
  put(b, text, strlen(text));
  for (size_t i = strlen(text); i + 1 < length; i++) {
    put(b, " ", 1);
  }
  put(b, "\n", 1);
}

static blob make(const char *header, const void *data, size_t n) {
  blob b = {.n = 0};

  put_header(&b, 1, header);
  put(&b, data, n);
  return b;
}

static void write_file(const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_FATAL(file != NULL && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

/* Opens the array as a file of its own. */
static mb_status open_blob(const blob *b, mb_input *input, mb_array **array) {
  write_file(b->bytes, b->n);
  CHECK_OK(mb_input_open(path, input));
  mb_status status = mb_npy_open(input, array);
  if (status != MB_OK) {
    mb_input_close(input);
  }
  return status;
}

static void check_counts(const blob *b, uint64_t rows, size_t n, const uint32_t *wanted) {
  mb_input input;
  mb_array *array = NULL;
  uint32_t counts[64] = {0};

  CHECK_OK(open_blob(b, &input, &array));
  CHECK_OK(mb_array_read_counts(array, 0, (size_t)rows, counts));
  CU_ASSERT_EQUAL(memcmp(counts, wanted, n * sizeof *counts), 0);
  mb_array_destroy(array);
  mb_input_close(&input);
}

static void check_refused(const char *header, size_t n_data, mb_status status, const char *text) {
  static const unsigned char data[256];
  blob b = make(header, data, n_data);
  mb_input input;
  mb_array *array = NULL;

  CHECK_FAILS(open_blob(&b, &input, &array), status, text);
  CU_ASSERT_PTR_NULL(array);
}

/* What numpy.save wrote for np.arange(6, dtype='<i4').reshape(1, 2, 3), as a hexdump has it. */
static void test_as_numpy_writes(void) {
  static const unsigned char file[152] = "\x93NUMPY\x01\x00v\x00"
                                         "{'descr': '<i4', 'fortran_order': False, "
                                         "'shape': (1, 2, 3), }                            "
                                         "                           \n"
                                         "\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0";
  static const uint32_t wanted[6] = {0, 1, 2, 3, 4, 5};
  blob b = {.n = 0};

  put(&b, file, sizeof file);
  check_counts(&b, 1, 6, wanted);

  mb_input input;
  mb_array *array = NULL;
  CHECK_OK(open_blob(&b, &input, &array));
  const mb_array_info *info = mb_array_get_info(array);
  CU_ASSERT_STRING_EQUAL(info->name, path);
  CU_ASSERT_EQUAL(info->dtype, MB_DTYPE_I32);
  CU_ASSERT_EQUAL(info->rank, 3);
  CU_ASSERT(info->dims[0] == 1 && info->dims[1] == 2 && info->dims[2] == 3);
  mb_array_destroy(array);
  mb_input_close(&input);
}

/* [1, 0, 120] in every type and byte order. */
static void test_dtypes(void) {
  static const uint32_t wanted[3] = {1, 0, 120};
  static const struct {
    const char *descr;
    size_t size;
    const char *bytes;
  } cases[] = {
      {"|u1", 1, "\1\0\x78"},
      {"|i1", 1, "\1\0\x78"},
      {"<u2", 2, "\1\0\0\0\x78\0"},
      {">u2", 2, "\0\1\0\0\0\x78"},
      {"<i2", 2, "\1\0\0\0\x78\0"},
      {">i2", 2, "\0\1\0\0\0\x78"},
      {"<u4", 4, "\1\0\0\0\0\0\0\0\x78\0\0\0"},
      {">u4", 4, "\0\0\0\1\0\0\0\0\0\0\0\x78"},
      {"<i4", 4, "\1\0\0\0\0\0\0\0\x78\0\0\0"},
      {">i4", 4, "\0\0\0\1\0\0\0\0\0\0\0\x78"},
      {"<u8", 8, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78\0\0\0\0\0\0\0"},
      {">u8", 8, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78"},
      {"<i8", 8, "\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78\0\0\0\0\0\0\0"},
      {">i8", 8, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x78"},
      {"<f2", 2, "\0\x3c\0\0\x80\x57"},
      {">f2", 2, "\x3c\0\0\0\x57\x80"},
      {"<f4", 4, "\0\0\x80\x3f\0\0\0\0\0\0\xf0\x42"},
      {">f4", 4, "\x3f\x80\0\0\0\0\0\0\x42\xf0\0\0"},
      {"<f8", 8, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x5e\x40"},
      {">f8", 8, "\x3f\xf0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\x5e\0\0\0\0\0\0"},
  };
  char header[100];

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    (void)snprintf(header, sizeof header,
                   "{'descr': '%s', 'fortran_order': False, 'shape': (3,), }", cases[i].descr);
    blob b = make(header, cases[i].bytes, 3 * cases[i].size);
    check_counts(&b, 3, 3, wanted);
  }
  blob truths = make("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", "\1\0\1", 3);
  check_counts(&truths, 3, 3, (const uint32_t[]){1, 0, 1});
}

/* The header is a Python literal: any order of keys, spaces, quotation marks, a missing comma. */
static void test_headers(void) {
  static const char *const headers[] = {
      "{'shape':(2,2),'fortran_order':False,'descr':'|u1'}",
      "{ \"fortran_order\" : False , \"shape\" : ( 2 , 2 , ) , \"descr\" : \"<u1\" , }",
      "{'descr': '>u1', 'fortran_order': False, 'shape': (2L, 2L), }",
  };
  static const uint32_t wanted[4] = {1, 2, 3, 4};

  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    for (int version = 1; version <= 3; version++) {
      blob b = {.n = 0};
      put_header(&b, version, headers[i]);
      put(&b, "\1\2\3\4", 4);
      check_counts(&b, 2, 4, wanted);
    }
  }
  blob scalar = make("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", "\7", 1);
  check_counts(&scalar, 1, 1, (const uint32_t[]){7});
  blob empty = make("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4), }", "", 0);
  check_counts(&empty, 0, 0, wanted);
}

/* Element (t, l, e) of [2, 3, 4] is 100 t + 10 l + e; in Fortran order t runs fastest. */
static void test_fortran(void) {
  unsigned char data[2 * 24];
  uint32_t wanted[24];
  size_t at = 0;
  size_t n = 0;

  for (int e = 0; e < 4; e++) {
    for (int l = 0; l < 3; l++) {
      for (int t = 0; t < 2; t++) {
        data[at++] = (unsigned char)(100 * t + 10 * l + e);
        data[at++] = 0;
      }
    }
  }
  for (uint32_t x = 0; x < 24; x++) {
    wanted[n++] = 100 * (x / 12) + 10 * (x / 4 % 3) + x % 4;
  }
  blob b = make("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3, 4), }", data, sizeof data);
  check_counts(&b, 2, 24, wanted);

  /* A row by itself, backwards; and as whole numbers. */
  mb_input input;
  mb_array *array = NULL;
  int64_t ints[24];
  CHECK_OK(open_blob(&b, &input, &array));
  for (size_t t = 2; t-- > 0;) {
    CHECK_OK(mb_array_read_ints(array, t, 1, ints));
    for (size_t x = 0; x < 12; x++) {
      CU_ASSERT_EQUAL(ints[x], (int64_t)wanted[12 * t + x]);
    }
  }
  mb_array_destroy(array);
  mb_input_close(&input);
}

/* More rows than are held at once, 2^25 here. The file is sparse: all is 0 but a few elements. */
static void test_fortran_blocks(void) {
  enum { ROWS = 50000000, BLOCK = 1 << 25 };
  static const struct {
    off_t row, column;
  } ones[] = {{31, 1}, {BLOCK - 1, 0}, {BLOCK, 1}, {ROWS - 1, 0}};
  blob b = make("{'descr': '|u1', 'fortran_order': True, 'shape': (50000000, 2), }", "", 0);
  mb_input input;
  mb_array *array = NULL;
  uint32_t rows[6];

  write_file(b.bytes, b.n);
  int file = open(path, O_WRONLY);
  CU_ASSERT_EQUAL_FATAL(ftruncate(file, (off_t)b.n + 2 * (off_t)ROWS), 0);
  for (size_t i = 0; i < sizeof ones / sizeof ones[0]; i++) {
    off_t at = (off_t)b.n + ones[i].column * ROWS + ones[i].row;
    CU_ASSERT_EQUAL_FATAL(pwrite(file, "\1", 1, at), 1);
  }
  CU_ASSERT_EQUAL(close(file), 0);
  CHECK_OK(mb_input_open(path, &input));
  CHECK_OK(mb_npy_open(&input, &array));
  CHECK_OK(mb_array_read_counts(array, BLOCK - 2, 3, rows)); /* the end of one, and the next */
  CU_ASSERT_EQUAL(memcmp(rows, (const uint32_t[]){0, 0, 1, 0, 0, 1}, sizeof rows), 0);
  CHECK_OK(mb_array_read_counts(array, ROWS - 2, 2, rows));
  CU_ASSERT_EQUAL(memcmp(rows, (const uint32_t[]){0, 0, 1, 0}, 4 * sizeof *rows), 0);
  CHECK_OK(mb_array_read_part(array, 31, 1, 1, rows));
  CU_ASSERT_EQUAL(rows[0], 1);
  mb_array_destroy(array);
  mb_input_close(&input);
}

static void test_refused_headers(void) {
  static const char ok[] = "'fortran_order': False, 'shape': (2, 2), }";
  static const struct {
    const char *descr;
    const char *text;
  } dtypes[] = {{"'|O'", "pickled Python objects"},
                {"'<c8'", "complex"},
                {"'|V2'", "raw bytes"},
                {"'<M8[ns]'", "unknown"},
                {"'<m8'", "dates or times"},
                {"'<f16'", "unknown here"},
                {"'<i3'", "unknown here"},
                {"'|i4'", "unknown here"},
                {"'i4'", "unknown here"},
                {"''", "unknown here"},
                {"[('a', '<i4')]", "structure"},
                {"'<U3'", "text"},
                {"'<i99999999999'", "unknown here"},
                {"'<i4, ", "unknown here"}};
  char header[200];

  for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
    (void)snprintf(header, sizeof header, "{'descr': %s, %s", dtypes[i].descr, ok);
    check_refused(header, i == 11 ? 48 : 16, MB_ERR_UNSUPPORTED, dtypes[i].text);
  }
  static const char *const wrong[] = {
      "",
      "[]",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2)",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2)} 1",
      "{'descr': '<i4' 'fortran_order': False, 'shape': (2, 2), }",
      "{'descr': '<i4', 'fortran_order': Falsch, 'shape': (2, 2), }",
      "{'descr': '<i4', 'fortran_order': 0, 'shape': (2, 2), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (-2, 2), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2 2), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': [2, 2], }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (4), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (,), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }",
      "{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }",
      "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), 'more': 1, }",
      "{'descr': '<\\x694', 'fortran_order': False, 'shape': (2, 2), }",
      "{descr: '<i4', 'fortran_order': False, 'shape': (2, 2), }",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    check_refused(wrong[i], 16, MB_ERR_FORMAT, "no numpy header");
  }
  check_refused("{'fortran_order': False, 'shape': (2, 2), }", 16, MB_ERR_FORMAT, "lacks 'descr'");
  check_refused("{'descr': '<i4', 'shape': (2, 2), }", 16, MB_ERR_FORMAT, "lacks 'fortran_order'");
  check_refused("{'descr': '<i4', 'fortran_order': False, }", 16, MB_ERR_FORMAT, "lacks 'shape'");
  check_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 4), }",
                16, MB_ERR_FORMAT, "more than 8 dimensions");
}

static void test_refused_sizes(void) {
  check_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }", 15, MB_ERR_FORMAT,
                "tells of 16 bytes of data, but there are 15: it was cut off");
  check_refused("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }", 17, MB_ERR_FORMAT,
                "but there are 17: something follows");
  check_refused("{'descr': '<i8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", 16,
                MB_ERR_FORMAT, "more than 2^63 bytes");
  /* A product that comes out as 16 bytes, were it not checked. */
  check_refused("{'descr': '<i8', 'fortran_order': False, "
                "'shape': (2147483648, 2147483648, 4, 2), }",
                16, MB_ERR_FORMAT, "more than 2^63 bytes");
}

static void check_refused_bytes(const void *bytes, size_t n, mb_status status, const char *text) {
  blob b = {.n = 0};
  mb_input input;
  mb_array *array = NULL;

  put(&b, bytes, n);
  CHECK_FAILS(open_blob(&b, &input, &array), status, text);
}

static void test_refused_files(void) {
  check_refused_bytes("", 0, MB_ERR_FORMAT, "has 0 bytes");
  check_refused_bytes("\x93NUMPY", 6, MB_ERR_FORMAT, "has 6 bytes");
  check_refused_bytes("step,layer,expert", 17, MB_ERR_FORMAT, "is no numpy array");
  check_refused_bytes("\x93NUMPY\1\0\xff\xff", 10, MB_ERR_FORMAT, "within its header");
  check_refused_bytes("\x93NUMPY\2\0\xff\xff", 10, MB_ERR_FORMAT, "within its header");
  check_refused_bytes("\x93NUMPY\2\0\xff\xff\xff\xff", 12, MB_ERR_FORMAT, "within its header");
  check_refused_bytes("\x93NUMPY\4\0\2\0{}", 12, MB_ERR_UNSUPPORTED, "version 4.0");
}

static void check_value(const char *descr, const char *data, size_t n_bytes, bool fortran,
                        const char *text) {
  char header[100];
  mb_input input;
  mb_array *array = NULL;
  uint32_t counts[4];

  (void)snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': (2, 2), }",
                 descr, fortran ? "True" : "False");
  blob b = make(header, data, n_bytes);
  CHECK_OK(open_blob(&b, &input, &array));
  CHECK_FAILS(mb_array_read_counts(array, 0, 2, counts), MB_ERR_FORMAT, text);
  CHECK_FAILS(mb_array_read_counts(array, 0, 2, counts), MB_ERR_FORMAT, path);
  mb_array_destroy(array);
  mb_input_close(&input);
}

static void test_refused_values(void) {
  check_value("|i1", "\0\0\xff\0", 4, false,
              "[1,0] is -1, but should be a whole number from 0 to 4294967295");
  check_value("|i1", "\0\0\xff\0", 4, true, "[0,1] is -1");
  check_value("|b1", "\0\0\0\2", 4, false, "[1,1] is 2");
  check_value("<f2", "\0\0\0\x38\0\0\0\0", 8, false, "[0,1] is 0.5");
  check_value("<f2", "\0\0\0\x7e\0\0\0\0", 8, false, "[0,1] is nan");
  check_value("<f2", "\0\0\0\x7c\0\0\0\0", 8, false, "[0,1] is inf");
  check_value(">i8", "\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, false,
              "[0,0] is 4294967296");
}

/* ---- archives ---- */

static void add_member(zip_t *zip, const char *name, const blob *b, zip_int32_t method) {
  zip_source_t *source = zip_source_buffer(zip, b->bytes, b->n, 0);

  CU_ASSERT_FATAL(source != NULL);
  zip_int64_t index = zip_file_add(zip, name, source, 0);
  CU_ASSERT_FATAL(index >= 0);
  CU_ASSERT_EQUAL(zip_set_file_compression(zip, (zip_uint64_t)index, method, 0), 0);
}

static zip_t *create_zip(void) {
  int error = 0;
  zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &error);

  CU_ASSERT_FATAL(zip != NULL);
  return zip;
}

/* loads [3,2] stored, packed [3,2] deflated, fortran [3,2] deflated, text, notes. */
static void write_npz(void) {
  blob loads =
      make("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2), }", "\1\2\3\4\5\6", 6);
  blob fortran =
      make("{'descr': '|u1', 'fortran_order': True, 'shape': (3, 2), }", "\1\3\5\2\4\6", 6);
  blob utf32 = make("{'descr': '<U5', 'fortran_order': False, 'shape': (), }",
                    "d\0\0\0\xe9\0\0\0\x2e\x4e\0\0\x00\xf6\1\0\0\0\0\0", 20);
  blob bytes = make("{'descr': '|S4', 'fortran_order': False, 'shape': (1,), }", "v1\0\0", 4);
  zip_t *zip = create_zip();

  add_member(zip, "loads.npy", &loads, ZIP_CM_STORE);
  add_member(zip, "packed.npy", &loads, ZIP_CM_DEFLATE);
  add_member(zip, "fortran.npy", &fortran, ZIP_CM_DEFLATE);
  add_member(zip, "utf32.npy", &utf32, ZIP_CM_STORE);
  add_member(zip, "bytes.npy", &bytes, ZIP_CM_DEFLATE);
  add_member(zip, "notes.txt", &bytes, ZIP_CM_STORE);
  CU_ASSERT_EQUAL_FATAL(zip_close(zip), 0);
}

static void test_npz(void) {
  mb_input input;
  mb_npz *npz = NULL;

  write_npz();
  CHECK_OK(mb_input_open(path, &input));
  CHECK_OK(mb_npz_open(&input, &npz));
  CU_ASSERT_EQUAL(mb_npz_n_arrays(npz), 5);
  CU_ASSERT_STRING_EQUAL(mb_npz_name(npz, 1), "packed");
  CU_ASSERT(mb_npz_has(npz, "loads") && !mb_npz_has(npz, "notes"));
  static const char *const names[] = {"loads", "packed", "fortran"};
  mb_array *arrays[3] = {NULL};
  for (size_t i = 0; i < 3; i++) {
    CHECK_OK(mb_npz_array(npz, names[i], &arrays[i]));
  }
  /* All open at once, row by row, then one of them backwards. */
  for (size_t t = 0; t < 3; t++) {
    for (size_t i = 0; i < 3; i++) {
      uint32_t row[2] = {0};
      CHECK_OK(mb_array_read_counts(arrays[i], t, 1, row));
      CU_ASSERT(row[0] == 2 * t + 1 && row[1] == 2 * t + 2);
    }
  }
  for (size_t t = 3; t-- > 0;) {
    int64_t row[2] = {0};
    CHECK_OK(mb_array_read_ints(arrays[1], t, 1, row));
    CU_ASSERT(row[0] == 2 * (int64_t)t + 1 && row[1] == 2 * (int64_t)t + 2);
  }
  for (size_t i = 0; i < 3; i++) {
    mb_array_destroy(arrays[i]);
  }
  char *text = NULL;
  CHECK_OK(mb_npz_text(npz, "utf32", &text));
  CU_ASSERT_STRING_EQUAL(text, "d\xc3\xa9\xe4\xb8\xae\xf0\x9f\x98\x80");
  free(text);
  CHECK_OK(mb_npz_text(npz, "bytes", &text));
  CU_ASSERT_STRING_EQUAL(text, "v1");
  free(text);
  mb_array *array = NULL;
  CHECK_FAILS(mb_npz_text(npz, "loads", &text), MB_ERR_FORMAT, "array loads: should be one text");
  CHECK_FAILS(mb_npz_array(npz, "utf32", &array), MB_ERR_UNSUPPORTED, "holds text");
  CHECK_FAILS(mb_npz_array(npz, "load", &array), MB_ERR_FORMAT,
              "no array load; there are: loads, packed, fortran, utf32, bytes");
  mb_npz_destroy(npz);
  mb_input_close(&input);
}

static mb_status open_first(void) {
  mb_input input;
  mb_npz *npz = NULL;
  mb_array *array = NULL;
  uint32_t counts[64];

  CHECK_OK(mb_input_open(path, &input));
  mb_status status = mb_npz_open(&input, &npz);
  if (status == MB_OK && mb_npz_n_arrays(npz) == 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "no arrays");
  }
  status = status == MB_OK ? mb_npz_array(npz, mb_npz_name(npz, 0), &array) : status;
  if (status == MB_OK) {
    status = mb_array_read_counts(array, 0, (size_t)mb_array_get_info(array)->dims[0], counts);
  }
  mb_array_destroy(array);
  mb_npz_destroy(npz);
  mb_input_close(&input);
  return status;
}

/* Replaces all of some bytes in the file by others, as many. */
static void patch(const void *from, const void *to, size_t n) {
  unsigned char bytes[BYTES_MAX];
  FILE *file = fopen(path, "rb");
  size_t found = 0;

  CU_ASSERT_FATAL(file != NULL);
  size_t size = fread(bytes, 1, sizeof bytes, file);
  (void)fclose(file);
  for (size_t i = 0; i + n <= size; i++) {
    if (memcmp(bytes + i, from, n) == 0) {
      memcpy(bytes + i, to, n);
      found++;
    }
  }
  CU_ASSERT(found > 0);
  write_file(bytes, size);
}

static void write_one(const char *shape, zip_int32_t method, zip_uint16_t encryption) {
  char header[100];
  (void)snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }",
                 shape);
  blob loads = make(header, "\1\2\3\4\5\6", 6);
  zip_t *zip = create_zip();

  add_member(zip, "loads.npy", &loads, method);
  if (encryption != ZIP_EM_NONE) {
    CU_ASSERT_EQUAL(zip_file_set_encryption(zip, 0, encryption, "secret"), 0);
  }
  CU_ASSERT_EQUAL_FATAL(zip_close(zip), 0);
}

static void test_refused_npz(void) {
  write_one("(3, 2)", ZIP_CM_DEFLATE, ZIP_EM_NONE);
  CHECK_OK(open_first());
  CU_ASSERT_EQUAL(truncate(path, 60), 0);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "is no zip archive");
  write_file("", 0);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "is no zip archive");

  /* A value changed, but not its checksum. */
  write_one("(3, 2)", ZIP_CM_STORE, ZIP_EM_NONE);
  patch("\1\2\3\4\5\6", "\1\2\3\4\5\7", 6);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "CRC");

  /* 134 bytes that are said to be 4 GiB; or one more, by the header too. */
  write_one("(3, 2)", ZIP_CM_DEFLATE, ZIP_EM_NONE);
  patch("\x86\0\0\0\x09\0", "\xf0\xff\xff\xff\x09\0", 6);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "bytes unpack to 4294967280, which cannot be");
  write_one("(3, 2)", ZIP_CM_DEFLATE, ZIP_EM_NONE);
  patch("\x86\0\0\0\x09\0", "\x87\0\0\0\x09\0", 6);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "tells of 6 bytes of data, but there are 7");
  write_one("(7, 1)", ZIP_CM_DEFLATE, ZIP_EM_NONE);
  patch("\x86\0\0\0\x09\0", "\x87\0\0\0\x09\0", 6);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "unpacks to 134 bytes, but the archive says 135");

  if (zip_encryption_method_supported(ZIP_EM_AES_256, 1)) {
    write_one("(3, 2)", ZIP_CM_STORE, ZIP_EM_AES_256);
    CHECK_FAILS(open_first(), MB_ERR_UNSUPPORTED, "array loads: is encrypted");
  }
  if (zip_compression_method_supported(ZIP_CM_BZIP2, 1)) {
    write_one("(3, 2)", ZIP_CM_BZIP2, ZIP_EM_NONE);
    CHECK_FAILS(open_first(), MB_ERR_UNSUPPORTED, "method 12");
  }
  CU_ASSERT_EQUAL(rmdir(path) == 0 || unlink(path) == 0, 1);
  CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
  CHECK_FAILS(open_first(), MB_ERR_FORMAT, "is a folder");
  CU_ASSERT_EQUAL(rmdir(path), 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"as numpy writes it", test_as_numpy_writes},
                         {"types and byte orders", test_dtypes},
                         {"headers", test_headers},
                         {"Fortran order", test_fortran},
                         {"Fortran order, block by block", test_fortran_blocks},
                         {"refused headers", test_refused_headers},
                         {"refused sizes", test_refused_sizes},
                         {"refused files", test_refused_files},
                         {"refused values", test_refused_values},
                         {"archives", test_npz},
                         {"refused archives", test_refused_npz},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/a.npy", folder);
  int status = run_suite("npy", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return status;
}
