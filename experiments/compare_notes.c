/* experiments/compare_notes.c - what comparisons say below their tables. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/compare_print.h"
#include "experiments/stat_blocks.h"

double mb_compare_percent(const mb_compare_row *row, double difference) {
  return 100 * difference / row->baseline_value;
}

const char *mb_compare_format_p(double p, size_t size, char *text) {
  (void)snprintf(text, size, p < 0.0001 ? "< 0.0001" : "%.4f", p);
  return text;
}

const char *mb_compare_seed_name(const mb_compare_seed *seed, size_t size, char *text) {
  if (seed->trace != NULL) {
    return seed->trace;
  }
  (void)snprintf(text, size, seed->seed < 0 ? "file" : "%" PRId64, seed->seed);
  return text;
}

bool mb_compare_has_conditions(const mb_comparison *comparison) {
  for (size_t i = 0; i < comparison->n_rows; i++) {
    if (comparison->row[i].condition[0] != '\0') {
      return true;
    }
  }
  return false;
}

void mb_compare_put_units(const mb_compare_row *row, FILE *stream) {
  if (row->block_length == 0) {
    (void)fprintf(stream, "%zu %s", row->n_units, row->unit);
  } else {
    (void)fprintf(stream, "%zu %s of %zu steps (%s)", row->n_units, row->unit, row->block_length,
                  row->block_from);
  }
}

/* Rows with an interval, and how many of these are of blocks or of that method. */
typedef struct counts {
  size_t intervals, blocks, bootstraps, not_corrected;
  size_t relabellings; /* the most of a row */
  bool lifetime_unknown;
  double by_step_low, by_step_high; /* error / error_by_step */
  double sd, range, difference;     /* of relabellings, largest, in percent */
} counts;

static void count_row(const mb_compare_row *row, double confidence, counts *n) {
  bool decided = row->verdict == MB_COMPARE_BETTER || row->verdict == MB_COMPARE_WORSE;
  double ratio = row->error / row->error_by_step;

  n->blocks += row->block_length > 0;
  n->lifetime_unknown = n->lifetime_unknown || !row->lifetime_known;
  n->relabellings = row->n_relabellings > n->relabellings ? row->n_relabellings : n->relabellings;
  if (row->n_relabellings > 1) {
    n->sd = fmax(n->sd, 100 * row->relabel_sd / row->value);
    n->range = fmax(n->range, 100 * row->relabel_range / row->value);
    n->difference =
        fmax(n->difference, fabs(mb_compare_percent(row, row->relabel_difference_range)));
  }
  if (isnan(row->low)) {
    return;
  }
  n->intervals++;
  n->bootstraps += strcmp(row->method, "bootstrap-t") == 0;
  n->not_corrected += decided && row->p_holm > 1 - confidence;
  if (isfinite(ratio)) {
    n->by_step_low = fmin(n->by_step_low, ratio);
    n->by_step_high = fmax(n->by_step_high, ratio);
  }
}

static counts count_rows(const mb_compare_view *view) {
  counts n = {.by_step_low = INFINITY};

  for (size_t i = 0; i < view->comparison->n_rows; i++) {
    count_row(&view->comparison->row[i], view->options->confidence, &n);
  }
  return n;
}

/* --- what the columns mean --- */

static void put_interval(const mb_compare_view *view, const counts *n, FILE *stream) {
  (void)fprintf(stream, " Interval: %g %%, %s over units", 100 * view->options->confidence,
                n->bootstraps > 0 ? "bootstrap-t" : "Student's t");
  if (n->relabellings > 1) {
    (void)fprintf(stream, " crossed with %zu relabellings", n->relabellings);
  }
  if (n->bootstraps > 0 && n->bootstraps < n->intervals) {
    (void)fputs(", and Student's t where seeds are few or resamples have no spread", stream);
  }
  (void)fprintf(stream, ". p: the signs of whole units flipped, Holm over %zu comparison%s.",
                n->intervals, n->intervals == 1 ? "" : "s");
}

