/* experiments/report_svg.h - a drawing of gnuplot's, made a part of a page. */
#ifndef MB_EXPERIMENTS_REPORT_SVG_H
#define MB_EXPERIMENTS_REPORT_SVG_H

#include <stdio.h>

#include "balancer/status.h"

/**
 * Writes an SVG file as an element of an HTML page: as wide as the page wants it, its ids those of
 * no other drawing, titled for those who can't see it.
 * @param name  of the drawing, unique in the page, [a-z0-9_]: its ids begin with it.
 * @param title what it shows.
 * @return MB_OK; MB_ERR_IO where it cannot be read or is not what gnuplot writes; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_report_svg_put(const char *path, const char *name, const char *title,
                                         FILE *page);

#endif
