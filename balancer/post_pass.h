/* balancer/post_pass.h - what any planner's answer can go through before it takes effect: the same
 * balance for fewer copies of weights. */
#ifndef MB_BALANCER_POST_PASS_H
#define MB_BALANCER_POST_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The choices of mb_post_pass_options.assign: none, gpus. NULL-terminated. */
extern const char *const mb_assign_words[];

typedef struct mb_post_pass_options {
  char assign[MB_PARAM_TEXT_SIZE]; /* gpus: mb_assign_layer() */
  bool keep_slots;                 /* mb_keep_slots(), after that */
} mb_post_pass_options;

typedef struct mb_post_pass mb_post_pass;

/**
 * @param post_pass Transferred: mb_post_pass_destroy() it. Written only on MB_OK: NULL where the
 *                  options ask for nothing.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_post_pass_create(const mb_shape *shape,
                                           const mb_post_pass_options *options,
                                           mb_post_pass **post_pass);
void mb_post_pass_destroy(mb_post_pass *post_pass); /* NULL is fine */

/**
 * Rearranges the layers that are replaced, so that less has to be copied: whole GPUs' sets of
 * experts change places, and the experts of a GPU change slots. GPU loads, node loads and replicas
 * stay the same but for their order.
 *
 * @param before   [L,P] the placement in force. Borrowed.
 * @param replaced [L] layers whose row of `after` counts. Borrowed.
 * @param after    [L,P] a planner's answer.
 *
 * Layers run in parallel (OpenMP); the answer does not depend on the number of threads.
 */
void mb_post_pass_run(mb_post_pass *post_pass, const int32_t *before, const bool *replaced,
                      int32_t *after);

#ifdef __cplusplus
}
#endif

#endif
