/* workloads/import_hdf5.c - loads in any dataset of an HDF5 file, as h5py or MATLAB writes them. */
#include "workloads/import_hdf5.h"

#include <assert.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/import_array.h"
#include "workloads/importer.h"
#include "workloads/number.h"
#include "workloads/trace_file.h"
#include "workloads/trace_probe.h"

enum { N_DATASETS_MAX = 256, NAME_SIZE = 1024 };

/* Loads that are read at a time where the file has no chunks; where it has, at most this. */
static const uint64_t BLOCK_BYTES = (uint64_t)4 << 20;
static const uint64_t BLOCK_BYTES_MAX = (uint64_t)128 << 20;

/* Datasets that can be loads. */
typedef struct findings {
  char *names[N_DATASETS_MAX];
  size_t n;
  bool failed;
} findings;

typedef struct source {
  const mb_input *input;
  const char *name; /* "FILE: /PATH" */
  mb_h5_dataset dataset;
  hid_t type; /* in memory */
  mb_dtype dtype;
  uint64_t dims[3];
  size_t row_size; /* numbers */
} source;

static bool is_big_endian(void) {
  return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
}

static bool recognise(const mb_input *input) {
  return mb_input_begins(input, "\x89HDF\r\n\x1a\n", 8);
}

/* ---- which dataset ---- */

/* A type that a dataset's numbers can be read as without loss; -1: they are none. */
static hid_t memory_type(hid_t type, mb_dtype *dtype) {
  H5T_class_t class = H5Tget_class(type);
  size_t size = H5Tget_size(type);
  bool is_signed = H5Tget_sign(type) != H5T_SGN_NONE;

  if (class == H5T_FLOAT) {
    *dtype = size <= 4 ? MB_DTYPE_F32 : MB_DTYPE_F64;
    return size <= 4 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
  }
  if (class != H5T_INTEGER || size > 8) {
    return -1;
  }
  if (size == 1) {
    *dtype = is_signed ? MB_DTYPE_I8 : MB_DTYPE_U8;
    return is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8;
  }
  if (size == 2) {
    *dtype = is_signed ? MB_DTYPE_I16 : MB_DTYPE_U16;
    return is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16;
  }
  if (size <= 4) {
    *dtype = is_signed ? MB_DTYPE_I32 : MB_DTYPE_U32;
    return is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32;
  }
  *dtype = is_signed ? MB_DTYPE_I64 : MB_DTYPE_U64;
  return is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64;
}

/* Dimensions and numbers of a dataset: whether it can be loads. */
static bool can_be_loads(hid_t file, const char *name, int *rank) {
  hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
  mb_dtype dtype;

  if (dataset < 0) {
    return false;
  }
  hid_t space = H5Dget_space(dataset);
  hid_t type = H5Dget_type(dataset);
  *rank = H5Sget_simple_extent_ndims(space);
  bool can = (*rank == 2 || *rank == 3) && memory_type(type, &dtype) >= 0;
  (void)H5Tclose(type);
  (void)H5Sclose(space);
  (void)H5Dclose(dataset);
  return can;
}

static herr_t visit(hid_t file, const char *name, const H5O_info_t *info, void *data) {
  findings *found = data;
  int rank = 0;

  if (info->type != H5O_TYPE_DATASET || !can_be_loads(file, name, &rank)) {
    return 0;
  }
  if (found->n == N_DATASETS_MAX) {
    return 1; /* which ends the visit */
  }
  found->names[found->n] = strdup(name);
  found->failed = found->names[found->n] == NULL;
  found->n += found->failed ? 0 : 1;
  return found->failed ? -1 : 0;
}

static mb_status find_dataset(const mb_input *input, hid_t file, mb_import *import, char **name) {
  findings found = {.n = 0};
  mb_status status = MB_OK;
  size_t chosen = 0;

  herr_t visited = H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, visit, &found, H5O_INFO_BASIC);
  if (visited > 0) {
    status = MB_FAIL(MB_ERR_PARAM, "%s: has more than %d arrays: say which with --dataset NAME",
                     input->path, N_DATASETS_MAX);
  } else if (visited < 0) {
    status = found.failed ? MB_FAIL(MB_ERR_MEMORY, "no memory for the datasets of %s", input->path)
                          : MB_FAIL(MB_ERR_FORMAT, "%s: damaged, HDF5 cannot read it", input->path);
  }
  if (status == MB_OK) {
    status =
        mb_load_array_choose(input, found.n, (const char *const *)found.names, import, &chosen);
  }
  for (size_t i = 0; i < found.n; i++) {
    if (status == MB_OK && i == chosen) {
      *name = found.names[i];
    } else {
      free(found.names[i]);
    }
  }
  return status;
}

