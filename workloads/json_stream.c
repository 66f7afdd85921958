/* workloads/json_stream.c - YAJL calls back for all that a block of the file has; here that becomes
 * a queue, from which values are taken one by one. So an importer reads a file as it is written,
 * without a state of its own for every place that it can be in.
 */
#include "workloads/json_stream.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

enum {
  BLOCK_SIZE = 16 << 10,
  RUN_MAX = 1 << 20, /* bytes without an event: a text, a number or a blank */
  DEPTH_MAX = 64,
  KEY_SIZE = 48, /* of the names in messages */
  BEGINNING = 256 << 10,
};

/* The events that a value can be come first, as mb_json_kind has them. */
typedef enum event_kind {
  EVENT_OBJECT_END = MB_JSON_ARRAY + 1,
  EVENT_ARRAY_END,
  EVENT_KEY,
  EVENT_FILE_END,
} event_kind;

typedef struct event {
  uint32_t kind;
  uint32_t text, length; /* of keys, texts and numbers: where in mb_json.text, NUL-terminated */
  uint32_t end;          /* where in the block it ended */
} event;

/* YAJL does not check what its allocator returns. So all it can need for a block is there before
   the block is parsed, in chunks that are freed together. */
typedef struct chunk {
  struct chunk *next;
  size_t size, used;
  max_align_t bytes[];
} chunk;

/* How the file has ended, for YAJL. */
typedef enum ending {
  ENDING_NONE,
  ENDING_GOOD,
  ENDING_CUT,
  ENDING_NO_JSON,
  ENDING_TOO_DEEP,
  ENDING_TOO_LONG,
  ENDING_NO_MEMORY,
} ending;

/* An object or array that has begun and not ended. */
typedef struct level {
  bool is_array;
  size_t index;       /* of an array: the item, counted from 1 */
  char key[KEY_SIZE]; /* of an object: the field, or its beginning */
} level;

struct mb_json {
  const mb_input *input;
  yajl_handle parser;
  chunk *chunks;

  event *events; /* [events_size] at most one a byte, and those that the last block left open */
  size_t n_events, at, events_size;
  char *text;
  size_t n_text, text_capacity;

  uint64_t block_start, n_parsed; /* bytes */
  uint64_t run_start;             /* where the last event ended */
  size_t n_open;                  /* as YAJL has got on */
  ending ending;
  char complaint[96]; /* YAJL's */

  uint64_t position; /* where the last event that was taken has ended */
  level levels[DEPTH_MAX];
  size_t depth; /* as the caller has got on */
  unsigned char block[BLOCK_SIZE];
};

/* --- YAJL's memory */

static size_t chunk_room(const chunk *c) {
  return c == NULL ? 0 : c->size - c->used;
}

static void *pool_malloc(void *context, size_t size) {
  mb_json *json = context;
  size_t align = sizeof(max_align_t);
  size_t whole = (size + align - 1) / align * align + align;

  if (chunk_room(json->chunks) < whole) {
    assert(false); /* reserve() saw to it */
    return NULL;
  }
  char *bytes = (char *)json->chunks->bytes + json->chunks->used;
  json->chunks->used += whole;
  memcpy(bytes, &size, sizeof size);
  return bytes + align;
}

static void pool_free(void *context, void *bytes) {
  (void)context;
  (void)bytes;
}

static void *pool_realloc(void *context, void *bytes, size_t size) {
  size_t old = 0;
  void *made = pool_malloc(context, size);

  if (bytes != NULL && made != NULL) {
    memcpy(&old, (char *)bytes - sizeof(max_align_t), sizeof old);
    memcpy(made, bytes, old < size ? old : size);
  }
  return made;
}

/* YAJL has two buffers for what goes on from block to block, and doubles them: 8 times the bytes
   are enough for all their sizes together, next to some small things. @param n of the next block */
