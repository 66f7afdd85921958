/* experiments/results_path.c - where results may be written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/results_write.h"
#include "workloads/new_file.h"
#include "workloads/trace.h"

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
  char *folder = mb_file_folder(name);

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
  if (!S_ISREG(there.st_mode) || (there.st_size > 0 && !mb_file_is_hdf5(path))) {
    return MB_FAIL(MB_ERR_IO, "%s: is there, and no results file: give another name", path);
  }
  return MB_OK;
}
