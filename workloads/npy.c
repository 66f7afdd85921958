/* workloads/npy.c - numpy's arrays, row by row. */
#include "workloads/npy.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workloads/npy_header.h"

/* Read at a time; of an array in Fortran order, whose rows are strewn over all of the file, many
 * rows at once: with 64 MiB, each visit to a column of a large trace takes some thousand bytes. */
static const size_t SCRATCH_BYTES = (size_t)256 << 10;
static const size_t BLOCK_BYTES = (size_t)64 << 20;
enum { RUN = 256 };

struct mb_array {
  char *name;
  mb_npy_bytes bytes;
  mb_npy_header header;
  mb_array_info info;
  uint64_t n_rows, row_size; /* size in elements */
  unsigned char *scratch;    /* SCRATCH_BYTES, or in Fortran order as much as a block */
  uint64_t block_first;      /* in Fortran order: the rows in scratch, [row_size, block_rows] */
  size_t block_rows, block_rows_max;
};

/* Where numbers go to: one of both. */
typedef struct target {
  uint32_t *counts;
  int64_t *ints;
} target;

/* ---- an array's bytes in a file ---- */

static mb_status read_input(void *state, const char *what, uint64_t offset, size_t n, void *bytes) {
  (void)what; /* the input's name says it */
  return mb_input_read(state, "the array's data", offset, n, bytes);
}

static void destroy_temporary(void *state) {
  mb_input_close(state);
  free(state);
}

/* A file without a name, so that it is gone whatever happens. */
static mb_status open_temporary(const char *what, int *file) {
  const char *folder = getenv("TMPDIR");
  char path[4096];

  folder = folder != NULL && folder[0] != '\0' ? folder : "/tmp";
  if ((size_t)snprintf(path, sizeof path, "%s/moebal-XXXXXX", folder) >= sizeof path) {
    return MB_FAIL(MB_ERR_IO, "%s: TMPDIR is too long a name", what);
  }
  *file = mkstemp(path);
  if (*file < 0) {
    return MB_FAIL(MB_ERR_IO, "%s: no temporary file in %s (TMPDIR) to unpack it to: %s", what,
                   folder, strerror(errno));
  }
  (void)unlink(path);
  return MB_OK;
}

static mb_status write_all(const char *what, int file, size_t n, const unsigned char *bytes) {
  for (size_t done = 0; done < n;) {
    ssize_t put = write(file, bytes + done, n - done);
    if (put < 0 && errno != EINTR) {
      return MB_FAIL(MB_ERR_IO, "%s: cannot be unpacked to a temporary file (TMPDIR): %s", what,
                     strerror(errno));
    }
    done += put > 0 ? (size_t)put : 0;
  }
  return MB_OK;
}

static mb_status copy_bytes(const char *what, const mb_npy_bytes *bytes, int file) {
  unsigned char *part = malloc(SCRATCH_BYTES);
  mb_status status = MB_OK;

  if (part == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to unpack %s", what);
  }
  for (uint64_t at = 0; status == MB_OK && at < bytes->size;) {
    uint64_t left = bytes->size - at;
    size_t n = left < SCRATCH_BYTES ? (size_t)left : SCRATCH_BYTES;
    status = bytes->read(bytes->state, what, at, n, part);
    status = status == MB_OK ? write_all(what, file, n, part) : status;
    at += n;
  }
  free(part);
  return status;
}

/* Into a file that can be read here and there. */
static mb_status unpack(const char *what, mb_npy_bytes *bytes) {
  mb_input *input = malloc(sizeof *input);
  int file = -1;

  mb_status status = input != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory to unpack %s", what);
  status = status == MB_OK ? open_temporary(what, &file) : status;
  status = status == MB_OK ? copy_bytes(what, bytes, file) : status;
  if (status == MB_OK) {
    status = mb_input_open_fd(what, file, input);
    file = -1;
  }
  if (status != MB_OK) {
    if (file >= 0) {
      (void)close(file);
    }
    free(input);
    return status;
  }
  mb_npy_bytes_destroy(bytes);
  *bytes = (mb_npy_bytes){
      .size = input->size, .read = read_input, .destroy = destroy_temporary, .state = input};
  return MB_OK;
}

