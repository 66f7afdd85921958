/* workloads/safetensors.c */
#include "workloads/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format's own limit. */
static const uint64_t HEADER_SIZE_MAX = 100000000;

struct mb_safetensors {
  json_t *header; /* owns the names */
  mb_safetensor *tensors;
  size_t n;
};

static const struct {
  const char *name;
  mb_dtype dtype;
} dtypes[] = {
    {"BOOL", MB_DTYPE_BOOL}, {"U8", MB_DTYPE_U8},   {"I8", MB_DTYPE_I8},     {"U16", MB_DTYPE_U16},
    {"I16", MB_DTYPE_I16},   {"U32", MB_DTYPE_U32}, {"I32", MB_DTYPE_I32},   {"U64", MB_DTYPE_U64},
    {"I64", MB_DTYPE_I64},   {"F16", MB_DTYPE_F16}, {"BF16", MB_DTYPE_BF16}, {"F32", MB_DTYPE_F32},
    {"F64", MB_DTYPE_F64},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static mb_status find_dtype(const char *path, const char *name, const json_t *value,
                            mb_dtype *dtype) {
  const char *text = json_string_value(value);

  for (size_t i = 0; text != NULL && i < N_DTYPES; i++) {
    if (strcmp(text, dtypes[i].name) == 0) {
      *dtype = dtypes[i].dtype;
      return MB_OK;
    }
  }
  return MB_FAIL(
      MB_ERR_UNSUPPORTED,
      "%s: tensor \"%.64s\": has dtype \"%.32s\", and should have one of BOOL, U8 to U64, "
      "I8 to I64, F16, BF16, F32 and F64",
      path, name, text != NULL ? text : "");
}

/* A whole number from 0; Jansson has already refused those that int64_t does not hold. */
static bool get_size(const json_t *value, uint64_t *size) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) {
    return false;
  }
  *size = (uint64_t)json_integer_value(value);
  return true;
}

static mb_status read_shape(const char *path, const json_t *shape, mb_safetensor *tensor) {
  uint64_t bytes = mb_dtype_size(tensor->dtype);

  if (!json_is_array(shape) || json_array_size(shape) > MB_SAFETENSOR_RANK_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%.64s\": its shape should be a list of 0 to %d sizes", path,
                   tensor->name, MB_SAFETENSOR_RANK_MAX);
  }
  tensor->rank = json_array_size(shape);
  for (size_t i = 0; i < tensor->rank; i++) {
    if (!get_size(json_array_get(shape, i), &tensor->dims[i]) ||
        __builtin_mul_overflow(bytes, tensor->dims[i], &bytes)) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: tensor \"%.64s\": dimension %zu of its shape is no size, or too large",
                     path, tensor->name, i);
    }
  }
  tensor->size = bytes;
  return MB_OK;
}

/* data_offsets count from the first byte of the data, of which there are data_size. */
static mb_status read_offsets(const char *path, const json_t *offsets, uint64_t data_begin,
                              uint64_t data_size, mb_safetensor *tensor) {
  uint64_t begin = 0;
  uint64_t end = 0;

  if (json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &begin) ||
      !get_size(json_array_get(offsets, 1), &end) || begin > end) {
    return MB_FAIL(
        MB_ERR_FORMAT,
        "%s: tensor \"%.64s\": its data_offsets should be two ascending numbers of bytes", path,
        tensor->name);
  }
  if (end > data_size) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%.64s\": its data ends at byte %" PRIu64 " of the data, which has "
                   "%" PRIu64 " bytes: the file was cut off, or is damaged",
                   path, tensor->name, end, data_size);
  }
  if (end - begin != tensor->size) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%.64s\": has %" PRIu64 " bytes of data, and should have %" PRIu64
                   " for its dtype and shape",
                   path, tensor->name, end - begin, tensor->size);
  }
  tensor->begin = data_begin + begin;
  return MB_OK;
}

static mb_status read_tensor(const char *path, const char *name, const json_t *about,
                             uint64_t data_begin, uint64_t data_size, mb_safetensor *tensor) {
  *tensor = (mb_safetensor){.name = name};
  if (!json_is_object(about)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: tensor \"%.64s\": should be {\"dtype\", \"shape\", \"data_offsets\"}", path,
                   name);
  }
  MB_TRY(find_dtype(path, name, json_object_get(about, "dtype"), &tensor->dtype));
  MB_TRY(read_shape(path, json_object_get(about, "shape"), tensor));
  return read_offsets(path, json_object_get(about, "data_offsets"), data_begin, data_size, tensor);
}

