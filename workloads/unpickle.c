/* workloads/unpickle.c - a stack machine with one function an opcode.
 *
 * The opcodes are those of Python's Lib/pickletools.py. Texts stay where they are, in the pickle's
 * bytes; containers and tensors are chained together and freed one by one.
 */
#include "workloads/unpickle.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* All that a pickle may take: a small one can ask for much by naming the same thing often. */
static const size_t memory_max = (size_t)1 << 30;

struct mb_py_items {
  mb_py *values; /* of a dict: key, value, key, value... */
  size_t n, capacity;
};

/* A container, or the beginning of a tensor, in the chain of all. */
typedef struct object {
  struct object *next;
  mb_py_items items; /* empty, of a tensor */
} object;

typedef struct tensor_object {
  object object;
  mb_tensor tensor;
} tensor_object;

struct mb_pickle {
  mb_py root;
  object *objects;
};

typedef struct machine {
  const char *what;
  const unsigned char *bytes;
  size_t n, at, opcode_at;
  mb_py *stack;
  size_t n_stack, stack_capacity;
  size_t *marks;
  size_t n_marks, marks_capacity;
  mb_py *memo; /* [memo_capacity] kind UNSET where there is nothing */
  size_t memo_capacity, n_memo;
  object *objects;
  size_t memory;
  bool stopped;
} machine;

/* A place of the memo that nothing was put in. */
#define UNSET ((mb_py_kind)255)

/* The names that a pickle may ask for. */
typedef enum global_id {
  GLOBAL_ORDERED_DICT,
  GLOBAL_REBUILD_V2,
  GLOBAL_REBUILD_V3,
  GLOBAL_STORAGE,         /* of numbers of its dtype */
  GLOBAL_UNTYPED_STORAGE, /* of bytes */
  GLOBAL_DTYPE,
} global_id;

typedef struct global {
  const char *module, *name;
  global_id id;
  mb_dtype dtype;
} global;

static const global globals[] = {
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_V2, 0},
    {"torch._utils", "_rebuild_tensor_v3", GLOBAL_REBUILD_V3, 0},
    {"torch", "BoolStorage", GLOBAL_STORAGE, MB_DTYPE_BOOL},
    {"torch", "ByteStorage", GLOBAL_STORAGE, MB_DTYPE_U8},
    {"torch", "CharStorage", GLOBAL_STORAGE, MB_DTYPE_I8},
    {"torch", "ShortStorage", GLOBAL_STORAGE, MB_DTYPE_I16},
    {"torch", "IntStorage", GLOBAL_STORAGE, MB_DTYPE_I32},
    {"torch", "LongStorage", GLOBAL_STORAGE, MB_DTYPE_I64},
    {"torch", "HalfStorage", GLOBAL_STORAGE, MB_DTYPE_F16},
    {"torch", "BFloat16Storage", GLOBAL_STORAGE, MB_DTYPE_BF16},
    {"torch", "FloatStorage", GLOBAL_STORAGE, MB_DTYPE_F32},
    {"torch", "DoubleStorage", GLOBAL_STORAGE, MB_DTYPE_F64},
    {"torch", "UntypedStorage", GLOBAL_UNTYPED_STORAGE, MB_DTYPE_U8},
    {"torch.storage", "UntypedStorage", GLOBAL_UNTYPED_STORAGE, MB_DTYPE_U8},
    {"torch", "uint16", GLOBAL_DTYPE, MB_DTYPE_U16},
    {"torch", "uint32", GLOBAL_DTYPE, MB_DTYPE_U32},
    {"torch", "uint64", GLOBAL_DTYPE, MB_DTYPE_U64},
};
enum { N_GLOBALS = sizeof globals / sizeof *globals };

static const struct {
  mb_py_kind kind;
  const char *name;
} kind_names[] = {
    {MB_PY_NONE, "None"},
    {MB_PY_BOOL, "a bool"},
    {MB_PY_INT, "an int"},
    {MB_PY_FLOAT, "a float"},
    {MB_PY_TEXT, "a str"},
    {MB_PY_BYTES, "bytes"},
    {MB_PY_LIST, "a list"},
    {MB_PY_TUPLE, "a tuple"},
    {MB_PY_DICT, "a dict"},
    {MB_PY_TENSOR, "a tensor"},
    {MB_PY_GLOBAL, "a function or class"},
    {MB_PY_STORAGE, "a storage"},
};

