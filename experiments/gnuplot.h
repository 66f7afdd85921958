/* experiments/gnuplot.h - draws figures by running gnuplot. */
#ifndef MB_EXPERIMENTS_GNUPLOT_H
#define MB_EXPERIMENTS_GNUPLOT_H

#include <stddef.h>

#include "balancer/status.h"

/**
 * The folder of the gnuplot scripts: $MOEBAL_PLOTS; else where the program is installed,
 * ../share/moebal/plots from it; else the source folder that it was built from.
 *
 * @param folder [size] caller-owned; written only on MB_OK.
 * @return MB_OK; MB_ERR_IO naming the folders that have no style.gp.
 */
MB_NODISCARD mb_status mb_gnuplot_scripts(size_t size, char *folder);

/**
 * Runs `gnuplot -c SCRIPT TABLE FIGURE`, without a shell, and waits for it. The figure's ending
 * (.pdf, .svg, .png) is its format. It is drawn under a temporary name in the same folder and gets
 * its name when it is complete; an older one of that name stays as it is on failure.
 *
 * @return MB_OK; MB_ERR_UNSUPPORTED where gnuplot is not installed, with how to install it;
 *         MB_ERR_IO with what gnuplot said, or where the figure cannot be written; MB_ERR_MEMORY;
 *         MB_ERR_CANCELLED, as mb_interrupt_check(): gnuplot is killed.
 */
MB_NODISCARD mb_status mb_gnuplot_draw(const char *script, const char *table, const char *figure);

#endif
