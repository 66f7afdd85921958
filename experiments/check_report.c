/* experiments/check_report.c */
#include "experiments/check_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/junit.h"

enum { PARTS_SHOWN = 3, TEXT_SIZE = 512, NUMBER_SIZE = 32 };

static const struct {
  const char *title, *word;
} outcomes[] = {[MB_CHECK_SAME] = {"same", "the same"},
                [MB_CHECK_CHANGED] = {"changed", "changed, but not clearly for the worse"},
                [MB_CHECK_BETTER] = {"BETTER", "better"},
                [MB_CHECK_WORSE] = {"WORSE", "worse"},
                [MB_CHECK_UNPAIRED] = {"UNKNOWN", "not to be compared: not a number"}};

/* --- pieces of text --- */

static const char *format_percent(double ratio, char text[NUMBER_SIZE]) {
  if (isnan(ratio)) {
    return "-";
  }
  if (isinf(ratio)) {
    return "from 0";
  }
  (void)snprintf(text, NUMBER_SIZE, "%+.2f %%", 100 * ratio);
  return text;
}

/* Ratios, and counts. */
static const char *format_value(double value, char text[NUMBER_SIZE]) {
  (void)snprintf(text, NUMBER_SIZE, fabs(value) < 1000 ? "%.4f" : "%.1f", value);
  return text;
}

/* Up to which margin the row is worse; "-" where no margin makes it so. */
static const char *format_below(const mb_check_judgement *j, char text[NUMBER_SIZE]) {
  if (!(j->worse_below > 0)) {
    return "-";
  }
  if (isinf(j->worse_below)) {
    return "any";
  }
  (void)snprintf(text, NUMBER_SIZE, "%.3g %%", 100 * j->worse_below);
  return text;
}

static bool has_setting(const char *setting) {
  return strcmp(setting, "-") != 0;
}

/* What tells where a row became worse; a percentile is of the steps, and no layer or range has one.
   Of plans it is not told. */
static size_t where_metric(const mb_check_row *row) {
  switch (row->metric) {
  case MB_BASELINE_run_imbalance:
  case MB_BASELINE_step_imbalance_p99:
    return MB_BASELINE_run_imbalance;
  case MB_BASELINE_moved_experts:
    return MB_BASELINE_moved_experts;
  default:
    return MB_BASELINE_METRICS;
  }
}

/* Adds "layers 3 (+1.20 %), 0 (+0.90 %)" to a text, or nothing; returns which. */
static bool append_parts(const mb_check_report *r, const mb_check_row *row, bool layers,
                         const char *before, char text[TEXT_SIZE]) {
  mb_check_part part[PARTS_SHOWN];
  char number[NUMBER_SIZE];
  size_t n = mb_check_find_parts(r->before, r->after, row->setting, row->strategy,
                                 where_metric(row), layers, PARTS_SHOWN, part);

  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(text);
    (void)snprintf(text + length, TEXT_SIZE - length, "%s%s (%s)", i > 0 ? ", " : before,
                   part[i].name, format_percent(part[i].change, number));
  }
  return n > 0;
}

/* "run_imbalance rose in layers 3 (+1.20 %); steps 40-64 (+2.10 %)": where the most. */
static void format_where(const mb_check_report *r, const mb_check_row *row, char text[TEXT_SIZE]) {
  size_t metric = where_metric(row);

  text[0] = '\0';
  if (metric == MB_BASELINE_METRICS) {
    return;
  }
  (void)snprintf(text, TEXT_SIZE, "%s rose in ", mb_baseline_metric_name(metric));
  bool has_layers = append_parts(r, row, true, "layers ", text);
  bool has_steps = append_parts(r, row, false, has_layers ? "; steps " : "steps ", text);
  if (!has_layers && !has_steps) {
    text[0] = '\0';
  }
}

static void format_row(const mb_check_row *row, char text[TEXT_SIZE]) {
  const mb_check_judgement *j = &row->judgement;
  char before[NUMBER_SIZE];
  char after[NUMBER_SIZE];
  char change[NUMBER_SIZE];
  char bound[NUMBER_SIZE];
  char below[NUMBER_SIZE];

  (void)snprintf(
      text, TEXT_SIZE,
      "%s of %s is %s: %s, in the baseline %s (%s, bound %s; margin %.4g %%, worse below "
      "%s; worse in %zu of %zu seeds, other placements in %zu)",
      mb_baseline_metric_name(row->metric), row->strategy, outcomes[j->outcome].word,
      format_value(j->after, after), format_value(j->before, before),
      format_percent(j->change, change), format_percent(j->bound, bound), 100 * row->margin,
      format_below(j, below), j->n_worse, j->n_seeds, row->n_moved);
}

static void format_missing(const mb_check_missing *missing, char text[TEXT_SIZE]) {
  (void)snprintf(text, TEXT_SIZE, "strategy %s, seed %s%s%s: %s", missing->strategy, missing->seed,
                 has_setting(missing->setting) ? ", with " : "",
                 has_setting(missing->setting) ? missing->setting : "",
                 missing->in_baseline ? "the baseline has it, this run has not"
                                      : "this run has it, the baseline has not");
}

