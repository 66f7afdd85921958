/* workloads/unpickle.h - the plain part of Python's pickles, and torch's tensors in them.
 *
 * Protocols 2 to 5. What can be built: None, bool, int, float, str, bytes, list, tuple, dict,
 * OrderedDict, and tensors whose numbers lie elsewhere, as torch.save() writes them. A pickle is a
 * program; this runs no more of it than that. Whatever else it asks for is refused by name.
 */
#ifndef MB_WORKLOADS_UNPICKLE_H
#define MB_WORKLOADS_UNPICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/number.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Dimensions of a tensor at most. */
enum { MB_TENSOR_RANK_MAX = 8 };

typedef enum mb_py_kind {
  MB_PY_NONE,
  MB_PY_BOOL,
  MB_PY_INT,
  MB_PY_FLOAT,
  MB_PY_TEXT,  /* str */
  MB_PY_BYTES, /* bytes */
  MB_PY_LIST,
  MB_PY_TUPLE,
  MB_PY_DICT,
  MB_PY_TENSOR,
  MB_PY_GLOBAL,  /* a function or class by its name; in no container that is of any use */
  MB_PY_STORAGE, /* the numbers of tensors, likewise */
} mb_py_kind;

/** Where a tensor's numbers lie: element [i, j, ...] is number offset + i strides[0] + j strides[1]
 * + ... of its storage. Checked: all of them are within the storage. */
typedef struct mb_tensor {
  const char *key; /* the storage's name, `key_size` bytes without a NUL */
  size_t key_size;
  mb_dtype dtype;
  uint64_t n_stored; /* numbers in the storage */
  uint64_t offset;
  size_t rank;
  uint64_t dims[MB_TENSOR_RANK_MAX];
  uint64_t strides[MB_TENSOR_RANK_MAX];
} mb_tensor;

typedef struct mb_py_items mb_py_items;

/** Any value. Copies of a container are the same container. */
typedef struct mb_py {
  mb_py_kind kind;
  uint32_t size; /* bytes of a text or bytes */
  union {
    int64_t integer; /* also of a bool: 0 or 1 */
    double real;
    const char *text; /* UTF-8 without a NUL behind it */
    const mb_py_items *items;
    const mb_tensor *tensor;
  } as;
} mb_py;

/** What a pickle has built. */
typedef struct mb_pickle mb_pickle;

/**
 * Containers may hold themselves, and be nested as deep as there are bytes: nothing here descends.
 *
 * @param what   for messages: the file.
 * @param bytes  [n] Borrowed as long as the pickle lives.
 * @param pickle Transferred: mb_pickle_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT naming the byte; MB_ERR_UNSUPPORTED for what is not plain;
 *         MB_ERR_MEMORY, also where it would take more than 1 GiB.
 */
MB_NODISCARD mb_status mb_unpickle(const char *what, const void *bytes, size_t n,
                                   mb_pickle **pickle);
mb_py mb_pickle_root(const mb_pickle *pickle); /* borrows from the pickle */
void mb_pickle_destroy(mb_pickle *pickle);     /* NULL is fine */

/** "a list", "an int" and the like, for messages. Static. */
const char *mb_py_kind_name(mb_py_kind kind);

/** Items of a list or tuple, pairs of a dict; 0 of anything else. */
size_t mb_py_count(mb_py value);

/** @param i < mb_py_count() of a list or tuple. */
mb_py mb_py_item(mb_py sequence, size_t i);

/** What a dict holds under a str. @return whether it is a dict that does. */
bool mb_py_find(mb_py dict, const char *key, mb_py *value);

/** Whether it is that str. */
bool mb_py_is_text(mb_py value, const char *text);

#ifdef __cplusplus
}
#endif

#endif
