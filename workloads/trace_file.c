/* workloads/trace_file.c */
#include "workloads/trace_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const size_t TEXT_MAX = 65536;
static const uint64_t CHUNK_BYTES_MAX = (uint64_t)256 << 20;

bool mb_h5_has(hid_t file, const char *name) {
  return H5Lexists(file, name, H5P_DEFAULT) > 0;
}

static mb_number number_of(hid_t type) {
  switch (H5Tget_class(type)) {
  case H5T_INTEGER:
    return H5Tget_size(type) == 4 && H5Tget_sign(type) == H5T_SGN_NONE ? MB_NUMBER_UINT32
                                                                       : MB_NUMBER_INT;
  case H5T_FLOAT:
    return MB_NUMBER_REAL;
  default:
    return MB_NUMBER_NONE;
  }
}

/* Soft and external links, external files and virtual datasets would lead out of the file. */
static mb_status check_link(const char *path, hid_t file, const char *name) {
  H5L_info_t info;

  if (H5Lget_info(file, name, &info, H5P_DEFAULT) < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: damaged, HDF5 cannot read it", path, name);
  }
  if (info.type != H5L_TYPE_HARD) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: is a link to elsewhere, not a dataset of this file",
                   path, name);
  }
  return MB_OK;
}

static mb_status check_filters(const char *path, const char *name, hid_t plist) {
  int n = H5Pget_nfilters(plist);

  for (int i = 0; i < n; i++) {
    char title[64] = "";
    unsigned flags = 0;
    size_t n_values = 0;
    H5Z_filter_t filter =
        H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, NULL, sizeof title, title, NULL);
    if (filter < 0 || H5Zfilter_avail(filter) <= 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: /%s: is compressed by HDF5 filter %d, which is not installed; use "
                     "deflate (gzip)",
                     path, name, (int)filter);
    }
  }
  return MB_OK;
}

static uint64_t bytes_of(size_t item, int rank, const hsize_t *dims) {
  uint64_t bytes = item;

  for (int i = 0; i < rank; i++) {
    if (dims[i] > 0 && bytes > UINT64_MAX / dims[i]) {
      return UINT64_MAX;
    }
    bytes *= dims[i];
  }
  return bytes;
}

/* Every chunk that the shape asks for is there, and none is too large to be unpacked. */
static mb_status check_chunks(const char *path, const char *name, const mb_h5_dataset *dataset,
                              hid_t plist, size_t item) {
  hsize_t chunk[4];
  hsize_t n_chunks = 0;
  uint64_t n_wanted = 1;

  if (H5Pget_chunk(plist, dataset->rank, chunk) != dataset->rank ||
      H5Dget_num_chunks(dataset->id, dataset->space, &n_chunks) < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: damaged, HDF5 cannot read it", path, name);
  }
  if (bytes_of(item, dataset->rank, chunk) > CHUNK_BYTES_MAX) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /%s: has chunks of more than 256 MiB; write it in chunks of some steps",
                   path, name);
  }
  for (int i = 0; i < dataset->rank; i++) {
    uint64_t n = dataset->dims[i] / chunk[i] + (dataset->dims[i] % chunk[i] != 0);
    n_wanted = n > 0 && n_wanted > UINT64_MAX / n ? UINT64_MAX : n_wanted * n;
  }
  if (n_chunks != n_wanted) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: /%s: only %llu of its %llu chunks are there; was its writing interrupted?",
                   path, name, (unsigned long long)n_chunks, (unsigned long long)n_wanted);
  }
  return MB_OK;
}

static mb_status check_storage(const char *path, const char *name, const mb_h5_dataset *dataset,
                               size_t item) {
  hid_t plist = H5Dget_create_plist(dataset->id);
  mb_status status = MB_OK;

  if (plist < 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: damaged, HDF5 cannot read it", path, name);
  }
  uint64_t bytes = bytes_of(item, dataset->rank, dataset->dims);
  H5D_layout_t layout = H5Pget_layout(plist);
  if (layout == H5D_VIRTUAL || H5Pget_external_count(plist) != 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: /%s: keeps its data in other files; copy them into it",
                     path, name);
  } else if (layout == H5D_CHUNKED) {
    status = check_filters(path, name, plist);
    if (status == MB_OK) {
      status = check_chunks(path, name, dataset, plist, item);
    }
  } else if (H5Dget_storage_size(dataset->id) != bytes) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: /%s: holds no data for its shape", path, name);
  }
  (void)H5Pclose(plist);
  return status;
}

static mb_status look_at(const char *path, const char *name, int rank, mb_h5_dataset *dataset) {
  hid_t type = H5Dget_type(dataset->id);
  size_t item = H5Tget_size(type);

  dataset->space = H5Dget_space(dataset->id);
  dataset->rank = H5Sget_simple_extent_ndims(dataset->space);
  dataset->number = number_of(type);
  (void)H5Tclose(type);
  if (dataset->rank != rank) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: has %d dimensions, but should have %d", path, name,
                   dataset->rank, rank);
  }
  if (dataset->number == MB_NUMBER_NONE || item == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: does not hold numbers", path, name);
  }
  if (H5Sget_simple_extent_dims(dataset->space, dataset->dims, NULL) != rank) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: damaged, HDF5 cannot read it", path, name);
  }
  return check_storage(path, name, dataset, item);
}

