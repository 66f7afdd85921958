/* balancer/backend.h - what runs the rebalance: processors, a GPU; all give the same placement. */
#ifndef MB_BALANCER_BACKEND_H
#define MB_BALANCER_BACKEND_H

#include "balancer/pack.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A way to run mb_rebalance(). A rebalancer is its memory for one shape, made once and used by one
 * caller at a time.
 */
typedef struct mb_backend {
  const char *name;
  /* Transfers *rebalancer, written only on MB_OK. Returns MB_ERR_SHAPE; MB_ERR_MEMORY;
     MB_ERR_UNSUPPORTED where this machine or this shape has no such backend. */
  mb_status (*create)(const mb_shape *shape, void **rebalancer);
  /* As mb_workspace_rebalance(). */
  mb_status (*rebalance)(void *rebalancer, const double *load, const mb_refinement_type *refinement,
                         const mb_balance_options *options, mb_placement *placement,
                         mb_pack_stats *stats);
  void (*destroy)(void *rebalancer); /* NULL is fine */
} mb_backend;

/** mb_workspace_rebalance() on as many threads as OpenMP would use at create. */
extern const mb_backend mb_backend_cpu;

/** The same on one thread. */
extern const mb_backend mb_backend_cpu_1;

#ifdef __cplusplus
}
#endif

#endif
