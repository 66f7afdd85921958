/* experiments/attribution_text.h - where an imbalance comes from, in a sentence. */
#ifndef MB_EXPERIMENTS_ATTRIBUTION_TEXT_H
#define MB_EXPERIMENTS_ATTRIBUTION_TEXT_H

#include <stddef.h>

#include "sim/attribution.h"

enum { MB_ATTRIBUTION_TEXT_SIZE = 1024 };

/** "Of 21.5 % excess, 14.1 % is ..., 5.6 % ...": the parts by size, those of 0.05 % and more; cut
 * off at `size`. */
void mb_attribution_text(const mb_attribution_mean *mean, size_t size, char *text);

#endif
