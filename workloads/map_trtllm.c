/* workloads/map_trtllm.c - TensorRT-LLM's map, which moe_config.load_balancer names:
 *
 *   num_slots: P
 *   initial_global_assignments:
 *     LAYER: [expert of slot 0, expert of slot 1, ...]     numbers of the layers in the model
 *   layer_updates_per_iter: 0
 *
 * 0 updates: the placement stays as it is. Some tools add ep_size, the number of GPUs. Anchors and
 * aliases are what PyYAML writes for layers that share a list.
 * Source: tensorrt_llm/_torch/model_config.py, examples/wide_ep/ep_load_balancer.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "workloads/map.h"

static const char ASSIGNMENTS[] = "initial_global_assignments";

typedef struct document {
  const char *path;
  yaml_document_t yaml;
} document;

static bool recognise(const char *begin, size_t n) {
  (void)n;
  return strstr(begin, ASSIGNMENTS) != NULL; /* YAML may begin with anything, as with { */
}

static size_t line_of(const yaml_node_t *node) {
  return node->start_mark.line + 1;
}

/* A plain scalar that is a whole number from 0 to MB_MAP_SIZE_LIMIT - 1. */
static bool is_size(const yaml_node_t *node, int32_t *value) {
  int32_t sum = 0;

  if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
      node->data.scalar.length == 0) {
    return false;
  }
  for (size_t i = 0; i < node->data.scalar.length; i++) {
    unsigned char c = node->data.scalar.value[i];
    if (c < '0' || c > '9') {
      return false;
    }
    sum = 10 * sum + (c - '0');
    if (sum >= MB_MAP_SIZE_LIMIT) {
      return false;
    }
  }
  *value = sum;
  return true;
}

/* What a message calls a node. */
static const char *describe(const yaml_node_t *node, char *buffer, size_t size) {
  switch (node->type) {
  case YAML_SCALAR_NODE:
    (void)snprintf(buffer, size, "'%.40s'", (const char *)node->data.scalar.value);
    return buffer;
  case YAML_SEQUENCE_NODE:
    return "a list";
  case YAML_MAPPING_NODE:
    return "a mapping";
  default:
    return "nothing";
  }
}

static bool is_key(const yaml_node_t *node, const char *key) {
  return node->type == YAML_SCALAR_NODE && strcmp((const char *)node->data.scalar.value, key) == 0;
}

static mb_status check_keys(document *doc, const yaml_node_t *root) {
  static const char *const known[] = {"num_slots", ASSIGNMENTS, "layer_updates_per_iter",
                                      "ep_size"};
  bool seen[sizeof known / sizeof *known] = {false};
  char text[64];

  for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
       pair < root->data.mapping.pairs.top; pair++) {
    const yaml_node_t *key = yaml_document_get_node(&doc->yaml, pair->key);
    size_t i = 0;
    while (i < sizeof known / sizeof *known && !is_key(key, known[i])) {
      i++;
    }
    if (i == sizeof known / sizeof *known) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s:%zu: the key %s; should be num_slots, %s, layer_updates_per_iter or "
                     "ep_size",
                     doc->path, line_of(key), describe(key, text, sizeof text), ASSIGNMENTS);
    }
    if (seen[i]) {
      return MB_FAIL(MB_ERR_FORMAT, "%s:%zu: the key %s is here a second time", doc->path,
                     line_of(key), known[i]);
    }
    seen[i] = true;
  }
  return MB_OK;
}

/* The value of a key, or NULL. */
static const yaml_node_t *find(document *doc, const yaml_node_t *root, const char *key) {
  for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
       pair < root->data.mapping.pairs.top; pair++) {
    if (is_key(yaml_document_get_node(&doc->yaml, pair->key), key)) {
      return yaml_document_get_node(&doc->yaml, pair->value);
    }
  }
  return NULL;
}

