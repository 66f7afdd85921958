/* sim/lane_options.c */
#include "sim/lane_options.h"

#include <stddef.h>
#include <string.h>

const mb_param *mb_lane_dispatch_params(void) {
  static const mb_param params[] = {
      {.key = "dispatch",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "even",
       .choices = mb_dispatch_words,
       .help = "how an expert's tokens are split over its replicas",
       .offset = offsetof(mb_lane_options, dispatch.dispatch)},
      {.key = "dispatch_seed",
       .type = MB_PARAM_INT,
       .unit = "1",
       .initial = "42",
       .min = 0,
       .max = 9007199254740992.0,
       .help = "of what dispatch hash, static, random and round_robin draw",
       .offset = offsetof(mb_lane_options, dispatch.dispatch_seed)},
      {.key = "dispatch_sources",
       .type = MB_PARAM_INT,
       .unit = "ranks",
       .initial = "gpus",
       .min = 1,
       .max = 1 << 20,
       .word = "gpus",
       .word_value = 0,
       .help = "ranks that tokens come from, where the loads do not say; as many each",
       .offset = offsetof(mb_lane_options, dispatch.dispatch_sources)},
      {.key = "dispatch_hash",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "knuth",
       .choices = mb_dispatch_hash_words,
       .help = "dispatch hash: of the token's index (vLLM), or the item's position itself (2025)",
       .offset = offsetof(mb_lane_options, dispatch.dispatch_hash)},
      {.key = "dispatch_block",
       .type = MB_PARAM_INT,
       .unit = "items",
       .initial = "1024",
       .min = 1,
       .max = 1 << 30,
       .help = "dispatch round_robin: (token, expert) pairs that count together",
       .offset = offsetof(mb_lane_options, dispatch.dispatch_block)},
      {.key = "dispatch_offset_rank",
       .type = MB_PARAM_BOOL,
       .unit = "",
       .initial = "true",
       .help = "dispatch round_robin: a rank begins with the replica of its number",
       .offset = offsetof(mb_lane_options, dispatch.dispatch_offset_rank)},
      {0}};

  return params;
}

const mb_param *mb_lane_plan_params(void) {
  static const mb_param params[] = {
      {.key = "window",
       .type = MB_PARAM_INT,
       .unit = "steps",
       .initial = "schedule",
       .min = 1,
       .max = 1 << 30,
       .word = "schedule",
       .word_value = 0,
       .help = "last steps that this strategy plans from; schedule: schedule.window",
       .offset = offsetof(mb_lane_options, window)},
      {.key = "forecast",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "window",
       .choices = mb_forecast_words,
       .help =
           "what plans are made for, in the window's total. window: its loads; ewma: those of all "
           "past steps, the older the less they weigh; trend: the line through the window's "
           "parts, as far as the steps to come; shrink: the window's shares, as far as they are "
           "more than noise, on top of all past steps'. Hindsight needs none",
       .offset = offsetof(mb_lane_options, forecast.forecast)},
      {.key = "forecast_decay",
       .type = MB_PARAM_REAL,
       .unit = "1",
       .initial = "0.9",
       .min = 0,
       .max = 0.999999,
       .help = "ewma: what a step weighs against the next one",
       .offset = offsetof(mb_lane_options, forecast.forecast_decay)},
      {.key = "forecast_parts",
       .type = MB_PARAM_INT,
       .unit = "parts",
       .initial = "8",
       .min = 2,
       .max = 4096,
       .help = "trend, shrink: parts of the window that are told apart, at most its steps",
       .offset = offsetof(mb_lane_options, forecast.forecast_parts)},
      {.key = "trigger",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "periodic",
       .choices = mb_trigger_words,
       .help = "which of the plans that fall due are made. periodic: all; threshold: where the "
               "imbalance since the last plan is above trigger_imbalance; cost_aware: where they "
               "gain more than it costs to move experts. Hindsight always plans",
       .offset = offsetof(mb_lane_options, trigger.trigger)},
      {.key = "trigger_scope",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "layer",
       .choices = mb_trigger_scope_words,
       .help = "whether each layer is looked at for itself, or all together",
       .offset = offsetof(mb_lane_options, trigger.trigger_scope)},
      {.key = "trigger_imbalance",
       .type = MB_PARAM_REAL,
       .unit = "1",
       .initial = "1.2",
       .min = 1,
       .max = 1e6,
       .help = "threshold: of all steps since the last plan took effect, as run_imbalance",
       .offset = offsetof(mb_lane_options, trigger.trigger_imbalance)},
      {.key = "trigger_reference",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "mean",
       .choices = mb_trigger_reference_words,
       .help = "threshold: what the largest GPU loads are measured against: the mean, or what no "
               "placement gets below for the loads planned for",
       .offset = offsetof(mb_lane_options, trigger.trigger_reference)},
      {.key = "trigger_move_gain",
       .type = MB_PARAM_REAL,
       .unit = "1",
       .initial = "0.1",
       .min = 0,
       .max = 1e6,
       .help = "cost_aware: by how much a plan has to lower the imbalance if it fills all slots "
               "anew; as much less as it fills fewer",
       .offset = offsetof(mb_lane_options, trigger.trigger_move_gain)},
      {.key = "trigger_move_cost",
       .type = MB_PARAM_REAL,
       .unit = "tokens",
       .initial = "0",
       .min = 0,
       .max = 1e15,
       .help = "cost_aware: what moving one expert costs besides, in tokens on the busiest GPU",
       .offset = offsetof(mb_lane_options, trigger.trigger_move_cost)},
      {.key = "trigger_horizon",
       .type = MB_PARAM_INT,
       .unit = "steps",
       .initial = "interval",
       .min = 1,
       .max = 1 << 30,
       .word = "interval",
       .word_value = 0,
       .help =
           "cost_aware: for how long a plan is taken to gain what it gains on the loads that it "
           "is made for",
       .offset = offsetof(mb_lane_options, trigger.trigger_horizon)},
      {.key = "assign",
       .type = MB_PARAM_TEXT,
       .unit = "",
       .initial = "none",
       .choices = mb_assign_words,
       .help = "gpus: GPUs, and nodes where the policy is hierarchical, change places in a plan so "
               "that the fewest experts move; the balance stays the same",
       .offset = offsetof(mb_lane_options, post_pass.assign)},
      {.key = "keep_slots",
       .type = MB_PARAM_BOOL,
       .unit = "",
       .initial = "false",
       .help = "an expert that stays on its GPU stays in its slot",
       .offset = offsetof(mb_lane_options, post_pass.keep_slots)},
      {0}};

  return params;
}

void mb_lane_options_init(mb_lane_options *options) {
  memset(options, 0, sizeof *options); /* padding too: options are compared as bytes */
  mb_params_init(mb_lane_dispatch_params(), options);
  mb_params_init(mb_lane_plan_params(), options);
}
