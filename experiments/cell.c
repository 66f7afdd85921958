/* experiments/cell.c - a replay's steps: prepare, replay, finish. */
#include "experiments/cell.h"

#include <stdlib.h>
#include <string.h>

#include "experiments/external_planner.h"
#include "experiments/interrupt.h"

/* --- before --- */

static mb_status no_memory(const mb_cell *cell) {
  return MB_FAIL(MB_ERR_MEMORY, "%s: out of memory", cell->config->path);
}

mb_status mb_cell_prepare(const mb_config *config, const char *output, mb_source *source,
                          mb_cell *cell) {
  cell->config = config;
  cell->source = source;
  (void)mb_provenance_time(cell->start_time);
  cell->output = strdup(output);
  if (cell->output == NULL) {
    return no_memory(cell);
  }
  MB_TRY(mb_results_check_path(output, config->trace_file));
  if (source == NULL) {
    MB_TRY(mb_config_open_source(config, &cell->source));
  }
  MB_TRY(mb_config_fit(config, mb_source_get_info(cell->source), &cell->replay));
  MB_TRY(mb_backend_choose(config->backend, &cell->replay.shape, &cell->backend));
  cell->replay.backend = cell->backend.backend;
  MB_TRY(mb_config_make_cost(config, mb_source_get_info(cell->source), &cell->replay.shape,
                             &cell->cost));
  cell->replay.cost = cell->cost;
  cell->summary = calloc(config->n_strategies, sizeof *cell->summary);
  cell->n_plans = calloc(config->n_strategies, sizeof *cell->n_plans);
  cell->attributed = calloc(config->n_strategies, sizeof *cell->attributed);
  return cell->summary != NULL && cell->n_plans != NULL && cell->attributed != NULL
             ? MB_OK
             : no_memory(cell);
}

void mb_cell_set_source(mb_cell *cell, mb_source *source) {
  mb_source_destroy(cell->source);
  cell->source = source;
}

void mb_cell_fini(mb_cell *cell) {
  mb_results_writer_destroy(cell->writer);
  mb_source_destroy(cell->source);
  mb_cost_destroy(cell->cost);
  free(cell->summary);
  free(cell->n_plans);
  free(cell->attributed);
  free(cell->output);
  *cell = (mb_cell){.config = NULL};
}

/* --- while it runs --- */

/* Notes whose fault a failure is: of what stands on a full disk nothing is the config's. */
static mb_status written(mb_cell *cell, mb_status status) {
  cell->unwritable = cell->unwritable || status == MB_ERR_IO;
  return status;
}

static mb_status take_steps(void *context, size_t strategy, size_t first, size_t n,
                            const double *step_imbalance, const float *imbalance,
                            const int32_t *active_experts) {
  mb_cell *cell = context;

  MB_TRY(mb_interrupt_check());
  return written(cell, mb_results_writer_put_steps(cell->writer, strategy, first, n, step_imbalance,
                                                   imbalance, active_experts));
}

static mb_status take_step_load(void *context, size_t first, size_t n, const double *step_load) {
  mb_cell *cell = context;

  return written(cell, mb_results_writer_put_step_load(cell->writer, first, n, step_load));
}

static mb_status take_costs(void *context, size_t strategy, size_t first, size_t n,
                            const mb_cost_rows *rows) {
  mb_cell *cell = context;

  return written(cell, mb_results_writer_put_costs(cell->writer, strategy, first, n, rows));
}

static mb_status take_plan(void *context, const mb_plan_record *record) {
  mb_cell *cell = context;

  MB_TRY(mb_interrupt_check());
  cell->n_plans[record->strategy]++;
  return written(cell, mb_results_writer_put_plan(cell->writer, record));
}

static mb_status take_attribution(void *context, const mb_attribution_record *record) {
  mb_cell *cell = context;

  if (record->step >= (int64_t)cell->replay.summary_from) {
    mb_attribution_add(&cell->attributed[record->strategy], record);
  }
  return written(cell, mb_results_writer_put_attribution(cell->writer, record));
}

static mb_status take_progress(void *context, size_t n_steps_done) {
  const mb_cell *cell = context;

  if (cell->watch != NULL) {
    cell->watch(cell->watcher, n_steps_done, mb_source_get_info(cell->source)->n_steps);
  }
  return mb_interrupt_check();
}

/* What the run says of its loads, the same wherever the file lies. */
static const char *trace_name(const mb_config *config) {
  if (config->trace_file == NULL) {
    return config->generator->name;
  }
  const char *slash = strrchr(config->trace_file, '/');
  return slash != NULL ? slash + 1 : config->trace_file;
}

static mb_status replay(mb_cell *cell) {
  const mb_replay_sink sink = {.context = cell,
                               .steps = take_steps,
                               .plan = take_plan,
                               .progress = take_progress,
                               .step_load = take_step_load,
                               .costs = take_costs,
                               .attribution = cell->config->attribution ? take_attribution : NULL};
  const mb_config *config = cell->config;
  const mb_trace_info *info = mb_source_get_info(cell->source);
  size_t merge = (size_t)config->merge;
  /* What is known of requests is in steps of the trace. */
  size_t lifetime = ((size_t)config->request_lifetime + merge - 1) / merge;
  const mb_results_origin origin = {.run = config->name,
                                    .trace = trace_name(config),
                                    .seed = config->trace_file == NULL ? config->loads_seed : -1,
                                    .merge = merge,
                                    .request_lifetime = lifetime,
                                    .expert_bytes = (double)mb_config_expert_bytes(config, info),
                                    .attributed = config->attribution};

  MB_TRY(written(
      cell, mb_results_writer_create(cell->output, &origin, &cell->replay, info, &cell->writer)));
  return mb_replay(&cell->replay, cell->source, &sink, cell->summary);
}

/* --- afterwards --- */

static mb_status put_startups(const mb_cell *cell) {
  for (size_t i = 0; i < cell->config->n_strategies; i++) {
    if (cell->config->strategies[i].strategy == &mb_strategy_command) {
      const mb_command_params *params = cell->config->strategies[i].params;
      MB_TRY(mb_results_writer_put_startup(cell->writer, i, *params->startup_seconds));
    }
  }
  return MB_OK;
}

static mb_status finish_file(mb_cell *cell, const char *config_text) {
  const mb_config *config = cell->config;
  char digest[MB_DIGEST_SIZE];

  mb_source_digest(cell->source, digest);
  const mb_provenance provenance = {.config = config_text,
                                    .trace = config->trace_file != NULL ? config->trace_file
                                                                        : config->generator->name,
                                    .source = mb_source_get_info(cell->source)->source,
                                    .load_xxh3 = digest,
                                    .start_time = cell->start_time,
                                    .seed = config->seed,
                                    .backend = cell->backend.backend->name,
                                    .gpu = cell->backend.gpu};
  MB_TRY(mb_interrupt_check());
  mb_status status = mb_results_writer_finish(cell->writer, &provenance);
  cell->writer = NULL;
  return status;
}

static mb_status finish(mb_cell *cell) {
  char *config = NULL;

  MB_TRY(written(cell, mb_results_writer_put_summary(cell->writer, cell->summary)));
  MB_TRY(written(cell, put_startups(cell)));
  MB_TRY(mb_config_format(cell->config, &cell->replay, &config));
  mb_status status = written(cell, finish_file(cell, config));
  free(config);
  return status;
}

mb_status mb_cell_run(mb_cell *cell, mb_cell_watch watch, void *watcher) {
  cell->watch = watch;
  cell->watcher = watcher;
  mb_status status = replay(cell);
  return status == MB_OK ? finish(cell) : status;
}