/* A path whose every part is in this file; leading slashes don't count. */
static mb_status check_path(const mb_input *input, hid_t file, const char *name) {
  char part[NAME_SIZE];

  if (name[0] == '\0' || strlen(name) >= sizeof part) {
    return MB_FAIL(MB_ERR_PARAM, "%s: --dataset should be a path such as group/load", input->path);
  }
  for (size_t n = 1; n <= strlen(name); n++) {
    if (name[n] != '/' && name[n] != '\0') {
      continue;
    }
    (void)snprintf(part, sizeof part, "%.*s", (int)n, name);
    H5L_info_t about;
    if (H5Lexists(file, part, H5P_DEFAULT) <= 0 ||
        H5Lget_info(file, part, &about, H5P_DEFAULT) < 0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: there is no /%s", input->path, part);
    }
    if (about.type != H5L_TYPE_HARD) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: is a link to elsewhere; give the place it leads to",
                     input->path, part);
    }
  }
  return MB_OK;
}

static mb_status name_dataset(const mb_input *input, hid_t file, const char *given,
                              mb_import *import, char **name) {
  if (given == NULL) {
    return find_dataset(input, file, import, name);
  }
  given += strspn(given, "/");
  MB_TRY(check_path(input, file, given));
  *name = strdup(given);
  return *name != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", input->path);
}

/* ---- its numbers ---- */

static mb_status fail_value(const source *from, uint64_t first, size_t at, const void *bytes) {
  char value[MB_NUMBER_TEXT_SIZE];
  char index[96];
  uint64_t row = first + at / from->row_size;
  uint64_t left = at % from->row_size;

  if (from->dataset.rank == 3) {
    (void)snprintf(index, sizeof index, "%" PRIu64 ",%" PRIu64 ",%" PRIu64, row,
                   left / from->dims[2], left % from->dims[2]);
  } else {
    (void)snprintf(index, sizeof index, "%" PRIu64 ",%" PRIu64, row, left);
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s: [%s] is %s, but should be a whole number from 0 to 4294967295",
                 from->name, index, mb_number_format(from->dtype, is_big_endian(), bytes, value));
}

static mb_status read_rows(source *from, uint64_t first, size_t n, void *raw) {
  hsize_t start[3] = {first};
  hsize_t count[3];

  memcpy(count, from->dataset.dims, sizeof count);
  count[0] = n;
  hid_t rows = H5Screate_simple(from->dataset.rank, count, NULL);
  bool good =
      rows >= 0 &&
      H5Sselect_hyperslab(from->dataset.space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
      H5Dread(from->dataset.id, from->type, rows, from->dataset.space, H5P_DEFAULT, raw) >= 0;
  (void)H5Sclose(rows);
  return good ? MB_OK
              : MB_FAIL(MB_ERR_FORMAT,
                        "%s: rows %" PRIu64 " to %" PRIu64 " are damaged and cannot be read",
                        from->name, first, first + n - 1);
}

static mb_status read_counts(void *state, uint64_t first, size_t n, uint32_t *counts) {
  source *from = state;
  size_t n_numbers = n * from->row_size;
  size_t size = mb_dtype_size(from->dtype);
  unsigned char *raw = malloc(n_numbers * size);

  if (raw == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu rows of %s", n, from->name);
  }
  mb_status status = read_rows(from, first, n, raw);
  if (status == MB_OK) {
    size_t good = mb_numbers_to_counts(from->dtype, is_big_endian(), n_numbers, raw, counts);
    status = good == n_numbers ? MB_OK : fail_value(from, first, good, raw + good * size);
  }
  free(raw);
  return status;
}

/* Whole rows of chunks at a time, so that none is unpacked twice, unless these are very large. */
static uint64_t plan_rows(const source *from) {
  hid_t plist = H5Dget_create_plist(from->dataset.id);
  size_t size = mb_dtype_size(from->dtype); /* of a number, or of the load that it becomes */
  uint64_t row_bytes = from->row_size > 0 ? from->row_size * (size > 4 ? size : 4) : 1;
  uint64_t fit = BLOCK_BYTES / row_bytes > 0 ? BLOCK_BYTES / row_bytes : 1;
  uint64_t most = BLOCK_BYTES_MAX / row_bytes > 0 ? BLOCK_BYTES_MAX / row_bytes : 1;
  hsize_t chunk[3] = {1};

  if (plist >= 0 && H5Pget_layout(plist) == H5D_CHUNKED &&
      H5Pget_chunk(plist, from->dataset.rank, chunk) == from->dataset.rank && chunk[0] > 0) {
    uint64_t whole = chunk[0] < fit ? fit / chunk[0] * chunk[0] : chunk[0];
    fit = whole < most ? whole : most;
  }
  (void)H5Pclose(plist);
  return fit;
}

static mb_status import_dataset(source *from, mb_import *import) {
  hid_t stored = H5Dget_type(from->dataset.id);
  size_t rank = (size_t)from->dataset.rank;

  from->type = memory_type(stored, &from->dtype);
  (void)H5Tclose(stored);
  if (from->type < 0) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s: should hold integers of up to 8 bytes, or floats",
                   from->name);
  }
  from->row_size = 1;
  for (size_t d = 0; d < rank; d++) {
    from->dims[d] = from->dataset.dims[d];
    /* Sizes that are too large are refused before anything is read. */
    from->row_size = d > 0 && from->dims[d] <= MB_IMPORT_STEP_LOADS_MAX
                         ? from->row_size * (size_t)from->dims[d]
                         : from->row_size;
  }
  mb_load_array array = {.name = from->name,
                         .rank = rank,
                         .dims = from->dims,
                         .rows = plan_rows(from),
                         .read = read_counts,
                         .state = from};
  return mb_load_array_import(from->input, &array, import);
}

