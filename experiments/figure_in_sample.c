/* experiments/figure_in_sample.c */
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"

/* What a plan's imbalance is measured on. */
enum { PLANNED, AHEAD, STEPS, N_MEASURES };

static const char *const measure_names[N_MEASURES] = {"planned", "ahead", "steps"};

/* The means of those that are not NaN. */
typedef struct mean {
  double sum;
  size_t n;
} mean;

static void mean_add(mean *m, double value) {
  m->sum += isnan(value) ? 0.0 : value;
  m->n += isnan(value) ? 0 : 1;
}

static double mean_get(const mean *m) {
  return m->n > 0 ? m->sum / (double)m->n : NAN;
}

/* Over layers: of the loads that plan k was made from, and of those of the interval after it. */
static void measure_sums(const mb_results_run *run, size_t n_gpus, const mb_results_plans *plans,
                         size_t k, double value[N_MEASURES]) {
  mean planned = {.n = 0};
  mean ahead = {.n = 0};

  for (size_t l = 0; l < run->n_layers; l++) {
    size_t at = k * run->n_layers + l;
    mean_add(&planned, (double)plans->planned_imbalance[at]);
    mean_add(&ahead, mb_figure_imbalance(n_gpus, plans->next_after + at * n_gpus));
  }
  value[PLANNED] = mean_get(&planned);
  value[AHEAD] = mean_get(&ahead);
}

/* Over layers and the steps of the interval, one by one. `buffer` holds an interval's. */
static mb_status measure_steps(const mb_results *results, size_t strategy, int64_t step,
                               float *buffer, double *value) {
  const mb_results_run *run = mb_results_get_run(results);
  mean all = {.n = 0};

  MB_TRY(mb_results_read_imbalance(results, strategy, (size_t)step + run->delay, run->interval,
                                   buffer));
  for (size_t i = 0; i < run->interval * run->n_layers; i++) {
    mean_add(&all, (double)buffer[i]);
  }
  *value = mean_get(&all);
  return MB_OK;
}

/* values [N_MEASURES,K], of which the first *n of each row are written. */
static mb_status measure_plans(const mb_results *results, size_t strategy, size_t n_gpus,
                               const mb_results_plans *plans, double *values, size_t *n) {
  const mb_results_run *run = mb_results_get_run(results);
  float *buffer = calloc(run->interval + 1, run->n_layers * sizeof *buffer);
  mb_status status = buffer != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for an interval");

  *n = 0;
  for (size_t k = 0; status == MB_OK && k < plans->n_plans; k++) {
    double value[N_MEASURES] = {NAN, NAN, NAN};
    if (mb_figure_plan_counts(run, plans->step[k])) {
      measure_sums(run, n_gpus, plans, k, value);
      status = measure_steps(results, strategy, plans->step[k], buffer, &value[STEPS]);
      for (size_t m = 0; m < N_MEASURES; m++) {
        values[m * plans->n_plans + *n] = value[m];
      }
      (*n)++;
    }
  }
  free(buffer);
  return status;
}

static void put_header(mb_table *table) {
  static const char *const columns[] = {"p5", "p25", "p50", "p75", "p95", "mean"};

  mb_table_put_text(table, "strategy");
  mb_table_put_text(table, "plans");
  for (size_t m = 0; m < N_MEASURES; m++) {
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
      mb_table_put_format(table, "%s:%s", measure_names[m], columns[c]);
    }
  }
  mb_table_end_row(table);
}

/* Sorts the values. */
static void put_distribution(mb_table *table, size_t n, double *values) {
  static const double fractions[] = {0.05, 0.25, 0.5, 0.75, 0.95};
  size_t kept = mb_figure_sort(n, values);

  for (size_t q = 0; q < sizeof fractions / sizeof *fractions; q++) {
    mb_table_put_number(
        table, kept > 0 ? gsl_stats_quantile_from_sorted_data(values, 1, kept, fractions[q]) : NAN);
  }
  mb_table_put_number(table, kept > 0 ? gsl_stats_mean(values, 1, kept) : NAN);
}

/* A strategy's row; none where it has no plans that count. */
static mb_status put_strategy(const mb_results *results, size_t strategy, size_t n_gpus,
                              mb_table *table, size_t *n) {
  mb_results_plans plans;

  MB_TRY(mb_results_read_plans(results, strategy, &plans));
  double *values = calloc(plans.n_plans + 1, N_MEASURES * sizeof *values);
  mb_status status = values != NULL
                         ? measure_plans(results, strategy, n_gpus, &plans, values, n)
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu plans", plans.n_plans);
  if (status == MB_OK && *n > 0) {
    mb_table_put_text(table, mb_results_get_run(results)->labels[strategy]);
    mb_table_put_count(table, *n);
    for (size_t m = 0; m < N_MEASURES; m++) {
      put_distribution(table, *n, values + m * plans.n_plans);
    }
    mb_table_end_row(table);
  }
  free(values);
  mb_results_plans_fini(&plans);
  return status;
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results_run *run = mb_results_get_run(source->run);
  mb_shape shape;
  size_t n_most = 0;

  MB_TRY(mb_results_read_shape(source->run, &shape));
  put_header(table);
  for (size_t i = 0; i < run->n_strategies; i++) {
    size_t n = 0;
    MB_TRY(put_strategy(source->run, i, shape.n_gpus, table, &n));
    n_most = n > n_most ? n : n_most;
  }
  if (n_most == 0) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "run %s has no plan whose interval lies in the scored steps",
                   run->name);
  }
  (void)fprintf(
      caption,
      "In sample against out of sample: a plan's imbalance (the largest GPU load / the mean "
      "one, the mean over layers; 1 is perfect balance) on the summed loads that it was "
      "made from (in sample), on the summed loads of the interval that follows, and step by "
      "step in that interval (both out of sample; but hindsight is planned on that interval).\n"
      "Boxes: the middle half of the plans, with the median; whiskers: their 5th to 95th "
      "percentile; crosses: means. They are spreads over plans, no intervals of a mean; "
      "n = %zu plans of one run, those whose whole interval is in the scored steps.\n",
      n_most);
  mb_caption_put_run(caption, source->run);
  return MB_OK;
}

const mb_figure mb_figure_in_sample = {
    .name = "in_sample",
    .summary = "imbalance of plans on the loads they were made from, and on those that follow",
    .tabulate = tabulate,
};
