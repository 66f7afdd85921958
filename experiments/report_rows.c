/* experiments/report_rows.c */
#include "experiments/report_rows.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report_html.h"

/* Does something with each line of a file; `number` counts from 0. */
typedef void (*line_function)(size_t number, char *line, FILE *page);

static mb_status for_lines(const char *path, line_function act, FILE *page) {
  FILE *file = fopen(path, "r");
  char *line = NULL;
  size_t size = 0;
  size_t number = 0;

  if (file == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: %s", path, strerror(errno));
  }
  while (getline(&line, &size, file) > 0) {
    line[strcspn(line, "\n")] = '\0';
    act(number++, line, page);
  }
  bool failed = ferror(file) != 0 || number == 0;
  free(line);
  (void)fclose(file);
  return failed ? MB_FAIL(MB_ERR_IO, "%s cannot be read, or is empty", path) : MB_OK;
}

/* Whether a cell is a whole number as JSON writes it. */
static bool is_whole(const char *cell) {
  size_t length = strlen(cell);

  return length > 0 && length < 16 && strspn(cell, "0123456789") == length &&
         (length == 1 || cell[0] != '0');
}

static void put_cell(FILE *page, const char *cell) {
  char *end = NULL;
  double number = strtod(cell, &end);

  if (is_whole(cell)) {
    (void)fputs(cell, page);
  } else if (*end != '\0') {
    mb_html_put_json(page, cell);
  } else if (end == cell || !isfinite(number)) {
    (void)fputs("null", page);
  } else {
    (void)fprintf(page, "%.5g", number);
  }
}

/* The header as "columns", then each line as an array of "rows". */
static void put_line(size_t number, char *line, FILE *page) {
  (void)fputs(number == 0 ? "\"columns\":" : number == 1 ? "\"rows\":[" : ",\n", page);
  for (char *cell = line, *next = NULL; cell != NULL; cell = next) {
    next = strchr(cell, '\t');
    if (next != NULL) {
      *next++ = '\0';
    }
    (void)fputc(cell == line ? '[' : ',', page);
    if (number == 0) {
      mb_html_put_json(page, cell);
    } else {
      put_cell(page, cell);
    }
  }
  (void)fputs(number == 0 ? "],\n" : "]", page);
}

/* "plot 1 2 3 4" as "plot":[1,2,3,4]. */
static void put_numbers(FILE *page, const char *name, char *numbers) {
  const char *separator = "[";

  (void)fprintf(page, "\"%s\":", name);
  for (char *at = numbers, *end = NULL;; at = end) {
    double number = strtod(at, &end);
    if (end == at) {
      break;
    }
    (void)fprintf(page, isfinite(number) ? "%s%.9g" : "%snull", separator, number);
    separator = ",";
  }
  (void)fputs("],\n", page);
}

static void put_axis_line(size_t number, char *line, FILE *page) {
  static const char *const ranges[] = {"size", "plot", "x", "y"};
  char *rest = line + strcspn(line, " ");

  (void)number;
  if (*rest != '\0') {
    *rest++ = '\0';
  }
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    if (strcmp(line, ranges[i]) == 0) {
      put_numbers(page, line, rest);
      return;
    }
  }
  if (strcmp(line, "readout") == 0) {
    (void)fputs("\"readout\":", page);
    mb_html_put_json(page, rest + strspn(rest, " "));
    (void)fputs(",\n\"series\":[", page);
  } else if (strcmp(line, "series") == 0 && strlen(rest) > 6 && rest[6] == ' ') {
    rest[6] = '\0';
    (void)fputc('[', page);
    mb_html_put_json(page, rest + 7);
    (void)fprintf(page, ",\"#%s\"],", rest);
  }
}

mb_status mb_report_rows_put(const char *table, const char *axes, FILE *page) {
  (void)fputs("{", page);
  MB_TRY(for_lines(axes, put_axis_line, page));
  (void)fputs("null],\n", page); /* which ends the list of series, where there is none too */
  MB_TRY(for_lines(table, put_line, page));
  (void)fputs("]}", page);
  return MB_OK;
}
