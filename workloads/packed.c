/* workloads/packed.c */
#include "workloads/packed.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/new_file.h"
#include "workloads/trace_info.h"

/* Loads of a block, unless a single step has more. */
enum { BLOCK_LOADS = 1 << 18 };

/* A mb_trace_info follows, its layer_ids, and its texts, each with its length before it. */
static const char magic[8] = {'m', 'b', 'l', 'o', 'a', 'd', 's', '1'};

static size_t count_step(const mb_trace_info *info) {
  return info->n_layers * info->n_experts;
}

static size_t count_block_steps(const mb_trace_info *info) {
  size_t fit = BLOCK_LOADS / count_step(info);

  return fit > 0 ? fit : 1;
}

/* The texts of a mb_trace_info, to be written and read in one order. */
enum { N_TEXTS = 6 };

static void list_texts(mb_trace_info *info, const char **text[N_TEXTS]) {
  text[0] = &info->model;
  text[1] = &info->source;
  text[2] = &info->created_by;
  text[3] = &info->padding;
  text[4] = &info->counts;
  text[5] = &info->source_semantics;
}

uint64_t mb_packed_bytes_likely(const mb_trace_info *info) {
  return (uint64_t)info->n_steps * info->n_layers * info->n_experts * sizeof(uint16_t);
}

/* --- writing --- */

static uint64_t find_width(size_t n, const uint32_t *load) {
  uint32_t all = 0;

  for (size_t i = 0; i < n; i++) {
    all |= load[i];
  }
  return all > UINT16_MAX ? sizeof(uint32_t) : all > UINT8_MAX ? sizeof(uint16_t) : 1;
}

/* In place: no load is written where one that is yet to be read lies. */
static void narrow(size_t n, uint64_t width, void *block) {
  const uint32_t *load = block;

  for (size_t i = 0; i < n && width == 1; i++) {
    ((uint8_t *)block)[i] = (uint8_t)load[i];
  }
  for (size_t i = 0; i < n && width == sizeof(uint16_t); i++) {
    uint16_t narrowed = (uint16_t)load[i];
    memcpy((char *)block + i * sizeof narrowed, &narrowed, sizeof narrowed);
  }
}

static bool write_info(const mb_trace_info *info, FILE *stream) {
  mb_trace_info plain = *info;
  const char **text[N_TEXTS];

  plain.objects = 0;
  plain.n_sources = 0;
  list_texts(&plain, text);
  bool good =
      fwrite(magic, sizeof magic, 1, stream) == 1 && fwrite(&plain, sizeof plain, 1, stream) == 1 &&
      fwrite(info->layer_ids, sizeof *info->layer_ids, info->n_layers, stream) == info->n_layers;
  for (size_t i = 0; i < N_TEXTS && good; i++) {
    uint64_t length = strlen(*text[i]);
    good = fwrite(&length, sizeof length, 1, stream) == 1 &&
           fwrite(*text[i], 1, length, stream) == length;
  }
  return good;
}

static mb_status write_all(mb_source *source, FILE *stream, uint32_t *block,
                           mb_status (*check)(void)) {
  const mb_trace_info *info = mb_source_get_info(source);
  size_t block_steps = count_block_steps(info);
  bool good = write_info(info, stream);

  for (size_t t = 0; t < info->n_steps && good; t += block_steps) {
    size_t left = info->n_steps - t;
    size_t n_steps = left < block_steps ? left : block_steps;
    size_t n = n_steps * count_step(info);
    MB_TRY(check != NULL ? check() : MB_OK);
    MB_TRY(mb_source_read(source, n_steps, block));
    uint64_t width = find_width(n, block);
    narrow(n, width, block);
    good = fwrite(&width, sizeof width, 1, stream) == 1 && fwrite(block, width, n, stream) == n;
  }
  if (!good || fflush(stream) != 0) {
    return MB_FAIL(MB_ERR_IO, "loads cannot be written: %s", strerror(errno));
  }
  return MB_OK;
}

static mb_status write_file(mb_source *source, const char *path, mb_status (*check)(void)) {
  const mb_trace_info *info = mb_source_get_info(source);
  uint32_t *block = malloc(count_block_steps(info) * count_step(info) * sizeof *block);
  FILE *stream = fopen(path, "wb");
  mb_status status = MB_OK;

  if (block == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to pack loads");
  } else if (stream == NULL) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  } else {
    status = write_all(source, stream, block, check);
  }
  if (stream != NULL && fclose(stream) != 0 && status == MB_OK) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  free(block);
  return status;
}

