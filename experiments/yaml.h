/* experiments/yaml.h - the part of YAML that configs need, as a small tree that knows its lines. */
#ifndef MB_EXPERIMENTS_YAML_H
#define MB_EXPERIMENTS_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "balancer/status.h"

/** What is refused beyond this: a config is a page of text, not a data file. */
enum { MB_YAML_MAX_BYTES = 1 << 20, MB_YAML_MAX_NODES = 10000, MB_YAML_MAX_DEPTH = 16 };

typedef enum mb_yaml_kind { MB_YAML_SCALAR, MB_YAML_SEQUENCE, MB_YAML_MAPPING } mb_yaml_kind;

/** A value, with all below it; a mapping's values know their keys. Texts are UTF-8 without NUL. */
typedef struct mb_yaml mb_yaml;
struct mb_yaml {
  mb_yaml_kind kind;
  char *key;           /* in a mapping; NULL elsewhere */
  char *text;          /* of a scalar; NULL of others */
  bool quoted;         /* a scalar in quotes or a block: text, never a number or a word */
  const char *file;    /* where it stands; borrowed */
  size_t line, column; /* from 1: of the key in a mapping, of the value elsewhere; line 0: `file` is
                          not a file but a place, as "--set" */
  size_t n_children;
  mb_yaml **children; /* of a sequence or mapping, in the order written */
};

/**
 * Reads a file that holds one document in UTF-8: mappings, sequences and scalars. What makes a
 * config say something else than it seems to is refused: duplicate keys, anchors and aliases, merge
 * keys, tags, several documents; so are more than 16 levels or 10,000 values.
 *
 * @param path borrowed as long as the tree lives: messages and nodes refer to it.
 * @param root Transferred: mb_yaml_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO naming the file; MB_ERR_FORMAT, "FILE:LINE:COLUMN: what"; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_yaml_read(const char *path, mb_yaml **root);

/** The same of a text, which stands at `place` (borrowed as above), such as "--set". */
MB_NODISCARD mb_status mb_yaml_parse(const char *place, const char *text, mb_yaml **root);

void mb_yaml_destroy(mb_yaml *root); /* NULL is fine */

/** The value of a mapping's key, or NULL. Anything but a mapping has no keys; NULL neither. */
const mb_yaml *mb_yaml_get(const mb_yaml *mapping, const char *key);

/** Follows keys joined by dots, "cluster.gpus"; or NULL. */
const mb_yaml *mb_yaml_find(const mb_yaml *root, const char *path);

/** The deepest value on the way that a path takes: where a missing one would have to stand. */
const mb_yaml *mb_yaml_find_nearest(const mb_yaml *root, const char *path);

/**
 * Gives the path that value, instead of what it had; mappings on the way are made where needed.
 *
 * @param value Transferred on MB_OK.
 * @return MB_OK; MB_ERR_PARAM if a key on the way is empty or has a value that is no mapping.
 */
MB_NODISCARD mb_status mb_yaml_set(mb_yaml *root, const char *path, mb_yaml *value);

/** Gives a mapping's own key that value: the key is taken as it is, dots and all. As mb_yaml_set().
 */
MB_NODISCARD mb_status mb_yaml_put(mb_yaml *mapping, const char *key, mb_yaml *value);

/** Takes a mapping's value out of it, for the caller to destroy; NULL where there is none. */
mb_yaml *mb_yaml_take(mb_yaml *mapping, const char *key);

/**
 * A copy of a value and all below it, without its key. What stands in a file stands in `path` then
 * (borrowed as in mb_yaml_read()), in the same line. NULL: no memory.
 */
mb_yaml *mb_yaml_copy(const mb_yaml *node, const char *path);

/** A value of that kind without children, at the place of `like`; NULL: no memory.
 * @param text of a scalar, which has no quotes; NULL of others. */
mb_yaml *mb_yaml_make(mb_yaml_kind kind, const char *text, const mb_yaml *like);

/** Writes a scalar so that mb_yaml_read() gives the same text back: in quotes where it needs them.
 */
void mb_yaml_write_text(FILE *stream, const char *text);

/** Writes a value in flow style, on one line, so that mb_yaml_read() gives the same one back. */
void mb_yaml_write(FILE *stream, const mb_yaml *node);

/** Whether a value is none: nothing, ~ or null, without quotes. */
bool mb_yaml_is_empty(const mb_yaml *node);

/** "a text", "a list", "a mapping" or "empty": what a message calls a value. Static. */
const char *mb_yaml_kind_name(const mb_yaml *node);

/** Sets the message "FILE:LINE: ..." (or "PLACE: ...") for that value, and returns `status`. */
mb_status mb_yaml_fail(const mb_yaml *node, mb_status status, const char *format, ...)
    MB_PRINTF(3, 4);

#endif
