/* sim/cost.h - how long a step takes: the time of experts, of the all-to-all, and of a move. */
#ifndef MB_SIM_COST_H
#define MB_SIM_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"
#include "sim/cost_params.h"
#include "sim/movement.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the loads and the config say besides the parameters. */
typedef struct mb_cost_facts {
  double expert_bytes; /* weights of one expert of one layer; 0: unknown */
  double hidden;       /* of the trace's model; 0: unknown */
  double top_k;        /* experts a token; 0: unknown */
} mb_cost_facts;

/** Two links of a GPU, a direction of each: [bytes/s]. */
typedef struct mb_links {
  double intra, inter;
} mb_links;

/**
 * The model, in seconds, bytes and tokens.
 *
 *   slot(n)   = max(weight_seconds, ceil(n / tile) tile_seconds), 0 where n = 0         [s]
 *   gpu[d]    = (sum of slot over the GPU's slots + shared_experts slot(own)
 *                + attention_seconds + own token_seconds) / speed[d]                    [s]
 *   own       = the layer's load / top_k / D: the tokens that the GPU itself works on
 *   layer     = max over d of gpu[d] + all-to-all + dispatch                            [s]
 *
 * n may be a fraction, where dispatch is even or by LP: it is rounded up, to whole tiles, here
 * alone. A layer without load takes no time.
 */
typedef struct mb_cost {
  mb_shape shape;
  double expert_bytes;
  double weight_seconds, tile_tokens, tile_seconds;
  double shared_experts, attention_seconds, token_seconds, step_seconds;
  double top_k;  /* 0: unknown; nothing then depends on it */
  double *speed; /* [D] */
  bool alltoall;
  double dispatch_bytes, combine_bytes; /* of a token, expert pair */
  double intra_seconds, inter_seconds;  /* of each way, besides the bytes */
  mb_links links;
  mb_links move_links; /* that weights get */
  double copy_bytes;   /* [bytes/s] a GPU copies its own weights with: it reads and writes them */
  double dispatch_us;  /* < 0: as the dispatch model has it */
  bool async;
  size_t layers_per_step;
  double contention; /* async: share of the links that moving weights take */
  double move_layer_seconds, planner_seconds; /* sync */
} mb_cost;

/**
 * @param params of a section `cost` with a gpu other than off.
 * @param cost   Transferred: mb_cost_destroy() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_PARAM, saying which key would be needed; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_cost_create(const mb_shape *shape, const mb_cost_params *params,
                                      const mb_cost_facts *facts, mb_cost **cost);
void mb_cost_destroy(mb_cost *cost); /* NULL is fine */

/** Time of a slot with that many tokens. */
double mb_cost_slot_seconds(const mb_cost *cost, double tokens);

/** The fewest tokens, in whole tiles, for which a slot's computing takes as long as reading its
 * weights; with fewer, more tokens cost nothing. */
double mb_cost_break_even_tokens(const mb_cost *cost);

/** One layer of one step. All 0 without load. */
typedef struct mb_cost_score {
  double gpu_max, gpu_mean; /* of gpu[d] */
  double experts_max;       /* of the routed experts' part of it */
  double load_max;          /* largest GPU load [tokens] */
  int32_t active_slots;     /* with load */
  int32_t bound_slots;      /* of these, those whose time is the weights' */
} mb_cost_score;

/** @param slot_load [P] tokens. Borrowed. O(P). Reentrant. */
void mb_cost_layer(const mb_cost *cost, const double *slot_load, mb_cost_score *score);

/**
 * Dispatch and combine of a layer whose fullest GPU has that many tokens. Of the pairs of a GPU, as
 * many come from each of the D GPUs; the two links work at the same time:
 *   way(bytes) = max(intra_seconds + load (D/N - 1)/D bytes / intra,
 *                    inter_seconds + load (D - D/N)/D bytes / inter)      [s]
 * where a link is not needed, its part is 0. An upper bound of the bytes: a token that several
 * experts of a node or GPU get counts for each.
 * @param links what is left of them.
 */
double mb_cost_alltoall_seconds(const mb_cost *cost, double load_max, mb_links links);

/** How long one layer's weights travel, the fullest link deciding, without the fixed time. */
double mb_cost_move_seconds(const mb_cost *cost, const mb_movement *movement);

/** What moving costs, for those who weigh it against what it gains. */
typedef struct mb_cost_price {
  double plan_seconds;   /* of a plan, whatever it moves */
  double layer_seconds;  /* of each layer that it replaces */
  double expert_seconds; /* of each expert that a GPU gets over its slowest link */
  double token_seconds;  /* what a token more on the fullest GPU costs, where compute bounds it */
} mb_cost_price;

/** In async, what the steps do not wait for costs nothing: plan and layer are free. */
mb_cost_price mb_cost_get_price(const mb_cost *cost);

#ifdef __cplusplus
}
#endif

#endif
