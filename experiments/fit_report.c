/* experiments/fit_report.c */
#include "experiments/fit_report.h"

#include <math.h>
#include <stdio.h>

#define SKEW_TOLERANCE 0.10
#define DRIFT_TOLERANCE 0.25

typedef double statistic(const mb_windows_layer *layer);

static double peak(const mb_windows_layer *layer) {
  return layer->peak;
}

static double gini(const mb_windows_layer *layer) {
  return layer->gini;
}

static double apart_1(const mb_windows_layer *layer) {
  return 1.0 - layer->r[0];
}

static double apart_4(const mb_windows_layer *layer) {
  return 1.0 - layer->r[2];
}

static double apart_16(const mb_windows_layer *layer) {
  return 1.0 - layer->r[4];
}

static double moved_1(const mb_windows_layer *layer) {
  return layer->moved[0];
}

static double moved_4(const mb_windows_layer *layer) {
  return layer->moved[2];
}

static double moved_16(const mb_windows_layer *layer) {
  return layer->moved[4];
}

static double chi2(const mb_windows_layer *layer) {
  return layer->chi2;
}

static double chi2_all(const mb_windows_layer *layer) {
  return layer->chi2_all;
}

static double r_1(const mb_windows_layer *layer) {
  return layer->r[0];
}

static double r_4(const mb_windows_layer *layer) {
  return layer->r[2];
}

/* MEAN: over the layers; WORST: the layer that is off the most. ALONE: what is not asked for, but
   often is all that is compared; SHOWN: only to be seen. */
typedef enum row_kind { MEAN, WORST, ALONE, SHOWN } row_kind;

typedef struct report_row {
  const char *title;
  statistic *value;
  row_kind kind;
  double tolerance;
} report_row;

