/* experiments/figure_caption.c */
#include "experiments/figure_caption.h"

#include <inttypes.h>
#include <string.h>

static bool says(const char *text) {
  return text != NULL && text[0] != '\0';
}

void mb_caption_put_trace(FILE *caption, const mb_results_run *run) {
  (void)fprintf(caption, "Trace: %s", says(run->trace) ? run->trace : "unknown");
  if (says(run->model)) {
    (void)fprintf(caption, ", %s", run->model);
  }
  if (says(run->phase)) {
    (void)fprintf(caption, ", %s", run->phase);
  }
  (void)fprintf(caption, "; %zu steps, scored from step %zu on; %zu MoE layers", run->n_steps,
                run->summary_from, run->n_layers);
  if (run->merge > 1) {
    (void)fprintf(caption, "; a step here is %zu of the trace", run->merge);
  }
  (void)fputs(".\n", caption);
}

void mb_caption_put_setup(FILE *caption, const mb_results *results) {
  const mb_results_run *run = mb_results_get_run(results);
  mb_shape shape;

  if (mb_results_read_shape(results, &shape) == MB_OK) {
    (void)fprintf(caption, "Cluster: %zu GPUs on %zu %s, %zu slots for %zu experts a layer",
                  shape.n_gpus, shape.n_nodes, shape.n_nodes == 1 ? "node" : "nodes", shape.n_slots,
                  shape.n_experts);
    if (run->expert_bytes > 0.0) {
      (void)fprintf(caption, ", each of %.4g MB", run->expert_bytes / 1e6);
    }
    (void)fputs(".\n", caption);
  }
  if (run->interval > 0) {
    (void)fprintf(caption, "Schedule: a plan every %zu steps, from the last %zu", run->interval,
                  run->window);
    if (run->delay > 0) {
      (void)fprintf(caption, ", in effect %zu later", run->delay);
    }
    (void)fputs(".\n", caption);
  }
}

void mb_caption_put_strategies(FILE *caption, size_t n, const char *const *labels) {
  (void)fputs("Strategies: ", caption);
  for (size_t i = 0; i < n; i++) {
    (void)fprintf(caption, "%s%s", i == 0 ? "" : ", ", labels[i]);
  }
  for (size_t i = 0; i < n; i++) {
    if (strcmp(labels[i], "none") == 0) {
      (void)fputs("; none never moves an expert", caption);
    }
    if (strcmp(labels[i], "hindsight") == 0) {
      (void)fputs("; hindsight is l2 planned on the very steps that it is scored on", caption);
    }
  }
  (void)fputs(".\n", caption);
}

void mb_caption_put_run(FILE *caption, const mb_results *results) {
  const mb_results_run *run = mb_results_get_run(results);

  (void)fprintf(caption, "Run: %s", run->name);
  if (run->seed >= 0) {
    (void)fprintf(caption, ", seed %" PRId64, run->seed);
  }
  if (run->relabel > 0) {
    (void)fprintf(caption, ", relabelling %zu of the experts", run->relabel);
  }
  (void)fputs(".\n", caption);
  mb_caption_put_trace(caption, run);
  mb_caption_put_setup(caption, results);
  mb_caption_put_strategies(caption, run->n_strategies, run->labels);
}
