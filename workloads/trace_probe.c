/* workloads/trace_probe.c */
#include "workloads/trace_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* gcc defines the one, clang answers the other. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef HAS_ADDRESS_SANITIZER
#define HAS_ADDRESS_SANITIZER 0
#endif

/* The child's exit statuses; whatever else it ends with means that it did not get through. */
enum { PROBE_THROUGH = 40, PROBE_UNREADABLE = 41 };

static const size_t SLAB_BYTES = (size_t)4 << 20;
static const size_t ATTRIBUTE_BYTES_MAX = (size_t)64 << 20;

typedef struct walker {
  uint64_t bytes_left;
  bool unreadable; /* a chunk of data was */
} walker;

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

/* Reads rows [first, first + count[0]) of the dataset into memory that is thrown away. */
static bool read_rows(hid_t dataset, hid_t type, hid_t space, int rank, hsize_t first,
                      hsize_t *count, void *memory) {
  hsize_t start[H5S_MAX_RANK] = {first};
  hid_t rows = H5Screate_simple(rank, count, NULL);
  bool good = rows >= 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(dataset, type, rows, space, H5P_DEFAULT, memory) >= 0;

  if (good && H5Tdetect_class(type, H5T_VLEN) > 0) {
    (void)H5Dvlen_reclaim(type, rows, H5P_DEFAULT, memory);
  }
  (void)H5Sclose(rows);
  return good;
}

/* Some rows at a time, as long as the walk may read on. Rows too long for that are left out. */
static void read_all_rows(walker *walk, hid_t dataset, hid_t type, hid_t space, int rank) {
  hsize_t dims[H5S_MAX_RANK] = {1};
  size_t size = H5Tget_size(type);
  uint64_t row_bytes = size;

  (void)H5Sget_simple_extent_dims(space, dims, NULL);
  for (int i = 1; i < rank; i++) {
    if (dims[i] == 0 || row_bytes > ((uint64_t)1 << 40) / dims[i]) {
      return;
    }
    row_bytes *= dims[i];
  }
  if (row_bytes == 0 || row_bytes > ((uint64_t)256 << 20)) {
    return;
  }
  hsize_t n_rows = SLAB_BYTES > row_bytes ? SLAB_BYTES / row_bytes : 1;
  void *memory = malloc((size_t)(n_rows * row_bytes));
  for (hsize_t first = 0; memory != NULL && first < dims[0]; first += n_rows) {
    n_rows = dims[0] - first < n_rows ? dims[0] - first : n_rows;
    if (walk->bytes_left < n_rows * row_bytes) {
      walk->bytes_left = 0;
      break;
    }
    walk->bytes_left -= walk->bytes_left == UINT64_MAX ? 0 : n_rows * row_bytes;
    hsize_t count[H5S_MAX_RANK];
    memcpy(count, dims, sizeof count);
    count[0] = n_rows;
    walk->unreadable |= !read_rows(dataset, type, space, rank, first, count, memory);
  }
  free(memory);
}

static void read_dataset(walker *walk, hid_t dataset) {
  hid_t space = H5Dget_space(dataset);
  hid_t type = H5Dget_type(dataset);
  int rank = H5Sget_simple_extent_ndims(space);

  if (is_plain(dataset) && H5Tget_size(type) > 0 && rank >= 1 && rank <= H5S_MAX_RANK) {
    read_all_rows(walk, dataset, type, space, rank);
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

static void limit(int resource, uint64_t most) {
  struct rlimit limits = {0};

  if (getrlimit(resource, &limits) == 0) {
    limits.rlim_cur = most < limits.rlim_max ? (rlim_t)most : limits.rlim_max;
    (void)setrlimit(resource, &limits);
  }
}

/* Bytes of address space that the process has now. */
static uint64_t address_space(void) {
  unsigned long long n_pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");

  if (file == NULL || fscanf(file, "%llu", &n_pages) != 1) {
    n_pages = 0;
  }
  if (file != NULL) {
    (void)fclose(file);
  }
  return n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* In the child: nothing of it is seen, and it ends in time. */
static void confine(mb_probe_limits limits) {
  int null = open("/dev/null", O_RDWR);

  for (int stream = 0; null >= 0 && stream <= 2; stream++) {
    (void)dup2(null, stream);
  }
  (void)signal(SIGALRM, SIG_DFL);
  (void)signal(SIGSEGV, SIG_DFL);
  (void)signal(SIGBUS, SIG_DFL);
  (void)signal(SIGABRT, SIG_DFL);
  (void)signal(SIGFPE, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  uint64_t used = address_space();
  if (!HAS_ADDRESS_SANITIZER && used > 0) {
    limit(RLIMIT_AS, used + limits.extra_bytes);
  }
  (void)alarm(limits.n_seconds);
}

static int walk_file(const char *path, mb_probe_limits limits) {
  walker walk = {.bytes_left = limits.data_bytes};
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);

  if (file >= 0) {
    (void)H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_NATIVE, visit, &walk, H5O_INFO_BASIC);
    (void)H5Fclose(file);
  }
  return walk.unreadable ? PROBE_UNREADABLE : PROBE_THROUGH;
}

static int wait_for(pid_t child) {
  int status = 0;

  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return -1;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

mb_status mb_trace_probe(const char *path, mb_probe_limits limits) {
  pid_t child = fork();

  if (child < 0) {
    return MB_FAIL(MB_ERR_IO, "%s: no process to look into it with: %s", path, strerror(errno));
  }
  if (child == 0) {
    confine(limits);
    _exit(walk_file(path, limits));
  }
  switch (wait_for(child)) {
  case PROBE_THROUGH:
    return MB_OK;
  case PROBE_UNREADABLE:
    return MB_FAIL(MB_ERR_FORMAT, "%s: damaged, a part of its data cannot be read", path);
  default:
    return MB_FAIL(MB_ERR_FORMAT, "%s: damaged, HDF5 cannot read it", path);
  }
}
