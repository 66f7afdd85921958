/* experiments/report_comparison.c */
#include "experiments/report_comparison.h"

#include <math.h>
#include <string.h>

#include "experiments/report_html.h"

enum { HALF_WIDTH = 64, EDGE = 3 }; /* of an interval's picture */

/* What of the columns a comparison has any entries for. */
typedef struct layout {
  bool conditions, intervals, seeds;
  double reach; /* of the pictures to either side of zero */
} layout;

static double largest(double a, double b) {
  return isnan(b) || a > b ? a : b;
}

/* Pictures reach twice as far as the margin and the widest interval: what lies beyond is clearly
 * different, and would make all else too small to see. */
static layout layout_of(const mb_compare_options *options, const mb_comparison *comparison) {
  layout made = {.reach = 1e-9};

  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    made.conditions = made.conditions || row->condition[0] != '\0';
    made.intervals = made.intervals || !isnan(row->low);
    made.seeds = made.seeds || row->n_seeds > 1;
    made.reach = largest(made.reach, 2.0 * options->margin * row->baseline_value);
    made.reach = largest(made.reach, 2.0 * (row->high - row->low));
  }
  return made;
}

/* --- cells --- */

static void put_header(FILE *page, const layout *table) {
  (void)fputs("<thead><tr>", page);
  if (table->conditions) {
    (void)fputs("<th scope=\"col\" class=\"text\">condition</th>", page);
  }
  (void)fputs(
      "<th scope=\"col\" class=\"text\">strategy</th><th scope=\"col\">run<br>imbalance</th>"
      "<th scope=\"col\">difference</th>",
      page);
  if (table->intervals) {
    (void)fputs("<th scope=\"col\">interval</th><th scope=\"col\" class=\"text\">better &larr; 0 "
                "&rarr; worse</th><th scope=\"col\">p<br>(Holm)</th>",
                page);
  }
  if (table->seeds) {
    (void)fputs("<th scope=\"col\">seeds<br>better</th>", page);
  }
  (void)fputs(
      "<th scope=\"col\">from</th><th scope=\"col\" class=\"text\">verdict</th></tr></thead>"
      "\n<tbody>\n",
      page);
}

/* Where a difference is in the picture; at an edge where it is beyond. */
static double place(double difference, double reach) {
  double x = (HALF_WIDTH - EDGE) * difference / reach;

  return HALF_WIDTH + fmin(fmax(x, EDGE - HALF_WIDTH), HALF_WIDTH - EDGE);
}

/* A picture of the interval: zero in the middle, the margin of a tie shaded. What is beyond the
 * edge is an arrowhead there. */
static void put_picture(FILE *page, const mb_compare_options *options, const mb_compare_row *row,
                        double reach) {
  double margin = options->margin * row->baseline_value;
  double x = place(row->difference, reach);

  (void)fprintf(page,
                "<td><svg class=\"interval\" viewBox=\"0 0 %d 16\" aria-hidden=\"true\">"
                "<rect class=\"margin\" x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"16\"/>"
                "<path d=\"M%d,0 V16\"/>",
                2 * HALF_WIDTH, place(-margin, reach), place(margin, reach) - place(-margin, reach),
                HALF_WIDTH);
  if (!isnan(row->low)) {
    (void)fprintf(page, "<path class=\"reach\" d=\"M%.2f,8 H%.2f\"/>", place(row->low, reach),
                  place(row->high, reach));
  }
  if (fabs(row->difference) > reach) {
    (void)fprintf(page, "<path class=\"beyond\" d=\"M%.2f,8 l%d,-4 v8 z\"/></svg></td>",
                  x + copysign(EDGE, row->difference), row->difference > 0.0 ? -8 : 8);
  } else {
    (void)fprintf(page, "<circle cx=\"%.2f\" cy=\"8\" r=\"%d\"/></svg></td>", x, EDGE);
  }
}

