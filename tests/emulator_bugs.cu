/* tests/emulator_bugs.cu - what may happen to each is said in tests/test_emulator_bugs.c. A mistake
 * is made unless `fixed`. */
#include "tests/emulator_bugs.h"

#include <cstdio>
#include <cstring>

#include "cuda/gpu.h"

namespace {

constexpr unsigned full = 0xffffffffU;
constexpr int n_results = BUG_RESULTS;

/* --- found by the emulator: who waits for whom. The same on two lines is the mistake, for some. */
// NOLINTBEGIN(bugprone-branch-clone)

__global__ void divergent_barrier(int *results, bool fixed) {
  if (fixed || threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  results[threadIdx.x] = (int)threadIdx.x;
}

__global__ void full_mask_in_half_a_warp(int *results, bool fixed) {
  int thread = (int)threadIdx.x;

  if (fixed || thread % 32 < 16) {
    results[thread] = __shfl_sync(full, thread, thread);
  }
}

__global__ void stranger_to_its_mask(int *results, bool fixed) {
  int thread = (int)threadIdx.x;

  results[thread] = __shfl_sync(fixed ? full : 0xffffU, thread, thread);
}

__global__ void shuffle_from_outside(int *results, bool fixed) {
  int thread = (int)threadIdx.x;
  unsigned mask = thread % 32 < 16 ? 0xffffU : 0xffff0000U;
  int other = __shfl_xor_sync(fixed ? full : mask, thread, 16);

  results[thread] = other ^ 16;
}

__global__ void divergent_warp_operation(int *results, bool fixed) {
  int thread = (int)threadIdx.x;

  if (fixed || thread % 2 == 0) {
    thread = __shfl_sync(full, thread, thread);
  } else {
    thread = __shfl_sync(full, thread, thread);
  }
  results[thread] = thread;
}

__global__ void barrier_against_warp(int *results, bool fixed) {
  if (fixed || threadIdx.x < 32) {
    __syncthreads();
  } else if (threadIdx.x < 48) {
    __syncthreads();
  } else {
    __syncwarp();
  }
  results[threadIdx.x] = (int)threadIdx.x;
}

__global__ void too_much_shared(int *results, bool fixed) {
  GPU_DYN_SHARED(int, bytes);
  GPU_SHARED_ARRAY(int, more, 1024);
  int thread = (int)threadIdx.x;

  more[thread] = thread;
  bytes[thread] = fixed ? 0 : more[thread];
  results[thread] = more[thread];
}

// NOLINTEND(bugprone-branch-clone)

/* --- found by their results under some schedule, or by a sanitizer */

__global__ void missing_barrier(int *results, bool fixed) {
  GPU_SHARED_ARRAY(int, line, n_results);
  int thread = (int)threadIdx.x;

  line[thread] = thread;
  if (fixed) {
    __syncthreads();
  }
  results[thread] = thread > 0 ? line[thread - 1] + 1 : 0;
}

__global__ void overwritten_too_soon(int *results, bool fixed) {
  GPU_SHARED_ARRAY(int, line, n_results);
  int thread = (int)threadIdx.x;
  int next = thread + 1;

  line[thread] = thread;
  __syncthreads();
  int seen = next < n_results ? line[next] : next;
  if (fixed) {
    __syncthreads();
  }
  line[thread] = -1;
  __syncthreads();
  results[thread] = line[0] + seen;
}

__global__ void missing_syncwarp(int *results, bool fixed) {
  GPU_SHARED_ARRAY(int, line, n_results);
  int thread = (int)threadIdx.x;

  line[thread] = thread;
  if (fixed) {
    __syncwarp();
  }
  results[thread] = line[thread ^ 1] ^ 1;
}

/* Two blocks of 64; what they count is even whatever happens, but for lost updates. */
__global__ void race_between_blocks(int *results, bool fixed, int *counter) {
  int thread = (int)threadIdx.x;

  if (thread == 0 && fixed) {
    atomicAdd(counter, 1);
  } else if (thread == 0) {
    *counter = *counter + 1;
  }
  if (blockIdx.x == 0) {
    results[thread] = thread;
  }
}

__global__ void missing_fence(int *results, bool fixed, int *parts, unsigned *n_done) {
  GPU_SHARED_VAR(unsigned, place);

  if (threadIdx.x == 0) {
    parts[blockIdx.x] = 1;
    if (fixed) {
      __threadfence();
    }
    place = atomicInc(n_done, gridDim.x - 1);
  }
  __syncthreads();
  if (place == gridDim.x - 1) {
    int sum = 0;
    if (fixed) {
      __threadfence();
    }
    for (unsigned b = 0; b < gridDim.x; b++) {
      sum += parts[b];
    }
    results[threadIdx.x] = (int)threadIdx.x + sum - (int)gridDim.x;
  }
}

__global__ void outside_shared_array(int *results, bool fixed) {
  GPU_SHARED_ARRAY(int, line, n_results);
  int thread = (int)threadIdx.x;

  line[thread] = thread;
  __syncthreads();
  int taken = line[thread + (fixed ? 0 : 1)];
  results[thread] = fixed ? taken : thread;
}

__global__ void outside_dynamic_shared(int *results, bool fixed) {
  GPU_DYN_SHARED(int, line);
  int thread = (int)threadIdx.x;

  line[thread + (fixed ? 0 : 1)] = thread;
  results[thread] = thread;
}

__global__ void outside_device_memory(int *results, bool fixed) {
  int thread = (int)threadIdx.x;

  results[thread + (fixed ? 0 : 1)] = thread + (fixed ? 0 : 1);
}

__global__ void never_written_shared(int *results, bool fixed) {
  GPU_SHARED_ARRAY(int, line, 2 * n_results);
  int thread = (int)threadIdx.x;

  line[thread] = thread;
  if (fixed) {
    line[thread + n_results] = thread;
  }
  __syncthreads();
  if (line[thread + n_results] > 1000) {
    results[thread] = 0;
  }
  results[thread] = thread;
}

__global__ void never_written_device(int *results, bool fixed, const int *given) {
  int thread = (int)threadIdx.x;
  int limit = fixed ? 0 : given[thread];

  if (limit > 1000) {
    results[thread] = 0;
  }
  results[thread] = thread;
}

__global__ void fill(int *results) {
  results[threadIdx.x] = (int)threadIdx.x;
}

/* --- what launches them */

/* One run: device memory for the results and whatever else, and the first error. */
struct bug_context {
  int *results; /* on the device */
  int *host;    /* where they go */
  bool fixed;
  cudaError_t error = cudaSuccess;

  void note(cudaError_t found) {
    error = error != cudaSuccess ? error : found;
  }
};

template <class Kernel, class... More>
void launch(bug_context &run, Kernel kernel, unsigned n_blocks, unsigned n_threads,
            size_t shared_bytes, More... more) {
  run.note(LAUNCH(kernel, dim3(n_blocks), dim3(n_threads), shared_bytes, nullptr, run.results,
                  run.fixed, more...));
}

template <void (*Kernel)(int *, bool)> void plain(bug_context &run) {
  launch(run, Kernel, 1, n_results, 0);
}

/* Shared memory for just the results. */
template <void (*Kernel)(int *, bool)> void dynamic(bug_context &run) {
  launch(run, Kernel, 1, n_results, n_results * sizeof(int));
}

void run_too_much_shared(bug_context &run) {
  launch(run, too_much_shared, 1, n_results, run.fixed ? 1024 : 226 * 1024);
}

void run_race_between_blocks(bug_context &run) {
  int *counter = nullptr;

  run.note(cudaMalloc(&counter, sizeof *counter));
  run.note(cudaMemset(counter, 0, sizeof *counter));
  launch(run, race_between_blocks, 2, n_results, 0, counter);
  run.note(cudaFree(counter));
}

void run_missing_fence(bug_context &run) {
  int *parts = nullptr;
  unsigned *n_done = nullptr;

  run.note(cudaMalloc(&parts, 8 * sizeof *parts));
  run.note(cudaMalloc(&n_done, sizeof *n_done));
  run.note(cudaMemset(n_done, 0, sizeof *n_done));
  launch(run, missing_fence, 8, n_results, 0, parts, n_done);
  run.note(cudaFree(n_done));
  run.note(cudaFree(parts));
}

void run_never_written_device(bug_context &run) {
  int *given = nullptr;

  run.note(cudaMalloc(&given, n_results * sizeof *given));
  launch(run, never_written_device, 1, n_results, 0, given);
  run.note(cudaFree(given));
}

void run_block_too_large(bug_context &run) {
  run.note(LAUNCH(fill, dim3(1), dim3(run.fixed ? 64 : 1025), 0, nullptr, run.results));
}

void run_partial_warp(bug_context &run) {
  unsigned n_threads = run.fixed ? n_results : 48;

  run.note(
      LAUNCH(full_mask_in_half_a_warp, dim3(1), dim3(n_threads), 0, nullptr, run.results, true));
}

void run_host_pointer(bug_context &run) {
  run.note(LAUNCH(fill, dim3(1), dim3(n_results), 0, nullptr, run.fixed ? run.results : run.host));
}

void run_copy_past_allocation(bug_context &run) {
  int more[n_results + 1] = {};

  launch(run, outside_device_memory, 1, n_results, 0);
  run.note(cudaMemcpy(more, run.results, sizeof more - (run.fixed ? sizeof *more : 0),
                      cudaMemcpyDeviceToHost));
}

void run_copy_direction(bug_context &run) {
  LAUNCH(fill, dim3(1), dim3(n_results), 0, nullptr, run.results);
  run.note(cudaMemcpy(run.host, run.results, sizeof(int),
                      run.fixed ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice));
}

void run_missing_synchronise(bug_context &run) {
  cudaStream_t stream = nullptr;
  int seen[n_results] = {};

  run.note(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  run.note(LAUNCH(fill, dim3(1), dim3(n_results), 0, stream, run.results));
  run.note(cudaMemcpyAsync(seen, run.results, sizeof seen, cudaMemcpyDeviceToHost, stream));
  if (run.fixed) {
    run.note(cudaStreamSynchronize(stream));
  }
  int seen_last = seen[n_results - 1];
  run.note(cudaStreamDestroy(stream));
  if (seen_last != n_results - 1) {
    run.note(cudaMemset(run.results, 0, sizeof seen));
  }
}

void run_missing_wait(bug_context &run) {
  cudaStream_t writer = nullptr;
  cudaStream_t reader = nullptr;
  cudaEvent_t written = nullptr;
  int seen[n_results] = {};

  run.note(cudaStreamCreate(&writer));
  run.note(cudaStreamCreate(&reader));
  run.note(cudaEventCreateWithFlags(&written, cudaEventDisableTiming));
  run.note(LAUNCH(fill, dim3(1), dim3(n_results), 0, writer, run.results));
  run.note(cudaEventRecord(written, writer));
  if (run.fixed) {
    run.note(cudaStreamWaitEvent(reader, written, 0));
  }
  run.note(cudaMemcpyAsync(seen, run.results, sizeof seen, cudaMemcpyDeviceToHost, reader));
  run.note(cudaStreamSynchronize(reader));
  run.note(cudaStreamSynchronize(writer));
  run.note(cudaMemcpy(run.results, seen, sizeof seen, cudaMemcpyHostToDevice));
  run.note(cudaEventDestroy(written));
  run.note(cudaStreamDestroy(reader));
  run.note(cudaStreamDestroy(writer));
}

void run_allocation_in_capture(bug_context &run) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  void *memory = nullptr;

  run.note(cudaStreamCreate(&stream));
  run.note(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  run.note(LAUNCH(fill, dim3(1), dim3(n_results), 0, stream, run.results));
  if (!run.fixed) {
    run.note(cudaMalloc(&memory, 4));
  }
  run.note(cudaStreamEndCapture(stream, &graph));
  if (run.error == cudaSuccess) {
    run.note(cudaGraphInstantiate(&exec, graph, 0));
    run.note(cudaGraphLaunch(exec, stream));
    run.note(cudaGraphExecDestroy(exec));
    run.note(cudaGraphDestroy(graph));
  }
  run.note(cudaStreamDestroy(stream));
}

void run_synchronise_in_capture(bug_context &run) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;

  run.note(cudaStreamCreate(&stream));
  run.note(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  if (!run.fixed) {
    run.note(cudaStreamSynchronize(stream));
  }
  run.note(cudaStreamEndCapture(stream, &graph));
  if (run.error == cudaSuccess) {
    run.note(cudaGraphDestroy(graph));
    run.note(LAUNCH(fill, dim3(1), dim3(n_results), 0, stream, run.results));
  }
  run.note(cudaStreamDestroy(stream));
}

#define BUG(kernel) \
  { #kernel, plain < kernel> }

const struct {
  const char *name;
  void (*run)(bug_context &run);
} bugs[] = {
    BUG(divergent_barrier),
    BUG(full_mask_in_half_a_warp),
    BUG(stranger_to_its_mask),
    BUG(shuffle_from_outside),
    BUG(divergent_warp_operation),
    BUG(barrier_against_warp),
    {"too_much_shared", run_too_much_shared},
    BUG(missing_barrier),
    BUG(overwritten_too_soon),
    BUG(missing_syncwarp),
    {"race_between_blocks", run_race_between_blocks},
    {"missing_fence", run_missing_fence},
    BUG(outside_shared_array),
    {"outside_dynamic_shared", dynamic<outside_dynamic_shared>},
    BUG(outside_device_memory),
    BUG(never_written_shared),
    {"never_written_device", run_never_written_device},
    {"block_too_large", run_block_too_large},
    {"partial_warp", run_partial_warp},
    {"host_pointer", run_host_pointer},
    {"copy_past_allocation", run_copy_past_allocation},
    {"copy_direction", run_copy_direction},
    {"missing_synchronise", run_missing_synchronise},
    {"missing_wait", run_missing_wait},
    {"allocation_in_capture", run_allocation_in_capture},
    {"synchronise_in_capture", run_synchronise_in_capture},
};

/* Kept by value: later calls may have other reports. */
const char *error_line(cudaError_t error) {
  static char line[2400];

  (void)snprintf(line, sizeof line, "%s: %s", cudaGetErrorName(error), cudaGetErrorString(error));
  return line;
}

void run_one(void (*bug)(bug_context &), bool fixed, bug_outcome *outcome) {
  int *results = nullptr;
  bug_context run;

  run.note(cudaMalloc(&results, sizeof outcome->results));
  run.note(cudaMemset(results, 0, sizeof outcome->results));
  run.results = results;
  run.host = outcome->results;
  run.fixed = fixed;
  bug(run);
  outcome->error = run.error != cudaSuccess ? error_line(run.error) : nullptr;
  (void)cudaMemcpy(outcome->results, results, sizeof outcome->results, cudaMemcpyDeviceToHost);
  (void)cudaFree(results);
}

} // namespace

bool bug_run(const char *name, bool fixed, bug_outcome *outcome) {
  for (const auto &bug : bugs) {
    if (strcmp(bug.name, name) == 0) {
      memset(outcome, 0, sizeof *outcome);
      run_one(bug.run, fixed, outcome);
      return true;
    }
  }
  return false;
}