static mb_status reserve(mb_json *json, size_t n) {
  size_t need = 8 * ((size_t)(json->n_parsed - json->run_start) + n) + BLOCK_SIZE;

  if (chunk_room(json->chunks) >= need) {
    return MB_OK;
  }
  chunk *made = malloc(sizeof *made + need);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", json->input->path);
  }
  *made = (chunk){.next = json->chunks, .size = need};
  json->chunks = made;
  return MB_OK;
}

/* --- what YAJL calls */

static int push(mb_json *json, uint32_t kind, const void *text, size_t length) {
  if (json->n_text + length + 1 > json->text_capacity) {
    size_t capacity = 2 * (json->n_text + length + 1);
    char *grown = realloc(json->text, capacity);
    if (grown == NULL) {
      json->ending = ENDING_NO_MEMORY;
      return 0;
    }
    json->text = grown;
    json->text_capacity = capacity;
  }
  if (json->n_events == json->events_size) {
    json->ending = ENDING_NO_MEMORY;
    return 0;
  }
  size_t end = yajl_get_bytes_consumed(json->parser);
  json->events[json->n_events++] = (event){.kind = kind,
                                           .text = (uint32_t)json->n_text,
                                           .length = (uint32_t)length,
                                           .end = (uint32_t)end};
  if (length > 0) {
    memcpy(json->text + json->n_text, text, length);
  }
  json->n_text += length;
  json->text[json->n_text++] = '\0';
  json->run_start = json->block_start + end;
  return 1;
}

static int push_open(mb_json *json, uint32_t kind) {
  if (json->n_open == DEPTH_MAX) {
    json->ending = ENDING_TOO_DEEP;
    return 0;
  }
  json->n_open++;
  return push(json, kind, NULL, 0);
}

static int push_close(mb_json *json, uint32_t kind) {
  json->n_open--;
  return push(json, kind, NULL, 0);
}

static int on_null(void *context) {
  return push(context, MB_JSON_NULL, NULL, 0);
}

static int on_bool(void *context, int value) {
  return push(context, MB_JSON_BOOL, value ? "true" : "false", value ? 4 : 5);
}

static int on_number(void *context, const char *text, size_t length) {
  return push(context, MB_JSON_NUMBER, text, length);
}

static int on_text(void *context, const unsigned char *text, size_t length) {
  return push(context, MB_JSON_TEXT, text, length);
}

static int on_key(void *context, const unsigned char *text, size_t length) {
  return push(context, EVENT_KEY, text, length);
}

static int on_object(void *context) {
  return push_open(context, MB_JSON_OBJECT);
}

static int on_object_end(void *context) {
  return push_close(context, EVENT_OBJECT_END);
}

static int on_array(void *context) {
  return push_open(context, MB_JSON_ARRAY);
}

static int on_array_end(void *context) {
  return push_close(context, EVENT_ARRAY_END);
}

static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                         .yajl_boolean = on_bool,
                                         .yajl_number = on_number,
                                         .yajl_string = on_text,
                                         .yajl_start_map = on_object,
                                         .yajl_map_key = on_key,
                                         .yajl_end_map = on_object_end,
                                         .yajl_start_array = on_array,
                                         .yajl_end_array = on_array_end};

/* --- opening and closing */

static mb_status fail_memory(const mb_input *input) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", input->path);
}

mb_status mb_json_open(const mb_input *input, mb_json **json) {
  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a file", input->path);
  }
  mb_json *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return fail_memory(input);
  }
  made->input = input;
  made->events_size = (input->size < BLOCK_SIZE ? (size_t)input->size : BLOCK_SIZE) + 16;
  made->events = malloc(made->events_size * sizeof *made->events);
  if (made->events == NULL || reserve(made, 0) != MB_OK) {
    mb_json_destroy(made);
    return fail_memory(input);
  }
  yajl_alloc_funcs pool = {pool_malloc, pool_realloc, pool_free, made};
  made->parser = yajl_alloc(&callbacks, &pool, made);
  if (made->parser == NULL || yajl_config(made->parser, yajl_allow_multiple_values, 1) == 0) {
    mb_json_destroy(made);
    return fail_memory(input);
  }
  *json = made;
  return MB_OK;
}