const char *mb_py_kind_name(mb_py_kind kind) {
  assert((size_t)kind < sizeof kind_names / sizeof *kind_names);
  return kind_names[kind].name;
}

/* --- memory */

static mb_status fail_memory(const machine *m) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: byte %zu: the pickle takes more than %zu MiB", m->what,
                 m->opcode_at, memory_max >> 20);
}

/* Room for `need` items of an array. */
static mb_status grow(machine *m, void **array, size_t *capacity, size_t need, size_t size) {
  if (need <= *capacity) {
    return MB_OK;
  }
  size_t more = *capacity < 4 ? 4 : 2 * *capacity;
  more = more < need ? need : more;
  if (more > (memory_max - m->memory) / size) {
    return fail_memory(m);
  }
  void *grown = realloc(*array, more * size);
  if (grown == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for what the pickle holds", m->what);
  }
  m->memory += (more - *capacity) * size;
  *array = grown;
  *capacity = more;
  return MB_OK;
}

/* One of that many bytes, zeros behind the chain's link. */
static mb_status add_object(machine *m, size_t size, object **made) {
  if (size > memory_max - m->memory) {
    return fail_memory(m);
  }
  object *o = calloc(1, size);
  if (o == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for what the pickle holds", m->what);
  }
  m->memory += size;
  o->next = m->objects;
  m->objects = o;
  *made = o;
  return MB_OK;
}

static void free_objects(object *objects) {
  while (objects != NULL) {
    object *next = objects->next;
    free(objects->items.values);
    free(objects);
    objects = next;
  }
}

/* --- reading the program */

static mb_status take(machine *m, size_t n, const unsigned char **bytes) {
  if (n > m->n - m->at) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: the pickle ends after %zu bytes, within what begins at byte %zu: it was "
                   "cut off, or is damaged",
                   m->what, m->n, m->opcode_at);
  }
  *bytes = m->bytes + m->at;
  m->at += n;
  return MB_OK;
}

/* A little-endian number of up to 8 bytes. */
static mb_status take_number(machine *m, size_t n, uint64_t *number) {
  const unsigned char *bytes = NULL;
  uint64_t value = 0;

  MB_TRY(take(m, n, &bytes));
  for (size_t i = n; i-- > 0;) {
    value = value << 8 | bytes[i];
  }
  *number = value;
  return MB_OK;
}

/* Bytes behind their number, which itself takes `n` bytes. */
static mb_status take_counted(machine *m, size_t n, const unsigned char **bytes, size_t *size) {
  uint64_t counted = 0;

  MB_TRY(take_number(m, n, &counted));
  if (counted > UINT32_MAX || counted > m->n - m->at) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: byte %zu: should be followed by %" PRIu64 " bytes, and %zu are left: it "
                   "was cut off, or is damaged",
                   m->what, m->opcode_at, counted, m->n - m->at);
  }
  *size = (size_t)counted;
  return take(m, *size, bytes);
}

static mb_status take_line(machine *m, const char **line, size_t *size) {
  const unsigned char *begin = m->bytes + m->at;
  const unsigned char *end = memchr(begin, '\n', m->n - m->at);
  const unsigned char *bytes = NULL;

  MB_TRY(take(m, end == NULL ? m->n - m->at + 1 : (size_t)(end - begin) + 1, &bytes));
  *line = (const char *)bytes;
  *size = (size_t)(end - begin);
  return MB_OK;
}

/* --- the stack */

static mb_status push(machine *m, mb_py value) {
  MB_TRY(grow(m, (void **)&m->stack, &m->stack_capacity, m->n_stack + 1, sizeof *m->stack));
  m->stack[m->n_stack++] = value;
  return MB_OK;
}