static int compare_begin(const void *a, const void *b) {
  const mb_safetensor *x = a;
  const mb_safetensor *y = b;

  /* Empty ones come first, where they do no harm. */
  if (x->begin != y->begin) {
    return x->begin < y->begin ? -1 : 1;
  }
  return x->size != y->size ? (x->size < y->size ? -1 : 1) : strcmp(x->name, y->name);
}

/* Every byte of the data belongs to one tensor. */
static mb_status check_cover(const char *path, const mb_safetensors *tensors, uint64_t begin,
                             uint64_t end) {
  for (size_t i = 0; i < tensors->n; i++) {
    const mb_safetensor *tensor = &tensors->tensors[i];
    if (tensor->begin != begin) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: tensor \"%.64s\": its data begins at byte %" PRIu64
                     " of the file, and should at %" PRIu64 ", where the one before it ends",
                     path, tensor->name, tensor->begin, begin);
    }
    begin += tensor->size;
  }
  if (begin != end) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %" PRIu64 " bytes behind its last tensor, and should have none", path,
                   end - begin);
  }
  return MB_OK;
}

static mb_status read_tensors(const mb_input *input, uint64_t data_begin, mb_safetensors *tensors) {
  uint64_t data_size = input->size - data_begin;
  const char *name = NULL;
  json_t *about = NULL;

  tensors->tensors = calloc(json_object_size(tensors->header) + 1, sizeof *tensors->tensors);
  if (tensors->tensors == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the list of its tensors", input->path);
  }
  json_object_foreach(tensors->header, name, about) {
    if (strcmp(name, "__metadata__") != 0) {
      MB_TRY(read_tensor(input->path, name, about, data_begin, data_size,
                         &tensors->tensors[tensors->n]));
      tensors->n++;
    }
  }
  if (tensors->n > 1) {
    qsort(tensors->tensors, tensors->n, sizeof *tensors->tensors, compare_begin);
  }
  return check_cover(input->path, tensors, data_begin, input->size);
}

static mb_status read_header(const mb_input *input, uint64_t *size, json_t **header) {
  unsigned char count[8];
  json_error_t error;

  MB_TRY(mb_input_read(input, "the size of its header", 0, sizeof count, count));
  *size = 0;
  for (size_t i = sizeof count; i-- > 0;) {
    *size = *size << 8 | count[i];
  }
  if (*size > HEADER_SIZE_MAX) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: its header has %" PRIu64 " bytes, and should have at most %" PRIu64
                   ": it is no safetensors file, or damaged",
                   input->path, *size, HEADER_SIZE_MAX);
  }
  if (*size > input->size - sizeof count) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: ends after %" PRIu64 " bytes, within its header of %" PRIu64
                   ": it was cut off, or is damaged",
                   input->path, input->size, *size);
  }
  char *text = malloc((size_t)*size + 1);
  if (text == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its header", input->path);
  }
  mb_status status = mb_input_read(input, "its header", sizeof count, (size_t)*size, text);
  if (status == MB_OK) {
    *header = json_loadb(text, (size_t)*size, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(*header)) {
      status = MB_FAIL(MB_ERR_FORMAT, "%s: its header is no JSON object: %s", input->path,
                       *header == NULL ? error.text : "it is of another kind");
    }
  }
  free(text);
  return status;
}

mb_status mb_safetensors_read(const mb_input *input, mb_safetensors **tensors) {
  uint64_t header_size = 0;
  mb_safetensors *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", input->path);
  }
  mb_status status = read_header(input, &header_size, &made->header);
  if (status == MB_OK) {
    status = read_tensors(input, sizeof(uint64_t) + header_size, made);
  }
  if (status != MB_OK) {
    mb_safetensors_destroy(made);
    return status;
  }
  *tensors = made;
  return MB_OK;
}

void mb_safetensors_destroy(mb_safetensors *tensors) {
  if (tensors != NULL) {
    json_decref(tensors->header);
    free(tensors->tensors);
    free(tensors);
  }
}

size_t mb_safetensors_count(const mb_safetensors *tensors) {
  return tensors->n;
}

const mb_safetensor *mb_safetensors_get(const mb_safetensors *tensors, size_t i) {
  return &tensors->tensors[i];
}
