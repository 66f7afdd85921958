/* workloads/import_csv.c - loads in long form: a row for each step, layer and expert with its
 * count.
 *
 * The file is read twice: first for the layers and the number of experts, then step by step, so
 * that memory does not grow with it. Rows are sorted by step, in any order within one. An expert
 * without a row has load 0; a step or a layer of a step without any row is refused, since it cannot
 * be told from a recording with a hole.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workloads/import_array.h"
#include "workloads/importer.h"

enum {
  BUFFER_SIZE = 1 << 16,
  LINE_MAX_BYTES = 1 << 12,
  N_COLUMNS_MAX = 64,
  N_LAYERS_MAX = 1 << 14,
  ROWS_A_POLL = 1 << 12
};

typedef enum column { STEP, LAYER, EXPERT, COUNT, N_WANTED } column;

static const struct {
  const char *name, *other; /* other: NULL, or as well */
  uint64_t most;
} columns[N_WANTED] = {
    [STEP] = {"step", NULL, (uint64_t)1 << 53},
    [LAYER] = {"layer", NULL, INT32_MAX},
    [EXPERT] = {"expert", NULL, MB_IMPORT_STEP_LOADS_MAX - 1},
    [COUNT] = {"count", "load", UINT32_MAX},
};

/* A file, line by line. */
typedef struct reader {
  const mb_input *input;
  uint64_t offset; /* of what is not in the buffer yet */
  char *buffer;    /* BUFFER_SIZE + 1 */
  size_t at, n;
  uint64_t line;          /* number of the last line, from 1 */
  bool known;             /* columns are */
  size_t place[N_WANTED]; /* where each column stands */
  size_t n_fields;        /* in every line */
  bool unended;           /* the last line had no newline */
} reader;

typedef struct row {
  uint64_t value[N_WANTED];
} row;

/* What the first reading found, and the step that the second is at. */
typedef struct table {
  const mb_input *input;
  int32_t *layers; /* [n_layers] ascending, room for N_LAYERS_MAX */
  size_t n_layers, n_experts;
  size_t last;    /* the layer of the last row */
  uint64_t *load; /* [L,E] */
  uint64_t *line; /* [L,E] of the row that told it: this step's where it is not before first_line */
  uint64_t *rows; /* [L] */
  bool begun;
  uint64_t step, first_line;
} table;

/* ---- lines and fields ---- */

static mb_status reader_init(const mb_input *input, reader *in) {
  *in = (reader){.input = input, .buffer = malloc(BUFFER_SIZE + 1)};
  return in->buffer != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", input->path);
}

static mb_status refill(reader *in) {
  uint64_t left = in->input->size - in->offset;
  size_t kept = in->n - in->at;
  size_t n = left < BUFFER_SIZE - kept ? (size_t)left : BUFFER_SIZE - kept;

  memmove(in->buffer, in->buffer + in->at, kept);
  MB_TRY(mb_input_read(in->input, "rows", in->offset, n, in->buffer + kept));
  in->offset += n;
  in->at = 0;
  in->n = kept + n;
  return MB_OK;
}

/* The next line without its end, in the buffer; NULL after the last one. */
static mb_status next_line(reader *in, char **line) {
  char *end = memchr(in->buffer + in->at, '\n', in->n - in->at);

  if (end == NULL) {
    MB_TRY(refill(in));
    end = memchr(in->buffer, '\n', in->n);
  }
  *line = NULL;
  if (in->at == in->n) {
    return MB_OK;
  }
  in->line++;
  in->unended = end == NULL;
  end = end != NULL ? end : in->buffer + in->n;
  size_t length = (size_t)(end - (in->buffer + in->at));
  if (length > LINE_MAX_BYTES) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64 ": is longer than %d bytes, and should be step,layer,expert,"
                   "count",
                   in->input->path, in->line, LINE_MAX_BYTES);
  }
  *line = in->buffer + in->at;
  in->at += length + (in->unended ? 0 : 1);
  *end = '\0';
  if (strlen(*line) != length) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: line %" PRIu64 ": is not text: it has a byte 0",
                   in->input->path, in->line);
  }
  if (in->line == 1 && strncmp(*line, "\xef\xbb\xbf", 3) == 0) {
    *line += 3; /* as spreadsheets begin UTF-8 */
  }
  return MB_OK;
}

static char *trim(char *text) {
  char *end = text + strlen(text);

  while (end > text && isspace((unsigned char)end[-1])) {
    end--;
  }
  *end = '\0';
  return text + strspn(text, " \t");
}