void mb_json_destroy(mb_json *json) {
  if (json == NULL) {
    return;
  }
  /* The parser lies in the chunks. */
  while (json->chunks != NULL) {
    chunk *next = json->chunks->next;
    free(json->chunks);
    json->chunks = next;
  }
  free(json->events);
  free(json->text);
  free(json);
}

/* --- messages */

static uint64_t line_of(const mb_json *json, uint64_t position) {
  char bytes[4096];
  uint64_t line = 1;

  for (uint64_t at = 0; at < position;) {
    size_t n = position - at < sizeof bytes ? (size_t)(position - at) : sizeof bytes;
    if (mb_input_read(json->input, "JSON", at, n, bytes) != MB_OK) {
      break;
    }
    for (size_t i = 0; i < n; i++) {
      line += bytes[i] == '\n';
    }
    at += n;
  }
  return line;
}

/* ", a.b[3]", or nothing at the top. */
static void format_way(const mb_json *json, size_t size, char *way) {
  size_t n = 0;

  way[0] = '\0';
  for (size_t i = 0; i < json->depth && n < size; i++) {
    const level *l = &json->levels[i];
    const char *between = n == 0 ? ", " : "";
    int more = 0;
    if (l->is_array && l->index > 0) {
      more = snprintf(way + n, size - n, "%s[%zu]", between, l->index - 1);
    } else if (!l->is_array && l->key[0] != '\0') {
      more = snprintf(way + n, size - n, "%s%s", n == 0 ? ", " : ".", l->key);
    }
    n += more > 0 ? (size_t)more : 0;
  }
}

mb_status mb_json_fail(const mb_json *json, const char *format, ...) {
  char what[512];
  char way[256];
  va_list args;

  va_start(args, format);
  (void)vsnprintf(what, sizeof what, format, args);
  va_end(args);
  format_way(json, sizeof way, way);
  return MB_FAIL(MB_ERR_FORMAT, "%s: line %" PRIu64 "%s: %s", json->input->path,
                 line_of(json, json->position), way, what);
}

/* What Python's json writes of floats that are no numbers, where YAJL stumbled. */
static const char *no_number(const mb_json *json) {
  static const char *const words[] = {"NaN", "Infinity"};
  char bytes[16] = "";
  uint64_t from = json->position > 4 ? json->position - 4 : 0;
  uint64_t left = json->input->size - from;
  size_t n = left < sizeof bytes - 1 ? (size_t)left : sizeof bytes - 1;

  if (mb_input_read(json->input, "JSON", from, n, bytes) != MB_OK) {
    return NULL;
  }
  for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
    const char *found = strstr(bytes, words[w]);
    if (found != NULL && (uint64_t)(found - bytes) <= json->position - from) {
      return words[w];
    }
  }
  return NULL;
}

static mb_status fail_ending(mb_json *json) {
  json->position = json->n_parsed;
  switch (json->ending) {
  case ENDING_CUT:
    if (json->input->size == 0) {
      return MB_JSON_FAIL(json, "the file is empty, and should have JSON in it");
    }
    return MB_JSON_FAIL(json,
                        "the file ends here, after %" PRIu64
                        " bytes, in the middle of a value: it was cut off, or is damaged",
                        json->input->size);
  case ENDING_TOO_DEEP:
    return MB_JSON_FAIL(json, "more than %d objects and arrays inside of each other", DEPTH_MAX);
  case ENDING_TOO_LONG:
    return MB_JSON_FAIL(json, "a text, number or blank of more than %d bytes", RUN_MAX);
  case ENDING_NO_MEMORY:
    return MB_FAIL(MB_ERR_MEMORY, "no memory to read %s", json->input->path);
  default:
    break;
  }
  const char *word = no_number(json);
  if (word != NULL) {
    return MB_JSON_FAIL(json,
                        "%s is no number, and no JSON, though Python's json writes it: a "
                        "whole number should be here",
                        word);
  }
  return MB_JSON_FAIL(json, "is no JSON, at byte %" PRIu64 ": %s", json->position, json->complaint);
}