/* --- for people --- */

static int strategy_width(const mb_check *check) {
  size_t width = strlen("strategy");

  for (size_t i = 0; i < check->n_rows; i++) {
    size_t length = strlen(check->row[i].strategy);
    width = length > width ? length : width;
  }
  return (int)width;
}

static void print_row(FILE *stream, const mb_check_row *row, int width) {
  const mb_check_judgement *j = &row->judgement;
  char before[NUMBER_SIZE];
  char after[NUMBER_SIZE];
  char change[NUMBER_SIZE];
  char bound[NUMBER_SIZE];
  char margin[NUMBER_SIZE];
  char below[NUMBER_SIZE];

  (void)snprintf(margin, sizeof margin, "%.4g %%", 100 * row->margin);
  (void)fprintf(stream, "%-7s  %-*s  %-18s  %9s  %9s  %9s  %9s  %7s  %11s  %6zu of %zu",
                outcomes[j->outcome].title, width, row->strategy,
                mb_baseline_metric_name(row->metric), format_value(j->before, before),
                format_value(j->after, after), format_percent(j->change, change),
                format_percent(j->bound, bound), margin, format_below(j, below), j->n_worse,
                j->n_seeds);
  (void)fprintf(stream, "%s%s\n", has_setting(row->setting) ? "  " : "",
                has_setting(row->setting) ? row->setting : "");
}

static void print_outcome(FILE *stream, const mb_check *check, mb_check_outcome outcome,
                          int width) {
  for (size_t i = 0; i < check->n_rows; i++) {
    if (check->row[i].judgement.outcome == outcome) {
      print_row(stream, &check->row[i], width);
    }
  }
}

static void print_table(FILE *stream, const mb_check *check) {
  int width = strategy_width(check);

  if (mb_check_count(check, MB_CHECK_SAME) == check->n_rows) {
    return;
  }
  (void)fprintf(stream, "%-7s  %-*s  %-18s  %9s  %9s  %9s  %9s  %7s  %11s  %s\n", "", width,
                "strategy", "metric", "baseline", "now", "change", "bound", "margin", "worse below",
                "worse in seeds");
  print_outcome(stream, check, MB_CHECK_UNPAIRED, width);
  print_outcome(stream, check, MB_CHECK_WORSE, width);
  print_outcome(stream, check, MB_CHECK_BETTER, width);
  print_outcome(stream, check, MB_CHECK_CHANGED, width);
}

static bool same_strategy(const mb_check_row *a, const mb_check_row *b) {
  return strcmp(a->strategy, b->strategy) == 0 && strcmp(a->setting, b->setting) == 0;
}

/* Once a strategy and what tells where, however many of its metrics are worse. */
static void print_where(FILE *stream, const mb_check_report *r) {
  const mb_check *check = r->check;
  const mb_check_row *last = NULL;
  char where[TEXT_SIZE];

  for (size_t i = 0; i < check->n_rows; i++) {
    const mb_check_row *row = &check->row[i];
    if (row->judgement.outcome != MB_CHECK_WORSE ||
        (last != NULL && same_strategy(last, row) && where_metric(last) == where_metric(row))) {
      continue;
    }
    format_where(r, row, where);
    if (where[0] != '\0') {
      (void)fprintf(stream, "%s%s%s: %s\n", row->strategy,
                    has_setting(row->setting) ? ", with " : "",
                    has_setting(row->setting) ? row->setting : "", where);
    }
    last = row;
  }
}

/* Strategies, each under each setting. Their rows, of all metrics, stand together. */
static size_t count_strategies(const mb_check *check) {
  return check->n_rows / MB_BASELINE_METRICS;
}

static const mb_check_row *first_row(const mb_check *check, size_t strategy) {
  return &check->row[strategy * MB_BASELINE_METRICS];
}

/* Returns how many have other placements than in the baseline, in some seed. */
static size_t print_moved(FILE *stream, const mb_check *check) {
  const char *separator = "Placements changed: ";
  size_t n = 0;

  for (size_t i = 0; i < count_strategies(check); i++) {
    const mb_check_row *row = first_row(check, i);
    if (row->n_moved > 0) {
      n++;
      (void)fprintf(stream, "%s%s%s%s in %zu of %zu seeds", separator, row->strategy,
                    has_setting(row->setting) ? " with " : "",
                    has_setting(row->setting) ? row->setting : "", row->n_moved,
                    row->judgement.n_seeds);
      separator = ", ";
    }
  }
  (void)fputs(n > 0 ? ".\n" : "", stream);
  return n;
}

/* What never plans can only change with the loads, or how they are scored. */
static void print_reference(FILE *stream, const mb_check *check) {
  for (size_t i = 0; i < check->n_rows; i++) {
    if (strcmp(check->row[i].strategy, "none") == 0 &&
        check->row[i].judgement.outcome != MB_CHECK_SAME) {
      (void)fputs("The reference none makes no plans, and changed: so the loads changed, or the "
                  "cluster, or how they are\nscored, and not the strategies alone. Generated loads "
                  "may differ where the C library's exp() and log() do.\n",
                  stream);
      return;
    }
  }
}

