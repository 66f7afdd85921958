/* experiments/bench_result.c */
#include "experiments/bench_result.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_COLUMNS = 7 };

mb_bench_row *mb_bench_result_add(mb_bench_result *result, const mb_bench_problem *problem,
                                  const char *strategy, const char *implementation, size_t n) {
  mb_bench_row *rows = realloc(result->rows, (result->n_rows + 1) * sizeof *rows);
  double *columns = calloc(N_COLUMNS * n, sizeof *columns);

  result->rows = rows != NULL ? rows : result->rows;
  if (rows == NULL || columns == NULL) {
    free(columns);
    (void)MB_FAIL(MB_ERR_MEMORY, "no memory for the times of %s", problem->name);
    return NULL;
  }
  mb_bench_row *row = &rows[result->n_rows++];
  *row = (mb_bench_row){.problem = problem,
                        .strategy = strategy,
                        .implementation = implementation,
                        .n = n,
                        .seconds = columns,
                        .round_seconds = columns + n,
                        .further_seconds = columns + 2 * n,
                        .rounds = columns + 3 * n,
                        .swaps = columns + 4 * n,
                        .imbalance = columns + 5 * n,
                        .mean_square = columns + 6 * n};
  return row;
}

mb_status mb_bench_result_note(mb_bench_result *result, const char *format, ...) {
  char text[sizeof result->notes[0]];
  va_list arguments;

  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  for (size_t i = 0; i < result->n_notes; i++) {
    if (strcmp(result->notes[i], text) == 0) {
      return MB_OK;
    }
  }
  char(*notes)[512] = realloc(result->notes, (result->n_notes + 1) * sizeof *notes);
  if (notes == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a note");
  }
  result->notes = notes;
  memcpy(notes[result->n_notes++], text, sizeof text);
  return MB_OK;
}

static const mb_bench_row *find_row(const mb_bench_result *result, size_t first,
                                    const char *implementation) {
  for (size_t i = first; i < result->n_rows; i++) {
    if (strcmp(result->rows[i].implementation, implementation) == 0) {
      return &result->rows[i];
    }
  }
  return NULL;
}

static double ratio_to(const mb_bench_row *other, const mb_bench_row *row, double *scratch) {
  return other != NULL ? mb_ratio_median(row->n, other->seconds, row->seconds, scratch) : NAN;
}

mb_status mb_bench_result_summarize(mb_bench_result *result, size_t first) {
  size_t most = 1;

  for (size_t i = first; i < result->n_rows; i++) {
    most = result->rows[i].n > most ? result->rows[i].n : most;
  }
  double *scratch = calloc(most, sizeof *scratch);
  if (scratch == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to sort %zu times", most);
  }
  const mb_bench_row *naive = find_row(result, first, "naive");
  const mb_bench_row *torch = find_row(result, first, "torch");
  for (size_t i = first; i < result->n_rows; i++) {
    mb_bench_row *row = &result->rows[i];
    row->seconds_spread = mb_spread_of(row->n, row->seconds, scratch);
    row->round_spread = mb_spread_of(row->n, row->round_seconds, scratch);
    row->further_spread = mb_spread_of(row->n, row->further_seconds, scratch);
    row->rounds_median = mb_spread_of(row->n, row->rounds, scratch).median;
    row->swaps_median = mb_spread_of(row->n, row->swaps, scratch).median;
    row->imbalance_median = mb_spread_of(row->n, row->imbalance, scratch).median;
    row->mean_square_median = mb_spread_of(row->n, row->mean_square, scratch).median;
    row->ratio_to_naive = ratio_to(naive, row, scratch);
    row->ratio_to_torch = ratio_to(torch, row, scratch);
  }
  free(scratch);
  return MB_OK;
}

/* --- fits --- */

static bool same_series(const mb_bench_row *a, const mb_bench_row *b) {
  return strcmp(a->problem->family, b->problem->family) == 0 &&
         strcmp(a->strategy, b->strategy) == 0 && strcmp(a->implementation, b->implementation) == 0;
}

static bool is_first_of_series(const mb_bench_result *result, size_t index) {
  for (size_t i = 0; i < index; i++) {
    if (same_series(&result->rows[i], &result->rows[index])) {
      return false;
    }
  }
  return mb_bench_problem_scales(result->rows[index].problem);
}

/* A slope, or NaN where a time has no logarithm. */
static mb_status fit(size_t n, const double *x, const double *y, mb_power_fit *slope) {
  *slope = (mb_power_fit){NAN, NAN};
  mb_status status = mb_power_fit_of(n, x, y, slope);
  return status == MB_ERR_RANGE ? MB_OK : status;
}

/* @param x, y [n_rows] scratch; y has room for three such. */
static mb_status fit_series(mb_bench_result *result, size_t first, double *x, double *y) {
  const mb_bench_row *row = &result->rows[first];
  double *rounds = y + result->n_rows;
  double *further = rounds + result->n_rows;
  mb_bench_fit made = {.family = row->problem->family,
                       .strategy = row->strategy,
                       .implementation = row->implementation};

  for (size_t i = first; i < result->n_rows; i++) {
    const mb_bench_row *point = &result->rows[i];
    if (same_series(point, row)) {
      x[made.n_points] = (double)point->problem->shape.n_slots;
      y[made.n_points] = point->seconds_spread.median;
      rounds[made.n_points] = point->round_spread.median;
      further[made.n_points] = point->further_spread.median;
      made.n_points++;
    }
  }
  if (made.n_points < 3) {
    return MB_OK;
  }
  MB_TRY(fit(made.n_points, x, y, &made.seconds));
  MB_TRY(fit(made.n_points, x, rounds, &made.round_seconds));
  MB_TRY(fit(made.n_points, x, further, &made.further_seconds));
  mb_bench_fit *fits = realloc(result->fits, (result->n_fits + 1) * sizeof *fits);
  if (fits == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a fit");
  }
  result->fits = fits;
  fits[result->n_fits++] = made;
  return MB_OK;
}

mb_status mb_bench_result_fit(mb_bench_result *result) {
  double *scratch = calloc(4 * result->n_rows + 1, sizeof *scratch);
  mb_status status = MB_OK;

  if (scratch == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to fit %zu rows", result->n_rows);
  }
  for (size_t i = 0; i < result->n_rows && status == MB_OK; i++) {
    if (is_first_of_series(result, i)) {
      status = fit_series(result, i, scratch, scratch + result->n_rows);
    }
  }
  free(scratch);
  return status;
}

void mb_bench_result_fini(mb_bench_result *result) {
  for (size_t i = 0; i < result->n_rows; i++) {
    free(result->rows[i].seconds);
  }
  free(result->rows);
  free(result->notes);
  free(result->fits);
}