/* ---- opening ---- */

static bool is_strewn(const mb_array *array) {
  return array->header.fortran && array->header.rank > 1;
}

/* The header has been checked against the bytes there are, so a block is no larger than these. */
static mb_status plan_rows(mb_array *array) {
  const mb_npy_header *header = &array->header;
  size_t scratch = SCRATCH_BYTES;

  array->n_rows = header->rank > 0 ? header->dims[0] : 1;
  array->row_size = 1;
  for (size_t d = 1; d < header->rank; d++) {
    array->row_size *= header->n_items > 0 ? header->dims[d] : 0;
  }
  if (is_strewn(array) && header->n_items > 0) {
    uint64_t row_bytes = array->row_size * header->item_size;
    uint64_t fit = row_bytes < BLOCK_BYTES ? BLOCK_BYTES / row_bytes : 1;
    array->block_rows_max = (size_t)(fit < array->n_rows ? fit : array->n_rows);
    scratch = array->block_rows_max * (size_t)row_bytes;
  }
  array->scratch = malloc(scratch);
  return array->scratch != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu bytes of %s", scratch, array->name);
}

static mb_status open_array(mb_array *array) {
  MB_TRY(mb_npy_header_read(array->name, &array->bytes, &array->header));
  if (array->header.is_text) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: holds text; it should hold numbers", array->name);
  }
  array->info = (mb_array_info){
      .name = array->name, .dtype = array->header.dtype, .rank = array->header.rank};
  memcpy(array->info.dims, array->header.dims, sizeof array->info.dims);
  return plan_rows(array);
}

mb_status mb_array_create(const char *name, mb_npy_bytes bytes, mb_array **array) {
  mb_array *made = calloc(1, sizeof *made);

  if (made == NULL || (made->name = strdup(name)) == NULL) {
    mb_npy_bytes_destroy(&bytes);
    free(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", name);
  }
  made->bytes = bytes;
  mb_status status = open_array(made);
  if (status != MB_OK) {
    mb_array_destroy(made);
    return status;
  }
  *array = made;
  return MB_OK;
}

mb_status mb_npy_open(const mb_input *input, mb_array **array) {
  assert(input != NULL && array != NULL);
  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a file", input->path);
  }
  return mb_array_create(
      input->path, (mb_npy_bytes){.size = input->size, .read = read_input, .state = (void *)input},
      array);
}

void mb_array_destroy(mb_array *array) {
  if (array == NULL) {
    return;
  }
  mb_npy_bytes_destroy(&array->bytes);
  free(array->scratch);
  free(array->name);
  free(array);
}

const mb_array_info *mb_array_get_info(const mb_array *array) {
  return &array->info;
}

/* ---- reading ---- */

/* "[3,0,17]" of an element; nothing of a single number. */
static void format_index(const mb_array *array, uint64_t item, char *text, size_t size) {
  uint64_t index[MB_ARRAY_RANK_MAX];
  size_t n = 0;

  for (size_t d = array->info.rank; d-- > 0;) {
    index[d] = item % array->info.dims[d];
    item /= array->info.dims[d];
  }
  text[0] = '\0';
  for (size_t d = 0; d < array->info.rank && n < size; d++) {
    n += (size_t)snprintf(text + n, size - n, "%s%" PRIu64 "%s", d == 0 ? "[" : ",", index[d],
                          d + 1 == array->info.rank ? "]" : "");
  }
}

static mb_status fail_value(const mb_array *array, uint64_t item, const void *bytes, bool counts) {
  char value[MB_NUMBER_TEXT_SIZE];
  char index[MB_ARRAY_RANK_MAX * 24];

  format_index(array, item, index, sizeof index);
  return MB_FAIL(MB_ERR_FORMAT, "%s: %s%sis %s, but should be a whole number%s", array->name, index,
                 index[0] != '\0' ? " " : "",
                 mb_number_format(array->header.dtype, array->header.big_endian, bytes, value),
                 counts ? " from 0 to 4294967295" : "");
}

