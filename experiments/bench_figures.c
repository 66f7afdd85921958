/* experiments/bench_figures.c */
#include "experiments/bench_figures.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "experiments/figure_folder.h"
#include "experiments/table.h"

enum { SERIES_MAX = 64 };

/* Rows that are one line of a figure: the first row of each names them. */
typedef struct series {
  size_t n;
  const mb_bench_row *of[SERIES_MAX];
} series;

static const mb_bench_row no_row = {.seconds_spread = {NAN, NAN, NAN, NAN, NAN},
                                    .round_spread = {NAN, NAN, NAN, NAN, NAN},
                                    .imbalance_median = NAN};

static bool same(const char *a, const char *b) {
  return strcmp(a, b) == 0;
}

/* --- the scaling --- */

/* The strategy that is drawn, or NULL. */
static const char *scaling_strategy(const mb_bench_result *result) {
  const char *strategy = NULL;

  for (size_t i = 0; i < result->n_rows; i++) {
    const mb_bench_row *row = &result->rows[i];
    if (mb_bench_problem_scales(row->problem) && !isnan(row->round_spread.median)) {
      strategy = row->strategy;
    }
  }
  return strategy;
}

static bool is_scaling_row(const mb_bench_row *row, const char *strategy) {
  return mb_bench_problem_scales(row->problem) && same(row->strategy, strategy) &&
         !isnan(row->round_spread.median);
}

static series scaling_series(const mb_bench_result *result, const char *strategy) {
  series found = {.n = 0};

  for (size_t i = 0; i < result->n_rows; i++) {
    const mb_bench_row *row = &result->rows[i];
    bool is_new = is_scaling_row(row, strategy) && found.n < SERIES_MAX;
    for (size_t s = 0; is_new && s < found.n; s++) {
      is_new = !same(found.of[s]->problem->family, row->problem->family) ||
               !same(found.of[s]->implementation, row->implementation);
    }
    if (is_new) {
      found.of[found.n++] = row;
    }
  }
  return found;
}

static const mb_bench_row *scaling_point(const mb_bench_result *result, const mb_bench_row *of,
                                         size_t n) {
  for (size_t i = 0; i < result->n_rows; i++) {
    const mb_bench_row *row = &result->rows[i];
    if (same(row->problem->family, of->problem->family) && row->problem->shape.n_slots == n &&
        same(row->strategy, of->strategy) && same(row->implementation, of->implementation)) {
      return row;
    }
  }
  return &no_row;
}

static void put_spread(mb_table *table, const mb_spread *spread) {
  mb_table_put_number(table, spread->median);
  mb_table_put_number(table, spread->p10);
  mb_table_put_number(table, spread->p90);
}

/* The next larger n of a drawn row; 0: there is none. */
static size_t next_size(const mb_bench_result *result, const char *strategy, size_t n) {
  size_t next = 0;

  for (size_t i = 0; i < result->n_rows; i++) {
    size_t size = result->rows[i].problem->shape.n_slots;
    if (is_scaling_row(&result->rows[i], strategy) && size > n && (next == 0 || size < next)) {
      next = size;
    }
  }
  return next;
}

static bool tabulate_scaling(const mb_bench_result *result, mb_table *table) {
  const char *strategy = scaling_strategy(result);

  if (strategy == NULL) {
    return false;
  }
  series found = scaling_series(result, strategy);
  mb_table_put_text(table, "n");
  for (size_t s = 0; s < found.n; s++) {
    const mb_bench_problem *problem = found.of[s]->problem;
    mb_table_put_format(table, "%s %s, %c = %s", strategy, found.of[s]->implementation,
                        problem->family[0], problem->family + 1);
    mb_table_put_text(table, "p10");
    mb_table_put_text(table, "p90");
  }
  mb_table_end_row(table);
  for (size_t n = next_size(result, strategy, 0); n > 0; n = next_size(result, strategy, n)) {
    mb_table_put_count(table, n);
    for (size_t s = 0; s < found.n; s++) {
      put_spread(table, &scaling_point(result, found.of[s], n)->round_spread);
    }
    mb_table_end_row(table);
  }
  return true;
}

