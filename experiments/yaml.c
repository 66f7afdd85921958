/* experiments/yaml.c - libyaml's events, built into a tree. libyaml's own document loader would
 * resolve aliases and merge duplicate keys silently; the events show them. */
#include "experiments/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

typedef struct event_reader {
  yaml_parser_t parser;
  const char *file;
  bool is_file; /* lines mean something */
  size_t n_nodes;
} event_reader;

bool mb_yaml_is_empty(const mb_yaml *node) {
  static const char *const words[] = {"", "~", "null", "Null", "NULL"};
  bool empty = false;

  for (size_t i = 0; i < sizeof words / sizeof *words && node->kind == MB_YAML_SCALAR; i++) {
    empty = empty || (!node->quoted && strcmp(node->text, words[i]) == 0);
  }
  return empty;
}

const char *mb_yaml_kind_name(const mb_yaml *node) {
  switch (node->kind) {
  case MB_YAML_SCALAR:
    return mb_yaml_is_empty(node) ? "empty" : "a text";
  case MB_YAML_SEQUENCE:
    return "a list";
  case MB_YAML_MAPPING:
    return "a mapping";
  }
  return "?";
}

mb_status mb_yaml_fail(const mb_yaml *node, mb_status status, const char *format, ...) {
  char text[1024];
  va_list arguments;

  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (node->line == 0) {
    return MB_FAIL(status, "%s: %s", node->file, text);
  }
  return MB_FAIL(status, "%s:%zu: %s", node->file, node->line, text);
}

static mb_status fail_at(const event_reader *reader, yaml_mark_t mark, const char *text) {
  if (!reader->is_file) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s", reader->file, text);
  }
  return MB_FAIL(MB_ERR_FORMAT, "%s:%zu:%zu: %s", reader->file, mark.line + 1, mark.column + 1,
                 text);
}

static size_t line_of_offset(const event_reader *reader, size_t offset) {
  const unsigned char *input = reader->parser.input.string.start;
  size_t line = 0;

  for (size_t i = 0; i < offset && input + i < reader->parser.input.string.end; i++) {
    line += input[i] == '\n';
  }
  return line;
}

/* The byte of the character of that index; '\0' where the text ends before it. */
static unsigned char byte_at(const event_reader *reader, size_t index) {
  const unsigned char *end = reader->parser.input.string.end;

  for (const unsigned char *c = reader->parser.input.string.start; c < end; c++) {
    bool begins_character = (*c & 0xc0) != 0x80;
    if (begins_character && index-- == 0) {
      return *c;
    }
  }
  return '\0';
}

/* Translates the parser's own complaint. */
static mb_status fail_parser(const event_reader *reader) {
  const yaml_parser_t *parser = &reader->parser;
  const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
  char text[256];

  switch (parser->error) {
  case YAML_MEMORY_ERROR:
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", reader->file);
  case YAML_READER_ERROR:
    (void)snprintf(text, sizeof text, "%s: a config is UTF-8 text", problem);
    return fail_at(reader, (yaml_mark_t){.line = line_of_offset(reader, parser->problem_offset)},
                   text);
  default:
    if (byte_at(reader, parser->problem_mark.index) == '\t') {
      return fail_at(reader, parser->problem_mark, "not YAML: a tab; indent with spaces");
    }
    (void)snprintf(text, sizeof text, "not YAML: %s%s%s", problem,
                   parser->context != NULL ? " " : "",
                   parser->context != NULL ? parser->context : "");
    return fail_at(reader, parser->problem_mark, text);
  }
}

static mb_status next_event(event_reader *reader, yaml_event_t *event) {
  if (yaml_parser_parse(&reader->parser, event) == 0) {
    return fail_parser(reader);
  }
  return MB_OK;
}

/* An event's anchor and tag must not be there: both make a value mean more than it shows. */
static mb_status check_plain(const event_reader *reader, const yaml_event_t *event) {
  const yaml_char_t *anchor = NULL;
  const yaml_char_t *tag = NULL;

  switch (event->type) {
  case YAML_ALIAS_EVENT:
    return fail_at(reader, event->start_mark, "an alias (*name): write the value out instead");
  case YAML_SCALAR_EVENT:
    anchor = event->data.scalar.anchor;
    tag = event->data.scalar.tag;
    break;
  case YAML_SEQUENCE_START_EVENT:
    anchor = event->data.sequence_start.anchor;
    tag = event->data.sequence_start.tag;
    break;
  case YAML_MAPPING_START_EVENT:
    anchor = event->data.mapping_start.anchor;
    tag = event->data.mapping_start.tag;
    break;
  default:
    break;
  }
  if (anchor != NULL) {
    return fail_at(reader, event->start_mark, "an anchor (&name): leave it out");
  }
  if (tag != NULL) {
    return fail_at(reader, event->start_mark, "a tag (!name): leave it out");
  }
  return MB_OK;
}