/* n numbers; returns how many of them could be taken. */
static size_t convert(const mb_array *array, size_t n, const void *bytes, target to) {
  return to.counts != NULL
             ? mb_numbers_to_counts(array->header.dtype, array->header.big_endian, n, bytes,
                                    to.counts)
             : mb_numbers_to_ints(array->header.dtype, array->header.big_endian, n, bytes, to.ints);
}

static target advance(target to, size_t n) {
  return (target){.counts = to.counts != NULL ? to.counts + n : NULL,
                  .ints = to.ints != NULL ? to.ints + n : NULL};
}

/* C order: elements that follow each other. */
static mb_status read_items(mb_array *array, uint64_t first, uint64_t n, target to) {
  size_t item_size = array->header.item_size;

  for (uint64_t done = 0; done < n;) {
    uint64_t left = n - done;
    size_t part = left < SCRATCH_BYTES / item_size ? (size_t)left : SCRATCH_BYTES / item_size;
    MB_TRY(array->bytes.read(array->bytes.state, array->name,
                             array->header.data_offset + (first + done) * item_size,
                             part * item_size, array->scratch));
    size_t good = convert(array, part, array->scratch, to);
    if (good < part) {
      return fail_value(array, first + done + good, array->scratch + good * item_size,
                        to.counts != NULL);
    }
    to = advance(to, part);
    done += part;
  }
  return MB_OK;
}

/* Fortran order: fills the block with rows from `first` on, a visit to each column; with one visit
 * if it takes all rows. */
static mb_status load_block(mb_array *array, uint64_t first) {
  size_t item_size = array->header.item_size;
  uint64_t left = array->n_rows - first;
  size_t rows = left < array->block_rows_max ? (size_t)left : array->block_rows_max;
  uint64_t n_visits = rows == array->n_rows ? 1 : array->row_size;
  size_t n_bytes = (rows == array->n_rows ? rows * (size_t)array->row_size : rows) * item_size;

  array->block_rows = 0;
  if (array->bytes.sequential) {
    MB_TRY(unpack(array->name, &array->bytes));
  }
  for (uint64_t c = 0; c < n_visits; c++) {
    MB_TRY(array->bytes.read(array->bytes.state, array->name,
                             array->header.data_offset + (c * array->n_rows + first) * item_size,
                             n_bytes, array->scratch + (size_t)c * n_bytes));
  }
  array->block_first = first;
  array->block_rows = rows;
  return MB_OK;
}

/* Of the block's column `from`: n rows, which become element `to_item` of the target's rows. */
static mb_status take_column(const mb_array *array, uint64_t first, size_t n, uint64_t from,
                             uint64_t to_item, target to) {
  uint32_t counts[RUN];
  int64_t ints[RUN];
  size_t item_size = array->header.item_size;
  const unsigned char *column =
      array->scratch +
      ((size_t)from * array->block_rows + (size_t)(first - array->block_first)) * item_size;

  for (size_t done = 0; done < n;) {
    size_t part = n - done < RUN ? n - done : RUN;
    const unsigned char *bytes = column + done * item_size;
    size_t good = convert(array, part, bytes,
                          (target){.counts = to.counts != NULL ? counts : NULL, .ints = ints});
    if (good < part) {
      return fail_value(array, (first + done + good) * array->row_size + to_item,
                        bytes + good * item_size, to.counts != NULL);
    }
    for (size_t i = 0; i < part; i++) {
      size_t at = (done + i) * (size_t)array->row_size + (size_t)to_item;
      if (to.counts != NULL) {
        to.counts[at] = counts[i];
      } else if (to.ints != NULL) {
        to.ints[at] = ints[i];
      }
    }
    done += part;
  }
  return MB_OK;
}

