/* workloads/routed.h - routing decisions that were recorded token by token, request by request.
 *
 * Memory: 2 bytes a token, layer and chosen expert (up to 4 while it grows), and some 32 bytes a
 * request and layer.
 */
#ifndef MB_WORKLOADS_ROUTED_H
#define MB_WORKLOADS_ROUTED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/import.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MB_ROUTED_LAYERS_MAX = 1024,
  MB_ROUTED_TOP_K_MAX = 256,
  MB_ROUTED_EXPERTS_MAX = 65535,
};

/** All requests of a recording. */
typedef struct mb_routed mb_routed;

/**
 * @param n_experts E; 0: not known, as many as turn up.
 * @param routed    Transferred: mb_routed_destroy() it.
 */
MB_NODISCARD mb_status mb_routed_create(size_t n_experts, mb_routed **routed);
void mb_routed_destroy(mb_routed *routed); /* NULL is fine */

/**
 * E, where the recording says it.
 * @return MB_OK; MB_ERR_SHAPE where E is known to be another, or a higher expert was chosen.
 */
MB_NODISCARD mb_status mb_routed_set_experts(mb_routed *routed, size_t n_experts);

/** The request of that name, which is made where it hasn't come yet; they keep the order of
 * coming. */
MB_NODISCARD mb_status mb_routed_request(mb_routed *routed, const char *name, size_t *request);

/** What is known of a request beforehand: how many of its tokens are the prompt. */
void mb_routed_set_prompt(mb_routed *routed, size_t request, size_t n_prompt);

/** Which of the layers that came so far it is; where it hasn't come, how many came. */
size_t mb_routed_layer(const mb_routed *routed, int64_t layer);

/** Tokens that a request has in a layer so far. @param layer its number in the model */
size_t mb_routed_n_tokens(const mb_routed *routed, size_t request, int64_t layer);

/**
 * The decision of the request's next token in a layer.
 *
 * @param layer   its number in the model, 0 to 2^31 - 1.
 * @param experts [k] all different; k the same for all.
 * @return MB_OK; MB_ERR_RANGE or MB_ERR_SHAPE, with a message to be put behind the place: "expert
 *         70 is chosen, and there are 64"; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_routed_append(mb_routed *routed, size_t request, int64_t layer, size_t k,
                                        const int64_t *experts);

/** A recording that is complete: every token has a decision in every layer. */
typedef struct mb_routed_view {
  size_t n_requests, n_layers, n_experts, top_k;
  bool knows_experts;       /* E was said, and is not what turned up */
  uint64_t n_tokens;        /* of all requests */
  const int32_t *layer_ids; /* [L] ascending */
  const mb_routed *routed;
} mb_routed_view;

/**
 * @param where to put before messages: the file's name.
 * @param view  borrowed from `routed`, to which nothing may be added any more.
 * @return MB_OK; MB_ERR_FORMAT naming request and layer where a decision is missing, or where there
 *         is none at all.
 */
MB_NODISCARD mb_status mb_routed_complete(mb_routed *routed, const char *where,
                                          mb_routed_view *view);

const char *mb_routed_name(const mb_routed_view *view, size_t request); /* borrowed */
size_t mb_routed_length(const mb_routed_view *view, size_t request);    /* tokens */
size_t mb_routed_prompt(const mb_routed_view *view, size_t request);    /* of them, prompt */

/** The experts of tokens [first, first + n) in the l-th layer. @return [n,k] borrowed */
const uint16_t *mb_routed_experts(const mb_routed_view *view, size_t request, size_t l,
                                  size_t first);

/**
 * Counts tokens [first, first + n) of a request.
 * @param load [L,R,E] to be added to, at rank `source` of `n_sources`.
 */
void mb_routed_count(const mb_routed_view *view, size_t request, size_t first, size_t n,
                     size_t n_sources, size_t source, uint64_t *load);

/** Tells people where E is only what turned up. */
void mb_routed_note_experts(const mb_routed_view *view, mb_import *import);

#ifdef __cplusplus
}
#endif

#endif
