/* experiments/trace_command.c */
#include "experiments/trace_command.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK_LOADS = 1 << 20 };

size_t mb_trace_chunk_steps(const mb_trace_info *info) {
  size_t n = CHUNK_LOADS / (info->n_layers * info->n_experts);

  return n < 1 ? 1 : n < info->n_steps ? n : info->n_steps;
}

uint32_t *mb_trace_chunk_allocate(const mb_trace_info *info) {
  uint32_t *load =
      malloc(mb_trace_chunk_steps(info) * info->n_layers * info->n_experts * sizeof *load);

  if (load == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for %zu steps of %zu layers of %zu experts",
                  mb_trace_chunk_steps(info), info->n_layers, info->n_experts);
  }
  return load;
}

uint64_t mb_trace_parse_number(struct argp_state *state, const char *what, const char *text) {
  char *end = NULL;

  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0) {
    argp_error(state, "%s: '%s' is not a whole number from 0 to 2^64 - 1", what, text);
  }
  return number;
}

error_t mb_trace_parse_place(int key, char *value, struct argp_state *state, const char **path,
                             const char **output) {
  switch (key) {
  case 'o':
    if (output == NULL) {
      return ARGP_ERR_UNKNOWN;
    }
    *output = value;
    return 0;
  case ARGP_KEY_ARG:
    if (*path != NULL) {
      argp_error(state, "'%s': one file at a time", value);
    }
    *path = value;
    return 0;
  case ARGP_KEY_END:
    if (*path == NULL) {
      argp_error(state, "which FILE?");
    }
    if (output != NULL && *output == NULL) {
      argp_error(state, "-o FILE is missing: where to write");
    }
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

mb_status mb_trace_check_output(const char *output, const char *input) {
  struct stat there;
  struct stat from;

  if (stat(output, &there) == 0 && stat(input, &from) == 0 && there.st_dev == from.st_dev &&
      there.st_ino == from.st_ino) {
    return MB_FAIL(MB_ERR_PARAM, "%s: is an input; give what is written another name", output);
  }
  return MB_OK;
}

char *mb_trace_history(const char *source, const char *format, ...) {
  char *text = NULL;
  size_t size = 0;
  va_list values;

  FILE *stream = open_memstream(&text, &size);
  if (stream == NULL) {
    return NULL;
  }
  (void)fprintf(stream, "%s; ", source);
  va_start(values, format);
  (void)vfprintf(stream, format, values);
  va_end(values);
  if (fclose(stream) != 0) {
    free(text);
    return NULL;
  }
  return text;
}
