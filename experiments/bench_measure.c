/* experiments/bench_measure.c */
#include "experiments/bench_measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/rebalance.h"
#include "experiments/bench_lane.h"
#include "experiments/interrupt.h"
#include "experiments/progress.h"

enum { LANES_MAX = MB_BENCH_IMPLEMENTATIONS_MAX + 2 };

/* Everything that the measurement of one problem needs. */
typedef struct work {
  const mb_bench_plan *plan;
  const mb_bench_problem *problem;
  mb_bench_result *result;
  size_t n_lanes;
  mb_bench_lane lanes[LANES_MAX];
  double *load;     /* [L,E] */
  double *gpu_load; /* [D] */
  mb_progress progress;
  size_t done;
} work;

/* --- the lanes --- */

static mb_status add_backend(work *w, const mb_bench_implementation *implementation) {
  const mb_shape *shape = &w->problem->shape;

  if (implementation->brute && w->problem->brute == MB_BRUTE_NONE) {
    return mb_bench_result_note(w->result,
                                "%s: %s is left out, all pairs of %zu items are too many",
                                w->problem->name, implementation->name, shape->n_slots);
  }
  /* The backend's own name: a GPU that is emulated says so there. */
  mb_status status = mb_bench_lane_init(&w->lanes[w->n_lanes], implementation->backend->name, shape,
                                        implementation->backend, NULL);
  if (status == MB_ERR_UNSUPPORTED) {
    char why[1024];
    (void)snprintf(why, sizeof why, "%s", mb_error_message());
    /* A machine without the device that was asked for is an error; a shape too large for it is not.
     */
    if (w->plan->must_run && mb_cuda_device_find(NULL) != MB_OK) {
      return MB_FAIL(status, "%s", why);
    }
    return mb_bench_result_note(w->result, "%s is left out: %s", implementation->name, why);
  }
  w->n_lanes += status == MB_OK;
  return status;
}

static mb_status add_torch(work *w, const char *name, mb_torch_mode mode) {
  mb_bench_lane *lane = &w->lanes[w->n_lanes];

  MB_TRY(mb_bench_lane_init(lane, name, &w->problem->shape, NULL, w->plan->torch));
  lane->mode = mode;
  w->n_lanes++;
  return MB_OK;
}

static mb_status add_lanes(work *w) {
  const mb_bench_plan *plan = w->plan;

  for (size_t i = 0; i < plan->n_implementations; i++) {
    MB_TRY(add_backend(w, plan->implementations[i]));
  }
  if (plan->torch == NULL) {
    return MB_OK;
  }
  if (w->problem->brute != MB_BRUTE_ALL) {
    return mb_bench_result_note(
        w->result, "%s: torch is left out, all pairs of %zu items in %zu layers are too many",
        w->problem->name, w->problem->shape.n_slots, w->problem->shape.n_layers);
  }
  MB_TRY(add_torch(w, "torch", MB_TORCH_CPU_FLOAT));
  return *mb_torch_gpu(plan->torch) != '\0' ? add_torch(w, "torch-gpu", MB_TORCH_GPU_FLOAT) : MB_OK;
}

/* --- measuring --- */

static bool is_torch(const mb_bench_lane *lane) {
  return lane->backend == NULL;
}

static mb_status check_placements(const work *w, const mb_refinement_type *strategy,
                                  const mb_bench_lane *lane, const char *when) {
  char why[1024];

  if (is_torch(&w->lanes[0]) || mb_bench_lane_compare(&w->lanes[0], lane) == MB_OK) {
    return MB_OK;
  }
  (void)snprintf(why, sizeof why, "%s", mb_error_message());
  return MB_FAIL(MB_ERR_RANGE, "%s, %s, %s: placements are not the same: %s", w->problem->name,
                 strategy->name, when, why);
}

/* A lane's turn in a repetition that counts. */
static mb_status measure(work *w, mb_bench_lane *lane, const mb_refinement_type *strategy,
                         mb_bench_row *row, size_t repetition) {
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  mb_balance_options once = {1, options.min_gain, options.reference_quirks};
  mb_pack_stats stats = {0, 0};
  mb_pack_stats first = {0, 0};
  double first_seconds = NAN;
  double seconds = 0;

  if (!is_torch(lane) && strategy->refine != NULL) {
    MB_TRY(mb_bench_lane_time(lane, w->load, strategy, &once, &first, &first_seconds));
  }
  MB_TRY(mb_bench_lane_time(lane, w->load, strategy, &options, &stats, &seconds));
  row->seconds[repetition] = seconds;
  row->rounds[repetition] = (double)stats.rounds;
  row->swaps[repetition] = (double)stats.swaps;
  row->round_seconds[repetition] = stats.rounds > 0 ? seconds / (double)stats.rounds : NAN;
  row->further_seconds[repetition] =
      stats.rounds > first.rounds
          ? (seconds - first_seconds) / (double)(stats.rounds - first.rounds)
          : NAN;
  mb_bench_objective(&w->problem->shape, w->load, &lane->placement, w->gpu_load,
                     &row->imbalance[repetition], &row->mean_square[repetition]);
  return MB_OK;
}

