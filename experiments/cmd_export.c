/* experiments/cmd_export.c - `moebal export`: plans of a results file as maps that engines load. */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/interrupt.h"
#include "experiments/map_output.h"
#include "experiments/results_read.h"
#include "workloads/new_file.h"
#include "workloads/npy_write.h"

typedef struct arguments {
  const char *results, *run, *strategy, *plan, *output;
  const mb_map_format *format;
} arguments;

/* An open results file, and what of it is exported. */
typedef struct export {
  const arguments *given;
  mb_results *results;
  const mb_results_run *run;
  size_t strategy, n_plans;
  int64_t *effect_step; /* [K,L] */
  mb_shape shape;
  int32_t *map; /* [L,P] of one plan */
}
export;

static mb_status export_open(export *e) {
  const arguments *given = e->given;
  size_t n_plans = 0;

  MB_TRY(mb_results_open_plans(given->results, given->run, given->strategy, &e->results,
                               &e->strategy, &e->n_plans));
  e->run = mb_results_get_run(e->results);
  if (e->n_plans == 0) {
    return MB_FAIL(MB_ERR_PARAM, "%s: strategy %s made no plans: there is nothing to export",
                   given->results, given->strategy);
  }
  MB_TRY(mb_results_read_effect_steps(e->results, e->strategy, &n_plans, &e->effect_step));
  MB_TRY(mb_results_read_shape(e->results, &e->shape));
  e->map = malloc(e->shape.n_layers * e->shape.n_slots * sizeof *e->map);
  return e->map != NULL ? MB_OK
                        : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu slots",
                                  e->shape.n_layers, e->shape.n_slots);
}

static void export_close(export *e) {
  free(e->map);
  free(e->effect_step);
  mb_results_destroy(e->results);
}

/* --- one plan --- */

/* "last", or a number; the command line has been checked for anything else. */
static mb_status find_plan(const export *e, size_t *k) {
  unsigned long long number = strtoull(e->given->plan, NULL, 10);

  if (strcmp(e->given->plan, "last") == 0) {
    *k = e->n_plans - 1;
    return MB_OK;
  }
  if (number >= e->n_plans) {
    return MB_FAIL(MB_ERR_PARAM, "%s: strategy %s has no plan %s; it has 0 to %zu",
                   e->given->results, e->given->strategy, e->given->plan, e->n_plans - 1);
  }
  *k = (size_t)number;
  return MB_OK;
}

/* What was written: to where it does not mix with a map on standard output. */
static void say_plan(const export *e, size_t k, int64_t step) {
  FILE *stream = e->given->output != NULL ? stdout : stderr;
  const int64_t *effect = e->effect_step + k * e->shape.n_layers;
  int64_t first = -1;
  int64_t last = -1;
  size_t n_kept = 0;

  for (size_t l = 0; l < e->shape.n_layers; l++) {
    n_kept += effect[l] < 0;
    first = effect[l] >= 0 && (first < 0 || effect[l] < first) ? effect[l] : first;
    last = effect[l] > last ? effect[l] : last;
  }
  (void)fprintf(stream, "%s: plan %zu of 0 to %zu of %s, made at step %" PRId64,
                e->given->output != NULL ? e->given->output : "standard output", k, e->n_plans - 1,
                e->given->strategy, step);
  if (first >= 0) {
    (void)fprintf(stream, ", in effect from step %" PRId64, first);
  }
  if (last > first) {
    (void)fprintf(stream, ", everywhere from step %" PRId64, last);
  }
  if (n_kept > 0) {
    (void)fprintf(stream, "; %zu layers keep what they had", n_kept);
  }
  (void)fprintf(stream, ": %zu layers of %zu slots\n", e->shape.n_layers, e->shape.n_slots);
}

static mb_status export_plan(export *e) {
  size_t k = 0;
  int64_t step = 0;

  MB_TRY(find_plan(e, &k));
  MB_TRY(mb_results_read_plan(e->results, e->strategy, k, &e->shape, &step, e->map));
  const mb_map map = {.n_maps = 1,
                      .n_layers = e->shape.n_layers,
                      .n_slots = e->shape.n_slots,
                      .n_gpus = e->shape.n_gpus,
                      .n_experts = e->shape.n_experts,
                      .layer_ids = (int32_t *)e->run->layer_ids,
                      .physical_to_logical_map = e->map};
  MB_TRY(mb_map_output_write(e->given->output, e->given->format, &map));
  say_plan(e, k, step);
  return MB_OK;
}

/* --- all plans, as `use: maps` reads them back --- */

/* "maps.steps.npy" for "maps.npy". @param path Transferred: free() it; NULL without memory. */
static char *name_steps(const char *output) {
  static const char ending[] = ".steps.npy";
  size_t length = strlen(output);
  size_t size = length + sizeof ending;
  char *path = malloc(size);

  if (length > 4 && strcmp(output + length - 4, ".npy") == 0) {
    length -= 4;
  }
  if (path != NULL) {
    (void)snprintf(path, size, "%.*s%s", (int)length, output, ending);
  }
  return path;
}

static mb_status write_maps(export *e, FILE *stream) {
  const uint64_t dims[] = {e->n_plans, e->shape.n_layers, e->shape.n_slots};
  int64_t step = 0;

  mb_npy_write_header(stream, MB_DTYPE_I32, 3, dims);
  for (size_t k = 0; k < e->n_plans; k++) {
    MB_TRY(mb_interrupt_check());
    MB_TRY(mb_results_read_plan(e->results, e->strategy, k, &e->shape, &step, e->map));
    mb_npy_write_values(stream, MB_DTYPE_I32, e->shape.n_layers * e->shape.n_slots, e->map);
  }
  return MB_OK;
}

