/* experiments/compare_tsv.c - comparisons as tab-separated values. */
#include <math.h>

#include "experiments/compare_print.h"

/* NaN without a sign, which printf would show. */
static void put_number(FILE *stream, double number) {
  if (isnan(number)) {
    (void)fputs("\tNaN", stream);
  } else {
    (void)fprintf(stream, "\t%.10g", number);
  }
}

static void put_row(const mb_compare_row *row, FILE *stream) {
  const double before[] = {row->value,
                           row->baseline_value,
                           row->difference,
                           row->low,
                           row->high,
                           mb_compare_percent(row, row->difference),
                           mb_compare_percent(row, row->low),
                           mb_compare_percent(row, row->high),
                           row->p,
                           row->p_holm,
                           row->error,
                           row->error_by_step,
                           row->relabel_sd,
                           row->relabel_range,
                           row->relabel_difference_range,
                           row->moved_experts,
                           row->baseline_moved_experts};

  (void)fprintf(stream, "%s\t%s\t%s\t%s", row->condition, row->strategy, row->baseline,
                mb_compare_verdict_name(row->verdict));
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
    put_number(stream, before[i]);
  }
  (void)fprintf(stream, "\t%zu\t%zu\t%zu\t%zu\t%s\t%zu\t%zu\t%s\t%s\n", row->n_seeds, row->n_wins,
                row->n_losses, row->n_relabellings, row->unit, row->n_units, row->block_length,
                row->block_from, row->method);
}

static void put_seeds(const mb_compare_row *row, FILE *stream) {
  for (size_t s = 0; s < row->n_seeds; s++) {
    const mb_compare_seed *seed = &row->seed[s];
    char name[24];
    (void)fprintf(stream, "%s\t%s\t%s\t%s", row->condition, row->strategy, row->baseline,
                  mb_compare_seed_name(seed, sizeof name, name));
    put_number(stream, seed->value);
    put_number(stream, seed->baseline_value);
    put_number(stream, seed->value - seed->baseline_value);
    (void)fputc('\n', stream);
  }
}

void mb_compare_print_tsv(const mb_compare_view *view, FILE *stream) {
  (void)fputs(view->per_seed
                  ? "condition\tstrategy\tbaseline\tseed\trun_imbalance\tbaseline_run_imbalance\t"
                    "difference\n"
                  : "condition\tstrategy\tbaseline\tverdict\trun_imbalance\t"
                    "baseline_run_imbalance\tdifference\tlow\thigh\tdifference_percent\t"
                    "low_percent\thigh_percent\tp\tp_holm\terror\terror_by_step\trelabel_sd\t"
                    "relabel_range\trelabel_difference_range\tmoved_experts\tbaseline_moved_"
                    "experts\tseeds\twins\tlosses\t"
                    "relabellings\tunit\tunits\tblock_steps\tblock_from\tmethod\n",
              stream);
  for (size_t i = 0; i < view->comparison->n_rows; i++) {
    if (view->per_seed) {
      put_seeds(&view->comparison->row[i], stream);
    } else {
      put_row(&view->comparison->row[i], stream);
    }
  }
}
