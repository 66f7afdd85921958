/* sim/lane_options.c */
#include "sim/lane_options.h"

#include <stddef.h>

const mb_param *mb_lane_dispatch_params(void) {
  static const mb_param params[] = {{.key = "dispatch",
                                     .type = MB_PARAM_TEXT,
                                     .unit = "",
                                     .initial = "even",
                                     .choices = mb_dispatch_words,
                                     .help = "how an expert's tokens are split over its replicas",
                                     .offset = offsetof(mb_lane_options, dispatch.dispatch)},
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
      {0}};

  return params;
}

void mb_lane_options_init(mb_lane_options *options) {
  *options = (mb_lane_options){0};
  mb_params_init(mb_lane_dispatch_params(), options);
  mb_params_init(mb_lane_plan_params(), options);
}
