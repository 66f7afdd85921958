/* experiments/tune_flags.c - the flags of serving systems that come closest to a strategy.
 *
 * Sources: vLLM, vllm/config/parallel.py (EPLBConfig); SGLang, python/sglang/srt/server_args.py;
 * TensorRT-LLM, examples/wide_ep/ep_load_balancer (moe_config.load_balancer).
 */
#include <inttypes.h>
#include <string.h>

#include "experiments/tune.h"

/* What is deployed, in the systems' units: engine steps, not steps of the replay. */
typedef struct deployment {
  int64_t interval, window, redundant, slots, gpus;
  size_t n_layers;
  bool hierarchical;
  const char *strategy, *dispatch;
} deployment;

static deployment deployment_of(const mb_config *config, const mb_trace_info *info,
                                const mb_replay_strategy *strategy) {
  int64_t groups = config->groups == MB_CONFIG_GROUPS_OF_TRACE ? info->n_groups : config->groups;
  int64_t steps = config->merge * (info->steps_per_record > 0 ? info->steps_per_record : 1);
  int64_t window = strategy->options->window > 0 ? strategy->options->window : config->window;

  return (deployment){.interval = config->interval * steps,
                      .window = window * steps,
                      .redundant = config->slots - (int64_t)info->n_experts,
                      .slots = config->slots,
                      .gpus = config->gpus,
                      .n_layers = info->n_layers,
                      .hierarchical = config->nodes > 1 && groups % config->nodes == 0,
                      .strategy = strategy->strategy->name,
                      .dispatch = strategy->options->dispatch.dispatch};
}

static void print_vllm(FILE *stream, const deployment *d) {
  (void)fprintf(stream,
                "vLLM:\n  --enable-expert-parallel --enable-eplb --eplb-config '{\"window_size\": "
                "%" PRId64 ", \"step_interval\": %" PRId64 ", \"num_redundant_experts\": %" PRId64
                "}'\n",
                d->window, d->interval, d->redundant);
  (void)fputs("  (its policy is lpt, its dispatch a hash of the token)\n", stream);
}

static const char *sglang_algorithm(const deployment *d) {
  if (strcmp(d->strategy, "vec") == 0) {
    return d->hierarchical ? "deepseek_vec_hierarchical" : "deepseek_vec";
  }
  return d->hierarchical ? "deepseek_hierarchical" : "deepseek";
}

static const char *sglang_dispatch(const deployment *d) {
  if (strcmp(d->dispatch, "lp") == 0) {
    return "lp";
  }
  return strcmp(d->dispatch, "static") == 0 ? "static" : "dynamic";
}

/* Rebalances have to be as far apart as the recorder's buffer is long. */
static void print_sglang(FILE *stream, const deployment *d) {
  int64_t buffer = d->window < d->interval ? d->window : d->interval;

  (void)fprintf(stream,
                "SGLang:\n  --enable-eplb --eplb-algorithm %s --eplb-rebalance-num-iterations "
                "%" PRId64 " --expert-distribution-recorder-buffer-size %" PRId64
                " --ep-num-redundant-experts %" PRId64 " --ep-dispatch-algorithm %s\n",
                sglang_algorithm(d), d->interval, buffer, d->redundant, sglang_dispatch(d));
  if (buffer < d->window) {
    (void)fprintf(stream,
                  "  (its window cannot be longer than its interval: %" PRId64 " of %" PRId64 ")\n",
                  buffer, d->window);
  }
}

/* It replaces some layers in every iteration, for good: all once an interval. */
static void print_tensorrt(FILE *stream, const deployment *d) {
  int64_t layers = ((int64_t)d->n_layers + d->interval - 1) / d->interval;

  (void)fprintf(stream,
                "TensorRT-LLM:\n  moe_config: {load_balancer: {num_slots: %" PRId64
                ", layer_updates_per_iter: %" PRId64 "}}\n",
                d->slots, layers);
  (void)fputs(
      "  (its loads are an average that forgets a tenth an iteration, its dispatch goes round "
      "in blocks)\n",
      stream);
}

void mb_tune_print_flags(FILE *stream, const mb_config *config, const mb_trace_info *info,
                         const mb_replay_strategy *strategy) {
  if (strategy->strategy == NULL) {
    (void)fputs(
        "vLLM: no --enable-eplb. SGLang: no --enable-eplb. TensorRT-LLM: no load_balancer.\n",
        stream);
    return;
  }
  const deployment d = deployment_of(config, info, strategy);

  print_vllm(stream, &d);
  print_sglang(stream, &d);
  print_tensorrt(stream, &d);
}