static mb_status open_dataset(const mb_input *input, hid_t file, const char *name,
                              mb_import *import) {
  char title[NAME_SIZE + 4096];
  source from = {.input = input, .name = title};
  int rank = 0;

  if (!can_be_loads(file, name, &rank)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /%s: should be a dataset of numbers, (steps, layers, experts) or of one "
                   "step (layers, experts)",
                   input->path, name);
  }
  (void)snprintf(title, sizeof title, "%s: /%s", input->path, name);
  MB_TRY(mb_h5_open(input->path, file, name, rank, &from.dataset));
  mb_status status = import_dataset(&from, import);
  mb_h5_close(&from.dataset);
  return status;
}

static mb_status check_no_trace(const mb_input *input, hid_t file) {
  char *format = NULL;

  MB_TRY(mb_h5_text(input->path, file, "format", &format));
  bool is_trace = format != NULL && strcmp(format, "moebal-trace") == 0;
  free(format);
  return is_trace ? MB_FAIL(MB_ERR_PARAM,
                            "%s: is a trace of moebal already; `moebal trace slice` and `concat` "
                            "change it, --dataset takes one of its arrays",
                            input->path)
                  : MB_OK;
}

mb_status mb_import_hdf5_probed(const mb_input *input, const mb_import_options *options,
                                mb_import *import) {
  hid_t file = H5Fopen(input->path, H5F_ACC_RDONLY, H5P_DEFAULT);
  char *name = NULL;

  if (file < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is not HDF5, or damaged or cut off at the end", input->path);
  }
  mb_status status = options->dataset == NULL ? check_no_trace(input, file) : MB_OK;
  status = status == MB_OK ? name_dataset(input, file, options->dataset, import, &name) : status;
  status = status == MB_OK ? open_dataset(input, file, name, import) : status;
  free(name);
  (void)H5Fclose(file);
  return status;
}

static mb_status read_hdf5(size_t n_inputs, const mb_input *inputs,
                           const mb_import_options *options, mb_import *import) {
  (void)n_inputs;
  if (!recognise(&inputs[0])) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is not HDF5", inputs[0].path);
  }
  MB_TRY(mb_trace_probe(inputs[0].path, MB_PROBE_OPEN_BYTES, MB_PROBE_OPEN));
  return mb_import_hdf5_probed(&inputs[0], options, import);
}

const mb_importer mb_importer_hdf5 = {
    .name = "hdf5",
    .summary = "a dataset of an HDF5 file; --dataset PATH says which, if there are several",
    .recognise = recognise,
    .takes_dataset = true,
    .read = read_hdf5,
};
