/* workloads/importer.c - the registry of importers. */
#include "workloads/importer.h"

#include <string.h>

#define MB_IMPORTER(name) extern const mb_importer mb_importer_##name;
#include "workloads/importers.def"
#undef MB_IMPORTER

#define MB_IMPORTER(name) &mb_importer_##name,
static const mb_importer *const importers[] = {
#include "workloads/importers.def"
    NULL};
#undef MB_IMPORTER

const mb_importer *const *mb_importers(void) {
  return importers;
}

const mb_importer *mb_importer_find(const char *name) {
  for (size_t i = 0; importers[i] != NULL; i++) {
    if (strcmp(importers[i]->name, name) == 0) {
      return importers[i];
    }
  }
  return NULL;
}

const mb_importer *mb_importer_recognise(const mb_input *input) {
  for (size_t i = 0; importers[i] != NULL; i++) {
    if (importers[i]->recognise != NULL && importers[i]->recognise(input)) {
      return importers[i];
    }
  }
  return NULL;
}

mb_status mb_importer_read(const mb_importer *importer, size_t n_inputs, const mb_input *inputs,
                           const mb_import_options *options, mb_import *import) {
  if (options->dataset != NULL && !importer->takes_dataset) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: --dataset %s: files of format %s have no arrays to choose from",
                   inputs[0].path, options->dataset, importer->name);
  }
  if (options->serving_option != NULL && !importer->takes_serving) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: format %s holds loads of steps, not requests that could be served together",
                   options->serving_option, importer->name);
  }
  if (importer->joint) {
    return importer->read(n_inputs, inputs, options, import);
  }
  for (size_t i = 0; i < n_inputs; i++) {
    MB_TRY(importer->read(1, &inputs[i], options, import));
  }
  return MB_OK;
}
