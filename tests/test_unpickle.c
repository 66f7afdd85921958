/* tests/test_unpickle.c - what pickles may build, and what they may not ask for. */
#include "workloads/unpickle.h"

#include "tests/recordings.h"
#include "tests/test.h"

/* The bytes of a string literal without its NUL. */
#define LITERAL(text) (text), sizeof(text) - 1

static mb_status unpickle(const void *bytes, size_t n, mb_pickle **pickle) {
  /* On the heap, and no larger: reading beyond it is then found out. */
  void *copy = malloc(n > 0 ? n : 1);

  *pickle = NULL;
  CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
  memcpy(copy, bytes, n);
  mb_status status = mb_unpickle("f.pt", copy, n, pickle);
  if (status == MB_OK) {
    /* Texts point into the copy; the tests look at them at once, in bytes that stay. */
    mb_pickle_destroy(*pickle);
    *pickle = NULL;
    status = mb_unpickle("f.pt", bytes, n, pickle);
  }
  free(copy);
  return status;
}

static mb_py root_of(const void *bytes, size_t n, mb_pickle **pickle) {
  CHECK_OK(unpickle(bytes, n, pickle));
  CU_ASSERT_PTR_NOT_NULL_FATAL(*pickle);
  return mb_pickle_root(*pickle);
}

static void check_int(const void *bytes, size_t n, int64_t value) {
  mb_pickle *pickle = NULL;
  mb_py root = root_of(bytes, n, &pickle);

  CU_ASSERT_EQUAL(root.kind, MB_PY_INT);
  CU_ASSERT_EQUAL(root.as.integer, value);
  mb_pickle_destroy(pickle);
}

static void test_ints(void) {
  check_int(LITERAL("\x80\x02K\xff."), 255);
  check_int(LITERAL("\x80\x02M\x01\xff."), 0xff01);
  check_int(LITERAL("\x80\x02J\xff\xff\xff\xff."), -1);
  check_int(LITERAL("\x80\x02J\x00\x00\x00\x80."), INT32_MIN);
  check_int(LITERAL("\x80\x02\x8a\x00."), 0);
  check_int(LITERAL("\x80\x02\x8a\x01\x80."), -128);
  check_int(LITERAL("\x80\x02\x8a\x05\x00\x00\x00\x00\x01."), (int64_t)1 << 32);
  check_int(LITERAL("\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), INT64_MIN);
  check_int(LITERAL("\x80\x02\x8b\x02\x00\x00\x00\x01\x02."), 0x201);
}

static void test_scalars(void) {
  mb_pickle *pickle = NULL;
  mb_py root = root_of(LITERAL("\x80\x02G\x3f\xf8\0\0\0\0\0\0."), &pickle);

  CU_ASSERT(root.kind == MB_PY_FLOAT && root.as.real == 1.5);
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x02\x88."), &pickle);
  CU_ASSERT(root.kind == MB_PY_BOOL && root.as.integer == 1);
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x05\x95\1\0\0\0\0\0\0\0N."), &pickle);
  CU_ASSERT(root.kind == MB_PY_NONE);
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x04\x8c\x02hi."), &pickle);
  CU_ASSERT(mb_py_is_text(root, "hi") && !mb_py_is_text(root, "hi!") && !mb_py_is_text(root, "h"));
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x04"
                         "C\x02hi."),
                 &pickle);
  CU_ASSERT(root.kind == MB_PY_BYTES && root.size == 2 && !mb_py_is_text(root, "hi"));
  mb_pickle_destroy(pickle);
}

/* {"a": [1, 2, (3,)], "b": None}, with one key twice: the last one counts. */
static void test_containers(void) {
  mb_pickle *pickle = NULL;
  mb_py value = {.kind = MB_PY_NONE};
  mb_py root = root_of(LITERAL("\x80\x02}q\x00(X\x01\0\0\0"
                               "bK\x07X\x01\0\0\0"
                               "a](K\x01K\x02K\x03\x85"
                               "eX\x01\0\0\0"
                               "bNu."),
                       &pickle);

  CU_ASSERT(root.kind == MB_PY_DICT && mb_py_count(root) == 3);
  CU_ASSERT_FATAL(mb_py_find(root, "a", &value));
  CU_ASSERT(value.kind == MB_PY_LIST && mb_py_count(value) == 3);
  CU_ASSERT_EQUAL(mb_py_item(value, 1).as.integer, 2);
  mb_py tuple = mb_py_item(value, 2);
  CU_ASSERT(tuple.kind == MB_PY_TUPLE && mb_py_count(tuple) == 1);
  CU_ASSERT(mb_py_find(root, "b", &value) && value.kind == MB_PY_NONE);
  CU_ASSERT_FALSE(mb_py_find(root, "c", &value));
  CU_ASSERT_FALSE(mb_py_find(tuple, "a", &value));
  mb_pickle_destroy(pickle);
}

