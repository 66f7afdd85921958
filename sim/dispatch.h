/* sim/dispatch.h - how a layer's tokens are split over an expert's replicas. */
#ifndef MB_SIM_DISPATCH_H
#define MB_SIM_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The parameters of all models together; one heeds its own. sim/lane_options.c declares them. */
typedef struct mb_dispatch_options {
  char dispatch[MB_PARAM_TEXT_SIZE]; /* one of mb_dispatch_words */
  int64_t dispatch_seed;             /* of what is drawn */
  int64_t dispatch_sources;          /* source ranks, where loads do not say; 0: as many as GPUs */
  char dispatch_hash[MB_PARAM_TEXT_SIZE]; /* hash: one of mb_dispatch_hash_words */
  int64_t dispatch_block;                 /* round_robin: items of a block */
  bool dispatch_offset_rank; /* round_robin: a block's first replica depends on the rank */
  int64_t dispatch_lag;      /* lp, lp_rounded: steps that what is solved is old, 0 or 1 */
  int64_t dispatch_tile;     /* lp_rounded, waterfill: tokens of a tile of the GEMM */
} mb_dispatch_options;

/** What loads say of the tokens that they count, besides how many there are. */
typedef struct mb_dispatch_origin {
  size_t n_sources; /* R of by_source, which every load then has; 0: not known */
  size_t top_k;     /* experts that a token goes to; 0: not known, and taken for 1 */
} mb_dispatch_origin;

/** One layer's placement in force. Borrowed. */
typedef struct mb_dispatch_placement {
  const int32_t *physical_to_logical_map; /* [P] */
  const int32_t *expert_count;            /* [E] replicas of each expert, >= 1 */
} mb_dispatch_placement;

/** What one layer got in one step. Borrowed. */
typedef struct mb_dispatch_load {
  size_t step;
  const uint32_t *load;      /* [E] tokens */
  const uint32_t *by_source; /* [R,E] adds up to load; NULL: not known where they come from */
} mb_dispatch_load;

/**
 * A model: one file, sim/dispatch_<name>.c, ending in `const mb_dispatch_type mb_dispatch_<name>`,
 * and one line in dispatches.def. Layers are split in parallel, each by one thread at a time and in
 * the order of the steps: what a state keeps of one layer, no other layer's call may touch.
 */
typedef struct mb_dispatch_type {
  const char *name;
  const char *summary; /* required; half a sentence for `moebal list dispatch` */
  bool whole;          /* slots get whole tokens */
  bool uses_sources;   /* by_source makes a difference; of one that lags, where it does */
  bool lags;           /* heeds dispatch_lag: what is a step old costs no time on the tokens' way */
  /* Optional, NULL: no state. Transfers *state, written only on MB_OK. Returns MB_ERR_PARAM,
     MB_ERR_MEMORY. */
  mb_status (*create)(const mb_shape *shape, const mb_dispatch_options *options,
                      const mb_dispatch_origin *origin, void **state);
  /* Optional, NULL: placements need no preparation. A layer has another placement from now on. */
  void (*place)(void *state, size_t layer, const mb_dispatch_placement *placement);
  /* Required. Fills slot_load [P]: the replicas of an expert add up to its load. */
  void (*split)(void *state, const mb_shape *shape, size_t layer,
                const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                double *slot_load);
  void (*destroy)(void *state); /* optional, NULL: there is no state */
  double layer_us; /* published time that it adds to a layer; cost.dispatch_us overrides it */
} mb_dispatch_type;

/** All models in the order of dispatches.def, NULL-terminated. Static. */
const mb_dispatch_type *const *mb_dispatch_types(void);
const mb_dispatch_type *mb_dispatch_find(const char *name); /* or NULL */

/** Their names, NULL-terminated: the choices of the parameter. */
extern const char *const mb_dispatch_words[];
extern const char *const mb_dispatch_hash_words[]; /* of dispatch_hash, likewise */

/** Whether it would make a difference to the options' model where tokens come from. */
bool mb_dispatch_uses_sources(const mb_dispatch_options *options);

/** A model at work on all layers of one shape. */
typedef struct mb_dispatcher mb_dispatcher;

/**
 * @param options    NULL: even. Copied.
 * @param origin     Copied. NULL: nothing is known.
 * @param dispatcher Transferred: mb_dispatcher_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_dispatcher_create_for(const mb_shape *shape,
                                                const mb_dispatch_options *options,
                                                const mb_dispatch_origin *origin,
                                                mb_dispatcher **dispatcher);
/** The same where nothing is known of the origin. */
MB_NODISCARD mb_status mb_dispatcher_create(const mb_shape *shape,
                                            const mb_dispatch_options *options,
                                            mb_dispatcher **dispatcher);
void mb_dispatcher_destroy(mb_dispatcher *dispatcher); /* NULL is fine */

/** Whether it is the even split, for which there is a faster way: mb_score_even(). */
bool mb_dispatcher_is_even(const mb_dispatcher *dispatcher);

/** The model's layer_us; 0 where it lags. */
double mb_dispatcher_layer_us(const mb_dispatcher *dispatcher);

/** A layer has this placement from now on; borrowed until the next one. Before any split. */
void mb_dispatcher_place(mb_dispatcher *dispatcher, size_t layer,
                         const mb_dispatch_placement *placement);

/** Splits one layer's load of one step under the placement in force: fills slot_load [P]. */
void mb_dispatcher_split(mb_dispatcher *dispatcher, size_t layer, const mb_dispatch_load *load,
                         double *slot_load);

/**
 * Even dispatch: a replica gets an equal share of its expert's load,
 *   slot_load[p] = load[e] / expert_count[e],  e = physical_to_logical_map[p]   [tokens]
 *
 * @param load                    [E] tokens of one layer and step. Borrowed.
 * @param physical_to_logical_map [P] Borrowed.
 * @param expert_count            [E] replicas of each expert, >= 1. Borrowed.
 * @param slot_load               [P] Caller-owned.
 *
 * Cost: O(P). Reentrant.
 */
void mb_dispatch_even_split(const mb_shape *shape, const uint32_t *load,
                            const int32_t *physical_to_logical_map, const int32_t *expert_count,
                            double *slot_load);

#ifdef __cplusplus
}
#endif

#endif
