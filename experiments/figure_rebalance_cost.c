/* experiments/figure_rebalance_cost.c */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/cost_print.h"
#include "experiments/figure.h"
#include "experiments/figure_cells.h"

enum { INTERVAL, SPEEDUP, BALANCE, N_MEASURES };

/* The ways to move weights that are swept; one without a name where they are not. */
enum { MOVEMENTS_MAX = 2 };

typedef struct movements {
  size_t n;
  const char *name[MOVEMENTS_MAX];
  size_t key; /* among the swept ones; SIZE_MAX: none */
} movements;

static mb_status interval(const mb_results *results, size_t strategy, double *value) {
  (void)strategy;
  *value = (double)mb_results_get_run(results)->interval;
  return MB_OK;
}

/* Of strategies that plan: none is what they are held against, and hindsight knows too much. */
static mb_status speedup(const mb_results *results, size_t strategy, double *value) {
  const char *label = mb_results_get_run(results)->labels[strategy];
  mb_replay_summary summary;

  MB_TRY(mb_results_read_summary(results, strategy, &summary));
  if (!mb_cost_is_known(&summary)) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "the runs say nothing of time: give cost.gpu");
  }
  bool reference = strcmp(label, "none") == 0 || strcmp(label, "hindsight") == 0;
  *value = reference ? NAN : summary.cost.speedup_over_none;
  return MB_OK;
}

static movements find_movements(const mb_results_cells *cells) {
  movements found = {.n = 0, .key = SIZE_MAX};

  for (size_t k = 0; k < cells->n_keys; k++) {
    found.key = strcmp(cells->key[k], "cost.movement") == 0 ? k : found.key;
  }
  if (found.key == SIZE_MAX) {
    return (movements){1, {""}, SIZE_MAX};
  }
  for (size_t c = 0; c < cells->n_cells; c++) {
    const char *name = cells->cell[c].value[found.key];
    bool known = found.n > 0 && strcmp(found.name[0], name) == 0;
    if (!known && found.n < MOVEMENTS_MAX &&
        (found.n < 1 || strcmp(found.name[found.n - 1], name) != 0)) {
      found.name[found.n++] = name;
    }
  }
  return found;
}

static bool is_of(const mb_results_cells *cells, const mb_figure_cells *means, size_t condition,
                  const movements *found, size_t movement) {
  size_t cell = means->condition[condition].first_cell;

  return found->key == SIZE_MAX ||
         strcmp(cells->cell[cell].value[found->key], found->name[movement]) == 0;
}

/* What is drawn: the conditions by interval, a series for each strategy and movement. */
typedef struct curves {
  const mb_results_cells *list;
  const mb_figure_cells *means;
  movements movements;
} curves;

/* The next condition of that movement from k on, or n_conditions: they come in the intervals'
 * order.
 */
static size_t next_of(const curves *drawn, size_t k, size_t movement) {
  while (k < drawn->means->n_conditions &&
         !is_of(drawn->list, drawn->means, k, &drawn->movements, movement)) {
    k++;
  }
  return k;
}

/* The condition of that interval and movement, or n_conditions. */
static size_t find_interval(const curves *drawn, double steps, size_t movement) {
  size_t n = drawn->means->n_conditions;
  size_t k = next_of(drawn, 0, movement);

  while (k < n) {
    double own = mb_figure_cells_get(drawn->means, k, 0, INTERVAL)->mean;
    if (own >= steps && own <= steps) {
      return k;
    }
    k = next_of(drawn, k + 1, movement);
  }
  return n;
}

/* The interval at which the curve comes to 1 and stays, on a line over log(interval) between two of
   them; 0 where all are above, NaN where the last one is not. */
static double break_even(const curves *drawn, size_t strategy, size_t movement) {
  double before = NAN;
  double even = NAN;
  double x_before = NAN;

  for (size_t k = next_of(drawn, 0, movement); k < drawn->means->n_conditions;
       k = next_of(drawn, k + 1, movement)) {
    double x = mb_figure_cells_get(drawn->means, k, strategy, INTERVAL)->mean;
    double y = mb_figure_cells_get(drawn->means, k, strategy, SPEEDUP)->mean;
    if (!(y >= 1.0)) {
      even = NAN;
    } else if (isnan(before)) {
      even = 0.0;
    } else if (!(before >= 1.0)) {
      even = exp(log(x_before) + (1.0 - before) / (y - before) * (log(x) - log(x_before)));
    }
    before = y;
    x_before = x;
  }
  return even;
}

static void put_name(const curves *drawn, size_t strategy, size_t movement, const char *suffix,
                     mb_table *table) {
  const char *name = drawn->movements.name[movement];

  mb_table_put_format(table, "%s%s%s%s", drawn->means->label[strategy], name[0] != '\0' ? " " : "",
                      name, suffix);
}

