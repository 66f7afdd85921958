/* experiments/compare.c */
#include "experiments/compare.h"

#include <assert.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/compare_conditions.h"
#include "experiments/compare_data.h"
#include "experiments/stat_bootstrap.h"
#include "experiments/stat_holm.h"
#include "experiments/stat_sign_flip.h"
#include "experiments/stat_student.h"
#include "workloads/stream.h"

/* From this many seeds on there are enough to resample. */
enum { RESAMPLED_SEEDS = 20 };

/* A strategy and the baseline of a condition, by their numbers. */
typedef struct pairing {
  const mb_compare_data *data;
  size_t strategy, baseline;
} pairing;

void mb_compare_options_init(mb_compare_options *options) {
  *options = (mb_compare_options){.confidence = 0.95, .margin = 0.003, .n_resamples = 9999};
}

const char *mb_compare_verdict_name(mb_compare_verdict verdict) {
  static const char *const names[] = {"better", "worse", "tie", "unclear", "too few"};

  return names[verdict];
}

static mb_status no_memory(const mb_compare_row *row) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %s with %s", row->strategy, row->baseline);
}

/* --- what is known of the values, whatever the unit --- */

static const double *values_of(const mb_compare_data *data, size_t strategy) {
  return data->value + strategy * data->n_relabellings * data->n_seeds;
}

static double mean_of(const mb_compare_data *data, size_t strategy) {
  return gsl_stats_mean(values_of(data, strategy), 1, data->n_relabellings * data->n_seeds);
}

static mb_status fill_seeds(const pairing *pair, const mb_compare_condition *condition,
                            mb_compare_row *row) {
  const mb_compare_data *data = pair->data;
  size_t n_seeds = data->n_seeds;

  row->n_seeds = n_seeds;
  for (size_t s = 0; s < n_seeds; s++) {
    mb_compare_seed *seed = &row->seed[s];
    const char *trace = condition->trace[s];
    seed->seed = condition->seed[s];
    seed->trace = trace != NULL ? strdup(trace) : NULL;
    if (trace != NULL && seed->trace == NULL) {
      return no_memory(row);
    }
    seed->value =
        gsl_stats_mean(values_of(data, pair->strategy) + s, n_seeds, data->n_relabellings);
    seed->baseline_value =
        gsl_stats_mean(values_of(data, pair->baseline) + s, n_seeds, data->n_relabellings);
    row->n_wins += seed->value < seed->baseline_value;
    row->n_losses += seed->value > seed->baseline_value;
  }
  return MB_OK;
}

/* From the least to the largest difference that a seed's relabellings give. */
static double difference_range(const pairing *pair, size_t seed) {
  const mb_compare_data *data = pair->data;
  double low = INFINITY;
  double high = -INFINITY;

  for (size_t r = 0; r < data->n_relabellings; r++) {
    size_t at = r * data->n_seeds + seed;
    double difference = values_of(data, pair->strategy)[at] - values_of(data, pair->baseline)[at];
    low = fmin(low, difference);
    high = fmax(high, difference);
  }
  return high - low;
}

/* How far relabellings alone move the strategy's value, and its difference. */
static void fill_relabellings(const pairing *pair, mb_compare_row *row) {
  const mb_compare_data *data = pair->data;
  size_t n_seeds = data->n_seeds;
  size_t n = data->n_relabellings;
  double variance = 0;
  double range = 0;
  double of_difference = 0;

  row->n_relabellings = n;
  for (size_t s = 0; n > 1 && s < n_seeds; s++) {
    const double *value = values_of(data, pair->strategy) + s;
    double low = 0;
    double high = 0;
    gsl_stats_minmax(&low, &high, value, n_seeds, n);
    variance += gsl_stats_variance(value, n_seeds, n) / (double)n_seeds;
    range += (high - low) / (double)n_seeds;
    of_difference += difference_range(pair, s) / (double)n_seeds;
  }
  row->relabel_sd = n > 1 ? sqrt(variance) : NAN;
  row->relabel_range = n > 1 ? range : NAN;
  row->relabel_difference_range = n > 1 ? of_difference : NAN;
}

