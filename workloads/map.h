/* workloads/map.h - placements in the files of serving engines: which expert each slot holds. */
#ifndef MB_WORKLOADS_MAP_H
#define MB_WORKLOADS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "balancer/placement.h"
#include "balancer/status.h"
#include "workloads/input.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Experts, layers and slots of a map are fewer than this; numbers of layers too. */
enum { MB_MAP_SIZE_LIMIT = 1 << 20 };

/** Formats that are text are read up to so many bytes; 61 layers of 320 slots take 100 KB. */
enum { MB_MAP_TEXT_LIMIT = 1 << 26 };

/** Placements of all layers, one after the other, as a file has them or is to have them. */
typedef struct mb_map {
  size_t n_maps;      /* K >= 1 */
  size_t n_layers;    /* L >= 1 */
  size_t n_slots;     /* P >= 1 */
  size_t n_gpus;      /* D, which divides P; 0: the file does not say */
  size_t n_experts;   /* E; 0: the file does not say */
  int32_t *layer_ids; /* [L] ascending: the layers' numbers in the model; NULL: the file does not
                         say, its rows are the MoE layers in their order */
  int32_t *physical_to_logical_map; /* [K,L,P] */
} mb_map;

/**
 * A map with its arrays, zeroed.
 * @param map mb_map_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_SHAPE where a size is 0 or MB_MAP_SIZE_LIMIT or more, or all are more than
 *         2^31 slots; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_map_init(mb_map *map, size_t n_maps, size_t n_layers, size_t n_slots,
                                   bool has_layer_ids);
void mb_map_fini(mb_map *map); /* of zeroes is fine */

/**
 * A file format: one file, ending in `const mb_map_format mb_map_format_<file>`, and one line in
 * map_formats.def.
 */
typedef struct mb_map_format {
  const char *name;    /* as people say it: "trtllm" */
  const char *summary; /* half a sentence, with what loads such files */
  const char *ending;  /* of its files' names: ".yaml" */
  /* Whether a file that begins so, with a NUL behind, is one. */
  bool (*recognise)(const char *begin, size_t n);
  /* Checks all but what only a cluster and a model can tell, which mb_map_fit() does: every value
     is in 0..MB_MAP_SIZE_LIMIT-1, layers ascend, sizes agree. Returns MB_ERR_FORMAT naming file,
     layer, slot, value, and what would be right. Writes *map only on MB_OK. */
  mb_status (*read)(const mb_input *input, mb_map *map);
  /* One placement, with layer_ids, n_gpus and n_experts; a failure shows in ferror(stream). */
  void (*write)(FILE *stream, const mb_map *map);
} mb_map_format;

/** All formats in the order of map_formats.def, NULL-terminated. Static. */
const mb_map_format *const *mb_map_formats(void);

/** The format of that name, or NULL. */
const mb_map_format *mb_map_format_find(const char *name);

/** The format that a file's contents show, or NULL. */
const mb_map_format *mb_map_format_of(const mb_input *input);

/**
 * Reads a file of whichever format it is.
 * @param map mb_map_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO; MB_ERR_FORMAT as the format's read(), or where it is of none;
 *         MB_ERR_UNSUPPORTED; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_map_read(const char *path, mb_map *map);

/**
 * Picks the layers of a model from a map, and holds all against a cluster: slots, GPUs where the
 * file has them, every slot's expert in 0..E-1, a slot for every expert.
 *
 * @param path      for messages.
 * @param shape     L of it are picked.
 * @param layer_ids [L] which; a map without layer_ids has to have just as many layers.
 * @param rows      [K,L,P] caller-owned; contents unspecified on failure.
 * @return MB_OK; MB_ERR_SHAPE, MB_ERR_RANGE naming file, placement, layer, slot and value.
 */
MB_NODISCARD mb_status mb_map_fit(const mb_map *map, const char *path, const mb_shape *shape,
                                  const int32_t *layer_ids, int32_t *rows);

#ifdef __cplusplus
}
#endif

#endif
