/* experiments/cost_print.c */
#include "experiments/cost_print.h"

#include <math.h>
#include <string.h>

bool mb_cost_is_known(const mb_replay_summary *summary) {
  return summary->cost.break_even_tokens > 0.0;
}

bool mb_cost_is_memory_bound(const mb_replay_summary *summary) {
  return summary->tokens_per_active_slot < summary->cost.break_even_tokens;
}

void mb_cost_put_regime(FILE *stream, const mb_replay_summary *summary) {
  (void)fprintf(stream,
                "A slot with tokens has %.1f of them in the mean; reading its weights takes as "
                "long as computing %.0f, and sets the time of %.1f %% of these slots",
                summary->tokens_per_active_slot, summary->cost.break_even_tokens,
                100.0 * summary->cost.memory_bound_slots);
  (void)fputs(
      mb_cost_is_memory_bound(summary)
          ? ": there balance of tokens gains experts little, and time imbalance is the headline."
          : ".",
      stream);
}

/* "-" where there is none, "never" where it is infinite. */
static void print_number(FILE *stream, int width, int digits, double value) {
  if (isnan(value)) {
    (void)fprintf(stream, "  %*s", width, "-");
  } else if (isinf(value)) {
    (void)fprintf(stream, "  %*s", width, "never");
  } else {
    (void)fprintf(stream, "  %*.*f", width, digits, value);
  }
}

static void print_row(FILE *stream, int width, const char *label,
                      const mb_replay_summary *summary) {
  const mb_cost_summary *cost = &summary->cost;
  double plans = summary->plans > 0 ? (double)summary->plans : NAN;

  (void)fprintf(stream, "%-*s", width, label);
  print_number(stream, 14, 4, cost->run_time_imbalance);
  print_number(stream, 8, 3, 1e3 * cost->step_latency_mean);
  print_number(stream, 9, 1, 100.0 * cost->experts_share);
  print_number(stream, 10, 1, cost->gpu_time_lost_total);
  print_number(stream, 13, 2, 1e3 * cost->rebalance_stall_total / plans);
  print_number(stream, 8, 2, cost->intra_node_bytes_total / plans / 1e9);
  print_number(stream, 8, 2, cost->inter_node_bytes_total / plans / 1e9);
  print_number(stream, 8, 4, cost->speedup_over_none);
  print_number(stream, 10, 0, ceil(cost->break_even_interval));
  (void)fputc('\n', stream);
}

/* The strategy by which the regime is told: the first that plans, as none may have idle slots. */
static const mb_replay_summary *typical(size_t n, const mb_replay_summary *summary) {
  for (size_t i = 0; i < n; i++) {
    if (summary[i].plans > 0) {
      return &summary[i];
    }
  }
  return &summary[0];
}

void mb_cost_print_table(FILE *stream, size_t n, const char *const *label,
                         const mb_replay_summary *summary) {
  int width = (int)strlen("strategy");

  for (size_t i = 0; i < n; i++) {
    int length = (int)strlen(label[i]);
    width = length > width ? length : width;
  }
  (void)fprintf(stream, "\n%-*s  %14s  %8s  %9s  %10s  %13s  %8s  %8s  %8s  %10s\n", width,
                "strategy", "time imbalance", "step ms", "experts %", "lost GPU s", "stall ms/plan",
                "GB intra", "GB inter", "speed-up", "pays after");
  for (size_t i = 0; i < n; i++) {
    print_row(stream, width, label[i], &summary[i]);
  }
  (void)fputs("\nTime by the config's cost: GB are of a plan; speed-up is over none, stalls and "
              "all; a plan pays after so many steps, or never.\n",
              stream);
  mb_cost_put_regime(stream, typical(n, summary));
  (void)fputc('\n', stream);
}