/* A quoted field: moves its text to the front, and returns what follows the closing mark. */
static char *unquote(char *text) {
  char *to = text;
  char *from = text + 1;

  while (*from != '\0' && (from[0] != '"' || from[1] == '"')) {
    from += *from == '"' ? 1 : 0;
    *to++ = *from++;
  }
  char *rest = *from == '"' ? from + 1 : NULL;
  *to = '\0';
  return rest;
}

static mb_status fail_line(const reader *in, const char *why) {
  return MB_FAIL(MB_ERR_FORMAT, "%s: line %" PRIu64 ": %s", in->input->path, in->line, why);
}

/* Splits a line in place. */
static mb_status split(const reader *in, char *line, char *fields[N_COLUMNS_MAX], size_t *n) {
  *n = 0;
  for (char *at = line; at != NULL;) {
    if (*n == N_COLUMNS_MAX) {
      return fail_line(in, "has more than 64 fields, and should be step,layer,expert,count");
    }
    at += strspn(at, " \t");
    char *rest = *at == '"' ? unquote(at) : at;
    if (rest == NULL) {
      return fail_line(in, "a quotation mark is never closed");
    }
    char *comma = strchr(rest, ',');
    if (rest != at && *trim(rest) != '\0' && rest[strspn(rest, " \t")] != ',') {
      return fail_line(in, "something follows a closing quotation mark");
    }
    if (comma != NULL) {
      *comma = '\0';
    }
    fields[(*n)++] = trim(at);
    at = comma != NULL ? comma + 1 : NULL;
  }
  return MB_OK;
}

/* ---- rows ---- */

/* "12"; also "12.0" and "1.2e1", as programs write whole numbers that were once missing. */
static bool parse_number(const char *text, uint64_t most, uint64_t *value) {
  size_t n = strspn(text, "0123456789");
  char *end = NULL;

  if (n > 0 && n < 19 && text[n] == '\0') {
    *value = strtoull(text, NULL, 10);
    return *value <= most;
  }
  if (text[0] == '\0' || strspn(text, "0123456789.eE+-") != strlen(text)) {
    return false;
  }
  double real = strtod(text, &end);
  if (*end != '\0' || !(real >= 0.0 && real <= (double)most)) {
    return false;
  }
  *value = (uint64_t)real;
  return (double)*value == real;
}

static bool is_column(column c, const char *name) {
  return strcasecmp(name, columns[c].name) == 0 ||
         (columns[c].other != NULL && strcasecmp(name, columns[c].other) == 0);
}

/* Whether a line names columns rather than holding numbers. */
static bool is_header(char *const *fields) {
  return isalpha((unsigned char)fields[0][0]) || fields[0][0] == '_' || fields[0][0] == '\0';
}

static mb_status take_header(reader *in, char *const *fields, size_t n, mb_import *import) {
  bool found[N_WANTED] = {false};

  for (size_t i = 0; i < n; i++) {
    bool wanted = false;
    for (column c = STEP; c < N_WANTED; c++) {
      if (is_column(c, fields[i])) {
        if (found[c]) {
          return MB_FAIL(MB_ERR_FORMAT, "%s: line %" PRIu64 ": two columns are called %s",
                         in->input->path, in->line, columns[c].name);
        }
        in->place[c] = i;
        wanted = found[c] = true;
      }
    }
    if (!wanted && import != NULL) {
      mb_import_note(import, "%s: its column \"%.64s\" is left out", in->input->path, fields[i]);
    }
  }
  for (column c = STEP; c < N_WANTED; c++) {
    if (!found[c]) {
      return MB_FAIL(
          MB_ERR_FORMAT,
          "%s: line %" PRIu64
          ": names columns, but none is %s: it should have step, layer, expert and count",
          in->input->path, in->line, columns[c].name);
    }
  }
  return MB_OK;
}

/* Columns by their names, or by their order where the first line has numbers already. */
static mb_status learn_columns(reader *in, char *const *fields, size_t n, mb_import *import,
                               bool *header) {
  *header = is_header(fields);
  in->known = true;
  in->n_fields = n;
  if (*header) {
    return take_header(in, fields, n, import);
  }
  if (n != N_WANTED) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64
                   ": has %zu fields between commas, and should be step,layer,expert,count",
                   in->input->path, in->line, n);
  }
  for (column c = STEP; c < N_WANTED; c++) {
    in->place[c] = (size_t)c;
  }
  return MB_OK;
}

