/* experiments/compare_print.h - comparisons for people, for programs, and for papers. */
#ifndef MB_EXPERIMENTS_COMPARE_PRINT_H
#define MB_EXPERIMENTS_COMPARE_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "balancer/status.h"
#include "experiments/compare.h"

/** What is printed. Borrowed. */
typedef struct mb_compare_view {
  const mb_compare_options *options;
  const mb_comparison *comparison;
  bool per_seed; /* the seeds' values too */
} mb_compare_view;

/** A table, and below it what it means; with `per_seed` the seeds' values in between. */
void mb_compare_print_text(const mb_compare_view *view, FILE *stream);

/** Tab-separated, one header row; with `per_seed` a row a seed. Numbers to ten digits, or NaN. */
void mb_compare_print_tsv(const mb_compare_view *view, FILE *stream);

/** A table environment with \caption, in the rules of booktabs; with `per_seed` the seeds' values
    as well. */
void mb_compare_print_latex(const mb_compare_view *view, FILE *stream);

/* --- what text, LaTeX and reports share --- */

/** A paragraph's sentences on what the table shows: difference, interval, p, verdict, units. */
void mb_compare_put_meaning(const mb_compare_view *view, FILE *stream);

/** What a reader should be warned of, a paragraph a line; nothing where there is nothing. */
void mb_compare_put_warnings(const mb_compare_view *view, FILE *stream);

/** Both, a paragraph a line. @return free() it; NULL without memory. */
char *mb_compare_notes(const mb_compare_view *view);

/** Their paragraphs, one by one. @param put writes one; it comes without its newline. */
void mb_compare_for_notes(const mb_compare_view *view, void (*put)(const char *line, FILE *stream),
                          FILE *stream);

/** "49 blocks of 64 steps (interval)", "8 seeds". */
void mb_compare_put_units(const mb_compare_row *row, FILE *stream);

/** "7", "file", or the trace. @return `text`, or the trace itself. */
const char *mb_compare_seed_name(const mb_compare_seed *seed, size_t size, char *text);

/** A difference in percent of the baseline's value. */
double mb_compare_percent(const mb_compare_row *row, double difference);

/** "0.0123", "< 0.0001". @return `text`. */
const char *mb_compare_format_p(double p, size_t size, char *text);

/** Any row has a condition; several baselines' values are never in one condition. */
bool mb_compare_has_conditions(const mb_comparison *comparison);

#endif