static void put_series(const curves *drawn, size_t strategy, size_t movement, size_t k,
                       mb_table *table) {
  static const mb_figure_estimate nothing = {.mean = NAN, .low = NAN, .high = NAN};
  const mb_figure_estimate *found = k < drawn->means->n_conditions
                                        ? mb_figure_cells_get(drawn->means, k, strategy, SPEEDUP)
                                        : &nothing;

  mb_table_put_number(table, found->mean);
  mb_table_put_number(table, found->low);
  mb_table_put_number(table, found->high);
  mb_table_put_count(table, found->n);
  mb_table_put_number(table, break_even(drawn, strategy, movement));
}

static void put_row(const curves *drawn, size_t condition, mb_table *table) {
  double steps = mb_figure_cells_get(drawn->means, condition, 0, INTERVAL)->mean;

  mb_table_put_number(table, steps);
  for (size_t i = 0; i < drawn->means->n_strategies; i++) {
    for (size_t m = 0; m < drawn->movements.n && mb_figure_cells_have(drawn->means, i, SPEEDUP);
         m++) {
      put_series(drawn, i, m, find_interval(drawn, steps, m), table);
    }
  }
  mb_table_end_row(table);
}

static void put_table(const curves *drawn, mb_table *table) {
  static const char *const suffixes[] = {"", ":low", ":high", ":n", ":even"};
  double last = NAN;

  mb_table_put_text(table, "interval");
  for (size_t i = 0; i < drawn->means->n_strategies; i++) {
    for (size_t m = 0; m < drawn->movements.n && mb_figure_cells_have(drawn->means, i, SPEEDUP);
         m++) {
      for (size_t s = 0; s < sizeof suffixes / sizeof *suffixes; s++) {
        put_name(drawn, i, m, suffixes[s], table);
      }
    }
  }
  mb_table_end_row(table);
  for (size_t k = 0; k < drawn->means->n_conditions; k++) {
    double steps = mb_figure_cells_get(drawn->means, k, 0, INTERVAL)->mean;
    if (!(steps <= last)) {
      put_row(drawn, k, table);
    }
    last = steps;
  }
}

/* How far balance and time go apart: the series' lowest speed-up, with what it is balanced like. */
static void put_findings(const curves *drawn, FILE *caption) {
  for (size_t i = 0; i < drawn->means->n_strategies; i++) {
    for (size_t m = 0; m < drawn->movements.n && mb_figure_cells_have(drawn->means, i, SPEEDUP);
         m++) {
      const char *name = drawn->movements.name[m];
      size_t k = next_of(drawn, 0, m);
      double even = break_even(drawn, i, m);
      if (k == drawn->means->n_conditions) {
        continue;
      }
      (void)fprintf(caption,
                    "%s%s%s: run_imbalance %.3f and %.3f times as fast as none every %.0f "
                    "steps",
                    drawn->means->label[i], name[0] != '\0' ? ", " : "", name,
                    mb_figure_cells_get(drawn->means, k, i, BALANCE)->mean,
                    mb_figure_cells_get(drawn->means, k, i, SPEEDUP)->mean,
                    mb_figure_cells_get(drawn->means, k, i, INTERVAL)->mean);
      if (isnan(even)) {
        (void)fputs("; at no interval here as fast.\n", caption);
      } else if (even <= 0.0) {
        (void)fputs("; as fast or faster at all intervals here.\n", caption);
      } else {
        (void)fprintf(caption, "; breaks even at %.0f steps.\n", even);
      }
    }
  }
}

static void put_balance_of_none(const curves *drawn, FILE *caption) {
  for (size_t i = 0; i < drawn->means->n_strategies; i++) {
    if (strcmp(drawn->means->label[i], "none") == 0) {
      (void)fprintf(caption, "none: run_imbalance %.3f.\n",
                    mb_figure_cells_get(drawn->means, 0, i, BALANCE)->mean);
    }
  }
}

static mb_status tabulate(const mb_figure_source *source, mb_table *table, FILE *caption) {
  static const mb_figure_measure measures[N_MEASURES] = {interval, speedup,
                                                         mb_figure_run_imbalance};
  mb_figure_cells means;

  MB_TRY(mb_figure_cells_read(source, N_MEASURES, measures, &means));
  curves drawn = {mb_results_file_cells(source->file), &means, {0}};
  drawn.movements = find_movements(drawn.list);
  put_table(&drawn, table);
  (void)fputs("Speed-up over none by interval, moves of weights included: below 1, rebalancing "
              "balances and loses time.\nCircles: break-even, on a line between two points.\n",
              caption);
  put_balance_of_none(&drawn, caption);
  put_findings(&drawn, caption);
  mb_status status = mb_figure_cells_put_caption(source, &means, caption);
  mb_figure_cells_fini(&means);
  return status;
}

static const mb_figure_sweep sweep = {.keys = {"schedule.interval"}, .with = {"cost.movement"}};

const mb_figure mb_figure_rebalance_cost = {
    .name = "rebalance_cost",
    .summary = "speed-up over none by interval, with what moving weights takes; needs costs",
    .sweep = &sweep,
    .tabulate = tabulate,
};