static const report_row rows[] = {
    {"max/mean, mean of layers", peak, MEAN, SKEW_TOLERANCE},
    {"max/mean, worst layer", peak, WORST, SKEW_TOLERANCE},
    {"Gini, mean of layers", gini, MEAN, SKEW_TOLERANCE},
    {"Gini, worst layer", gini, WORST, SKEW_TOLERANCE},
    {"1 - r, lag 1", apart_1, MEAN, DRIFT_TOLERANCE},
    {"1 - r, lag 4", apart_4, MEAN, DRIFT_TOLERANCE},
    {"1 - r, lag 16", apart_16, MEAN, DRIFT_TOLERANCE},
    {"total variation, lag 1", moved_1, MEAN, DRIFT_TOLERANCE},
    {"chi2/dof, lag 1", chi2, MEAN, DRIFT_TOLERANCE},
    {"(total variation, lag 4)", moved_4, SHOWN, DRIFT_TOLERANCE},
    {"(total variation, lag 16)", moved_16, SHOWN, DRIFT_TOLERANCE},
    {"(chi2/dof, whole trace)", chi2_all, SHOWN, DRIFT_TOLERANCE},
    {"(r, lag 1)", r_1, ALONE, DRIFT_TOLERANCE},
    {"(r, lag 4)", r_4, ALONE, DRIFT_TOLERANCE},
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static double deviation(double value, double original) {
  return value / original - 1.0;
}

static size_t find_worst(const report_row *row, size_t n_layers, const mb_fit_column *original,
                         const mb_fit_column *column) {
  size_t worst = 0;
  double largest = -1.0;

  for (size_t l = 0; l < n_layers; l++) {
    double off = fabs(deviation(row->value(&column->layers[l]), row->value(&original->layers[l])));
    if (off > largest) {
      largest = off;
      worst = l;
    }
  }
  return worst;
}

/* The value in a column and how far it is off; of the original, `column` is the original. */
static double find_value(const report_row *row, size_t n_layers, const mb_fit_column *original,
                         const mb_fit_column *column, double *off) {
  mb_windows_layer mean = mb_windows_mean(n_layers, column->layers);
  mb_windows_layer wanted = mb_windows_mean(n_layers, original->layers);

  if (row->kind == WORST) {
    size_t l = find_worst(row, n_layers, original, column);
    mean = column->layers[l];
    wanted = original->layers[l];
  }
  *off = deviation(row->value(&mean), row->value(&wanted));
  return row->value(&mean);
}

/* A line being put together: its cells are padded, its end is not. */
typedef struct text_line {
  char text[160];
  size_t used;
} text_line;

static void lengthen(text_line *line, int length) {
  size_t room = sizeof line->text - line->used;

  line->used += length > 0 && (size_t)length < room ? (size_t)length : 0;
}

#define APPEND(line, ...) \
  lengthen(line,          \
           snprintf((line)->text + (line)->used, sizeof(line)->text - (line)->used, __VA_ARGS__))

static void print_line(FILE *out, text_line *line) {
  while (line->used > 0 && line->text[line->used - 1] == ' ') {
    line->used--;
  }
  (void)fprintf(out, "%.*s\n", (int)line->used, line->text);
}

static void append_number(text_line *line, double number) {
  if (isfinite(number)) {
    APPEND(line, "%9.*f", fabs(number) < 0.9995 ? 4 : 3, number);
  } else {
    APPEND(line, "%9s", "-");
  }
}

static const char *mark_of(const report_row *row, double off) {
  if (row->kind == SHOWN || !isfinite(off)) {
    return "";
  }
  return fabs(off) <= row->tolerance ? "ok" : "FAIL";
}

static void print_row(FILE *out, const report_row *row, size_t n_layers, size_t n,
                      const mb_fit_column *columns) {
  text_line line = {.used = 0};
  double off = 0.0;

  APPEND(&line, "%-25s", row->title);
  double original = find_value(row, n_layers, &columns[0], &columns[0], &off);
  if (row->kind == WORST) {
    APPEND(&line, "%9s", "");
  } else {
    append_number(&line, original);
  }
  for (size_t c = 1; c < n; c++) {
    append_number(&line, find_value(row, n_layers, &columns[0], &columns[c], &off));
    if (isfinite(off)) {
      APPEND(&line, " %+6.*f%% %-4s", fabs(off) < 9.9995 ? 1 : 0, 100.0 * off, mark_of(row, off));
    } else {
      APPEND(&line, "%13s", "");
    }
  }
  print_line(out, &line);
}

static void count(row_kind one, row_kind other, size_t n_layers, const mb_fit_column *original,
                  const mb_fit_column *column, int *n_within, int *n_known) {
  *n_within = 0;
  *n_known = 0;
  for (size_t i = 0; i < N_ROWS; i++) {
    double off = 0.0;
    (void)find_value(&rows[i], n_layers, original, column, &off);
    if ((rows[i].kind == one || rows[i].kind == other) && isfinite(off)) {
      *n_known += 1;
      *n_within += fabs(off) <= rows[i].tolerance ? 1 : 0;
    }
  }
}

static void print_verdict(FILE *out, const char *title, row_kind one, row_kind other,
                          size_t n_layers, size_t n, const mb_fit_column *columns) {
  text_line line = {.used = 0};

  APPEND(&line, "%-34s", title);
  for (size_t c = 1; c < n; c++) {
    int n_within = 0;
    int n_known = 0;
    count(one, other, n_layers, &columns[0], &columns[c], &n_within, &n_known);
    APPEND(&line, "%6d of %-2d    %-4s   ", n_within, n_known, n_within == n_known ? "ok" : "FAIL");
  }
  print_line(out, &line);
}

void mb_fit_report_print(FILE *out, size_t n_layers, size_t n, const mb_fit_column *columns) {
  text_line head = {.used = 0};

  APPEND(&head, "%-25s%9s", "", columns[0].title);
  for (size_t c = 1; c < n; c++) {
    APPEND(&head, "%9s%13s", columns[c].title, "");
  }
  print_line(out, &head);
  for (size_t i = 0; i < N_ROWS; i++) {
    print_row(out, &rows[i], n_layers, n, columns);
  }
  (void)fputc('\n', out);
  print_verdict(out, "within tolerance", MEAN, WORST, n_layers, n, columns);
  print_verdict(out, "by r at lags 1 and 4 alone", ALONE, ALONE, n_layers, n, columns);
}