static mb_status fill_values(const pairing *pair, const mb_compare_condition *condition,
                             mb_compare_row *row) {
  const mb_compare_data *data = pair->data;

  row->condition = strdup(condition->text);
  row->strategy = strdup(data->label[pair->strategy]);
  row->baseline = strdup(data->label[pair->baseline]);
  row->seed = calloc(data->n_seeds, sizeof *row->seed);
  if (row->condition == NULL || row->strategy == NULL || row->baseline == NULL ||
      row->seed == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu seeds", data->n_seeds);
  }
  row->value = mean_of(data, pair->strategy);
  row->baseline_value = mean_of(data, pair->baseline);
  row->difference = row->value - row->baseline_value;
  row->moved_experts = data->moved_experts[pair->strategy];
  row->baseline_moved_experts = data->moved_experts[pair->baseline];
  row->error = row->error_by_step = row->low = row->high = row->p = row->p_holm = NAN;
  row->method = row->block_from = "";
  row->lifetime_known = true;
  row->verdict = MB_COMPARE_TOO_FEW;
  fill_relabellings(pair, row);
  return fill_seeds(pair, condition, row);
}

/* --- interval and test --- */

static mb_compare_verdict judge(const mb_compare_row *row, double margin) {
  double reach = margin * row->baseline_value;

  if (row->low >= -reach && row->high <= reach) {
    return MB_COMPARE_TIE;
  }
  return row->high < 0 ? MB_COMPARE_BETTER : row->low > 0 ? MB_COMPARE_WORSE : MB_COMPARE_UNCLEAR;
}

static mb_status draw(const mb_stat_units *units, const mb_compare_options *options, bool resample,
                      gsl_rng *rng, mb_compare_row *row) {
  mb_stat_interval interval = {NAN, NAN, ""};

  if (resample) {
    MB_TRY(mb_stat_bootstrap(units, options->confidence, options->n_resamples, rng, &interval));
  } else {
    interval = mb_stat_student(units, options->confidence);
  }
  MB_TRY(mb_stat_sign_flip(units, options->n_resamples, rng, &row->p));
  row->error = mb_stat_units_estimate(units).error;
  row->low = interval.low;
  row->high = interval.high;
  row->method = interval.method;
  row->verdict = judge(row, options->margin);
  return MB_OK;
}

/* `number` of the row gives each its own draws. */
static mb_status infer(const mb_stat_units *units, const mb_compare_options *options, bool resample,
                       size_t number, mb_compare_row *row) {
  gsl_rng *rng = mb_stream_create(options->seed, "compare", number);

  if (rng == NULL) {
    return no_memory(row);
  }
  mb_status status = draw(units, options, resample, rng, row);
  gsl_rng_free(rng);
  return status;
}

/* --- seeds as units --- */

static mb_status compare_seeds(const pairing *pair, const mb_compare_options *options,
                               size_t number, mb_compare_row *row) {
  const mb_compare_data *data = pair->data;
  size_t n_values = data->n_relabellings * data->n_seeds;
  double *difference = calloc(n_values + data->n_seeds, sizeof *difference);

  if (difference == NULL) {
    return no_memory(row);
  }
  double *weight = difference + n_values;
  for (size_t i = 0; i < n_values; i++) {
    difference[i] = values_of(data, pair->strategy)[i] - values_of(data, pair->baseline)[i];
  }
  for (size_t s = 0; s < data->n_seeds; s++) {
    weight[s] = 1;
  }
  mb_stat_units units = {data->n_relabellings, data->n_seeds, difference, weight};
  row->unit = row->seed[0].trace != NULL ? "traces" : "seeds";
  row->n_units = data->n_seeds;
  mb_status status = infer(&units, options, data->n_seeds >= RESAMPLED_SEEDS, number, row);
  free(difference);
  return status;
}

/* --- blocks of steps as units --- */

/* The differences of the steps, and room for those of the blocks. */
typedef struct series {
  const mb_compare_data *data;
  size_t first, n_steps; /* scored */
  double *difference;    /* [R,n_steps] 0 where there is no load */
  double *load;          /* [n_steps] 0 likewise */
  double *mean;          /* [n_steps] of the relabellings */
  double *residual;      /* [n_steps] load x (mean - mean of all), for the block length */
} series;

static void series_fini(series *x) {
  free(x->difference);
  free(x->load);
  free(x->mean);
  free(x->residual);
}

static const double *steps_of(const series *x, size_t strategy, size_t relabelling) {
  const mb_compare_data *data = x->data;

  return data->step + (strategy * data->n_relabellings + relabelling) * data->steps.n_steps +
         x->first;
}

/* A step counts where every run has a value of it. */
static void fill_loads(const pairing *pair, series *x) {
  for (size_t t = 0; t < x->n_steps; t++) {
    x->load[t] = x->data->load[x->first + t];
    for (size_t r = 0; r < x->data->n_relabellings; r++) {
      if (isnan(steps_of(x, pair->strategy, r)[t]) || isnan(steps_of(x, pair->baseline, r)[t])) {
        x->load[t] = 0;
      }
    }
  }
}

