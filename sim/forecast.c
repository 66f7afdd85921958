/* sim/forecast.c - the table of forecasts, and one at work. */
#include "sim/forecast.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this, a scaled forecast could come out above what the balancer takes. */
#define TOTAL_MAX 4503599627370496.0 /* 2^52 tokens */

#define MB_FORECAST(name) extern const mb_forecast_type mb_forecast_##name;
#include "sim/forecasts.def"
#undef MB_FORECAST

struct mb_forecast {
  const mb_forecast_type *type;
  mb_forecast_options options;
  size_t n_layers, n_experts;
  size_t n_absorbed; /* steps */
  double *past;      /* [L,E]; NULL unless the type absorbs */
  double *window;    /* [L,E] scratch, as is the next */
  double *expected;  /* [L,E] */

  /* The window's parts; NULL unless the type wants them. */
  mb_window sum;                    /* scratch */
  double *part;                     /* [B,L,E] */
  double *part_steps, *part_middle; /* [B] */
  const double **part_row;          /* [L,B] of [E]: the rows of `part` by layer */
  double *part_total;               /* [L,B] their sums */
};

const char *const mb_forecast_words[] = {
#define MB_FORECAST(name) #name,
#include "sim/forecasts.def"
#undef MB_FORECAST
    NULL};

const mb_forecast_type *const *mb_forecast_types(void) {
  static const mb_forecast_type *const types[] = {
#define MB_FORECAST(name) &mb_forecast_##name,
#include "sim/forecasts.def"
#undef MB_FORECAST
      NULL};

  return types;
}

static const mb_forecast_type *find(const char *name) {
  for (const mb_forecast_type *const *type = mb_forecast_types(); *type != NULL; type++) {
    if (strcmp((*type)->name, name) == 0) {
      return *type;
    }
  }
  return NULL;
}

static bool allocate_parts(mb_forecast *forecast) {
  size_t row = forecast->n_layers * forecast->n_experts;
  size_t n_parts = (size_t)forecast->options.forecast_parts;

  if (n_parts > SIZE_MAX / row) {
    return false;
  }
  forecast->sum.sum = calloc(row, sizeof *forecast->sum.sum);
  forecast->part = calloc(n_parts * row, sizeof *forecast->part);
  forecast->part_steps = calloc(n_parts, sizeof *forecast->part_steps);
  forecast->part_middle = calloc(n_parts, sizeof *forecast->part_middle);
  forecast->part_row = calloc(n_parts * forecast->n_layers, sizeof *forecast->part_row);
  forecast->part_total = calloc(n_parts * forecast->n_layers, sizeof *forecast->part_total);
  return forecast->sum.sum != NULL && forecast->part != NULL && forecast->part_steps != NULL &&
         forecast->part_middle != NULL && forecast->part_row != NULL &&
         forecast->part_total != NULL;
}

static bool allocate(mb_forecast *forecast) {
  size_t row = forecast->n_layers * forecast->n_experts;
  bool absorbs = forecast->type->absorb != NULL;

  forecast->past = absorbs ? calloc(row, sizeof *forecast->past) : NULL;
  forecast->window = calloc(row, sizeof *forecast->window);
  forecast->expected = calloc(row, sizeof *forecast->expected);
  return (forecast->past != NULL || !absorbs) && forecast->window != NULL &&
         forecast->expected != NULL && (!forecast->type->wants_parts || allocate_parts(forecast));
}

mb_status mb_forecast_create(const mb_shape *shape, const mb_forecast_options *options,
                             mb_forecast **forecast) {
  const mb_forecast_type *type = find(options->forecast);

  if (type == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "there is no forecast '%.64s'", options->forecast);
  }
  if (type->predict == NULL) {
    *forecast = NULL;
    return MB_OK;
  }
  mb_forecast *made = calloc(1, sizeof *made);
  if (made != NULL) {
    made->type = type;
    made->options = *options;
    made->n_layers = shape->n_layers;
    made->n_experts = shape->n_experts;
  }
  if (made == NULL || !allocate(made)) {
    mb_forecast_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to forecast %zu layers of %zu experts",
                   shape->n_layers, shape->n_experts);
  }
  *forecast = made;
  return MB_OK;
}

void mb_forecast_destroy(mb_forecast *forecast) {
  if (forecast == NULL) {
    return;
  }
  free(forecast->past);
  free(forecast->window);
  free(forecast->expected);
  free(forecast->sum.sum);
  free(forecast->part);
  free(forecast->part_steps);
  free(forecast->part_middle);
  free(forecast->part_row);
  free(forecast->part_total);
  free(forecast);
}