/* Where the values begin that are not behind a mark. */
static size_t stack_floor(const machine *m) {
  return m->n_marks > 0 ? m->marks[m->n_marks - 1] : 0;
}

static mb_status fail_stack(const machine *m) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: takes more from the stack than there is: damaged",
                 m->what, m->opcode_at);
}

static mb_status pop(machine *m, mb_py *value) {
  if (m->n_stack <= stack_floor(m)) {
    return fail_stack(m);
  }
  *value = m->stack[--m->n_stack];
  return MB_OK;
}

/* The last value, left where it is. */
static mb_status top(const machine *m, mb_py *value) {
  if (m->n_stack <= stack_floor(m)) {
    return fail_stack(m);
  }
  *value = m->stack[m->n_stack - 1];
  return MB_OK;
}

/* Takes away the last mark. The n values behind it lie at `values`, above the top of the stack. */
static mb_status pop_mark(machine *m, const mb_py **values, size_t *n) {
  if (m->n_marks == 0) {
    return fail_stack(m);
  }
  size_t first = m->marks[--m->n_marks];
  *n = m->n_stack - first;
  *values = *n > 0 ? m->stack + first : NULL;
  m->n_stack = first;
  return MB_OK;
}

static mb_status push_int(machine *m, int64_t value) {
  return push(m, (mb_py){.kind = MB_PY_INT, .as.integer = value});
}

/* --- containers */

static mb_status append(machine *m, mb_py_items *items, const mb_py *values, size_t n) {
  MB_TRY(grow(m, (void **)&items->values, &items->capacity, items->n + n, sizeof *values));
  if (n > 0) {
    memcpy(items->values + items->n, values, n * sizeof *values);
  }
  items->n += n;
  return MB_OK;
}

/* `values` may lie just above the top of the stack, where the new value goes. */
static mb_status push_container(machine *m, mb_py_kind kind, const mb_py *values, size_t n) {
  object *o = NULL;

  MB_TRY(add_object(m, sizeof *o, &o));
  MB_TRY(append(m, &o->items, values, n));
  return push(m, (mb_py){.kind = kind, .as.items = &o->items});
}

/* The container on top of the stack, to be filled. */
static mb_status top_container(machine *m, mb_py_kind kind, mb_py_items **items) {
  mb_py value;

  MB_TRY(top(m, &value));
  if (value.kind != kind) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: adds to %s as if it were %s: damaged", m->what,
                   m->opcode_at, mb_py_kind_name(value.kind), mb_py_kind_name(kind));
  }
  *items = (mb_py_items *)value.as.items;
  return MB_OK;
}

size_t mb_py_count(mb_py value) {
  switch (value.kind) {
  case MB_PY_LIST:
  case MB_PY_TUPLE:
    return value.as.items->n;
  case MB_PY_DICT:
    return value.as.items->n / 2;
  default:
    return 0;
  }
}

mb_py mb_py_item(mb_py sequence, size_t i) {
  assert(sequence.kind == MB_PY_LIST || sequence.kind == MB_PY_TUPLE);
  assert(i < sequence.as.items->n);
  return sequence.as.items->values[i];
}

bool mb_py_is_text(mb_py value, const char *text) {
  return value.kind == MB_PY_TEXT && value.size == strlen(text) &&
         memcmp(value.as.text, text, value.size) == 0;
}

bool mb_py_find(mb_py dict, const char *key, mb_py *value) {
  /* Of equal keys the last one counts. */
  for (size_t i = mb_py_count(dict); dict.kind == MB_PY_DICT && i-- > 0;) {
    if (mb_py_is_text(dict.as.items->values[2 * i], key)) {
      *value = dict.as.items->values[2 * i + 1];
      return true;
    }
  }
  return false;
}

/* --- tensors */

static mb_status push_tensor(machine *m, mb_py_kind kind, const mb_tensor *tensor) {
  object *o = NULL;

  MB_TRY(add_object(m, sizeof(tensor_object), &o));
  tensor_object *made = (tensor_object *)o;
  made->tensor = *tensor;
  return push(m, (mb_py){.kind = kind, .as.tensor = &made->tensor});
}