static void fill_differences(const pairing *pair, series *x) {
  size_t n_relabellings = x->data->n_relabellings;
  double sum = 0;
  double load = 0;

  for (size_t t = 0; t < x->n_steps; t++) {
    for (size_t r = 0; x->load[t] > 0 && r < n_relabellings; r++) {
      double difference = steps_of(x, pair->strategy, r)[t] - steps_of(x, pair->baseline, r)[t];
      x->difference[r * x->n_steps + t] = difference;
      x->mean[t] += difference / (double)n_relabellings;
    }
    sum += x->load[t] * x->mean[t];
    load += x->load[t];
  }
  for (size_t t = 0; t < x->n_steps; t++) {
    x->residual[t] = x->load[t] * (x->mean[t] - sum / load);
  }
}

static mb_status series_init(const pairing *pair, series *x) {
  const mb_compare_data *data = pair->data;
  size_t n_steps = data->steps.n_steps - data->steps.first;

  *x = (series){.data = data,
                .first = data->steps.first,
                .n_steps = n_steps,
                .difference = calloc(data->n_relabellings * n_steps, sizeof(double)),
                .load = calloc(n_steps, sizeof(double)),
                .mean = calloc(n_steps, sizeof(double)),
                .residual = calloc(n_steps, sizeof(double))};
  if (x->difference == NULL || x->load == NULL || x->mean == NULL || x->residual == NULL) {
    series_fini(x);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu steps", n_steps);
  }
  fill_loads(pair, x);
  fill_differences(pair, x);
  return MB_OK;
}

/* The standard error that the steps would give if they were independent. */
static double error_by_step(const series *x, double *mean, double *load) {
  size_t n = 0;

  for (size_t t = 0; t < x->n_steps; t++) {
    if (x->load[t] > 0) {
      mean[n] = x->mean[t];
      load[n++] = x->load[t];
    }
  }
  mb_stat_units steps = {1, n, mean, load};
  return n > 0 ? mb_stat_units_estimate(&steps).error : NAN;
}

/* Means of the blocks that have load, in the place of the steps. @return how many. */
static size_t average_blocks(const series *x, const mb_stat_blocks *blocks, double *difference,
                             double *weight) {
  size_t n = 0;

  for (size_t b = 0; b < blocks->n_blocks; b++) {
    double load = 0;
    for (size_t t = blocks->edge[b]; t < blocks->edge[b + 1]; t++) {
      load += x->load[t - x->first];
    }
    weight[n] = load;
    n += load > 0;
  }
  for (size_t r = 0; r < x->data->n_relabellings; r++) {
    size_t i = 0;
    for (size_t b = 0; b < blocks->n_blocks; b++) {
      double sum = 0;
      double load = 0;
      for (size_t t = blocks->edge[b] - x->first; t < blocks->edge[b + 1] - x->first; t++) {
        sum += x->load[t] * x->difference[r * x->n_steps + t];
        load += x->load[t];
      }
      if (load > 0) {
        difference[r * n + i++] = sum / load;
      }
    }
  }
  return n;
}

static mb_status compare_series(const series *x, const mb_compare_options *options, size_t number,
                                double *difference, double *weight, mb_compare_row *row) {
  mb_stat_steps steps = x->data->steps;
  mb_stat_blocks blocks;

  steps.lifetime = options->lifetime > 0 ? (size_t)options->lifetime : steps.lifetime;
  MB_TRY(mb_stat_blocks_cut(&steps, x->residual, &blocks));
  row->error_by_step = error_by_step(x, difference, weight);
  row->n_units = average_blocks(x, &blocks, difference, weight);
  mb_stat_blocks_fini(&blocks);
  row->unit = "blocks";
  row->block_length = blocks.length;
  row->block_from = blocks.from;
  row->lifetime_known = steps.lifetime > 0;
  if (row->n_units < MB_STAT_BLOCKS_MIN) {
    return MB_OK;
  }
  mb_stat_units units = {x->data->n_relabellings, row->n_units, difference, weight};
  return infer(&units, options, true, number, row);
}

static mb_status compare_blocks(const pairing *pair, const mb_compare_options *options,
                                size_t number, mb_compare_row *row) {
  series x;

  MB_TRY(series_init(pair, &x));
  double *difference = calloc(pair->data->n_relabellings * (x.n_steps + 1), sizeof *difference);
  double *weight = calloc(x.n_steps + 1, sizeof *weight);
  mb_status status = difference != NULL && weight != NULL
                         ? compare_series(&x, options, number, difference, weight, row)
                         : no_memory(row);
  free(difference);
  free(weight);
  series_fini(&x);
  return status;
}

/* --- all strategies, all conditions --- */

/* The label's number; n_strategies where there is none. */
static size_t find_label(const mb_compare_data *data, const char *label) {
  size_t i = 0;

  while (i < data->n_strategies && strcmp(data->label[i], label) != 0) {
    i++;
  }
  return i;
}

