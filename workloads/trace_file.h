/* workloads/trace_file.h - internal: reading HDF5 objects with suspicion. */
#ifndef MB_WORKLOADS_TRACE_FILE_H
#define MB_WORKLOADS_TRACE_FILE_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

/* What of a dataset's type decides how it may be read. */
typedef enum mb_number {
  MB_NUMBER_UINT32, /* read as it is */
  MB_NUMBER_INT,    /* any other integer */
  MB_NUMBER_REAL,
  MB_NUMBER_NONE, /* no number at all */
} mb_number;

/** A dataset that is open. */
typedef struct mb_h5_dataset {
  hid_t id, space;
  int rank;
  hsize_t dims[4];
  mb_number number;
} mb_h5_dataset;

/** Whether the file's root has an object of that name. */
bool mb_h5_has(hid_t file, const char *name);

/**
 * Opens a dataset of that rank (1 to 4) whose data are all in this file and can be read here.
 * @param path of the file, for messages.
 * @return MB_OK, and mb_h5_close() is due; MB_ERR_FORMAT naming file and object.
 */
MB_NODISCARD mb_status mb_h5_open(const char *path, hid_t file, const char *name, int rank,
                                  mb_h5_dataset *dataset);
void mb_h5_close(mb_h5_dataset *dataset); /* a dataset of zeros is fine */

/** An attribute of the file's root as text, on one line, valid UTF-8. @param text Transferred:
 * free() it; NULL where there is no such attribute. */
MB_NODISCARD mb_status mb_h5_text(const char *path, hid_t file, const char *name, char **text);

/** An attribute of the file's root as one whole number; `found` false where it isn't there. */
MB_NODISCARD mb_status mb_h5_int(const char *path, hid_t file, const char *name, int64_t *value,
                                 bool *found);

/** An attribute of the file's root as n whole numbers; it has to be there. */
MB_NODISCARD mb_status mb_h5_ints(const char *path, hid_t file, const char *name, size_t n,
                                  int64_t *values);

#endif
