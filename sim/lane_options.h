/* sim/lane_options.h - what every strategy can be given besides its own parameters: what it plans
 * from, what its plans go through, and how tokens are dispatched under its placements. */
#ifndef MB_SIM_LANE_OPTIONS_H
#define MB_SIM_LANE_OPTIONS_H

#include <stdint.h>

#include "balancer/param.h"
#include "balancer/post_pass.h"
#include "sim/dispatch.h"
#include "sim/forecast.h"
#include "sim/trigger.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of one strategy in a replay. */
typedef struct mb_lane_options {
  mb_dispatch_options dispatch;   /* of every strategy, also of those that never plan */
  int64_t window;                 /* steps that plans are made from; 0: the schedule's */
  mb_forecast_options forecast;   /* what they are given in place of the window's loads */
  mb_trigger_options trigger;     /* which of them are made */
  mb_post_pass_options post_pass; /* what plans go through before they take effect */
} mb_lane_options;

/** Parameter tables over mb_lane_options: those that every strategy has, and those that only
 * strategies that plan have. Their keys differ from each other's. Static. */
const mb_param *mb_lane_dispatch_params(void);
const mb_param *mb_lane_plan_params(void);

/** The defaults of all. */
void mb_lane_options_init(mb_lane_options *options);

#ifdef __cplusplus
}
#endif

#endif
