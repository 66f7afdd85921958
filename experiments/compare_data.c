/* experiments/compare_data.c */
#include "experiments/compare_data.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static mb_status no_memory(const mb_results_run *run) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory to compare the %zu steps of run %s", run->n_steps,
                 run->name);
}

/* Room, as the first run asks for it. */
static mb_status data_init(const mb_results_run *run, const mb_compare_condition *condition,
                           mb_compare_data *data) {
  size_t n_runs = condition->n_relabellings * condition->n_seeds;

  data->n_strategies = run->n_strategies;
  data->n_relabellings = condition->n_relabellings;
  data->n_seeds = condition->n_seeds;
  data->label = calloc(run->n_strategies, sizeof *data->label);
  data->value = calloc(run->n_strategies * n_runs, sizeof *data->value);
  data->moved_experts = calloc(run->n_strategies, sizeof *data->moved_experts);
  if (data->label == NULL || data->value == NULL || data->moved_experts == NULL) {
    return no_memory(run);
  }
  for (size_t i = 0; i < run->n_strategies; i++) {
    data->label[i] = strdup(run->labels[i]);
    if (data->label[i] == NULL) {
      return no_memory(run);
    }
  }
  if (condition->n_seeds > 1) {
    return MB_OK;
  }
  data->steps = (mb_stat_steps){run->summary_from, run->n_steps, run->interval,
                                run->window,       run->delay,   run->request_lifetime};
  data->load = calloc(run->n_steps, sizeof *data->load);
  data->step = calloc(run->n_strategies * n_runs * run->n_steps, sizeof *data->step);
  return data->load != NULL && data->step != NULL ? MB_OK : no_memory(run);
}

/* Whether a run can be paired with the first one. */
static mb_status check_run(const mb_results_run *run, const mb_compare_data *data) {
  bool same = run->n_strategies == data->n_strategies;

  for (size_t i = 0; same && i < run->n_strategies; i++) {
    same = strcmp(run->labels[i], data->label[i]) == 0;
  }
  if (!same) {
    return MB_FAIL(MB_ERR_PARAM,
                   "run %s has other strategies than those that differ from it in seed or "
                   "relabelling: only strategies that all have can be compared",
                   run->name);
  }
  if (data->step != NULL &&
      (run->n_steps != data->steps.n_steps || run->summary_from != data->steps.first)) {
    return MB_FAIL(MB_ERR_FORMAT,
                   "run %s scores the steps %zu to %zu, and another relabelling of the same loads "
                   "%zu to %zu",
                   run->name, run->summary_from, run->n_steps, data->steps.first,
                   data->steps.n_steps);
  }
  return MB_OK;
}

/* A run's numbers, to their places. `place` counts relabellings x seeds. */
static mb_status read_run(const mb_results *results, size_t place, mb_compare_data *data) {
  size_t n_runs = data->n_relabellings * data->n_seeds;
  size_t n_steps = data->steps.n_steps;

  MB_TRY(check_run(mb_results_get_run(results), data));
  if (place == 0 && data->load != NULL) {
    MB_TRY(mb_results_read_step_load(results, data->load));
  }
  for (size_t i = 0; i < data->n_strategies; i++) {
    mb_replay_summary summary;
    MB_TRY(mb_results_read_summary(results, i, &summary));
    data->value[i * n_runs + place] = summary.run_imbalance;
    data->moved_experts[i] += (double)summary.moved_experts / (double)n_runs;
    if (data->step != NULL) {
      MB_TRY(
          mb_results_read_step_imbalance(results, i, data->step + (i * n_runs + place) * n_steps));
    }
  }
  return MB_OK;
}

static mb_status read_cell(const mb_results_file *file, const mb_compare_condition *condition,
                           size_t place, mb_compare_data *data) {
  mb_results *results = NULL;
  mb_status status = MB_OK;

  MB_TRY(mb_results_file_open_run(file, condition->cell[place], &results));
  if (place == 0) {
    status = data_init(mb_results_get_run(results), condition, data);
  }
  status = status == MB_OK ? read_run(results, place, data) : status;
  mb_results_destroy(results);
  return status;
}

mb_status mb_compare_data_read(const mb_results_file *file, const mb_compare_condition *condition,
                               mb_compare_data *data) {
  size_t n_runs = condition->n_relabellings * condition->n_seeds;
  mb_compare_data made = {.n_strategies = 0};

  for (size_t place = 0; place < n_runs; place++) {
    mb_status status = read_cell(file, condition, place, &made);
    if (status != MB_OK) {
      mb_compare_data_fini(&made);
      return status;
    }
  }
  *data = made;
  return MB_OK;
}

void mb_compare_data_fini(mb_compare_data *data) {
  for (size_t i = 0; data->label != NULL && i < data->n_strategies; i++) {
    free(data->label[i]);
  }
  free(data->label);
  free(data->value);
  free(data->moved_experts);
  free(data->load);
  free(data->step);
  *data = (mb_compare_data){.n_strategies = 0};
}
