/* experiments/figure_attribution.c */
#include <stdlib.h>

#include "experiments/figure.h"
#include "experiments/figure_caption.h"
#include "sim/attribution.h"

/* Bars stay wide enough to be seen. */
enum { BARS_MAX = 100 };

/* The strategies with intervals. */
typedef struct panels {
  size_t n;
  size_t *strategy;
  mb_results_attribution *read; /* [n] */
} panels;

static void panels_fini(panels *p) {
  for (size_t i = 0; i < p->n; i++) {
    mb_results_attribution_fini(&p->read[i]);
  }
  free(p->strategy);
  free(p->read);
}

static mb_status panels_read(const mb_results *results, panels *p) {
  const mb_results_run *run = mb_results_get_run(results);

  p->strategy = calloc(run->n_strategies, sizeof *p->strategy);
  p->read = calloc(run->n_strategies, sizeof *p->read);
  if (p->strategy == NULL || p->read == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu strategies", run->n_strategies);
  }
  for (size_t i = 0; i < run->n_strategies; i++) {
    if (mb_results_has_attribution(results, i)) {
      MB_TRY(mb_results_read_attribution(results, i, &p->read[p->n]));
      p->strategy[p->n++] = i;
    }
  }
  return p->n > 0 && p->read[0].n_intervals > 0
             ? MB_OK
             : MB_FAIL(MB_ERR_UNSUPPORTED, "run %s has no interval with load", run->name);
}

static void put_header(const mb_results_run *run, const panels *p, mb_table *table) {
  mb_table_put_text(table, "step");
  mb_table_put_text(table, "steps");
  for (size_t i = 0; i < p->n; i++) {
    const char *label = run->labels[p->strategy[i]];
    mb_table_put_text(table, label);
    for (size_t k = 0; k < MB_N_PARTS; k++) {
      mb_table_put_format(table, "%s:%s", label, mb_attribution_parts()[k].name);
    }
  }
  mb_table_end_row(table);
}

/* A row for `intervals` intervals of the run's schedule, from interval number `first` on. */
static void put_row(const mb_results_run *run, const panels *p, size_t first, size_t intervals,
                    mb_table *table) {
  size_t from = first * run->interval;
  size_t to = from + intervals * run->interval;

  to = to < run->n_steps ? to : run->n_steps;
  mb_table_put_count(table, from);
  mb_table_put_count(table, to - from);
  for (size_t i = 0; i < p->n; i++) {
    mb_attribution_mean mean;
    bool found = mb_results_attribution_mean(&p->read[i], from, to, &mean);
    mb_table_put_number(table, found ? mean.excess : 0.0);
    for (size_t k = 0; k < MB_N_PARTS; k++) {
      mb_table_put_number(table, found ? mean.parts[k] : 0.0);
    }
  }
  mb_table_end_row(table);
}

static void put_caption(const mb_results *results, const panels *p, size_t intervals,
                        FILE *caption) {
  const mb_results_run *run = mb_results_get_run(results);

  (void)fprintf(caption,
                "Where the imbalance comes from: the excess of each %zu steps (black line), sum "
                "over steps and layers of the largest GPU load / of the mean one - 1, stacked in "
                "parts that add up to it; negative parts hang below 0. A panel a strategy, "
                "of %zu intervals; no intervals of confidence.\n",
                intervals * run->interval, p->read[0].n_intervals);
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    (void)fprintf(caption, "%s%s: %s", k == 0 ? "" : "; ", mb_attribution_parts()[k].name,
                  mb_attribution_parts()[k].text);
  }
  (void)fputs(".\n", caption);
  mb_caption_put_run(caption, results);
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  const mb_results_run *run = mb_results_get_run(source->run);
  panels p = {.n = 0};
  mb_status status = panels_read(source->run, &p);

  if (status == MB_OK) {
    size_t n = (run->n_steps + run->interval - 1) / run->interval;
    size_t intervals = (n + BARS_MAX - 1) / BARS_MAX;
    put_header(run, &p, table);
    for (size_t first = 1; first < n; first += intervals) {
      put_row(run, &p, first, intervals, table);
    }
    put_caption(source->run, &p, intervals, caption);
  }
  panels_fini(&p);
  return status;
}

static mb_status check(const mb_results *results) {
  const mb_results_run *run = mb_results_get_run(results);

  for (size_t i = 0; i < run->n_strategies; i++) {
    if (mb_results_has_attribution(results, i)) {
      return MB_OK;
    }
  }
  return MB_FAIL(MB_ERR_PARAM,
                 "attribution: run %s has none; its config has to say attribution: true",
                 run->name);
}

const mb_figure mb_figure_attribution = {
    .name = "attribution",
    .summary = "where the imbalance of each interval comes from: stacked parts, a panel a strategy",
    .check = check,
    .tabulate = tabulate,
};