mb_status mb_packed_write(mb_source *source, const char *path, mb_status (*check)(void)) {
  mb_new_file file = {NULL, NULL};

  mb_status status = mb_new_file_open(path, &file);
  if (status == MB_OK) {
    status = write_file(source, file.temporary, check);
  }
  if (status == MB_OK) {
    status = mb_new_file_commit(&file);
  }
  mb_new_file_close(&file);
  return status;
}

/* --- reading --- */

struct mb_packed {
  FILE *stream;
  mb_trace_info info; /* owned */
  size_t n_read;      /* steps */
  uint64_t width;     /* of the block that the next step is in */
  void *step;         /* [L,E] as the file has it */
};

/* Sizes are looked at before anything is allocated by them. */
static bool read_layer_ids(mb_packed *packed, size_t n) {
  int32_t *layer_ids = calloc(n > 0 ? n : 1, sizeof *layer_ids);

  packed->info.layer_ids = layer_ids;
  return layer_ids != NULL && fread(layer_ids, sizeof *layer_ids, n, packed->stream) == n;
}

static bool read_text(FILE *stream, const char **text) {
  enum { LONGEST = 1 << 20 };
  uint64_t length = 0;

  if (fread(&length, sizeof length, 1, stream) != 1 || length > LONGEST) {
    return false;
  }
  char *made = calloc(length + 1, 1);
  *text = made;
  return made != NULL && fread(made, 1, length, stream) == length;
}

/* The pointers of the info that was written are nobody's here. */
static bool read_info(mb_packed *packed) {
  char mark[sizeof magic];
  mb_trace_info info;
  const char **text[N_TEXTS];

  if (fread(mark, sizeof mark, 1, packed->stream) != 1 || memcmp(mark, magic, sizeof mark) != 0 ||
      fread(&info, sizeof info, 1, packed->stream) != 1 ||
      mb_trace_sizes_check("packed loads", info.n_layers, info.n_experts) != MB_OK) {
    return false;
  }
  info.layer_ids = NULL;
  list_texts(&info, text);
  for (size_t i = 0; i < N_TEXTS; i++) {
    *text[i] = NULL;
  }
  packed->info = info;
  bool good = read_layer_ids(packed, info.n_layers);
  list_texts(&packed->info, text);
  for (size_t i = 0; i < N_TEXTS && good; i++) {
    good = read_text(packed->stream, text[i]);
  }
  return good;
}

mb_status mb_packed_open(const char *path, mb_packed **packed) {
  mb_packed *made = calloc(1, sizeof *made);
  mb_status status = MB_OK;

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", path);
  }
  made->stream = fopen(path, "rb");
  if (made->stream == NULL) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  } else if (!read_info(made)) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: has no packed loads, or lacks some", path);
  } else if ((made->step = malloc(count_step(&made->info) * sizeof(uint32_t))) == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", path);
  }
  if (status != MB_OK) {
    mb_packed_close(made);
    return status;
  }
  *packed = made;
  return MB_OK;
}

void mb_packed_close(mb_packed *packed) {
  if (packed == NULL) {
    return;
  }
  if (packed->stream != NULL) {
    (void)fclose(packed->stream);
  }
  mb_trace_info_fini(&packed->info);
  free(packed->step);
  free(packed);
}

const mb_trace_info *mb_packed_get_info(const mb_packed *packed) {
  return &packed->info;
}

static void widen(size_t n, uint64_t width, const void *step, uint32_t *load) {
  if (width == 1) {
    const uint8_t *narrow1 = step;
    for (size_t i = 0; i < n; i++) {
      load[i] = narrow1[i];
    }
  } else if (width == sizeof(uint16_t)) {
    const uint16_t *narrow2 = step;
    for (size_t i = 0; i < n; i++) {
      load[i] = narrow2[i];
    }
  } else {
    memcpy(load, step, n * sizeof *load);
  }
}

static bool read_step(mb_packed *packed, uint32_t *load) {
  size_t n = count_step(&packed->info);

  if (packed->n_read % count_block_steps(&packed->info) == 0 &&
      fread(&packed->width, sizeof packed->width, 1, packed->stream) != 1) {
    return false;
  }
  uint64_t width = packed->width;
  if ((width != 1 && width != sizeof(uint16_t) && width != sizeof(uint32_t)) ||
      fread(packed->step, packed->width, n, packed->stream) != n) {
    return false;
  }
  widen(n, packed->width, packed->step, load);
  packed->n_read++;
  return true;
}

mb_status mb_packed_read(mb_packed *packed, size_t n, uint32_t *load) {
  assert(n <= packed->info.n_steps - packed->n_read);
  for (size_t i = 0; i < n; i++) {
    if (!read_step(packed, load + i * count_step(&packed->info))) {
      return MB_FAIL(MB_ERR_IO, "packed loads end at step %zu of %zu", packed->n_read,
                     packed->info.n_steps);
    }
  }
  return MB_OK;
}