static mb_status take_row(const reader *in, char *const *fields, size_t n, row *found) {
  if (n != in->n_fields) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64 ": has %zu fields, but the lines before it have %zu",
                   in->input->path, in->line, n, in->n_fields);
  }
  for (column c = STEP; c < N_WANTED; c++) {
    const char *text = fields[in->place[c]];
    if (!parse_number(text, columns[c].most, &found->value[c])) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: line %" PRIu64
                     ": %s is \"%.64s\", but should be a whole number from 0 to "
                     "%" PRIu64,
                     in->input->path, in->line, columns[c].name, text, columns[c].most);
    }
  }
  return MB_OK;
}

/* The next row; `more` is false after the last one. Blank lines and those after # are passed. */
static mb_status next_row(reader *in, mb_import *import, row *found, bool *more) {
  char *fields[N_COLUMNS_MAX];
  size_t n = 0;

  for (;;) {
    char *line = NULL;
    bool header = false;
    MB_TRY(next_line(in, &line));
    *more = line != NULL;
    if (!*more) {
      return MB_OK;
    }
    line = trim(line);
    if (line[0] == '\0' || line[0] == '#') {
      continue;
    }
    MB_TRY(split(in, line, fields, &n));
    if (!in->known) {
      MB_TRY(learn_columns(in, fields, n, import, &header));
    }
    if (!header) {
      return take_row(in, fields, n, found);
    }
  }
}

/* ---- the first reading ---- */

/* The place of a layer's id, or where it would be. */
static size_t find_layer(const table *t, uint64_t id) {
  size_t low = 0;
  size_t high = t->n_layers;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uint64_t)t->layers[middle] < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool has_layer(const table *t, size_t l, uint64_t id) {
  return l < t->n_layers && (uint64_t)t->layers[l] == id;
}

static mb_status add_layer(const reader *in, table *t, uint64_t id) {
  if (has_layer(t, t->last, id)) {
    return MB_OK;
  }
  t->last = find_layer(t, id);
  if (has_layer(t, t->last, id)) {
    return MB_OK;
  }
  if (t->n_layers == N_LAYERS_MAX) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: line %" PRIu64 ": has more than %d different layers",
                   in->input->path, in->line, N_LAYERS_MAX);
  }
  memmove(t->layers + t->last + 1, t->layers + t->last,
          (t->n_layers - t->last) * sizeof *t->layers);
  t->layers[t->last] = (int32_t)id;
  t->n_layers++;
  return MB_OK;
}

static mb_status survey_rows(reader *in, table *t, mb_import *import) {
  bool more = true;
  row found;

  for (;;) {
    MB_TRY(next_row(in, import, &found, &more));
    if (!more) {
      break;
    }
    if (in->line % ROWS_A_POLL == 0) {
      MB_TRY(mb_import_poll(import));
    }
    MB_TRY(add_layer(in, t, found.value[LAYER]));
    t->n_experts =
        found.value[EXPERT] < t->n_experts ? t->n_experts : (size_t)found.value[EXPERT] + 1;
  }
  if (t->n_layers == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: holds no rows, and should have step,layer,expert,count",
                   in->input->path);
  }
  if (in->unended) {
    mb_import_note(import, "%s: its last line has no end: was the file cut off?", in->input->path);
  }
  return MB_OK;
}

static mb_status survey(table *t, mb_import *import) {
  reader in;

  t->layers = malloc(N_LAYERS_MAX * sizeof *t->layers);
  if (t->layers == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", t->input->path);
  }
  MB_TRY(reader_init(t->input, &in));
  mb_status status = survey_rows(&in, t, import);
  free(in.buffer);
  return status;
}

/* ---- the second reading ---- */

static mb_status begin(table *t, const mb_import_options *options, mb_import *import) {
  size_t largest = t->n_experts;
  size_t last = t->n_layers - 1;

  if (options->model != NULL && options->model->n_experts > t->n_experts) {
    t->n_experts = options->model->n_experts;
  } else if (options->model == NULL) {
    mb_import_note(import, "%zu experts: the largest number is %zu; --model would tell", largest,
                   largest - 1);
  }
  if ((uint64_t)t->n_layers * t->n_experts > MB_IMPORT_STEP_LOADS_MAX) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has %zu layers of %zu experts, which no model has",
                   t->input->path, t->n_layers, t->n_experts);
  }
  bool consecutive = (size_t)(t->layers[last] - t->layers[0]) == last;
  if (!consecutive) {
    mb_import_note(import, "%s: has %zu layers, which are not all from %" PRId32 " to %" PRId32,
                   t->input->path, t->n_layers, t->layers[0], t->layers[last]);
  }
  /* 0, 1, 2... may be the layers' numbers, or only count them. */
  bool counted = consecutive && t->layers[0] == 0;
  mb_import_facts facts = {.n_layers = t->n_layers,
                           .n_experts = t->n_experts,
                           .n_sources = 1,
                           .layer_ids = counted ? NULL : t->layers};
  MB_TRY(mb_import_begin(import, t->input, &facts));
  t->load = calloc(t->n_layers * t->n_experts, sizeof *t->load);
  t->line = calloc(t->n_layers * t->n_experts, sizeof *t->line);
  t->rows = calloc(t->n_layers, sizeof *t->rows);
  return t->load != NULL && t->line != NULL && t->rows != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for a step of %s", t->input->path);
}

