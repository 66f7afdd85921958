/* sim/relabel.h - other numbers for the experts, to see how much a balancer owes to their order. */
#ifndef MB_SIM_RELABEL_H
#define MB_SIM_RELABEL_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/placement.h"
#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A permutation of each layer's experts that keeps groups together: the groups change places with
 * each other, and the experts of a group among themselves.
 */
typedef struct mb_relabel {
  size_t n_layers, n_experts, n_slots;
  int32_t *label_of;  /* [L,E] by expert */
  int32_t *expert_of; /* [L,E] by label: the inverse */
} mb_relabel;

/**
 * Draws relabelling number `number` >= 1: every permutation of that kind is as likely, and nothing
 * but the number, the layer, and the counts of experts and groups decides which it is.
 * @param relabel mb_relabel_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_relabel_init(mb_relabel *relabel, const mb_shape *shape, size_t number);
void mb_relabel_fini(mb_relabel *relabel); /* of zeroes is fine */

/** Loads [S,L,E] by expert into loads by label. */
void mb_relabel_loads(const mb_relabel *relabel, size_t n_slices, const double *by_expert,
                      double *by_label);

/** One layer's placement [P] of experts as one of labels, and back. */
void mb_relabel_to_labels(const mb_relabel *relabel, size_t layer, const int32_t *experts,
                          int32_t *labels);
void mb_relabel_to_experts(const mb_relabel *relabel, size_t layer, const int32_t *labels,
                           int32_t *experts);

#ifdef __cplusplus
}
#endif

#endif