static mb_status copy_scalar(const event_reader *reader, const yaml_event_t *event, char **text) {
  const char *value = (const char *)event->data.scalar.value;

  if (strlen(value) != event->data.scalar.length) {
    return fail_at(reader, event->start_mark, "a text with a NUL in it");
  }
  *text = strdup(value);
  return *text != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", reader->file);
}

static mb_status create_node(event_reader *reader, mb_yaml_kind kind, yaml_mark_t mark,
                             mb_yaml **node) {
  if (++reader->n_nodes > MB_YAML_MAX_NODES) {
    return fail_at(reader, mark, "more than 10000 values: this is no config");
  }
  *node = calloc(1, sizeof **node);
  if (*node == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", reader->file);
  }
  (*node)->kind = kind;
  (*node)->file = reader->file;
  (*node)->line = reader->is_file ? mark.line + 1 : 0;
  (*node)->column = mark.column + 1;
  return MB_OK;
}

/* False where there is no memory. */
static bool append_child(mb_yaml *parent, mb_yaml *child) {
  mb_yaml **grown = realloc(parent->children, (parent->n_children + 1) * sizeof(mb_yaml *));

  if (grown == NULL) {
    return false;
  }
  parent->children = grown;
  grown[parent->n_children++] = child;
  return true;
}

/* A mapping's key, which `event` holds: a plain text that the mapping has not had yet. */
static mb_status read_key(const event_reader *reader, const yaml_event_t *event,
                          const mb_yaml *mapping, char **key) {
  char text[256];

  MB_TRY(check_plain(reader, event));
  if (event->type != YAML_SCALAR_EVENT) {
    return fail_at(reader, event->start_mark, "a key that is no text");
  }
  if (event->data.scalar.length == 0) {
    return fail_at(reader, event->start_mark, "an empty key");
  }
  const char *name = (const char *)event->data.scalar.value;
  if (strcmp(name, "<<") == 0) {
    return fail_at(reader, event->start_mark, "a merge key (<<): write the values out instead");
  }
  const mb_yaml *first = mb_yaml_get(mapping, name);
  if (first != NULL) {
    (void)snprintf(text, sizeof text, "%s: this key is here a second time, first in line %zu", name,
                   first->line);
    return fail_at(reader, event->start_mark, text);
  }
  return copy_scalar(reader, event, key);
}

static mb_status read_node(event_reader *reader, const yaml_event_t *event, size_t depth,
                           mb_yaml **node);

/* The child that starts with `event`, by its key where the parent is a mapping. */
static mb_status read_child(event_reader *reader, yaml_event_t *event, size_t depth,
                            mb_yaml *parent) {
  char *key = NULL;
  mb_yaml *child = NULL;
  yaml_mark_t mark = event->start_mark;
  mb_status status = MB_OK;

  if (parent->kind == MB_YAML_MAPPING) {
    status = read_key(reader, event, parent, &key);
    if (status == MB_OK) {
      yaml_event_delete(event);
      status = next_event(reader, event);
    }
  }
  if (status == MB_OK) {
    status = read_node(reader, event, depth, &child);
  }
  if (status == MB_OK && !append_child(parent, child)) {
    status = MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", reader->file);
  }
  if (status != MB_OK) {
    mb_yaml_destroy(child);
    free(key);
    return status;
  }
  if (key != NULL) {
    child->key = key;
    child->line = reader->is_file ? mark.line + 1 : 0;
    child->column = mark.column + 1;
  }
  return MB_OK;
}

/* Reads the children of a sequence or mapping up to its end. */
static mb_status read_children(event_reader *reader, size_t depth, mb_yaml *parent) {
  yaml_event_t event;
  mb_status status = MB_OK;
  bool done = false;

  while (status == MB_OK && !done) {
    MB_TRY(next_event(reader, &event));
    done = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
    if (!done) {
      status = read_child(reader, &event, depth, parent);
    }
    yaml_event_delete(&event);
  }
  return status;
}

