/* experiments/check_measure.c */
#include "experiments/check_measure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "experiments/results_file.h"
#include "sim/replay.h"
#include "workloads/digest.h"

enum { TEXT_SIZE = 4096, NAME_SIZE = 64, CHUNK_STEPS = 256 };

/* A cell as a baseline tells it apart from others. */
typedef struct run_place {
  char setting[TEXT_SIZE];
  char seed[TEXT_SIZE];
  const char *strategy;
} run_place;

/* A run that is being read. */
typedef struct run {
  const mb_results *results;
  const mb_results_run *info;
  run_place place;
  double *step_load;      /* [T] */
  double *step_imbalance; /* [T] */
  float *imbalance;       /* [CHUNK_STEPS,L] */
  double *layer_sum;      /* [L] sums of load times imbalance */
  double *layer_load;     /* [L] and of that load */
} run;

static mb_status no_memory(void) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory to measure a run");
}

/* --- which cell it is --- */

static bool is_seed(const char *key) {
  return strcmp(key, "seed") == 0 || strcmp(key, "trace.generate.seed") == 0;
}

static void append(char text[TEXT_SIZE], const char *separator, const char *what,
                   const char *more) {
  size_t n = strlen(text);

  (void)snprintf(text + n, TEXT_SIZE - n, "%s%s%s", n > 0 ? separator : "", what, more);
}

static void name_place(const mb_results_cells *cells, const mb_results_cell *cell,
                       run_place *place) {
  char key[NAME_SIZE * 2];

  place->setting[0] = '\0';
  place->seed[0] = '\0';
  for (size_t k = 0; k < cells->n_keys; k++) {
    if (is_seed(cells->key[k])) {
      append(place->seed, ",", cell->value[k], "");
    } else {
      (void)snprintf(key, sizeof key, "%s=", cells->key[k]);
      append(place->setting, " ", key, cell->value[k]);
    }
  }
  append(place->setting, "", place->setting[0] == '\0' ? "-" : "", "");
  append(place->seed, "", place->seed[0] == '\0' ? "-" : "", "");
}

/* --- placements --- */

static mb_status hash_plans(const run *r, size_t strategy, size_t n_plans,
                            const int64_t *effect_step, const mb_shape *shape, XXH3_state_t *hash) {
  size_t map_size = shape->n_layers * shape->n_slots * sizeof(int32_t);
  int32_t *map = malloc(map_size);
  mb_status status = map != NULL ? MB_OK : no_memory();

  for (size_t k = 0; k < n_plans && status == MB_OK; k++) {
    int64_t step = 0;
    status = mb_results_read_plan(r->results, strategy, k, shape, &step, map);
    if (status == MB_OK) {
      (void)XXH3_128bits_update(hash, &step, sizeof step);
      (void)XXH3_128bits_update(hash, effect_step + k * shape->n_layers,
                                shape->n_layers * sizeof *effect_step);
      (void)XXH3_128bits_update(hash, map, map_size);
    }
  }
  free(map);
  return status;
}

static mb_status digest_plans(const run *r, size_t strategy, char digest[MB_DIGEST_SIZE]) {
  int64_t *effect_step = NULL;
  size_t n_plans = 0;
  mb_shape shape;
  XXH3_state_t *hash = NULL;

  MB_TRY(mb_results_read_shape(r->results, &shape));
  MB_TRY(mb_results_read_effect_steps(r->results, strategy, &n_plans, &effect_step));
  hash = XXH3_createState();
  mb_status status = hash != NULL && XXH3_128bits_reset(hash) == XXH_OK ? MB_OK : no_memory();
  if (status == MB_OK) {
    status = hash_plans(r, strategy, n_plans, effect_step, &shape, hash);
  }
  if (status == MB_OK) {
    mb_digest_format(hash, digest);
  }
  (void)XXH3_freeState(hash);
  free(effect_step);
  return status;
}

/* --- where --- */

/* Adds to the sum over seeds, which take_means() divides. */
static mb_status add_to_part(mb_baseline *baseline, const run_place *place, size_t metric,
                             bool is_layer, const char *name, double value) {
  mb_baseline_part *part = NULL;

  MB_TRY(mb_baseline_add_part(baseline, place->setting, place->strategy, metric, is_layer, name,
                              &part));
  part->value += value;
  return MB_OK;
}

static double ratio(double sum, double load) {
  return load > 0 ? sum / load : NAN;
}

/* A range of the steps that summaries cover. */
typedef struct range {
  size_t first, end;
  char name[NAME_SIZE]; /* "40-64" */
} range;