static bool same_missing(const mb_check_missing *a, const mb_check_missing *b) {
  return a->in_baseline == b->in_baseline && strcmp(a->strategy, b->strategy) == 0 &&
         strcmp(a->setting, b->setting) == 0;
}

/* A line a strategy, with all its seeds. */
static void print_missing(FILE *stream, const mb_check *check) {
  for (size_t i = 0; i < check->n_missing; i++) {
    const mb_check_missing *missing = &check->missing[i];
    size_t j = 0;
    while (!same_missing(&check->missing[j], missing)) {
      j++;
    }
    if (j < i) {
      continue;
    }
    (void)fprintf(stream, "Not compared: %s%s%s, seeds", missing->strategy,
                  has_setting(missing->setting) ? " with " : "",
                  has_setting(missing->setting) ? missing->setting : "");
    for (; j < check->n_missing; j++) {
      if (same_missing(&check->missing[j], missing)) {
        (void)fprintf(stream, " %s", check->missing[j].seed);
      }
    }
    (void)fprintf(stream, ": %s\n",
                  missing->in_baseline ? "the baseline has them, this run has not"
                                       : "this run has them, the baseline has not");
  }
}

void mb_check_print(FILE *stream, const mb_check_report *report) {
  const mb_check *check = report->check;

  print_table(stream, check);
  print_where(stream, report);
  size_t n_moved = print_moved(stream, check);
  print_reference(stream, check);
  print_missing(stream, check);
  (void)fprintf(stream,
                "%s: of %zu metrics of strategies %zu are worse, %zu better, %zu changed, %zu "
                "same; the placements of %zu of %zu strategies changed.\n",
                report->before->config, check->n_rows, mb_check_count(check, MB_CHECK_WORSE),
                mb_check_count(check, MB_CHECK_BETTER), mb_check_count(check, MB_CHECK_CHANGED),
                mb_check_count(check, MB_CHECK_SAME), n_moved, count_strategies(check));
}

/* --- for CI systems --- */

/* The texts of a case. */
typedef struct case_texts {
  char group[TEXT_SIZE], name[TEXT_SIZE], message[TEXT_SIZE], where[TEXT_SIZE];
} case_texts;

static void name_case(const char *config, const char *setting, const char *strategy,
                      const char *what, case_texts *texts) {
  (void)snprintf(texts->group, sizeof texts->group, "%s%s%s", config,
                 has_setting(setting) ? "." : "", has_setting(setting) ? setting : "");
  (void)snprintf(texts->name, sizeof texts->name, "%s %s", strategy, what);
}

static mb_junit_case make_case(const mb_check_report *r, const mb_check_row *row,
                               case_texts *texts) {
  mb_check_outcome outcome = row->judgement.outcome;
  bool silent = outcome == MB_CHECK_SAME && row->n_moved == 0;

  name_case(r->before->config, row->setting, row->strategy, mb_baseline_metric_name(row->metric),
            texts);
  format_row(row, texts->message);
  format_where(r, row, texts->where);
  return (mb_junit_case){.group = texts->group,
                         .name = texts->name,
                         .result = outcome == MB_CHECK_WORSE      ? MB_JUNIT_FAILURE
                                   : outcome == MB_CHECK_UNPAIRED ? MB_JUNIT_ERROR
                                                                  : MB_JUNIT_PASS,
                         .message = silent ? NULL : texts->message,
                         .details = texts->where};
}

static mb_junit_case make_missing(const mb_check_report *r, const mb_check_missing *missing,
                                  case_texts *texts) {
  char what[TEXT_SIZE / 2];

  (void)snprintf(what, sizeof what, "seed %s", missing->seed);
  name_case(r->before->config, missing->setting, missing->strategy, what, texts);
  format_missing(missing, texts->message);
  return (mb_junit_case){.group = texts->group,
                         .name = texts->name,
                         .result = MB_JUNIT_ERROR,
                         .message = texts->message};
}

mb_status mb_check_write_junit(const char *path, const mb_check_report *report) {
  const mb_check *check = report->check;
  size_t n = check->n_rows + check->n_missing;
  mb_junit_case *cases = malloc((n + 1) * sizeof *cases);
  case_texts *texts = malloc((n + 1) * sizeof *texts);
  mb_status status = MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", path);

  if (cases != NULL && texts != NULL) {
    for (size_t i = 0; i < check->n_rows; i++) {
      cases[i] = make_case(report, &check->row[i], &texts[i]);
    }
    for (size_t i = 0; i < check->n_missing; i++) {
      size_t c = check->n_rows + i;
      cases[c] = make_missing(report, &check->missing[i], &texts[c]);
    }
    status = mb_junit_write(path, report->before->config, n, cases);
  }
  free(texts);
  free(cases);
  return status;
}
