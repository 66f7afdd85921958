/* workloads/folder.h - internal: the files in a folder. */
#ifndef MB_WORKLOADS_FOLDER_H
#define MB_WORKLOADS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_folder {
  char **names; /* [n] in the order of their bytes, without the folder */
  size_t n;
} mb_folder;

/**
 * Lists the names for which `wanted` is true.
 * @param folder mb_folder_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO; MB_ERR_MEMORY; MB_ERR_FORMAT where there are more than 2^16.
 */
MB_NODISCARD mb_status mb_folder_list(const char *path, bool (*wanted)(const char *name),
                                      mb_folder *folder);
void mb_folder_fini(mb_folder *folder); /* one of zeros is fine */

/** "PATH/NAME"; free() it. NULL: no memory. */
char *mb_folder_join(const char *path, const char *name);

#ifdef __cplusplus
}
#endif

#endif