/* --- the queue */

/* YAJL's complaint, without its prefix and newline. */
static void complain(mb_json *json) {
  unsigned char *all = yajl_get_error(json->parser, 0, NULL, 0);
  const char *text = all == NULL ? "" : (const char *)all;
  const char *colon = strstr(text, ": ");

  text = colon == NULL ? text : colon + 2;
  (void)snprintf(json->complaint, sizeof json->complaint, "%.*s", (int)strcspn(text, "\r\n"), text);
}

static void parse_block(mb_json *json, size_t n) {
  yajl_status found =
      n > 0 ? yajl_parse(json->parser, json->block, n) : yajl_complete_parse(json->parser);

  if (found == yajl_status_ok) {
    json->n_parsed += n;
    if (n == 0) {
      json->ending = ENDING_GOOD;
      json->events[json->n_events++] = (event){.kind = EVENT_FILE_END};
    } else if (json->n_parsed - json->run_start > RUN_MAX) {
      json->ending = ENDING_TOO_LONG;
    }
    return;
  }
  if (n == 0) {
    json->ending = ENDING_CUT;
    return;
  }
  json->n_parsed += yajl_get_bytes_consumed(json->parser);
  if (json->ending == ENDING_NONE) {
    json->ending = ENDING_NO_JSON;
    complain(json);
  }
}

static mb_status fill(mb_json *json) {
  while (json->at == json->n_events) {
    if (json->ending != ENDING_NONE) {
      return fail_ending(json);
    }
    uint64_t left = json->input->size - json->n_parsed;
    size_t n = left < BLOCK_SIZE ? (size_t)left : BLOCK_SIZE;
    MB_TRY(reserve(json, n));
    MB_TRY(mb_input_read(json->input, "JSON", json->n_parsed, n, json->block));
    json->at = json->n_events = json->n_text = 0;
    json->block_start = json->n_parsed;
    parse_block(json, n);
  }
  return MB_OK;
}

static mb_status peek(mb_json *json, const event **next) {
  if (json->at == json->n_events) {
    MB_TRY(fill(json));
  }
  *next = &json->events[json->at];
  json->position = json->block_start + (*next)->end;
  return MB_OK;
}

static const char *text_of(const mb_json *json, const event *e) {
  return json->text + e->text;
}

/* "is -1" and the like. */
static const char *describe(const mb_json *json, const event *e, char text[64]) {
  static const char *const names[] = {
      [MB_JSON_NULL] = "null",        [MB_JSON_OBJECT] = "an object", [MB_JSON_ARRAY] = "an array",
      [EVENT_OBJECT_END] = "nothing", [EVENT_ARRAY_END] = "nothing",  [EVENT_FILE_END] = "nothing"};

  switch (e->kind) {
  case MB_JSON_TEXT:
    (void)snprintf(text, 64, "the text \"%.40s\"", text_of(json, e));
    return text;
  case MB_JSON_NUMBER:
  case MB_JSON_BOOL:
    (void)snprintf(text, 64, "%.40s%s", text_of(json, e), e->length > 40 ? "..." : "");
    return text;
  default:
    return names[e->kind];
  }
}

static mb_status fail_kind(const mb_json *json, const event *e, const char *right) {
  char text[64];

  return MB_JSON_FAIL(json, "is %s, and should be %s", describe(json, e, text), right);
}

/* --- values */

mb_status mb_json_more(mb_json *json, bool *more) {
  const event *next;

  assert(json->depth == 0);
  MB_TRY(peek(json, &next));
  *more = next->kind != EVENT_FILE_END;
  return MB_OK;
}

