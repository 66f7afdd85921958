/* experiments/attribution_text.c */
#include "experiments/attribution_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What a part is, after "is"; of a negative one, after "is what" and "saves". */
static const char *const words[MB_N_PARTS] = {
    [MB_PART_GRANULARITY] = "in the slots: no placement in as many does better",
    [MB_PART_HIERARCHY] = "due to the limits of nodes and groups",
    [MB_PART_PACKING] = "packing, which better plans could save",
    [MB_PART_NOISE] = "noise of single steps that even the best dispatch leaves",
    [MB_PART_STALENESS] = "staleness: the past is no forecast",
    [MB_PART_DELAY] = "delay: plans take effect late",
    [MB_PART_DISPATCH] = "what only a better dispatch over the replicas can save",
};

/* The largest part, by its amount, of those that are left; MB_N_PARTS: none is worth a word. */
static size_t take_largest(const mb_attribution_mean *mean, bool taken[MB_N_PARTS]) {
  size_t largest = MB_N_PARTS;

  for (size_t k = 0; k < MB_N_PARTS; k++) {
    if (!taken[k] && fabs(mean->parts[k]) >= 0.0005 &&
        (largest == MB_N_PARTS || fabs(mean->parts[k]) > fabs(mean->parts[largest]))) {
      largest = k;
    }
  }
  if (largest < MB_N_PARTS) {
    taken[largest] = true;
  }
  return largest;
}

void mb_attribution_text(const mb_attribution_mean *mean, size_t size, char *text) {
  bool taken[MB_N_PARTS] = {false};

  (void)snprintf(text, size, "of %.1f %% excess", 100.0 * mean->excess);
  for (size_t k = take_largest(mean, taken); k < MB_N_PARTS; k = take_largest(mean, taken)) {
    size_t used = strlen(text);
    (void)snprintf(text + used, size - used, ", %.1f %% is %s", 100.0 * mean->parts[k], words[k]);
  }
}