static mb_status fail_tensor(const machine *m, const char *why) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: a tensor %s: damaged", m->what, m->opcode_at, why);
}

static bool is_size(mb_py value) {
  return value.kind == MB_PY_INT && value.as.integer >= 0;
}

/* Whether all elements lie within the storage. An expanded tensor, whose elements lie on top of
 * each other, may be endless for a few bytes: only a small one is let through. */
static bool tensor_fits(const mb_tensor *tensor) {
  const uint64_t overlapping_max = (uint64_t)1 << 16;
  uint64_t last = tensor->offset;
  uint64_t n = 1;

  for (size_t i = 0; i < tensor->rank; i++) {
    if (tensor->dims[i] == 0) {
      return tensor->offset <= tensor->n_stored;
    }
  }
  for (size_t i = 0; i < tensor->rank; i++) {
    uint64_t reach = 0;
    if (__builtin_mul_overflow(n, tensor->dims[i], &n) ||
        __builtin_mul_overflow(tensor->dims[i] - 1, tensor->strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return false;
    }
  }
  return last < tensor->n_stored && (n <= tensor->n_stored || n <= overlapping_max);
}

static mb_status fill_dims(machine *m, mb_py dims, mb_py strides, mb_tensor *tensor) {
  if (dims.kind != MB_PY_TUPLE || strides.kind != MB_PY_TUPLE ||
      mb_py_count(dims) != mb_py_count(strides) || mb_py_count(dims) > MB_TENSOR_RANK_MAX) {
    return fail_tensor(m, "has no size and strides of 0 to 8 dimensions");
  }
  tensor->rank = mb_py_count(dims);
  for (size_t i = 0; i < tensor->rank; i++) {
    mb_py dim = mb_py_item(dims, i);
    mb_py stride = mb_py_item(strides, i);
    if (!is_size(dim) || !is_size(stride)) {
      return fail_tensor(m, "has a size or stride that is no whole number from 0");
    }
    tensor->dims[i] = (uint64_t)dim.as.integer;
    tensor->strides[i] = (uint64_t)stride.as.integer;
  }
  return MB_OK;
}

/* Arguments: storage, offset, size, strides, requires_grad, hooks, [dtype,] [metadata]. */
static mb_status rebuild_tensor(machine *m, bool has_dtype, mb_py arguments) {
  size_t n = mb_py_count(arguments);

  if (n < (has_dtype ? 7U : 6U) || n > 8 || mb_py_item(arguments, 0).kind != MB_PY_STORAGE ||
      !is_size(mb_py_item(arguments, 1))) {
    return fail_tensor(m, "is not made of a storage, an offset, a size and strides");
  }
  mb_tensor tensor = *mb_py_item(arguments, 0).as.tensor;
  tensor.offset = (uint64_t)mb_py_item(arguments, 1).as.integer;
  if (has_dtype) {
    mb_py dtype = mb_py_item(arguments, 6);
    if (dtype.kind != MB_PY_GLOBAL || globals[dtype.as.integer].id != GLOBAL_DTYPE) {
      return fail_tensor(m, "has no dtype that is known");
    }
    tensor.dtype = globals[dtype.as.integer].dtype;
    tensor.n_stored /= mb_dtype_size(tensor.dtype);
  }
  MB_TRY(fill_dims(m, mb_py_item(arguments, 2), mb_py_item(arguments, 3), &tensor));
  if (!tensor_fits(&tensor)) {
    return fail_tensor(m, "has elements that are not in its storage");
  }
  return push_tensor(m, MB_PY_TENSOR, &tensor);
}

/* ("storage", its class, its name, the device, how many numbers). */
static mb_status op_binpersid(machine *m) {
  mb_py id;

  MB_TRY(pop(m, &id));
  if (id.kind != MB_PY_TUPLE || mb_py_count(id) != 5 ||
      !mb_py_is_text(mb_py_item(id, 0), "storage") || mb_py_item(id, 1).kind != MB_PY_GLOBAL ||
      mb_py_item(id, 2).kind != MB_PY_TEXT || !is_size(mb_py_item(id, 4))) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: refers to something that is no torch storage",
                   m->what, m->opcode_at);
  }
  const global *type = &globals[mb_py_item(id, 1).as.integer];
  if (type->id != GLOBAL_STORAGE && type->id != GLOBAL_UNTYPED_STORAGE) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: has a %s.%s where a torch storage should be",
                   m->what, m->opcode_at, type->module, type->name);
  }
  const mb_tensor storage = {.key = mb_py_item(id, 2).as.text,
                             .key_size = mb_py_item(id, 2).size,
                             .dtype = type->dtype,
                             .n_stored = (uint64_t)mb_py_item(id, 4).as.integer};
  return push_tensor(m, MB_PY_STORAGE, &storage);
}

