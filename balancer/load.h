/* balancer/load.h - internal: the loads that a rebalance takes. */
#ifndef MB_BALANCER_LOAD_H
#define MB_BALANCER_LOAD_H

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MB_LOAD_MAX 9007199254740992.0 /* 2^53 tokens of an expert */
#define MB_LAYER_LOAD_MAX \
  1152921504606846976.0 /* 2^60 tokens of a layer, added in experts' order */

/** @return MB_OK, or MB_ERR_RANGE naming the first layer, and expert, that is out of range. */
MB_NODISCARD mb_status mb_load_check(const mb_shape *shape, const double *load);

#ifdef __cplusplus
}
#endif

#endif
