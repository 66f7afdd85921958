/* experiments/cmd_list.c - `moebal list`: what the registries hold. */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "balancer/planner.h"
#include "experiments/command.h"
#include "experiments/config_schema.h"
#include "experiments/figure.h"
#include "experiments/wrap.h"
#include "sim/cost_params.h"
#include "sim/dispatch.h"
#include "sim/lane_options.h"
#include "sim/metrics.h"
#include "workloads/importer.h"
#include "workloads/model.h"

#define MIB 1048576.0

static void list_strategies(void) {
  (void)puts("none: the linear placement, never rebalanced; always runs");
  (void)puts("hindsight: l2 planned on the very steps that it is scored on; always runs");
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    (void)printf("%s: %s\n", strategy->name, strategy->summary);
    mb_config_print_params(stdout, strategy->params, "  ");
  }
  mb_config_print_outside(stdout, "");
}

static void list_dispatch(void) {
  for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
    (void)printf("%s: %s\n", (*type)->name, (*type)->summary);
  }
  (void)puts("and all of them have:");
  mb_config_print_params(stdout, mb_lane_dispatch_params(), "  ");
}

static void list_generators(void) {
  mb_config_print_generators(stdout, "");
}

static void list_importers(void) {
  for (const mb_importer *const *importer = mb_importers(); *importer != NULL; importer++) {
    (void)printf("%s: %s%s\n", (*importer)->name, (*importer)->summary,
                 (*importer)->recognise == NULL ? " (has to be named: --format)" : "");
  }
}

/* "8 (4)": 8 groups, of which a token's experts come from 4. */
static const char *format_groups(const mb_model *model, char *text, size_t size) {
  (void)snprintf(text, size, model->group_limit < model->n_groups ? "%zu (%zu)" : "%zu",
                 model->n_groups, model->group_limit);
  return text;
}

static void list_models(void) {
  char groups[64];

  (void)printf("%-22s %6s %7s %5s %6s %12s   %21s\n", "", "MoE", "", "", "", "hidden x",
               "MiB of an expert at");
  (void)printf("%-22s %6s %7s %5s %6s %12s %7s %7s %7s\n", "name", "layers", "experts", "top_k",
               "groups", "intermediate", "BF16", "FP8", "4.5 bit");
  for (const mb_model *model = mb_models(); model->name != NULL; model++) {
    (void)printf("%-22s %6zu %7zu %5zu %6s %5zu x%5zu %7.1f %7.1f %7.1f\n", model->name,
                 model->n_layers, model->n_experts, model->top_k,
                 format_groups(model, groups, sizeof groups), model->hidden, model->intermediate,
                 mb_model_expert_bytes(model, 16) / MIB, mb_model_expert_bytes(model, 8) / MIB,
                 mb_model_expert_bytes(model, 4.5) / MIB);
  }
  (void)puts("\ngroups (n): a token's experts come from n of the groups. 4.5 bit: NVFP4 with its "
             "scales;\nthe others are without. Experts are the routed ones.\n");
  for (const mb_model *model = mb_models(); model->name != NULL; model++) {
    int column = printf("%s: ", model->name);
    char text[512];
    (void)snprintf(text, sizeof text, "%s%s%s. From: %s", model->title,
                   model->deployment[0] != '\0' ? "; " : "", model->deployment, model->source);
    mb_wrap_print(stdout, column > 0 ? (size_t)column : 0, 2, text);
  }
}

static void list_gpus(void) {
  (void)printf("%-6s %9s %7s %7s %7s %11s %12s\n", "", "HBM", "TFLOP/s", "", "", "NVLink GB/s",
               "network GB/s");
  (void)printf("%-6s %9s %7s %7s %7s %11s %12s\n", "name", "GB/s", "16 bit", "8 bit", "4 bit",
               "one way", "one way");
  for (const mb_gpu_preset *gpu = mb_gpu_presets(); gpu->name != NULL; gpu++) {
    (void)printf("%-6s %9.0f %7.0f %7.0f %7.0f %11.0f %12.0f\n", gpu->name, gpu->hbm_gb,
                 gpu->tflops_16, gpu->tflops_8, gpu->tflops_4, gpu->nvlink_gb, gpu->network_gb);
  }
  (void)putchar('\n');
  for (const mb_gpu_preset *gpu = mb_gpu_presets(); gpu->name != NULL; gpu++) {
    char text[512];
    int column = printf("%s: ", gpu->name);
    (void)snprintf(text, sizeof text, "%s. From: %s", gpu->title, gpu->source);
    mb_wrap_print(stdout, column > 0 ? (size_t)column : 0, 2, text);
  }
}

static void list_figures(void) {
  for (const mb_figure *const *figure = mb_figures(); *figure != NULL; figure++) {
    char needs[512];
    mb_figure_needs(*figure, sizeof needs, needs);
    (void)printf("%s: %s\n  needs %s\n", (*figure)->name, (*figure)->summary, needs);
  }
}

static void list_metrics(void) {
  for (const mb_metric *metric = mb_metrics(); metric->name != NULL; metric++) {
    const char *dims = metric->dims[0] != '\0' ? metric->dims : "one number";
    int column = printf("%s [%s]: ", metric->name, dims);
    mb_wrap_print(stdout, column > 0 ? (size_t)column : 0, 2, metric->formula);
    (void)printf("  unit %s, better %s\n", metric->unit, metric->better);
  }
}

static const struct topic {
  const char *name;
  void (*list)(void);
} topics[] = {{"strategies", list_strategies}, {"dispatch", list_dispatch},
              {"generators", list_generators}, {"importers", list_importers},
              {"models", list_models},         {"gpus", list_gpus},
              {"figures", list_figures},       {"metrics", list_metrics}};

static const struct topic *find_topic(const char *name) {
  for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
    if (strcmp(topics[i].name, name) == 0) {
      return &topics[i];
    }
  }
  return NULL;
}

static error_t parse(int key, char *value, struct argp_state *state) {
  const struct topic **found = state->input;

  switch (key) {
  case ARGP_KEY_ARG:
    if (*found != NULL) {
      argp_error(state, "one list at a time: '%s' is a second one", value);
    }
    *found = find_topic(value);
    if (*found == NULL) {
      argp_error(state,
                 "there is no list of '%s'; there is strategies, dispatch, generators, importers, "
                 "models, gpus, figures, "
                 "metrics",
                 value);
    }
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "a list of what? strategies, dispatch, generators, importers, models, gpus, "
                      "figures, metrics");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static int list_command(int argc, char **argv) {
  static const struct argp argp = {
      .parser = parse,
      .args_doc = "strategies|dispatch|generators|importers|models|gpus|figures|metrics",
      .doc = "Lists what there is, with parameters where there are any."};
  const struct topic *found = NULL;

  (void)argp_parse(&argp, argc, argv, 0, NULL, &found);
  found->list();
  return MB_EXIT_OK;
}

const mb_command mb_command_list = {
    .name = "list",
    .summary = "strategies, dispatch, generators, importers, models, figures or metrics",
    .run = list_command,
};