/* --- what a pickle asks to be found, and to be called */

static bool is_text(const char *text, size_t n, const char *what) {
  return n == strlen(what) && memcmp(text, what, n) == 0;
}

static mb_status push_global(machine *m, const char *module, size_t module_n, const char *name,
                             size_t name_n) {
  enum { SHOWN_MAX = 100 };

  for (size_t i = 0; i < N_GLOBALS; i++) {
    if (is_text(module, module_n, globals[i].module) && is_text(name, name_n, globals[i].name)) {
      return push(m, (mb_py){.kind = MB_PY_GLOBAL, .as.integer = (int64_t)i});
    }
  }
  return MB_FAIL(MB_ERR_UNSUPPORTED,
                 "%s: byte %zu: asks for %.*s.%.*s, but only plain containers and tensors are read "
                 "from a pickle, and nothing in it is run",
                 m->what, m->opcode_at, (int)(module_n < SHOWN_MAX ? module_n : SHOWN_MAX), module,
                 (int)(name_n < SHOWN_MAX ? name_n : SHOWN_MAX), name);
}

static mb_status op_global(machine *m) {
  const char *module = NULL;
  const char *name = NULL;
  size_t module_n = 0;
  size_t name_n = 0;

  MB_TRY(take_line(m, &module, &module_n));
  MB_TRY(take_line(m, &name, &name_n));
  return push_global(m, module, module_n, name, name_n);
}

static mb_status op_stack_global(machine *m) {
  mb_py module;
  mb_py name;

  MB_TRY(pop(m, &name));
  MB_TRY(pop(m, &module));
  if (module.kind != MB_PY_TEXT || name.kind != MB_PY_TEXT) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: asks for a function by %s: damaged", m->what,
                   m->opcode_at,
                   mb_py_kind_name(module.kind != MB_PY_TEXT ? module.kind : name.kind));
  }
  return push_global(m, module.as.text, module.size, name.as.text, name.size);
}

static mb_status op_reduce(machine *m) {
  mb_py arguments;
  mb_py callable;

  MB_TRY(pop(m, &arguments));
  MB_TRY(pop(m, &callable));
  if (callable.kind != MB_PY_GLOBAL || arguments.kind != MB_PY_TUPLE) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: calls %s with %s: damaged", m->what, m->opcode_at,
                   mb_py_kind_name(callable.kind), mb_py_kind_name(arguments.kind));
  }
  const global *called = &globals[callable.as.integer];
  switch (called->id) {
  case GLOBAL_REBUILD_V2:
    return rebuild_tensor(m, false, arguments);
  case GLOBAL_REBUILD_V3:
    return rebuild_tensor(m, true, arguments);
  case GLOBAL_ORDERED_DICT:
    if (mb_py_count(arguments) == 0) {
      return push_container(m, MB_PY_DICT, NULL, 0);
    }
    break;
  default:
    break;
  }
  return MB_FAIL(MB_ERR_UNSUPPORTED,
                 "%s: byte %zu: calls %s.%s with %zu arguments, but nothing in a pickle is run",
                 m->what, m->opcode_at, called->module, called->name, mb_py_count(arguments));
}

/* --- scalars and texts */

static mb_status op_none(machine *m) {
  return push(m, (mb_py){.kind = MB_PY_NONE});
}

