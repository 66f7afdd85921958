/* experiments/recorded_maps.c */
#include "experiments/recorded_maps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "experiments/config_schema.h"
#include "workloads/map.h"
#include "workloads/npy.h"

const char mb_recorded_maps_summary[] =
    "placements decided elsewhere, from a file: LABEL: {use: maps, file: ...}";

const mb_param *mb_recorded_maps_params(void) {
  static const mb_param params[] = {
      {.key = "file",
       .type = MB_PARAM_TEXT,
       .unit = MB_CONFIG_PATH_UNIT,
       .help = "a placement map of an engine (`moebal export --help` lists the formats), or .npy "
               "[layers, slots] or [placements, layers, slots]"},
      {.key = "effect_step",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "0",
       .help = "the first step under each placement: a step, a list of steps, or an .npy file of "
               "them, [placements] or [placements, layers], where -1 keeps what a layer has; must "
               "be given for more than one placement"},
      {0}};

  return params;
}

static mb_status no_memory(const mb_recorded_maps *maps, size_t n_plans) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: no memory for %zu placements", maps->file, n_plans);
}

/* --- steps --- */

static mb_status check_count(const mb_recorded_maps *maps, const char *what, uint64_t n_steps,
                             size_t n_plans) {
  if (n_steps != n_plans) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "%s has %zu placements, but %s %" PRIu64 " steps: should be a step for each",
                   maps->file, n_plans, what, n_steps);
  }
  return MB_OK;
}

/* The same step for all layers of a placement. */
static void spread(const int64_t *steps, size_t n_plans, size_t n_layers, int64_t *effect_step) {
  for (size_t i = 0; i < n_plans * n_layers; i++) {
    effect_step[i] = steps[i / n_layers];
  }
}

static mb_status read_step_array(const mb_recorded_maps *maps, mb_array *array, size_t n_plans,
                                 size_t n_layers, int64_t *effect_step) {
  const mb_array_info *info = mb_array_get_info(array);

  if (info->rank != 1 && (info->rank != 2 || info->dims[1] != n_layers)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "%s: has %zu dimensions; should be [placements] or [placements, %zu layers]",
                   info->name, info->rank, n_layers);
  }
  MB_TRY(check_count(maps, info->name, info->dims[0], n_plans));
  if (info->rank == 2) {
    return mb_array_read_ints(array, 0, n_plans, effect_step);
  }
  int64_t *steps = calloc(n_plans, sizeof *steps);
  if (steps == NULL) {
    return no_memory(maps, n_plans);
  }
  mb_status status = mb_array_read_ints(array, 0, n_plans, steps);
  if (status == MB_OK) {
    spread(steps, n_plans, n_layers, effect_step);
  }
  free(steps);
  return status;
}

static mb_status read_steps_file(const mb_recorded_maps *maps, size_t n_plans, size_t n_layers,
                                 int64_t *effect_step) {
  mb_array *array = NULL;
  mb_input input;

  MB_TRY(mb_input_open(maps->steps_file, &input));
  mb_status status = mb_npy_open(&input, &array);
  if (status == MB_OK) {
    status = read_step_array(maps, array, n_plans, n_layers, effect_step);
    mb_array_destroy(array);
  }
  mb_input_close(&input);
  return status;
}

static mb_status fill_steps(const mb_recorded_maps *maps, size_t n_plans, size_t n_layers,
                            int64_t *effect_step) {
  const int64_t start = 0;

  if (maps->steps_file != NULL) {
    return read_steps_file(maps, n_plans, n_layers, effect_step);
  }
  if (maps->steps == NULL && n_plans > 1) {
    return MB_FAIL(MB_ERR_PARAM, "%s has %zu placements: effect_step has to say when each begins",
                   maps->file, n_plans);
  }
  if (maps->steps != NULL) {
    MB_TRY(check_count(maps, "effect_step", maps->n_steps, n_plans));
  }
  spread(maps->steps != NULL ? maps->steps : &start, n_plans, n_layers, effect_step);
  return MB_OK;
}

/* --- the whole --- */

static mb_status load_map(mb_recorded_maps *maps, const mb_map *map, const mb_shape *shape,
                          const mb_trace_info *info) {
  size_t n_layers = shape->n_layers;
  int64_t *effect_step = calloc(map->n_maps * n_layers, sizeof *effect_step);
  int32_t *rows = calloc(map->n_maps * n_layers * shape->n_slots, sizeof *rows);
  mb_status status = effect_step != NULL && rows != NULL ? MB_OK : no_memory(maps, map->n_maps);

  status = status == MB_OK ? mb_map_fit(map, maps->file, shape, info->layer_ids, rows) : status;
  status = status == MB_OK ? fill_steps(maps, map->n_maps, n_layers, effect_step) : status;
  if (status != MB_OK) {
    free(effect_step);
    free(rows);
    return status;
  }
  free((void *)maps->recorded.effect_step);
  free((void *)maps->recorded.physical_to_logical_map);
  maps->recorded = (mb_replay_recorded){map->n_maps, effect_step, rows};
  return MB_OK;
}

mb_status mb_recorded_maps_load(mb_recorded_maps *maps, const mb_shape *shape,
                                const mb_trace_info *info) {
  mb_map map = {0};

  MB_TRY(mb_map_read(maps->file, &map));
  mb_status status = load_map(maps, &map, shape, info);
  mb_map_fini(&map);
  return status;
}

static void write_path(FILE *stream, const char *path) {
  char *absolute = realpath(path, NULL);

  mb_yaml_write_text(stream, absolute != NULL ? absolute : path);
  free(absolute);
}

void mb_recorded_maps_write(FILE *stream, const mb_recorded_maps *maps) {
  (void)fputs("{use: maps, file: ", stream);
  write_path(stream, maps->file);
  if (maps->steps_file != NULL) {
    (void)fputs(", effect_step: ", stream);
    write_path(stream, maps->steps_file);
  }
  for (size_t k = 0; k < maps->n_steps; k++) {
    (void)fprintf(stream, "%s%" PRId64, k == 0 ? ", effect_step: [" : ", ", maps->steps[k]);
  }
  (void)fputs(maps->n_steps > 0 ? "]" : "", stream);
}

void mb_recorded_maps_destroy(mb_recorded_maps *maps) {
  if (maps == NULL) {
    return;
  }
  free((void *)maps->recorded.effect_step);
  free((void *)maps->recorded.physical_to_logical_map);
  free(maps->file);
  free(maps->steps_file);
  free(maps->steps);
  free(maps);
}
