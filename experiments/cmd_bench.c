/* experiments/cmd_bench.c - `moebal bench`: how long a rebalance takes, and what it reaches. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "experiments/bench_figures.h"
#include "experiments/bench_json.h"
#include "experiments/bench_measure.h"
#include "experiments/bench_print.h"
#include "experiments/command.h"
#include "experiments/figure_folder.h"
#include "experiments/gnuplot.h"
#include "experiments/interrupt.h"
#include "workloads/new_file.h"

enum { PROBLEMS_MAX = 128, THREADS_MAX = 1024, REPETITIONS_MAX = 1000, KEY_TORCH = 256 };

typedef struct bench_arguments {
  bool selected[PROBLEMS_MAX]; /* by the problem's place in the registry */
  bool some_selected;
  mb_bench_plan plan;
  size_t threads; /* 0: as many as OpenMP would use */
  bool with_torch;
  const char *json;
  const char *figures;
} bench_arguments;

/* --- the command line --- */

/* Which of the three lists of names. */
typedef enum list { PROBLEMS, IMPLEMENTATIONS, STRATEGIES } list;

static const char *name_of(list which, size_t i) {
  switch (which) {
  case PROBLEMS:
    return mb_bench_problems()[i].name;
  case IMPLEMENTATIONS:
    return mb_bench_implementations()[i].name;
  default:
    return mb_refinements()[i] != NULL ? mb_refinements()[i]->name : NULL;
  }
}

/* "a, b, c"; problems stand by families, "family (a, b)", with `between` between these. */
static void list_names(list which, const char *between, FILE *stream) {
  const mb_bench_problem *problem = mb_bench_problems();

  for (size_t i = 0; name_of(which, i) != NULL; i++) {
    bool begins =
        which == PROBLEMS && (i == 0 || strcmp(problem[i].family, problem[i - 1].family) != 0);
    if (begins) {
      (void)fprintf(stream, "%s%s (", i > 0 ? between : "", problem[i].family);
    }
    (void)fprintf(stream, "%s%s", i > 0 && !begins ? ", " : "", name_of(which, i));
    if (which == PROBLEMS &&
        (problem[i + 1].name == NULL || strcmp(problem[i].family, problem[i + 1].family) != 0)) {
      (void)fputc(')', stream);
    }
  }
}

static void refuse_name(list which, const char *what, const char *value, struct argp_state *state) {
  char *names = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&names, &size);

  if (stream != NULL) {
    list_names(which, ", ", stream);
    (void)fclose(stream);
  }
  argp_error(state, "there is no %s '%s'; there is %s", what, value,
             names != NULL ? names : "none");
  free(names);
}

static void select_problem(bench_arguments *arguments, const char *name, struct argp_state *state) {
  const mb_bench_problem *problem = mb_bench_problems();
  bool found = false;

  for (size_t i = 0; problem[i].name != NULL && i < PROBLEMS_MAX; i++) {
    if (strcmp(problem[i].name, name) == 0 || strcmp(problem[i].family, name) == 0) {
      arguments->selected[i] = true;
      found = true;
    }
  }
  if (!found) {
    refuse_name(PROBLEMS, "problem", name, state);
  }
  arguments->some_selected = true;
}

static void add_implementation(mb_bench_plan *plan, const mb_bench_implementation *one) {
  for (size_t i = 0; i < plan->n_implementations; i++) {
    if (plan->implementations[i] == one) {
      return;
    }
  }
  if (plan->n_implementations < MB_BENCH_IMPLEMENTATIONS_MAX) {
    plan->implementations[plan->n_implementations++] = one;
  }
}

static void add_strategy(mb_bench_plan *plan, const mb_refinement_type *one) {
  for (size_t i = 0; i < plan->n_strategies; i++) {
    if (plan->strategies[i] == one) {
      return;
    }
  }
  if (plan->n_strategies < MB_BENCH_STRATEGIES_MAX) {
    plan->strategies[plan->n_strategies++] = one;
  }
}

