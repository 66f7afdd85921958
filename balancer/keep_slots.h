/* balancer/keep_slots.h - internal: experts that stay on their GPU stay in their slot. */
#ifndef MB_BALANCER_KEEP_SLOTS_H
#define MB_BALANCER_KEEP_SLOTS_H

#include <stdint.h>

#include "balancer/placement.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Orders each GPU's slots so that as many as can be hold what they held before: copies from slot to
 * slot of a GPU are the fewest. The others are filled in the order that they came in.
 *
 * @param before  [P] one layer's placement in force. Borrowed.
 * @param after   [P] the one to come; every GPU keeps its experts.
 * @param scratch [E + P/D] Caller-owned; zeroes before the first call, and left so.
 *
 * Cost: O(P). Source: vLLM, preserve_intragpu_slots.
 */
void mb_keep_slots(const mb_shape *shape, const int32_t *before, int32_t *after, int32_t *scratch);

#ifdef __cplusplus
}
#endif

#endif
