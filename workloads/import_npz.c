/* workloads/import_npz.c - loads as numpy.savez() or savez_compressed() wrote them. */
#include <stdlib.h>

#include "workloads/import_array.h"
#include "workloads/importer.h"
#include "workloads/npy.h"

/* A zip of nothing but arrays; torch's files are zips, too. */
static bool recognise(const mb_input *input) {
  mb_npz *npz = NULL;

  if (!mb_input_begins(input, "PK", 2) || mb_npz_open(input, &npz) != MB_OK) {
    return false;
  }
  bool all = mb_npz_n_arrays(npz) > 0 && mb_npz_n_arrays(npz) == mb_npz_n_members(npz);
  mb_npz_destroy(npz);
  return all;
}

/* Whether an array can be loads. What is no numbers, and texts, are passed, but what is damaged is
 * said. */
static mb_status can_be_loads(mb_npz *npz, const char *name, bool *can) {
  mb_array *array = NULL;
  mb_status status = mb_npz_array(npz, name, &array);

  *can = false;
  if (status == MB_ERR_UNSUPPORTED) {
    return MB_OK;
  }
  MB_TRY(status);
  size_t rank = mb_array_get_info(array)->rank;
  *can = rank == 2 || rank == 3;
  mb_array_destroy(array);
  return MB_OK;
}

/* @param names [n_arrays] room for all. */
static mb_status choose(const mb_input *input, mb_npz *npz, const char **names, mb_import *import,
                        const char **name) {
  size_t n = 0;
  size_t chosen = 0;

  for (size_t i = 0; i < mb_npz_n_arrays(npz); i++) {
    bool can = false;
    MB_TRY(can_be_loads(npz, mb_npz_name(npz, i), &can));
    names[n] = mb_npz_name(npz, i);
    n += can ? 1 : 0;
  }
  /* Of a single array that cannot be read, its own failure tells more. */
  if (n > 0 || mb_npz_n_arrays(npz) != 1) {
    MB_TRY(mb_load_array_choose(input, n, names, import, &chosen));
  }
  *name = n > 0 ? names[chosen] : mb_npz_name(npz, 0);
  return MB_OK;
}

static mb_status choose_array(const mb_input *input, mb_npz *npz, mb_import *import,
                              const char **name) {
  const char **names = calloc(mb_npz_n_arrays(npz) + 1, sizeof *names);

  if (names == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the arrays of %s", input->path);
  }
  mb_status status = choose(input, npz, names, import, name);
  free((void *)names);
  return status;
}

static mb_status read_array(const mb_input *input, mb_npz *npz, const char *name,
                            mb_import *import) {
  mb_array *array = NULL;

  MB_TRY(mb_npz_array(npz, name, &array));
  mb_status status = mb_load_array_import_npy(input, array, import);
  mb_array_destroy(array);
  return status;
}

static mb_status read_npz(size_t n_inputs, const mb_input *inputs, const mb_import_options *options,
                          mb_import *import) {
  const char *name = options->dataset;
  mb_npz *npz = NULL;

  (void)n_inputs;
  MB_TRY(mb_npz_open(&inputs[0], &npz));
  mb_status status = name != NULL ? MB_OK : choose_array(&inputs[0], npz, import, &name);
  status = status == MB_OK ? read_array(&inputs[0], npz, name, import) : status;
  mb_npz_destroy(npz);
  return status;
}

const mb_importer mb_importer_npz = {
    .name = "npz",
    .summary = "an array in an archive of numpy; --dataset says which, if that is not clear",
    .recognise = recognise,
    .takes_dataset = true,
    .read = read_npz,
};
