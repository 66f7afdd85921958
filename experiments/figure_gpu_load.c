/* experiments/figure_gpu_load.c */
#include <gsl/gsl_sort_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

/* A layer of the plan that was made at a step: the same of all strategies, so that they can be
   compared. */
typedef struct choice {
  bool made;
  const char *label; /* of the strategy that it was chosen by */
  size_t layer;
  int64_t step;
} choice;

/* The loads of one layer's GPUs around one plan, as shares of their mean, the fullest GPU first. */
typedef struct panel {
  const char *label;
  size_t plan, layer;
  int64_t step;
  double *before, *after; /* [D] */
} panel;

/* A layer of a plan, and by how much of the mean load the plan lowers its fullest GPU's. */
typedef struct candidate {
  double gain;
  size_t plan, layer;
} candidate;

/* By gain; where it is the same, plan and layer decide, so that the median is the same anywhere. */
static int compare(const void *a, const void *b) {
  const candidate *x = a;
  const candidate *y = b;

  if (x->gain < y->gain || x->gain > y->gain) {
    return x->gain < y->gain ? -1 : 1;
  }
  if (x->plan != y->plan) {
    return x->plan < y->plan ? -1 : 1;
  }
  return (x->layer > y->layer) - (x->layer < y->layer);
}

/* All that count, `found` [K*L]; returns how many. */
static size_t find_candidates(const mb_results_run *run, size_t n_gpus,
                              const mb_results_plans *plans, candidate *found) {
  size_t n = 0;

  for (size_t k = 0; k < plans->n_plans; k++) {
    for (size_t l = 0; l < run->n_layers && mb_figure_plan_counts(run, plans->step[k]); l++) {
      size_t at = (k * run->n_layers + l) * n_gpus;
      double gain = mb_figure_imbalance(n_gpus, plans->next_before + at) -
                    mb_figure_imbalance(n_gpus, plans->next_after + at);
      if (!isnan(gain)) {
        found[n++] = (candidate){.gain = gain, .plan = k, .layer = l};
      }
    }
  }
  return n;
}

static void sort_shares(size_t n, const float *load, double *share) {
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += (double)load[i];
  }
  for (size_t i = 0; i < n; i++) {
    share[i] = -(double)load[i] * (double)n / sum;
  }
  gsl_sort(share, 1, n);
  for (size_t i = 0; i < n; i++) {
    share[i] = -share[i];
  }
}

/* The median layer of a plan of that strategy; choice->made stays false where there is none. */
static mb_status choose(const mb_results *results, size_t strategy, size_t n_gpus,
                        const mb_results_plans *plans, choice *chosen) {
  const mb_results_run *run = mb_results_get_run(results);
  candidate *found = calloc(plans->n_plans + 1, run->n_layers * sizeof *found);

  if (found == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu plans", plans->n_plans);
  }
  size_t n = find_candidates(run, n_gpus, plans, found);
  if (n > 0) {
    qsort(found, n, sizeof *found, compare);
    const candidate *median = &found[(n - 1) / 2];
    *chosen = (choice){.made = true,
                       .label = run->labels[strategy],
                       .layer = median->layer,
                       .step = plans->step[median->plan]};
  }
  free(found);
  return MB_OK;
}

/* The chosen layer of the plan that was made at the chosen step; panel->label stays NULL where
   there is none. `shown` has room. */
static void fill(const mb_results_run *run, size_t strategy, size_t n_gpus,
                 const mb_results_plans *plans, const choice *chosen, panel *shown) {
  for (size_t k = 0; chosen->made && k < plans->n_plans; k++) {
    if (plans->step[k] == chosen->step) {
      size_t at = (k * run->n_layers + chosen->layer) * n_gpus;
      shown->label = run->labels[strategy];
      shown->plan = k;
      shown->layer = chosen->layer;
      shown->step = chosen->step;
      sort_shares(n_gpus, plans->next_before + at, shown->before);
      sort_shares(n_gpus, plans->next_after + at, shown->after);
    }
  }
}

