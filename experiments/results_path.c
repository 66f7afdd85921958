/* experiments/results_path.c */
#include "experiments/results_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/results_write.h"
#include "workloads/trace.h"

/* The folder that a name is in; free() it. */
static char *folder_of(const char *name) {
  const char *slash = strrchr(name, '/');

  if (slash == NULL) {
    return strdup(".");
  }
  return slash == name ? strdup("/") : strndup(name, (size_t)(slash - name));
}

/* 0, or why nothing can be written there. */
static int folder_error(const char *folder) {
  struct stat state;

  if (stat(folder, &state) != 0) {
    return errno;
  }
  if (!S_ISDIR(state.st_mode)) {
    return ENOTDIR;
  }
  return access(folder, W_OK | X_OK) == 0 ? 0 : errno;
}

static mb_status check_folder(const char *name) {
  char *folder = folder_of(name);

  if (folder == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", name);
  }
  int error = folder_error(folder);
  mb_status status = MB_OK;
  if (error == ENOENT) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: there is no folder %s", name, folder);
  } else if (error != 0) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written into the folder %s: %s", name, folder,
                     strerror(error));
  }
  free(folder);
  return status;
}

static bool is_hdf5(const char *path) {
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

mb_status mb_results_check_path(const char *path, const char *trace_file) {
  struct stat there;
  struct stat trace;

  MB_TRY(check_folder(path));
  if (stat(path, &there) != 0) {
    return path[strlen(path) - 1] == '/'
               ? MB_FAIL(MB_ERR_IO, "%s: names a folder: give a file", path)
               : MB_OK;
  }
  if (S_ISDIR(there.st_mode)) {
    return MB_FAIL(MB_ERR_IO, "%s: is a folder: give a file in it", path);
  }
  if (trace_file != NULL && stat(trace_file, &trace) == 0 && trace.st_dev == there.st_dev &&
      trace.st_ino == there.st_ino) {
    return MB_FAIL(MB_ERR_IO, "%s: is the trace, which results must not replace: give another name",
                   path);
  }
  if (mb_file_has_format(path, "moebal-trace")) {
    return MB_FAIL(MB_ERR_IO, "%s: is a trace, which results must not replace: give another name",
                   path);
  }
  if (!S_ISREG(there.st_mode) || (there.st_size > 0 && !is_hdf5(path))) {
    return MB_FAIL(MB_ERR_IO, "%s: is there, and no results file: give another name", path);
  }
  return MB_OK;
}

mb_status mb_results_path_open(const char *name, mb_results_path *path) {
  static const char ending[] = ".part-XXXXXX";
  size_t size = strlen(name) + sizeof ending;

  path->name = strdup(name);
  path->temporary = malloc(size);
  if (path->name == NULL || path->temporary == NULL) {
    free(path->temporary);
    path->temporary = NULL;
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", name);
  }
  (void)snprintf(path->temporary, size, "%s%s", name, ending);
  int file = mkstemp(path->temporary);
  if (file < 0) {
    free(path->temporary);
    path->temporary = NULL;
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", name, strerror(errno));
  }
  /* mkstemp() lets nobody else read it; a file is as open as others that the person makes. */
  mode_t mask = umask(0);
  (void)umask(mask);
  (void)fchmod(file, 0666 & ~mask);
  (void)close(file);
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

mb_status mb_results_path_commit(mb_results_path *path) {
  if (sync_path(path->temporary, O_RDWR) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path->name, strerror(errno));
  }
  if (rename(path->temporary, path->name) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be given its name: %s", path->name, strerror(errno));
  }
  free(path->temporary);
  path->temporary = NULL;
  /* Some file systems cannot sync a folder; the file itself is safe by then. */
  char *folder = folder_of(path->name);
  if (folder != NULL) {
    (void)sync_path(folder, O_RDONLY | O_DIRECTORY);
  }
  free(folder);
  return MB_OK;
}

void mb_results_path_close(mb_results_path *path) {
  if (path->temporary != NULL) {
    (void)unlink(path->temporary);
  }
  free(path->temporary);
  free(path->name);
  *path = (mb_results_path){NULL, NULL};
}
