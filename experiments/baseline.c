/* experiments/baseline.c - baselines in memory; baseline_file.c reads and writes them. */
#include "experiments/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name;
  double margin_percent;
} metrics[MB_BASELINE_METRICS] = {
#define MB_CHECK_METRIC(name, margin_percent) {#name, margin_percent},
#include "experiments/check_metrics.def"
#undef MB_CHECK_METRIC
};

const char *mb_baseline_metric_name(size_t metric) {
  return metrics[metric].name;
}

size_t mb_baseline_metric_find(const char *name) {
  size_t i = 0;

  while (i < MB_BASELINE_METRICS && strcmp(metrics[i].name, name) != 0) {
    i++;
  }
  return i;
}

mb_status mb_baseline_read_percent(const char *text, double *percent) {
  char *end = NULL;
  double value = strtod(text, &end);

  if (end == text || (strcmp(end, "") != 0 && strcmp(end, "%") != 0) || !(value >= 0) ||
      !isfinite(value)) {
    return MB_FAIL(MB_ERR_PARAM, "'%.64s' is no margin; should be a number of percent, 0 or more",
                   text);
  }
  *percent = value;
  return MB_OK;
}

static mb_status no_memory(void) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory for a baseline");
}

mb_status mb_baseline_init(const char *config, mb_baseline *baseline) {
  mb_baseline made = {.config = strdup(config)};

  if (made.config == NULL) {
    return no_memory();
  }
  for (size_t i = 0; i < MB_BASELINE_METRICS; i++) {
    made.margin_percent[i] = metrics[i].margin_percent;
  }
  *baseline = made;
  return MB_OK;
}

static void score_fini(mb_baseline_score *score) {
  free(score->setting);
  free(score->strategy);
  free(score->seed);
}

static void part_fini(mb_baseline_part *part) {
  free(part->setting);
  free(part->strategy);
  free(part->name);
}

void mb_baseline_fini(mb_baseline *baseline) {
  for (size_t i = 0; i < baseline->n_scores; i++) {
    score_fini(&baseline->score[i]);
  }
  for (size_t i = 0; i < baseline->n_parts; i++) {
    part_fini(&baseline->part[i]);
  }
  free(baseline->score);
  free(baseline->part);
  free(baseline->config);
  *baseline = (mb_baseline){.config = NULL};
}

mb_baseline_score *mb_baseline_find(const mb_baseline *baseline, const char *setting,
                                    const char *strategy, const char *seed) {
  for (size_t i = 0; i < baseline->n_scores; i++) {
    mb_baseline_score *score = &baseline->score[i];
    if (strcmp(score->seed, seed) == 0 && strcmp(score->strategy, strategy) == 0 &&
        strcmp(score->setting, setting) == 0) {
      return score;
    }
  }
  return NULL;
}

mb_baseline_part *mb_baseline_find_part(const mb_baseline *baseline, const mb_baseline_part *like) {
  for (size_t i = 0; i < baseline->n_parts; i++) {
    mb_baseline_part *part = &baseline->part[i];
    if (part->metric == like->metric && part->is_layer == like->is_layer &&
        strcmp(part->name, like->name) == 0 && strcmp(part->strategy, like->strategy) == 0 &&
        strcmp(part->setting, like->setting) == 0) {
      return part;
    }
  }
  return NULL;
}

/* A copy without what would break a line into others or into more cells. */
static char *copy_cell(const char *text) {
  char *copy = strdup(text);

  for (char *c = copy; c != NULL && *c != '\0'; c++) {
    if ((unsigned char)*c < ' ') {
      *c = ' ';
    }
  }
  return copy;
}

/* Room for one more: the size doubles whenever the number is a power of two. */
static mb_status grow(void **array, size_t n, size_t size) {
  if ((n & (n - 1)) != 0) {
    return MB_OK;
  }
  void *grown = realloc(*array, (n == 0 ? 1 : 2 * n) * size);
  if (grown == NULL) {
    return no_memory();
  }
  *array = grown;
  return MB_OK;
}

mb_status mb_baseline_add(mb_baseline *baseline, const char *setting, const char *strategy,
                          const char *seed, mb_baseline_score **score) {
  mb_baseline_score made = {
      .setting = copy_cell(setting), .strategy = copy_cell(strategy), .seed = copy_cell(seed)};
  mb_baseline_score *found = NULL;
  mb_status status = MB_OK;

  if (made.setting == NULL || made.strategy == NULL || made.seed == NULL) {
    status = no_memory();
    goto cleanup;
  }
  found = mb_baseline_find(baseline, made.setting, made.strategy, made.seed);
  if (found == NULL) {
    void *scores = baseline->score;
    status = grow(&scores, baseline->n_scores, sizeof *baseline->score);
    if (status != MB_OK) {
      goto cleanup;
    }
    baseline->score = scores;
    for (size_t i = 0; i < MB_BASELINE_METRICS; i++) {
      made.value[i] = NAN;
    }
    found = &baseline->score[baseline->n_scores++];
    *found = made;
    made = (mb_baseline_score){.setting = NULL};
  }
  *score = found;

cleanup:
  score_fini(&made);
  return status;
}

mb_status mb_baseline_add_part(mb_baseline *baseline, const char *setting, const char *strategy,
                               size_t metric, bool is_layer, const char *name,
                               mb_baseline_part **part) {
  mb_baseline_part made = {.setting = copy_cell(setting),
                           .strategy = copy_cell(strategy),
                           .metric = metric,
                           .is_layer = is_layer,
                           .name = copy_cell(name)};
  mb_baseline_part *found = NULL;
  mb_status status = MB_OK;

  if (made.setting == NULL || made.strategy == NULL || made.name == NULL) {
    status = no_memory();
    goto cleanup;
  }
  found = mb_baseline_find_part(baseline, &made);
  if (found == NULL) {
    void *parts = baseline->part;
    status = grow(&parts, baseline->n_parts, sizeof *baseline->part);
    if (status != MB_OK) {
      goto cleanup;
    }
    baseline->part = parts;
    found = &baseline->part[baseline->n_parts++];
    *found = made;
    made = (mb_baseline_part){.setting = NULL};
  }
  *part = found;

cleanup:
  part_fini(&made);
  return status;
}
