/* tests/test_safetensors.c - headers that are right, and those that lie. */
#include "workloads/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/recordings.h"
#include "tests/test.h"

static const char path[] = "test_safetensors.safetensors";

static mb_status read_bytes(const void *bytes, size_t n, mb_safetensors **tensors) {
  mb_input input;

  write_file(path, bytes, n);
  CHECK_OK(mb_input_open(path, &input));
  mb_status status = mb_safetensors_read(&input, tensors);
  mb_input_close(&input);
  return status;
}

static mb_status read_file(const char *header, size_t n_data, mb_safetensors **tensors) {
  static const char data[64] = {0};
  blob b = safetensors_file(header, data, n_data);
  mb_status status = read_bytes(b.bytes, b.n, tensors);

  free_blob(&b);
  return status;
}

static const char two[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                          "\"b\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[4,20]},"
                          "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                          "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
                          "\"s\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[20,21]}}   ";

static void test_reads(void) {
  mb_safetensors *tensors = NULL;

  CHECK_OK(read_file(two, 21, &tensors));
  CU_ASSERT_PTR_NOT_NULL_FATAL(tensors);
  CU_ASSERT_EQUAL_FATAL(mb_safetensors_count(tensors), 4);
  const mb_safetensor *a = mb_safetensors_get(tensors, 0);
  CU_ASSERT_STRING_EQUAL(a->name, "a");
  CU_ASSERT(a->dtype == MB_DTYPE_BF16 && a->rank == 1 && a->dims[0] == 2);
  CU_ASSERT(a->begin == 8 + sizeof two - 1 && a->size == 4);
  CU_ASSERT_STRING_EQUAL(mb_safetensors_get(tensors, 1)->name, "e");
  const mb_safetensor *b = mb_safetensors_get(tensors, 2);
  CU_ASSERT_STRING_EQUAL(b->name, "b");
  CU_ASSERT(b->dtype == MB_DTYPE_I64 && b->rank == 2 && b->dims[1] == 2 && b->size == 16);
  CU_ASSERT_EQUAL(mb_safetensors_get(tensors, 3)->rank, 0);
  mb_safetensors_destroy(tensors);
  CHECK_OK(read_file("{}", 0, &tensors));
  CU_ASSERT_EQUAL(mb_safetensors_count(tensors), 0);
  mb_safetensors_destroy(tensors);
}

static void test_truncated(void) {
  static const char data[21] = {0};
  blob b = safetensors_file(two, data, sizeof data);
  mb_safetensors *tensors = NULL;

  for (size_t n = 0; n < b.n; n++) {
    CHECK_FAILS(read_bytes(b.bytes, n, &tensors), MB_ERR_FORMAT, path);
    CU_ASSERT_PTR_NULL_FATAL(tensors);
  }
  free_blob(&b);
}

static void refuse(const char *header, size_t n_data, mb_status status, const char *text) {
  mb_safetensors *tensors = NULL;

  CHECK_FAILS(read_file(header, n_data, &tensors), status, text);
  CU_ASSERT_PTR_NULL(tensors);
}

#define ONE(dtype, shape, offsets) \
  "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_refused(void) {
  refuse("[]", 0, MB_ERR_FORMAT, "no JSON object");
  refuse("{\"a\":1}", 0, MB_ERR_FORMAT, "tensor \"a\": should be {\"dtype\"");
  refuse("{\"a\":{}}", 0, MB_ERR_UNSUPPORTED, "has dtype \"\"");
  refuse("{\"a\":{},\"a\":{}}", 0, MB_ERR_FORMAT, "duplicate");
  refuse(ONE("\"F8_E4M3\"", "[4]", "[0,4]"), 4, MB_ERR_UNSUPPORTED, "has dtype \"F8_E4M3\"");
  refuse(ONE("\"U8\"", "4", "[0,4]"), 4, MB_ERR_FORMAT, "its shape should be a list");
  refuse(ONE("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1, MB_ERR_FORMAT, "0 to 8 sizes");
  refuse(ONE("\"U8\"", "[-4]", "[0,4]"), 4, MB_ERR_FORMAT, "dimension 0 of its shape is no size");
  refuse(ONE("\"U8\"", "[4.0]", "[0,4]"), 4, MB_ERR_FORMAT, "is no size");
  refuse(ONE("\"U8\"", "[99999999999999999999]", "[0,4]"), 4, MB_ERR_FORMAT, "no JSON object");
  refuse(ONE("\"I64\"", "[4294967296,4294967296]", "[0,0]"), 0, MB_ERR_FORMAT, "too large");
  refuse(ONE("\"I64\"", "[2305843009213693952]", "[0,0]"), 0, MB_ERR_FORMAT, "too large");
  refuse(ONE("\"U8\"", "[4]", "[4,0]"), 4, MB_ERR_FORMAT, "two ascending numbers");
  refuse(ONE("\"U8\"", "[4]", "[0]"), 4, MB_ERR_FORMAT, "two ascending numbers");
  refuse(ONE("\"U8\"", "[4]", "[0,8]"), 4, MB_ERR_FORMAT, "was cut off");
  refuse(ONE("\"U8\"", "[4]", "[0,3]"), 4, MB_ERR_FORMAT, "has 3 bytes of data, and should have 4");
  refuse(ONE("\"U8\"", "[4]", "[1,5]"), 5, MB_ERR_FORMAT, "its data begins at byte");
  refuse(ONE("\"U8\"", "[4]", "[0,4]"), 5, MB_ERR_FORMAT, "has 1 bytes behind its last tensor");
  refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
         6, MB_ERR_FORMAT, "tensor \"b\": its data begins at byte");
}

static void test_header_size(void) {
  blob b = {0};
  mb_safetensors *tensors = NULL;

  put_number(&b, UINT64_MAX, 8);
  put_text(&b, "{}");
  CHECK_FAILS(read_bytes(b.bytes, b.n, &tensors), MB_ERR_UNSUPPORTED, "18446744073709551615 bytes");
  b.n = 0;
  put_number(&b, 3, 8);
  put_text(&b, "{}");
  CHECK_FAILS(read_bytes(b.bytes, b.n, &tensors), MB_ERR_FORMAT, "within its header of 3");
  CU_ASSERT_PTR_NULL(tensors);
  free_blob(&b);
}

int main(void) {
  CU_TestInfo tests[] = {{"reads", test_reads},
                         {"cut anywhere", test_truncated},
                         {"refused", test_refused},
                         {"the size of the header", test_header_size},
                         CU_TEST_INFO_NULL};

  int status = run_suite("safetensors", tests);
  (void)unlink(path);
  return status;
}