/* The value that starts with `event`, which stays the caller's. */
static mb_status read_node(event_reader *reader, const yaml_event_t *event, size_t depth,
                           mb_yaml **node) {
  mb_yaml *made = NULL;
  mb_yaml_kind kind = event->type == YAML_SCALAR_EVENT           ? MB_YAML_SCALAR
                      : event->type == YAML_SEQUENCE_START_EVENT ? MB_YAML_SEQUENCE
                                                                 : MB_YAML_MAPPING;

  MB_TRY(check_plain(reader, event));
  if (depth >= MB_YAML_MAX_DEPTH) {
    return fail_at(reader, event->start_mark, "more than 16 levels deep");
  }
  mb_status status = create_node(reader, kind, event->start_mark, &made);
  if (made == NULL) {
    return status;
  }
  if (kind == MB_YAML_SCALAR) {
    made->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    status = copy_scalar(reader, event, &made->text);
  } else {
    status = read_children(reader, depth + 1, made);
  }
  if (status != MB_OK) {
    mb_yaml_destroy(made);
    return status;
  }
  *node = made;
  return MB_OK;
}

/* After the first document's value: nothing but its end and the stream's. */
static mb_status read_end(event_reader *reader) {
  yaml_event_t event;
  yaml_event_type_t type;

  do {
    MB_TRY(next_event(reader, &event));
    type = event.type;
    yaml_mark_t mark = event.start_mark;
    yaml_event_delete(&event);
    if (type == YAML_DOCUMENT_START_EVENT) {
      return fail_at(reader, mark, "a second document: a config is one");
    }
  } while (type != YAML_STREAM_END_EVENT);
  return MB_OK;
}

static mb_status read_stream(event_reader *reader, mb_yaml **root) {
  yaml_event_t event;
  yaml_event_type_t type;
  mb_yaml *made = NULL;

  do { /* the stream's start, the document's, then its value */
    MB_TRY(next_event(reader, &event));
    type = event.type;
    mb_status status = MB_OK;
    if (type == YAML_STREAM_END_EVENT) {
      status = fail_at(reader, event.start_mark, "is empty");
    } else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT) {
      status = read_node(reader, &event, 0, &made);
    }
    yaml_event_delete(&event);
    MB_TRY(status);
  } while (made == NULL);
  mb_status status = read_end(reader);
  if (status != MB_OK) {
    mb_yaml_destroy(made);
    return status;
  }
  *root = made;
  return MB_OK;
}

static mb_status parse(const char *file, bool is_file, const char *text, size_t size,
                       mb_yaml **root) {
  static const char mark[] = {'\xef', '\xbb', '\xbf'};
  event_reader reader = {.file = file, .is_file = is_file};

  /* The byte order mark that some editors put in front of UTF-8. Where the encoding is told,
     libyaml takes it for content. */
  if (size >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) {
    text += sizeof mark;
    size -= sizeof mark;
  }

  if (yaml_parser_initialize(&reader.parser) == 0) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", file);
  }
  yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
  yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
  mb_status status = read_stream(&reader, root);
  yaml_parser_delete(&reader.parser);
  return status;
}

mb_status mb_yaml_parse(const char *place, const char *text, mb_yaml **root) {
  return parse(place, false, text, strlen(text), root);
}

