/* cuda/rebalance.cu - the rebalance as one kernel launch; reference: balancer/rebalance.c.
 *
 * Design, with what is expected of it. Nothing here has been measured on a GPU: numbers of cycles
 * are estimates from published latencies, at 1.7 GHz of an H100.
 *
 * - Work: a block a layer and node; deepseek-v3 has 232 of 128 threads, kimi-k2 60 of 512. An H100
 *   has 132 multiprocessors, so that all blocks are in flight at once, and the launch takes as long
 *   as its slowest block. What a block does is mostly one chain of dependent steps; so it has as
 *   many threads as slots, which is enough for the pairs of a round, and at most 512: with 1,024
 *   a barrier would cost more, and a thread could not have the 64 registers that l2 takes.
 * - Bytes: each load is read by each of the layer's nodes, at most 0.5 MB in all; the maps are
 *   written once, 2.1 MB for deepseek-v3 and 6.1 MB for kimi-k2, nearly all of it padding of
 *   logical_to_physical_map: 2 microseconds at 3 TB/s. Without that map the bytes do not count.
 * - Chains, for kimi-k2 (448 slots, 64 GPUs): 64 replicas and 448 steps of LPT, some 120 cycles
 *   each; 45 steps of sorting, some 70; up to 50 rounds of l2, some 1,300 cycles each (look through
 *   the table 300, swap and sum 300, search anew 650). That is 62,000 + 3,000 + 65,000 cycles:
 *   about 80 microseconds, with launch. deepseek-v3 (72 slots, 8 GPUs a node): about 40.
 * - Registers, shared memory and spills of each architecture: `sh cuda/ptxas.sh`. Occupancy does
 *   not limit: a multiprocessor rarely has more than two blocks to run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/load.h"
#include "balancer/options.h"
#include "cuda/gpu.h"
#include "cuda/layer.cuh"
#include "cuda/packing.cuh"
#include "cuda/rebalance.h"
#include "cuda/swap.cuh"

/* A CUDA error in this library's words; `doing` says what was tried. */
static mb_status translate(cudaError_t error, const char *doing) {
  if (error == cudaSuccess) {
    return MB_OK;
  }
  (void)cudaGetLastError(); /* or the next call would find it again */
  return MB_FAIL(error == cudaErrorMemoryAllocation ? MB_ERR_MEMORY : MB_ERR_UNSUPPORTED,
                 "the GPU could not %s: %s (CUDA error %d)", doing, cudaGetErrorString(error),
                 (int)error);
}

/* Why there is no device; the runtime's own words for a machine without a driver mislead. */
static mb_status refuse_device(cudaError_t error) {
  int driver = 0;
  int runtime = 0;

  (void)cudaGetLastError();
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "there is no NVIDIA driver on this machine");
  }
  if (error == cudaErrorInsufficientDriver && cudaRuntimeGetVersion(&runtime) == cudaSuccess) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "the NVIDIA driver is for CUDA %d.%d, but this moebal needs one for %d.%d",
                   driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
  }
  if (error == cudaErrorNoDevice || error == cudaSuccess) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "there is no CUDA device on this machine");
  }
  return MB_FAIL(MB_ERR_UNSUPPORTED, "CUDA does not work here: %s (CUDA error %d)",
                 cudaGetErrorString(error), (int)error);
}

mb_status mb_cuda_device_find(mb_cuda_device *device) {
  cudaDeviceProp properties;
  int n_devices = 0;
  int current = 0;
  cudaError_t error = cudaGetDeviceCount(&n_devices);

  if (error != cudaSuccess || n_devices < 1) {
    return refuse_device(error);
  }
  MB_TRY(translate(cudaGetDevice(&current), "be asked which it is"));
  MB_TRY(translate(cudaGetDeviceProperties(&properties, current), "be asked what it is"));
  if (properties.major < 8) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "the GPU %.100s has compute capability %d.%d, but 8.0 is the least",
                   properties.name, properties.major, properties.minor);
  }
  if (device != NULL) {
    *device = mb_cuda_device{};
    (void)snprintf(device->name, sizeof device->name, "%s", properties.name);
    device->major = properties.major;
    device->minor = properties.minor;
    device->n_processors = properties.multiProcessorCount;
    device->shared_bytes = properties.sharedMemPerBlockOptin;
  }
  return MB_OK;
}