/* --- the balance --- */

static bool is_model(const mb_bench_row *row) {
  return same(row->problem->family, "models");
}

static series balance_series(const mb_bench_result *result) {
  series found = {.n = 0};

  for (size_t i = 0; i < result->n_rows; i++) {
    const mb_bench_row *row = &result->rows[i];
    bool is_new = is_model(row) && found.n < SERIES_MAX;
    for (size_t s = 0; is_new && s < found.n; s++) {
      is_new = !same(found.of[s]->implementation, row->implementation);
    }
    if (is_new) {
      found.of[found.n++] = row;
    }
  }
  return found;
}

/* The rows of a problem and strategy follow each other; this is where the next ones begin. */
static size_t end_of_group(const mb_bench_result *result, size_t first) {
  size_t end = first;

  while (end < result->n_rows && result->rows[end].problem == result->rows[first].problem &&
         same(result->rows[end].strategy, result->rows[first].strategy)) {
    end++;
  }
  return end;
}

static void put_balance(const mb_bench_result *result, size_t first, size_t end,
                        const series *found, mb_table *table) {
  for (size_t s = 0; s < found->n; s++) {
    const mb_bench_row *point = &no_row;
    for (size_t i = first; i < end; i++) {
      point = same(result->rows[i].implementation, found->of[s]->implementation) ? &result->rows[i]
                                                                                 : point;
    }
    put_spread(table, &point->seconds_spread);
    mb_table_put_number(table, point->imbalance_median);
  }
  mb_table_end_row(table);
}

static bool tabulate_balance(const mb_bench_result *result, mb_table *table) {
  series found = balance_series(result);
  const mb_bench_problem *last = NULL;
  size_t n_problems = 0;

  if (found.n == 0) {
    return false;
  }
  mb_table_put_text(table, "index");
  mb_table_put_text(table, "problem");
  mb_table_put_text(table, "strategy");
  for (size_t s = 0; s < found.n; s++) {
    mb_table_put_text(table, found.of[s]->implementation);
    mb_table_put_text(table, "p10");
    mb_table_put_text(table, "p90");
    mb_table_put_text(table, "max/mean");
  }
  mb_table_end_row(table);
  for (size_t i = 0; i < result->n_rows; i = end_of_group(result, i)) {
    const mb_bench_row *row = &result->rows[i];
    if (is_model(row)) {
      n_problems += row->problem != last;
      last = row->problem;
      mb_table_put_count(table, n_problems);
      mb_table_put_text(table, row->problem->name);
      mb_table_put_text(table, row->strategy);
      put_balance(result, i, end_of_group(result, i), &found, table);
    }
  }
  return true;
}

/* --- writing them --- */

static const struct figure {
  const char *name;
  const char *needs;
  bool (*tabulate)(const mb_bench_result *result, mb_table *table); /* false: nothing to draw */
} figures[] = {
    {"bench_scaling", "problems of k8 or m16, and a strategy that swaps", tabulate_scaling},
    {"bench_balance", "problems of models", tabulate_balance}};

static mb_status draw(const char *scripts, const char *folder, const char *name) {
  MB_TRY(mb_figure_folder_draw(folder, scripts, name, "pdf"));
  return mb_figure_folder_draw(folder, scripts, name, "png");
}

static mb_status write_figure(const mb_bench_result *result, const struct figure *figure,
                              const char *scripts, const char *folder) {
  char path[PATH_MAX];
  mb_table *table = NULL;

  MB_TRY(mb_figure_folder_path(path, folder, figure->name, "tsv"));
  MB_TRY(mb_table_create(path, &table));
  if (!figure->tabulate(result, table)) {
    mb_table_discard(table);
    (void)printf("%s is not drawn: it needs %s\n", figure->name, figure->needs);
    return MB_OK;
  }
  MB_TRY(mb_table_finish(table));
  (void)printf("%s\n", path);
  return draw(scripts, folder, figure->name);
}

mb_status mb_bench_figures_write(const mb_bench_result *result, const char *scripts,
                                 const char *folder) {
  for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
    MB_TRY(write_figure(result, &figures[i], scripts, folder));
  }
  return MB_OK;
}
