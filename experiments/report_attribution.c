/* experiments/report_attribution.c */
#include "experiments/report_attribution.h"

#include <stdbool.h>
#include <stdlib.h>

#include "experiments/attribution_text.h"
#include "experiments/report_html.h"

static void put_header(FILE *page) {
  (void)fputs(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Where the imbalance "
      "comes from\">\n<table>\n<thead><tr><th scope=\"col\" class=\"text name\">strategy</th>"
      "<th scope=\"col\">excess</th>",
      page);
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    (void)fprintf(page, "<th scope=\"col\">%s</th>", mb_attribution_parts()[k].name);
  }
  (void)fputs("</tr></thead>\n<tbody>\n", page);
}

static void put_parts(FILE *page, const double parts[MB_N_PARTS]) {
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    (void)fprintf(page, "<td>%.2f&nbsp;%%</td>", 100.0 * parts[k]);
  }
  (void)fputs("</tr>\n", page);
}

static void put_rows(FILE *page, const char *label, const mb_attribution_mean *mean) {
  (void)fputs("<tr><th scope=\"row\"><code>", page);
  mb_html_put_text(page, label);
  (void)fprintf(page, "</code></th><td>%.2f&nbsp;%%</td>", 100.0 * mean->excess);
  put_parts(page, mean->parts);
  (void)fputs("<tr><th scope=\"row\" class=\"note\">its Shapley values</th><td></td>", page);
  put_parts(page, mean->shapley);
}

static void put_sentence(FILE *page, const char *label, const mb_attribution_mean *mean) {
  char text[MB_ATTRIBUTION_TEXT_SIZE];

  mb_attribution_text(mean, sizeof text, text);
  (void)fputs("<p><code>", page);
  mb_html_put_text(page, label);
  (void)fputs("</code>: ", page);
  mb_html_put_text(page, text);
  (void)fputs(".</p>\n", page);
}

static void put_meanings(FILE *page) {
  (void)fputs(
      "</tbody></table></div>\n<details><summary>What the parts are</summary>\n<p>Excess is "
      "the largest GPU load / the mean one, each summed over steps and layers, less 1. Its "
      "parts come from replays of what could have been, from the best on; each is what the "
      "excess rises by where one thing is as it was, and they add up to the excess. How much "
      "falls to the last four depends on their order, here that of the columns; the Shapley "
      "values are the means over all orders.</p>\n<dl>\n",
      page);
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    (void)fprintf(page, "<dt>%s</dt><dd>", mb_attribution_parts()[k].name);
    mb_html_put_text(page, mb_attribution_parts()[k].text);
    (void)fputs("</dd>\n", page);
  }
  (void)fputs("</dl>\n</details>\n", page);
}

/* The scored intervals' mean of a strategy; of no intervals where it has none. */
static mb_status read_mean(const mb_results *results, size_t strategy, mb_attribution_mean *mean) {
  const mb_results_run *run = mb_results_get_run(results);
  mb_results_attribution read;

  if (!mb_results_has_attribution(results, strategy)) {
    return MB_OK;
  }
  MB_TRY(mb_results_read_attribution(results, strategy, &read));
  (void)mb_results_attribution_mean(&read, run->summary_from, run->n_steps, mean);
  mb_results_attribution_fini(&read);
  return MB_OK;
}

/* @param means [n_strategies] zeroed. @param found whether any has intervals. */
static mb_status read_means(const mb_results *results, mb_attribution_mean *means, bool *found) {
  for (size_t i = 0; i < mb_results_get_run(results)->n_strategies; i++) {
    MB_TRY(read_mean(results, i, &means[i]));
    *found = *found || means[i].n_intervals > 0;
  }
  return MB_OK;
}

static void put_each(FILE *page, const mb_results_run *run, const mb_attribution_mean *means,
                     void (*put)(FILE *page, const char *label, const mb_attribution_mean *mean)) {
  for (size_t i = 0; i < run->n_strategies; i++) {
    if (means[i].n_intervals > 0) {
      put(page, run->labels[i], &means[i]);
    }
  }
}

mb_status mb_report_put_attribution(const mb_figure_source *source, FILE *page) {
  const mb_results_run *run = mb_results_get_run(source->run);
  mb_attribution_mean *means = calloc(run->n_strategies, sizeof *means);
  bool found = false;

  if (means == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu strategies", run->n_strategies);
  }
  mb_status status = read_means(source->run, means, &found);
  if (status == MB_OK && found) {
    (void)fputs("<h3 id=\"attribution-table\">Where the imbalance comes from</h3>\n", page);
    put_each(page, run, means, put_sentence);
    put_header(page);
    put_each(page, run, means, put_rows);
    put_meanings(page);
  }
  free(means);
  return status;
}
