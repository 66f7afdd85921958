/* workloads/torch_file.c - in the zip, all below one folder of any name: data.pkl (the objects),
 * byteorder, data/KEY (the numbers of a storage), and more that isn't needed.
 */
#include "workloads/torch_file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/archive.h"

/* Of a storage as much is held as is read at a time: of one whose elements do not follow each other
   all of it, where that is not too much. */
enum { WINDOW_SIZE = 1 << 16, WINDOW_SIZE_MAX = 256 << 20 };

enum { PICKLE_SIZE_MAX = 256 << 20, NAME_SIZE_MAX = 4096 };

static const char pickle_name[] = "/data.pkl";

struct mb_torch_file {
  const mb_input *input;
  mb_archive *archive;
  const char *prefix; /* of the archive; `prefix_size` bytes: the folder with its slash */
  size_t prefix_size;
  bool big_endian;
  unsigned char *pickle_bytes;
  mb_pickle *pickle;
  /* The storage that was read last, and a part of it. */
  mb_member *member;
  size_t member_index;
  char what[512]; /* the tensor that is read, for messages */
  unsigned char *window;
  size_t window_size; /* bytes that are filled at a time */
  uint64_t window_begin, window_end;
};

bool mb_torch_recognise(const mb_input *input) {
  unsigned char head[30 + 256];
  static const unsigned char zip[] = {'P', 'K', 3, 4};
  const size_t suffix = sizeof pickle_name - 1;

  /* The pickle is the zip's first member: its name is behind 30 bytes of header. */
  if (!mb_input_begins(input, zip, sizeof zip) || input->size < sizeof head ||
      mb_input_read(input, "a zip file", 0, sizeof head, head) != MB_OK) {
    return false;
  }
  size_t size = (size_t)head[26] | (size_t)head[27] << 8;
  return size > suffix && size <= sizeof head - 30 &&
         memcmp(head + 30 + size - suffix, pickle_name, suffix) == 0;
}

static mb_status find_pickle(mb_torch_file *file, size_t *index) {
  const size_t suffix = sizeof pickle_name - 1;

  for (size_t i = 0; i < mb_archive_count(file->archive); i++) {
    const char *name = mb_archive_name(file->archive, i);
    const char *slash = strchr(name, '/');
    if (slash != NULL && slash != name && strcmp(slash, pickle_name) == 0) {
      file->prefix = name;
      file->prefix_size = strlen(name) - suffix + 1;
      *index = i;
      return MB_OK;
    }
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: is a zip file without FOLDER/data.pkl, so not of torch.save()",
                 file->input->path);
}

static mb_status read_pickle(mb_torch_file *file, size_t index) {
  mb_member *member = NULL;

  MB_TRY(mb_member_open(file->archive, index, file->input->path, &member));
  uint64_t size = mb_member_size(member);
  mb_status status = MB_OK;
  if (size > PICKLE_SIZE_MAX) {
    status = MB_FAIL(MB_ERR_UNSUPPORTED,
                     "%s: data.pkl has %" PRIu64 " bytes, and should have at most %d",
                     file->input->path, size, PICKLE_SIZE_MAX);
  } else if ((file->pickle_bytes = malloc((size_t)size + 1)) == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: no memory for its data.pkl", file->input->path);
  } else {
    status = mb_member_read(member, file->input->path, 0, (size_t)size, file->pickle_bytes);
  }
  mb_member_close(member);
  MB_TRY(status);
  return mb_unpickle(file->input->path, file->pickle_bytes, (size_t)size, &file->pickle);
}

/* The member of that name in the torch file's folder; a name with a NUL in it is none. */
static bool find_member(const mb_torch_file *file, const char *folder, const char *key,
                        size_t key_size, size_t *index) {
  char name[NAME_SIZE_MAX];
  size_t size = file->prefix_size + strlen(folder) + key_size;

  if (size >= sizeof name) {
    return false;
  }
  int n = snprintf(name, sizeof name, "%.*s%s%.*s", (int)file->prefix_size, file->prefix, folder,
                   (int)key_size, key);
  return n >= 0 && (size_t)n == size && mb_archive_find(file->archive, name, index);
}

/* torch before 2.1 did not say, and wrote little-endian. */
static mb_status read_byteorder(mb_torch_file *file) {
  static const char key[] = "byteorder";
  char text[8] = "";
  size_t index = 0;
  mb_member *member = NULL;

  if (!find_member(file, "", key, sizeof key - 1, &index)) {
    return MB_OK;
  }
  MB_TRY(mb_member_open(file->archive, index, file->input->path, &member));
  uint64_t size = mb_member_size(member);
  mb_status status = mb_member_read(member, file->input->path, 0,
                                    size < sizeof text ? (size_t)size : sizeof text - 1, text);
  mb_member_close(member);
  MB_TRY(status);
  file->big_endian = strcmp(text, "big") == 0;
  if (!file->big_endian && strcmp(text, "little") != 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: byteorder is \"%s\", and should be \"little\" or \"big\"",
                   file->input->path, text);
  }
  return MB_OK;
}

