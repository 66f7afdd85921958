/* tests/test_trace_damaged.c - 1,000 damaged copies of a trace: each gives an error, or exactly the
 * original loads; none a crash or a hang.
 *
 * Every copy is read in a process of its own, several at a time, so that a crash is seen as one.
 * Half of them are of our own writing, whose metadata has checksums; the others are in the oldest
 * format, as h5py writes it.
 */
#include <hdf5.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/source.h"
#include "workloads/trace.h"

enum { N_VARIANTS = 1000, N_AT_ONCE = 4, N_SECONDS = 60, T = 12, L = 2, E = 6, N = T * L * E };
enum { READ_SAME = 0, READ_REFUSED = 3, READ_OTHER = 4 };

static const uint64_t SEED = 20240607;
static char folder[] = "/tmp/moebal-test-damaged-XXXXXX";
static unsigned char *originals[2];
static size_t sizes[2];
static uint32_t loads[N];

/* splitmix64: the same bits from (SEED, i) everywhere. */
static uint64_t random_bits(uint64_t i) {
  uint64_t z = SEED + (i + 1) * 0x9e3779b97f4a7c15U;

  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

static void make_path(char path[80], size_t variant) {
  (void)snprintf(path, 80, "%s/%zu.h5", folder, variant);
}

static void write_file(const char *path, const unsigned char *bytes, size_t n) {
  FILE *file = fopen(path, "wb");

  CU_ASSERT_FATAL(file != NULL);
  CU_ASSERT_FATAL(fwrite(bytes, 1, n, file) == n);
  CU_ASSERT_FATAL(fclose(file) == 0);
}

static herr_t copy_attribute(hid_t from, const char *name, const H5A_info_t *info, void *data) {
  const hid_t *to = data;
  char value[256];
  hid_t attribute = H5Aopen(from, name, H5P_DEFAULT);
  hid_t type = H5Aget_type(attribute);
  hid_t space = H5Aget_space(attribute);
  hid_t copy = H5Acreate2(*to, name, type, space, H5P_DEFAULT, H5P_DEFAULT);

  CU_ASSERT_FATAL(info->data_size <= sizeof value);
  CU_ASSERT(H5Aread(attribute, type, value) >= 0 && H5Awrite(copy, type, value) >= 0);
  (void)H5Aclose(copy);
  (void)H5Sclose(space);
  (void)H5Tclose(type);
  (void)H5Aclose(attribute);
  return 0;
}

/* The same trace in the format that every HDF5 writes by default. */
static void copy_in_old_format(const char *path, const char *old_path) {
  hid_t from = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  hid_t to = H5Fcreate(old_path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t load = H5Dopen2(from, "load", H5P_DEFAULT);
  hid_t layout = H5Dget_create_plist(load);
  hid_t space = H5Dget_space(load);
  hid_t copy = H5Dcreate2(to, "load", H5T_STD_U32LE, space, H5P_DEFAULT, layout, H5P_DEFAULT);
  hsize_t at = 0;

  CU_ASSERT(H5Dwrite(copy, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, loads) >= 0);
  CU_ASSERT(H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_INC, &at, copy_attribute, &to) >= 0);
  (void)H5Dclose(copy);
  (void)H5Sclose(space);
  (void)H5Pclose(layout);
  (void)H5Dclose(load);
  (void)H5Fclose(from);
  CU_ASSERT_FATAL(H5Fclose(to) >= 0);
}

static void keep_original(size_t which, const char *path) {
  FILE *file = fopen(path, "rb");

  CU_ASSERT_FATAL(file != NULL && fseek(file, 0, SEEK_END) == 0);
  sizes[which] = (size_t)ftell(file);
  rewind(file);
  originals[which] = malloc(sizes[which]);
  CU_ASSERT_FATAL(originals[which] != NULL &&
                  fread(originals[which], 1, sizes[which], file) == sizes[which]);
  (void)fclose(file);
}

/* An undamaged trace, with some of everything that a damage can hit. */
static void make_originals(void) {
  static const int32_t layer_ids[L] = {1, 2};
  const mb_trace_info info = {.n_layers = L,
                              .n_experts = E,
                              .top_k = 2,
                              .n_groups = 2,
                              .layer_ids = layer_ids,
                              .model = "m",
                              .source = "made up",
                              .created_by = "test",
                              .phase = MB_PHASE_TRAIN};
  mb_trace_writer *writer = NULL;
  char path[80];
  char old_path[80];

  for (size_t x = 0; x < N; x++) {
    loads[x] = (uint32_t)(random_bits(x) % 1000);
  }
  make_path(path, N_VARIANTS);
  make_path(old_path, N_VARIANTS + 1);
  CHECK_OK(mb_trace_writer_create(path, &info, &writer));
  CHECK_OK(mb_trace_writer_append(writer, T, loads));
  CHECK_OK(mb_trace_writer_finish(writer));
  copy_in_old_format(path, old_path);
  keep_original(0, path);
  keep_original(1, old_path);
  (void)unlink(path);
  (void)unlink(old_path);
}

/* Every tenth is cut off; of the others one to eight bytes are flipped, in a third of them close
   together. Much of a small HDF5 file is unused; damage goes to bytes that are not zero more often.
 */
static void make_variant(size_t variant, const char *path) {
  const unsigned char *original = originals[variant / 10 % 2];
  size_t n_bytes = sizes[variant / 10 % 2];
  unsigned char *bytes = malloc(n_bytes);
  uint64_t draw = variant * 1000 + (uint64_t)7 * N;

  CU_ASSERT_FATAL(bytes != NULL);
  memcpy(bytes, original, n_bytes);
  size_t n = n_bytes;
  if (variant % 10 == 0) {
    n = (size_t)(random_bits(draw) % n_bytes);
  } else {
    size_t n_flips = 1 + (size_t)(random_bits(draw++) % 8);
    size_t at = (size_t)(random_bits(draw++) % n_bytes);
    for (size_t i = 0; i < n_flips; i++) {
      for (int tries = 0; tries < 20 && original[at] == 0; tries++) {
        at = (size_t)(random_bits(draw++) % n_bytes);
      }
      bytes[at] ^= (unsigned char)(1 + random_bits(draw++) % 255);
      at = variant % 3 == 0 ? (at + 1) % n_bytes : (size_t)(random_bits(draw++) % n_bytes);
    }
  }
  write_file(path, bytes, n);
  free(bytes);
}

/* What moebal does with a trace: open it, and read it through. */
static int read_variant(const char *path) {
  mb_source *source = NULL;
  uint32_t read[N] = {0};

  if (mb_source_open_trace(path, &source) != MB_OK) {
    return mb_error_message()[0] != '\0' ? READ_REFUSED : READ_OTHER;
  }
  const mb_trace_info *info = mb_source_get_info(source);
  if (info->n_steps * info->n_layers * info->n_experts != N) {
    /* Another shape has to show at the end. A step need not fit our array: read to its own size. */
    uint32_t *step = calloc(info->n_layers * info->n_experts, sizeof *step);
    mb_status status = MB_OK;
    for (size_t t = 0; step != NULL && t < info->n_steps && status == MB_OK; t++) {
      status = mb_source_read(source, 1, step);
    }
    free(step);
    mb_source_destroy(source);
    return status != MB_OK ? READ_REFUSED : READ_OTHER;
  }
  mb_status status = mb_source_read(source, info->n_steps, read);
  mb_source_destroy(source);
  if (status != MB_OK) {
    return READ_REFUSED;
  }
  return memcmp(read, loads, sizeof loads) == 0 ? READ_SAME : READ_OTHER;
}

static void check_originals(void) {
  char path[80];

  make_path(path, N_VARIANTS);
  for (size_t i = 0; i < 2; i++) {
    write_file(path, originals[i], sizes[i]);
    CU_ASSERT_EQUAL(read_variant(path), READ_SAME);
    (void)unlink(path);
  }
}

static pid_t start_variant(size_t variant) {
  char path[80];

  make_path(path, variant);
  make_variant(variant, path);
  pid_t child = fork();
  CU_ASSERT_FATAL(child >= 0);
  if (child == 0) {
    (void)alarm(N_SECONDS);
    _exit(read_variant(path));
  }
  return child;
}

/* Counts how the reading of a variant ended. */
static void end_variant(size_t variant, pid_t child, size_t counts[3]) {
  char path[80];
  int status = 0;

  CU_ASSERT_FATAL(waitpid(child, &status, 0) == child);
  make_path(path, variant);
  (void)unlink(path);
  if (WIFEXITED(status) && WEXITSTATUS(status) == READ_SAME) {
    counts[0]++;
  } else if (WIFEXITED(status) && WEXITSTATUS(status) == READ_REFUSED) {
    counts[1]++;
  } else {
    counts[2]++;
    (void)printf("\n    variant %zu of seed %llu: %s", variant, (unsigned long long)SEED,
                 WIFEXITED(status) ? "other loads, and no error" : strsignal(WTERMSIG(status)));
  }
}

static void test_damaged(void) {
  size_t counts[3] = {0, 0, 0};
  pid_t children[N_AT_ONCE];

  make_originals();
  check_originals();
  for (size_t first = 0; first < N_VARIANTS; first += N_AT_ONCE) {
    for (size_t i = 0; i < N_AT_ONCE; i++) {
      children[i] = start_variant(first + i);
    }
    for (size_t i = 0; i < N_AT_ONCE; i++) {
      end_variant(first + i, children[i], counts);
    }
  }
  free(originals[0]);
  free(originals[1]);
  (void)printf("%zu variants: %zu read as they were, %zu refused; ", counts[0] + counts[1],
               counts[0], counts[1]);
  CU_ASSERT_EQUAL(counts[2], 0);
  /* A test that damages nothing would show nothing. */
  CU_ASSERT(counts[0] > 0 && counts[1] > 300);
}

/* One load other than what was written, in a file that HDF5 finds nothing wrong with: the digest
   alone shows it. */
static void test_digest(void) {
  static uint32_t changed[N];
  char path[80];

  make_originals();
  make_path(path, N_VARIANTS);
  memcpy(changed, loads, sizeof changed);
  changed[N / 2]++;
  for (size_t i = 0; i < 2; i++) {
    write_file(path, originals[i], sizes[i]);
    free(originals[i]);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t load = H5Dopen2(file, "load", H5P_DEFAULT);
    CU_ASSERT(H5Dwrite(load, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, changed) >= 0);
    (void)H5Dclose(load);
    (void)H5Fclose(file);
    CU_ASSERT_EQUAL(read_variant(path), READ_REFUSED);
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), "is not what was written"));
    (void)unlink(path);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"1,000 damaged traces", test_damaged},
                         {"another load than was written", test_digest},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  if (mkdtemp(folder) == NULL) {
    return EXIT_FAILURE;
  }
  int status = run_suite("trace_damaged", tests);
  (void)rmdir(folder);
  return status;
}