/* @param value untouched where the key is not there and need not be. */
static mb_status read_size(document *doc, const yaml_node_t *root, const char *key, bool required,
                           int32_t least, int32_t *value) {
  const yaml_node_t *node = find(doc, root, key);
  int32_t found = 0;
  char text[64];

  if (node == NULL) {
    return required ? MB_FAIL(MB_ERR_FORMAT, "%s: %s is missing", doc->path, key) : MB_OK;
  }
  if (!is_size(node, &found) || found < least) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s:%zu: %s is %s; should be a whole number from %" PRId32 " to %d", doc->path,
                   line_of(node), key, describe(node, text, sizeof text), least,
                   MB_MAP_SIZE_LIMIT - 1);
  }
  *value = found;
  return MB_OK;
}

static mb_status read_row(document *doc, int32_t layer, const yaml_node_t *list, size_t n_slots,
                          int32_t *row) {
  char text[64];

  if (list->type != YAML_SEQUENCE_NODE) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s:%zu: layer %" PRId32 " is %s; should be a list of %zu experts", doc->path,
                   line_of(list), layer, describe(list, text, sizeof text), n_slots);
  }
  const yaml_node_item_t *item = list->data.sequence.items.start;
  size_t n = (size_t)(list->data.sequence.items.top - item);
  if (n != n_slots) {
    return MB_FAIL(MB_ERR_FORMAT, "%s:%zu: layer %" PRId32 " has %zu slots, but num_slots is %zu",
                   doc->path, line_of(list), layer, n, n_slots);
  }
  for (size_t p = 0; p < n; p++) {
    const yaml_node_t *value = yaml_document_get_node(&doc->yaml, item[p]);
    if (!is_size(value, &row[p])) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s:%zu: layer %" PRId32 ", slot %zu is %s; should be an expert, a whole "
                     "number from 0",
                     doc->path, line_of(value), layer, p, describe(value, text, sizeof text));
    }
  }
  return MB_OK;
}

typedef struct layer {
  int32_t id;
  const yaml_node_t *key, *list;
} layer;

static int compare_layers(const void *a, const void *b) {
  int32_t x = ((const layer *)a)->id;
  int32_t y = ((const layer *)b)->id;

  return (x > y) - (x < y);
}

/* The layers in ascending order; `layers` has room for all pairs of the mapping. */
static mb_status list_layers(document *doc, const yaml_node_t *assignments, size_t n,
                             layer *layers) {
  const yaml_node_pair_t *pairs = assignments->data.mapping.pairs.start;
  char text[64];

  for (size_t l = 0; l < n; l++) {
    layers[l].key = yaml_document_get_node(&doc->yaml, pairs[l].key);
    layers[l].list = yaml_document_get_node(&doc->yaml, pairs[l].value);
    if (!is_size(layers[l].key, &layers[l].id)) {
      return MB_FAIL(MB_ERR_FORMAT, "%s:%zu: %s has the key %s; should be a layer's number",
                     doc->path, line_of(layers[l].key), ASSIGNMENTS,
                     describe(layers[l].key, text, sizeof text));
    }
  }
  qsort(layers, n, sizeof *layers, compare_layers);
  for (size_t l = 1; l < n; l++) {
    if (layers[l].id == layers[l - 1].id) {
      return MB_FAIL(MB_ERR_FORMAT, "%s:%zu: layer %" PRId32 " is there twice", doc->path,
                     line_of(layers[l].key), layers[l].id);
    }
  }
  return MB_OK;
}

static mb_status read_layers(document *doc, const layer *layers, size_t n, size_t n_slots,
                             mb_map *map) {
  mb_status status = mb_map_init(map, 1, n, n_slots, true);

  if (status != MB_OK) {
    return status != MB_ERR_SHAPE ? status
                                  : MB_FAIL(MB_ERR_FORMAT, "%s: %s", doc->path, mb_error_message());
  }
  for (size_t l = 0; l < n; l++) {
    map->layer_ids[l] = layers[l].id;
    MB_TRY(read_row(doc, layers[l].id, layers[l].list, n_slots,
                    map->physical_to_logical_map + l * n_slots));
  }
  return MB_OK;
}

