/* cuda/layer.cuh - internal: one layer's node by one block; reference: balancer/rebalance.c.
 *
 * Launch: a block for each layer and node, 64 to 512 threads, all state in dynamic shared memory.
 * Every block packs the layer's groups for itself: they are few, and nobody waits for anybody.
 */
#ifndef MB_CUDA_LAYER_CUH
#define MB_CUDA_LAYER_CUH

#include <stddef.h>
#include <stdint.h>

#include "balancer/load.h"
#include "cuda/gpu.h"
#include "cuda/packing.cuh"
#include "cuda/rebalance.h"
#include "cuda/warp.cuh"

#define MB_CUDA_THREADS_MIN 64
#define MB_CUDA_THREADS_MAX 512

/** Where each array begins in a block's shared memory, in bytes; 0 bytes of table: there is none.
 */
struct mb_cuda_layout {
  size_t load;                          /* double [E/N], before the packing; shares its place */
  size_t order, pack_of, member;        /* with these: uint16 */
  size_t weight, pack_load, table_gain; /* double */
  size_t table_swap;                    /* uint32 */
  size_t filled;                        /* uint16 [max(D/N, N)] */
  size_t expert, count;                 /* uint16 [E/N] */
  size_t item, replica;                 /* uint16 [P/N] */
  size_t bytes;
  int table_pairs; /* entries of the table */
};

/** All that a kernel is told. In global mode there is one group on one node. */
struct mb_cuda_task {
  int n_experts, n_slots, n_groups, n_nodes;
  int group_size, node_experts, node_slots, node_gpus, gpu_slots;
  int n_replicas; /* X */
  long long max_rounds;
  double min_gain;
  bool reference_quirks;
  mb_cuda_layout layout;
  const double *load;               /* [L,E] */
  int32_t *physical_to_logical_map; /* [L,P] */
  int32_t *logical_to_physical_map; /* [L,E,X] or NULL */
  int32_t *expert_count;            /* [L,E] or NULL */
  mb_cuda_report *report;           /* [L,N] or NULL */
};

/** One block's view of its work. */
struct mb_cuda_node {
  const mb_cuda_task *task;
  int layer, node;
  const double *layer_load; /* [E] */
  double *load;             /* [E/N] of the node's list, whose places are x */
  double *quotient;         /* [E/N] load a replica; lies where the weights will */
  uint16_t *expert;         /* [E/N] the node's list */
  uint16_t *count;          /* [E/N] replicas of each */
  uint16_t *item, *replica; /* [P/N] place x of each slot's expert; which copy it is */
  mb_cuda_packing packing;  /* arrays only; sizes are set by each use */
};

/** Adding 0 makes a negative zero positive, whose bits would stand above all others. */
__device__ inline double mb_without_sign(double value) {
  return value + 0.0;
}

__device__ inline bool mb_load_is_good(double value) {
  return value >= 0 && value <= MB_LOAD_MAX;
}

/** By one thread, in the order that the definition adds in: -1, or the report's bad_expert. */
__device__ inline int mb_first_bad_expert(const double *load, int n_experts) {
  double sum = 0;

  for (int e = 0; e < n_experts; e++) {
    if (!mb_load_is_good(load[e])) {
      return e;
    }
    sum += load[e];
  }
  return sum > MB_LAYER_LOAD_MAX ? n_experts : -1;
}

/**
 * Whether the layer's loads are in range; the same in all threads. Loads so small that their sum
 * cannot come near its bound, as those of every trace are, need no sum in order.
 */
__device__ inline int mb_check_layer(const mb_cuda_node &w, int *shared_answer) {
  bool doubtful = false;

  for (int e = (int)threadIdx.x; e < w.task->n_experts; e += (int)blockDim.x) {
    double value = w.layer_load[e];
    doubtful =
        doubtful || !(mb_load_is_good(value) && value * w.task->n_experts < MB_LAYER_LOAD_MAX / 2);
  }
  if (__syncthreads_or(doubtful) == 0) {
    return -1;
  }
  if (threadIdx.x == 0) {
    *shared_answer = mb_first_bad_expert(w.layer_load, w.task->n_experts);
  }
  __syncthreads();
  return *shared_answer;
}

/** The groups' loads, each added in the order of its experts, packed onto the nodes. */
template <class Refinement> __device__ mb_cuda_stats mb_pack_groups(mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;

  w.packing.n = task.n_groups;
  w.packing.m = task.n_nodes;
  w.packing.k = task.n_groups / task.n_nodes;
  for (int g = (int)threadIdx.x; w.packing.k > 1 && g < task.n_groups; g += (int)blockDim.x) {
    double sum = 0;
    for (int e = g * task.group_size; e < (g + 1) * task.group_size; e++) {
      sum += w.layer_load[e];
    }
    w.packing.weight[g] = mb_without_sign(sum);
  }
  __syncthreads();
  return mb_pack_items<Refinement>(w.packing, task.max_rounds, task.min_gain);
}

