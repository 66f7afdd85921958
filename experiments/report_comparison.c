/* experiments/report_comparison.c */
#include "experiments/report_comparison.h"

#include <math.h>
#include <string.h>

#include "experiments/compare_print.h"
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

static bool is_reference(const mb_compare_row *row) {
  return strcmp(row->strategy, "none") == 0 || strcmp(row->strategy, "hindsight") == 0;
}

/* Pictures reach twice as far as the margin and the widest interval: what lies beyond is clearly
 * different, and would make all else too small to see. So would the references' intervals. */
static double reach_of(const mb_compare_options *options, const mb_comparison *comparison) {
  double reach = 1e-9;

  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    reach = largest(reach, 2.0 * options->margin * row->baseline_value);
    if (!is_reference(row)) {
      reach = largest(reach, 2.0 * (row->high - row->low));
    }
  }
  return reach;
}

static layout layout_of(const mb_compare_options *options, const mb_comparison *comparison) {
  layout made = {.conditions = mb_compare_has_conditions(comparison),
                 .reach = reach_of(options, comparison)};

  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    made.intervals = made.intervals || !isnan(row->low);
    made.seeds = made.seeds || row->n_seeds > 1;
  }
  return made;
}

/* --- cells --- */

static void put_header(FILE *page, const mb_compare_options *options, const layout *table) {
  (void)fputs("<thead><tr>", page);
  (void)fputs(
      "<th scope=\"col\" class=\"text name\">strategy</th><th scope=\"col\">run<br>imbalance</th>"
      "<th scope=\"col\">difference</th>",
      page);
  if (table->intervals) {
    (void)fprintf(page,
                  "<th scope=\"col\">%g&nbsp;%% interval</th><th scope=\"col\" class=\"text\">"
                  "better &larr; 0 &rarr; worse</th>",
                  100.0 * options->confidence);
  }
  (void)fputs("<th scope=\"col\" class=\"text\">verdict</th>", page);
  if (table->intervals) {
    (void)fputs("<th scope=\"col\">p<br>(Holm)</th>", page);
  }
  if (table->seeds) {
    (void)fputs("<th scope=\"col\">seeds<br>better</th>", page);
  }
  (void)fputs("<th scope=\"col\" class=\"text\">units</th></tr></thead>\n", page);
}

/* A percentage with its sign; the minus is as wide as the plus. */
static void put_percent(FILE *page, double value) {
  (void)fprintf(page, "%s%.2f", signbit(value) ? "&minus;" : "+", fabs(value));
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
    (void)fputs("<td>", page);
    put_percent(page, mb_compare_percent(row, row->low));
    (void)fputs(" to ", page);
    put_percent(page, mb_compare_percent(row, row->high));
    (void)fputs("&nbsp;%</td>", page);
  }
  put_picture(page, options, row, reach);
}

static void put_p(FILE *page, const mb_compare_row *row) {
  char text[16] = "–";

  (void)fputs("<td>", page);
  mb_html_put_text(page,
                   isnan(row->p_holm) ? text : mb_compare_format_p(row->p_holm, sizeof text, text));
  (void)fputs("</td>", page);
}

static void put_name(FILE *page, const char *strategy) {
  (void)fputs("<th scope=\"row\">", page);
  mb_html_put_text(page, strategy);
  (void)fputs("</th>", page);
}

/* A condition's rows follow its name: a column of names, which may be long, would make the table
 * wider than the page. */
static void put_condition(FILE *page, const mb_compare_row *row, const layout *table) {
  (void)fprintf(page,
                "<tr class=\"condition\"><th scope=\"rowgroup\" colspan=\"%d\">"
                "<span>",
                5 + (table->intervals ? 3 : 0) + (table->seeds ? 1 : 0));
  mb_html_put_text(page, row->condition);
  (void)fputs("</span></th></tr>\n", page);
}

/* What a condition's rows are compared with. */
static void put_baseline(FILE *page, const mb_compare_row *row, const layout *table) {
  (void)fputs("<tr class=\"baseline\">", page);
  put_name(page, row->baseline);
  (void)fprintf(page,
                "<td>%.4f</td><td></td>%s<td class=\"text\">baseline</td>%s%s<td></td></tr>\n",
                row->baseline_value, table->intervals ? "<td></td><td></td>" : "",
                table->intervals ? "<td></td>" : "", table->seeds ? "<td></td>" : "");
}

static void put_row(FILE *page, const mb_compare_options *options, const mb_compare_row *row,
                    const layout *table) {
  const char *class = row->verdict == MB_COMPARE_BETTER  ? " class=\"better\""
                      : row->verdict == MB_COMPARE_WORSE ? " class=\"worse\""
                                                         : "";

  (void)fputs("<tr>", page);
  put_name(page, row->strategy);
  (void)fprintf(page, "<td>%.4f</td><td>", row->value);
  put_percent(page, mb_compare_percent(row, row->difference));
  (void)fputs("&nbsp;%</td>", page);
  if (table->intervals) {
    put_interval(page, options, row, table->reach);
  }
  (void)fprintf(page, "<td class=\"text\"><span%s>%s</span></td>", class,
                mb_compare_verdict_name(row->verdict));
  if (table->intervals) {
    put_p(page, row);
  }
  if (table->seeds) {
    (void)fprintf(page, "<td>%zu of %zu</td>", row->n_wins, row->n_seeds);
  }
  (void)fputs("<td class=\"text\">", page);
  mb_compare_put_units(row, page);
  (void)fputs("</td></tr>\n", page);
}

static void put_table(FILE *page, const mb_compare_options *options,
                      const mb_comparison *comparison) {
  layout table = layout_of(options, comparison);

  (void)fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Comparison\">\n"
              "<table>\n",
              page);
  put_header(page, options, &table);
  for (size_t i = 0; i < comparison->n_rows; i++) {
    const mb_compare_row *row = &comparison->row[i];
    if (i == 0 || strcmp(row->condition, row[-1].condition) != 0) {
      (void)fputs(i == 0 ? "<tbody>\n" : "</tbody>\n<tbody>\n", page);
      if (table.conditions) {
        put_condition(page, row, &table);
      }
      put_baseline(page, row, &table);
    }
    put_row(page, options, row, &table);
  }
  (void)fputs("</tbody></table></div>\n", page);
}

/* --- around the table --- */

static void put_note(const char *line, FILE *page) {
  (void)fputs("<p class=\"note\">", page);
  mb_html_put_prose(page, line);
  (void)fputs("</p>\n", page);
}

void mb_report_put_comparison(const mb_compare_options *options, const mb_comparison *comparison,
                              FILE *page) {
  const mb_compare_view view = {.options = options, .comparison = comparison};

  if (comparison->n_rows == 0) {
    (void)fputs("<p>There is no second strategy to compare with.</p>\n", page);
    return;
  }
  (void)fputs("<p>Every strategy against <code>", page);
  mb_html_put_text(page, comparison->row[0].baseline);
  (void)fputs("</code>, on the same steps: below zero is better.</p>\n", page);
  put_table(page, options, comparison);
  mb_compare_for_notes(&view, put_note, page);
  (void)fputs("<p class=\"note\"><code>moebal compare</code> makes this table of the results file, "
              "with other baselines, margins and block lengths.</p>\n",
              page);
}
