/* workloads/import_hdf5.h - internal: the importer `hdf5` without its caution, for fuzzing. */
#ifndef MB_WORKLOADS_IMPORT_HDF5_H
#define MB_WORKLOADS_IMPORT_HDF5_H

#include "workloads/import.h"

/** Reads a file that a child process has been through before: see mb_trace_probe(). */
MB_NODISCARD mb_status mb_import_hdf5_probed(const mb_input *input,
                                             const mb_import_options *options, mb_import *import);

#endif
