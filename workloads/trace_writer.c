/* workloads/trace_writer.c - trace files, written under another name until they are whole. */
#include <assert.h>
#include <errno.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "workloads/chunk_writer.h"
#include "workloads/digest.h"
#include "workloads/new_file.h"
#include "workloads/trace.h"
#include "workloads/trace_info.h"

/* Chunks of one number a step. */
static const hsize_t COLUMN_CHUNK = 4096;
enum { COLUMN_DEFLATE_LEVEL = 4 };

/* /load and what stands beside it, all uint32; and columns of one number a step. */
enum { LOAD, BY_SOURCE, TOKENS, N_TABLES };
enum { STEP_TIME, STEP_PHASE, N_COLUMNS };

struct mb_trace_writer {
  char *path; /* as given, for messages */
  mb_new_file place;
  hid_t file;
  mb_chunk_writer *tables[N_TABLES]; /* NULL: not there */
  hid_t columns[N_COLUMNS];          /* -1: not there */
  mb_trace_info info;                /* n_steps counts those written */
  XXH3_state_t *hash;
  bool failed;
};

/* HDF5 leaves errno as the system call that failed set it; whoever calls HDF5 sets it to 0. */
static mb_status fail_write(const mb_trace_writer *writer) {
  int why = errno;

  return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", writer->path,
                 why != 0 ? strerror(why) : "HDF5 does not say why; is the disk full?");
}

/* What has the name already is replaced in the end: only where that can be meant. */
static mb_status check_place(const char *path) {
  struct stat there;

  if (stat(path, &there) != 0) {
    return MB_OK;
  }
  if (S_ISDIR(there.st_mode)) {
    return MB_FAIL(MB_ERR_IO, "%s: is a folder: give a file in it", path);
  }
  if (!S_ISREG(there.st_mode) || (there.st_size > 0 && !mb_file_is_hdf5(path)) ||
      mb_file_has_format(path, "moebal-results")) {
    return MB_FAIL(MB_ERR_IO, "%s: is there, and no trace: give another name", path);
  }
  return MB_OK;
}

static bool put_attribute(hid_t file, const char *name, hid_t type, hid_t space,
                          const void *values) {
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  bool good = attribute >= 0 && H5Awrite(attribute, type, values) >= 0;

  return H5Aclose(attribute) >= 0 && good;
}

static bool put_text(hid_t file, const char *name, const char *text) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t type = H5Tcopy(H5T_C_S1);
  bool good = space >= 0 && type >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0 &&
              H5Tset_cset(type, H5T_CSET_UTF8) >= 0 && put_attribute(file, name, type, space, text);

  (void)H5Tclose(type);
  (void)H5Sclose(space);
  return good;
}

/* A text that is not known is left out. */
static bool put_known(hid_t file, const char *name, const char *text) {
  return text == NULL || text[0] == '\0' || put_text(file, name, text);
}

static bool put_int(hid_t file, const char *name, int64_t value) {
  hid_t space = H5Screate(H5S_SCALAR);
  bool good = space >= 0 && put_attribute(file, name, H5T_NATIVE_INT64, space, &value);

  (void)H5Sclose(space);
  return good;
}

static bool put_layer_ids(hid_t file, const mb_trace_info *info) {
  hsize_t n = info->n_layers;
  hid_t space = H5Screate_simple(1, &n, NULL);
  bool good =
      space >= 0 && put_attribute(file, "layer_ids", H5T_NATIVE_INT32, space, info->layer_ids);

  (void)H5Sclose(space);
  return good;
}

static bool put_attributes(hid_t file, const mb_trace_info *info) {
  return put_text(file, "format", "moebal-trace") && put_int(file, "version", MB_TRACE_VERSION) &&
         put_text(file, "model", info->model) && put_int(file, "top_k", info->top_k) &&
         put_int(file, "num_groups", info->n_groups) && put_layer_ids(file, info) &&
         put_text(file, "phase", mb_phase_name(info->phase)) &&
         put_text(file, "source", info->source) && put_text(file, "created_by", info->created_by) &&
         put_known(file, "padding", info->padding) && put_known(file, "counts", info->counts) &&
         put_known(file, "source_semantics", info->source_semantics) &&
         (info->steps_per_record < 1 || put_int(file, "steps_per_record", info->steps_per_record));
}

static const struct {
  const char *name;
  unsigned object;
} column_types[N_COLUMNS] = {[STEP_TIME] = {"step_time", MB_TRACE_STEP_TIME},
                             [STEP_PHASE] = {"step_phase", MB_TRACE_STEP_PHASE}};

