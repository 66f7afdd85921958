/* workloads/map_json.h - internal: what the placement maps in JSON share. */
#ifndef MB_WORKLOADS_MAP_JSON_H
#define MB_WORKLOADS_MAP_JSON_H

#include <jansson.h>

#include "workloads/map.h"

/** Whether a text begins as a JSON object with `"key"` among its first keys. */
bool mb_map_json_recognise(const char *begin, const char *key);

/** A file that is one JSON object. @param root Transferred: json_decref() it. */
MB_NODISCARD mb_status mb_map_json_read(const mb_input *input, json_t **root);

/**
 * A list of n experts.
 * @param where what messages call the list: "layer 3", and the number of its first slot.
 */
MB_NODISCARD mb_status mb_map_json_row(const char *path, const char *where, size_t first_slot,
                                       const json_t *list, size_t n, int32_t *row);

/** A member that is a whole number from 0 to MB_MAP_SIZE_LIMIT - 1. */
MB_NODISCARD mb_status mb_map_json_size(const char *path, const char *where, const json_t *object,
                                        const char *key, size_t *value);

/** A member that is a list of at least one. @param list Borrowed. */
MB_NODISCARD mb_status mb_map_json_list(const char *path, const char *where, const json_t *object,
                                        const char *key, const json_t **list);

#endif
