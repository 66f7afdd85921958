/* experiments/cmd_trace_export.c - `moebal trace export`: a trace's loads for other programs. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiments/interrupt.h"
#include "experiments/progress.h"
#include "experiments/trace_command.h"
#include "workloads/importer.h"
#include "workloads/new_file.h"
#include "workloads/npy_write.h"
#include "workloads/source.h"

/* A format: what stands before the steps, and n steps from `first` on. */
typedef struct export_format {
  const char *name, *what;
  void (*begin)(FILE *stream, const mb_trace_info *info);
  void (*put)(FILE *stream, const mb_trace_info *info, size_t first, size_t n,
              const uint32_t *load);
} export_format;

typedef struct export_arguments {
  const char *path, *output;
  const export_format *format; /* NULL: not given */
} export_arguments;

static void begin_npy(FILE *stream, const mb_trace_info *info) {
  mb_npy_write_header(stream, MB_DTYPE_U32, 3,
                      (uint64_t[]){info->n_steps, info->n_layers, info->n_experts});
}

static void put_npy(FILE *stream, const mb_trace_info *info, size_t first, size_t n,
                    const uint32_t *load) {
  (void)first;
  mb_npy_write_values(stream, MB_DTYPE_U32, n * info->n_layers * info->n_experts, load);
}

static void begin_csv(FILE *stream, const mb_trace_info *info) {
  (void)info;
  (void)fputs("step,layer,expert,count\n", stream);
}

static void put_csv(FILE *stream, const mb_trace_info *info, size_t first, size_t n,
                    const uint32_t *load) {
  for (size_t t = 0; t < n; t++) {
    for (size_t l = 0; l < info->n_layers; l++) {
      for (size_t e = 0; e < info->n_experts; e++) {
        (void)fprintf(stream, "%zu,%" PRId32 ",%zu,%" PRIu32 "\n", first + t, info->layer_ids[l], e,
                      *load++);
      }
    }
  }
}

static const export_format formats[] = {
    {"npy", "uint32 [steps, layers, experts]", begin_npy, put_npy},
    {"csv", "a row a step, layer (its number in the model) and expert", begin_csv, put_csv},
};

static error_t parse(int key, char *value, struct argp_state *state) {
  export_arguments *given = state->input;

  switch (key) {
  case 'f':
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
      given->format = strcmp(formats[i].name, value) == 0 ? &formats[i] : given->format;
    }
    if (given->format == NULL) {
      argp_error(state, "there is no format '%s'; there is npy and csv", value);
    }
    return 0;
  case ARGP_KEY_END:
    if (given->path != NULL && given->format == NULL) {
      argp_error(state, "--format is missing: npy or csv");
    }
    break;
  default:
    break;
  }
  return mb_trace_parse_place(key, value, state, &given->path, &given->output);
}

/* What has the name already is replaced only if it can be an earlier export. */
static mb_status check_place(const export_arguments *given) {
  const mb_importer *importer = mb_importer_find(given->format->name);
  mb_input there;
  struct stat about;

  MB_TRY(mb_trace_check_output(given->output, given->path));
  if (stat(given->output, &about) != 0) {
    return MB_OK;
  }
  MB_TRY(mb_input_open(given->output, &there));
  bool same = !there.is_folder && (there.size == 0 || importer->recognise(&there));
  mb_input_close(&there);
  return same ? MB_OK
              : MB_FAIL(MB_ERR_IO, "%s: is there, and no %s: give another name", given->output,
                        given->format->name);
}

static mb_status fail_write(const export_arguments *given) {
  int why = errno;

  return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", given->output, strerror(why));
}

static mb_status write_steps(const export_arguments *given, mb_source *source, uint32_t *load,
                             FILE *stream) {
  const mb_trace_info *info = mb_source_get_info(source);
  mb_progress progress;
  mb_status status = MB_OK;

  mb_progress_start(&progress, "steps written", info->n_steps, false);
  for (size_t t = 0; status == MB_OK && t < info->n_steps;) {
    size_t left = info->n_steps - t;
    size_t n = left < mb_trace_chunk_steps(info) ? left : mb_trace_chunk_steps(info);
    status = mb_interrupt_check();
    status = status == MB_OK ? mb_source_read(source, n, load) : status;
    if (status == MB_OK) {
      errno = 0;
      given->format->put(stream, info, t, n, load);
      status = ferror(stream) == 0 ? MB_OK : fail_write(given);
    }
    t += n;
    mb_progress_update(&progress, t);
  }
  mb_progress_end(&progress);
  return status == MB_OK ? mb_interrupt_check() : status;
}

static mb_status write_stream(const export_arguments *given, mb_source *source, FILE *stream) {
  const mb_trace_info *info = mb_source_get_info(source);
  uint32_t *load = mb_trace_chunk_allocate(info);

  if (load == NULL) {
    return MB_ERR_MEMORY;
  }
  given->format->begin(stream, info);
  mb_status status = write_steps(given, source, load, stream);
  free(load);
  errno = 0;
  if (status == MB_OK && (fflush(stream) != 0 || ferror(stream) != 0)) {
    status = fail_write(given);
  }
  return status;
}

static mb_status write_file(const export_arguments *given, mb_source *source, mb_new_file *place) {
  MB_TRY(mb_new_file_open(given->output, place));
  FILE *stream = fopen(place->temporary, "wb");
  if (stream == NULL) {
    return fail_write(given);
  }
  mb_status status = write_stream(given, source, stream);
  if (fclose(stream) != 0 && status == MB_OK) {
    status = fail_write(given);
  }
  return status == MB_OK ? mb_new_file_commit(place) : status;
}

static mb_status export_as_told(const export_arguments *given) {
  mb_source *source = NULL;
  mb_new_file place = {NULL, NULL};

  MB_TRY(mb_source_open_trace(given->path, &source));
  const mb_trace_info *info = mb_source_get_info(source);
  mb_status status = check_place(given);
  status = status == MB_OK ? write_file(given, source, &place) : status;
  mb_new_file_close(&place);
  if (status == MB_OK) {
    (void)printf("%s: %zu steps x %zu layers x %zu experts, %s\n", given->output, info->n_steps,
                 info->n_layers, info->n_experts, given->format->what);
  }
  mb_source_destroy(source);
  return status;
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "FILE", 0, "where to write; must be given", 0},
      {"format", 'f', "NAME", 0, "npy or csv; must be given", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "FILE",
      .doc = "Writes a trace's loads for other programs: as an array of numpy, uint32 [steps, "
             "layers, experts], or as a table with the columns step, layer, expert and count. "
             "`moebal trace import` reads both.",
  };
  export_arguments given = {.path = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  return export_as_told(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_trace_command_export = {
    .name = "export",
    .summary = "a trace's loads as .npy or .csv",
    .run = run,
};
