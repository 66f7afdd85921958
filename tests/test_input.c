/* tests/test_input.c - unknown files, and raw numbers of any type. */
#include "workloads/input.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/number.h"

static char folder[] = "/tmp/moebal-test-input-XXXXXX";
static char path[64];

static void write_file(const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(fwrite(bytes, 1, n, file), n);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static void test_reads(void) {
  mb_input input;
  char bytes[4];

  write_file("0123456789", 10);
  CHECK_OK(mb_input_open(path, &input));
  CU_ASSERT(input.size == 10 && !input.is_folder);
  CHECK_OK(mb_input_read(&input, "digits", 6, 4, bytes));
  CU_ASSERT(memcmp(bytes, "6789", 4) == 0);
  CHECK_OK(mb_input_read(&input, "nothing", 99, 0, bytes));
  CHECK_FAILS(mb_input_read(&input, "digits", 7, 4, bytes), MB_ERR_FORMAT,
              "ends after 10 bytes, where bytes 7 to 10 should be digits");
  CHECK_FAILS(mb_input_read(&input, "digits", UINT64_MAX - 1, 4, bytes), MB_ERR_FORMAT, path);
  CU_ASSERT(mb_input_begins(&input, "0123", 4));
  CU_ASSERT(!mb_input_begins(&input, "0124", 4));
  CU_ASSERT(!mb_input_begins(&input, "01234567890", 11));
  /* Cut off behind its back. */
  CU_ASSERT_EQUAL(truncate(path, 7), 0);
  CHECK_FAILS(mb_input_read(&input, "digits", 6, 4, bytes), MB_ERR_IO, "has become shorter");
  mb_input_close(&input);
}

static void test_text(void) {
  mb_input input;
  char *text = NULL;
  size_t n = 0;

  write_file("a\nb", 3);
  CHECK_OK(mb_input_open(path, &input));
  CHECK_OK(mb_input_text(&input, 3, &text, &n));
  CU_ASSERT(n == 3 && strcmp(text, "a\nb") == 0);
  free(text);
  CHECK_FAILS(mb_input_text(&input, 2, &text, &n), MB_ERR_FORMAT, "at most 2");
  mb_input_close(&input);
  write_file("a\0b", 3);
  CHECK_OK(mb_input_open(path, &input));
  CHECK_FAILS(mb_input_text(&input, 9, &text, &n), MB_ERR_FORMAT, "byte 0");
  mb_input_close(&input);
}

static void test_not_files(void) {
  char fifo[80];
  mb_input input;
  char byte;

  CHECK_FAILS(mb_input_open("/nowhere/at/all", &input), MB_ERR_IO, "/nowhere/at/all: cannot be");
  CHECK_OK(mb_input_open(folder, &input));
  CU_ASSERT(input.is_folder && !mb_input_begins(&input, "", 0));
  CHECK_FAILS(mb_input_read(&input, "bytes", 0, 1, &byte), MB_ERR_FORMAT, "is a folder");
  mb_input_close(&input);
  (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
  CU_ASSERT_EQUAL(mkfifo(fifo, 0600), 0);
  CHECK_FAILS(mb_input_open(fifo, &input), MB_ERR_IO, "neither a file nor a folder");
  CU_ASSERT_EQUAL(unlink(fifo), 0);
}

/* One number in either byte order. */
static void check_number(mb_dtype dtype, uint64_t bits, bool is_int, int64_t value, bool is_count,
                         const char *text) {
  size_t size = mb_dtype_size(dtype);
  char shown[MB_NUMBER_TEXT_SIZE];

  for (int big = 0; big < 2; big++) {
    unsigned char bytes[9] = {0xee}; /* one off, so never aligned */
    int64_t got = 77;
    uint32_t count = 77;
    for (size_t i = 0; i < size; i++) {
      bytes[1 + (big ? size - 1 - i : i)] = (unsigned char)(bits >> (8 * i));
    }
    CU_ASSERT_EQUAL(mb_numbers_to_ints(dtype, big, 1, bytes + 1, &got), is_int ? 1 : 0);
    CU_ASSERT(!is_int || got == value);
    CU_ASSERT_EQUAL(mb_numbers_to_counts(dtype, big, 1, bytes + 1, &count), is_count ? 1 : 0);
    CU_ASSERT(!is_count || count == value);
    CU_ASSERT_STRING_EQUAL(mb_number_format(dtype, big, bytes + 1, shown), text);
  }
}

static void test_integers(void) {
  check_number(MB_DTYPE_BOOL, 1, true, 1, true, "1");
  check_number(MB_DTYPE_BOOL, 2, false, 0, false, "2");
  check_number(MB_DTYPE_U8, 255, true, 255, true, "255");
  check_number(MB_DTYPE_I8, 0x80, true, -128, false, "-128");
  check_number(MB_DTYPE_U16, 0xfffe, true, 65534, true, "65534");
  check_number(MB_DTYPE_I16, 0xfffe, true, -2, false, "-2");
  check_number(MB_DTYPE_U32, 0xffffffff, true, UINT32_MAX, true, "4294967295");
  check_number(MB_DTYPE_I32, 0x80000000, true, INT32_MIN, false, "-2147483648");
  check_number(MB_DTYPE_I64, UINT64_C(1) << 32, true, INT64_C(1) << 32, false, "4294967296");
  check_number(MB_DTYPE_I64, UINT64_C(1) << 63, true, INT64_MIN, false, "-9223372036854775808");
  check_number(MB_DTYPE_U64, UINT64_C(1) << 63, false, 0, false, "9223372036854775808");
  check_number(MB_DTYPE_U64, 12, true, 12, true, "12");
}

static uint64_t double_bits(double value) {
  uint64_t bits;

  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static void test_reals(void) {
  check_number(MB_DTYPE_F64, double_bits(4294967295.0), true, UINT32_MAX, true, "4294967295");
  check_number(MB_DTYPE_F64, double_bits(0.5), false, 0, false, "0.5");
  check_number(MB_DTYPE_F64, double_bits(-0.0), true, 0, true, "-0");
  check_number(MB_DTYPE_F64, double_bits(-3.0), true, -3, false, "-3");
  check_number(MB_DTYPE_F64, double_bits(0x1p63), false, 0, false, "9.22337203685e+18");
  check_number(MB_DTYPE_F64, double_bits(INFINITY), false, 0, false, "inf");
  check_number(MB_DTYPE_F32, 0x7fc00000, false, 0, false, "nan");
  check_number(MB_DTYPE_F32, 0x42c80000, true, 100, true, "100");
  check_number(MB_DTYPE_BF16, 0x42c8, true, 100, true, "100");
  check_number(MB_DTYPE_F16, 0x7bff, true, 65504, true, "65504");
  check_number(MB_DTYPE_F16, 0x3800, false, 0, false, "0.5");
  check_number(MB_DTYPE_F16, 0x0001, false, 0, false, "5.96046447754e-08");
  check_number(MB_DTYPE_F16, 0xc200, true, -3, false, "-3");
  check_number(MB_DTYPE_F16, 0x7c00, false, 0, false, "inf");
}

/* The index of the first that is wrong; those before it are there. */
static void test_first_wrong(void) {
  static const int32_t values[] = {1, 2, -3, 4, -5};
  uint32_t counts[5];

  CU_ASSERT_EQUAL(mb_numbers_to_counts(MB_DTYPE_I32, false, 5, values, counts), 2);
  CU_ASSERT(counts[0] == 1 && counts[1] == 2);
  CU_ASSERT_EQUAL(mb_numbers_to_counts(MB_DTYPE_U32, false, 2, values, counts), 2);
  CU_ASSERT(counts[0] == 1 && counts[1] == 2);
  CU_ASSERT_EQUAL(mb_numbers_to_counts(MB_DTYPE_U32, true, 2, values, counts), 2);
  CU_ASSERT(counts[0] == 1U << 24 && counts[1] == 2U << 24);
}

int main(void) {
  CU_TestInfo tests[] = {{"bytes are read, all or none", test_reads},
                         {"texts", test_text},
                         {"folders, pipes, nothing", test_not_files},
                         {"integers of any kind", test_integers},
                         {"reals of any kind", test_reals},
                         {"the first that is wrong", test_first_wrong},
                         CU_TEST_INFO_NULL};

  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  (void)snprintf(path, sizeof path, "%s/file", folder);
  int status = run_suite("input", tests);
  (void)unlink(path);
  (void)rmdir(folder);
  return status;
}
