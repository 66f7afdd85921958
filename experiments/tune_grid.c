/* experiments/tune_grid.c */
#include "experiments/tune_grid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS_TRIED = 3, PLANS_LEAST = 4 };

/* Begins "sweep.KEY=[". */
static char *begin(mb_tune_grid *grid, const char *key) {
  char *text = grid->text[grid->n++];

  (void)snprintf(text, MB_TUNE_AXIS_SIZE, "sweep.%s=[", key);
  return text;
}

static void add(char *text, int64_t value) {
  size_t used = strlen(text);

  (void)snprintf(text + used, MB_TUNE_AXIS_SIZE - used, "%s%" PRId64,
                 text[used - 1] == '[' ? "" : ", ", value);
}

static void end(char *text) {
  size_t used = strlen(text);

  (void)snprintf(text + used, MB_TUNE_AXIS_SIZE - used, "]");
}

/* `from` x 1/2, 1, 2, ..., up to `most`; always the one in the config. */
static void fill_doubling(mb_tune_grid *grid, const char *key, int64_t own, int64_t from,
                          int64_t times, int64_t most) {
  char *text = begin(grid, key);
  bool found = false;

  for (int64_t value = from > 1 ? from / 2 : 1; value <= times * from; value *= 2) {
    if (value <= most || value == own) {
      add(text, value);
      found = found || value == own;
    }
  }
  if (!found) {
    add(text, own);
  }
  end(text);
}

/* Whole slots a GPU, from what the experts need to what fits, evenly apart. */
static void fill_slots(mb_tune_grid *grid, const mb_config *config, const mb_trace_info *info,
                       int64_t most_bytes) {
  int64_t bytes = mb_config_expert_bytes(config, info) * (int64_t)info->n_layers;
  int64_t least = ((int64_t)info->n_experts + config->gpus - 1) / config->gpus;
  int64_t most = bytes > 0 ? most_bytes / bytes : config->slots / config->gpus;
  int64_t last = 0;

  most = most < 2 * least ? most : 2 * least;
  char *text = begin(grid, "cluster.slots");
  for (int64_t i = 0; i < SLOTS_TRIED && most >= least; i++) {
    int64_t slots = least + (most - least) * i / (SLOTS_TRIED - 1);
    if (slots > last) {
      add(text, slots * config->gpus);
      last = slots;
    }
  }
  if (last == 0) {
    add(text, config->slots); /* too large, as the search will say */
  }
  end(text);
}

void mb_tune_grid_fill(const mb_config *config, const mb_trace_info *info, size_t half,
                       int64_t most_bytes, mb_tune_grid *grid) {
  int64_t steps = (int64_t)half;

  grid->n = 0;
  fill_doubling(grid, "schedule.interval", config->interval, config->interval, 4,
                steps / PLANS_LEAST);
  fill_doubling(grid, "schedule.window", config->window, config->interval, 8, steps / 2);
  fill_slots(grid, config, info, most_bytes);
  (void)snprintf(begin(grid, "parameters.trigger"), MB_TUNE_AXIS_SIZE,
                 "sweep.parameters.trigger=[periodic, cost_aware]");
  (void)snprintf(begin(grid, "parameters.dispatch"), MB_TUNE_AXIS_SIZE,
                 "sweep.parameters.dispatch=[even, lp]");
  if (mb_config_has_cost(config)) {
    (void)snprintf(begin(grid, "cost.movement"), MB_TUNE_AXIS_SIZE,
                   "sweep.cost.movement=[sync, async]");
  }
}