static size_t count_ranges(const run *r) {
  size_t n_steps = r->info->n_steps - r->info->summary_from;

  return n_steps < MB_CHECK_RANGES ? n_steps : MB_CHECK_RANGES;
}

static range get_range(const run *r, size_t i) {
  const size_t from = r->info->summary_from;
  const size_t n_steps = r->info->n_steps - from;
  const size_t n_ranges = count_ranges(r);
  range made = {.first = from + n_steps * i / n_ranges, .end = from + n_steps * (i + 1) / n_ranges};

  (void)snprintf(made.name, sizeof made.name, "%zu-%zu", made.first, made.end - 1);
  return made;
}

/* Adds a step's product where there is one: without load there is no imbalance. */
static void add_product(double load, double imbalance, double *sum, double *load_sum) {
  if (!isnan(imbalance)) {
    *sum += load * imbalance;
    *load_sum += load;
  }
}

static mb_status measure_layers(const run *r, size_t strategy, mb_baseline *baseline) {
  const size_t n_layers = r->info->n_layers;
  char name[NAME_SIZE];

  memset(r->layer_sum, 0, n_layers * sizeof *r->layer_sum);
  memset(r->layer_load, 0, n_layers * sizeof *r->layer_load);
  for (size_t t = r->info->summary_from; t < r->info->n_steps; t += CHUNK_STEPS) {
    size_t left = r->info->n_steps - t;
    size_t n = left < CHUNK_STEPS ? left : CHUNK_STEPS;
    MB_TRY(mb_results_read_imbalance(r->results, strategy, t, n, r->imbalance));
    for (size_t i = 0; i < n * n_layers; i++) {
      add_product(r->step_load[t + i / n_layers], (double)r->imbalance[i],
                  &r->layer_sum[i % n_layers], &r->layer_load[i % n_layers]);
    }
  }
  for (size_t l = 0; l < n_layers; l++) {
    (void)snprintf(name, sizeof name, "%" PRId32, r->info->layer_ids[l]);
    MB_TRY(add_to_part(baseline, &r->place, MB_BASELINE_run_imbalance, true, name,
                       ratio(r->layer_sum[l], r->layer_load[l])));
  }
  return MB_OK;
}

static mb_status measure_ranges(const run *r, size_t strategy, mb_baseline *baseline) {
  MB_TRY(mb_results_read_step_imbalance(r->results, strategy, r->step_imbalance));
  for (size_t i = 0; i < count_ranges(r); i++) {
    range steps = get_range(r, i);
    double sum = 0;
    double load = 0;
    for (size_t t = steps.first; t < steps.end; t++) {
      add_product(r->step_load[t], r->step_imbalance[t], &sum, &load);
    }
    MB_TRY(add_to_part(baseline, &r->place, MB_BASELINE_run_imbalance, false, steps.name,
                       ratio(sum, load)));
  }
  return MB_OK;
}

/* Experts that moved where a plan took effect in these steps: in one layer, or in all of them. */
static double count_moves(const mb_results_plans *plans, size_t n_layers, size_t first_layer,
                          size_t end_layer, size_t first, size_t end) {
  double n = 0;

  for (size_t k = 0; k < plans->n_plans; k++) {
    for (size_t i = k * n_layers + first_layer; i < k * n_layers + end_layer; i++) {
      int64_t step = plans->effect_step[i];
      n += step >= (int64_t)first && step < (int64_t)end ? plans->moved_experts[i] : 0;
    }
  }
  return n;
}

static mb_status measure_moves(const run *r, size_t strategy, mb_baseline *baseline) {
  const size_t n_layers = r->info->n_layers;
  char name[NAME_SIZE];
  mb_results_plans plans;

  MB_TRY(mb_results_read_plans(r->results, strategy, &plans));
  mb_status status = MB_OK;
  for (size_t l = 0; l < n_layers && status == MB_OK; l++) {
    (void)snprintf(name, sizeof name, "%" PRId32, r->info->layer_ids[l]);
    status = add_to_part(
        baseline, &r->place, MB_BASELINE_moved_experts, true, name,
        count_moves(&plans, n_layers, l, l + 1, r->info->summary_from, r->info->n_steps));
  }
  for (size_t i = 0; i < count_ranges(r) && status == MB_OK; i++) {
    range steps = get_range(r, i);
    status = add_to_part(baseline, &r->place, MB_BASELINE_moved_experts, false, steps.name,
                         count_moves(&plans, n_layers, 0, n_layers, steps.first, steps.end));
  }
  mb_results_plans_fini(&plans);
  return status;
}

