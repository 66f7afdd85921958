/* tests/fuzz/fuzz_unpickle.c - bytes as a pickle: whatever it builds can be looked at. */
#include <string.h>

#include "workloads/unpickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 4 };

/* Every byte of it is read; a sum cannot be left out by the compiler. */
static size_t look_at(mb_py value, unsigned depth) {
  size_t sum = strlen(mb_py_kind_name(value.kind)) + mb_py_count(value);
  mb_py found;

  if (value.kind == MB_PY_TEXT || value.kind == MB_PY_BYTES) {
    for (size_t i = 0; i < value.size; i++) {
      sum += (unsigned char)value.as.text[i];
    }
  }
  if (value.kind == MB_PY_TENSOR) {
    for (size_t i = 0; i < value.as.tensor->key_size; i++) {
      sum += (unsigned char)value.as.tensor->key[i];
    }
    sum += (size_t)value.as.tensor->dims[MB_TENSOR_RANK_MAX - 1];
  }
  if (mb_py_find(value, "records", &found) && depth > 0) {
    sum += look_at(found, depth - 1);
  }
  /* A few bytes may name the same thing many times, on every level. */
  bool listed = value.kind == MB_PY_LIST || value.kind == MB_PY_TUPLE;
  for (size_t i = 0; listed && depth > 0 && i < mb_py_count(value) && i < 16; i++) {
    sum += look_at(mb_py_item(value, i), depth - 1);
  }
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mb_pickle *pickle = NULL;

  if (mb_unpickle("fuzz", data, size, &pickle) == MB_OK) {
    volatile size_t sum = look_at(mb_pickle_root(pickle), DEPTH);
    (void)sum;
    mb_pickle_destroy(pickle);
  }
  return 0;
}
