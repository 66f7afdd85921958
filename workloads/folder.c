/* workloads/folder.c */
#include "workloads/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 1 << 16 };

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static mb_status add_name(const char *path, const char *name, mb_folder *folder) {
  if (folder->n == NAMES_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has more than %d files of a recording", path, NAMES_MAX);
  }
  if ((folder->n & (folder->n - 1)) == 0) { /* full whenever it is a power of two */
    size_t capacity = folder->n == 0 ? 1 : 2 * folder->n;
    char **grown = realloc(folder->names, capacity * sizeof *grown);
    if (grown == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the names in it", path);
    }
    folder->names = grown;
  }
  folder->names[folder->n] = strdup(name);
  if (folder->names[folder->n] == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for the names in it", path);
  }
  folder->n++;
  return MB_OK;
}

mb_status mb_folder_list(const char *path, bool (*wanted)(const char *name), mb_folder *folder) {
  mb_folder made = {0};
  mb_status status = MB_OK;
  DIR *dir = opendir(path);

  if (dir == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  while (status == MB_OK) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      status =
          errno == 0 ? MB_OK : MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
      break;
    }
    if (wanted(entry->d_name)) {
      status = add_name(path, entry->d_name, &made);
    }
  }
  (void)closedir(dir);
  if (status != MB_OK) {
    mb_folder_fini(&made);
    return status;
  }
  if (made.n > 1) {
    qsort(made.names, made.n, sizeof *made.names, compare_names);
  }
  *folder = made;
  return MB_OK;
}

void mb_folder_fini(mb_folder *folder) {
  for (size_t i = 0; i < folder->n; i++) {
    free(folder->names[i]);
  }
  free(folder->names);
  *folder = (mb_folder){0};
}

char *mb_folder_join(const char *path, const char *name) {
  size_t size = strlen(path) + strlen(name) + 2;
  char *joined = malloc(size);

  if (joined != NULL) {
    (void)snprintf(joined, size, "%s/%s", path, name);
  }
  return joined;
}
