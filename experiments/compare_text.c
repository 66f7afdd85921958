/* experiments/compare_text.c - comparisons as a table for a terminal. */
#include <math.h>
#include <string.h>

#include "experiments/compare_print.h"
#include "experiments/wrap.h"

enum { LABEL_WIDTH = 10 };

static size_t label_width(const mb_comparison *comparison) {
  size_t width = LABEL_WIDTH;

  for (size_t i = 0; i < comparison->n_rows; i++) {
    size_t strategy = strlen(comparison->row[i].strategy);
    size_t baseline = strlen(comparison->row[i].baseline);
    width = strategy > width ? strategy : width;
    width = baseline > width ? baseline : width;
  }
  return width;
}

static void print_header(const mb_compare_view *view, int width, FILE *stream) {
  char interval[32];

  (void)snprintf(interval, sizeof interval, "%g %% interval", 100 * view->options->confidence);
  (void)fprintf(stream, "%-*s %13s %10s %17s %8s %5s %8s  %-8s %s\n", width, "strategy",
                "run_imbalance", "difference", interval, "p (Holm)", "won", "moved", "verdict",
                "units");
}

static void print_baseline(const mb_compare_row *row, int width, FILE *stream) {
  (void)fprintf(stream, "%-*s %13.6f %10s %17s %8s %5s %8.0f  baseline\n", width, row->baseline,
                row->baseline_value, "", "", "", "", row->baseline_moved_experts);
}

static void print_row(const mb_compare_row *row, int width, FILE *stream) {
  char interval[64] = "-";
  char p[16] = "-";
  char won[32];

  if (!isnan(row->low)) {
    (void)snprintf(interval, sizeof interval, "%+.2f .. %+.2f", mb_compare_percent(row, row->low),
                   mb_compare_percent(row, row->high));
    (void)mb_compare_format_p(row->p_holm, sizeof p, p);
  }
  (void)snprintf(won, sizeof won, "%zu/%zu", row->n_wins, row->n_seeds);
  (void)fprintf(stream, "%-*s %13.6f %+8.2f %% %17s %8s %5s %8.0f  %-8s ", width, row->strategy,
                row->value, mb_compare_percent(row, row->difference), interval, p, won,
                row->moved_experts, mb_compare_verdict_name(row->verdict));
  mb_compare_put_units(row, stream);
  (void)fputc('\n', stream);
}

/* Rows of a condition stand together. */
static bool begins_condition(const mb_comparison *comparison, size_t i) {
  return i == 0 || strcmp(comparison->row[i].condition, comparison->row[i - 1].condition) != 0;
}

/* --- seeds --- */

static void print_seeds(const mb_compare_row *row, int width, FILE *stream) {
  for (size_t s = 0; s < row->n_seeds; s++) {
    const mb_compare_seed *seed = &row->seed[s];
    char name[24];
    (void)fprintf(stream, "%-*s %8s %13.6f %13.6f %+8.2f %%\n", width, row->strategy,
                  mb_compare_seed_name(seed, sizeof name, name), seed->value, seed->baseline_value,
                  100 * (seed->value - seed->baseline_value) / seed->baseline_value);
  }
}

static void print_all_seeds(const mb_comparison *comparison, int width, FILE *stream) {
  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    if (begins_condition(comparison, i)) {
      (void)fprintf(stream, "\n%s%s%-*s %8s %13s %13s %10s\n", row->condition,
                    row->condition[0] != '\0' ? "\n" : "", width, "strategy", "seed",
                    "run_imbalance", "baseline's", "difference");
    }
    print_seeds(row, width, stream);
  }
}

/* --- notes --- */

static void print_note(const char *line, FILE *stream) {
  mb_wrap_print(stream, 0, 0, line);
}

void mb_compare_print_text(const mb_compare_view *view, FILE *stream) {
  const mb_comparison *comparison = view->comparison;
  int width = (int)label_width(comparison);

  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    if (begins_condition(comparison, i)) {
      (void)fprintf(stream, "%s%s%s", i > 0 ? "\n" : "", row->condition,
                    row->condition[0] != '\0' ? "\n" : "");
      print_header(view, width, stream);
      print_baseline(row, width, stream);
    }
    print_row(row, width, stream);
  }
  if (view->per_seed) {
    print_all_seeds(comparison, width, stream);
  }
  (void)fputc('\n', stream);
  mb_compare_for_notes(view, print_note, stream);
}
