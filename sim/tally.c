/* sim/tally.c */
#include "sim/tally.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_sort.h>

mb_status mb_tally_init(mb_tally *tally, const mb_replay_config *config, size_t n_steps) {
  size_t n_layers = config->shape.n_layers;
  size_t n_scored = n_steps - config->summary_from;

  *tally = (mb_tally){
      .n_layers = n_layers, .n_gpus = config->shape.n_gpus, .summary_from = config->summary_from};
  tally->step_imbalance = calloc(n_scored, sizeof *tally->step_imbalance);
  tally->layer_max = calloc(n_layers, sizeof *tally->layer_max);
  tally->layer_mean = calloc(n_layers, sizeof *tally->layer_mean);
  mb_status status = MB_OK;
  if (tally->step_imbalance == NULL || tally->layer_max == NULL || tally->layer_mean == NULL ||
      n_scored > SIZE_MAX / n_layers) {
    status = MB_FAIL(MB_ERR_MEMORY, "out of memory: the scores of %zu steps of %zu layers",
                     n_scored, n_layers);
  } else {
    status = mb_top_init(&tally->imbalance, n_scored * n_layers, 0.99);
  }
  if (status != MB_OK) {
    mb_tally_fini(tally);
  }
  return status;
}

void mb_tally_fini(mb_tally *tally) {
  free(tally->step_imbalance);
  free(tally->layer_max);
  free(tally->layer_mean);
  mb_top_fini(&tally->imbalance);
  *tally = (mb_tally){0};
}

/* Sums of a step over its layers, in the order of the layers. */
static double step_score(size_t n_layers, const mb_layer_score *score, float *imbalance,
                         int32_t *active_experts) {
  double max = 0.0;
  double mean = 0.0;

  for (size_t l = 0; l < n_layers; l++) {
    imbalance[l] = score[l].load_mean > 0.0 ? (float)(score[l].load_max / score[l].load_mean) : NAN;
    active_experts[l] = score[l].active_experts;
    max += score[l].load_max;
    mean += score[l].load_mean;
  }
  return mean > 0.0 ? max / mean : NAN;
}

void mb_tally_step(mb_tally *tally, size_t step, const mb_layer_score *score,
                   double *step_imbalance, float *imbalance, int32_t *active_experts) {
  *step_imbalance = step_score(tally->n_layers, score, imbalance, active_experts);
  if (step < tally->summary_from) {
    return;
  }
  if (!isnan(*step_imbalance)) {
    tally->step_imbalance[tally->steps_scored++] = *step_imbalance;
  }
  for (size_t l = 0; l < tally->n_layers; l++) {
    if (isnan(imbalance[l])) {
      tally->empty_layer_steps++;
      continue;
    }
    mb_top_push(&tally->imbalance, imbalance[l]);
    tally->layer_max[l] += score[l].load_max;
    tally->layer_mean[l] += score[l].load_mean;
    tally->active_slots += score[l].active_slots;
  }
}

void mb_tally_plan(mb_tally *tally, const mb_plan_record *record) {
  int64_t from = (int64_t)tally->summary_from;
  bool counts = false;

  for (size_t l = 0; l < tally->n_layers; l++) {
    if (record->effect_step[l] >= from) {
      counts = true;
      tally->moved_experts += record->moved_experts[l];
    }
  }
  tally->plans += counts;
  tally->planner_seconds += record->planner_seconds;
}

void mb_tally_skip(mb_tally *tally, size_t step) {
  tally->skipped_plans += step >= tally->summary_from;
}

void mb_tally_leave_out(mb_tally *tally, size_t step) {
  tally->untriggered_plans += step >= tally->summary_from;
}

static void summarise_layers(const mb_tally *tally, mb_replay_summary *summary) {
  double max = 0.0;
  double mean = 0.0;

  summary->worst_layer = 0;
  summary->worst_layer_imbalance = 0.0;
  for (size_t l = 0; l < tally->n_layers; l++) {
    max += tally->layer_max[l];
    mean += tally->layer_mean[l];
    if (tally->layer_mean[l] > 0.0) {
      double layer = tally->layer_max[l] / tally->layer_mean[l];
      if (layer > summary->worst_layer_imbalance) {
        summary->worst_layer = l;
        summary->worst_layer_imbalance = layer;
      }
    }
  }
  summary->run_imbalance = max / mean;
  summary->tokens_per_active_slot = mean * (double)tally->n_gpus / (double)tally->active_slots;
}

mb_status mb_tally_summarise(mb_tally *tally, mb_replay_summary *summary) {
  size_t n = (size_t)tally->steps_scored;
  mb_replay_summary result = {.plans = tally->plans,
                              .moved_experts = tally->moved_experts,
                              .skipped_plans = tally->skipped_plans,
                              .untriggered_plans = tally->untriggered_plans,
                              .steps_scored = tally->steps_scored,
                              .empty_layer_steps = tally->empty_layer_steps,
                              .planner_seconds = tally->planner_seconds};

  if (n == 0) {
    return MB_FAIL(MB_ERR_RANGE,
                   "no step from summary.from %zu on has any load: there is nothing to summarise",
                   tally->summary_from);
  }
  MB_TRY(mb_top_quantile(&tally->imbalance, &result.imbalance_p99));
  summarise_layers(tally, &result);
  gsl_sort(tally->step_imbalance, 1, n);
  /* Summed in ascending order, so that a second call gives the same bits. */
  for (size_t i = 0; i < n; i++) {
    result.step_imbalance_mean += tally->step_imbalance[i];
  }
  result.step_imbalance_mean /= (double)n;
  result.step_imbalance_p50 = mb_quantile_sorted(n, tally->step_imbalance, 0.50);
  result.step_imbalance_p95 = mb_quantile_sorted(n, tally->step_imbalance, 0.95);
  result.step_imbalance_p99 = mb_quantile_sorted(n, tally->step_imbalance, 0.99);
  *summary = result;
  return MB_OK;
}
