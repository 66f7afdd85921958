/* workloads/map.c - the table of formats, and what they share. */
#include "workloads/map.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What a file is recognised by stands among its first bytes. */
enum { BEGIN_SIZE = 1 << 16 };

#define SLOTS_LIMIT ((size_t)1 << 31)

mb_status mb_map_init(mb_map *map, size_t n_maps, size_t n_layers, size_t n_slots,
                      bool has_layer_ids) {
  if (n_maps == 0 || n_layers == 0 || n_slots == 0 || n_maps >= MB_MAP_SIZE_LIMIT ||
      n_layers >= MB_MAP_SIZE_LIMIT || n_slots >= MB_MAP_SIZE_LIMIT ||
      n_layers * n_slots > SLOTS_LIMIT / n_maps) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%zu placements of %zu layers of %zu slots; should be at least 1 of each, less "
                   "than 2^20, and at most 2^31 slots in all",
                   n_maps, n_layers, n_slots);
  }
  mb_map made = {.n_maps = n_maps, .n_layers = n_layers, .n_slots = n_slots};
  made.physical_to_logical_map =
      calloc(n_maps * n_layers * n_slots, sizeof *made.physical_to_logical_map);
  made.layer_ids = has_layer_ids ? calloc(n_layers, sizeof *made.layer_ids) : NULL;
  if (made.physical_to_logical_map == NULL || (has_layer_ids && made.layer_ids == NULL)) {
    mb_map_fini(&made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu placements of %zu layers of %zu slots", n_maps,
                   n_layers, n_slots);
  }
  *map = made;
  return MB_OK;
}

void mb_map_fini(mb_map *map) {
  free(map->layer_ids);
  free(map->physical_to_logical_map);
  *map = (mb_map){0};
}

/* --- formats --- */

#define MB_MAP_FORMAT(name) extern const mb_map_format mb_map_format_##name;
#include "workloads/map_formats.def"
#undef MB_MAP_FORMAT

const mb_map_format *const *mb_map_formats(void) {
#define MB_MAP_FORMAT(name) &mb_map_format_##name,
  static const mb_map_format *const formats[] = {
#include "workloads/map_formats.def"
      NULL};
#undef MB_MAP_FORMAT
  return formats;
}

const mb_map_format *mb_map_format_find(const char *name) {
  for (const mb_map_format *const *format = mb_map_formats(); *format != NULL; format++) {
    if (strcmp((*format)->name, name) == 0) {
      return *format;
    }
  }
  return NULL;
}

const mb_map_format *mb_map_format_of(const mb_input *input) {
  size_t n = input->size < BEGIN_SIZE ? (size_t)input->size : BEGIN_SIZE;
  char *begin = calloc(1, n + 1);
  const mb_map_format *found = NULL;

  if (begin != NULL && mb_input_read(input, "its beginning", 0, n, begin) == MB_OK) {
    for (const mb_map_format *const *one = mb_map_formats(); found == NULL && *one != NULL; one++) {
      found = (*one)->recognise(begin, n) ? *one : NULL;
    }
  }
  free(begin);
  return found;
}

mb_status mb_map_read(const char *path, mb_map *map) {
  mb_input input;

  MB_TRY(mb_input_open(path, &input));
  const mb_map_format *format = input.is_folder ? NULL : mb_map_format_of(&input);
  mb_status status =
      format != NULL
          ? format->read(&input, map)
          : MB_FAIL(MB_ERR_FORMAT,
                    "%s: is no placement map: neither .npy, nor YAML with "
                    "initial_global_assignments, nor JSON with physical_to_logical_map or "
                    "layer_list",
                    path);
  mb_input_close(&input);
  return status;
}

/* --- against a cluster --- */

/* "maps.npy: placement 2, layer 5"; without the placement where there is but one. */
static const char *name_row(const mb_map *map, const char *path, size_t k, int32_t layer,
                            char *buffer, size_t size) {
  if (map->n_maps > 1) {
    (void)snprintf(buffer, size, "%.400s: placement %zu, layer %" PRId32, path, k, layer);
  } else {
    (void)snprintf(buffer, size, "%.400s: layer %" PRId32, path, layer);
  }
  return buffer;
}

static int compare_ids(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a;
  int32_t y = *(const int32_t *)b;

  return (x > y) - (x < y);
}

/* The row of that layer, or SIZE_MAX. */
static size_t find_row(const mb_map *map, size_t l, int32_t layer_id) {
  if (map->layer_ids == NULL) {
    return l;
  }
  const int32_t *found =
      bsearch(&layer_id, map->layer_ids, map->n_layers, sizeof layer_id, compare_ids);
  return found != NULL ? (size_t)(found - map->layer_ids) : SIZE_MAX;
}

static mb_status check_sizes(const mb_map *map, const char *path, const mb_shape *shape) {
  if (map->layer_ids == NULL && map->n_layers != shape->n_layers) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has %zu layers, but the loads are of %zu: should be the same",
                   path, map->n_layers, shape->n_layers);
  }
  if (map->n_slots != shape->n_slots) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: has %zu slots, but the cluster has %zu: should be the same",
                   path, map->n_slots, shape->n_slots);
  }
  if (map->n_gpus != 0 && map->n_gpus != shape->n_gpus) {
    return MB_FAIL(MB_ERR_SHAPE, "%s: is for %zu GPUs, but the cluster has %zu: should be the same",
                   path, map->n_gpus, shape->n_gpus);
  }
  return MB_OK;
}

static mb_status fit_row(const mb_map *map, const char *path, const mb_shape *shape, size_t k,
                         int32_t layer, int32_t *row, int32_t *count) {
  char name[512];

  mb_status status = mb_placement_count(shape, row, count);
  return status == MB_OK
             ? MB_OK
             : MB_FAIL(status, "%s: %s", name_row(map, path, k, layer, name, sizeof name),
                       mb_error_message());
}

mb_status mb_map_fit(const mb_map *map, const char *path, const mb_shape *shape,
                     const int32_t *layer_ids, int32_t *rows) {
  mb_status status = MB_OK;

  MB_TRY(check_sizes(map, path, shape));
  int32_t *count = calloc(shape->n_experts, sizeof *count);
  if (count == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu experts", path, shape->n_experts);
  }
  for (size_t l = 0; l < shape->n_layers && status == MB_OK; l++) {
    size_t from = find_row(map, l, layer_ids[l]);
    if (from == SIZE_MAX) {
      status = MB_FAIL(MB_ERR_SHAPE,
                       "%s: has no layer %" PRId32 ", of which there are loads; it has %zu layers, "
                       "from %" PRId32 " to %" PRId32,
                       path, layer_ids[l], map->n_layers, map->layer_ids[0],
                       map->layer_ids[map->n_layers - 1]);
    }
    for (size_t k = 0; k < map->n_maps && status == MB_OK; k++) {
      int32_t *row = rows + (k * shape->n_layers + l) * shape->n_slots;
      memcpy(row, map->physical_to_logical_map + (k * map->n_layers + from) * map->n_slots,
             map->n_slots * sizeof *row);
      status = fit_row(map, path, shape, k, layer_ids[l], row, count);
    }
  }
  free(count);
  return status;
}
