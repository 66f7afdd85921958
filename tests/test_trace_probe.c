/* tests/test_trace_probe.c - files that a child process has to try first: it finds what cannot be
 * read, and is stopped where it takes too long. */
#include "workloads/trace_probe.h"

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/trace.h"

enum { T = 4, L = 2, E = 8 };

static const char PATH[] = "test_trace_probe.h5";

static void make_trace(void) {
  static const int32_t layer_ids[L] = {0, 1};
  static const uint32_t load[T * L * E] = {5, 0, 1, 2, 9};
  const mb_trace_info info = {.n_layers = L,
                              .n_experts = E,
                              .top_k = 2,
                              .n_groups = 1,
                              .layer_ids = layer_ids,
                              .model = "m",
                              .source = "made up",
                              .created_by = "test",
                              .phase = MB_PHASE_TRAIN};
  mb_trace_writer *writer = NULL;

  (void)unlink(PATH);
  CHECK_OK(mb_trace_writer_create(PATH, &info, &writer));
  CHECK_OK(mb_trace_writer_append(writer, T, load));
  CHECK_OK(mb_trace_writer_finish(writer));
}

/* Puts bytes that are no deflated data in the place of the first chunk of /load. */
static void damage_load(void) {
  static const unsigned char junk[40] = {0xff, 0x13, 0x77};
  const hsize_t offset[3] = {0, 0, 0};
  hid_t file = H5Fopen(PATH, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t load = H5Dopen2(file, "load", H5P_DEFAULT);

  CU_ASSERT_FATAL(H5Dwrite_chunk(load, H5P_DEFAULT, 0, offset, sizeof junk, junk) >= 0);
  (void)H5Dclose(load);
  (void)H5Fclose(file);
}

/* Adds a dataset of 1 TiB in a few bytes: one chunk is there, the rest reads as zeros. */
static void add_endless(void) {
  const hsize_t size = (hsize_t)1 << 40;
  const hsize_t chunk = (hsize_t)1 << 16;
  const hsize_t one = 1;
  const unsigned char value = 7;
  hid_t file = H5Fopen(PATH, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t space = H5Screate_simple(1, &size, NULL);
  hid_t cell = H5Screate_simple(1, &one, NULL);
  hid_t plist = H5Pcreate(H5P_DATASET_CREATE);

  CU_ASSERT_FATAL(H5Pset_chunk(plist, 1, &chunk) >= 0);
  hid_t data = H5Dcreate2(file, "endless", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  CU_ASSERT_FATAL(data >= 0);
  CU_ASSERT_FATAL(
      H5Sselect_hyperslab(space, H5S_SELECT_SET, (const hsize_t[]){0}, NULL, &one, NULL) >= 0);
  CU_ASSERT_FATAL(H5Dwrite(data, H5T_NATIVE_UINT8, cell, space, H5P_DEFAULT, &value) >= 0);
  (void)H5Dclose(data);
  (void)H5Pclose(plist);
  (void)H5Sclose(cell);
  (void)H5Sclose(space);
  (void)H5Fclose(file);
}

static void test_whole(void) {
  make_trace();
  CHECK_OK(mb_trace_probe(PATH, MB_PROBE_OPEN_BYTES, MB_PROBE_OPEN));
  CHECK_OK(mb_trace_probe(PATH, MB_PROBE_VERIFY_BYTES, MB_PROBE_VERIFY));
}

/* Opening reads no loads itself: the child alone can see it then. */
static void test_unreadable(void) {
  mb_trace *trace = NULL;

  make_trace();
  damage_load();
  CHECK_FAILS(mb_trace_probe(PATH, MB_PROBE_OPEN_BYTES, MB_PROBE_OPEN), MB_ERR_FORMAT,
              "test_trace_probe.h5: damaged, a part of its data cannot be read");
  CHECK_FAILS(mb_trace_open(PATH, &trace), MB_ERR_FORMAT, "a part of its data cannot be read");
  CU_ASSERT_PTR_NULL(trace);
  mb_trace_destroy(trace);
}

static void test_too_long(void) {
  mb_probe_limits limits = MB_PROBE_VERIFY;

  make_trace();
  add_endless();
  limits.n_seconds = 1;
  CHECK_FAILS(mb_trace_probe(PATH, MB_PROBE_VERIFY_BYTES, limits), MB_ERR_FORMAT,
              "test_trace_probe.h5: damaged, HDF5 cannot read it");
}

/* No more is read than asked for: the same file, and the child is through in time. */
static void test_data_limit(void) {
  mb_trace *trace = NULL;

  make_trace();
  add_endless();
  CHECK_OK(mb_trace_probe(PATH, (uint64_t)16 << 20, MB_PROBE_OPEN));
  CHECK_OK(mb_trace_open(PATH, &trace));
  mb_trace_destroy(trace);
}

int main(void) {
  CU_TestInfo tests[] = {{"a whole trace", test_whole},
                         {"a chunk that cannot be read", test_unreadable},
                         {"a child that takes too long", test_too_long},
                         {"the limit of data", test_data_limit},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  int status = run_suite("trace_probe", tests);
  (void)unlink(PATH);
  return status;
}
