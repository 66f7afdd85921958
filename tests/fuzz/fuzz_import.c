/* tests/fuzz/fuzz_import.c - the importer MB_FUZZ_IMPORTER under libFuzzer: bytes become inputs,
 * are imported to no file, and whatever they are, it must not crash, leak, hang or take much
 * memory.
 *
 * Bytes that begin with "--file NAME\n" are several files, each up to the next such line: together
 * the inputs of one import; after a first line "--folder\n" they are the files of one folder.
 */
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/import_hdf5.h"
#include "workloads/importer.h"

#ifndef MB_FUZZ_IMPORTER
#define MB_FUZZ_IMPORTER npy /* for tools that read this file by itself */
#endif
#define STRING_OF(name) #name
#define NAME_OF(name) STRING_OF(name)

enum { N_FILES_MAX = 8, NAME_MAX_BYTES = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of the data. */
typedef struct part {
  char name[NAME_MAX_BYTES];
  const uint8_t *bytes;
  size_t n;
} part;

/* libFuzzer calls functions, and what stays open from one to the next can only be global. */
static int files[N_FILES_MAX];
static char paths[N_FILES_MAX][64];
static char folder[] = "/dev/shm/moebal-fuzz-XXXXXX";

static void die(const char *what) {
  perror(what);
  _exit(EXIT_FAILURE);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  for (int i = 0; i < N_FILES_MAX; i++) {
    /* memfd_create() is not POSIX; a file without a name in memory is the same. */
    char name[] = "/dev/shm/moebal-fuzz-XXXXXX";
    files[i] = mkstemp(name);
    if (files[i] < 0 || unlink(name) != 0) {
      die(name);
    }
    (void)snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", files[i]);
  }
  return 0;
}

/* ---- data as files ---- */

/* "--file NAME\n" at `at`: its length, else 0. Names are letters, digits and the like. */
static size_t marker_length(const uint8_t *at, size_t left, char name[NAME_MAX_BYTES]) {
  static const char begin[] = "--file ";
  size_t n = 0;

  if (left < sizeof begin || memcmp(at, begin, sizeof begin - 1) != 0) {
    return 0;
  }
  at += sizeof begin - 1;
  left -= sizeof begin - 1;
  while (n < left && n < NAME_MAX_BYTES - 1 && at[n] > ' ' && at[n] < 127 && at[n] != '/') {
    name[n] = (char)at[n];
    n++;
  }
  name[n] = '\0';
  bool good = n > 0 && n < left && at[n] == '\n' && name[0] != '.';
  return good ? sizeof begin - 1 + n + 1 : 0;
}

/* Where the next marker stands from `at` on, or the end. */
static size_t find_marker(const uint8_t *data, size_t size, size_t at) {
  char name[NAME_MAX_BYTES];

  while (at < size && marker_length(data + at, size - at, name) == 0) {
    const uint8_t *dash = memchr(data + at + 1, '-', size - at - 1);
    at = dash != NULL ? (size_t)(dash - data) : size;
  }
  return at;
}

static size_t split(const uint8_t *data, size_t size, part parts[N_FILES_MAX]) {
  size_t n = 0;
  size_t at = 0;

  parts[0] = (part){.name = "input", .bytes = data, .n = size};
  if (size == 0 || find_marker(data, size, 0) != 0) {
    return 1;
  }
  while (n < N_FILES_MAX && at < size) {
    size_t begin = at + marker_length(data + at, size - at, parts[n].name);
    at = find_marker(data, size, begin);
    parts[n].bytes = data + begin;
    parts[n].n = at - begin;
    n++;
  }
  return n;
}

static void fill(int file, const part *from) {
  if (ftruncate(file, 0) != 0 || pwrite(file, from->bytes, from->n, 0) != (ssize_t)from->n) {
    die("writing an input");
  }
}

static void open_files(size_t n, const part *parts, mb_input *inputs) {
  for (size_t i = 0; i < n; i++) {
    fill(files[i], &parts[i]);
    if (mb_input_open_fd(paths[i], dup(files[i]), &inputs[i]) != MB_OK) {
      die("opening an input");
    }
  }
}

/* Made anew each time: libFuzzer may end without telling, and nothing should be left then. */
static void open_folder(size_t n, const part *parts, mb_input *input) {
  memset(folder + sizeof folder - 7, 'X', 6);
  if (mkdtemp(folder) == NULL) {
    die(folder);
  }
  int at = open(folder, O_RDONLY | O_DIRECTORY);

  for (size_t i = 0; i < n; i++) {
    int file = openat(at, parts[i].name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
      die(parts[i].name);
    }
    fill(file, &parts[i]);
    (void)close(file);
  }
  (void)close(at);
  if (mb_input_open(folder, input) != MB_OK) {
    die("opening a folder");
  }
}

static void empty_folder(size_t n, const part *parts) {
  int at = open(folder, O_RDONLY | O_DIRECTORY);

  for (size_t i = 0; i < n; i++) {
    (void)unlinkat(at, parts[i].name, 0); /* two may have the same name */
  }
  (void)close(at);
  (void)rmdir(folder);
}

/* ---- importing ---- */

/* HDF5 itself is not on trial: the child that would try the file first costs too much. */
static mb_status read_inputs(const mb_importer *importer, size_t n, const mb_input *inputs,
                             const mb_import_options *options, mb_import *import) {
  if (strcmp(importer->name, "hdf5") == 0) {
    return mb_import_hdf5_probed(&inputs[0], options, import);
  }
  return mb_importer_read(importer, n, inputs, options, import);
}

/* Options that cannot be told from the bytes are taken from their number. */
static void import_inputs(const mb_importer *importer, size_t n, const mb_input *inputs,
                          size_t size) {
  mb_import_options options = {.created_by = "fuzz",
                               .top_k = 1,
                               .phase = "decode",
                               .keep_sources = size % 2 == 0,
                               .semantics = (mb_semantics)(size / 2 % 3),
                               .serving = {.concurrency = 4,
                                           .tokens_per_step = (int64_t)(size % 3) * 8,
                                           .dp_ranks = 2,
                                           .warm_up = (int64_t)(size % 4) - 1,
                                           .shuffle = size % 5 == 0}};
  mb_import_summary made;
  mb_import *import = NULL;

  if (importer->recognise != NULL) {
    (void)importer->recognise(&inputs[0]);
  }
  if (mb_import_create(NULL, importer->name, &options, &import) != MB_OK) {
    return;
  }
  if (read_inputs(importer, n, inputs, &options, import) == MB_OK) {
    (void)mb_import_finish(import, &made);
  }
  mb_import_destroy(import);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char folder_line[] = "--folder\n";
  const mb_importer *importer = mb_importer_find(NAME_OF(MB_FUZZ_IMPORTER));
  part parts[N_FILES_MAX];
  mb_input inputs[N_FILES_MAX] = {{.fd = -1}};
  bool in_folder =
      size >= sizeof folder_line - 1 && memcmp(data, folder_line, sizeof folder_line - 1) == 0;

  size_t skipped = in_folder ? sizeof folder_line - 1 : 0;
  size_t n = split(data + skipped, size - skipped, parts);
  if (in_folder) {
    open_folder(n, parts, &inputs[0]);
  } else {
    open_files(n, parts, inputs);
  }
  size_t n_inputs = in_folder ? 1 : n;
  import_inputs(importer, n_inputs, inputs, size);
  for (size_t i = 0; i < n_inputs; i++) {
    mb_input_close(&inputs[i]);
  }
  if (in_folder) {
    empty_folder(n, parts);
  }
  return 0;
}
