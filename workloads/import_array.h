/* workloads/import_array.h - internal: what the importers of plain arrays of loads share. */
#ifndef MB_WORKLOADS_IMPORT_ARRAY_H
#define MB_WORKLOADS_IMPORT_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "workloads/import.h"
#include "workloads/npy.h"

/** Loads a step at most: some forty times as many as any model has. */
#define MB_IMPORT_STEP_LOADS_MAX ((uint64_t)1 << 20)

/** An array of loads: [T,L,E], or [L,E], which is one step. */
typedef struct mb_load_array {
  const char *name; /* for messages */
  size_t rank;
  const uint64_t *dims; /* [rank] */
  uint64_t rows;        /* of the first dimension that are read at once; 0: any number */
  mb_status (*read)(void *state, uint64_t first, size_t n, uint32_t *counts);
  void *state;
} mb_load_array;

/** Begins the import and hands on all steps. @return as mb_importer's read(). */
MB_NODISCARD mb_status mb_load_array_import(const mb_input *input, const mb_load_array *array,
                                            mb_import *import);

/** The same of an array that numpy wrote. */
MB_NODISCARD mb_status mb_load_array_import_npy(const mb_input *input, mb_array *array,
                                                mb_import *import);

/**
 * Which of several arrays is meant where nobody says: the only one, or the only one with the name
 * of loads. That others were left out is noted.
 *
 * @param names [n] of the arrays of 2 or 3 dimensions; what stands before a slash counts for naming
 *              only.
 * @return MB_OK; MB_ERR_FORMAT where there is none; MB_ERR_PARAM naming them.
 */
MB_NODISCARD mb_status mb_load_array_choose(const mb_input *input, size_t n,
                                            const char *const *names, mb_import *import,
                                            size_t *chosen);

#endif
