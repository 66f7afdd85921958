/* experiments/report_costs.c */
#include "experiments/report_costs.h"

#include <math.h>
#include <stddef.h>

#include "experiments/cost_print.h"
#include "experiments/report_html.h"
#include "sim/metrics.h"

static const struct column {
  const char *header, *metric;
  size_t offset; /* of the value in mb_cost_summary */
  double scale;
  int digits;
  bool of_plan; /* divided by the plans */
} columns[] = {
    {"time<br>imbalance", "run_time_imbalance", offsetof(mb_cost_summary, run_time_imbalance), 1.0,
     4, false},
    {"step<br>ms", "step_latency_mean", offsetof(mb_cost_summary, step_latency_mean), 1e3, 3,
     false},
    {"experts'<br>share %", "experts_share", offsetof(mb_cost_summary, experts_share), 100.0, 1,
     false},
    {"lost<br>GPU s", "gpu_time_lost_total", offsetof(mb_cost_summary, gpu_time_lost_total), 1.0, 1,
     false},
    {"stall ms<br>a plan", "rebalance_stall_total",
     offsetof(mb_cost_summary, rebalance_stall_total), 1e3, 2, true},
    {"GB a plan<br>in a GPU", "same_gpu_bytes_total",
     offsetof(mb_cost_summary, same_gpu_bytes_total), 1e-9, 2, true},
    {"GB a plan<br>in a node", "intra_node_bytes_total",
     offsetof(mb_cost_summary, intra_node_bytes_total), 1e-9, 2, true},
    {"GB a plan<br>between nodes", "inter_node_bytes_total",
     offsetof(mb_cost_summary, inter_node_bytes_total), 1e-9, 2, true},
    {"speed-up<br>over none", "speedup_over_none", offsetof(mb_cost_summary, speedup_over_none),
     1.0, 4, false},
    {"a plan pays<br>after steps", "break_even_interval",
     offsetof(mb_cost_summary, break_even_interval), 1.0, 0, false},
    {"GPU<br>hours", "gpu_hours", offsetof(mb_cost_summary, gpu_hours), 1.0, 4, false},
};

enum { N_COLUMNS = sizeof columns / sizeof *columns };

static void put_row(FILE *page, const char *label, const mb_replay_summary *summary) {
  double plans = summary->plans > 0 ? (double)summary->plans : NAN;

  (void)fputs("<tr><th scope=\"row\">", page);
  mb_html_put_text(page, label);
  (void)fputs("</th>", page);
  for (size_t i = 0; i < N_COLUMNS; i++) {
    const struct column *column = &columns[i];
    double value = *(const double *)((const char *)&summary->cost + column->offset);
    value *= column->scale / (column->of_plan ? plans : 1.0);
    if (isnan(value)) {
      (void)fputs("<td>–</td>", page);
    } else if (isinf(value)) {
      (void)fputs("<td>never</td>", page);
    } else {
      (void)fprintf(page, "<td>%.*f</td>", column->digits, value);
    }
  }
  (void)fputs("</tr>\n", page);
}

static void put_meanings(FILE *page) {
  (void)fputs("<details><summary>What the columns of time mean</summary>\n<dl>\n", page);
  for (size_t i = 0; i < N_COLUMNS; i++) {
    const mb_metric *metric = mb_metric_find(columns[i].metric);
    (void)fprintf(page, "<dt>%s</dt><dd>", metric->name);
    mb_html_put_text(page, metric->formula);
    (void)fputs("</dd>\n", page);
  }
  (void)fputs("</dl>\n<p class=\"note\">Bytes of the all-to-all are an upper bound: loads do not "
              "say which of a token's experts share a node, where it is sent once.</p></details>\n",
              page);
}

static void put_header(FILE *page) {
  (void)fputs(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Costs by "
      "strategy\">\n<table>\n<thead><tr><th scope=\"col\" class=\"text name\">strategy</th>",
      page);
  for (size_t i = 0; i < N_COLUMNS; i++) {
    (void)fprintf(page, "<th scope=\"col\">%s</th>", columns[i].header);
  }
  (void)fputs("</tr></thead>\n<tbody>\n", page);
}

mb_status mb_report_put_costs(const mb_figure_source *source, FILE *page) {
  const mb_results_run *run = mb_results_get_run(source->run);
  mb_replay_summary typical = {.plans = 0};
  mb_replay_summary summary;

  MB_TRY(mb_results_read_summary(source->run, 0, &summary));
  if (!mb_cost_is_known(&summary)) {
    return MB_OK;
  }
  (void)fputs("<h3>Time</h3>\n", page);
  put_header(page);
  for (size_t i = 0; i < run->n_strategies; i++) {
    MB_TRY(mb_results_read_summary(source->run, i, &summary));
    put_row(page, run->labels[i], &summary);
    typical = i == 0 || (typical.plans == 0 && summary.plans > 0) ? summary : typical;
  }
  (void)fputs("</tbody></table></div>\n<p>", page);
  mb_cost_put_regime(page, &typical);
  (void)fputs("</p>\n", page);
  put_meanings(page);
  return MB_OK;
}
