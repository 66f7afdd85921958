/* workloads/json_stream.h - JSON and JSON Lines of any size, read from front to back (YAJL).
 *
 * A file is a row of values; a plain JSON file has one. Values are asked for in the file's order,
 * and what nobody asks for is passed over. Every message names the file, the line, and the way to
 * the value: "FILE: line 3, load_history[7].logical_expert_load[0][5]: is -1, and should be ...".
 * Memory: a block of 16 KiB, what it unpacks to, and the longest text, number or blank, which may
 * have 1 MiB. At most 64 objects and arrays lie inside of each other.
 */
#ifndef MB_WORKLOADS_JSON_STREAM_H
#define MB_WORKLOADS_JSON_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/input.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A place in a JSON file. Not for use by two threads at once. */
typedef struct mb_json mb_json;

typedef enum mb_json_kind {
  MB_JSON_NULL,
  MB_JSON_BOOL,
  MB_JSON_NUMBER,
  MB_JSON_TEXT,
  MB_JSON_OBJECT,
  MB_JSON_ARRAY,
} mb_json_kind;

/**
 * @param input Borrowed as long as the place is in use.
 * @param json  Transferred: mb_json_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_FORMAT for a folder; MB_ERR_MEMORY.
 *
 * All that follows may also return MB_ERR_FORMAT for what is no JSON or was cut off, MB_ERR_IO and
 * MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_json_open(const mb_input *input, mb_json **json);
void mb_json_destroy(mb_json *json); /* NULL is fine */

/** Whether the file has another value at its top: a line of JSON Lines, say. */
MB_NODISCARD mb_status mb_json_more(mb_json *json, bool *more);

/** What the next value is, without taking it. A value has to be next. */
MB_NODISCARD mb_status mb_json_peek(mb_json *json, mb_json_kind *kind);

/** Passes over the next value. */
MB_NODISCARD mb_status mb_json_skip(mb_json *json);

/** The next value has to be an object; mb_json_field() takes it from there. */
MB_NODISCARD mb_status mb_json_object(mb_json *json);

/**
 * Goes on to the next of those fields, passing over all others and those that are null; its value
 * is next then. A name that comes twice is MB_ERR_FORMAT.
 *
 * @param names [n] n at most 64.
 * @param seen  a bit for each name that has come; zero before the first call of an object.
 * @param which the name's index; n: the object has ended.
 */
MB_NODISCARD mb_status mb_json_field(mb_json *json, size_t n, const char *const *names,
                                     uint64_t *seen, size_t *which);

/** The next value has to be an array; mb_json_item() takes it from there. */
MB_NODISCARD mb_status mb_json_array(mb_json *json);

/** Whether the array has another value, which is next then; false: the array has ended. */
MB_NODISCARD mb_status mb_json_item(mb_json *json, bool *more);

/** A whole number from min to max; 3.0 and 3e0 are whole. @param what "the step" and the like. */
MB_NODISCARD mb_status mb_json_whole(mb_json *json, const char *what, int64_t min, int64_t max,
                                     int64_t *value);

/**
 * A text, or where `number_too` a number as it is written.
 * @param text [size] as a string; MB_ERR_FORMAT where it doesn't fit, or has a byte 0.
 */
MB_NODISCARD mb_status mb_json_text(mb_json *json, const char *what, bool number_too, size_t size,
                                    char *text);

/** Whole numbers in rows of one length. Begins as zeros; mb_json_table_free() it. */
typedef struct mb_json_table {
  int64_t *values; /* [n_rows, n_columns] */
  size_t n_rows, n_columns;
  size_t capacity;
} mb_json_table;

/** What numbers a table may have, and how many. */
typedef struct mb_json_bounds {
  const char *what;         /* "the load" and the like */
  int64_t min, max;         /* of the numbers */
  size_t rows_max, row_max; /* rows, and numbers in a row */
  bool row_too;             /* a plain row is a table of one */
} mb_json_bounds;

/** An array of arrays of whole numbers, which replaces what the table had. None may be empty. */
MB_NODISCARD mb_status mb_json_table_read(mb_json *json, const mb_json_bounds *bounds,
                                          mb_json_table *table);
/** An array of whole numbers, as a table of one row. */
MB_NODISCARD mb_status mb_json_row_read(mb_json *json, const mb_json_bounds *bounds,
                                        mb_json_table *table);
void mb_json_table_free(mb_json_table *table);

/** Fails at the last value: "FILE: line N, WAY: " and what the format says. */
mb_status mb_json_fail(const mb_json *json, const char *format, ...) MB_PRINTF(2, 3);
#define MB_JSON_FAIL(json, ...) ((void)mb_json_fail((json), __VA_ARGS__), MB_ERR_FORMAT)

/**
 * Whether the file begins with an object that has a field of one of those names, or has it in an
 * array of objects, within the first 256 KiB. @param names [n]
 */
bool mb_json_begins_with(const mb_input *input, size_t n, const char *const *names);

#ifdef __cplusplus
}
#endif

#endif