static mb_status open_parts(mb_torch_file *file) {
  size_t index = 0;

  MB_TRY(mb_archive_open(file->input, &file->archive));
  MB_TRY(find_pickle(file, &index));
  MB_TRY(read_pickle(file, index));
  return read_byteorder(file);
}

mb_status mb_torch_open(const mb_input *input, mb_torch_file **file) {
  /* The first of three pickles, which is a magic number. */
  static const unsigned char legacy[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc};

  if (mb_input_begins(input, legacy, sizeof legacy)) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%s: is in the format of torch before 1.6; torch.save(torch.load(OLD), NEW) "
                   "makes it a zip file, which can be read",
                   input->path);
  }
  mb_torch_file *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to open it", input->path);
  }
  made->input = input;
  mb_status status = open_parts(made);
  if (status != MB_OK) {
    mb_torch_close(made);
    return status;
  }
  *file = made;
  return MB_OK;
}

void mb_torch_close(mb_torch_file *file) {
  if (file != NULL) {
    mb_member_close(file->member);
    free(file->window);
    mb_pickle_destroy(file->pickle);
    free(file->pickle_bytes);
    mb_archive_destroy(file->archive);
    free(file);
  }
}

mb_py mb_torch_root(const mb_torch_file *file) {
  return mb_pickle_root(file->pickle);
}

/* --- reading tensors */

/* What is read: elements in C order, from a place on. */
typedef struct reading {
  mb_torch_file *file;
  const char *name;
  const mb_tensor *tensor;
  uint64_t first; /* row */
  /* One of them is not NULL, where numbers are read. */
  uint32_t *counts;
  int64_t *ints;
} reading;

static bool is_contiguous(const mb_tensor *tensor) {
  uint64_t stride = 1;

  for (size_t i = tensor->rank; i-- > 0;) {
    if (tensor->dims[i] != 1 && tensor->strides[i] != stride) {
      return false;
    }
    stride *= tensor->dims[i];
  }
  return true;
}

static mb_status make_window(reading *r) {
  mb_torch_file *file = r->file;
  uint64_t all = mb_member_size(file->member);
  uint64_t most = is_contiguous(r->tensor) ? WINDOW_SIZE : WINDOW_SIZE_MAX;
  size_t size = (size_t)(all < most ? all : most);

  if (size > file->window_size) {
    unsigned char *grown = realloc(file->window, size);
    if (grown == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: %s: no memory for %zu bytes of it", file->input->path,
                     r->name, size);
    }
    file->window = grown;
    file->window_size = size;
  }
  return MB_OK;
}

static mb_status open_storage(reading *r) {
  mb_torch_file *file = r->file;
  const mb_tensor *tensor = r->tensor;
  size_t index = 0;

  if (!find_member(file, "data/", tensor->key, tensor->key_size, &index)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s: its numbers should be in data/%.*s, which is not there",
                   file->input->path, r->name, (int)(tensor->key_size < 64 ? tensor->key_size : 64),
                   tensor->key);
  }
  (void)snprintf(file->what, sizeof file->what, "%.384s: %s", file->input->path, r->name);
  if (file->member == NULL || index != file->member_index) {
    mb_member_close(file->member);
    file->member = NULL;
    MB_TRY(mb_member_open(file->archive, index, file->what, &file->member));
    file->member_index = index;
    file->window_begin = file->window_end = 0;
  }
  uint64_t size = mb_member_size(file->member);
  if (size / mb_dtype_size(tensor->dtype) < tensor->n_stored) {
    return MB_FAIL(
        MB_ERR_FORMAT,
        "%s: %s: its storage has %" PRIu64 " bytes, and should have %" PRIu64 " numbers of type %s",
        file->input->path, r->name, size, tensor->n_stored, mb_dtype_name(tensor->dtype));
  }
  return make_window(r);
}

/* Up to n numbers from one of the storage on, as many as the window has. */
static mb_status window_at(reading *r, uint64_t number, size_t n, const unsigned char **bytes,
                           size_t *n_there) {
  mb_torch_file *file = r->file;
  size_t size = mb_dtype_size(r->tensor->dtype);
  uint64_t begin = number * size;

  if (begin < file->window_begin || begin + size > file->window_end) {
    uint64_t left = mb_member_size(file->member) - begin;
    size_t some = (size_t)(left < file->window_size ? left : file->window_size);
    file->window_begin = file->window_end = 0;
    MB_TRY(mb_member_read(file->member, file->what, begin, some, file->window));
    file->window_begin = begin;
    file->window_end = begin + some;
  }
  uint64_t there = (file->window_end - begin) / size;
  *n_there = there < n ? (size_t)there : n;
  *bytes = file->window + (begin - file->window_begin);
  return MB_OK;
}

