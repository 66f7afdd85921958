/* balancer/eplb.h - the parameters of the planner eplb. */
#ifndef MB_BALANCER_EPLB_H
#define MB_BALANCER_EPLB_H

#include "balancer/pack.h"
#include "balancer/param.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The options stand first: a refinement's own table, whose offsets are those of mb_balance_options,
 * then describes this struct too.
 */
typedef struct mb_eplb_params {
  mb_balance_options options;
  char refinement[MB_PARAM_TEXT_SIZE];
} mb_eplb_params;

#ifdef __cplusplus
}
#endif

#endif