/* A list that holds itself, one memoized and found again, a duplicate, and what is taken away. */
static void test_stack(void) {
  mb_pickle *pickle = NULL;
  mb_py root = root_of(LITERAL("\x80\x02]q\x00h\x00"
                               "a."),
                       &pickle);

  CU_ASSERT(mb_py_count(root) == 1 && mb_py_item(root, 0).as.items == root.as.items);
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x04]\x94\x8c\x01x\x94h\x01\x87."), &pickle);
  CU_ASSERT(mb_py_count(root) == 3 && mb_py_item(root, 0).kind == MB_PY_LIST &&
            mb_py_is_text(mb_py_item(root, 1), "x") && mb_py_is_text(mb_py_item(root, 2), "x"));
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x02K\x05(K\x01K\x02"
                         "1"
                         "2\x86K\x09"
                         "0."),
                 &pickle);
  CU_ASSERT(mb_py_count(root) == 2 && mb_py_item(root, 1).as.integer == 5);
  mb_pickle_destroy(pickle);
  root = root_of(LITERAL("\x80\x02"
                         "ccollections\nOrderedDict\n)RX\x01\0\0\0kK\x01s."),
                 &pickle);
  CU_ASSERT(root.kind == MB_PY_DICT && mb_py_count(root) == 1);
  mb_pickle_destroy(pickle);
}

/* As deep as a pickle can be: the stack of calls does not grow with it. */
static void test_depth(void) {
  enum { DEPTH = 1000000 };
  blob b = {0};
  mb_pickle *pickle = NULL;

  put_text(&b, "\x80\x02");
  for (size_t i = 0; i < DEPTH; i++) {
    put_text(&b, "]");
  }
  for (size_t i = 1; i < DEPTH; i++) {
    put_text(&b, "a");
  }
  put_text(&b, ".");
  mb_py root = root_of(b.bytes, b.n, &pickle);
  CU_ASSERT_EQUAL(mb_py_count(root), 1);
  mb_pickle_destroy(pickle);
  free_blob(&b);
}

static void refuse(const void *bytes, size_t n, mb_status status, const char *text) {
  mb_pickle *pickle = NULL;

  CHECK_FAILS(unpickle(bytes, n, &pickle), status, text);
  CU_ASSERT_PTR_NULL(pickle);
}

static void test_refused_globals(void) {
  static const char asks[] = "asks for posix.system, but only plain";

  refuse(LITERAL("\x80\x02"
                 "cposix\nsystem\nX\x02\0\0\0ls\x85R."),
         MB_ERR_UNSUPPORTED, asks);
  refuse(LITERAL("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R."), MB_ERR_UNSUPPORTED,
         asks);
  refuse(LITERAL("\x80\x02"
                 "cbuiltins\neval\n."),
         MB_ERR_UNSUPPORTED, "builtins.eval");
  /* Two names of the list, but not a pair. */
  refuse(LITERAL("\x80\x02"
                 "ctorch\nOrderedDict\n."),
         MB_ERR_UNSUPPORTED, "torch.OrderedDict");
  refuse(LITERAL("\x80\x02"
                 "ctorch\n\n."),
         MB_ERR_UNSUPPORTED, "asks for torch., but");
  refuse(LITERAL("\x80\x04K\x01\x8c\x06system\x93."), MB_ERR_FORMAT, "a function by an int");
  /* What may be named may not therefore be called. */
  refuse(LITERAL("\x80\x02"
                 "ctorch\nIntStorage\n)R."),
         MB_ERR_UNSUPPORTED, "calls torch.IntStorage with 0 arguments");
  refuse(LITERAL("\x80\x02"
                 "ccollections\nOrderedDict\n]\x85R."),
         MB_ERR_UNSUPPORTED, "calls collections.OrderedDict with 1 arguments");
  refuse(LITERAL("\x80\x02]]R."), MB_ERR_FORMAT, "calls a list with a list");
}

/* What makes objects and changes them. */
static void test_refused_opcodes(void) {
  static const unsigned char codes[] = {0x81, 0x92, 'b',  'i',  'o',  'P',  'I',  'L',  'F',
                                        'S',  'V',  'd',  'l',  'p',  'g',  0x82, 0x83, 0x84,
                                        0x8f, 0x90, 0x91, 0x96, 0x97, 0x98, 0,    0xff};

  for (size_t i = 0; i < sizeof codes; i++) {
    unsigned char bytes[] = {0x80, 2, '}', ')', '(', codes[i], 0, 0, '.'};
    char text[64];
    (void)snprintf(text, sizeof text, "f.pt: byte 5: has pickle opcode 0x%02x", codes[i]);
    refuse(bytes, sizeof bytes, MB_ERR_UNSUPPORTED, text);
  }
}

