/* workloads/map_npy.c - placements as a numpy array: [layers, slots], or [placements, layers,
 * slots], of whole numbers. Rows are the MoE layers in their order. Written as int32.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/map.h"
#include "workloads/npy.h"
#include "workloads/npy_write.h"

static bool recognise(const char *begin, size_t n) {
  return n >= 6 && memcmp(begin, "\x93NUMPY", 6) == 0;
}

static mb_status check_rank(const mb_array_info *info) {
  if (info->rank != 2 && info->rank != 3) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %zu dimensions; should be [layers, slots] or [placements, layers, "
                   "slots]",
                   info->name, info->rank);
  }
  for (size_t i = 0; i < info->rank; i++) {
    if (info->dims[i] >= MB_MAP_SIZE_LIMIT) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: dimension %zu is %" PRIu64 "; should be less than %d",
                     info->name, i, info->dims[i], MB_MAP_SIZE_LIMIT);
    }
  }
  return MB_OK;
}

/* Row by row of the first dimension: `n` values each. */
static mb_status read_rows(mb_array *array, size_t n_rows, size_t n, mb_map *map) {
  const mb_array_info *info = mb_array_get_info(array);
  int64_t *values = malloc(n * sizeof *values);
  mb_status status = values != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: no memory", info->name);

  for (size_t i = 0; i < n_rows && status == MB_OK; i++) {
    status = mb_array_read_ints(array, i, 1, values);
    for (size_t j = 0; j < n && status == MB_OK; j++) {
      size_t row = (i * n + j) / map->n_slots;
      if (values[j] < 0 || values[j] >= MB_MAP_SIZE_LIMIT) {
        status = MB_FAIL(
            MB_ERR_FORMAT,
            "%s: placement %zu, row %zu, slot %zu is %" PRId64 "; should be an expert, from 0",
            info->name, row / map->n_layers, row % map->n_layers, j % map->n_slots, values[j]);
        break;
      }
      map->physical_to_logical_map[i * n + j] = (int32_t)values[j];
    }
  }
  free(values);
  return status;
}

static mb_status read_array(mb_array *array, mb_map *map) {
  const mb_array_info *info = mb_array_get_info(array);

  MB_TRY(check_rank(info));
  const uint64_t *last = info->dims + info->rank - 2;
  size_t n_maps = info->rank == 3 ? (size_t)info->dims[0] : 1;
  mb_status status = mb_map_init(map, n_maps, (size_t)last[0], (size_t)last[1], false);
  if (status != MB_OK) {
    return status != MB_ERR_SHAPE
               ? status
               : MB_FAIL(MB_ERR_FORMAT, "%s: %s", info->name, mb_error_message());
  }
  return read_rows(array, (size_t)info->dims[0],
                   info->rank == 3 ? map->n_layers * map->n_slots : map->n_slots, map);
}

static mb_status read_map(const mb_input *input, mb_map *map) {
  mb_array *array = NULL;
  mb_map made = {0};

  MB_TRY(mb_npy_open(input, &array));
  mb_status status = read_array(array, &made);
  mb_array_destroy(array);
  if (status == MB_OK) {
    *map = made;
  } else {
    mb_map_fini(&made);
  }
  return status;
}

static void write_map(FILE *stream, const mb_map *map) {
  const uint64_t dims[] = {map->n_layers, map->n_slots};

  mb_npy_write_header(stream, MB_DTYPE_I32, 2, dims);
  mb_npy_write_values(stream, MB_DTYPE_I32, map->n_layers * map->n_slots,
                      map->physical_to_logical_map);
}

const mb_map_format mb_map_format_map_npy = {
    .name = "npy",
    .summary = "a numpy array of int32, [layers, slots]",
    .ending = ".npy",
    .recognise = recognise,
    .read = read_map,
    .write = write_map,
};