mb_status mb_json_peek(mb_json *json, mb_json_kind *kind) {
  const event *next;

  MB_TRY(peek(json, &next));
  if (next->kind > MB_JSON_ARRAY) {
    return fail_kind(json, next, "a value");
  }
  *kind = (mb_json_kind)next->kind;
  return MB_OK;
}

mb_status mb_json_skip(mb_json *json) {
  size_t open = 0;
  const event *next;

  do {
    MB_TRY(peek(json, &next));
    if (next->kind == EVENT_FILE_END) {
      return fail_kind(json, next, "a value");
    }
    json->at++;
    open += next->kind == MB_JSON_OBJECT || next->kind == MB_JSON_ARRAY;
    open -= next->kind == EVENT_OBJECT_END || next->kind == EVENT_ARRAY_END;
  } while (open > 0);
  return MB_OK;
}

static mb_status enter(mb_json *json, mb_json_kind kind, const char *right) {
  const event *next;

  MB_TRY(peek(json, &next));
  if (next->kind != (uint32_t)kind) {
    return fail_kind(json, next, right);
  }
  json->at++;
  json->levels[json->depth++] = (level){.is_array = kind == MB_JSON_ARRAY};
  return MB_OK;
}

mb_status mb_json_object(mb_json *json) {
  return enter(json, MB_JSON_OBJECT, "an object");
}

mb_status mb_json_array(mb_json *json) {
  return enter(json, MB_JSON_ARRAY, "an array");
}

static size_t name_index(size_t n, const char *const *names, const char *text, size_t length) {
  size_t i = 0;

  while (i < n && (strlen(names[i]) != length || memcmp(names[i], text, length) != 0)) {
    i++;
  }
  return i;
}

mb_status mb_json_field(mb_json *json, size_t n, const char *const *names, uint64_t *seen,
                        size_t *which) {
  level *l = &json->levels[json->depth - 1];
  const event *next;

  assert(n <= 64 && json->depth > 0 && !l->is_array);
  for (;;) {
    l->key[0] = '\0';
    MB_TRY(peek(json, &next));
    json->at++;
    if (next->kind == EVENT_OBJECT_END) {
      json->depth--;
      *which = n;
      return MB_OK;
    }
    assert(next->kind == EVENT_KEY);
    const char *key = text_of(json, next);
    size_t i = name_index(n, names, key, next->length);
    (void)snprintf(l->key, sizeof l->key, "%s", key);
    if (i < n && (*seen >> i & 1) != 0) {
      return MB_JSON_FAIL(json, "comes twice in one object");
    }
    if (i < n) {
      mb_json_kind kind;
      MB_TRY(mb_json_peek(json, &kind));
      if (kind != MB_JSON_NULL) {
        *seen |= (uint64_t)1 << i;
        *which = i;
        return MB_OK;
      }
    }
    MB_TRY(mb_json_skip(json));
  }
}

mb_status mb_json_item(mb_json *json, bool *more) {
  level *l = &json->levels[json->depth - 1];
  const event *next;

  assert(json->depth > 0 && l->is_array);
  l->index++;
  MB_TRY(peek(json, &next));
  *more = next->kind != EVENT_ARRAY_END;
  if (!*more) {
    json->at++;
    json->depth--;
  }
  return MB_OK;
}

/* --- whole numbers */

/* A number's digits without its point, and how many of them stand before the point. */
typedef struct decimal {
  const char *digits; /* with the point among them */
  size_t n;           /* characters */
  long before;        /* digits before the point, once the exponent has moved it */
} decimal;