static void test_refused_programs(void) {
  refuse(LITERAL(""), MB_ERR_FORMAT, "no pickle of protocol 2 to 5");
  refuse(LITERAL("(lp0\n."), MB_ERR_FORMAT, "no pickle of protocol 2 to 5");
  refuse(LITERAL("\x80\x06N."), MB_ERR_UNSUPPORTED, "of protocol 6");
  refuse(LITERAL("\x80\x02."), MB_ERR_FORMAT, "stops with 0 values");
  refuse(LITERAL("\x80\x02NN."), MB_ERR_FORMAT, "stops with 2 values");
  refuse(LITERAL("\x80\x02(N."), MB_ERR_FORMAT, "stops with 1 values");
  refuse(LITERAL("\x80\x02N.N"), MB_ERR_FORMAT, "1 bytes left");
  refuse(LITERAL("\x80\x02N(0."), MB_ERR_FORMAT, "more from the stack");
  refuse(LITERAL("\x80\x02N\x86."), MB_ERR_FORMAT, "more from the stack");
  refuse(LITERAL("\x80\x02t."), MB_ERR_FORMAT, "more from the stack");
  refuse(LITERAL("\x80\x02"
                 "2."),
         MB_ERR_FORMAT, "more from the stack");
  refuse(LITERAL("\x80\x02]N(u."), MB_ERR_FORMAT, "adds to None as if it were a dict");
  refuse(LITERAL("\x80\x02}(Nu."), MB_ERR_FORMAT, "without a value");
  refuse(LITERAL("\x80\x02}Na."), MB_ERR_FORMAT, "adds to a dict as if it were a list");
  refuse(LITERAL("\x80\x02h\x00."), MB_ERR_FORMAT, "memo place 0 is empty");
  refuse(LITERAL("\x80\x02Nq\x05h\x04\x86."), MB_ERR_FORMAT, "memo place 4 is empty");
  refuse(LITERAL("\x80\x02Nr\xff\xff\xff\xff."), MB_ERR_FORMAT, "memo place 4294967295");
  refuse(LITERAL("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\1."), MB_ERR_UNSUPPORTED, "an int of 9 bytes");
  refuse(LITERAL("\x80\x02\x8b\xff\xff\xff\xff\1."), MB_ERR_FORMAT, "followed by 4294967295");
  refuse(LITERAL("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), MB_ERR_FORMAT,
         "followed by 18446744073709551615 bytes, and 1 are left");
}

/* Lists of 64 times the list before: a few bytes that would fill any memory if they were copied;
 * and a place in the memo for every byte of a large pickle, which is refused before it is made. */
static void test_bombs(void) {
  blob b = {0};
  mb_pickle *pickle = NULL;

  put_text(&b, "\x80\x02]");
  for (unsigned char i = 0; i < 20; i++) {
    put(&b, (unsigned char[]){'q', i, ']', '('}, 4);
    for (int j = 0; j < 64; j++) {
      put(&b, (unsigned char[]){'h', i}, 2);
    }
    put_text(&b, "e\x86");
  }
  put_text(&b, ".");
  CHECK_OK(unpickle(b.bytes, b.n, &pickle));
  mb_pickle_destroy(pickle);
  pickle = NULL;
  free_blob(&b);

  static const unsigned char head[] = {0x80, 2, 'N', 'r', 0, 0, 0, 4};
  const size_t n = ((size_t)1 << 26) + 16;
  char *large = calloc(n, 1);
  CU_ASSERT_PTR_NOT_NULL_FATAL(large);
  memcpy(large, head, sizeof head);
  CHECK_FAILS(mb_unpickle("f.pt", large, n, &pickle), MB_ERR_MEMORY, "takes more than 1024 MiB");
  free(large);
}

/* ---- tensors ---- */

static blob tensor_pickle(const char *storage, int32_t n_stored, int32_t offset, size_t rank,
                          const int32_t *dims, const int32_t *strides) {
  blob b = {0};

  put_text(&b, "\x80\x02");
  pickle_view(&b, storage, "17", n_stored, offset, rank, dims, strides);
  put_text(&b, ".");
  return b;
}

static void test_tensor(void) {
  const int32_t dims[] = {2, 3};
  const int32_t strides[] = {1, 4};
  blob b = tensor_pickle("LongStorage", 12, 2, 2, dims, strides);
  mb_pickle *pickle = NULL;
  mb_py root = root_of(b.bytes, b.n, &pickle);

  CU_ASSERT_EQUAL_FATAL(root.kind, MB_PY_TENSOR);
  const mb_tensor *t = root.as.tensor;
  CU_ASSERT(t->key_size == 2 && memcmp(t->key, "17", 2) == 0);
  CU_ASSERT(t->dtype == MB_DTYPE_I64 && t->n_stored == 12 && t->offset == 2 && t->rank == 2);
  CU_ASSERT(t->dims[1] == 3 && t->strides[0] == 1 && t->strides[1] == 4);
  mb_pickle_destroy(pickle);
  /* Cut anywhere, it is refused. */
  for (size_t n = 0; n < b.n; n++) {
    CU_ASSERT_NOT_EQUAL(unpickle(b.bytes, n, &pickle), MB_OK);
  }
  free_blob(&b);
}

/* A dtype that torch has no storage for: bytes and a dtype. */
static void test_tensor_v3(void) {
  static const char bytes[] =
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v3\n((X\7\0\0\0storagectorch.storage\nUntypedStorage\n"
      "X\1\0\0\0gX\3\0\0\0cpuK\x0ctQK\1K\2\x85K\1\x85\x89"
      "ccollections\nOrderedDict\n)Rctorch\nuint32\ntR.";
  mb_pickle *pickle = NULL;
  mb_py root = root_of(bytes, sizeof bytes - 1, &pickle);

  CU_ASSERT_EQUAL_FATAL(root.kind, MB_PY_TENSOR);
  CU_ASSERT(root.as.tensor->dtype == MB_DTYPE_U32 && root.as.tensor->n_stored == 3);
  mb_pickle_destroy(pickle);
}

static void refuse_tensor(const char *storage, int32_t n_stored, int32_t offset, size_t rank,
                          const int32_t *dims, const int32_t *strides, const char *text) {
  blob b = tensor_pickle(storage, n_stored, offset, rank, dims, strides);
  mb_pickle *pickle = NULL;
  mb_status status = unpickle(b.bytes, b.n, &pickle);

  CU_ASSERT_NOT_EQUAL(status, MB_OK);
  CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), text));
  free_blob(&b);
}