mb_status mb_h5_open(const char *path, hid_t file, const char *name, int rank,
                     mb_h5_dataset *dataset) {
  assert(rank >= 1 && rank <= 4);
  *dataset = (mb_h5_dataset){0};
  if (!mb_h5_has(file, name)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: there is no dataset /%s", path, name);
  }
  MB_TRY(check_link(path, file, name));
  dataset->id = H5Dopen2(file, name, H5P_DEFAULT);
  if (dataset->id < 0) {
    *dataset = (mb_h5_dataset){0};
    return MB_FAIL(MB_ERR_FORMAT, "%s: /%s: is not a dataset, or a damaged one", path, name);
  }
  mb_status status = look_at(path, name, rank, dataset);
  if (status != MB_OK) {
    mb_h5_close(dataset);
  }
  return status;
}

void mb_h5_close(mb_h5_dataset *dataset) {
  if (dataset->space > 0) {
    (void)H5Sclose(dataset->space);
  }
  if (dataset->id > 0) {
    (void)H5Dclose(dataset->id);
  }
  *dataset = (mb_h5_dataset){0};
}

/* Bytes of the UTF-8 character at `text`, or 0 if it is none: too long a form, a surrogate, or
 * beyond U+10FFFF. */
static size_t utf8_length(const unsigned char *text) {
  unsigned char first = text[0];
  size_t n = first < 0x80                     ? 1
             : first >= 0xc2 && first <= 0xdf ? 2
             : first >= 0xe0 && first <= 0xef ? 3
             : first >= 0xf0 && first <= 0xf4 ? 4
                                              : 0;
  for (size_t i = 1; i < n; i++) {
    if ((text[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  bool wrong = (first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) ||
               (first == 0xf0 && text[1] < 0x90) || (first == 0xf4 && text[1] > 0x8f);
  return wrong ? 0 : n;
}

/* What comes from a file reaches terminals, results and figures: control characters, also those
   above U+007F, become blanks, and what is no UTF-8 a question mark. */
static void sanitise(char *text) {
  unsigned char *c = (unsigned char *)text;

  while (*c != 0) {
    size_t n = utf8_length(c);
    if (n == 0) {
      *c = '?';
    } else if (*c < 0x20 || *c == 0x7f) {
      *c = ' ';
    } else if (*c == 0xc2 && c[1] < 0xa0) {
      c[0] = c[1] = ' ';
    }
    c += n > 0 ? n : 1;
  }
}

static char *copy_text(const char *from, size_t n_max) {
  size_t n = strnlen(from, n_max);
  char *text = malloc(n + 1);

  if (text != NULL) {
    memcpy(text, from, n);
    text[n] = '\0';
    sanitise(text);
  }
  return text;
}

static char *read_fixed(hid_t attribute, hid_t type, size_t size) {
  char *buffer = calloc(size + 1, 1);
  char *text = NULL;

  if (buffer != NULL && H5Aread(attribute, type, buffer) >= 0) {
    if (H5Tget_strpad(type) == H5T_STR_SPACEPAD) {
      for (size_t n = strlen(buffer); n > 0 && buffer[n - 1] == ' '; n--) {
        buffer[n - 1] = '\0';
      }
    }
    text = copy_text(buffer, size);
  }
  free(buffer);
  return text;
}

static char *read_variable(hid_t attribute, hid_t type) {
  char *value = NULL;
  char *text = NULL;

  if (H5Aread(attribute, type, &value) >= 0) {
    if (value == NULL || strnlen(value, TEXT_MAX + 1) <= TEXT_MAX) {
      text = copy_text(value != NULL ? value : "", TEXT_MAX);
    }
    (void)H5free_memory(value);
  }
  return text;
}

/* The attribute, if it is there and holds n values; `id` is 0 where it isn't there. */
static mb_status open_attribute(const char *path, hid_t file, const char *name, size_t n,
                                hid_t *id) {
  *id = 0;
  if (H5Aexists(file, name) <= 0) {
    return MB_OK;
  }
  hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  hid_t space = attribute >= 0 ? H5Aget_space(attribute) : -1;
  hssize_t n_values = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
  if (space >= 0) {
    (void)H5Sclose(space);
  }
  if (n_values < 0 || (size_t)n_values != n) {
    if (attribute >= 0) {
      (void)H5Aclose(attribute);
    }
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s: has %lld values, but should have %zu", path,
                   name, (long long)n_values, n);
  }
  *id = attribute;
  return MB_OK;
}

mb_status mb_h5_text(const char *path, hid_t file, const char *name, char **text) {
  hid_t attribute = 0;

  *text = NULL;
  MB_TRY(open_attribute(path, file, name, 1, &attribute));
  if (attribute == 0) {
    return MB_OK;
  }
  hid_t type = H5Aget_type(attribute);
  if (H5Tget_class(type) == H5T_STRING) {
    size_t size = H5Tget_size(type);
    *text = H5Tis_variable_str(type) > 0   ? read_variable(attribute, type)
            : size > 0 && size <= TEXT_MAX ? read_fixed(attribute, type, size)
                                           : NULL;
  }
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  if (*text == NULL) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s: is not a text of at most 64 KiB", path, name);
  }
  return MB_OK;
}

mb_status mb_h5_ints(const char *path, hid_t file, const char *name, size_t n, int64_t *values) {
  hid_t attribute = 0;

  MB_TRY(open_attribute(path, file, name, n, &attribute));
  if (attribute == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s is missing", path, name);
  }
  hid_t type = H5Aget_type(attribute);
  bool good =
      H5Tget_class(type) == H5T_INTEGER && H5Aread(attribute, H5T_NATIVE_INT64, values) >= 0;
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  if (!good) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: attribute %s: should be %s", path, name,
                   n == 1 ? "a whole number" : "whole numbers");
  }
  return MB_OK;
}

mb_status mb_h5_int(const char *path, hid_t file, const char *name, int64_t *value, bool *found) {
  *found = H5Aexists(file, name) > 0;
  return *found ? mb_h5_ints(path, file, name, 1, value) : MB_OK;
}
