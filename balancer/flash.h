/* balancer/flash.h - internal: what the planners of FlashLB share: which layers are planned anew.
 *
 *   par(placement) = mean over the window's slices of the largest GPU load / the mean GPU load,
 * each expert's load split evenly over its replicas; slices without load left out
 *
 * A layer is planned where par(the placement in force) >= threshold_ratio x par of its last plan,
 * as it was when that was made; without an earlier plan, always. Of the layers planned, those whose
 * par falls are replaced, the ones with the smallest new / old par first, at most
 * buffer_expert_layer_num of them; ties by layer.
 *
 * Source: vLLM pull request 37656 (vllm/distributed/eplb/policy/flashlb.py: 1.15 and 8). There par
 * is also what the window says of the placement in force, not what was realised step by step.
 * vLLM-Ascend's later FlashLB (vllm_ascend/eplb/core/policy/policy_flashlb.py) replans a layer
 * below 0.95 of its former mean / max, which is a ratio of 1.053, or below 0.9 at all, without a
 * limit on layers.
 */
#ifndef MB_BALANCER_FLASH_H
#define MB_BALANCER_FLASH_H

#include "balancer/layerwise.h"
#include "balancer/planner.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Stands first in the parameters of a planner with this gate. */
typedef struct mb_flash_params {
  int64_t slices;
  double threshold_ratio;
  int64_t layers_max;
  char replication[MB_PARAM_TEXT_SIZE];
} mb_flash_params;

extern const char *const mb_flash_replications[]; /* own, sum */

/** Whether replicas are given as EPLB does, by the window's sum, and places alone are FlashLB's. */
bool mb_flash_by_sum(const mb_flash_params *params);

/* Lines of a parameter table. */
#define MB_FLASH_SLICES(initial_)                                                           \
  {                                                                                         \
    .key = "slices", .type = MB_PARAM_INT, .unit = "1", .initial = (initial_), .min = 1,    \
    .max = 1e6, .help = "parts that the window is cut into; its steps or more: one a step", \
    .offset = offsetof(mb_flash_params, slices)                                             \
  }

#define MB_FLASH_THRESHOLD_RATIO                                                                  \
  {                                                                                               \
    .key = "threshold_ratio", .type = MB_PARAM_REAL, .unit = "1", .initial = "1.15", .min = 0,    \
    .max = 1e6,                                                                                   \
    .help = "imbalance, over that after its last plan, at which a layer is replanned; 0: always", \
    .offset = offsetof(mb_flash_params, threshold_ratio)                                          \
  }

#define MB_FLASH_LAYERS                                                                       \
  {                                                                                           \
    .key = "buffer_expert_layer_num", .type = MB_PARAM_INT, .unit = "layers", .initial = "8", \
    .min = 1, .max = 1e6, .word = "unlimited", .word_value = INT64_MAX,                       \
    .help = "layers replaced at most in one plan, the most improved first",                   \
    .offset = offsetof(mb_flash_params, layers_max)                                           \
  }

#define MB_FLASH_REPLICATION                                                   \
  {                                                                            \
    .key = "replication", .type = MB_PARAM_TEXT, .unit = "", .initial = "own", \
    .choices = mb_flash_replications,                                          \
    .help = "sum: as EPLB gives replicas, to compare places alone",            \
    .offset = offsetof(mb_flash_params, replication)                           \
  }

/** The state of such a planner. */
typedef struct mb_flash {
  mb_layerwise *layerwise;
  double *last;   /* [L] par of the last plan, 0 before it */
  double *now;    /* [L] par of the placement in force; NaN without load */
  double *next;   /* [L] par of the new placement */
  size_t *order;  /* [L] */
  bool *wanted;   /* [L] */
  int32_t *count; /* [E] */
  double *load;   /* [E] a layer's loads a replica in a slice */
} mb_flash;

/** @param scratch_size of the function that places. @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_flash_init(mb_flash *flash, const mb_shape *shape,
                                     const mb_flash_params *params, const mb_backend *backend,
                                     size_t scratch_size);
void mb_flash_fini(void *state);

MB_NODISCARD mb_status mb_flash_plan(mb_flash *flash, const mb_flash_params *params,
                                     mb_place_node *place, const mb_plan_input *input,
                                     mb_plan_output *output);

/** Positions 0..n-1, the largest value first, equals by position: O(n log n).
 *  @param other [n] scratch. */
void mb_sort_positions(size_t n, const double *value, int32_t *order, int32_t *other);

#ifdef __cplusplus
}
#endif

#endif