static void test_refused_tensors(void) {
  static const char outside[] = "has elements that are not in its storage";
  const int32_t largest[] = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
  const int32_t none[] = {0, 0, 0, 0};
  const int32_t ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  const int32_t wide[] = {1 << 11, 1 << 11};

  refuse_tensor("IntStorage", 5, 0, 2, (int32_t[]){2, 3}, (int32_t[]){3, 1}, outside);
  refuse_tensor("IntStorage", 6, 1, 2, (int32_t[]){2, 3}, (int32_t[]){3, 1}, outside);
  refuse_tensor("IntStorage", 0, 0, 0, none, none, outside);
  refuse_tensor("IntStorage", 6, 0, 4, largest, largest, outside);
  refuse_tensor("IntStorage", 6, 0, 4, largest, none, outside);
  refuse_tensor("IntStorage", 6, 0, 2, wide, none, outside);
  refuse_tensor("IntStorage", -6, 0, 1, ones, ones, "no torch storage");
  refuse_tensor("IntStorage", 6, -1, 1, ones, ones, "is not made of");
  refuse_tensor("IntStorage", 6, 0, 1, (int32_t[]){-1}, ones, "no whole number from 0");
  refuse_tensor("IntStorage", 6, 0, 1, ones, (int32_t[]){-1}, "no whole number from 0");
  refuse_tensor("IntStorage", 6, 0, 9, ones, ones, "0 to 8 dimensions");
  refuse_tensor("ComplexFloatStorage", 6, 0, 1, ones, ones, "asks for torch.ComplexFloatStorage");
  refuse_tensor("uint32", 6, 0, 1, ones, ones, "a torch.uint32 where a torch storage should be");
}

int main(void) {
  CU_TestInfo tests[] = {{"ints", test_ints},
                         {"other scalars", test_scalars},
                         {"containers", test_containers},
                         {"stack and memo", test_stack},
                         {"depth", test_depth},
                         {"refused globals", test_refused_globals},
                         {"refused opcodes", test_refused_opcodes},
                         {"refused programs", test_refused_programs},
                         {"bombs", test_bombs},
                         {"a tensor", test_tensor},
                         {"a tensor with a dtype", test_tensor_v3},
                         {"refused tensors", test_refused_tensors},
                         CU_TEST_INFO_NULL};

  return run_suite("unpickle", tests);
}