static void put_interval(FILE *page, const mb_compare_options *options, const mb_compare_row *row,
                         double reach) {
  if (isnan(row->low)) {
    (void)fputs("<td>–</td>", page);
  } else {
    (void)fprintf(page, "<td>%+.4f to %+.4f</td>", row->low, row->high);
  }
  put_picture(page, options, row, reach);
  if (isnan(row->p_holm)) {
    (void)fputs("<td>–</td>", page);
  } else if (row->p_holm < 0.0001) {
    (void)fputs("<td>&lt; 0.0001</td>", page);
  } else {
    (void)fprintf(page, "<td>%.4f</td>", row->p_holm);
  }
}

static void put_row(FILE *page, const mb_compare_options *options, const mb_compare_row *row,
                    const layout *table) {
  const char *class = row->verdict == MB_COMPARE_BETTER  ? " class=\"better\""
                      : row->verdict == MB_COMPARE_WORSE ? " class=\"worse\""
                                                         : "";

  (void)fputs("<tr>", page);
  if (table->conditions) {
    (void)fputs("<td class=\"text\">", page);
    mb_html_put_text(page, row->condition);
    (void)fputs("</td>", page);
  }
  (void)fputs("<th scope=\"row\">", page);
  mb_html_put_text(page, row->strategy);
  (void)fprintf(page, "</th><td>%.4f</td><td>%+.4f (%+.2f&nbsp;%%)</td>", row->value,
                row->difference, 100.0 * row->difference / row->baseline_value);
  if (table->intervals) {
    put_interval(page, options, row, table->reach);
  }
  if (table->seeds) {
    (void)fprintf(page, "<td>%zu of %zu</td>", row->n_wins, row->n_seeds);
  }
  (void)fprintf(page, "<td>%zu %s</td><td class=\"text\"><span%s>%s</span></td></tr>\n",
                row->n_units, row->unit, class, mb_compare_verdict_name(row->verdict));
}

/* --- around the table --- */

static const char *source_of(const char *block_from) {
  static const struct {
    const char *name, *words;
  } sources[] = {{"interval", "the plan interval"},
                 {"window", "the window that plans are made from"},
                 {"lifetime", "how long a request lives"},
                 {"data", "how long differences stay alike"}};

  for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
    if (strcmp(sources[i].name, block_from) == 0) {
      return sources[i].words;
    }
  }
  return block_from;
}

/* The block length, where all rows have the same one from the same source. */
static void put_blocks(FILE *page, const mb_comparison *comparison) {
  const mb_compare_row *first = &comparison->row[0];

  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    if (row->block_length == 0 || row->block_length != first->block_length ||
        strcmp(row->block_from, first->block_from) != 0) {
      return;
    }
  }
  (void)fprintf(page, " A block is %zu steps, from ", first->block_length);
  mb_html_put_text(page, source_of(first->block_from));
  (void)fputc('.', page);
}

static void put_note(FILE *page, const mb_compare_options *options, const mb_comparison *comparison,
                     const layout *table) {
  (void)fputs("<p class=\"note\">", page);
  if (table->intervals) {
    (void)fprintf(
        page,
        "Paired differences with intervals of %g&nbsp;%% by a studentised block "
        "bootstrap; p by a permutation test that flips the signs of whole units, adjusted "
        "by Holm over all rows.",
        100.0 * options->confidence);
  } else {
    (void)fputs("There are too few independent seeds or blocks of steps for an interval.", page);
  }
  put_blocks(page, comparison);
  (void)fprintf(page,
                " A tie: the whole interval within &plusmn;%g&nbsp;%% of the baseline; unclear: "
                "neither that nor clear of zero.</p>\n",
                100.0 * options->margin);
}

void mb_report_put_comparison(const mb_compare_options *options, const mb_comparison *comparison,
                              FILE *page) {
  layout table = layout_of(options, comparison);

  if (comparison->n_rows == 0) {
    (void)fputs("<p>There is no second strategy to compare with.</p>\n", page);
    return;
  }
  (void)fputs("<p>Every strategy against <code>", page);
  mb_html_put_text(page, comparison->row[0].baseline);
  (void)fputs("</code>, on the same steps: below zero is better.</p>\n"
              "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Comparison\">\n"
              "<table>\n",
              page);
  put_header(page, &table);
  for (size_t i = 0; i < comparison->n_rows; i++) {
    put_row(page, options, &comparison->row[i], &table);
  }
  (void)fputs("</tbody></table></div>\n", page);
  put_note(page, options, comparison, &table);
}