void mb_compare_put_meaning(const mb_compare_view *view, FILE *stream) {
  counts n = count_rows(view);

  (void)fputs("Difference: in % of the baseline's run_imbalance, paired; below 0 is better.",
              stream);
  if (n.intervals > 0) {
    put_interval(view, &n, stream);
  }
  (void)fprintf(stream,
                " Tie: the interval is within %g %%, even where all of it is on one side of 0; "
                "unclear: it is not, and has 0 in it%s. Units: %s.",
                100 * view->options->margin,
                n.intervals < view->comparison->n_rows ? "; too few: fewer than 20 blocks" : "",
                n.blocks > 0 ? "blocks of steps, the longest of plan interval, window, request "
                               "lifetime and what the differences' correlations ask for (data)"
                : view->options->traces ? "traces, independent of each other"
                                        : "seeds, each with loads of its own");
}

/* --- what to be careful about --- */

static void warn_of_too_few(const mb_compare_view *view, const counts *n, FILE *stream) {
  if (n->intervals < view->comparison->n_rows) {
    (void)fprintf(stream,
                  "With fewer than %d blocks there are no intervals from steps, only what the seed "
                  "has reached. It takes a longer trace, or several: `sweep: {seed: 1..8}` of "
                  "generated loads, a sweep over trace.file and --traces of recorded ones.\n",
                  MB_STAT_BLOCKS_MIN);
  }
}

static void warn_of_blocks(const counts *n, FILE *stream) {
  if (n->blocks > 0 && n->intervals > 0 && n->by_step_high > 0) {
    (void)fprintf(stream,
                  "Standard errors by block are %.1f to %.1f times those by step, which are not "
                  "independent.\n",
                  n->by_step_low, n->by_step_high);
  }
  if (n->blocks > 0 && n->lifetime_unknown) {
    (void)fputs("How long a request lives is not known: --lifetime STEPS makes blocks as long.\n",
                stream);
  }
}

static void warn_of_relabellings(const counts *n, FILE *stream) {
  if (n->relabellings > 1) {
    (void)fprintf(stream,
                  "Noise floor: over %zu relabellings the order of ties alone moves run_imbalance "
                  "by up to %.2f %% (standard deviation %.2f %%), and differences by up to %.2f "
                  "%%%s.\n",
                  n->relabellings, n->range, n->sd, n->difference,
                  n->intervals > 0 ? "; the intervals cover it" : "");
  } else {
    (void)fputs("One relabelling: the order of ties alone can move results by some 0.3 %, which no "
                "interval here covers; `moebal run --relabellings` measures it.\n",
                stream);
  }
}

void mb_compare_put_warnings(const mb_compare_view *view, FILE *stream) {
  const mb_comparison *comparison = view->comparison;
  counts n = count_rows(view);

  warn_of_too_few(view, &n, stream);
  warn_of_blocks(&n, stream);
  warn_of_relabellings(&n, stream);
  if (n.not_corrected > 0) {
    (void)fprintf(stream,
                  "%zu of the comparisons called better or worse, each by its own interval, %s "
                  "p above %g after the correction for all %zu%s.\n",
                  n.not_corrected, n.not_corrected == 1 ? "has" : "have",
                  1 - view->options->confidence, n.intervals,
                  n.blocks == 0 ? "; of n seeds p cannot fall below 2 / 2^n" : "");
  }
  if (comparison->n_failed > 0 || comparison->n_spare > 0) {
    (void)fprintf(stream,
                  "Left out: %zu cell%s that failed, and %zu whose seed or relabelling misses "
                  "others.\n",
                  comparison->n_failed, comparison->n_failed == 1 ? "" : "s", comparison->n_spare);
  }
}

char *mb_compare_notes(const mb_compare_view *view) {
  char *text = NULL;
  size_t size = 0;
  FILE *memory = open_memstream(&text, &size);

  if (memory == NULL) {
    return NULL;
  }
  mb_compare_put_meaning(view, memory);
  (void)fputc('\n', memory);
  mb_compare_put_warnings(view, memory);
  if (fclose(memory) != 0) {
    free(text);
    return NULL;
  }
  while (size > 0 && text[size - 1] == '\n') {
    text[--size] = '\0';
  }
  return text;
}

void mb_compare_for_notes(const mb_compare_view *view, void (*put)(const char *line, FILE *stream),
                          FILE *stream) {
  char *text = mb_compare_notes(view);
  char *rest = text;

  for (char *line = NULL; text != NULL && (line = strtok_r(rest, "\n", &rest)) != NULL;) {
    put(line, stream);
  }
  free(text);
}