/* Hands on the step, and clears the table for the next one. */
static mb_status end_step(table *t, mb_import *import) {
  for (size_t l = 0; l < t->n_layers; l++) {
    if (t->rows[l] == 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: step %" PRIu64 " (from line %" PRIu64 ") has no row of layer %" PRId32
                     ": a layer without load should have a row with count 0",
                     t->input->path, t->step, t->first_line, t->layers[l]);
    }
  }
  MB_TRY(mb_import_step(import, t->load, NULL));
  memset(t->load, 0, t->n_layers * t->n_experts * sizeof *t->load);
  memset(t->rows, 0, t->n_layers * sizeof *t->rows);
  return MB_OK;
}

static mb_status turn_to(const reader *in, table *t, uint64_t step, mb_import *import) {
  if (t->begun) {
    MB_TRY(end_step(t, import));
  }
  if (t->begun && step < t->step) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64 ": step %" PRIu64 " after step %" PRIu64
                   ": rows should be sorted by step",
                   in->input->path, in->line, step, t->step);
  }
  if (t->begun && step != t->step + 1) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64 ": step %" PRIu64 " after step %" PRIu64
                   ": those between are missing; a step without load should have rows with count 0",
                   in->input->path, in->line, step, t->step);
  }
  t->begun = true;
  t->step = step;
  t->first_line = in->line;
  return MB_OK;
}

static mb_status put_row(const reader *in, table *t, const row *found) {
  if (!has_layer(t, t->last, found->value[LAYER])) {
    t->last = find_layer(t, found->value[LAYER]);
  }
  /* The file may have changed since the first reading. */
  if (!has_layer(t, t->last, found->value[LAYER]) || found->value[EXPERT] >= t->n_experts) {
    return MB_FAIL(MB_ERR_IO, "%s: has changed while it was read", in->input->path);
  }
  size_t at = t->last * t->n_experts + (size_t)found->value[EXPERT];
  if (t->line[at] >= t->first_line) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: line %" PRIu64 ": step %" PRIu64 ", layer %" PRIu64 ", expert %" PRIu64
                   " stands already in line %" PRIu64,
                   in->input->path, in->line, found->value[STEP], found->value[LAYER],
                   found->value[EXPERT], t->line[at]);
  }
  t->line[at] = in->line;
  t->load[at] = found->value[COUNT];
  t->rows[t->last]++;
  return MB_OK;
}

static mb_status read_rows(reader *in, table *t, mb_import *import) {
  bool more = true;
  row found;

  for (;;) {
    MB_TRY(next_row(in, NULL, &found, &more));
    if (!more) {
      return t->begun ? end_step(t, import) : MB_OK;
    }
    if (!t->begun || found.value[STEP] != t->step) {
      MB_TRY(turn_to(in, t, found.value[STEP], import));
    }
    MB_TRY(put_row(in, t, &found));
  }
}

static mb_status read_csv(size_t n_inputs, const mb_input *inputs, const mb_import_options *options,
                          mb_import *import) {
  table t = {.input = &inputs[0]};
  reader in = {.buffer = NULL};

  (void)n_inputs;
  mb_status status = survey(&t, import);
  status = status == MB_OK ? begin(&t, options, import) : status;
  status = status == MB_OK ? reader_init(t.input, &in) : status;
  status = status == MB_OK ? read_rows(&in, &t, import) : status;
  free(in.buffer);
  free(t.rows);
  free(t.line);
  free(t.load);
  free(t.layers);
  return status;
}

/* The first row can be read, or the header before it. */
static bool recognise(const mb_input *input) {
  bool more = false;
  reader in;
  row found;

  if (input->is_folder || reader_init(input, &in) != MB_OK) {
    return false;
  }
  bool good = next_row(&in, NULL, &found, &more) == MB_OK && more;
  free(in.buffer);
  return good;
}

const mb_importer mb_importer_csv = {
    .name = "csv",
    .summary = "a table with the columns step, layer, expert and count, sorted by step",
    .recognise = recognise,
    .read = read_csv,
};
