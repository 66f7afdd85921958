/* experiments/figure_caption.h - sentences that captions share. */
#ifndef MB_EXPERIMENTS_FIGURE_CAPTION_H
#define MB_EXPERIMENTS_FIGURE_CAPTION_H

#include <stdio.h>

#include "experiments/figure.h"

/** "Trace: ...", its model and phase, steps, and layers: a line. */
void mb_caption_put_trace(FILE *caption, const mb_results_run *run);

/** "Cluster and schedule: ...": a line. What the file does not say is left out. */
void mb_caption_put_setup(FILE *caption, const mb_results *results);

/** "Strategies: ...", and what none and hindsight are where they are among them: a line. */
void mb_caption_put_strategies(FILE *caption, size_t n, const char *const *labels);

/** All three lines of one run, after its name. */
void mb_caption_put_run(FILE *caption, const mb_results *results);

#endif
