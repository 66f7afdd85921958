/* tests/recordings.h - files as torch, safetensors and numpy write them, in a few lines each. */
#ifndef MB_TESTS_RECORDINGS_H
#define MB_TESTS_RECORDINGS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that grow. */
typedef struct blob {
  unsigned char *bytes;
  size_t n, capacity;
} blob;

static inline void put(blob *b, const void *bytes, size_t n) {
  if (b->n + n > b->capacity) {
    b->capacity = 2 * (b->n + n) + 64;
    b->bytes = realloc(b->bytes, b->capacity);
    if (b->bytes == NULL) {
      abort();
    }
  }
  if (n > 0) {
    memcpy(b->bytes + b->n, bytes, n);
  }
  b->n += n;
}

/* A little-endian number of `size` bytes, however many. */
static inline void put_number(blob *b, uint64_t number, size_t size) {
  for (size_t i = 0; i < size; i++) {
    uint64_t shifted = i < sizeof number ? number >> (8 * i) : 0;
    unsigned char byte = (unsigned char)(shifted & 0xff);
    put(b, &byte, 1);
  }
}

static inline void put_text(blob *b, const char *text) {
  put(b, text, strlen(text));
}

static inline void free_blob(blob *b) {
  free(b->bytes);
  *b = (blob){0};
}

/* ---- zip: members are stored ---- */

typedef struct zip_writer {
  blob file, directory;
  uint16_t n;
} zip_writer;

static inline uint32_t checksum(const unsigned char *bytes, size_t n) {
  uint32_t crc = 0xffffffffU;

  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
    }
  }
  return ~crc;
}

static inline void zip_put(zip_writer *zip, const char *name, const void *bytes, size_t n) {
  uint32_t crc = checksum(bytes, n);
  size_t offset = zip->file.n;

  for (int central = 0; central < 2; central++) {
    blob *to = central != 0 ? &zip->directory : &zip->file;
    put_text(to, central != 0 ? "PK\1\2" : "PK\3\4");
    if (central != 0) {
      put_number(to, 20, 2); /* made by */
    }
    put_number(to, 20, 2); /* version needed */
    put_number(to, 0, 8);  /* flags, method, time, date */
    put_number(to, crc, 4);
    put_number(to, n, 4);
    put_number(to, n, 4);
    put_number(to, strlen(name), 2);
    put_number(to, 0, 2); /* extra */
    if (central != 0) {
      put_number(to, 0, 10); /* comment, disk, attributes */
      put_number(to, offset, 4);
    }
    put_text(to, name);
  }
  put(&zip->file, bytes, n);
  zip->n++;
}

/* The file, which is then the caller's to free. */
static inline blob zip_finish(zip_writer *zip) {
  size_t offset = zip->file.n;
  blob file;

  put(&zip->file, zip->directory.bytes, zip->directory.n);
  put_text(&zip->file, "PK\5\6");
  put_number(&zip->file, 0, 4);
  put_number(&zip->file, zip->n, 2);
  put_number(&zip->file, zip->n, 2);
  put_number(&zip->file, zip->directory.n, 4);
  put_number(&zip->file, offset, 4);
  put_number(&zip->file, 0, 2);
  file = zip->file;
  free_blob(&zip->directory);
  *zip = (zip_writer){0};
  return file;
}

/* ---- pickles of protocol 2 ---- */

static inline void pickle_text(blob *b, const char *text) {
  put_text(b, "X");
  put_number(b, strlen(text), 4);
  put_text(b, text);
}

static inline void pickle_int(blob *b, int32_t number) {
  put_text(b, "J");
  put_number(b, (uint32_t)number, 4);
}

static inline void pickle_ints(blob *b, size_t n, const int32_t *numbers) {
  put_text(b, "(");
  for (size_t i = 0; i < n; i++) {
    pickle_int(b, numbers[i]);
  }
  put_text(b, "t");
}

/* A tensor of n numbers of a storage, as torch._utils._rebuild_tensor_v2 is called. */
static inline void pickle_view(blob *b, const char *storage, const char *key, int32_t n_stored,
                               int32_t offset, size_t rank, const int32_t *dims,
                               const int32_t *strides) {
  put_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
  pickle_text(b, "storage");
  put_text(b, "ctorch\n");
  put_text(b, storage);
  put_text(b, "\n");
  pickle_text(b, key);
  pickle_text(b, "cpu");
  pickle_int(b, n_stored);
  put_text(b, "tQ");
  pickle_int(b, offset);
  pickle_ints(b, rank, dims);
  pickle_ints(b, rank, strides);
  put_text(b, "\x89"
              "ccollections\nOrderedDict\n)RtR");
}

static inline void pickle_tensor(blob *b, const char *storage, const char *key, size_t rank,
                                 const int32_t *dims) {
  int32_t strides[8];
  int32_t n = 1;

  for (size_t i = rank; i-- > 0;) {
    strides[i] = n;
    n *= dims[i];
  }
  pickle_view(b, storage, key, n, 0, rank, dims, strides);
}

/* ---- files ---- */

static inline void write_file(const char *path, const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");

  if (file == NULL || (n > 0 && fwrite(bytes, 1, n, file) != n) || fclose(file) != 0) {
    perror(path);
    exit(EXIT_FAILURE);
  }
}

static inline blob safetensors_file(const char *header, const void *data, size_t n) {
  blob b = {0};

  put_number(&b, strlen(header), 8);
  put_text(&b, header);
  put(&b, data, n);
  return b;
}

/* What follows "descr" in a .npy file's header: ", 'fortran_order': ..." is made here. */
static inline blob npy_file(const char *descr, const char *shape, const void *data, size_t n) {
  char header[256];
  blob b = {0};
  int length = snprintf(header, sizeof header,
                        "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);

  put(&b, "\x93NUMPY\1\0", 8);
  size_t padding = 64 - (10 + (size_t)length + 1) % 64;
  put_number(&b, (size_t)length + padding + 1, 2);
  put(&b, header, (size_t)length);
  for (size_t i = 0; i < padding; i++) {
    put_text(&b, " ");
  }
  put_text(&b, "\n");
  put(&b, data, n);
  return b;
}

#endif
