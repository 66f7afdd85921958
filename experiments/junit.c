/* experiments/junit.c */
#include "experiments/junit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "workloads/new_file.h"

/* Bytes of the UTF-8 character that a text begins with, if XML may have it; else 0. */
static size_t character_size(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  size_t n = c[0] < 0x80 ? 1 : c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
  static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000}; /* shorter forms are wrong */
  uint32_t code = n == 1 ? c[0] : c[0] & (0x7fU >> n);

  if ((c[0] >= 0x80 && c[0] < 0xc0) || c[0] >= 0xf8) {
    return 0;
  }
  for (size_t i = 1; i < n; i++) {
    if ((c[i] & 0xc0) != 0x80) {
      return 0;
    }
    code = code << 6 | (c[i] & 0x3fU);
  }
  bool space = code == '\t' || code == '\n' || code == '\r';
  bool wrong =
      code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code == 0xfffe || code == 0xffff;
  return !wrong && (space || code >= least[n]) ? n : 0;
}

/* White space is written as a reference: in an attribute a newline would become a space. */
static void put_escaped(FILE *stream, const char *text) {
  while (*text != '\0') {
    size_t n = character_size(text);
    if (n == 0) {
      (void)fputc('?', stream);
      n = 1;
    } else if (n == 1 && (*text < ' ' || strchr("<>&\"'", *text) != NULL)) {
      (void)fprintf(stream, "&#%d;", *text);
    } else {
      (void)fwrite(text, 1, n, stream);
    }
    text += n;
  }
}

static void put_attribute(FILE *stream, const char *name, const char *value) {
  (void)fprintf(stream, " %s=\"", name);
  put_escaped(stream, value);
  (void)fputc('"', stream);
}

static void put_element(FILE *stream, const char *name, const char *type, const char *message,
                        const char *text) {
  (void)fprintf(stream, "      <%s", name);
  if (type != NULL) {
    put_attribute(stream, "type", type);
  }
  if (message != NULL) {
    put_attribute(stream, "message", message);
  }
  (void)fputc('>', stream);
  put_escaped(stream, text != NULL ? text : "");
  (void)fprintf(stream, "</%s>\n", name);
}

static void put_case(FILE *stream, const mb_junit_case *one) {
  (void)fputs("    <testcase", stream);
  put_attribute(stream, "classname", one->group);
  put_attribute(stream, "name", one->name);
  (void)fputs(" time=\"0\">\n", stream);
  if (one->result == MB_JUNIT_FAILURE) {
    put_element(stream, "failure", "worse", one->message, one->details);
  } else if (one->result == MB_JUNIT_ERROR) {
    put_element(stream, "error", "unknown", one->message, one->details);
  } else if (one->message != NULL) {
    put_element(stream, "system-out", NULL, NULL, one->message);
  }
  (void)fputs("    </testcase>\n", stream);
}

static void put_counts(FILE *stream, const char *suite, size_t n_cases,
                       const mb_junit_case *cases) {
  size_t n_failures = 0;
  size_t n_errors = 0;

  for (size_t i = 0; i < n_cases; i++) {
    n_failures += cases[i].result == MB_JUNIT_FAILURE;
    n_errors += cases[i].result == MB_JUNIT_ERROR;
  }
  put_attribute(stream, "name", suite);
  (void)fprintf(stream, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" time=\"0\">\n", n_cases,
                n_failures, n_errors);
}

/* What put_all() writes. */
typedef struct suite_cases {
  const char *suite;
  size_t n_cases;
  const mb_junit_case *cases;
} suite_cases;

static void put_all(FILE *stream, const void *context) {
  const suite_cases *all = context;

  (void)fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites", stream);
  put_counts(stream, "moebal check", all->n_cases, all->cases);
  (void)fputs("  <testsuite", stream);
  put_counts(stream, all->suite, all->n_cases, all->cases);
  for (size_t i = 0; i < all->n_cases; i++) {
    put_case(stream, &all->cases[i]);
  }
  (void)fputs("  </testsuite>\n</testsuites>\n", stream);
}

mb_status mb_junit_write(const char *path, const char *suite, size_t n_cases,
                         const mb_junit_case *cases) {
  const suite_cases all = {suite, n_cases, cases};

  return mb_new_file_write(path, put_all, &all);
}
