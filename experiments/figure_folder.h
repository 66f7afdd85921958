/* experiments/figure_folder.h - the folder that figures and their tables go to. */
#ifndef MB_EXPERIMENTS_FIGURE_FOLDER_H
#define MB_EXPERIMENTS_FIGURE_FOLDER_H

#include <limits.h>
#include <stdbool.h>

#include "balancer/status.h"

/**
 * Makes the folder unless it is there.
 * @param made whether it was not there before; written in any case.
 * @return MB_OK; MB_ERR_IO naming it, and why nothing can be written in it.
 */
MB_NODISCARD mb_status mb_figure_folder_make(const char *folder, bool *made);

/** "FOLDER/NAME.ENDING". @return MB_OK; MB_ERR_IO for too long a path. */
MB_NODISCARD mb_status mb_figure_folder_path(char path[PATH_MAX], const char *folder,
                                             const char *name, const char *ending);

/**
 * Writes a text file, under a temporary name first.
 * @return MB_OK; MB_ERR_IO naming it: it then is as it was before.
 */
MB_NODISCARD mb_status mb_figure_folder_put_text(const char *path, const char *text);

/**
 * Draws FOLDER/NAME.FORMAT with SCRIPTS/NAME.gp from FOLDER/NAME.tsv, and prints its path.
 * @return MB_OK; MB_ERR_IO for too long a path; what mb_gnuplot_draw() answers.
 */
MB_NODISCARD mb_status mb_figure_folder_draw(const char *folder, const char *scripts,
                                             const char *name, const char *format);

#endif