static mb_status no_baseline(const mb_compare_data *data, const mb_compare_condition *condition,
                             const char *label) {
  char list[512] = "";
  size_t used = 0;

  for (size_t i = 0; i < data->n_strategies && used < sizeof list; i++) {
    int n = snprintf(list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", data->label[i]);
    used += n > 0 ? (size_t)n : 0;
  }
  return MB_FAIL(MB_ERR_PARAM, "%s%sthere is no strategy '%s' to compare with; there is %s",
                 condition->text, condition->text[0] != '\0' ? ": " : "", label, list);
}

static mb_status find_baseline(const mb_compare_data *data, const mb_compare_condition *condition,
                               const char *wanted, size_t *baseline) {
  size_t found = find_label(data, wanted != NULL ? wanted : "lpt");

  if (found == data->n_strategies && wanted != NULL) {
    return no_baseline(data, condition, wanted);
  }
  *baseline = found < data->n_strategies ? found : 0;
  return MB_OK;
}

static mb_status compare_strategy(const pairing *pair, const mb_compare_condition *condition,
                                  const mb_compare_options *options, mb_comparison *made) {
  size_t number = made->n_rows++;
  mb_compare_row *row = &made->row[number];

  MB_TRY(fill_values(pair, condition, row));
  return pair->data->n_seeds > 1 ? compare_seeds(pair, options, number, row)
                                 : compare_blocks(pair, options, number, row);
}

static mb_status compare_strategies(const mb_compare_data *data,
                                    const mb_compare_condition *condition,
                                    const mb_compare_options *options, mb_comparison *made) {
  pairing pair = {.data = data};

  MB_TRY(find_baseline(data, condition, options->baseline, &pair.baseline));
  mb_compare_row *more =
      realloc(made->row, (made->n_rows + data->n_strategies + 1) * sizeof *made->row);
  if (more == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare %zu strategies", data->n_strategies);
  }
  made->row = more;
  memset(made->row + made->n_rows, 0, data->n_strategies * sizeof *made->row);
  for (; pair.strategy < data->n_strategies; pair.strategy++) {
    if (pair.strategy != pair.baseline) {
      MB_TRY(compare_strategy(&pair, condition, options, made));
    }
  }
  return MB_OK;
}

static mb_status compare_condition(const mb_results_file *file,
                                   const mb_compare_condition *condition,
                                   const mb_compare_options *options, mb_comparison *made) {
  mb_compare_data data;

  MB_TRY(mb_compare_data_read(file, condition, &data));
  mb_status status = compare_strategies(&data, condition, options, made);
  mb_compare_data_fini(&data);
  return status;
}

static mb_status adjust(mb_comparison *made) {
  double *p = calloc(made->n_rows + 1, sizeof *p);

  if (p == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to adjust %zu p values", made->n_rows);
  }
  for (size_t i = 0; i < made->n_rows; i++) {
    p[i] = made->row[i].p;
  }
  mb_status status = mb_stat_holm(made->n_rows, p, p);
  for (size_t i = 0; status == MB_OK && i < made->n_rows; i++) {
    made->row[i].p_holm = p[i];
  }
  free(p);
  return status;
}

mb_status mb_compare(const mb_results_file *file, const mb_compare_options *options,
                     mb_comparison *comparison) {
  mb_compare_conditions conditions;
  mb_comparison made = {.n_rows = 0};

  assert(options->confidence > 0 && options->confidence < 1 && options->n_resamples > 0);
  MB_TRY(mb_compare_conditions_find(file, options->traces, &conditions));
  made.n_failed = conditions.n_failed;
  made.n_spare = conditions.n_spare;
  mb_status status = MB_OK;
  for (size_t i = 0; status == MB_OK && i < conditions.n_conditions; i++) {
    status = compare_condition(file, &conditions.condition[i], options, &made);
  }
  mb_compare_conditions_fini(&conditions);
  status = status == MB_OK ? adjust(&made) : status;
  if (status != MB_OK) {
    mb_comparison_fini(&made);
    return status;
  }
  *comparison = made;
  return MB_OK;
}

void mb_comparison_fini(mb_comparison *comparison) {
  for (size_t i = 0; i < comparison->n_rows; i++) {
    mb_compare_row *row = &comparison->row[i];
    free(row->condition);
    free(row->strategy);
    free(row->baseline);
    for (size_t s = 0; row->seed != NULL && s < row->n_seeds; s++) {
      free(row->seed[s].trace);
    }
    free(row->seed);
  }
  free(comparison->row);
  *comparison = (mb_comparison){.n_rows = 0};
}