/* The first repetition: nothing is kept but that all agree, torch in float64 too. */
static mb_status warm_up(work *w, const mb_refinement_type *strategy) {
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  mb_pack_stats stats = {0, 0};
  double seconds = 0;

  MB_TRY(mb_bench_loads(w->problem, w->plan->seed, w->plan->repetitions, w->load));
  for (size_t i = 0; i < w->n_lanes; i++) {
    mb_bench_lane *lane = &w->lanes[i];
    mb_torch_mode mode = lane->mode;
    MB_TRY(mb_interrupt_check());
    lane->mode = mode == MB_TORCH_CPU_FLOAT ? MB_TORCH_CPU_DOUBLE : mode;
    mb_status status = mb_bench_lane_time(lane, w->load, strategy, &options, &stats, &seconds);
    lane->mode = mode;
    MB_TRY(status);
    if (!is_torch(lane) || mode == MB_TORCH_CPU_FLOAT) {
      MB_TRY(check_placements(w, strategy, lane, "warm-up"));
    }
  }
  return MB_OK;
}

static mb_status repeat(work *w, const mb_refinement_type *strategy, mb_bench_row *rows,
                        size_t repetition) {
  char when[48];

  (void)snprintf(when, sizeof when, "repetition %zu", repetition);
  MB_TRY(mb_bench_loads(w->problem, w->plan->seed, repetition, w->load));
  /* Each in turn begins, so that nobody always comes after the same one. */
  for (size_t turn = 0; turn < w->n_lanes; turn++) {
    size_t i = (turn + repetition) % w->n_lanes;
    MB_TRY(mb_interrupt_check());
    MB_TRY(measure(w, &w->lanes[i], strategy, &rows[i], repetition));
  }
  for (size_t i = 0; i < w->n_lanes; i++) {
    if (!is_torch(&w->lanes[i])) {
      MB_TRY(check_placements(w, strategy, &w->lanes[i], when));
    }
  }
  return MB_OK;
}

static mb_status measure_strategy(work *w, const mb_refinement_type *strategy) {
  const size_t repetitions = w->plan->repetitions;
  const size_t first = w->result->n_rows;

  for (size_t i = 0; i < w->n_lanes; i++) {
    if (mb_bench_result_add(w->result, w->problem, strategy->name, w->lanes[i].name, repetitions) ==
        NULL) {
      return MB_ERR_MEMORY;
    }
  }
  MB_TRY(warm_up(w, strategy));
  for (size_t r = 0; r < repetitions; r++) {
    mb_progress_update(&w->progress, ++w->done);
    MB_TRY(repeat(w, strategy, w->result->rows + first, r));
  }
  mb_progress_update(&w->progress, ++w->done);
  return mb_bench_result_summarize(w->result, first);
}

mb_status mb_bench_measure(const mb_bench_plan *plan, const mb_bench_problem *problem,
                           mb_bench_result *result) {
  work w = {.plan = plan, .problem = problem, .result = result};
  char what[128];
  mb_status status = MB_OK;

  w.load = calloc(problem->shape.n_layers * problem->shape.n_experts, sizeof *w.load);
  w.gpu_load = calloc(problem->shape.n_gpus, sizeof *w.gpu_load);
  if (w.load == NULL || w.gpu_load == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the loads of %s", problem->name);
  }
  (void)snprintf(what, sizeof what, "repetitions of %s", problem->name);
  mb_progress_start(&w.progress, what, plan->n_strategies * (plan->repetitions + 1), false);
  status = status == MB_OK ? add_lanes(&w) : status;
  for (size_t s = 0; s < plan->n_strategies && w.n_lanes > 0 && status == MB_OK; s++) {
    status = measure_strategy(&w, plan->strategies[s]);
  }
  mb_progress_end(&w.progress);
  for (size_t i = 0; i < w.n_lanes; i++) {
    mb_bench_lane_fini(&w.lanes[i]);
  }
  free(w.gpu_load);
  free(w.load);
  return status;
}
