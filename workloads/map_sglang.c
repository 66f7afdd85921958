/* workloads/map_sglang.c - SGLang's map, which --init-expert-location loads:
 *
 *   {"physical_to_logical_map": [[expert of slot 0, expert of slot 1, ...], ...]}
 *
 * It has a row for each layer of the model, dense ones too, and no other key: SGLang hands all keys
 * to a function that knows just this one. Written, the rows of layers without experts are linear.
 * Source: sglang/srt/eplb/expert_location.py.
 */
#include <inttypes.h>
#include <string.h>

#include "workloads/map_json.h"

static const char KEY[] = "physical_to_logical_map";

static bool recognise(const char *begin, size_t n) {
  (void)n;
  return mb_map_json_recognise(begin, "\"physical_to_logical_map\"");
}

static mb_status read_rows(const char *path, const json_t *rows, mb_map *map) {
  char where[64];

  MB_TRY(
      mb_map_init(map, 1, json_array_size(rows), json_array_size(json_array_get(rows, 0)), true));
  mb_status status = MB_OK;
  for (size_t l = 0; l < map->n_layers && status == MB_OK; l++) {
    map->layer_ids[l] = (int32_t)l;
    (void)snprintf(where, sizeof where, "layer %zu", l);
    status = mb_map_json_row(path, where, 0, json_array_get(rows, l), map->n_slots,
                             map->physical_to_logical_map + l * map->n_slots);
  }
  if (status != MB_OK) {
    mb_map_fini(map);
  }
  return status;
}

static mb_status read_root(const char *path, json_t *root, mb_map *map) {
  const json_t *rows = NULL;
  const char *key = NULL;
  json_t *value = NULL;

  json_object_foreach(root, key, value) {
    if (strcmp(key, KEY) != 0) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: has the key '%.64s'; should have %s alone, or SGLang "
                     "refuses it",
                     path, key, KEY);
    }
  }
  MB_TRY(mb_map_json_list(path, "", root, KEY, &rows));
  mb_status status = read_rows(path, rows, map);
  return status != MB_ERR_SHAPE ? status
                                : MB_FAIL(MB_ERR_FORMAT, "%s: %s", path, mb_error_message());
}

static mb_status read_map(const mb_input *input, mb_map *map) {
  json_t *root = NULL;
  mb_map made = {0};

  MB_TRY(mb_map_json_read(input, &root));
  mb_status status = read_root(input->path, root, &made);
  json_decref(root);
  if (status == MB_OK) {
    *map = made;
  }
  return status;
}

static void write_map(FILE *stream, const mb_map *map) {
  size_t l = 0;

  (void)fprintf(stream, "{\"%s\": [", KEY);
  for (int32_t id = 0; l < map->n_layers; id++) {
    bool has_experts = map->layer_ids[l] == id;
    const int32_t *row = map->physical_to_logical_map + l * map->n_slots;
    (void)fputs(id == 0 ? "\n  [" : ",\n  [", stream);
    for (size_t p = 0; p < map->n_slots; p++) {
      (void)fprintf(stream, "%s%" PRId32, p > 0 ? ", " : "",
                    has_experts ? row[p] : (int32_t)(p % map->n_experts));
    }
    (void)fputc(']', stream);
    l += has_experts;
  }
  (void)fputs("\n]}\n", stream);
}

const mb_map_format mb_map_format_map_sglang = {
    .name = "sglang",
    .summary = "JSON for SGLang's --init-expert-location",
    .ending = ".json",
    .recognise = recognise,
    .read = read_map,
    .write = write_map,
};