/* --- a run --- */

static void take_summary(const mb_replay_summary *summary, double value[MB_BASELINE_METRICS]) {
#define MB_CHECK_METRIC(name, margin_percent) value[MB_BASELINE_##name] = (double)summary->name;
#include "experiments/check_metrics.def"
#undef MB_CHECK_METRIC
}

static mb_status measure_strategy(run *r, size_t strategy, mb_baseline *baseline) {
  mb_replay_summary summary;
  mb_baseline_score *score = NULL;

  r->place.strategy = r->info->labels[strategy];
  MB_TRY(mb_results_read_summary(r->results, strategy, &summary));
  MB_TRY(mb_baseline_add(baseline, r->place.setting, r->place.strategy, r->place.seed, &score));
  if (score->placements[0] != '\0') {
    return MB_FAIL(MB_ERR_PARAM, "two runs have the setting %s and the seed %s", r->place.setting,
                   r->place.seed);
  }
  take_summary(&summary, score->value);
  MB_TRY(digest_plans(r, strategy, score->placements));
  MB_TRY(measure_layers(r, strategy, baseline));
  MB_TRY(measure_ranges(r, strategy, baseline));
  return summary.plans > 0 ? measure_moves(r, strategy, baseline) : MB_OK;
}

static mb_status measure_run(run *r, mb_baseline *baseline) {
  const size_t n_steps = r->info->n_steps;
  const size_t n_layers = r->info->n_layers;
  mb_status status = MB_OK;

  r->step_load = malloc(n_steps * sizeof *r->step_load);
  r->step_imbalance = malloc(n_steps * sizeof *r->step_imbalance);
  r->imbalance = malloc(CHUNK_STEPS * n_layers * sizeof *r->imbalance);
  r->layer_sum = malloc(n_layers * sizeof *r->layer_sum);
  r->layer_load = malloc(n_layers * sizeof *r->layer_load);
  if (r->step_load == NULL || r->step_imbalance == NULL || r->imbalance == NULL ||
      r->layer_sum == NULL || r->layer_load == NULL) {
    status = no_memory();
  }
  if (status == MB_OK) {
    status = mb_results_read_step_load(r->results, r->step_load);
  }
  for (size_t i = 0; i < r->info->n_strategies && status == MB_OK; i++) {
    status = measure_strategy(r, i, baseline);
  }
  free(r->step_load);
  free(r->step_imbalance);
  free(r->imbalance);
  free(r->layer_sum);
  free(r->layer_load);
  return status;
}

static mb_status measure_cell(const mb_results_file *file, size_t c, mb_baseline *baseline) {
  const mb_results_cells *cells = mb_results_file_cells(file);
  mb_results *results = NULL;
  run r = {.results = NULL};

  if (cells->cell[c].error[0] != '\0') {
    return MB_FAIL(MB_ERR_PARAM, "run %s failed: %s", cells->cell[c].run, cells->cell[c].error);
  }
  MB_TRY(mb_results_file_open_run(file, c, &results));
  r.results = results;
  r.info = mb_results_get_run(results);
  name_place(cells, &cells->cell[c], &r.place);
  mb_status status = measure_run(&r, baseline);
  mb_results_destroy(results);
  return status;
}

/* Parts are sums over seeds until here. */
static void take_means(mb_baseline *baseline) {
  for (size_t i = 0; i < baseline->n_parts; i++) {
    mb_baseline_part *part = &baseline->part[i];
    size_t n_seeds = 0;
    for (size_t j = 0; j < baseline->n_scores; j++) {
      n_seeds += strcmp(baseline->score[j].strategy, part->strategy) == 0 &&
                 strcmp(baseline->score[j].setting, part->setting) == 0;
    }
    part->value /= (double)n_seeds;
  }
}

mb_status mb_check_measure(const char *results, const char *config, mb_baseline *baseline) {
  mb_results_file *file = NULL;
  mb_baseline made;

  MB_TRY(mb_results_file_open(results, &file));
  mb_status status = mb_baseline_init(config, &made);
  if (status == MB_OK) {
    for (size_t c = 0; c < mb_results_file_cells(file)->n_cells && status == MB_OK; c++) {
      status = measure_cell(file, c, &made);
    }
    if (status == MB_OK) {
      take_means(&made);
      *baseline = made;
    } else {
      mb_baseline_fini(&made);
    }
  }
  mb_results_file_close(file);
  return status;
}
