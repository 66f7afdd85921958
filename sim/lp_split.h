/* sim/lp_split.h - internal: the best fractional split, of this step or the one before. */
#ifndef MB_SIM_LP_SPLIT_H
#define MB_SIM_LP_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/split.h"
#include "sim/dispatch.h"
#include "sim/replicas.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Splits that minimise the largest GPU load (balancer/split.h), with dispatch_lag 0 for the loads
 * themselves.
 *
 * With dispatch_lag 1, a replica's share of its expert is what would have been best in the step
 * before; even in a layer's first step under a placement, and where the expert had no load. With
 * by_source, shares are a source rank's own: a rank's tokens of the step before go first to its own
 * GPU's replica, as far as that has room for them, what remains rank by rank to the replicas in
 * their order; so the shares are right for the ranks' loads of the step before. Where a rank had no
 * token for an expert, its share is the expert's.
 */
typedef struct mb_lp_split {
  mb_shape shape;
  size_t lag, n_sources; /* R; 0: loads say not where they come from */
  mb_replicas replicas;  /* one per GPU */
  mb_split **split;      /* [L] */
  double *load;          /* [L,E] scratch */
  double *best;          /* [L,P] scratch */
  double *room;          /* [L,P] scratch */
  double *rest;          /* [L,R] scratch; NULL without by_source */
  uint32_t *before;      /* [L,E] loads of the step before; NULL without lag */
  uint32_t *by_source;   /* [L,R,E] likewise; NULL without by_source */
  int32_t *map;          /* [L,P] the placements in force; NULL without lag */
  bool *seen;            /* [L] whether there was a step before under that placement */
} mb_lp_split;

/** @return MB_OK, MB_ERR_MEMORY. mb_lp_split_fini() it in either case. */
MB_NODISCARD mb_status mb_lp_split_init(mb_lp_split *lp, const mb_shape *shape,
                                        const mb_dispatch_options *options,
                                        const mb_dispatch_origin *origin);
void mb_lp_split_fini(mb_lp_split *lp);

/** As mb_dispatch_type's place() and split(). */
void mb_lp_split_place(mb_lp_split *lp, size_t layer, const mb_dispatch_placement *placement);
void mb_lp_split_split(mb_lp_split *lp, size_t layer, const mb_dispatch_placement *placement,
                       const mb_dispatch_load *load, double *slot_load);

#ifdef __cplusplus
}
#endif

#endif