static int larger(int a, int b) {
  return a > b ? a : b;
}

/* The next array's place, its elements being of this size. */
static size_t place(size_t *bytes, size_t count, size_t size) {
  size_t at = (*bytes + size - 1) / size * size;

  *bytes = at + count * size;
  return at;
}

/* Doubles first. The node's loads share their place with what only a packing needs. */
static mb_cuda_layout layout_of(const mb_cuda_task &task, int table_pairs) {
  int n = larger(task.node_slots, task.n_groups);
  int m = larger(task.node_gpus, task.n_nodes);
  size_t padded = (size_t)mb_power_of_two(n);
  size_t bytes = 0;
  mb_cuda_layout at = {};

  at.table_pairs = table_pairs;
  at.weight = place(&bytes, padded, sizeof(double));
  at.pack_load = place(&bytes, (size_t)m, sizeof(double));
  at.table_gain = place(&bytes, (size_t)table_pairs, sizeof(double));
  at.load = place(&bytes, 0, sizeof(double));
  size_t end_of_load = at.load + (size_t)task.node_experts * sizeof(double);
  at.order = place(&bytes, padded, sizeof(uint16_t));
  at.pack_of = place(&bytes, (size_t)n, sizeof(uint16_t));
  at.member = place(&bytes, (size_t)n, sizeof(uint16_t));
  bytes = bytes > end_of_load ? bytes : end_of_load;
  at.table_swap = place(&bytes, (size_t)table_pairs, sizeof(uint32_t));
  at.filled = place(&bytes, (size_t)m, sizeof(uint16_t));
  at.expert = place(&bytes, (size_t)task.node_experts, sizeof(uint16_t));
  at.count = place(&bytes, (size_t)task.node_experts, sizeof(uint16_t));
  at.item = place(&bytes, (size_t)task.node_slots, sizeof(uint16_t));
  at.replica = place(&bytes, (size_t)task.node_slots, sizeof(uint16_t));
  at.bytes = bytes;
  return at;
}

/* With a table of swaps if l2 runs and it fits. `limit`: what a block can have. */
static mb_status lay_out(mb_cuda_task *task, bool wants_table, size_t limit) {
  /* The kernel's own arrays, with room for their alignment. */
  const size_t reserved = MB_WARPS_MAX * sizeof(mb_choice) + 2 * sizeof(mb_choice);
  size_t m = (size_t)larger(task->node_gpus, task->n_nodes);
  size_t pairs = m * (m - 1) / 2;

  limit = limit > reserved ? limit - reserved : 0;
  bool swaps = task->gpu_slots > 1 || task->n_groups > task->n_nodes;
  if (wants_table && swaps && pairs <= limit / sizeof(double)) {
    task->layout = layout_of(*task, (int)pairs);
    if (task->layout.bytes <= limit) {
      return MB_OK;
    }
  }
  task->layout = layout_of(*task, 0);
  if (task->layout.bytes > limit) {
    return MB_FAIL(
        MB_ERR_UNSUPPORTED,
        "%d slots a node take %zu bytes of the GPU's shared memory, but a block can have "
        "%zu; use backend cpu",
        task->node_slots, task->layout.bytes, limit);
  }
  return MB_OK;
}

/* 16 bits name an expert; whatever of a node's does not fit is refused for its memory. */
static mb_status check_size(const mb_shape *shape) {
  if (shape->n_layers > INT32_MAX / shape->n_nodes) {
    return MB_FAIL(
        MB_ERR_UNSUPPORTED,
        "%zu layers on %zu nodes are more blocks than a launch can have; use backend cpu",
        shape->n_layers, shape->n_nodes);
  }
  if (shape->n_experts > UINT16_MAX || shape->n_slots / shape->n_nodes > UINT16_MAX ||
      shape->n_slots > INT32_MAX / 2) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "%zu experts in %zu slots are too many for the GPU, which takes at most %d of "
                   "each on a node; use backend cpu",
                   shape->n_experts, shape->n_slots, UINT16_MAX);
  }
  return MB_OK;
}

