/* workloads/map_vllm_ascend.c - vLLM-Ascend's map, which its expert_map_path loads:
 *
 *   {"moe_layer_count": L, "layer_list": [{"layer_id": 0, "device_count": D, "device_list":
 *     [{"device_id": 0, "device_expert": [expert of the device's slot 0, ...]}, ...]}, ...]}
 *
 * layer_id counts the MoE layers from 0, as device_id counts the devices. The engine goes by the
 * order of the lists; tools that count layers from elsewhere are read, too.
 * Source: vllm_ascend/ops/expert_load_balancer.py, vllm_ascend/eplb/core/eplb_utils.py.
 */
#include <inttypes.h>

#include "workloads/map_json.h"

static bool recognise(const char *begin, size_t n) {
  (void)n;
  return mb_map_json_recognise(begin, "\"layer_list\"") ||
         mb_map_json_recognise(begin, "\"moe_layer_count\"");
}

/* That a list's entry says which one it is. */
static mb_status check_number(const char *path, const char *where, const json_t *object,
                              const char *key, size_t number) {
  size_t found = 0;

  MB_TRY(mb_map_json_size(path, where, object, key, &found));
  return found == number ? MB_OK
                         : MB_FAIL(MB_ERR_FORMAT,
                                   "%s: %s%s is %zu; should be %zu: one more than the one before",
                                   path, where, key, found, number);
}

/* Shapes are those of the first layer and its first device. */
static mb_status init_map(const char *path, const json_t *layers, mb_map *map) {
  const json_t *devices = NULL;
  const json_t *experts = NULL;
  const json_t *layer = json_array_get(layers, 0);

  MB_TRY(mb_map_json_list(path, "layer 0: ", layer, "device_list", &devices));
  MB_TRY(mb_map_json_list(path, "layer 0, device 0: ", json_array_get(devices, 0), "device_expert",
                          &experts));
  size_t n_gpus = json_array_size(devices);
  size_t n_each = json_array_size(experts);
  bool fits = n_gpus < MB_MAP_SIZE_LIMIT && n_each < MB_MAP_SIZE_LIMIT;
  mb_status status = mb_map_init(map, 1, json_array_size(layers),
                                 fits ? n_gpus * n_each : MB_MAP_SIZE_LIMIT, false);
  map->n_gpus = n_gpus;
  return status != MB_ERR_SHAPE ? status
                                : MB_FAIL(MB_ERR_FORMAT, "%s: %s", path, mb_error_message());
}

static mb_status read_layer(const char *path, const json_t *layer, size_t l, size_t first_id,
                            const mb_map *map) {
  size_t n_each = map->n_slots / map->n_gpus;
  size_t count = 0;
  const json_t *devices = NULL;
  char where[96];

  (void)snprintf(where, sizeof where, "layer %zu: ", l);
  MB_TRY(check_number(path, where, layer, "layer_id", first_id + l));
  MB_TRY(mb_map_json_size(path, where, layer, "device_count", &count));
  MB_TRY(mb_map_json_list(path, where, layer, "device_list", &devices));
  if (count != map->n_gpus || json_array_size(devices) != count) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: %sdevice_count is %zu, and device_list has %zu; should both be %zu, as "
                   "the first layer's list has",
                   path, where, count, json_array_size(devices), map->n_gpus);
  }
  for (size_t d = 0; d < count; d++) {
    const json_t *device = json_array_get(devices, d);
    (void)snprintf(where, sizeof where, "layer %zu, device %zu: ", l, d);
    MB_TRY(check_number(path, where, device, "device_id", d));
    (void)snprintf(where, sizeof where, "layer %zu, device %zu: device_expert", l, d);
    MB_TRY(mb_map_json_row(path, where, d * n_each, json_object_get(device, "device_expert"),
                           n_each, map->physical_to_logical_map + l * map->n_slots + d * n_each));
  }
  return MB_OK;
}

static mb_status read_root(const char *path, const json_t *root, mb_map *map) {
  const json_t *layers = NULL;
  size_t count = 0;
  size_t first_id = 0;

  MB_TRY(mb_map_json_size(path, "", root, "moe_layer_count", &count));
  MB_TRY(mb_map_json_list(path, "", root, "layer_list", &layers));
  if (json_array_size(layers) != count) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: moe_layer_count is %zu, but layer_list has %zu; should be the same", path,
                   count, json_array_size(layers));
  }
  MB_TRY(init_map(path, layers, map));
  MB_TRY(mb_map_json_size(path, "layer 0: ", json_array_get(layers, 0), "layer_id", &first_id));
  for (size_t l = 0; l < count; l++) {
    MB_TRY(read_layer(path, json_array_get(layers, l), l, first_id, map));
  }
  return MB_OK;
}

static mb_status read_map(const mb_input *input, mb_map *map) {
  json_t *root = NULL;
  mb_map made = {0};

  MB_TRY(mb_map_json_read(input, &root));
  mb_status status = read_root(input->path, root, &made);
  json_decref(root);
  if (status == MB_OK) {
    *map = made;
  } else {
    mb_map_fini(&made);
  }
  return status;
}

static void write_layer(FILE *stream, const mb_map *map, size_t l) {
  size_t n_each = map->n_slots / map->n_gpus;
  const int32_t *slot = map->physical_to_logical_map + l * map->n_slots;

  (void)fprintf(stream, "  {\"layer_id\": %zu, \"device_count\": %zu, \"device_list\": [", l,
                map->n_gpus);
  for (size_t d = 0; d < map->n_gpus; d++) {
    (void)fprintf(stream, "%s\n    {\"device_id\": %zu, \"device_expert\": [", d > 0 ? "," : "", d);
    for (size_t i = 0; i < n_each; i++) {
      (void)fprintf(stream, "%s%" PRId32, i > 0 ? ", " : "", *slot++);
    }
    (void)fputs("]}", stream);
  }
  (void)fputs("]}", stream);
}

static void write_map(FILE *stream, const mb_map *map) {
  (void)fprintf(stream, "{\"moe_layer_count\": %zu, \"layer_list\": [\n", map->n_layers);
  for (size_t l = 0; l < map->n_layers; l++) {
    write_layer(stream, map, l);
    (void)fputs(l + 1 < map->n_layers ? ",\n" : "\n", stream);
  }
  (void)fputs("]}\n", stream);
}

const mb_map_format mb_map_format_map_vllm_ascend = {
    .name = "vllm-ascend",
    .summary = "JSON for vLLM-Ascend's expert_map_path",
    .ending = ".json",
    .recognise = recognise,
    .read = read_map,
    .write = write_map,
};