/** A node's experts, by the rank of their group in the node's pack, then by id. */
__device__ inline void mb_list_experts(const mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;
  const uint16_t *groups = w.packing.member + ptrdiff_t{w.node} * w.packing.k;

  for (int x = (int)threadIdx.x; x < task.node_experts; x += (int)blockDim.x) {
    int group = w.packing.order[groups[x / task.group_size]];
    w.expert[x] = (uint16_t)(group * task.group_size + x % task.group_size);
  }
  __syncthreads(); /* the groups' packing lies where the loads will */
  for (int x = (int)threadIdx.x; x < task.node_experts; x += (int)blockDim.x) {
    double load = mb_without_sign(w.layer_load[w.expert[x]]);
    w.load[x] = load;
    w.quotient[x] = load;
    w.count[x] = 1;
    w.item[x] = (uint16_t)x;
    w.replica[x] = 0;
  }
  __syncthreads();
}

/** The lane's largest load a replica: of places lane, lane + 32, ... */
__device__ inline mb_choice mb_largest_of_lane(const mb_cuda_node &w) {
  mb_choice largest = {0, UINT32_MAX};

  for (int x = mb_lane(); x < w.task->node_experts; x += MB_WARP_SIZE) {
    uint64_t key = mb_key_of(w.quotient[x]);
    if (largest.id == UINT32_MAX || key > largest.key) {
      largest = mb_choice{key, (uint32_t)x};
    }
  }
  return largest;
}

/**
 * By one warp: one more replica for whoever has the largest load a replica, again and again. A lane
 * alone touches its places. Experts without any load get theirs one each, wrapping round.
 */
__device__ inline void mb_replicate(const mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;
  mb_choice largest = mb_largest_of_lane(w);
  /* Lanes without a place tie at key 0, and lose by their id. */
  bool in_turn = __ballot_sync(MB_WARP_ALL, largest.key > 0) == 0 && !task.reference_quirks;

  for (int s = task.node_experts; s < task.node_slots; s++) {
    bool mine =
        in_turn ? s % task.node_experts % MB_WARP_SIZE == mb_lane() : mb_warp_is_best(largest);
    if (mine) {
      int x = in_turn ? s % task.node_experts : (int)largest.id;
      w.item[s] = (uint16_t)x;
      w.replica[s] = w.count[x]++;
      w.quotient[x] = w.load[x] / w.count[x];
      largest = mb_largest_of_lane(w);
    }
  }
}

/** The slots, weighing a replica's load each, packed onto the node's GPUs. */
template <class Refinement> __device__ mb_cuda_stats mb_pack_slots(mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;

  w.packing.n = task.node_slots;
  w.packing.m = task.node_gpus;
  w.packing.k = task.gpu_slots;
  /* Of the first E/N slots, slot x holds place x: their weights are in place already. */
  for (int s = task.node_experts + (int)threadIdx.x; s < task.node_slots; s += (int)blockDim.x) {
    w.packing.weight[s] = w.quotient[w.item[s]];
  }
  __syncthreads();
  return mb_pack_items<Refinement>(w.packing, task.max_rounds, task.min_gain);
}

/** The node's part of the three maps. */
__device__ inline void mb_write_maps(const mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;
  size_t layer = (size_t)w.layer;
  int32_t *slots = task.physical_to_logical_map + layer * (size_t)task.n_slots;
  int first = w.node * task.node_slots;

  for (int s = (int)threadIdx.x; s < task.node_slots; s += (int)blockDim.x) {
    int item = w.packing.order[w.packing.member[s]];
    int e = w.expert[w.item[item]];
    slots[first + s] = e;
    if (task.logical_to_physical_map != NULL) {
      size_t row = layer * (size_t)task.n_experts + (size_t)e;
      task.logical_to_physical_map[row * (size_t)task.n_replicas + w.replica[item]] = first + s;
    }
  }
  for (int x = (int)threadIdx.x; task.expert_count != NULL && x < task.node_experts;
       x += (int)blockDim.x) {
    task.expert_count[layer * (size_t)task.n_experts + w.expert[x]] = w.count[x];
  }
  /* A warp a row, so that neighbouring lanes write neighbouring words. */
  for (int x = mb_warp(); task.logical_to_physical_map != NULL && x < task.node_experts;
       x += (int)blockDim.x / MB_WARP_SIZE) {
    size_t row = layer * (size_t)task.n_experts + w.expert[x];
    for (int r = w.count[x] + mb_lane(); r < task.n_replicas; r += MB_WARP_SIZE) {
      task.logical_to_physical_map[row * (size_t)task.n_replicas + (size_t)r] = -1;
    }
  }
}

