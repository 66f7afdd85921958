/* experiments/map_output.c */
#include "experiments/map_output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workloads/new_file.h"

char *mb_map_output_names(char *buffer, size_t size) {
  size_t used = 0;

  buffer[0] = '\0';
  for (const mb_map_format *const *one = mb_map_formats(); *one != NULL && used < size; one++) {
    (void)snprintf(buffer + used, size - used, "%s%s", used > 0 ? ", " : "", (*one)->name);
    used = strlen(buffer);
  }
  return buffer;
}

const mb_map_format *mb_map_output_format(const char *name, struct argp_state *state) {
  const mb_map_format *format = mb_map_format_find(name);
  char names[256];

  if (format == NULL) {
    argp_error(state, "there is no format '%s'; there is %s", name,
               mb_map_output_names(names, sizeof names));
  }
  return format;
}

char *mb_map_output_help(int key, const char *text, void *input) {
  char *help = NULL;
  size_t size = 0;

  (void)input;
  FILE *stream = key == ARGP_KEY_HELP_POST_DOC ? open_memstream(&help, &size) : NULL;
  if (stream == NULL) {
    return (char *)text;
  }
  (void)fputs("Formats:\n", stream);
  for (const mb_map_format *const *one = mb_map_formats(); *one != NULL; one++) {
    (void)fprintf(stream, "  %-12s %s\n", (*one)->name, (*one)->summary);
  }
  (void)fprintf(stream, "\n%s", text);
  (void)fclose(stream);
  return help;
}

static mb_status check_there(const char *path, const mb_map_format *format) {
  mb_input there;

  MB_TRY(mb_input_open(path, &there));
  bool is_map = !there.is_folder && (there.size == 0 || mb_map_format_of(&there) == format);
  bool is_folder = there.is_folder;
  mb_input_close(&there);
  if (is_folder) {
    return MB_FAIL(MB_ERR_IO, "%s: is a folder: give a file in it", path);
  }
  return is_map ? MB_OK
                : MB_FAIL(MB_ERR_IO, "%s: is there, and no %s map: give another name", path,
                          format->name);
}

mb_status mb_map_output_check(const char *path, const mb_map_format *format, const char *input) {
  struct stat there;
  struct stat source;

  if (path[0] == '\0') {
    return MB_FAIL(MB_ERR_IO, "-o takes the name of a file, not ''");
  }
  if (stat(path, &there) != 0) {
    return errno == ENOENT ? MB_OK : MB_FAIL(MB_ERR_IO, "%s: %s", path, strerror(errno));
  }
  if (input != NULL && stat(input, &source) == 0 && source.st_dev == there.st_dev &&
      source.st_ino == there.st_ino) {
    return MB_FAIL(MB_ERR_IO, "%s: is the input, which a map must not replace: give another name",
                   path);
  }
  return check_there(path, format);
}

static mb_status check_ids(const mb_map *map) {
  for (size_t l = 0; l < map->n_layers; l++) {
    int32_t before = l > 0 ? map->layer_ids[l - 1] : -1;
    if (map->layer_ids[l] <= before || map->layer_ids[l] >= MB_MAP_SIZE_LIMIT) {
      return MB_FAIL(MB_ERR_SHAPE,
                     "layer %zu (from 0) is number %" PRId32 " in the model, after %" PRId32
                     "; an engine's map needs numbers that ascend from 0 and are less than %d",
                     l, map->layer_ids[l], before, MB_MAP_SIZE_LIMIT);
    }
  }
  return MB_OK;
}

static mb_status write_stream(FILE *stream, const char *name, const mb_map_format *format,
                              const mb_map *map) {
  errno = 0;
  format->write(stream, map);
  if (fflush(stream) != 0 || ferror(stream) != 0) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", name,
                   errno != 0 ? strerror(errno) : "it is not complete");
  }
  return MB_OK;
}

static mb_status write_file(mb_new_file *file, const char *path, const mb_map_format *format,
                            const mb_map *map) {
  MB_TRY(mb_new_file_open(path, file));
  FILE *stream = fopen(file->temporary, "wb");
  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  mb_status status = write_stream(stream, path, format, map);
  if (fclose(stream) != 0 && status == MB_OK) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  return status == MB_OK ? mb_new_file_commit(file) : status;
}

mb_status mb_map_output_write(const char *path, const mb_map_format *format, const mb_map *map) {
  mb_new_file file = {NULL, NULL};

  MB_TRY(check_ids(map));
  if (path == NULL) {
    bool binary = strcmp(format->ending, ".npy") == 0;
    return binary && isatty(STDOUT_FILENO) == 1
               ? MB_FAIL(MB_ERR_IO, "standard output is a terminal: -o FILE says where to write")
               : write_stream(stdout, "standard output", format, map);
  }
  mb_status status = write_file(&file, path, format, map);
  mb_new_file_close(&file);
  return status;
}