static mb_status op_newtrue(machine *m) {
  return push(m, (mb_py){.kind = MB_PY_BOOL, .as.integer = 1});
}

static mb_status op_newfalse(machine *m) {
  return push(m, (mb_py){.kind = MB_PY_BOOL, .as.integer = 0});
}

static mb_status op_binint1(machine *m) {
  uint64_t value = 0;

  MB_TRY(take_number(m, 1, &value));
  return push_int(m, (int64_t)value);
}

static mb_status op_binint2(machine *m) {
  uint64_t value = 0;

  MB_TRY(take_number(m, 2, &value));
  return push_int(m, (int64_t)value);
}

static mb_status op_binint(machine *m) {
  uint64_t value = 0;

  MB_TRY(take_number(m, 4, &value));
  return push_int(m, (int32_t)(uint32_t)value);
}

/* Two's complement of any number of bytes, of which more than 8 are for nothing that is read. */
static mb_status push_long(machine *m, const unsigned char *bytes, size_t n) {
  uint64_t value = n > 0 && bytes[n - 1] >= 0x80 ? UINT64_MAX : 0;

  if (n > sizeof value) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: byte %zu: an int of %zu bytes, and should have at most 8", m->what,
                   m->opcode_at, n);
  }
  for (size_t i = n; i-- > 0;) {
    value = value << 8 | bytes[i];
  }
  return push_int(m, (int64_t)value);
}

static mb_status op_long1(machine *m) {
  const unsigned char *bytes = NULL;
  size_t n = 0;

  MB_TRY(take_counted(m, 1, &bytes, &n));
  return push_long(m, bytes, n);
}

static mb_status op_long4(machine *m) {
  const unsigned char *bytes = NULL;
  size_t n = 0;

  MB_TRY(take_counted(m, 4, &bytes, &n));
  return push_long(m, bytes, n);
}

/* The only number that is big-endian. */
static mb_status op_binfloat(machine *m) {
  uint64_t bits = 0;
  mb_py value = {.kind = MB_PY_FLOAT};

  MB_TRY(take_number(m, sizeof bits, &bits));
  bits = __builtin_bswap64(bits);
  memcpy(&value.as.real, &bits, sizeof bits);
  return push(m, value);
}

static mb_status push_counted(machine *m, mb_py_kind kind, size_t n) {
  const unsigned char *bytes = NULL;
  size_t size = 0;

  MB_TRY(take_counted(m, n, &bytes, &size));
  return push(m, (mb_py){.kind = kind, .size = (uint32_t)size, .as.text = (const char *)bytes});
}

static mb_status op_text1(machine *m) {
  return push_counted(m, MB_PY_TEXT, 1);
}

static mb_status op_text4(machine *m) {
  return push_counted(m, MB_PY_TEXT, 4);
}

static mb_status op_text8(machine *m) {
  return push_counted(m, MB_PY_TEXT, 8);
}

static mb_status op_bytes1(machine *m) {
  return push_counted(m, MB_PY_BYTES, 1);
}

static mb_status op_bytes4(machine *m) {
  return push_counted(m, MB_PY_BYTES, 4);
}

static mb_status op_bytes8(machine *m) {
  return push_counted(m, MB_PY_BYTES, 8);
}

/* --- making and filling containers */

static mb_status op_empty_list(machine *m) {
  return push_container(m, MB_PY_LIST, NULL, 0);
}

static mb_status op_empty_tuple(machine *m) {
  return push_container(m, MB_PY_TUPLE, NULL, 0);
}

static mb_status op_empty_dict(machine *m) {
  return push_container(m, MB_PY_DICT, NULL, 0);
}

static mb_status tuple_of(machine *m, size_t n) {
  if (m->n_stack - stack_floor(m) < n) {
    return fail_stack(m);
  }
  m->n_stack -= n;
  return push_container(m, MB_PY_TUPLE, m->stack + m->n_stack, n);
}

static mb_status op_tuple1(machine *m) {
  return tuple_of(m, 1);
}