/* The first strategy that has plans chooses; all that planned at that step are shown. */
static mb_status show(const mb_results *results, size_t strategy, size_t n_gpus, choice *chosen,
                      panel *shown) {
  mb_results_plans plans;

  MB_TRY(mb_results_read_plans(results, strategy, &plans));
  mb_status status = chosen->made ? MB_OK : choose(results, strategy, n_gpus, &plans, chosen);
  if (status == MB_OK) {
    fill(mb_results_get_run(results), strategy, n_gpus, &plans, chosen, shown);
  }
  mb_results_plans_fini(&plans);
  return status;
}

static void put_table(const mb_results_run *run, size_t n, const panel *panels, size_t n_gpus,
                      mb_table *table) {
  static const char *const more[] = {"before", "plan", "step", "layer"};

  mb_table_put_text(table, "gpu");
  for (size_t i = 0; i < n; i++) {
    mb_table_put_text(table, panels[i].label);
    for (size_t m = 0; m < sizeof more / sizeof *more; m++) {
      mb_table_put_format(table, "%s:%s", panels[i].label, more[m]);
    }
  }
  mb_table_end_row(table);
  for (size_t d = 0; d < n_gpus; d++) {
    mb_table_put_count(table, d + 1);
    for (size_t i = 0; i < n; i++) {
      mb_table_put_number(table, panels[i].after[d]);
      mb_table_put_number(table, panels[i].before[d]);
      mb_table_put_count(table, panels[i].plan);
      mb_table_put_count(table, (size_t)panels[i].step);
      mb_table_put_format(table, "%d", (int)run->layer_ids[panels[i].layer]);
    }
    mb_table_end_row(table);
  }
}

static void put_caption(const mb_results *results, const choice *chosen, size_t n,
                        const panel *panels, FILE *caption) {
  const mb_results_run *run = mb_results_get_run(results);

  (void)fprintf(
      caption,
      "Load of a layer's GPUs around a plan, a panel a strategy: the loads of the %zu steps "
      "that follow the plan, under the placement before it and under the plan, each sorted "
      "by itself, as shares of their mean.\n"
      "One layer and one step for all strategies that planned there: of all layers of all plans "
      "of %s whose whole interval is in the scored steps, the one by which the fullest GPU's "
      "load falls by the median amount. n = 1 layer of 1 plan; no intervals.\n",
      run->interval, chosen->label);
  for (size_t i = 0; i < n; i++) {
    (void)fprintf(caption, "%s: plan %zu, made at step %lld, layer %d: %.3f becomes %.3f.\n",
                  panels[i].label, panels[i].plan, (long long)panels[i].step,
                  (int)run->layer_ids[panels[i].layer], panels[i].before[0], panels[i].after[0]);
  }
  mb_caption_put_run(caption, results);
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results_run *run = mb_results_get_run(source->run);
  choice chosen = {.made = false};
  mb_shape shape;
  size_t n = 0;

  MB_TRY(mb_results_read_shape(source->run, &shape));
  panel *panels = calloc(run->n_strategies, sizeof *panels);
  double *loads = calloc(run->n_strategies, 2 * shape.n_gpus * sizeof *loads);
  mb_status status = panels != NULL && loads != NULL
                         ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu GPUs", shape.n_gpus);
  for (size_t i = 0; status == MB_OK && i < run->n_strategies; i++) {
    panels[n].before = loads + 2 * n * shape.n_gpus;
    panels[n].after = panels[n].before + shape.n_gpus;
    status = show(source->run, i, shape.n_gpus, &chosen, &panels[n]);
    n += status == MB_OK && panels[n].label != NULL ? 1 : 0;
  }
  if (status == MB_OK && n == 0) {
    status = MB_FAIL(MB_ERR_UNSUPPORTED,
                     "run %s has no plan whose interval lies in the scored steps", run->name);
  }
  if (status == MB_OK) {
    put_table(run, n, panels, shape.n_gpus, table);
    put_caption(source->run, &chosen, n, panels, caption);
  }
  free(loads);
  free(panels);
  return status;
}

const mb_figure mb_figure_gpu_load = {
    .name = "gpu_load",
    .summary = "load of a layer's GPUs before and after a plan, the median one by gain",
    .tabulate = tabulate,
};
