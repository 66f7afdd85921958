/* sim/dispatch_even.c - every replica an equal share. */
#include "sim/dispatch.h"

void mb_dispatch_even_split(const mb_shape *shape, const uint32_t *load,
                            const int32_t *physical_to_logical_map, const int32_t *expert_count,
                            double *slot_load) {
  for (size_t p = 0; p < shape->n_slots; p++) {
    int32_t e = physical_to_logical_map[p];
    slot_load[p] = (double)load[e] / (double)expert_count[e];
  }
}

static void even_split(void *state, const mb_shape *shape, size_t layer,
                       const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                       double *slot_load) {
  (void)state;
  (void)layer;
  mb_dispatch_even_split(shape, load->load, placement->physical_to_logical_map,
                         placement->expert_count, slot_load);
}

const mb_dispatch_type mb_dispatch_even = {
    .name = "even",
    .summary = "a replica gets an equal share of its expert's tokens",
    .split = even_split,
};
