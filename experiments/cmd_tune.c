/* experiments/cmd_tune.c - `moebal tune`: which settings to deploy. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/command.h"
#include "experiments/config.h"
#include "experiments/interrupt.h"
#include "experiments/sweep.h"
#include "experiments/tune.h"
#include "experiments/tune_grid.h"

enum { TOP_SHOWN = 10 };

typedef struct arguments {
  const char *config;
  const char **settings; /* those given, with room for the grid's */
  size_t n_settings;
  bool quiet;
} arguments;

/* --- what is tried --- */

static mb_tune_objective objective_of(const mb_config *config) {
  mb_tune_objective objective = MB_TUNE_STEP_IMBALANCE;

  while (strcmp(config->tune_objective, mb_tune_objective_words[objective]) != 0) {
    objective++;
  }
  return objective;
}

/* The config without any sweep, and what its loads say of themselves; the options of tuning. */
static mb_status read_base(const arguments *given, mb_tune_options *options, mb_tune_grid *grid) {
  mb_config *config = NULL;
  mb_source *source = NULL;

  given->settings[given->n_settings] = "sweep=null";
  MB_TRY(mb_config_read(given->config, given->n_settings + 1, given->settings, &config));
  mb_status status = MB_OK;
  if (config->max_expert_bytes_per_gpu == 0) {
    status = MB_FAIL(MB_ERR_PARAM,
                     "%s: tune.max_expert_bytes_per_gpu is missing: the memory that a GPU has for "
                     "experts, in bytes; --set tune.max_expert_bytes_per_gpu=40e9 gives it",
                     given->config);
  }
  status = status == MB_OK ? mb_config_open_source(config, &source) : status;
  if (status == MB_OK) {
    const mb_trace_info *info = mb_source_get_info(source);
    *options = (mb_tune_options){.objective = objective_of(config),
                                 .split = config->tune_split,
                                 .most_bytes = config->max_expert_bytes_per_gpu,
                                 .confidence = 0.95,
                                 .quiet = given->quiet};
    mb_tune_grid_fill(config, info, (size_t)(config->tune_split * (double)info->n_steps),
                      config->max_expert_bytes_per_gpu, grid);
  }
  mb_source_destroy(source);
  mb_config_destroy(config);
  return status;
}

/* The config's own sweep, or the usual grid around it. */
static mb_status read_cells(const arguments *given, const mb_tune_grid *grid, mb_sweep **sweep) {
  size_t n = given->n_settings;

  MB_TRY(mb_sweep_read(given->config, n, given->settings, 0, sweep));
  if ((*sweep)->swept) {
    return MB_OK;
  }
  mb_sweep_destroy(*sweep);
  *sweep = NULL;
  for (size_t i = 0; i < grid->n; i++) {
    given->settings[n++] = grid->text[i];
  }
  return mb_sweep_read(given->config, n, given->settings, 0, sweep);
}

/* --- what is said --- */

static void print_value(mb_tune_objective objective, double value) {
  if (objective == MB_TUNE_STEP_LATENCY) {
    (void)printf("%10.3f ms", 1e3 * value);
  } else {
    (void)printf("%10.4f   ", value);
  }
}

static void print_candidate(const mb_sweep *sweep, mb_tune_objective objective,
                            const mb_tune_candidate *one) {
  const mb_sweep_cell *cell = &sweep->cell[one->cell];

  (void)printf("%-12s", cell->config->strategies[one->strategy].label);
  print_value(objective, one->first);
  print_value(objective, one->rest);
  (void)printf("%10" PRId64 "  %7.3g GB ", one->moved_experts, one->gpu_bytes / 1e9);
  for (size_t k = 0; k < sweep->n_keys; k++) {
    const char *dot = strrchr(sweep->key[k], '.');
    (void)printf(" %s=%s", dot != NULL ? dot + 1 : sweep->key[k], cell->value[k]);
  }
  (void)printf("\n");
}

static void print_table(const mb_sweep *sweep, const mb_tune_options *options,
                        const mb_tune_result *result) {
  (void)printf(
      "%zu candidates in %zu cells (%zu cells are too large for a GPU), by %s on steps %zu to "
      "%zu; the rest is steps %zu to %zu.\n\n",
      result->n_candidates, sweep->n_cells - result->n_too_large, result->n_too_large,
      mb_tune_objective_words[options->objective], result->from, result->half - 1, result->half,
      result->n_steps - 1);
  (void)printf("%-12s%10s   %10s   %10s  %10s\n", "strategy", "first", "rest", "moved",
               "experts/GPU");
  for (size_t i = 0; i < result->n_candidates && i < TOP_SHOWN; i++) {
    print_candidate(sweep, options->objective, &result->candidate[i]);
  }
  if (result->best_rest >= TOP_SHOWN) {
    (void)printf("...\n");
    print_candidate(sweep, options->objective, &result->candidate[result->best_rest]);
  }
}

/* How much worse it is than the chosen one on the rest, in percent of the chosen one's value. */
static void print_difference(const mb_tune_options *options, double chosen,
                             const mb_tune_best *best) {
  if (isnan(best->interval.low)) {
    (void)printf("    %+.2f %%, of %zu blocks: too few for an interval\n",
                 100.0 * best->difference / chosen, best->n_blocks);
  } else {
    (void)printf("    %+.2f %%, %g %% interval %+.2f .. %+.2f %% (%s, %zu blocks)\n",
                 100.0 * best->difference / chosen, 100.0 * options->confidence,
                 100.0 * best->interval.low / chosen, 100.0 * best->interval.high / chosen,
                 best->interval.method, best->n_blocks);
  }
}

