/* workloads/new_file.h - a file that appears whole or not at all. */
#ifndef MB_WORKLOADS_NEW_FILE_H
#define MB_WORKLOADS_NEW_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file's name, and the temporary one in the same folder under which it is written. */
typedef struct mb_new_file {
  char *name;
  char *temporary; /* NULL: not there, or no longer */
} mb_new_file;

/**
 * Makes an empty file under a temporary name.
 * @param file zeroed before; mb_new_file_close() it, also after a failure.
 * @return MB_OK; MB_ERR_IO naming the file and why nothing can be written there; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_new_file_open(const char *name, mb_new_file *file);

/** Sees the written file safely onto the disk, then gives it its name. */
MB_NODISCARD mb_status mb_new_file_commit(mb_new_file *file);

/** Removes the temporary file where it still is. */
void mb_new_file_close(mb_new_file *file);

/**
 * All of that at once: a file of what `put` writes to a stream.
 * @param put   Its failures show in the stream. @param context for `put`.
 * @return MB_OK; MB_ERR_IO naming the file, which then is as it was; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_new_file_write(const char *name,
                                         void (*put)(FILE *stream, const void *context),
                                         const void *context);

/** The folder that a name is in. Transferred: free() it; NULL without memory. */
char *mb_file_folder(const char *name);

/** Whether there is a file that begins as HDF5 does. */
bool mb_file_is_hdf5(const char *path);

#ifdef __cplusplus
}
#endif

#endif
