/* workloads/importer.h - the formats that traces are imported from. */
#ifndef MB_WORKLOADS_IMPORTER_H
#define MB_WORKLOADS_IMPORTER_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "workloads/import.h"
#include "workloads/input.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * An importer: one file, import_<name>.c, ending in `const mb_importer mb_importer_<name>`, and one
 * line in importers.def.
 */
typedef struct mb_importer {
  const char *name;
  const char *summary; /* half a sentence for `moebal list importers`: of what system, what files */
  /* Optional, NULL: only where the user names it. Whether the content can be nothing else; looks at
     little of it. */
  bool (*recognise)(const mb_input *input);
  /* Whether several inputs are parts of one recording, such as a file a rank; otherwise each is
     read on its own, one after the other. */
  bool joint;
  bool takes_dataset; /* heeds options->dataset, which is refused otherwise */
  bool takes_serving; /* heeds options->serving, which is refused otherwise */
  /* Required. Calls mb_import_begin() once, then mb_import_step() once a step. Messages
     name file, record, and what would be right. Memory: O(a few steps), not O(input), where the
     format allows. */
  mb_status (*read)(size_t n_inputs, const mb_input *inputs, const mb_import_options *options,
                    mb_import *import);
} mb_importer;

/** The importer of that name, or NULL. */
const mb_importer *mb_importer_find(const char *name);

/** All importers in the order of importers.def, NULL-terminated. Static. */
const mb_importer *const *mb_importers(void);

/** The first one that recognises the input, in that order; NULL: none does. */
const mb_importer *mb_importer_recognise(const mb_input *input);

/** Reads all inputs, in order. */
MB_NODISCARD mb_status mb_importer_read(const mb_importer *importer, size_t n_inputs,
                                        const mb_input *inputs, const mb_import_options *options,
                                        mb_import *import);

#ifdef __cplusplus
}
#endif

#endif