static mb_cuda_task task_of(const mb_shape *shape, const mb_balance_options *options) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  mb_cuda_task task = {};

  task.n_experts = (int)shape->n_experts;
  task.n_slots = (int)shape->n_slots;
  task.n_groups = hierarchical ? (int)shape->n_groups : 1;
  task.n_nodes = hierarchical ? (int)shape->n_nodes : 1;
  task.group_size = task.n_experts / task.n_groups;
  task.node_experts = task.n_experts / task.n_nodes;
  task.node_slots = task.n_slots / task.n_nodes;
  task.node_gpus = (int)shape->n_gpus / task.n_nodes;
  task.gpu_slots = (int)(shape->n_slots / shape->n_gpus);
  task.n_replicas = (int)mb_shape_max_replicas(shape);
  task.max_rounds = (long long)options->max_rounds;
  task.min_gain = options->min_gain;
  task.reference_quirks = options->reference_quirks;
  return task;
}

typedef void (*kernel_type)(mb_cuda_task);

static kernel_type kernel_of(const char *refinement) {
  if (strcmp(refinement, "lpt") == 0) {
    return mb_rebalance_kernel<mb_cuda_lpt>;
  }
  if (strcmp(refinement, "maxmin") == 0) {
    return mb_rebalance_kernel<mb_cuda_maxmin>;
  }
  return strcmp(refinement, "l2") == 0 ? mb_rebalance_kernel<mb_cuda_l2> : NULL;
}

/* What a block of the current device can have; asked at every launch, so without all the rest. */
static mb_status find_shared_limit(size_t *limit) {
  int device = 0;
  int bytes = 0;
  cudaError_t error = cudaGetDevice(&device);

  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  }
  if (error != cudaSuccess) {
    return refuse_device(error);
  }
  *limit = (size_t)bytes;
  return MB_OK;
}

/* The task but for its pointers, and its kernel. */
static mb_status prepare(const mb_shape *shape, const char *refinement,
                         const mb_balance_options *options, mb_cuda_task *task,
                         kernel_type *kernel) {
  size_t limit = 0;

  MB_TRY(mb_shape_check(shape));
  MB_TRY(mb_balance_options_check(options));
  *kernel = kernel_of(refinement);
  if (*kernel == NULL) {
    return MB_FAIL(MB_ERR_UNSUPPORTED,
                   "the GPU has no refinement '%.64s'; it has lpt, maxmin, l2; use backend cpu",
                   refinement);
  }
  MB_TRY(check_size(shape));
  MB_TRY(find_shared_limit(&limit));
  *task = task_of(shape, options);
  return lay_out(task, strcmp(refinement, "l2") == 0, limit);
}

static int threads_for(const mb_cuda_task &task) {
  int threads = mb_power_of_two(task.node_slots);

  threads = threads < MB_CUDA_THREADS_MAX ? threads : MB_CUDA_THREADS_MAX;
  return larger(threads, MB_CUDA_THREADS_MIN);
}

mb_status mb_rebalance_cuda_launch(const mb_shape *shape, const double *load,
                                   const char *refinement, const mb_balance_options *options,
                                   const mb_placement *placement, mb_cuda_report *report,
                                   void *stream) {
  const mb_balance_options used = options != NULL ? *options : MB_BALANCE_OPTIONS_DEFAULT;
  mb_cuda_task task;
  kernel_type kernel = NULL;

  MB_TRY(prepare(shape, refinement, &used, &task, &kernel));
  task.load = load;
  task.physical_to_logical_map = placement->physical_to_logical_map;
  task.logical_to_physical_map = placement->logical_to_physical_map;
  task.expert_count = placement->expert_count;
  task.report = report;
  return translate(LAUNCH(kernel, dim3((unsigned)(shape->n_layers * (size_t)task.n_nodes)),
                          dim3((unsigned)threads_for(task)), task.layout.bytes,
                          (cudaStream_t)stream, task),
                   "start the rebalance");
}

/* One shape's memory on the GPU, and the host's for what comes back. */
typedef struct rebalancer {
  mb_shape shape;
  size_t n_reports;
  cudaStream_t stream;
  double *load; /* on the GPU, as are these: */
  mb_placement placement;
  mb_cuda_report *report;
  mb_placement host_placement; /* until all maps are there */
  mb_cuda_report *host_report; /* [n_reports] */
} rebalancer;

