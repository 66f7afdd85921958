/* workloads/batching.h - internal: continuous batching: which request has how many tokens in a
 * step.
 */
#ifndef MB_WORKLOADS_BATCHING_H
#define MB_WORKLOADS_BATCHING_H

#include <gsl/gsl_rng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_batching_params {
  uint32_t concurrency;              /* requests in work at a time */
  uint32_t n_ranks;                  /* the slots of requests are dealt to them in turn */
  bool prefills, decodes;            /* which of the two a request does here */
  uint32_t chunk;                    /* prompt tokens of a step, of all ranks */
  double prompt_mean, prompt_spread; /* tokens, standard deviation of their logarithm */
  double output_mean, output_spread;
  double utilisation; /* 1: whenever a request ends there is a next one */
  uint32_t n_kinds;   /* of requests, of each domain */
  const char *drift;  /* of the mixture of domains; static */
  uint64_t drift_period;
} mb_batching_params;

/** A request's part in a step. */
typedef struct mb_batching_item {
  uint32_t slot, rank, kind; /* kind: domain x n_kinds + its kind */
  uint32_t n_tokens;
  bool prompt; /* tokens of its prompt; else one that it has written */
  bool first;  /* of the request's items in the trace */
} mb_batching_item;

typedef struct mb_batching mb_batching;

/**
 * As if it had run for ever: a warm-up of a request's mean life is dropped.
 * @param rng borrowed as long as the object lives.
 */
MB_NODISCARD mb_status mb_batching_create(const mb_batching_params *params, gsl_rng *rng,
                                          mb_batching **batching);
void mb_batching_destroy(mb_batching *batching); /* NULL is fine */

/** Steps that a request has a slot, in the mean: its prompt may have to wait for those before it,
 * and where the chunk is what holds all up, for all (Little's law). */
double mb_batching_lifetime(const mb_batching_params *params);

/**
 * The items of the next step, at most `concurrency`, in the order of the slots; at least one: there
 * is no step without tokens, the time until a request comes is left out.
 */
size_t mb_batching_next(mb_batching *self, mb_batching_item *items);

#ifdef __cplusplus
}
#endif

#endif
