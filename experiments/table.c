/* experiments/table.c */
#include "experiments/table.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mb_table {
  char *path;
  char *temporary;
  FILE *file;
  int error;        /* errno of the first failure, or 0 */
  size_t n_columns; /* 0 until the header is complete */
  size_t n_cells;   /* of the row being written */
};

static void destroy(mb_table *table) {
  free(table->temporary);
  free(table->path);
  free(table);
}

mb_status mb_table_create(const char *path, mb_table **table) {
  size_t size = strlen(path) + sizeof ".tmp-" + 24;
  mb_table *made = calloc(1, sizeof *made);

  if (made == NULL || (made->path = strdup(path)) == NULL ||
      (made->temporary = malloc(size)) == NULL) {
    if (made != NULL) {
      destroy(made);
    }
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", path);
  }
  (void)snprintf(made->temporary, size, "%s.tmp-%ld", path, (long)getpid());
  made->file = fopen(made->temporary, "w");
  if (made->file == NULL) {
    int error = errno;
    destroy(made);
    return MB_FAIL(MB_ERR_IO, "%s cannot be written: %s", path, strerror(error));
  }
  *table = made;
  return MB_OK;
}

/* Remembers the first failure; later ones follow from it. */
static void note(mb_table *table, int written) {
  if (written < 0 && table->error == 0) {
    table->error = errno != 0 ? errno : EIO;
  }
}

static void start_cell(mb_table *table) {
  if (table->n_cells > 0) {
    note(table, fputc('\t', table->file));
  }
  table->n_cells++;
}

void mb_table_put_text(mb_table *table, const char *text) {
  assert(strpbrk(text, "\t\n\r") == NULL);
  start_cell(table);
  note(table, fputs(text, table->file));
}

void mb_table_put_format(mb_table *table, const char *format, ...) {
  va_list arguments;

  start_cell(table);
  va_start(arguments, format);
  note(table, vfprintf(table->file, format, arguments));
  va_end(arguments);
}

void mb_table_put_count(mb_table *table, size_t count) {
  mb_table_put_format(table, "%zu", count);
}

void mb_table_put_number(mb_table *table, double number) {
  if (isnan(number)) {
    mb_table_put_text(table, "NaN"); /* printf would tell its sign */
  } else {
    mb_table_put_format(table, "%.10g", number);
  }
}

void mb_table_end_row(mb_table *table) {
  assert(table->n_cells > 0);
  assert(table->n_columns == 0 || table->n_cells == table->n_columns);
  table->n_columns = table->n_cells;
  table->n_cells = 0;
  note(table, fputc('\n', table->file));
}

mb_status mb_table_finish(mb_table *table) {
  note(table, fclose(table->file));
  if (table->error == 0) {
    note(table, rename(table->temporary, table->path));
  }
  mb_status status = MB_OK;
  if (table->error != 0) {
    status = MB_FAIL(MB_ERR_IO, "%s cannot be written: %s", table->path, strerror(table->error));
    (void)unlink(table->temporary);
  }
  destroy(table);
  return status;
}

void mb_table_discard(mb_table *table) {
  if (table == NULL) {
    return;
  }
  (void)fclose(table->file);
  (void)unlink(table->temporary);
  destroy(table);
}