static void rebalancer_destroy(void *memory) {
  rebalancer *r = (rebalancer *)memory;

  if (r == NULL) {
    return;
  }
  (void)cudaFree(r->load);
  (void)cudaFree(r->placement.physical_to_logical_map);
  (void)cudaFree(r->placement.logical_to_physical_map);
  (void)cudaFree(r->placement.expert_count);
  (void)cudaFree(r->report);
  if (r->stream != NULL) {
    (void)cudaStreamDestroy(r->stream);
  }
  free(r->host_placement.physical_to_logical_map);
  free(r->host_placement.logical_to_physical_map);
  free(r->host_placement.expert_count);
  free(r->host_report);
  free(r);
}

static size_t map_bytes(const mb_shape *shape) {
  return shape->n_layers * shape->n_slots * sizeof(int32_t);
}

static size_t count_bytes(const mb_shape *shape) {
  return shape->n_layers * shape->n_experts * sizeof(int32_t);
}

static size_t back_bytes(const mb_shape *shape) {
  return count_bytes(shape) * mb_shape_max_replicas(shape);
}

static mb_status rebalancer_allocate(rebalancer *r) {
  const mb_shape *s = &r->shape;

  r->n_reports = s->n_layers * (mb_shape_is_hierarchical(s) ? s->n_nodes : 1);
  r->host_report = (mb_cuda_report *)malloc(r->n_reports * sizeof *r->host_report);
  r->host_placement.physical_to_logical_map = (int32_t *)malloc(map_bytes(s));
  r->host_placement.logical_to_physical_map = (int32_t *)malloc(back_bytes(s));
  r->host_placement.expert_count = (int32_t *)malloc(count_bytes(s));
  if (r->host_report == NULL || r->host_placement.physical_to_logical_map == NULL ||
      r->host_placement.logical_to_physical_map == NULL || r->host_placement.expert_count == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the maps of %zu layers", s->n_layers);
  }
  MB_TRY(translate(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking), "make a stream"));
  MB_TRY(translate(cudaMalloc(&r->load, s->n_layers * s->n_experts * sizeof(double)),
                   "hold the loads"));
  MB_TRY(translate(cudaMalloc(&r->placement.physical_to_logical_map, map_bytes(s)),
                   "hold physical_to_logical_map"));
  MB_TRY(translate(cudaMalloc(&r->placement.logical_to_physical_map, back_bytes(s)),
                   "hold logical_to_physical_map"));
  MB_TRY(translate(cudaMalloc(&r->placement.expert_count, count_bytes(s)), "hold expert_count"));
  return translate(cudaMalloc(&r->report, r->n_reports * sizeof *r->report), "hold the reports");
}

/* Refuses at once what a launch would refuse for any of the refinements. */
static mb_status rebalancer_create(const mb_shape *shape, void **memory) {
  const mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  mb_cuda_task task;
  kernel_type kernel = NULL;

  MB_TRY(mb_shape_check(shape));
  MB_TRY(mb_cuda_device_find(NULL));
  MB_TRY(prepare(shape, "lpt", &options, &task, &kernel));
  rebalancer *r = (rebalancer *)calloc(1, sizeof *r);
  if (r == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a GPU's rebalancer");
  }
  r->shape = *shape;
  mb_status status = rebalancer_allocate(r);
  if (status != MB_OK) {
    rebalancer_destroy(r);
    return status;
  }
  *memory = r;
  return MB_OK;
}

static mb_status copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                      const rebalancer *r) {
  return translate(cudaMemcpyAsync(to, from, bytes, kind, r->stream), "copy");
}

static mb_status wait(const rebalancer *r) {
  return translate(cudaStreamSynchronize(r->stream), "finish the rebalance");
}

/* Adds up the reports; loads that the GPU refused are refused in the words of the CPU. */
static mb_status read_report(const rebalancer *r, const double *load, mb_pack_stats *stats) {
  mb_pack_stats sum = {0, 0};

  for (size_t x = 0; x < r->n_reports; x++) {
    if (r->host_report[x].bad_expert >= 0) {
      MB_TRY(mb_load_check(&r->shape, load));
      return MB_FAIL(MB_ERR_UNSUPPORTED,
                     "the GPU refused a load of layer %zu that is in range: its memory is in doubt",
                     x / (r->n_reports / r->shape.n_layers));
    }
    sum.rounds += r->host_report[x].rounds;
    sum.swaps += r->host_report[x].swaps;
  }
  if (stats != NULL) {
    *stats = sum;
  }
  return MB_OK;
}

