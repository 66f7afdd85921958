/* experiments/data_folder.h - where the files lie that the program reads as it runs. */
#ifndef MB_EXPERIMENTS_DATA_FOLDER_H
#define MB_EXPERIMENTS_DATA_FOLDER_H

#include <stddef.h>

#include "balancer/status.h"

typedef struct mb_data_place {
  const char *variable;  /* of the environment; where set, it alone counts */
  const char *installed; /* from the program's own folder */
  const char *source;    /* in the sources that the program was built from */
  const char *file;      /* the folder that has it is the one */
} mb_data_place;

/**
 * The first of the place's folders that has the file.
 *
 * @param folder [size] caller-owned; written only on MB_OK.
 * @return MB_OK; MB_ERR_IO naming the folders that don't have the file.
 */
MB_NODISCARD mb_status mb_data_folder(const mb_data_place *place, size_t size, char *folder);

#endif
