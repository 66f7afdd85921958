/* workloads/new_file.c */
#include "workloads/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *mb_file_folder(const char *name) {
  const char *slash = strrchr(name, '/');

  if (slash == NULL) {
    return strdup(".");
  }
  return slash == name ? strdup("/") : strndup(name, (size_t)(slash - name));
}

bool mb_file_is_hdf5(const char *path) {
  static const unsigned char signature[8] = "\x89HDF\r\n\x1a\n";
  unsigned char begin[sizeof signature] = {0};
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    return false;
  }
  size_t n = fread(begin, 1, sizeof begin, file);
  (void)fclose(file);
  return n == sizeof begin && memcmp(begin, signature, sizeof begin) == 0;
}

mb_status mb_new_file_open(const char *name, mb_new_file *file) {
  static const char ending[] = ".part-XXXXXX";
  size_t size = strlen(name) + sizeof ending;

  file->name = strdup(name);
  file->temporary = malloc(size);
  if (file->name == NULL || file->temporary == NULL) {
    free(file->temporary);
    file->temporary = NULL;
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", name);
  }
  (void)snprintf(file->temporary, size, "%s%s", name, ending);
  int descriptor = mkstemp(file->temporary);
  if (descriptor < 0) {
    int why = errno;
    free(file->temporary);
    file->temporary = NULL;
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", name, strerror(why));
  }
  /* mkstemp() lets nobody else read it; a file is as open as others that the person makes. */
  mode_t mask = umask(0);
  (void)umask(mask);
  (void)fchmod(descriptor, 0666 & ~mask);
  (void)close(descriptor);
  return MB_OK;
}

static int sync_path(const char *path, int flags) {
  int file = open(path, flags | O_CLOEXEC);

  if (file < 0) {
    return -1;
  }
  int result = fsync(file);
  (void)close(file);
  return result;
}

mb_status mb_new_file_commit(mb_new_file *file) {
  if (sync_path(file->temporary, O_RDWR) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", file->name, strerror(errno));
  }
  if (rename(file->temporary, file->name) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be given its name: %s", file->name, strerror(errno));
  }
  free(file->temporary);
  file->temporary = NULL;
  /* Some file systems cannot sync a folder; the file itself is safe by then. */
  char *folder = mb_file_folder(file->name);
  if (folder != NULL) {
    (void)sync_path(folder, O_RDONLY | O_DIRECTORY);
  }
  free(folder);
  return MB_OK;
}

void mb_new_file_close(mb_new_file *file) {
  if (file->temporary != NULL) {
    (void)unlink(file->temporary);
  }
  free(file->temporary);
  free(file->name);
  *file = (mb_new_file){NULL, NULL};
}

static mb_status write_stream(const mb_new_file *file,
                              void (*put)(FILE *stream, const void *context), const void *context) {
  FILE *stream = fopen(file->temporary, "wb");

  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", file->name, strerror(errno));
  }
  put(stream, context);
  bool failed = fflush(stream) != 0 || ferror(stream) != 0;
  int why = errno;
  if (fclose(stream) != 0 && !failed) {
    failed = true;
    why = errno;
  }
  return failed ? MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", file->name, strerror(why))
                : MB_OK;
}

mb_status mb_new_file_write(const char *name, void (*put)(FILE *stream, const void *context),
                            const void *context) {
  mb_new_file file = {NULL, NULL};
  mb_status status = mb_new_file_open(name, &file);

  if (status == MB_OK) {
    status = write_stream(&file, put, context);
  }
  if (status == MB_OK) {
    status = mb_new_file_commit(&file);
  }
  mb_new_file_close(&file);
  return status;
}