static void print_best(const mb_sweep *sweep, const mb_tune_options *options,
                       const mb_tune_result *result) {
  const mb_tune_candidate *chosen = &result->candidate[0];

  (void)printf(
      "\nThe best of each strategy on the first part; below it, what it is on the rest beside "
      "the chosen one:\n\n");
  for (size_t k = 0; k < result->n_best; k++) {
    print_candidate(sweep, options->objective, &result->candidate[result->best[k].candidate]);
    if (k > 0) {
      print_difference(options, chosen->rest, &result->best[k]);
    }
  }
}

static void print_gain(const mb_sweep *sweep, const mb_tune_options *options,
                       const mb_tune_result *result) {
  const mb_tune_candidate *chosen = &result->candidate[0];
  double best = result->candidate[result->best_rest].rest;

  print_best(sweep, options, result);
  if (chosen->is_none) {
    (void)printf("\nRebalancing does not pay here: none is the best.\n");
  }
  if (result->best_rest == 0) {
    (void)printf("\nOf the whole grid the chosen one is the best on the rest, too.\n");
  } else {
    (void)printf("\nThe best of the grid on the rest is %.2f %% better than the chosen one.\n",
                 100.0 * (chosen->rest / best - 1.0));
  }
}

/* The chosen cell's config with the chosen strategy alone. */
static mb_status print_config(const mb_config *config, size_t strategy) {
  mb_source *source = NULL;
  mb_replay_config replay;
  mb_config alone = *config;
  mb_replay_strategy *kept = calloc(config->n_strategies, sizeof *kept);
  char *text = NULL;

  if (kept == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a config");
  }
  alone.strategies = kept;
  alone.n_strategies = 0;
  for (size_t i = 0; i < config->n_strategies; i++) {
    if (i == strategy || config->strategies[i].role == MB_REPLAY_NONE ||
        config->strategies[i].role == MB_REPLAY_HINDSIGHT) {
      kept[alone.n_strategies++] = config->strategies[i];
    }
  }
  mb_status status = mb_config_open_source(config, &source);
  if (status == MB_OK) {
    status = mb_config_fit(&alone, mb_source_get_info(source), &replay);
  }
  status = status == MB_OK ? mb_config_format(&alone, &replay, &text) : status;
  if (status == MB_OK) {
    (void)printf("\nRecommended config:\n\n%s\nWhat comes closest elsewhere:\n\n", text);
    mb_tune_print_flags(stdout, config, mb_source_get_info(source), &config->strategies[strategy]);
  }
  free(text);
  free(kept);
  mb_source_destroy(source);
  return status;
}

static mb_status tune(const arguments *given) {
  mb_tune_grid grid = {.n = 0};
  mb_tune_options options;
  mb_tune_result result;
  mb_sweep *sweep = NULL;

  MB_TRY(read_base(given, &options, &grid));
  mb_status status = read_cells(given, &grid, &sweep);
  if (status == MB_OK) {
    status = mb_tune(sweep, &options, &result);
  }
  if (status == MB_OK) {
    print_table(sweep, &options, &result);
    print_gain(sweep, &options, &result);
    status =
        print_config(sweep->cell[result.candidate[0].cell].config, result.candidate[0].strategy);
    mb_tune_result_fini(&result);
  }
  mb_sweep_destroy(sweep);
  return status;
}

/* --- the command --- */

static error_t parse(int key, char *value, struct argp_state *state) {
  static char objective[128];
  arguments *given = state->input;

  switch (key) {
  case 's':
    if (strchr(value, '=') == NULL) {
      argp_error(state, "'%s': settings are given as --set KEY=VALUE", value);
    }
    given->settings[given->n_settings++] = value;
    return 0;
  case 'o':
    (void)snprintf(objective, sizeof objective, "tune.objective=%s", value);
    given->settings[given->n_settings++] = objective;
    return 0;
  case 'q':
    given->quiet = true;
    return 0;
  case ARGP_KEY_ARG:
    if (given->config != NULL) {
      argp_error(state, "one config at a time; '%s' is a second one", value);
    }
    given->config = value;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "no config given");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int run(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"objective", 'o', "WHAT", 0,
       "what is to be small: step_imbalance, step_latency or gpu_hours "
       "(tune.objective)",
       0},
      {"set", 's', "KEY=VALUE", 0, "sets a key of the config; may be repeated", 0},
      {"quiet", 'q', NULL, 0, "no progress line", 0},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "CONFIG.yaml",
      .doc =
          "Chooses strategy, interval, window, slots, trigger and dispatch on the first part of a "
          "trace, and reports what they reach on the rest; prints the config to deploy, and the "
          "flags of vLLM, SGLang and TensorRT-LLM that come closest.\vWhat is tried is the "
          "config's sweep, with its list of strategies; without a sweep a grid around what the "
          "config says. tune.max_expert_bytes_per_gpu has to be given. For example: moebal tune "
          "config.yaml --objective step_imbalance --set tune.max_expert_bytes_per_gpu=40e9"};
  arguments given = {.config = NULL};

  given.settings = calloc((size_t)argc + MB_TUNE_AXES + 1, sizeof(char *));
  if (given.settings == NULL) {
    (void)MB_FAIL(MB_ERR_MEMORY, "out of memory");
    return mb_command_failed();
  }
  if (argp_parse(&argp, argc, argv, 0, NULL, &given) != 0) {
    free((void *)given.settings);
    return MB_EXIT_USAGE;
  }
  mb_interrupt_install();
  mb_status status = tune(&given);
  free((void *)given.settings);
  return status == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_tune = {
    .name = "tune",
    .summary = "choose settings on the first part of a trace, judge them on the rest",
    .run = run,
};