static mb_status create_tables(mb_trace_writer *writer) {
  const mb_trace_info *info = &writer->info;
  const struct {
    const char *name;
    bool wanted;
    int rank;
    hsize_t dims[4];
  } types[N_TABLES] = {
      [LOAD] = {"load", true, 3, {0, info->n_layers, info->n_experts}},
      [BY_SOURCE] = {"load_by_source",
                     (info->objects & MB_TRACE_LOAD_BY_SOURCE) != 0,
                     4,
                     {0, info->n_layers, info->n_sources, info->n_experts}},
      [TOKENS] = {"tokens", (info->objects & MB_TRACE_TOKENS) != 0, 2, {0, info->n_sources}},
  };

  for (int i = 0; i < N_TABLES; i++) {
    if (types[i].wanted) {
      MB_TRY(mb_chunk_writer_create(writer->file, types[i].name, types[i].rank, types[i].dims,
                                    &writer->tables[i]));
    }
  }
  return MB_OK;
}

static hid_t create_column(hid_t file, const char *name, hid_t type) {
  const hsize_t none = 0;
  const hsize_t most = H5S_UNLIMITED;
  hid_t space = H5Screate_simple(1, &none, &most);
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
  hid_t made = -1;

  if (space >= 0 && plist >= 0 && H5Pset_chunk(plist, 1, &COLUMN_CHUNK) >= 0 &&
      H5Pset_shuffle(plist) >= 0 && H5Pset_deflate(plist, COLUMN_DEFLATE_LEVEL) >= 0 &&
      H5Pset_obj_track_times(plist, false) >= 0) {
    made = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  }
  (void)H5Pclose(plist);
  (void)H5Sclose(space);
  return made;
}

static bool create_columns(mb_trace_writer *writer) {
  for (int c = 0; c < N_COLUMNS; c++) {
    if ((writer->info.objects & column_types[c].object) != 0) {
      writer->columns[c] = create_column(writer->file, column_types[c].name,
                                         c == STEP_TIME ? H5T_IEEE_F64LE : H5T_STD_U8LE);
      if (writer->columns[c] < 0) {
        return false;
      }
    }
  }
  return true;
}

/* The format of HDF5 1.10, because its metadata has checksums; without times, so that the same
   loads give the same bytes. */
static hid_t create_hdf5(const char *path) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  hid_t file = -1;

  if (access >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
      creation >= 0 && H5Pset_obj_track_times(creation, false) >= 0) {
    file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  }
  (void)H5Pclose(creation);
  (void)H5Pclose(access);
  return file;
}

static mb_status create_file(mb_trace_writer *writer) {
  MB_TRY(check_place(writer->path));
  MB_TRY(mb_new_file_open(writer->path, &writer->place));
  errno = 0;
  writer->file = create_hdf5(writer->place.temporary);
  if (writer->file < 0 || !put_attributes(writer->file, &writer->info)) {
    return fail_write(writer);
  }
  mb_status status = create_tables(writer);
  if (status == MB_ERR_IO || (status == MB_OK && !create_columns(writer))) {
    return fail_write(writer);
  }
  return status;
}

static mb_status check_objects(const char *path, const mb_trace_info *info) {
  unsigned by_source = info->objects & (MB_TRACE_LOAD_BY_SOURCE | MB_TRACE_TOKENS);

  if ((info->objects & MB_TRACE_TOPK) != 0) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: /topk can not be written", path);
  }
  if (by_source != 0) {
    if (info->n_sources < 1 || info->n_sources > MB_TRACE_SIZE_MAX) {
      return MB_FAIL(MB_ERR_SHAPE, "%s: loads of %zu ranks: there should be at least 1", path,
                     info->n_sources);
    }
    return mb_trace_sizes_check(path, info->n_layers * info->n_sources, info->n_experts);
  }
  return MB_OK;
}

mb_status mb_trace_writer_create(const char *path, const mb_trace_info *info,
                                 mb_trace_writer **writer) {
  assert(path != NULL && info != NULL && writer != NULL);
  MB_TRY(mb_trace_info_check(path, info));
  MB_TRY(check_objects(path, info));
  mb_trace_writer *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", path);
  }
  made->file = -1;
  for (int c = 0; c < N_COLUMNS; c++) {
    made->columns[c] = -1;
  }
  made->path = strdup(path);
  made->hash = XXH3_createState();
  mb_status status = mb_trace_info_copy(info, &made->info);
  made->info.n_steps = 0;
  if (status == MB_OK &&
      (made->path == NULL || made->hash == NULL || XXH3_128bits_reset(made->hash) != XXH_OK)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", path);
  }
  status = status == MB_OK ? create_file(made) : status;
  if (status != MB_OK) {
    mb_trace_writer_destroy(made);
    return status;
  }
  *writer = made;
  return MB_OK;
}

