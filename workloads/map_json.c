/* workloads/map_json.c */
#include "workloads/map_json.h"

#include <stdlib.h>
#include <string.h>

bool mb_map_json_recognise(const char *begin, const char *key) {
  return begin[strspn(begin, " \t\r\n")] == '{' && strstr(begin, key) != NULL;
}

mb_status mb_map_json_read(const mb_input *input, json_t **root) {
  char *text = NULL;
  size_t length = 0;
  json_error_t error;

  MB_TRY(mb_input_text(input, MB_MAP_TEXT_LIMIT, &text, &length));
  json_t *made = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
  free(text);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_FORMAT, "%s:%d:%d: no JSON: %s", input->path, error.line, error.column,
                   error.text);
  }
  if (!json_is_object(made)) {
    json_decref(made);
    return MB_FAIL(MB_ERR_FORMAT, "%s: should be a JSON object, {...}", input->path);
  }
  *root = made;
  return MB_OK;
}

/* What a message calls a value that is none of the numbers it should be: the number, or its kind.
 */
static const char *describe(const json_t *value, char *buffer, size_t size) {
  static const char *const kinds[] = {
      [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list", [JSON_STRING] = "a text",
      [JSON_TRUE] = "true",        [JSON_FALSE] = "false",  [JSON_NULL] = "null"};

  if (json_is_integer(value)) {
    (void)snprintf(buffer, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return buffer;
  }
  if (json_is_real(value)) {
    (void)snprintf(buffer, size, "%.17g", json_real_value(value));
    return buffer;
  }
  return value != NULL ? kinds[json_typeof(value)] : "missing";
}

static bool is_size(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0 &&
         json_integer_value(value) < MB_MAP_SIZE_LIMIT;
}

mb_status mb_map_json_row(const char *path, const char *where, size_t first_slot,
                          const json_t *list, size_t n, int32_t *row) {
  char text[64];

  if (!json_is_array(list) || json_array_size(list) != n) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s has %zu slots%s; should be a list of %zu, as the first is",
                   path, where, json_array_size(list), json_is_array(list) ? "" : " and is no list",
                   n);
  }
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(list, i);
    if (!is_size(value)) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: %s, slot %zu is %s; should be an expert, a whole number from 0", path,
                     where, first_slot + i, describe(value, text, sizeof text));
    }
    row[i] = (int32_t)json_integer_value(value);
  }
  return MB_OK;
}

mb_status mb_map_json_size(const char *path, const char *where, const json_t *object,
                           const char *key, size_t *value) {
  const json_t *found = json_object_get(object, key);
  char text[64];

  if (!is_size(found)) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s%s is %s; should be a whole number from 0 to %d", path,
                   where, key, describe(found, text, sizeof text), MB_MAP_SIZE_LIMIT - 1);
  }
  *value = (size_t)json_integer_value(found);
  return MB_OK;
}

mb_status mb_map_json_list(const char *path, const char *where, const json_t *object,
                           const char *key, const json_t **list) {
  const json_t *found = json_object_get(object, key);
  char text[64];

  if (!json_is_array(found) || json_array_size(found) == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: %s%s is %s; should be a list of at least one", path, where,
                   key, json_is_array(found) ? "empty" : describe(found, text, sizeof text));
  }
  *list = found;
  return MB_OK;
}
