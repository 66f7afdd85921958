/* experiments/bench_json.c
 *
 * Jansson's *_new functions take over what they are given, and take NULL for a failure: so it is
 * enough to look at the outcome of each.
 */
#include "experiments/bench_json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* json_pack's "o" fails where it is given NULL, and frees the rest. */
static json_t *number(double value) {
  return isnan(value) ? json_null() : json_real(value);
}

/* Whole numbers, kept in doubles. */
static json_t *count(double value) {
  return json_integer((json_int_t)value);
}

static json_t *list(size_t n, const double *values, json_t *(*make)(double)) {
  json_t *array = json_array();

  for (size_t i = 0; i < n; i++) {
    if (json_array_append_new(array, make(values[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

static json_t *machine_object(const mb_bench_machine *machine) {
  return json_pack("{s:s, s:I, s:I, s:s, s:o, s:s, s:s, s:s, s:s, s:s}", "cpu", machine->cpu,
                   "cores", (json_int_t)machine->cores, "threads", (json_int_t)machine->threads,
                   "gpu", machine->gpu, "torch",
                   machine->torch[0] != '\0' ? json_string(machine->torch) : json_null(), "moebal",
                   machine->version, "git", machine->git, "compiler", machine->compiler, "build",
                   machine->build, "time", machine->time);
}

static json_t *shape_object(const mb_shape *shape) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "layers", (json_int_t)shape->n_layers,
                   "experts", (json_int_t)shape->n_experts, "slots", (json_int_t)shape->n_slots,
                   "groups", (json_int_t)shape->n_groups, "nodes", (json_int_t)shape->n_nodes,
                   "gpus", (json_int_t)shape->n_gpus);
}

static json_t *row_object(const mb_bench_row *row) {
  json_t *object = json_pack("{s:s, s:s, s:o, s:s, s:s}", "problem", row->problem->name, "family",
                             row->problem->family, "shape", shape_object(&row->problem->shape),
                             "strategy", row->strategy, "implementation", row->implementation);
  json_t *repetitions = json_pack(
      "{s:o, s:o, s:o, s:o, s:o, s:o}", "seconds", list(row->n, row->seconds, number), "rounds",
      list(row->n, row->rounds, count), "swaps", list(row->n, row->swaps, count),
      "further_round_seconds", list(row->n, row->further_seconds, number), "imbalance",
      list(row->n, row->imbalance, number), "mean_square", list(row->n, row->mean_square, number));
  json_t *summary = json_pack(
      "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "seconds_median",
      number(row->seconds_spread.median), "seconds_p10", number(row->seconds_spread.p10),
      "seconds_p90", number(row->seconds_spread.p90), "seconds_per_round_median",
      number(row->round_spread.median), "further_round_seconds_median",
      number(row->further_spread.median), "imbalance_median", number(row->imbalance_median),
      "mean_square_median", number(row->mean_square_median), "ratio_to_naive",
      number(row->ratio_to_naive), "ratio_to_torch", number(row->ratio_to_torch));

  if (json_object_update(object, repetitions) != 0 || json_object_update(object, summary) != 0) {
    json_decref(object);
    object = NULL;
  }
  json_decref(repetitions);
  json_decref(summary);
  return object;
}

static json_t *slope_object(const mb_power_fit *fit) {
  return json_pack("{s:o, s:o}", "slope", number(fit->slope), "error", number(fit->error));
}

static json_t *fit_object(const mb_bench_fit *fit) {
  return json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:o}", "family", fit->family, "strategy",
                   fit->strategy, "implementation", fit->implementation, "points",
                   (json_int_t)fit->n_points, "seconds", slope_object(&fit->seconds),
                   "seconds_per_round", slope_object(&fit->round_seconds), "further_round_seconds",
                   slope_object(&fit->further_seconds));
}

static json_t *result_object(const mb_bench_result *result) {
  json_t *rows = json_array();
  json_t *fits = json_array();
  json_t *notes = json_array();
  int failures = 0;

  for (size_t i = 0; i < result->n_rows; i++) {
    failures += json_array_append_new(rows, row_object(&result->rows[i])) != 0;
  }
  for (size_t i = 0; i < result->n_fits; i++) {
    failures += json_array_append_new(fits, fit_object(&result->fits[i])) != 0;
  }
  for (size_t i = 0; i < result->n_notes; i++) {
    failures += json_array_append_new(notes, json_string(result->notes[i])) != 0;
  }
  json_t *object = json_pack(
      "{s:s, s:i, s:o, s:I, s:I, s:o, s:o, s:o}", "format", "moebal-bench", "version", 1, "machine",
      machine_object(&result->machine), "seed", (json_int_t)result->seed, "repetitions",
      (json_int_t)result->repetitions, "rows", rows, "fits", fits, "notes", notes);
  if (failures > 0) {
    json_decref(object);
    object = NULL;
  }
  return object;
}

mb_status mb_bench_json_write(const mb_bench_result *result, const mb_new_file *file) {
  json_t *object = result_object(result);

  if (object == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", file->name);
  }
  errno = 0;
  int failure = json_dump_file(object, file->temporary, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  int why = errno;
  json_decref(object);
  return failure == 0 ? MB_OK
                      : MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", file->name,
                                why != 0 ? strerror(why) : "it is incomplete");
}
