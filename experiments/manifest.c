/* experiments/manifest.c */
#include "experiments/manifest.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/recorded_maps.h"
#include "moebal_version.h"

/* Files, each once, in the order in which the cells name them. */
typedef struct file_list {
  size_t n, room;
  const char **path;
} file_list;

static bool add_file(file_list *files, const char *path) {
  if (path == NULL) {
    return true;
  }
  for (size_t i = 0; i < files->n; i++) {
    if (strcmp(files->path[i], path) == 0) {
      return true;
    }
  }
  if (files->n == files->room) {
    size_t room = files->room > 0 ? 2 * files->room : 8;
    const char **grown = realloc(files->path, room * sizeof *grown);
    if (grown == NULL) {
      return false;
    }
    files->path = grown;
    files->room = room;
  }
  files->path[files->n++] = path;
  return true;
}

static bool add_inputs(file_list *files, const mb_config *config) {
  bool fits = add_file(files, config->trace_file);

  for (size_t i = 0; fits && i < config->n_strategies; i++) {
    if (config->strategies[i].role == MB_REPLAY_RECORDED) {
      const mb_recorded_maps *maps = config->strategies[i].params;
      fits = add_file(files, maps->file) && add_file(files, maps->steps_file);
    }
  }
  return fits;
}

static bool add_all_inputs(file_list *files, const mb_sweep *sweep) {
  bool fits = true;

  for (size_t i = 0; fits && i < sweep->n_cells; i++) {
    fits = add_inputs(files, sweep->cell[i].config);
  }
  return fits;
}

static bool is_older(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

bool mb_manifest_is_older(const mb_sweep *sweep, const char *path) {
  file_list files = {0, 0, NULL};
  struct stat made;
  struct stat input;
  bool older = stat(path, &made) == 0 && add_all_inputs(&files, sweep);

  /* By the time of the inode: a file that is moved or copied here has an old one of its contents.
   */
  for (size_t i = 0; older && i < files.n; i++) {
    older = stat(files.path[i], &input) != 0 || is_older(&input.st_ctim, &made.st_mtim);
  }
  free(files.path);
  return older;
}

static void write_file(FILE *stream, const char *path) {
  struct stat state;
  char *absolute = realpath(path, NULL);

  path = absolute != NULL ? absolute : path;
  if (stat(path, &state) == 0) {
    (void)fprintf(stream, "input: %s: %lld bytes, changed %lld.%09ld\n", path,
                  (long long)state.st_size, (long long)state.st_mtim.tv_sec, state.st_mtim.tv_nsec);
  } else {
    (void)fprintf(stream, "input: %s: not there\n", path);
  }
  free(absolute);
}

mb_status mb_manifest_format(const mb_sweep *sweep, char **text) {
  file_list files = {0, 0, NULL};
  char *made = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&made, &size);
  bool fits = add_all_inputs(&files, sweep);

  if (stream != NULL) {
    (void)fprintf(stream, "code: moebal %s (%s)\n", MOEBAL_VERSION, MOEBAL_GIT_VERSION);
    for (size_t i = 0; i < files.n; i++) {
      write_file(stream, files.path[i]);
    }
    (void)fprintf(stream, "config:\n%s", sweep->text);
    fits = ferror(stream) == 0 && fits;
    fits = fclose(stream) == 0 && fits;
  }
  free(files.path);
  if (stream == NULL || !fits) {
    free(made);
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", sweep->name);
  }
  *text = made;
  return MB_OK;
}

static mb_status fail_line(const char *theirs, size_t n, const char *ours, size_t m) {
  enum { MOST = 300 };
  int a = n < MOST ? (int)n : MOST;
  int b = m < MOST ? (int)m : MOST;

  if (n == 0) {
    return MB_FAIL(MB_ERR_IO, "it lacks '%.*s'", b, ours);
  }
  if (m == 0) {
    return MB_FAIL(MB_ERR_IO, "it has '%.*s'", a, theirs);
  }
  return MB_FAIL(MB_ERR_IO, "it has '%.*s' where this run has '%.*s'", a, theirs, b, ours);
}

mb_status mb_manifest_compare(const char *theirs, const char *ours) {
  while (*theirs != '\0' || *ours != '\0') {
    size_t n = strcspn(theirs, "\n");
    size_t m = strcspn(ours, "\n");
    if (n != m || strncmp(theirs, ours, n) != 0) {
      return fail_line(theirs, n, ours, m);
    }
    theirs += theirs[n] != '\0' ? n + 1 : n;
    ours += ours[m] != '\0' ? m + 1 : m;
  }
  return MB_OK;
}
