/* workloads/trace_probe.c */
#include "workloads/trace_probe.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What is read at a time: whole chunks, so that none is unpacked twice; one at least. */
static const uint64_t BLOCK_BYTES = (uint64_t)4 << 20;
static const uint64_t BLOCK_BYTES_MAX = (uint64_t)256 << 20;
static const size_t ATTRIBUTE_BYTES_MAX = (size_t)64 << 20;

typedef struct walker {
  const char *path;
  uint64_t bytes_left;
  bool unreadable; /* a chunk of data was */
} walker;

/* A part of a dataset that is read at once. */
typedef struct block {
  int rank;
  hsize_t dims[H5S_MAX_RANK];
  hsize_t size[H5S_MAX_RANK], at[H5S_MAX_RANK];
  uint64_t bytes; /* of a block of that size */
} block;

/* Reads an attribute in the type that it is stored in, and forgets it. */
static herr_t read_attribute(hid_t object, const char *name, const H5A_info_t *info, void *data) {
  (void)info;
  (void)data;
  hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
  if (attribute < 0) {
    return 0;
  }
  hid_t type = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  hssize_t n = H5Sget_simple_extent_npoints(space);
  size_t size = H5Tget_size(type);
  if (n > 0 && size > 0 && size <= ATTRIBUTE_BYTES_MAX && (size_t)n <= ATTRIBUTE_BYTES_MAX / size) {
    void *values = calloc((size_t)n, size);
    if (values != NULL && H5Aread(attribute, type, values) >= 0) {
      (void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, values);
    }
    free(values);
  }
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  return 0;
}

/* Whether reading the dataset stays in this file and needs no filter that is not there. */
static bool is_plain(hid_t dataset) {
  hid_t plist = H5Dget_create_plist(dataset);
  bool plain = plist >= 0 && H5Pget_layout(plist) != H5D_VIRTUAL &&
               H5Pget_external_count(plist) == 0 && H5Dget_storage_size(dataset) > 0;
  int n_filters = plain ? H5Pget_nfilters(plist) : 0;

  for (int i = 0; i < n_filters; i++) {
    unsigned flags = 0;
    size_t n_values = 0;
    H5Z_filter_t filter =
        H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, NULL, 0, NULL, NULL);
    plain = plain && filter >= 0 && H5Zfilter_avail(filter) > 0;
  }
  (void)H5Pclose(plist);
  return plain;
}

/* Blocks of whole chunks, as many as fit, from the last dimension on. False: a chunk is so large
 * that it is left to the reader to refuse it. */
static bool plan_blocks(hid_t dataset, hid_t space, size_t item, block *b) {
  hid_t plist = H5Dget_create_plist(dataset);

  memset(b, 0, sizeof *b);
  b->bytes = item;
  b->rank = H5Sget_simple_extent_dims(space, b->dims, NULL);
  bool good = b->rank >= 1;
  for (int d = 0; good && d < b->rank; d++) {
    b->size[d] = 1;
  }
  if (good && H5Pget_layout(plist) == H5D_CHUNKED) {
    good = H5Pget_chunk(plist, b->rank, b->size) == b->rank;
  }
  (void)H5Pclose(plist);
  for (int d = 0; good && d < b->rank; d++) {
    good = b->dims[d] > 0 && b->size[d] > 0 && b->bytes > 0 &&
           b->bytes <= BLOCK_BYTES_MAX / b->size[d];
    b->bytes *= good ? b->size[d] : 1;
  }
  for (int d = b->rank - 1; good && d >= 0; d--) {
    hsize_t n_chunks = (b->dims[d] - 1) / b->size[d] + 1;
    hsize_t n_fit = b->bytes < BLOCK_BYTES ? BLOCK_BYTES / b->bytes : 1;
    hsize_t n = n_chunks < n_fit ? n_chunks : n_fit;
    b->size[d] *= n;
    b->bytes *= n;
  }
  return good;
}

/* Moves on to the next block; false after the last one. */
static bool next_block(block *b) {
  for (int d = b->rank - 1; d >= 0; d--) {
    if (b->dims[d] - b->at[d] > b->size[d]) {
      b->at[d] += b->size[d];
      return true;
    }
    b->at[d] = 0;
  }
  return false;
}

/* Reads a block into memory that is thrown away. */
static bool read_block(hid_t dataset, hid_t type, hid_t space, const block *b, void *memory) {
  hsize_t count[H5S_MAX_RANK];

  for (int d = 0; d < b->rank; d++) {
    hsize_t left = b->dims[d] - b->at[d];
    count[d] = left < b->size[d] ? left : b->size[d];
  }
  hid_t part = H5Screate_simple(b->rank, count, NULL);
  bool good = part >= 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, b->at, NULL, count, NULL) >= 0 &&
              H5Dread(dataset, type, part, space, H5P_DEFAULT, memory) >= 0;
  if (good && H5Tdetect_class(type, H5T_VLEN) > 0) {
    (void)H5Dvlen_reclaim(type, part, H5P_DEFAULT, memory);
  }
  (void)H5Sclose(part);
  return good;
}

/* Block by block, as long as the walk may read on. */
static void read_blocks(walker *walk, hid_t dataset, hid_t type, hid_t space) {
  block b;

  if (!plan_blocks(dataset, space, H5Tget_size(type), &b)) {
    return;
  }
  void *memory = calloc(1, (size_t)b.bytes);
  bool more = memory != NULL;
  while (more && walk->bytes_left >= b.bytes) {
    walk->bytes_left -= walk->bytes_left == UINT64_MAX ? 0 : b.bytes;
    walk->unreadable |= !read_block(dataset, type, space, &b, memory);
    more = next_block(&b);
  }
  walk->bytes_left = more ? 0 : walk->bytes_left;
  free(memory);
}

static void read_dataset(walker *walk, hid_t dataset) {
  hid_t space = H5Dget_space(dataset);
  hid_t type = H5Dget_type(dataset);

  if (is_plain(dataset) && H5Tget_size(type) > 0) {
    read_blocks(walk, dataset, type, space);
  }
  (void)H5Tclose(type);
  (void)H5Sclose(space);
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *data) {
  walker *walk = data;
  hid_t object = H5Oopen(root, name, H5P_DEFAULT);

  if (object < 0) {
    return 0;
  }
  hsize_t at = 0;
  (void)H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_NATIVE, &at, read_attribute, NULL);
  if (info->type == H5O_TYPE_DATASET) {
    read_dataset(walk, object);
  }
  (void)H5Oclose(object);
  return 0;
}

/* In the child. */
static mb_status walk_file(void *data) {
  walker *walk = data;
  hid_t file = H5Fopen(walk->path, H5F_ACC_RDONLY, H5P_DEFAULT);

  if (file >= 0) {
    (void)H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, visit, walk, H5O_INFO_BASIC);
    (void)H5Fclose(file);
  }
  return walk->unreadable
             ? MB_FAIL(MB_ERR_FORMAT, "%s: damaged, a part of its data cannot be read", walk->path)
             : MB_OK;
}

mb_status mb_trace_probe(const char *path, uint64_t data_bytes, mb_probe_limits limits) {
  walker walk = {.path = path, .bytes_left = data_bytes};

  return mb_probe(path, limits, walk_file, &walk);
}