static void select_implementation(bench_arguments *arguments, const char *name,
                                  struct argp_state *state) {
  for (size_t i = 0; name_of(IMPLEMENTATIONS, i) != NULL; i++) {
    if (strcmp(name_of(IMPLEMENTATIONS, i), name) == 0) {
      add_implementation(&arguments->plan, &mb_bench_implementations()[i]);
      arguments->plan.must_run = true;
      return;
    }
  }
  refuse_name(IMPLEMENTATIONS, "implementation", name, state);
}

static void select_strategy(bench_arguments *arguments, const char *name,
                            struct argp_state *state) {
  const mb_refinement_type *strategy = mb_refinement_find(name);

  if (strategy == NULL) {
    refuse_name(STRATEGIES, "strategy", name, state);
  } else {
    add_strategy(&arguments->plan, strategy);
  }
}

static uint64_t parse_number(const char *option, const char *text, uint64_t least, uint64_t most,
                             struct argp_state *state) {
  char *end = NULL;

  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
      value > most) {
    argp_error(state, "--%s is '%s', not a number from %" PRIu64 " to %" PRIu64, option, text,
               least, most);
  }
  return value;
}

/* What was not given: everything. */
static void set_defaults(bench_arguments *arguments) {
  for (size_t i = 0; !arguments->some_selected && i < PROBLEMS_MAX; i++) {
    arguments->selected[i] = true;
  }
  if (arguments->plan.n_implementations == 0) {
    for (size_t i = 0; name_of(IMPLEMENTATIONS, i) != NULL; i++) {
      add_implementation(&arguments->plan, &mb_bench_implementations()[i]);
    }
  }
  if (arguments->plan.n_strategies == 0) {
    for (const mb_refinement_type *const *strategy = mb_refinements(); *strategy != NULL;
         strategy++) {
      add_strategy(&arguments->plan, *strategy);
    }
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  bench_arguments *arguments = state->input;

  switch (key) {
  case 'p':
    select_problem(arguments, value, state);
    return 0;
  case 'i':
    select_implementation(arguments, value, state);
    return 0;
  case 's':
    select_strategy(arguments, value, state);
    return 0;
  case 't':
    arguments->threads = (size_t)parse_number("threads", value, 1, THREADS_MAX, state);
    return 0;
  case 'n':
    arguments->plan.repetitions =
        (size_t)parse_number("repetitions", value, 1, REPETITIONS_MAX, state);
    return 0;
  case 'S':
    arguments->plan.seed = parse_number("seed", value, 0, INT64_MAX, state);
    return 0;
  case 'j':
    arguments->json = value;
    return 0;
  case 'P':
    arguments->figures = value;
    return 0;
  case KEY_TORCH:
    arguments->with_torch = true;
    return 0;
  case ARGP_KEY_END:
    set_defaults(arguments);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* The names stand below the options in --help. */
static char *help_filter(int key, const char *text, void *input) {
  char *help = NULL;
  size_t size = 0;

  (void)input;
  FILE *stream = key == ARGP_KEY_HELP_POST_DOC ? open_memstream(&help, &size) : NULL;
  if (stream == NULL) {
    return (char *)text;
  }
  (void)fputs("Implementations: ", stream);
  list_names(IMPLEMENTATIONS, "", stream);
  (void)fputs("\nStrategies: ", stream);
  list_names(STRATEGIES, "", stream);
  (void)fputs("\nFamilies of problems, and the problems in them:\n  ", stream);
  list_names(PROBLEMS, "\n  ", stream);
  (void)fclose(stream);
  return help;
}

/* --- the work --- */

/* What the results will be written to is opened first: an hour's work must not find it closed. */
typedef struct outputs {
  mb_new_file json;
  char scripts[PATH_MAX];
  bool made_folder;
} outputs;

static mb_status open_json(const char *path, mb_new_file *file) {
  struct stat there;

  if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: not a regular file", path);
  }
  return mb_new_file_open(path, file);
}

static mb_status open_outputs(const bench_arguments *arguments, outputs *out) {
  if (arguments->figures != NULL) {
    MB_TRY(mb_gnuplot_scripts(sizeof out->scripts, out->scripts));
    MB_TRY(mb_figure_folder_make(arguments->figures, &out->made_folder));
  }
  return arguments->json != NULL ? open_json(arguments->json, &out->json) : MB_OK;
}

static mb_status measure_all(const bench_arguments *arguments, mb_bench_result *result) {
  const mb_bench_problem *problems = mb_bench_problems();

  mb_bench_print_head(result);
  for (size_t i = 0; problems[i].name != NULL && i < PROBLEMS_MAX; i++) {
    size_t first = result->n_rows;
    size_t first_note = result->n_notes;
    if (arguments->selected[i]) {
      MB_TRY(mb_bench_measure(&arguments->plan, &problems[i], result));
      mb_bench_print_problem(result, &problems[i], first, first_note);
    }
  }
  MB_TRY(mb_bench_result_fit(result));
  mb_bench_print_fits(result);
  return MB_OK;
}

static mb_status write_outputs(const bench_arguments *arguments, const mb_bench_result *result,
                               outputs *out) {
  if (arguments->json != NULL) {
    MB_TRY(mb_bench_json_write(result, &out->json));
    MB_TRY(mb_new_file_commit(&out->json));
  }
  if (arguments->figures != NULL) {
    (void)putchar('\n');
    return mb_bench_figures_write(result, out->scripts, arguments->figures);
  }
  return MB_OK;
}

static void name_torch(const mb_torch *torch, mb_bench_machine *machine) {
  (void)snprintf(machine->torch, sizeof machine->torch, "%s", mb_torch_version(torch));
  if (*mb_torch_gpu(torch) != '\0') {
    (void)snprintf(machine->gpu, sizeof machine->gpu, "%s", mb_torch_gpu(torch));
  }
}

static mb_status bench(bench_arguments *arguments) {
  mb_bench_result result = {.seed = arguments->plan.seed,
                            .repetitions = arguments->plan.repetitions};
  outputs out = {.made_folder = false};

  if (arguments->threads > 0) {
    omp_set_num_threads((int)arguments->threads);
  }
  result.machine = mb_bench_machine_find();
  mb_status status = open_outputs(arguments, &out);
  if (status == MB_OK && arguments->with_torch) {
    status = mb_torch_start(&arguments->plan.torch);
  }
  if (status == MB_OK && arguments->with_torch) {
    name_torch(arguments->plan.torch, &result.machine);
  }
  status = status == MB_OK ? measure_all(arguments, &result) : status;
  status = status == MB_OK ? write_outputs(arguments, &result, &out) : status;
  mb_torch_stop(arguments->plan.torch);
  mb_new_file_close(&out.json);
  if (status != MB_OK && out.made_folder) {
    (void)rmdir(arguments->figures); /* which fails unless it is empty */
  }
  mb_bench_result_fini(&result);
  return status;
}

static int run_bench(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"problem", 'p', "NAME", 0, "this problem, or family of problems; may be repeated (all)", 0},
      {"impl", 'i', "NAME", 0, "this implementation; may be repeated (all that run here)", 0},
      {"strategy", 's', "NAME", 0, "this strategy; may be repeated (all)", 0},
      {"threads", 't', "N", 0, "threads of the implementation cpu (all cores)", 0},
      {"repetitions", 'n', "N", 0, "repetitions that count, each with loads of its own (7)", 0},
      {"seed", 'S', "N", 0, "seed of the loads (1)", 0},
      {"json", 'j', "FILE", 0, "write everything that was measured, as JSON", 0},
      {"plot", 'P', "DIR", 0, "draw time against n, and balance against time", 0},
      {"with-torch", KEY_TORCH, NULL, 0,
       "compare with the same rebalance in PyTorch, by MOEBAL_PYTHON or python3; takes minutes", 0},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .doc =
          "Measures how long a rebalance takes, and how even a balance it reaches. Implementations "
          "measured together have to place alike in every repetition; PyTorch once, in "
          "float64.\v",
      .help_filter = help_filter,
  };
  bench_arguments arguments = {.plan = {.repetitions = 7, .seed = 1}};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
  mb_interrupt_install();
  return bench(&arguments) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_bench = {
    .name = "bench",
    .summary = "measure how fast the balancer is",
    .run = run_bench,
};