/** Of a layer that is refused: -1 in the node's slots, and in as many experts' rows. */
__device__ inline void mb_write_refused(const mb_cuda_node &w) {
  const mb_cuda_task &task = *w.task;
  size_t layer = (size_t)w.layer;
  size_t first_slot = layer * (size_t)task.n_slots + (size_t)(w.node * task.node_slots);
  size_t first_expert = layer * (size_t)task.n_experts + (size_t)(w.node * task.node_experts);

  for (int s = (int)threadIdx.x; s < task.node_slots; s += (int)blockDim.x) {
    task.physical_to_logical_map[first_slot + (size_t)s] = -1;
  }
  for (int x = (int)threadIdx.x; task.expert_count != NULL && x < task.node_experts;
       x += (int)blockDim.x) {
    task.expert_count[first_expert + (size_t)x] = -1;
  }
  size_t n_entries = (size_t)task.node_experts * (size_t)task.n_replicas;
  for (size_t x = threadIdx.x; task.logical_to_physical_map != NULL && x < n_entries;
       x += blockDim.x) {
    task.logical_to_physical_map[first_expert * (size_t)task.n_replicas + x] = -1;
  }
}

__device__ inline void mb_write_report(const mb_cuda_node &w, mb_cuda_stats groups,
                                       mb_cuda_stats slots, int bad_expert) {
  if (w.task->report == NULL || threadIdx.x != 0) {
    return;
  }
  bool counts_groups = w.node == 0;
  mb_cuda_report report = {};
  report.rounds = slots.rounds + (counts_groups ? groups.rounds : 0);
  report.swaps = slots.swaps + (counts_groups ? groups.swaps : 0);
  report.bad_expert = bad_expert;
  w.task->report[(size_t)w.layer * (size_t)w.task->n_nodes + (size_t)w.node] = report;
}

/** The views into a block's memory. */
__device__ inline mb_cuda_node mb_node_in(const mb_cuda_task &task, unsigned char *memory,
                                          mb_choice *best_of_warp) {
  const mb_cuda_layout &at = task.layout;
  mb_cuda_node w = {};

  w.task = &task;
  w.layer = (int)(blockIdx.x / (unsigned)task.n_nodes);
  w.node = (int)(blockIdx.x % (unsigned)task.n_nodes);
  w.layer_load = task.load + (size_t)w.layer * (size_t)task.n_experts;
  w.load = (double *)(memory + at.load);
  w.quotient = (double *)(memory + at.weight);
  w.expert = (uint16_t *)(memory + at.expert);
  w.count = (uint16_t *)(memory + at.count);
  w.item = (uint16_t *)(memory + at.item);
  w.replica = (uint16_t *)(memory + at.replica);
  w.packing.weight = (double *)(memory + at.weight);
  w.packing.order = (uint16_t *)(memory + at.order);
  w.packing.pack_of = (uint16_t *)(memory + at.pack_of);
  w.packing.member = (uint16_t *)(memory + at.member);
  w.packing.pack_load = (double *)(memory + at.pack_load);
  w.packing.filled = (uint16_t *)(memory + at.filled);
  w.packing.table_gain = at.table_pairs > 0 ? (double *)(memory + at.table_gain) : NULL;
  w.packing.table_swap = (uint32_t *)(memory + at.table_swap);
  w.packing.best_of_warp = best_of_warp;
  return w;
}

template <class Refinement>
__global__ void __launch_bounds__(MB_CUDA_THREADS_MAX, 2)
    mb_rebalance_kernel(const __grid_constant__ mb_cuda_task task) {
  GPU_DYN_SHARED(unsigned char, memory);
  GPU_SHARED_ARRAY(mb_choice, best_of_warp, MB_WARPS_MAX);
  GPU_SHARED_VAR(int, bad_expert_found);
  mb_cuda_node w = mb_node_in(task, memory, best_of_warp);
  int bad_expert = mb_check_layer(w, &bad_expert_found);

  if (bad_expert >= 0) {
    mb_write_refused(w);
    mb_write_report(w, mb_cuda_stats{0, 0}, mb_cuda_stats{0, 0}, bad_expert);
    return;
  }
  mb_cuda_stats groups = mb_pack_groups<Refinement>(w);
  mb_list_experts(w);
  if (mb_warp() == 0) {
    mb_replicate(w);
  }
  __syncthreads();
  mb_cuda_stats slots = mb_pack_slots<Refinement>(w);
  mb_write_maps(w);
  mb_write_report(w, groups, slots, -1);
}

#endif