static mb_status op_tuple2(machine *m) {
  return tuple_of(m, 2);
}

static mb_status op_tuple3(machine *m) {
  return tuple_of(m, 3);
}

static mb_status op_tuple(machine *m) {
  const mb_py *values = NULL;
  size_t n = 0;

  MB_TRY(pop_mark(m, &values, &n));
  return push_container(m, MB_PY_TUPLE, values, n);
}

static mb_status op_append(machine *m) {
  mb_py value;
  mb_py_items *list = NULL;

  MB_TRY(pop(m, &value));
  MB_TRY(top_container(m, MB_PY_LIST, &list));
  return append(m, list, &value, 1);
}

static mb_status op_appends(machine *m) {
  const mb_py *values = NULL;
  size_t n = 0;
  mb_py_items *list = NULL;

  MB_TRY(pop_mark(m, &values, &n));
  MB_TRY(top_container(m, MB_PY_LIST, &list));
  return append(m, list, values, n);
}

static mb_status op_setitem(machine *m) {
  mb_py pair[2];
  mb_py_items *dict = NULL;

  MB_TRY(pop(m, &pair[1]));
  MB_TRY(pop(m, &pair[0]));
  MB_TRY(top_container(m, MB_PY_DICT, &dict));
  return append(m, dict, pair, 2);
}

static mb_status op_setitems(machine *m) {
  const mb_py *values = NULL;
  size_t n = 0;
  mb_py_items *dict = NULL;

  MB_TRY(pop_mark(m, &values, &n));
  MB_TRY(top_container(m, MB_PY_DICT, &dict));
  if (n % 2 != 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: a dict's key is without a value: damaged", m->what,
                   m->opcode_at);
  }
  return append(m, dict, values, n);
}

/* --- the stack, the memo, and the rest */

static mb_status op_mark(machine *m) {
  MB_TRY(grow(m, (void **)&m->marks, &m->marks_capacity, m->n_marks + 1, sizeof *m->marks));
  m->marks[m->n_marks++] = m->n_stack;
  return MB_OK;
}

static mb_status op_pop(machine *m) {
  mb_py value;

  return pop(m, &value);
}

static mb_status op_pop_mark(machine *m) {
  const mb_py *values = NULL;
  size_t n = 0;

  return pop_mark(m, &values, &n);
}

static mb_status op_dup(machine *m) {
  mb_py value;

  MB_TRY(top(m, &value));
  return push(m, value);
}

static mb_status put(machine *m, uint64_t index) {
  mb_py value;
  size_t before = m->memo_capacity;

  MB_TRY(top(m, &value));
  /* Whoever writes a pickle counts the places up, and so needs no more of them than bytes. */
  if (index >= m->n) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: memo place %" PRIu64 " of a pickle of %zu bytes",
                   m->what, m->opcode_at, index, m->n);
  }
  MB_TRY(grow(m, (void **)&m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo));
  for (size_t i = before; i < m->memo_capacity; i++) {
    m->memo[i].kind = UNSET;
  }
  m->n_memo += m->memo[index].kind == UNSET;
  m->memo[index] = value;
  return MB_OK;
}

static mb_status op_binput(machine *m) {
  uint64_t index = 0;

  MB_TRY(take_number(m, 1, &index));
  return put(m, index);
}

static mb_status op_long_binput(machine *m) {
  uint64_t index = 0;

  MB_TRY(take_number(m, 4, &index));
  return put(m, index);
}

static mb_status op_memoize(machine *m) {
  return put(m, m->n_memo);
}

static mb_status get(machine *m, uint64_t index) {
  if (index >= m->memo_capacity || m->memo[index].kind == UNSET) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byte %zu: memo place %" PRIu64 " is empty: damaged", m->what,
                   m->opcode_at, index);
  }
  return push(m, m->memo[index]);
}

static mb_status op_binget(machine *m) {
  uint64_t index = 0;

  MB_TRY(take_number(m, 1, &index));
  return get(m, index);
}

static mb_status op_long_binget(machine *m) {
  uint64_t index = 0;

  MB_TRY(take_number(m, 4, &index));
  return get(m, index);
}