/* The index of the element with that place in C order, as "[3,0,17]". */
static char *index_format(const reading *r, uint64_t place, char text[256]) {
  uint64_t index[MB_TENSOR_RANK_MAX];
  size_t at = 0;

  for (size_t i = r->tensor->rank; i-- > 0;) {
    index[i] = place % r->tensor->dims[i];
    place /= r->tensor->dims[i];
  }
  for (size_t i = 0; i < r->tensor->rank; i++) {
    at += (size_t)snprintf(text + at, 256 - at, "%s%" PRIu64, i == 0 ? "[" : ",", index[i]);
  }
  (void)snprintf(text + at, 256 - at, "]");
  return text;
}

static mb_status fail_value(const reading *r, uint64_t place, const void *bytes) {
  char value[MB_NUMBER_TEXT_SIZE];
  char index[256];

  return MB_FAIL(MB_ERR_FORMAT, "%s: %s%s: is %s, and should be a whole number%s",
                 r->file->input->path, r->name, index_format(r, place, index),
                 mb_number_format(r->tensor->dtype, r->file->big_endian, bytes, value),
                 r->counts != NULL ? " from 0 to 4294967295" : "");
}

/* n numbers that lie side by side, to elements [place, place + n) of what was asked for. */
static mb_status read_run(reading *r, uint64_t number, uint64_t place, size_t n) {
  while (n > 0) {
    const unsigned char *bytes = NULL;
    size_t some = 0;
    mb_dtype dtype = r->tensor->dtype;
    MB_TRY(window_at(r, number, n, &bytes, &some));
    size_t good =
        r->counts != NULL
            ? mb_numbers_to_counts(dtype, r->file->big_endian, some, bytes, r->counts + place)
            : mb_numbers_to_ints(dtype, r->file->big_endian, some, bytes, r->ints + place);
    if (good < some) {
      uint64_t row = r->first;
      for (size_t i = 1; i < r->tensor->rank; i++) {
        row *= r->tensor->dims[i];
      }
      return fail_value(r, row + place + good, bytes + good * mb_dtype_size(dtype));
    }
    number += some;
    place += some;
    n -= some;
  }
  return MB_OK;
}

/* Counts the index up, all but its last dimension. @return whether there was a next one. */
static bool next_index(const mb_tensor *tensor, uint64_t first, uint64_t n, uint64_t *index) {
  for (size_t i = tensor->rank - 1; i-- > 0;) {
    uint64_t end = i == 0 ? first + n : tensor->dims[i];
    if (++index[i] < end) {
      return true;
    }
    index[i] = i == 0 ? first : 0;
  }
  return false;
}

static mb_status read_rows(reading *r, uint64_t n) {
  const mb_tensor *tensor = r->tensor;
  uint64_t index[MB_TENSOR_RANK_MAX] = {r->first};
  size_t last = tensor->rank - 1;
  uint64_t width = last == 0 ? n : tensor->dims[last];
  uint64_t stride = tensor->strides[last];
  uint64_t place = 0;

  assert(tensor->rank >= 1 && r->first + n <= tensor->dims[0]);
  for (size_t i = 0; i < tensor->rank; i++) {
    if (n == 0 || tensor->dims[i] == 0) {
      return MB_OK;
    }
  }
  MB_TRY(open_storage(r));
  do {
    uint64_t number = tensor->offset;
    for (size_t i = 0; i <= last; i++) {
      number += index[i] * tensor->strides[i];
    }
    if (stride == 1) {
      MB_TRY(read_run(r, number, place, (size_t)width));
      place += width;
    }
    for (uint64_t j = 0; stride != 1 && j < width; j++) {
      MB_TRY(read_run(r, number + j * stride, place++, 1));
    }
  } while (next_index(tensor, r->first, n, index));
  return MB_OK;
}

mb_status mb_torch_check(mb_torch_file *file, const char *name, const mb_tensor *tensor) {
  reading r = {.file = file, .name = name, .tensor = tensor};

  return open_storage(&r);
}

mb_status mb_torch_read_counts(mb_torch_file *file, const char *name, const mb_tensor *tensor,
                               uint64_t first, uint64_t n, uint32_t *counts) {
  reading r = {.file = file, .name = name, .tensor = tensor, .first = first, .counts = counts};

  return read_rows(&r, n);
}

mb_status mb_torch_read_ints(mb_torch_file *file, const char *name, const mb_tensor *tensor,
                             uint64_t first, uint64_t n, int64_t *ints) {
  reading r = {.file = file, .name = name, .tensor = tensor, .first = first, .ints = ints};

  return read_rows(&r, n);
}
