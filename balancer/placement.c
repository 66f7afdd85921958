/* balancer/placement.c */
#include "balancer/placement.h"

#include <inttypes.h>
#include <string.h>

/* Products of three sizes then fit 63 bits, and every index fits int32. */
static const size_t SIZE_LIMIT = (size_t)1 << 20;

static mb_status check_size(const char *what, size_t size) {
  if (size < 1 || size > SIZE_LIMIT) {
    return MB_FAIL(MB_ERR_SHAPE, "the number of %s is %zu, but has to be from 1 to %zu", what, size,
                   SIZE_LIMIT);
  }
  return MB_OK;
}

static mb_status check_multiple(const char *what, size_t size, const char *of, size_t divisor) {
  if (size % divisor != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu %s do not divide evenly over %zu %s", size, what, divisor,
                   of);
  }
  return MB_OK;
}

mb_status mb_shape_check(const mb_shape *shape) {
  MB_TRY(check_size("layers", shape->n_layers));
  MB_TRY(check_size("experts", shape->n_experts));
  MB_TRY(check_size("slots", shape->n_slots));
  MB_TRY(check_size("groups", shape->n_groups));
  MB_TRY(check_size("nodes", shape->n_nodes));
  MB_TRY(check_size("GPUs", shape->n_gpus));
  if (shape->n_slots < shape->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu slots cannot hold %zu experts: every expert needs a slot",
                   shape->n_slots, shape->n_experts);
  }
  MB_TRY(check_multiple("slots", shape->n_slots, "GPUs", shape->n_gpus));
  MB_TRY(check_multiple("GPUs", shape->n_gpus, "nodes", shape->n_nodes));
  MB_TRY(check_multiple("experts", shape->n_experts, "groups", shape->n_groups));
  return MB_OK;
}

bool mb_shape_is_hierarchical(const mb_shape *shape) {
  return shape->n_groups % shape->n_nodes == 0;
}

size_t mb_shape_max_replicas(const mb_shape *shape) {
  return shape->n_slots - shape->n_experts + 1;
}

void mb_placement_linear(const mb_shape *shape, int32_t *physical_to_logical_map) {
  for (size_t p = 0; p < shape->n_slots; p++) {
    physical_to_logical_map[p] = (int32_t)(p % shape->n_experts);
  }
}

mb_status mb_placement_count(const mb_shape *shape, const int32_t *physical_to_logical_map,
                             int32_t *expert_count) {
  memset(expert_count, 0, shape->n_experts * sizeof *expert_count);
  for (size_t p = 0; p < shape->n_slots; p++) {
    int32_t e = physical_to_logical_map[p];
    if (e < 0 || (size_t)e >= shape->n_experts) {
      return MB_FAIL(MB_ERR_RANGE, "slot %zu holds expert %" PRId32 ", but experts are 0 to %zu", p,
                     e, shape->n_experts - 1);
    }
    expert_count[e]++;
  }
  for (size_t e = 0; e < shape->n_experts; e++) {
    if (expert_count[e] == 0) {
      return MB_FAIL(MB_ERR_RANGE, "expert %zu is in none of the %zu slots, but has to be in one",
                     e, shape->n_slots);
    }
  }
  return MB_OK;
}

static bool holds(const int32_t *slots, size_t n, int32_t expert) {
  for (size_t p = 0; p < n; p++) {
    if (slots[p] == expert) {
      return true;
    }
  }
  return false;
}

int32_t mb_placement_duplicate_slots(const mb_shape *shape,
                                     const int32_t *physical_to_logical_map) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  int32_t duplicates = 0;

  for (size_t p = 0; p < shape->n_slots; p++) {
    size_t first = p - p % slots_per_gpu;
    duplicates += holds(physical_to_logical_map + first, p - first, physical_to_logical_map[p]);
  }
  return duplicates;
}

int32_t mb_placement_moved_experts(const mb_shape *shape, const int32_t *before,
                                   const int32_t *after, int32_t *scratch) {
  size_t slots_per_gpu = shape->n_slots / shape->n_gpus;
  int32_t *last_gpu = scratch; /* the last GPU known to hold the expert, before or by now */
  int32_t moved = 0;

  for (size_t e = 0; e < shape->n_experts; e++) {
    last_gpu[e] = -1;
  }
  for (size_t gpu = 0; gpu < shape->n_gpus; gpu++) {
    const int32_t *held = before + gpu * slots_per_gpu;
    const int32_t *wanted = after + gpu * slots_per_gpu;
    for (size_t p = 0; p < slots_per_gpu; p++) {
      last_gpu[held[p]] = (int32_t)gpu;
    }
    for (size_t p = 0; p < slots_per_gpu; p++) {
      moved += last_gpu[wanted[p]] != (int32_t)gpu;
      last_gpu[wanted[p]] = (int32_t)gpu;
    }
  }
  return moved;
}