/* All columns, in the order of the file, where the row's first index runs fastest. */
static mb_status take_rows(const mb_array *array, uint64_t first, size_t n, target to) {
  uint64_t index[MB_ARRAY_RANK_MAX] = {0};
  uint64_t stride[MB_ARRAY_RANK_MAX] = {0};
  uint64_t to_item = 0;
  size_t rank = array->info.rank;

  stride[rank - 1] = 1;
  for (size_t d = rank - 1; d-- > 1;) {
    stride[d] = stride[d + 1] * array->info.dims[d + 1];
  }
  for (uint64_t c = 0; c < array->row_size; c++) {
    MB_TRY(take_column(array, first, n, c, to_item, to));
    for (size_t d = 1; d < rank; d++) {
      to_item += stride[d];
      if (++index[d] < array->info.dims[d]) {
        break;
      }
      to_item -= stride[d] * index[d];
      index[d] = 0;
    }
  }
  return MB_OK;
}

static mb_status read_strewn(mb_array *array, uint64_t first, size_t n, target to) {
  for (size_t done = 0; done < n;) {
    uint64_t row = first + done;
    if (row < array->block_first || row >= array->block_first + array->block_rows) {
      MB_TRY(load_block(array, row));
    }
    uint64_t left = array->block_first + array->block_rows - row;
    size_t part = left < n - done ? (size_t)left : n - done;
    MB_TRY(take_rows(array, row, part, advance(to, done * (size_t)array->row_size)));
    done += part;
  }
  return MB_OK;
}

static mb_status read_rows(mb_array *array, uint64_t first, size_t n, target to) {
  assert(first <= array->n_rows && n <= array->n_rows - first);
  if (n == 0 || array->row_size == 0) {
    return MB_OK;
  }
  return is_strewn(array) ? read_strewn(array, first, n, to)
                          : read_items(array, first * array->row_size, n * array->row_size, to);
}

/* Where a row's element, counted in C order, is among the columns of Fortran order. */
static uint64_t find_column(const mb_array *array, uint64_t item) {
  uint64_t index[MB_ARRAY_RANK_MAX] = {0};
  uint64_t column = 0;

  for (size_t d = array->info.rank; d-- > 1;) {
    index[d] = item % array->info.dims[d];
    item /= array->info.dims[d];
  }
  for (size_t d = array->info.rank; d-- > 1;) {
    column = column * array->info.dims[d] + index[d];
  }
  return column;
}

static mb_status read_strewn_part(mb_array *array, uint64_t row, uint64_t first, size_t n,
                                  uint32_t *counts) {
  if (row < array->block_first || row >= array->block_first + array->block_rows) {
    MB_TRY(load_block(array, row));
  }
  for (size_t i = 0; i < n; i++) {
    size_t at = (size_t)find_column(array, first + i) * array->block_rows +
                (size_t)(row - array->block_first);
    const unsigned char *bytes = array->scratch + at * array->header.item_size;
    if (convert(array, 1, bytes, (target){.counts = counts + i}) != 1) {
      return fail_value(array, row * array->row_size + first + i, bytes, true);
    }
  }
  return MB_OK;
}

mb_status mb_array_read_part(mb_array *array, uint64_t row, uint64_t first, size_t n,
                             uint32_t *counts) {
  assert(row < array->n_rows && first <= array->row_size && n <= array->row_size - first);
  return is_strewn(array)
             ? read_strewn_part(array, row, first, n, counts)
             : read_items(array, row * array->row_size + first, n, (target){.counts = counts});
}

mb_status mb_array_read_counts(mb_array *array, uint64_t first, size_t n, uint32_t *counts) {
  assert(array != NULL && counts != NULL);
  return read_rows(array, first, n, (target){.counts = counts});
}

mb_status mb_array_read_ints(mb_array *array, uint64_t first, size_t n, int64_t *ints) {
  assert(array != NULL && ints != NULL);
  return read_rows(array, first, n, (target){.ints = ints});
}
