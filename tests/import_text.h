/* tests/import_text.h - importers, fed with texts rather than files. */
#ifndef MB_TESTS_IMPORT_TEXT_H
#define MB_TESTS_IMPORT_TEXT_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"
#include "workloads/importer.h"
#include "workloads/trace.h"

/** An input that has those bytes, called NAME. The caller closes it. */
static inline mb_input input_of(const char *name, const char *bytes, size_t n) {
  mb_input input = {.fd = -1};
  FILE *file = tmpfile();

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_FATAL(fwrite(bytes, 1, n, file) == n && fflush(file) == 0);
  CHECK_OK(mb_input_open_fd(name, dup(fileno(file)), &input));
  (void)fclose(file);
  return input;
}

/** The import of one text. @param output the trace; NULL: none is written. */
static inline mb_status import_bytes(const char *format, const char *bytes, size_t n,
                                     const mb_import_options *options, const char *output) {
  const mb_importer *importer = mb_importer_find(format);
  mb_import *import = NULL;
  mb_import_summary summary;

  CU_ASSERT_PTR_NOT_NULL_FATAL(importer);
  mb_input input = input_of("input.json", bytes, n);
  CHECK_OK(mb_import_create(output, format, options, &import));
  CU_ASSERT_PTR_NOT_NULL_FATAL(import);
  mb_status status = mb_importer_read(importer, 1, &input, options, import);
  status = status == MB_OK ? mb_import_finish(import, &summary) : status;
  mb_import_destroy(import);
  mb_input_close(&input);
  return status;
}

static inline mb_status import_text(const char *format, const char *text,
                                    const mb_import_options *options, const char *output) {
  return import_bytes(format, text, strlen(text), options, output);
}

/** Every beginning of a good text is refused in one line, but for those in `allowed`. */
static inline void check_truncated(const char *format, const char *text,
                                   const mb_import_options *options,
                                   int (*allowed)(const char *text, size_t n)) {
  for (size_t n = 0; n < strlen(text); n++) {
    mb_status status = import_bytes(format, text, n, options, NULL);
    if (allowed(text, n)) {
      continue;
    }
    CU_ASSERT_NOT_EQUAL(status, MB_OK);
    CU_ASSERT(strstr(mb_error_message(), "input.json") != NULL);
    if (status == MB_OK) {
      (void)printf("\n    the first %zu bytes were taken\n", n);
    }
  }
}

/** Every byte replaced by each of some others: anything but a crash or an empty message. */
static inline void check_damaged(const char *format, const char *text,
                                 const mb_import_options *options) {
  static const char others[] = "\"\\{}[],:-9 eN.\n\x80";
  char damaged[8192];
  size_t n = strlen(text);

  CU_ASSERT_FATAL(n < sizeof damaged);
  for (size_t i = 0; i < n; i++) {
    for (size_t o = 0; o < sizeof others; o++) {
      memcpy(damaged, text, n + 1);
      damaged[i] = others[o]; /* the NUL too */
      if (import_bytes(format, damaged, n, options, NULL) != MB_OK) {
        const char *message = mb_error_message();
        CU_ASSERT(message[0] != '\0' && strchr(message, '\n') == NULL);
      }
    }
  }
}

#endif
