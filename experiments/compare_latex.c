/* experiments/compare_latex.c - comparisons as a LaTeX table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/compare_print.h"

/* Text as LaTeX shows it; a newline becomes a space. */
static void put_escaped(FILE *stream, const char *text) {
  static const struct {
    char byte;
    const char *latex;
  } special[] = {{'\\', "\\textbackslash{}"},
                 {'~', "\\textasciitilde{}"},
                 {'^', "\\textasciicircum{}"},
                 {'<', "$<$"},
                 {'>', "$>$"},
                 {'\n', " "},
                 {'_', "\\_"},
                 {'%', "\\%"},
                 {'&', "\\&"},
                 {'#', "\\#"},
                 {'$', "\\$"},
                 {'{', "\\{"},
                 {'}', "\\}"},
                 {'`', "\\textasciigrave{}"}};

  for (; *text != '\0'; text++) {
    /* Two hyphens would be a dash. */
    const char *latex = text[0] == '-' && text[1] == '-' ? "-{}" : NULL;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
      latex = special[i].byte == *text ? special[i].latex : latex;
    }
    if (latex != NULL) {
      (void)fputs(latex, stream);
    } else {
      (void)fputc(*text, stream);
    }
  }
}

static void put_notes(const mb_compare_view *view, FILE *stream) {
  char *text = mb_compare_notes(view);

  put_escaped(stream, text != NULL ? text : "");
  free(text);
}

/* A number with a real minus. */
static void put_percent(FILE *stream, double percent) {
  (void)fprintf(stream, "$%+.2f$", percent);
}

static void put_interval(const mb_compare_row *row, FILE *stream) {
  char p[16];

  if (isnan(row->low)) {
    (void)fputs("-- & --", stream);
    return;
  }
  (void)fputs("[", stream);
  put_percent(stream, mb_compare_percent(row, row->low));
  (void)fputs(", ", stream);
  put_percent(stream, mb_compare_percent(row, row->high));
  (void)fputs("] & ", stream);
  put_escaped(stream, mb_compare_format_p(row->p_holm, sizeof p, p));
}

/* Shorter than mb_compare_put_units(): a page is not as wide as a terminal. */
static void put_units(const mb_compare_row *row, FILE *stream) {
  if (row->block_length == 0) {
    (void)fprintf(stream, "%zu %s", row->n_units, row->unit);
  } else {
    (void)fprintf(stream, "%zu $\\times$ %zu (%s)", row->n_units, row->block_length,
                  row->block_from);
  }
}

static void put_row(const mb_compare_row *row, FILE *stream) {
  put_escaped(stream, row->strategy);
  (void)fprintf(stream, " & %.4f & ", row->value);
  put_percent(stream, mb_compare_percent(row, row->difference));
  (void)fputs(" & ", stream);
  put_interval(row, stream);
  (void)fprintf(stream, " & %zu/%zu & %.0f & ", row->n_wins, row->n_seeds, row->moved_experts);
  put_units(row, stream);
  (void)fprintf(stream, " & %s \\\\\n", mb_compare_verdict_name(row->verdict));
}

/* The condition's name, and the baseline's row. */
static void begin_condition(const mb_compare_row *row, bool named, FILE *stream) {
  (void)fputs("\\midrule\n", stream);
  if (named) {
    (void)fputs("\\multicolumn{9}{l}{", stream);
    put_escaped(stream, row->condition);
    (void)fputs("} \\\\\n", stream);
  }
  put_escaped(stream, row->baseline);
  (void)fprintf(stream, " & %.4f & & & & & %.0f & & baseline \\\\\n", row->baseline_value,
                row->baseline_moved_experts);
}

static void put_comparison(const mb_compare_view *view, FILE *stream) {
  const mb_comparison *comparison = view->comparison;
  bool named = mb_compare_has_conditions(comparison);

  (void)fprintf(stream,
                "\\begin{tabular}{lrrrrrrll}\n\\toprule\n"
                "strategy & imbalance & difference, \\%% & %g\\,\\%% interval, \\%% & $p$ (Holm) & "
                "won & moved & %s & verdict \\\\\n",
                100 * view->options->confidence,
                comparison->row[0].block_length > 0 ? "blocks $\\times$ steps" : "units");
  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    if (i == 0 || strcmp(row->condition, comparison->row[i - 1].condition) != 0) {
      begin_condition(row, named, stream);
    }
    put_row(row, stream);
  }
  (void)fputs("\\bottomrule\n\\end{tabular}\n", stream);
}

static void put_seeds(const mb_compare_view *view, FILE *stream) {
  bool named = mb_compare_has_conditions(view->comparison);

  (void)fprintf(stream,
                "\n\\medskip\n\\begin{tabular}{%sllrrr}\n\\toprule\n%sstrategy & seed & imbalance "
                "& baseline & difference, \\%% \\\\\n\\midrule\n",
                named ? "l" : "", named ? "condition & " : "");
  for (size_t i = 0; i < view->comparison->n_rows; i++) {
    const mb_compare_row *row = &view->comparison->row[i];
    for (size_t s = 0; s < row->n_seeds; s++) {
      const mb_compare_seed *seed = &row->seed[s];
      put_escaped(stream, row->condition);
      (void)fputs(named ? " & " : "", stream);
      put_escaped(stream, row->strategy);
      char name[24];
      (void)fputs(" & ", stream);
      put_escaped(stream, mb_compare_seed_name(seed, sizeof name, name));
      (void)fprintf(stream, " & %.4f & %.4f & ", seed->value, seed->baseline_value);
      put_percent(stream, 100 * (seed->value - seed->baseline_value) / seed->baseline_value);
      (void)fputs(" \\\\\n", stream);
    }
  }
  (void)fputs("\\bottomrule\n\\end{tabular}\n", stream);
}

void mb_compare_print_latex(const mb_compare_view *view, FILE *stream) {
  (void)fputs("% \\usepackage{booktabs}\n\\begin{table}\n\\centering\n\\caption{", stream);
  put_notes(view, stream);
  (void)fputs("}\n\\label{tab:comparison}\n\\small\n", stream);
  put_comparison(view, stream);
  if (view->per_seed) {
    put_seeds(view, stream);
  }
  (void)fputs("\\end{table}\n", stream);
}
