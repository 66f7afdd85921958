/* experiments/map_output.h - placement maps written for people: into a file, or to standard output.
 */
#ifndef MB_EXPERIMENTS_MAP_OUTPUT_H
#define MB_EXPERIMENTS_MAP_OUTPUT_H

#include <argp.h>

#include "workloads/map.h"

/** The format of that name; an unknown one is a wrong command line. */
const mb_map_format *mb_map_output_format(const char *name, struct argp_state *state);

/** Of argp's help_filter: puts the list of formats below the options. */
char *mb_map_output_help(int key, const char *text, void *input);

/** "trtllm, sglang, ..." for messages and --help. Returns `buffer`. */
char *mb_map_output_names(char *buffer, size_t size);

/**
 * Whether a map may be written there: nothing is there, or a map of that format.
 * @param input a file that must not be replaced; or NULL.
 * @return MB_OK; MB_ERR_IO naming the file and what would be right.
 */
MB_NODISCARD mb_status mb_map_output_check(const char *path, const mb_map_format *format,
                                           const char *input);

/**
 * Writes one placement, whole or not at all.
 * @param path NULL: to standard output.
 * @param map  as the format's write() takes it; layer_ids that do not ascend are MB_ERR_SHAPE.
 */
MB_NODISCARD mb_status mb_map_output_write(const char *path, const mb_map_format *format,
                                           const mb_map *map);

#endif