/* To the host's own maps first: the caller's stay as they were if any of this fails. */
static mb_status copy_maps(const rebalancer *r, const mb_placement *wanted) {
  const mb_placement *to = &r->host_placement;

  if (wanted->logical_to_physical_map != NULL) {
    MB_TRY(copy(to->logical_to_physical_map, wanted->logical_to_physical_map, back_bytes(&r->shape),
                cudaMemcpyDeviceToHost, r));
  }
  if (wanted->expert_count != NULL) {
    MB_TRY(copy(to->expert_count, wanted->expert_count, count_bytes(&r->shape),
                cudaMemcpyDeviceToHost, r));
  }
  MB_TRY(copy(to->physical_to_logical_map, wanted->physical_to_logical_map, map_bytes(&r->shape),
              cudaMemcpyDeviceToHost, r));
  return wait(r);
}

/* The maps that the caller wants, as the GPU has them. */
static mb_placement wanted_maps(const rebalancer *r, const mb_placement *placement) {
  mb_placement wanted = r->placement;

  if (placement->logical_to_physical_map == NULL) {
    wanted.logical_to_physical_map = NULL;
  }
  if (placement->expert_count == NULL) {
    wanted.expert_count = NULL;
  }
  return wanted;
}

/* Reports come first, and maps only once they are good. */
static mb_status run_on_gpu(const rebalancer *r, const double *load, const char *refinement,
                            const mb_balance_options *options, const mb_placement *wanted,
                            mb_pack_stats *stats) {
  MB_TRY(copy(r->load, load, r->shape.n_layers * r->shape.n_experts * sizeof *load,
              cudaMemcpyHostToDevice, r));
  MB_TRY(mb_rebalance_cuda_launch(&r->shape, r->load, refinement, options, wanted, r->report,
                                  r->stream));
  MB_TRY(
      copy(r->host_report, r->report, r->n_reports * sizeof *r->report, cudaMemcpyDeviceToHost, r));
  MB_TRY(wait(r));
  MB_TRY(read_report(r, load, stats));
  return copy_maps(r, wanted);
}

static mb_status rebalancer_run(void *memory, const double *load,
                                const mb_refinement_type *refinement,
                                const mb_balance_options *options, mb_placement *placement,
                                mb_pack_stats *stats) {
  const rebalancer *r = (const rebalancer *)memory;
  const mb_placement wanted = wanted_maps(r, placement);
  mb_pack_stats taken;
  mb_status status = run_on_gpu(r, load, refinement->name, options, &wanted, &taken);

  if (status != MB_OK) {
    (void)cudaStreamSynchronize(r->stream); /* the caller's loads may still be on their way */
    return status;
  }
  memcpy(placement->physical_to_logical_map, r->host_placement.physical_to_logical_map,
         map_bytes(&r->shape));
  if (wanted.logical_to_physical_map != NULL) {
    memcpy(placement->logical_to_physical_map, r->host_placement.logical_to_physical_map,
           back_bytes(&r->shape));
  }
  if (wanted.expert_count != NULL) {
    memcpy(placement->expert_count, r->host_placement.expert_count, count_bytes(&r->shape));
  }
  if (stats != NULL) {
    *stats = taken;
  }
  return MB_OK;
}

mb_status mb_rebalance_cuda(const mb_shape *shape, const double *load,
                            const mb_refinement_type *refinement, const mb_balance_options *options,
                            mb_placement *placement) {
  void *memory = NULL;

  MB_TRY(rebalancer_create(shape, &memory));
  mb_status status = rebalancer_run(memory, load, refinement, options, placement, NULL);
  rebalancer_destroy(memory);
  return status;
}

#ifdef __CUDACC__
#define MB_CUDA_BACKEND_NAME "cuda"
#else
#define MB_CUDA_BACKEND_NAME "cuda-emulated"
#endif

extern const mb_backend mb_backend_cuda = {MB_CUDA_BACKEND_NAME, rebalancer_create, rebalancer_run,
                                           rebalancer_destroy};