/* Numbers [n_steps, n_steps + n) of a column. */
static bool write_column(const mb_trace_writer *writer, int which, size_t n, const void *numbers) {
  hsize_t start = writer->info.n_steps;
  hsize_t count = n;
  hsize_t end = start + count;

  if (H5Dset_extent(writer->columns[which], &end) < 0) {
    return false;
  }
  hid_t space = H5Dget_space(writer->columns[which]);
  hid_t memory = H5Screate_simple(1, &count, NULL);
  hid_t type = which == STEP_TIME ? H5T_NATIVE_DOUBLE : H5T_NATIVE_UINT8;
  bool good = space >= 0 && memory >= 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL) >= 0 &&
              H5Dwrite(writer->columns[which], type, memory, space, H5P_DEFAULT, numbers) >= 0;
  (void)H5Sclose(memory);
  (void)H5Sclose(space);
  return good;
}

static bool write_steps(mb_trace_writer *writer, size_t n, const mb_trace_steps *steps) {
  const uint32_t *tables[N_TABLES] = {
      [LOAD] = steps->load, [BY_SOURCE] = steps->load_by_source, [TOKENS] = steps->tokens};
  const void *columns[N_COLUMNS] = {
      [STEP_TIME] = steps->step_time, [STEP_PHASE] = steps->step_phase};

  for (int i = 0; i < N_TABLES; i++) {
    assert((tables[i] != NULL) == (writer->tables[i] != NULL));
    if (writer->tables[i] != NULL && !mb_chunk_writer_append(writer->tables[i], n, tables[i])) {
      return false;
    }
  }
  for (int c = 0; c < N_COLUMNS; c++) {
    assert((columns[c] != NULL) == (writer->columns[c] >= 0));
    if (writer->columns[c] >= 0 && !write_column(writer, c, n, columns[c])) {
      return false;
    }
  }
  return true;
}

mb_status mb_trace_writer_append_steps(mb_trace_writer *writer, size_t n,
                                       const mb_trace_steps *steps) {
  size_t step_size = writer->info.n_layers * writer->info.n_experts;

  if (n == 0) {
    return MB_OK;
  }
  errno = 0;
  if (writer->failed || !write_steps(writer, n, steps)) {
    writer->failed = true;
    return fail_write(writer);
  }
  (void)XXH3_128bits_update(writer->hash, steps->load, n * step_size * sizeof *steps->load);
  writer->info.n_steps += n;
  return MB_OK;
}

mb_status mb_trace_writer_append(mb_trace_writer *writer, size_t n, const uint32_t *load) {
  return mb_trace_writer_append_steps(writer, n, &(mb_trace_steps){.load = load});
}

static bool put_digest(mb_trace_writer *writer) {
  char digest[MB_DIGEST_SIZE];

  mb_digest_format(writer->hash, digest);
  return put_text(writer->file, "load_xxh3", digest);
}

/* What is in caches goes to the disk first: a dataset's close does not tell whether it could. */
static bool close_file(mb_trace_writer *writer) {
  for (int i = 0; i < N_TABLES; i++) {
    if (writer->tables[i] != NULL && !mb_chunk_writer_flush(writer->tables[i])) {
      return false;
    }
  }
  if (H5Fflush(writer->file, H5F_SCOPE_GLOBAL) < 0) {
    return false;
  }
  bool good = true;
  for (int i = 0; i < N_TABLES; i++) {
    good = (writer->tables[i] == NULL || mb_chunk_writer_close(writer->tables[i])) && good;
    writer->tables[i] = NULL;
  }
  for (int c = 0; c < N_COLUMNS; c++) {
    good = (writer->columns[c] < 0 || H5Dclose(writer->columns[c]) >= 0) && good;
    writer->columns[c] = -1;
  }
  good = H5Fclose(writer->file) >= 0 && good;
  writer->file = -1;
  return good;
}

mb_status mb_trace_writer_finish(mb_trace_writer *writer) {
  mb_status status = MB_OK;

  errno = 0;
  if (writer->info.n_steps == 0) {
    status = MB_FAIL(MB_ERR_SHAPE, "%s: a trace needs at least one step", writer->path);
  } else if (writer->failed || !put_digest(writer) || !close_file(writer)) {
    status = fail_write(writer);
  } else {
    status = mb_new_file_commit(&writer->place);
  }
  mb_trace_writer_destroy(writer);
  return status;
}

/* A file that is still open is dropped, not closed: libhdf5 1.10 crashes in closing what it could
 * not write, and nobody will look at it. */
void mb_trace_writer_destroy(mb_trace_writer *writer) {
  if (writer == NULL) {
    return;
  }
  for (int i = 0; i < N_TABLES; i++) {
    mb_chunk_writer_abandon(writer->tables[i]);
  }
  mb_new_file_close(&writer->place);
  mb_trace_info_fini(&writer->info);
  (void)XXH3_freeState(writer->hash);
  free(writer->path);
  free(writer);
}