static decimal decimal_split(const char *text) {
  decimal d = {.digits = text, .n = strspn(text, "0123456789.")};
  const char *point = memchr(text, '.', d.n);
  const char *exponent = text + d.n;

  d.before = (long)(point == NULL ? d.n : (size_t)(point - text));
  if (*exponent == 'e' || *exponent == 'E') {
    long moved = strtol(exponent + 1, NULL, 10);
    /* Beyond this there is neither a digit nor a value that fits. */
    moved = moved > INT_MAX ? INT_MAX : moved < -INT_MAX ? -INT_MAX : moved;
    d.before += moved;
  }
  return d;
}

/* Exact: 1e3 is whole, 0.30000000000000000001e1 is not. */
static bool parse_magnitude(const char *text, uint64_t *magnitude) {
  decimal d = decimal_split(text);
  uint64_t value = 0;
  long i = 0;

  for (size_t c = 0; c < d.n; c++) {
    if (d.digits[c] == '.') {
      continue;
    }
    unsigned digit = (unsigned)(d.digits[c] - '0');
    if (i >= d.before && digit != 0) {
      return false;
    }
    if (i < d.before && value > ((uint64_t)INT64_MAX - digit) / 10) {
      return false;
    }
    value = i < d.before ? value * 10 + digit : value;
    i++;
  }
  for (; i < d.before && value != 0; i++) {
    if (value > (uint64_t)INT64_MAX / 10) {
      return false;
    }
    value *= 10;
  }
  *magnitude = value;
  return true;
}

static bool parse_whole(const char *text, size_t length, int64_t *value) {
  bool negative = text[0] == '-';
  uint64_t magnitude = 0;
  size_t i = negative;

  while (i < length && i < 18 && text[i] >= '0' && text[i] <= '9') {
    magnitude = magnitude * 10 + (uint64_t)(text[i] - '0');
    i++;
  }
  if (i < length && !parse_magnitude(text + negative, &magnitude)) {
    return false;
  }
  *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
  return true;
}

static mb_status fail_whole(const mb_json *json, const event *e, const char *what, int64_t min,
                            int64_t max) {
  char text[64];

  return MB_JSON_FAIL(json, "is %s, and should be %s, a whole number from %" PRId64 " to %" PRId64,
                      describe(json, e, text), what, min, max);
}

mb_status mb_json_whole(mb_json *json, const char *what, int64_t min, int64_t max, int64_t *value) {
  const event *next;
  int64_t whole = 0;

  MB_TRY(peek(json, &next));
  if (next->kind != MB_JSON_NUMBER || !parse_whole(text_of(json, next), next->length, &whole) ||
      whole < min || whole > max) {
    return fail_whole(json, next, what, min, max);
  }
  json->at++;
  *value = whole;
  return MB_OK;
}

mb_status mb_json_text(mb_json *json, const char *what, bool number_too, size_t size, char *text) {
  const event *next;

  MB_TRY(peek(json, &next));
  if (next->kind != MB_JSON_TEXT && !(number_too && next->kind == MB_JSON_NUMBER)) {
    char is[64];
    return MB_JSON_FAIL(json, "is %s, and should be %s, a text%s", describe(json, next, is), what,
                        number_too ? " or a number" : "");
  }
  if (next->length >= size || strlen(text_of(json, next)) != next->length) {
    return MB_JSON_FAIL(json, "has %" PRIu32 " bytes, and should be %s, at most %zu bytes, none 0",
                        next->length, what, size - 1);
  }
  memcpy(text, text_of(json, next), (size_t)next->length + 1);
  json->at++;
  return MB_OK;
}

/* --- tables */

static mb_status table_push(mb_json *json, mb_json_table *table, size_t n, int64_t value) {
  if (n == table->capacity) {
    size_t capacity = n < 256 ? 256 : 2 * n;
    int64_t *grown = realloc(table->values, capacity * sizeof *grown);
    if (grown == NULL) {
      return fail_memory(json->input);
    }
    table->values = grown;
    table->capacity = capacity;
  }
  table->values[n] = value;
  return MB_OK;
}

