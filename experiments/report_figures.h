/* experiments/report_figures.h - the figures of a report: drawn as `moebal plot` draws them, then
 * put into the page with their tables. */
#ifndef MB_EXPERIMENTS_REPORT_FIGURES_H
#define MB_EXPERIMENTS_REPORT_FIGURES_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "balancer/status.h"
#include "experiments/figure.h"

enum { MB_REPORT_FIGURES_MAX = 64 };

typedef struct mb_report_figure {
  const mb_figure *figure;
  char *caption; /* lines of text; NULL where it could not be drawn */
  char *missing; /* why it could not be drawn; NULL where it was */
} mb_report_figure;

/** All figures that apply to a results file, in a folder of their own. */
typedef struct mb_report_figures {
  char folder[PATH_MAX]; /* "": none */
  size_t n;
  mb_report_figure figure[MB_REPORT_FIGURES_MAX];
} mb_report_figures;

/**
 * Draws them into a temporary folder. A figure for which the results lack something is listed with
 * the reason.
 * @param figures caller-owned; mb_report_figures_fini() it, also after a failure.
 * @return MB_OK; MB_ERR_UNSUPPORTED without gnuplot; MB_ERR_IO; MB_ERR_MEMORY; MB_ERR_CANCELLED;
 *         what reading the results returned.
 */
MB_NODISCARD mb_status mb_report_figures_draw(const mb_figure_source *source,
                                              mb_report_figures *figures);

/** Removes the folder. */
void mb_report_figures_fini(mb_report_figures *figures);

/** Which figures: those of sweeps, those of single runs, or all. */
typedef enum mb_report_of {
  MB_REPORT_OF_SWEEP = 1,
  MB_REPORT_OF_RUN = 2,
  MB_REPORT_ALL = 3
} mb_report_of;

/** Whether there is a drawn figure of these. */
bool mb_report_figures_have(const mb_report_figures *figures, mb_report_of of);

/** Writes these figures into the page. */
MB_NODISCARD mb_status mb_report_figures_put(const mb_report_figures *figures, mb_report_of of,
                                             FILE *page);

/** Names the figures that could not be drawn, and why. */
void mb_report_figures_put_missing(const mb_report_figures *figures, FILE *page);

#endif
