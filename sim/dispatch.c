/* sim/dispatch.c */
#include "sim/dispatch.h"

void mb_dispatch_even(const mb_shape *shape, const uint32_t *load,
                      const int32_t *physical_to_logical_map, const int32_t *expert_count,
                      double *slot_load) {
  for (size_t p = 0; p < shape->n_slots; p++) {
    int32_t e = physical_to_logical_map[p];
    slot_load[p] = (double)load[e] / (double)expert_count[e];
  }
}
