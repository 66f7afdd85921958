/* experiments/data_folder.c */
#include "experiments/data_folder.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_SIZE = PATH_MAX + 64 };

static bool has_file(const char *folder, const char *file) {
  char path[FOLDER_SIZE + 64];

  (void)snprintf(path, sizeof path, "%s/%s", folder, file);
  return access(path, R_OK) == 0;
}

/* The folder beside an installed program; "" where that can't be told. */
static void installed_folder(const char *installed, char folder[FOLDER_SIZE]) {
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);

  folder[0] = '\0';
  if (length > 0) {
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    *(slash != NULL ? slash : program) = '\0';
    (void)snprintf(folder, FOLDER_SIZE, "%s/%s", program, installed);
  }
}

mb_status mb_data_folder(const mb_data_place *place, size_t size, char *folder) {
  char installed[FOLDER_SIZE];
  const char *named = getenv(place->variable);

  installed_folder(place->installed, installed);
  const char *found = named != NULL                      ? named
                      : has_file(installed, place->file) ? installed
                                                         : place->source;
  if (!has_file(found, place->file)) {
    return named != NULL
               ? MB_FAIL(MB_ERR_IO, "%s has no %s; %s should name the folder that has it", named,
                         place->file, place->variable)
               : MB_FAIL(MB_ERR_IO, "%s is neither in %s nor in %s", place->file, installed, found);
  }
  if (strlen(found) >= size) {
    return MB_FAIL(MB_ERR_IO, "%s: too long a path", found);
  }
  memcpy(folder, found, strlen(found) + 1);
  return MB_OK;
}