static mb_status write_steps(export *e, FILE *stream) {
  const uint64_t dims[] = {e->n_plans, e->shape.n_layers};

  mb_npy_write_header(stream, MB_DTYPE_I64, 2, dims);
  mb_npy_write_values(stream, MB_DTYPE_I64, e->n_plans * e->shape.n_layers, e->effect_step);
  return MB_OK;
}

/* Writes a file completely, but for its name. */
static mb_status write_part(export *e, const char *path, mb_new_file *file,
                            mb_status (*write)(export *e, FILE *stream)) {
  MB_TRY(mb_new_file_open(path, file));
  FILE *stream = fopen(file->temporary, "wb");
  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  mb_status status = write(e, stream);
  bool failed = fflush(stream) != 0 || ferror(stream) != 0;
  failed = fclose(stream) != 0 || failed;
  if (status == MB_OK && failed) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  return status;
}

static mb_status export_all(export *e, const char *steps_path) {
  mb_new_file maps = {NULL, NULL};
  mb_new_file steps = {NULL, NULL};

  mb_status status = write_part(e, e->given->output, &maps, write_maps);
  status = status == MB_OK ? write_part(e, steps_path, &steps, write_steps) : status;
  status = status == MB_OK ? mb_interrupt_check() : status;
  status = status == MB_OK ? mb_new_file_commit(&steps) : status;
  status = status == MB_OK ? mb_new_file_commit(&maps) : status;
  mb_new_file_close(&steps);
  mb_new_file_close(&maps);
  if (status == MB_OK) {
    (void)printf("%s: all %zu plans of %s, [plans, layers, slots] = [%zu, %zu, %zu]\n"
                 "%s: the steps at which they took effect, [plans, layers]; -1 where a plan keeps "
                 "the layer\n",
                 e->given->output, e->n_plans, e->given->strategy, e->n_plans, e->shape.n_layers,
                 e->shape.n_slots, steps_path);
  }
  return status;
}

static mb_status execute(const arguments *given) {
  bool all = strcmp(given->plan, "all") == 0;
  export e = {.given = given};
  char *steps_path = all ? name_steps(given->output) : NULL;

  mb_status status = all && steps_path == NULL
                         ? MB_FAIL(MB_ERR_MEMORY, "no memory to write %s", given->output)
                         : MB_OK;
  if (status == MB_OK && given->output != NULL) {
    status = mb_map_output_check(given->output, given->format, given->results);
  }
  if (status == MB_OK && steps_path != NULL) {
    status = mb_map_output_check(steps_path, given->format, given->results);
  }
  status = status == MB_OK ? export_open(&e) : status;
  if (status == MB_OK) {
    status = all ? export_all(&e, steps_path) : export_plan(&e);
  }
  export_close(&e);
  free(steps_path);
  return status;
}

/* --- the command line --- */

enum { KEY_RUN = 256 };

static void check_plan(const char *plan, struct argp_state *state) {
  bool number = plan[0] != '\0' && plan[strspn(plan, "0123456789")] == '\0' && strlen(plan) < 19;

  if (!number && strcmp(plan, "last") != 0 && strcmp(plan, "all") != 0) {
    argp_error(state, "--plan takes a number from 0, last or all, not '%s'", plan);
  }
}

static void check_complete(const arguments *given, struct argp_state *state) {
  if (given->results == NULL) {
    argp_error(state, "which RESULTS? `moebal run` writes them");
  }
  if (given->strategy == NULL) {
    argp_error(state, "--strategy NAME is missing: whose plans?");
  }
  if (given->format == NULL) {
    argp_error(state, "--format NAME is missing: for which engine?");
    return;
  }
  if (strcmp(given->plan, "all") == 0 &&
      (strcmp(given->format->name, "npy") != 0 || given->output == NULL)) {
    argp_error(state,
               "--plan all needs --format npy and -o FILE: other formats hold one placement");
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  arguments *given = state->input;

  switch (key) {
  case 's':
    given->strategy = value;
    return 0;
  case 'p':
    check_plan(value, state);
    given->plan = value;
    return 0;
  case 'f':
    given->format = mb_map_output_format(value, state);
    return 0;
  case 'o':
    given->output = value;
    return 0;
  case KEY_RUN:
    given->run = value;
    return 0;
  case ARGP_KEY_ARG:
    if (given->results != NULL) {
      argp_error(state, "one results file at a time: '%s' is a second one", value);
    }
    given->results = value;
    return 0;
  case ARGP_KEY_END:
    check_complete(given, state);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"strategy", 's', "NAME", 0, "whose plans, by its label in the results; must be given", 0},
      {"plan", 'p', "K|last|all", 0,
       "which plan, from 0 (default last); all of them with --format npy", 0},
      {"format", 'f', "NAME", 0, "which kind of map; must be given", 0},
      {"output", 'o', "FILE", 0, "where to write (default: standard output)", 0},
      {"run", KEY_RUN, "NAME", 0, "which run, where the file has several", 0},
      {0},
  };
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "RESULTS",
      .doc =
          "Writes the placement of a plan as a map that an engine loads at its start: all layers "
          "as they are once the plan has taken effect everywhere.\v"
          "--plan all writes [plans, layers, slots], and beside FILE.npy a FILE.steps.npy: what "
          "a strategy with `use: maps` reads.",
      .help_filter = mb_map_output_help,
  };
  arguments given = {.plan = "last"};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &given);
  mb_interrupt_install();
  return execute(&given) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_export = {
    .name = "export",
    .summary = "write plans as maps that serving engines load",
    .run = run,
};