void mb_forecast_absorb(mb_forecast *forecast, const mb_history *history, size_t end) {
  size_t n_experts = forecast->n_experts;

  if (forecast->past == NULL) {
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < forecast->n_layers; l++) {
    for (size_t t = forecast->n_absorbed; t < end; t++) {
      forecast->type->absorb(&forecast->options, n_experts,
                             mb_history_step(history, t) + l * n_experts,
                             forecast->past + l * n_experts);
    }
  }
  forecast->n_absorbed = end;
}

static double sum_of(size_t n, const double *value) {
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += value[i];
  }
  return sum;
}

/* Fills in the window's parts. @return how many there are. */
static size_t cut_window(mb_forecast *forecast, const mb_history *history, size_t first,
                         size_t end) {
  size_t row = forecast->n_layers * forecast->n_experts;
  size_t wanted = (size_t)forecast->options.forecast_parts;
  size_t n_steps = end - first;
  size_t n_parts = wanted < n_steps ? wanted : n_steps;

  for (size_t b = 0; b < n_parts; b++) {
    size_t from = first + b * n_steps / n_parts;
    size_t to = first + (b + 1) * n_steps / n_parts;
    mb_window_set(&forecast->sum, history, from, to);
    mb_window_load(&forecast->sum, history, forecast->part + b * row);
    forecast->part_steps[b] = (double)(to - from);
    forecast->part_middle[b] = (double)(from + to - 1) / 2.0 - (double)end;
    for (size_t l = 0; l < forecast->n_layers; l++) {
      const double *load = forecast->part + b * row + l * forecast->n_experts;
      forecast->part_row[l * n_parts + b] = load;
      forecast->part_total[l * n_parts + b] = sum_of(forecast->n_experts, load);
    }
  }
  return n_parts;
}

/* Scales one layer's slices, the first of which is `load`, the next one a `row` after it, so that
   they add up to the forecast. */
static void scale_slices(size_t n_experts, size_t n_slices, size_t row, const double *window,
                         const double *expected, double scale, double *load) {
  for (size_t e = 0; e < n_experts; e++) {
    double wanted = expected[e] * scale;
    for (size_t s = 0; s < n_slices; s++) {
      double *slice = &load[s * row + e];
      *slice = window[e] > 0.0 ? wanted * (*slice / window[e]) : wanted / (double)n_slices;
    }
  }
}

static void forecast_layer(mb_forecast *forecast, size_t l, size_t n_parts, double ahead,
                           size_t n_slices, double *load) {
  size_t n_experts = forecast->n_experts;
  size_t row = forecast->n_layers * n_experts;
  double *window = forecast->window + l * n_experts;
  double *expected = forecast->expected + l * n_experts;

  for (size_t e = 0; e < n_experts; e++) {
    window[e] = 0.0;
    for (size_t s = 0; s < n_slices; s++) {
      window[e] += load[s * row + l * n_experts + e];
    }
  }
  const mb_forecast_layer layer = {
      .options = &forecast->options,
      .n_experts = n_experts,
      .window = window,
      .past = forecast->past != NULL ? forecast->past + l * n_experts : NULL,
      .n_parts = n_parts,
      .part = n_parts > 0 ? forecast->part_row + l * n_parts : NULL,
      .part_total = n_parts > 0 ? forecast->part_total + l * n_parts : NULL,
      .part_steps = forecast->part_steps,
      .part_middle = forecast->part_middle,
      .ahead = ahead};
  double total = sum_of(n_experts, window);
  if (total == 0.0 || total > TOTAL_MAX) {
    return;
  }
  forecast->type->predict(&layer, expected);
  double forecast_total = sum_of(n_experts, expected);
  if (forecast_total > 0.0) {
    scale_slices(n_experts, n_slices, row, window, expected, total / forecast_total,
                 load + l * n_experts);
  }
}

void mb_forecast_apply(mb_forecast *forecast, const mb_history *history, size_t first, size_t end,
                       double ahead, size_t n_slices, double *load) {
  size_t n_parts = forecast->part != NULL ? cut_window(forecast, history, first, end) : 0;

  assert(forecast->past == NULL || forecast->n_absorbed == end);
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < forecast->n_layers; l++) {
    forecast_layer(forecast, l, n_parts, ahead, n_slices, load);
  }
}
