/* experiments/stat_blocks.c */
#include "experiments/stat_blocks.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/stat_block_length.h"

static void choose_length(const mb_stat_steps *steps, double from_data, mb_stat_blocks *blocks) {
  const struct {
    const char *name;
    size_t steps;
  } need[] = {{"interval", steps->interval},
              {"window", steps->window},
              {"lifetime", steps->lifetime},
              {"data", (size_t)ceil(from_data)}};
  size_t most = 0;

  for (size_t i = 1; i < sizeof need / sizeof *need; i++) {
    most = need[i].steps > need[most].steps ? i : most;
  }
  blocks->from = need[most].name;
  blocks->length = (need[most].steps + steps->interval - 1) / steps->interval * steps->interval;
}

/* The first step from `first` on at which a plan can take effect. */
static size_t first_effect(const mb_stat_steps *steps) {
  size_t phase = steps->delay % steps->interval;
  size_t past = (steps->first + steps->interval - phase) % steps->interval;

  return past == 0 ? steps->first : steps->first + steps->interval - past;
}

static void cut(const mb_stat_steps *steps, mb_stat_blocks *blocks) {
  size_t next = first_effect(steps);

  blocks->n_blocks = 0;
  blocks->edge[0] = steps->first;
  if (next - steps->first < (blocks->length + 1) / 2) {
    next += blocks->length;
  }
  for (; next < steps->n_steps; next += blocks->length) {
    if (steps->n_steps - next < (blocks->length + 1) / 2) {
      break;
    }
    blocks->edge[++blocks->n_blocks] = next;
  }
  blocks->edge[++blocks->n_blocks] = steps->n_steps;
}

mb_status mb_stat_blocks_cut(const mb_stat_steps *steps, const double *series,
                             mb_stat_blocks *blocks) {
  size_t scored = steps->n_steps - steps->first;
  double from_data = 1;
  mb_stat_blocks made;

  assert(steps->first < steps->n_steps && steps->interval > 0);
  MB_TRY(mb_stat_block_length(scored, series, &from_data));
  choose_length(steps, from_data, &made);
  made.edge = calloc(scored / made.length + 3, sizeof *made.edge);
  if (made.edge == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the blocks of %zu steps", scored);
  }
  cut(steps, &made);
  *blocks = made;
  return MB_OK;
}

void mb_stat_blocks_fini(mb_stat_blocks *blocks) {
  free(blocks->edge);
  blocks->edge = NULL;
}