static mb_status read_assignments(document *doc, const yaml_node_t *root, int32_t n_slots,
                                  mb_map *map) {
  const yaml_node_t *assignments = find(doc, root, ASSIGNMENTS);

  if (assignments == NULL || assignments->type != YAML_MAPPING_NODE) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: %s is missing, or no mapping; should be {LAYER: [EXPERT, ...], ...}",
                   doc->path, ASSIGNMENTS);
  }
  size_t n = (size_t)(assignments->data.mapping.pairs.top - assignments->data.mapping.pairs.start);
  layer *layers = calloc(n > 0 ? n : 1, sizeof *layers);
  if (layers == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu layers", doc->path, n);
  }
  mb_status status = list_layers(doc, assignments, n, layers);
  status = status == MB_OK ? read_layers(doc, layers, n, (size_t)n_slots, map) : status;
  free(layers);
  return status;
}

static mb_status read_document(document *doc, mb_map *map) {
  const yaml_node_t *root = yaml_document_get_root_node(&doc->yaml);
  int32_t n_slots = 0;
  int32_t n_gpus = 0;
  int32_t updates = 0;

  if (root == NULL || root->type != YAML_MAPPING_NODE) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: should be a mapping with num_slots and %s", doc->path,
                   ASSIGNMENTS);
  }
  MB_TRY(check_keys(doc, root));
  MB_TRY(read_size(doc, root, "num_slots", true, 1, &n_slots));
  MB_TRY(read_size(doc, root, "ep_size", false, 1, &n_gpus));
  MB_TRY(read_size(doc, root, "layer_updates_per_iter", false, 0, &updates));
  if (n_gpus > 0 && n_slots % n_gpus != 0) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: num_slots is %" PRId32 ", and ep_size %" PRId32 "; should divide it",
                   doc->path, n_slots, n_gpus);
  }
  MB_TRY(read_assignments(doc, root, n_slots, map));
  map->n_gpus = (size_t)n_gpus;
  return MB_OK;
}

static mb_status load(const char *path, const char *text, size_t length, yaml_document_t *yaml) {
  yaml_parser_t parser;

  if (yaml_parser_initialize(&parser) == 0) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", path);
  }
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
  bool loaded = yaml_parser_load(&parser, yaml) != 0;
  mb_status status = MB_OK;
  if (!loaded) {
    status = parser.error == YAML_MEMORY_ERROR
                 ? MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", path)
                 : MB_FAIL(MB_ERR_FORMAT, "%s:%zu:%zu: no YAML: %s", path,
                           parser.problem_mark.line + 1, parser.problem_mark.column + 1,
                           parser.problem != NULL ? parser.problem : "it cannot be read");
  }
  yaml_parser_delete(&parser);
  return status;
}

static mb_status read_map(const mb_input *input, mb_map *map) {
  char *text = NULL;
  size_t length = 0;
  document doc = {.path = input->path};
  mb_map made = {0};

  MB_TRY(mb_input_text(input, MB_MAP_TEXT_LIMIT, &text, &length));
  mb_status status = load(input->path, text, length, &doc.yaml);
  free(text);
  MB_TRY(status);
  status = read_document(&doc, &made);
  yaml_document_delete(&doc.yaml);
  if (status == MB_OK) {
    *map = made;
  } else {
    mb_map_fini(&made);
  }
  return status;
}

static void write_map(FILE *stream, const mb_map *map) {
  const int32_t *slot = map->physical_to_logical_map;

  (void)fprintf(stream, "num_slots: %zu\n%s:\n", map->n_slots, ASSIGNMENTS);
  for (size_t l = 0; l < map->n_layers; l++) {
    (void)fprintf(stream, "  %" PRId32 ": [", map->layer_ids[l]);
    for (size_t p = 0; p < map->n_slots; p++) {
      (void)fprintf(stream, "%s%" PRId32, p > 0 ? ", " : "", *slot++);
    }
    (void)fputs("]\n", stream);
  }
  (void)fputs("layer_updates_per_iter: 0\n", stream);
}

const mb_map_format mb_map_format_map_trtllm = {
    .name = "trtllm",
    .summary = "YAML for TensorRT-LLM's moe_config.load_balancer",
    .ending = ".yaml",
    .recognise = recognise,
    .read = read_map,
    .write = write_map,
};