/* All of an open file, which is at most MB_YAML_MAX_BYTES. */
static mb_status read_all(const char *path, FILE *file, char **text, size_t *size) {
  char *bytes = malloc(MB_YAML_MAX_BYTES + 1);

  if (bytes == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", path);
  }
  errno = 0;
  *size = fread(bytes, 1, MB_YAML_MAX_BYTES + 1, file);
  if (ferror(file) != 0) {
    free(bytes);
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  if (*size > MB_YAML_MAX_BYTES) {
    free(bytes);
    return MB_FAIL(MB_ERR_FORMAT, "%s: larger than 1 MiB: this is no config", path);
  }
  *text = bytes;
  return MB_OK;
}

mb_status mb_yaml_read(const char *path, mb_yaml **root) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = fopen(path, "rb");

  if (file == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  mb_status status = read_all(path, file, &text, &size);
  (void)fclose(file);
  MB_TRY(status);
  status = parse(path, true, text, size, root);
  free(text);
  return status;
}

void mb_yaml_destroy(mb_yaml *root) {
  if (root == NULL) {
    return;
  }
  for (size_t i = 0; i < root->n_children; i++) {
    mb_yaml_destroy(root->children[i]);
  }
  free(root->children);
  free(root->key);
  free(root->text);
  free(root);
}

/* The child whose key is the first `length` bytes of `key`. */
static mb_yaml *get_child(const mb_yaml *mapping, const char *key, size_t length) {
  if (mapping == NULL || mapping->kind != MB_YAML_MAPPING) {
    return NULL;
  }
  for (size_t i = 0; i < mapping->n_children; i++) {
    const char *have = mapping->children[i]->key;
    if (strncmp(have, key, length) == 0 && have[length] == '\0') {
      return mapping->children[i];
    }
  }
  return NULL;
}

const mb_yaml *mb_yaml_get(const mb_yaml *mapping, const char *key) {
  return get_child(mapping, key, strlen(key));
}

/* Walks as far as there are values; `rest` is what is left of the path. */
static const mb_yaml *walk(const mb_yaml *root, const char *path, const char **rest) {
  while (path != NULL && *path != '\0') {
    size_t length = strcspn(path, ".");
    const mb_yaml *child = get_child(root, path, length);
    if (child == NULL) {
      break;
    }
    root = child;
    path += length + (path[length] == '.');
  }
  *rest = path;
  return root;
}

const mb_yaml *mb_yaml_find(const mb_yaml *root, const char *path) {
  const char *rest = NULL;
  const mb_yaml *found = walk(root, path, &rest);

  return *rest == '\0' ? found : NULL;
}

const mb_yaml *mb_yaml_find_nearest(const mb_yaml *root, const char *path) {
  const char *rest = NULL;

  return walk(root, path, &rest);
}

/* An empty mapping of that key in `parent`, at the place where `like` stands; NULL: no memory. */
static mb_yaml *add_mapping(mb_yaml *parent, const char *key, size_t length, const mb_yaml *like) {
  mb_yaml *mapping = mb_yaml_make(MB_YAML_MAPPING, NULL, like);
  char *copy = strndup(key, length);

  if (mapping == NULL || copy == NULL || !append_child(parent, mapping)) {
    mb_yaml_destroy(mapping);
    free(copy);
    return NULL;
  }
  mapping->key = copy;
  return mapping;
}

mb_status mb_yaml_put(mb_yaml *parent, const char *key, mb_yaml *value) {
  char *copy = strdup(key);

  if (copy == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", value->file);
  }
  for (size_t i = 0; i < parent->n_children; i++) {
    if (strcmp(parent->children[i]->key, key) == 0) {
      mb_yaml_destroy(parent->children[i]);
      parent->children[i] = value;
      free(value->key);
      value->key = copy;
      return MB_OK;
    }
  }
  if (!append_child(parent, value)) {
    free(copy);
    return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", value->file);
  }
  free(value->key);
  value->key = copy;
  return MB_OK;
}

mb_yaml *mb_yaml_take(mb_yaml *mapping, const char *key) {
  mb_yaml *child = get_child(mapping, key, strlen(key));

  if (child == NULL) {
    return NULL;
  }
  size_t i = 0;
  while (mapping->children[i] != child) {
    i++;
  }
  mapping->n_children--;
  memmove(&mapping->children[i], &mapping->children[i + 1],
          (mapping->n_children - i) * sizeof(mb_yaml *));
  return child;
}

/* Fills `made`, which is zeroed, with the children of `node`; false: no memory. */
static bool copy_children(const mb_yaml *node, const char *path, mb_yaml *made) {
  for (size_t i = 0; i < node->n_children; i++) {
    const char *key = node->children[i]->key;
    mb_yaml *child = mb_yaml_copy(node->children[i], path);
    if (child == NULL || (key != NULL && (child->key = strdup(key)) == NULL) ||
        !append_child(made, child)) {
      mb_yaml_destroy(child);
      return false;
    }
  }
  return true;
}

mb_yaml *mb_yaml_copy(const mb_yaml *node, const char *path) {
  mb_yaml *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return NULL;
  }
  made->kind = node->kind;
  made->quoted = node->quoted;
  made->file = node->line > 0 ? path : node->file;
  made->line = node->line;
  made->column = node->column;
  if ((node->text != NULL && (made->text = strdup(node->text)) == NULL) ||
      !copy_children(node, path, made)) {
    mb_yaml_destroy(made);
    return NULL;
  }
  return made;
}

