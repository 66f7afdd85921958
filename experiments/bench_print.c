/* experiments/bench_print.c */
#include "experiments/bench_print.h"

#include <math.h>
#include <stdio.h>

#include "experiments/wrap.h"

void mb_bench_print_head(const mb_bench_result *result) {
  const mb_bench_machine *machine = &result->machine;

  (void)printf("cpu       %s, %zu cores, %zu threads\n", machine->cpu, machine->cores,
               machine->threads);
  (void)printf("gpu       %s\n", machine->gpu);
  (void)printf("moebal    %s (%s), %s, %s\n", machine->version, machine->git, machine->compiler,
               machine->build);
  if (machine->torch[0] != '\0') {
    (void)printf("torch     %s, one thread, timed in float32; in float64 it has to place alike\n",
                 machine->torch);
  }
  (void)printf("loads     lognormal, sigma 1, seed %llu, %zu repetitions\n\n",
               (unsigned long long)result->seed, result->repetitions);
  mb_wrap_print(stdout, 0, 0,
                "ms: median of a whole rebalance, and 10th to 90th percentile. us/round: that over "
                "the rounds of all packings; +1 round: what a round after the first costs. rounds, "
                "swaps, max/mean GPU load and the mean of squared loads over the squared mean: "
                "medians. x naive, x torch: how many times faster than these, in pairs of the same "
                "loads.");
}

/* A number in a column, "-" for none. */
static void put(int width, const char *format, double number) {
  char text[32] = "-";

  if (!isnan(number)) {
    (void)snprintf(text, sizeof text, format, number);
  }
  (void)printf(" %*s", width, text);
}

/* Four digits, or all before the point. */
static void put_ratio(double ratio) {
  put(8, ratio < 9.995 ? "%.2f" : ratio < 99.95 ? "%.1f" : "%.0f", ratio);
}

static void print_row(const mb_bench_row *row) {
  const mb_spread *seconds = &row->seconds_spread;
  const char *format = seconds->median < 0.1 ? "%.3f" : "%.1f";

  (void)printf("%-7s %-9s", row->strategy, row->implementation);
  put(9, format, 1e3 * seconds->median);
  put(9, format, 1e3 * seconds->p10);
  put(9, format, 1e3 * seconds->p90);
  put(9, "%.3f", 1e6 * row->round_spread.median);
  /* A difference of two times can come out below 0, which says that it cannot be seen. */
  double further = row->further_spread.median;
  put(9, "%.3f", further > 0 ? 1e6 * further : NAN);
  put(7, "%.0f", row->rounds_median);
  put(7, "%.0f", row->swaps_median);
  put(8, "%.5f", row->imbalance_median);
  put(8, "%.5f", row->mean_square_median);
  put_ratio(row->ratio_to_naive);
  put_ratio(row->ratio_to_torch);
  (void)putchar('\n');
}

void mb_bench_print_problem(const mb_bench_result *result, const mb_bench_problem *problem,
                            size_t first, size_t first_note) {
  const mb_shape *shape = &problem->shape;

  (void)printf("\n%s: %zu layers, %zu experts in %zu slots on %zu GPUs", problem->name,
               shape->n_layers, shape->n_experts, shape->n_slots, shape->n_gpus);
  if (mb_shape_is_hierarchical(shape) && shape->n_nodes > 1) {
    (void)printf(", %zu groups on %zu nodes\n", shape->n_groups, shape->n_nodes);
  } else {
    (void)printf(", global\n");
  }
  (void)printf("%-7s %-9s %9s %9s %9s %9s %9s %7s %7s %8s %8s %8s %8s\n", "", "", "ms", "p10",
               "p90", "us/round", "+1 round", "rounds", "swaps", "max/mean", "squares", "x naive",
               "x torch");
  for (size_t i = first; i < result->n_rows; i++) {
    print_row(&result->rows[i]);
  }
  for (size_t i = first_note; i < result->n_notes; i++) {
    (void)printf("%s\n", result->notes[i]);
  }
  (void)fflush(stdout);
}

static void put_slope(const mb_power_fit *fit) {
  char text[32] = "-";

  if (!isnan(fit->slope)) {
    (void)snprintf(text, sizeof text, "%.2f +- %.2f", fit->slope, fit->error);
  }
  (void)printf(" %14s", text);
}

void mb_bench_print_fits(const mb_bench_result *result) {
  if (result->n_fits == 0) {
    return;
  }
  (void)printf("\nTimes grow as n to the power of\n");
  (void)printf("%-6s %-7s %-9s %6s %14s %14s %14s\n", "", "", "", "points", "whole", "us/round",
               "+1 round");
  for (size_t i = 0; i < result->n_fits; i++) {
    const mb_bench_fit *fit = &result->fits[i];
    (void)printf("%-6s %-7s %-9s %6zu", fit->family, fit->strategy, fit->implementation,
                 fit->n_points);
    put_slope(&fit->seconds);
    put_slope(&fit->round_seconds);
    put_slope(&fit->further_seconds);
    (void)putchar('\n');
  }
}
