/* workloads/import_npy.c - loads as numpy.save() wrote them: [T,L,E], or one step, [L,E]. */
#include "workloads/import_array.h"
#include "workloads/importer.h"
#include "workloads/npy.h"

static bool recognise(const mb_input *input) {
  return mb_input_begins(input, "\x93NUMPY", 6);
}

static mb_status read_npy(size_t n_inputs, const mb_input *inputs, const mb_import_options *options,
                          mb_import *import) {
  mb_array *array = NULL;

  (void)n_inputs;
  (void)options;
  MB_TRY(mb_npy_open(&inputs[0], &array));
  mb_status status = mb_load_array_import_npy(&inputs[0], array, import);
  mb_array_destroy(array);
  return status;
}

const mb_importer mb_importer_npy = {
    .name = "npy",
    .summary = "an array of numpy, [steps, layers, experts] or of one step [layers, experts]",
    .recognise = recognise,
    .read = read_npy,
};