/* The rest of an array that has been entered. @param n of the table's numbers so far. */
static mb_status read_row(mb_json *json, const mb_json_bounds *bounds, mb_json_table *table,
                          size_t *n) {
  size_t first = *n;
  bool more;

  for (;;) {
    int64_t value = 0;
    MB_TRY(mb_json_item(json, &more));
    if (!more) {
      break;
    }
    if (*n - first == bounds->row_max) {
      return MB_JSON_FAIL(json, "more than %zu numbers in a row", bounds->row_max);
    }
    MB_TRY(mb_json_whole(json, bounds->what, bounds->min, bounds->max, &value));
    MB_TRY(table_push(json, table, *n, value));
    *n += 1;
  }
  if (*n == first) {
    return MB_JSON_FAIL(json, "is an empty array");
  }
  return MB_OK;
}

mb_status mb_json_row_read(mb_json *json, const mb_json_bounds *bounds, mb_json_table *table) {
  size_t n = 0;

  table->n_rows = table->n_columns = 0;
  MB_TRY(mb_json_array(json));
  MB_TRY(read_row(json, bounds, table, &n));
  table->n_rows = 1;
  table->n_columns = n;
  return MB_OK;
}

static mb_status read_rows(mb_json *json, const mb_json_bounds *bounds, mb_json_table *table) {
  size_t n = 0;
  bool more;

  for (;;) {
    size_t first = n;
    MB_TRY(mb_json_item(json, &more));
    if (!more) {
      break;
    }
    if (table->n_rows == bounds->rows_max) {
      return MB_JSON_FAIL(json, "more than %zu rows", bounds->rows_max);
    }
    MB_TRY(mb_json_array(json));
    MB_TRY(read_row(json, bounds, table, &n));
    if (table->n_rows > 0 && n - first != table->n_columns) {
      return MB_JSON_FAIL(json, "has %zu numbers, and should have %zu, as the rows before it",
                          n - first, table->n_columns);
    }
    table->n_columns = n - first;
    table->n_rows++;
  }
  if (table->n_rows == 0) {
    return MB_JSON_FAIL(json, "is an empty array");
  }
  return MB_OK;
}

mb_status mb_json_table_read(mb_json *json, const mb_json_bounds *bounds, mb_json_table *table) {
  const event *next;

  table->n_rows = table->n_columns = 0;
  MB_TRY(mb_json_array(json));
  MB_TRY(peek(json, &next));
  if (!bounds->row_too || next->kind != MB_JSON_NUMBER) {
    return read_rows(json, bounds, table);
  }
  size_t n = 0;
  MB_TRY(read_row(json, bounds, table, &n));
  table->n_rows = 1;
  table->n_columns = n;
  return MB_OK;
}

void mb_json_table_free(mb_json_table *table) {
  free(table->values);
  *table = (mb_json_table){0};
}

/* --- recognising */

static bool first_fields(mb_json *json, size_t n, const char *const *names) {
  const event *next;
  size_t open = 0;

  while (peek(json, &next) == MB_OK && json->position <= BEGINNING) {
    json->at++;
    if (next->kind == EVENT_KEY && open <= 3 &&
        name_index(n, names, text_of(json, next), next->length) < n) {
      return true;
    }
    open += next->kind == MB_JSON_OBJECT || next->kind == MB_JSON_ARRAY;
    open -= next->kind == EVENT_OBJECT_END || next->kind == EVENT_ARRAY_END;
    if (open == 0) {
      return false;
    }
  }
  return false;
}

bool mb_json_begins_with(const mb_input *input, size_t n, const char *const *names) {
  mb_json *json;
  char first = '\0';

  if (input->is_folder || input->size == 0 || mb_input_read(input, "JSON", 0, 1, &first) != MB_OK ||
      strchr("{ \t\r\n", first) == NULL || mb_json_open(input, &json) != MB_OK) {
    return false;
  }
  bool found = first_fields(json, n, names);
  mb_json_destroy(json);
  return found;
}