static mb_status op_proto(machine *m) {
  uint64_t protocol = 0;

  MB_TRY(take_number(m, 1, &protocol));
  if (protocol < 2 || protocol > 5) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: is a pickle of protocol %" PRIu64 ", and should be of 2 to 5", m->what,
                   protocol);
  }
  return MB_OK;
}

/* A hint for whoever reads ahead. */
static mb_status op_frame(machine *m) {
  uint64_t size = 0;

  return take_number(m, 8, &size);
}

static mb_status op_stop(machine *m) {
  if (m->n_stack != 1 || m->n_marks != 0 || m->at != m->n) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: byte %zu: the pickle stops with %zu values on its stack and %zu bytes "
                   "left, and should with 1 and 0: damaged",
                   m->what, m->opcode_at, m->n_stack, m->n - m->at);
  }
  m->stopped = true;
  return MB_OK;
}

static mb_status (*const opcodes[256])(machine *m) = {
    [0x80] = op_proto,      [0x95] = op_frame,        ['.'] = op_stop,        ['('] = op_mark,
    ['0'] = op_pop,         ['1'] = op_pop_mark,      ['2'] = op_dup,         ['N'] = op_none,
    [0x88] = op_newtrue,    [0x89] = op_newfalse,     ['K'] = op_binint1,     ['M'] = op_binint2,
    ['J'] = op_binint,      [0x8a] = op_long1,        [0x8b] = op_long4,      ['G'] = op_binfloat,
    [0x8c] = op_text1,      ['X'] = op_text4,         [0x8d] = op_text8,      ['C'] = op_bytes1,
    ['B'] = op_bytes4,      [0x8e] = op_bytes8,       ['U'] = op_text1,       ['T'] = op_text4,
    [']'] = op_empty_list,  [')'] = op_empty_tuple,   ['}'] = op_empty_dict,  ['t'] = op_tuple,
    [0x85] = op_tuple1,     [0x86] = op_tuple2,       [0x87] = op_tuple3,     ['a'] = op_append,
    ['e'] = op_appends,     ['s'] = op_setitem,       ['u'] = op_setitems,    ['q'] = op_binput,
    ['r'] = op_long_binput, ['h'] = op_binget,        ['j'] = op_long_binget, [0x94] = op_memoize,
    ['c'] = op_global,      [0x93] = op_stack_global, ['R'] = op_reduce,      ['Q'] = op_binpersid,
};

static mb_status run(machine *m) {
  while (!m->stopped) {
    const unsigned char *code = NULL;
    m->opcode_at = m->at;
    MB_TRY(take(m, 1, &code));
    if (opcodes[*code] == NULL) {
      return MB_FAIL(
          MB_ERR_UNSUPPORTED,
          "%s: byte %zu: has pickle opcode 0x%02x, but only plain containers and tensors "
          "are read from a pickle, and nothing in it is run",
          m->what, m->opcode_at, *code);
    }
    MB_TRY(opcodes[*code](m));
  }
  return MB_OK;
}

mb_status mb_unpickle(const char *what, const void *bytes, size_t n, mb_pickle **pickle) {
  machine m = {.what = what, .bytes = bytes, .n = n};
  mb_pickle *made = NULL;
  mb_status status = MB_OK;

  if (n < 2 || m.bytes[0] != 0x80) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is no pickle of protocol 2 to 5", what);
  }
  made = calloc(1, sizeof *made);
  status = made != NULL ? run(&m) : MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its pickle", what);
  if (status == MB_OK) {
    made->root = m.stack[0];
    made->objects = m.objects;
    *pickle = made;
  } else {
    free_objects(m.objects);
    free(made);
  }
  free(m.stack);
  free(m.marks);
  free(m.memo);
  return status;
}

mb_py mb_pickle_root(const mb_pickle *pickle) {
  return pickle->root;
}

void mb_pickle_destroy(mb_pickle *pickle) {
  if (pickle != NULL) {
    free_objects(pickle->objects);
    free(pickle);
  }
}