mb_yaml *mb_yaml_make(mb_yaml_kind kind, const char *text, const mb_yaml *like) {
  mb_yaml *made = calloc(1, sizeof *made);

  if (made == NULL || (text != NULL && (made->text = strdup(text)) == NULL)) {
    free(made);
    return NULL;
  }
  made->kind = kind;
  made->file = like->file;
  made->line = like->line;
  made->column = like->column;
  return made;
}

mb_status mb_yaml_set(mb_yaml *root, const char *path, mb_yaml *value) {
  const char *key = path;
  mb_yaml *parent = root;

  for (;;) {
    size_t length = strcspn(key, ".");
    if (length == 0) {
      return mb_yaml_fail(value, MB_ERR_PARAM, "'%s' is no key: keys are joined by single dots",
                          path);
    }
    if (parent->kind != MB_YAML_MAPPING) {
      return mb_yaml_fail(value, MB_ERR_PARAM, "%s: %.*s is %s, which has no keys", path,
                          key == path ? 10 : (int)(key - path - 1),
                          key == path ? "the config" : path, mb_yaml_kind_name(parent));
    }
    if (key[length] == '\0') {
      return mb_yaml_put(parent, key, value);
    }
    mb_yaml *child = get_child(parent, key, length);
    if (child == NULL && (child = add_mapping(parent, key, length, value)) == NULL) {
      return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", value->file);
    }
    parent = child;
    key += length + 1;
  }
}

/* Plain where every reader of YAML takes it for the same text; else in double quotes. */
static bool is_plain_text(const char *text) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/";
  static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789_.-";
  static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};

  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (strcasecmp(text, words[i]) == 0) {
      return false;
    }
  }
  return *text != '\0' && strchr(first, *text) != NULL && text[strspn(text, more)] == '\0';
}

/* Unicode's line breaks, which YAML would fold into spaces, and the byte order mark. Returns the
   bytes of the one at `text`, 0 where there is none. */
static size_t write_break(FILE *stream, const char *text) {
  static const char *const breaks[][2] = {{"\xc2\x85", "\\N"},
                                          {"\xe2\x80\xa8", "\\L"},
                                          {"\xe2\x80\xa9", "\\P"},
                                          {"\xef\xbb\xbf", "\\uFEFF"}};

  for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
    size_t length = strlen(breaks[i][0]);
    if (strncmp(text, breaks[i][0], length) == 0) {
      (void)fputs(breaks[i][1], stream);
      return length;
    }
  }
  return 0;
}

void mb_yaml_write_text(FILE *stream, const char *text) {
  if (is_plain_text(text)) {
    (void)fputs(text, stream);
    return;
  }
  (void)fputc('"', stream);
  for (const char *c = text; *c != '\0'; c++) {
    size_t escaped = write_break(stream, c);
    if (escaped > 0) {
      c += escaped - 1;
    } else if (*c == '"' || *c == '\\') {
      (void)fprintf(stream, "\\%c", *c);
    } else if ((unsigned char)*c < 0x20 || *c == 0x7f) {
      (void)fprintf(stream, "\\x%02x", (unsigned)*c);
    } else {
      (void)fputc(*c, stream);
    }
  }
  (void)fputc('"', stream);
}

/* Whether a scalar without quotes is one in flow style, too. */
static bool is_plain_in_flow(const char *text) {
  static const char letters[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
  static const char inner[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/+_";

  return text[strspn(text, letters)] == '\0' && strpbrk(text, inner) != NULL &&
         strncmp(text, "--", 2) != 0;
}

static void write_scalar(FILE *stream, const mb_yaml *node) {
  if (mb_yaml_is_empty(node)) {
    (void)fputs("null", stream);
  } else if (!node->quoted && is_plain_in_flow(node->text)) {
    (void)fputs(node->text, stream);
  } else {
    mb_yaml_write_text(stream, node->text);
  }
}

void mb_yaml_write(FILE *stream, const mb_yaml *node) {
  bool mapping = node->kind == MB_YAML_MAPPING;

  if (node->kind == MB_YAML_SCALAR) {
    write_scalar(stream, node);
    return;
  }
  (void)fputc(mapping ? '{' : '[', stream);
  for (size_t i = 0; i < node->n_children; i++) {
    (void)fputs(i > 0 ? ", " : "", stream);
    if (mapping) {
      mb_yaml_write_text(stream, node->children[i]->key);
      (void)fputs(": ", stream);
    }
    mb_yaml_write(stream, node->children[i]);
  }
  (void)fputc(mapping ? '}' : ']', stream);
}
