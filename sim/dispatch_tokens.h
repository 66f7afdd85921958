/* sim/dispatch_tokens.h - internal: the tokens behind a layer's loads, for the models by which a
 * token's replica depends on where it is.
 *
 * A token goes to top_k experts: a load of n (token, expert) pairs, or items, is n / top_k tokens,
 * rounded up, or as many as its largest load where that is more. Loads say not which tokens these
 * are. Where they say not either what ranks they come from, the tokens are dealt to the S source
 * ranks as evenly as can be, the first ranks one more. Each rank numbers its own from 0. Which of
 * the tokens go to an expert is a fair draw without replacement, of all, or of a rank's own where
 * by_source has their number, and independent of what goes to other experts. Items likewise.
 *
 * Source rank s of S is on GPU s D / S, rounded down.
 */
#ifndef MB_SIM_DISPATCH_TOKENS_H
#define MB_SIM_DISPATCH_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "sim/dispatch.h"
#include "sim/draw.h"
#include "sim/replicas.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What these models keep; they begin with it. */
typedef struct mb_token_model {
  mb_shape shape;
  const mb_dispatch_options *options; /* borrowed */
  size_t top_k;                       /* >= 1 */
  size_t n_sources;                   /* S >= 1 */
  mb_replicas replicas;
  uint64_t *size, *count; /* [L,P] scratch: a layer's row */
} mb_token_model;

/** @return MB_OK, MB_ERR_MEMORY. mb_token_model_fini() it in either case. */
MB_NODISCARD mb_status mb_token_model_init(mb_token_model *model, const mb_shape *shape,
                                           const mb_dispatch_options *options,
                                           const mb_dispatch_origin *origin);
void mb_token_model_fini(mb_token_model *model);

/** The members of mb_dispatch_type for a model that keeps nothing more. */
MB_NODISCARD mb_status mb_token_model_create(const mb_shape *shape,
                                             const mb_dispatch_options *options,
                                             const mb_dispatch_origin *origin, void **state);
void mb_token_model_place(void *state, size_t layer, const mb_dispatch_placement *placement);
void mb_token_model_destroy(void *state);

/** Tokens (or, for top_k 1, items) that loads [E] stand for. */
uint64_t mb_tokens_of(size_t n_experts, const uint32_t *load, size_t top_k);

/** Of n that are dealt to S ranks, those of rank s. */
static inline uint64_t mb_tokens_dealt(uint64_t n, size_t n_sources, size_t s) {
  return n / n_sources + (s < n % n_sources);
}

/** The random numbers of an expert in a layer and step. */
mb_draw mb_token_draw(const mb_token_model *model, size_t layer, size_t step, size_t expert);

#ifdef __cplusplus
}
#endif

#endif
