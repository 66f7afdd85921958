/* tests/emulator_kernels.cu - reference: the plain C of tests/test_emulator.c. */
#include "tests/emulator_kernels.h"

#include "cuda/gpu.h"

#define TRY(call)                \
  do {                           \
    cudaError_t error_ = (call); \
    if (error_ != cudaSuccess) { \
      return (int)error_;        \
    }                            \
  } while (0)

namespace {

constexpr unsigned full = 0xffffffffU;

/* Device memory for n values, filled from the host where there is something to fill it from. */
template <class T> class device_array {
public:
  device_array() = default;
  device_array(const device_array &) = delete;
  device_array &operator=(const device_array &) = delete;
  ~device_array() {
    (void)cudaFree(data);
  }

  cudaError_t create(int n, const T *from = nullptr) {
    bytes = static_cast<size_t>(n) * sizeof(T);
    cudaError_t error = cudaMalloc(reinterpret_cast<void **>(&data), bytes);
    if (error != cudaSuccess) {
      return error;
    }
    return from != nullptr ? cudaMemcpy(data, from, bytes, cudaMemcpyHostToDevice)
                           : cudaMemset(data, 0, bytes);
  }
  cudaError_t read(T *to) const {
    return cudaMemcpy(to, data, bytes, cudaMemcpyDeviceToHost);
  }

  T *data = nullptr;
  size_t bytes = 0;
};

struct candidate {
  float value;
  unsigned place;
};

__device__ candidate better(candidate a, candidate b) {
  return b.value > a.value || (b.value == a.value && b.place < a.place) ? b : a;
}

__device__ candidate warp_best(candidate mine) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    candidate other;
    other.value = __shfl_xor_sync(full, mine.value, lanes);
    other.place = __shfl_xor_sync(full, mine.place, lanes);
    mine = better(mine, other);
  }
  return mine;
}

/* Any grid; blocks of exactly `Threads`. */
template <int Threads>
__global__ void __launch_bounds__(Threads)
    argmax(const float *__restrict__ values, int n, float *block_values, unsigned *block_places) {
  constexpr int warps = Threads / 32;
  GPU_SHARED_ARRAY(float, warp_values, warps);
  GPU_SHARED_ARRAY(unsigned, warp_places, warps);
  int thread = (int)threadIdx.x;
  int stride = (int)(gridDim.x * blockDim.x);
  candidate mine = {-INFINITY, ~0U};

  for (int i = (int)(blockIdx.x * blockDim.x) + thread; i < n; i += stride) {
    mine = better(mine, {values[i], (unsigned)i});
  }
  mine = warp_best(mine);
  if (thread % 32 == 0) {
    warp_values[thread / 32] = mine.value;
    warp_places[thread / 32] = mine.place;
  }
  __syncthreads();
  if (thread < 32) {
    mine = thread < warps ? candidate{warp_values[thread], warp_places[thread]}
                          : candidate{-INFINITY, ~0U};
    mine = warp_best(mine);
    if (thread == 0) {
      block_values[blockIdx.x] = mine.value;
      block_places[blockIdx.x] = mine.place;
    }
  }
}

/* A block a row, of any number of threads. Batcher's bitonic sort. */
__global__ void bitonic_sort(uint32_t *rows, int n) {
  GPU_DYN_SHARED(uint32_t, keys);
  uint32_t *row = rows + (size_t)blockIdx.x * (size_t)n;
  int first = (int)threadIdx.x;
  int step = (int)blockDim.x;

  for (int i = first; i < n; i += step) {
    keys[i] = row[i];
  }
  __syncthreads();
  for (int size = 2; size <= n; size *= 2) {
    for (int distance = size / 2; distance > 0; distance /= 2) {
      for (int i = first; i < n; i += step) {
        int other = i ^ distance;
        bool rising = (i & size) == 0;
        if (other > i && (keys[i] > keys[other]) == rising) {
          uint32_t kept = keys[i];
          keys[i] = keys[other];
          keys[other] = kept;
        }
      }
      __syncthreads();
    }
  }
  for (int i = first; i < n; i += step) {
    row[i] = keys[i];
  }
}

/* Any grid that covers n threads. */
__global__ void histogram(const uint32_t *__restrict__ values, int n, unsigned *counts,
                          unsigned long long *sum, unsigned *n_even) {
  GPU_SHARED_ARRAY(unsigned, block_counts, 64);
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

  for (unsigned k = threadIdx.x; k < 64; k += blockDim.x) {
    block_counts[k] = 0;
  }
  __syncthreads();
  uint32_t value = i < n ? values[i] : 1;
  if (i < n) {
    atomicAdd(&block_counts[value & 63], 1U);
    atomicAdd(sum, (unsigned long long)value);
  }
  unsigned even = __ballot_sync(full, (value & 1U) == 0);
  if (threadIdx.x % 32 == 0) {
    atomicAdd(n_even, (unsigned)__popc(even));
  }
  __syncthreads();
  for (unsigned k = threadIdx.x; k < 64; k += blockDim.x) {
    atomicAdd(&counts[k], block_counts[k]);
  }
}

__device__ double warp_scan(double value) {
  int lane = (int)(threadIdx.x % 32);

  for (unsigned delta = 1; delta < 32; delta *= 2) {
    double before = __shfl_up_sync(full, value, delta);
    value += lane >= (int)delta ? before : 0.0;
  }
  return value;
}

/* One block of n threads, a multiple of 32. */
__global__ void scan(const double *__restrict__ values, double *sums) {
  GPU_SHARED_ARRAY(double, warp_sums, 32);
  unsigned thread = threadIdx.x;
  double sum = warp_scan(values[thread]);

  if (thread % 32 == 31) {
    warp_sums[thread / 32] = sum;
  }
  __syncthreads();
  for (unsigned warp = 0; warp < thread / 32; warp++) {
    sum += warp_sums[warp];
  }
  sums[thread] = sum;
}

/* The sum over `Width` neighbouring lanes, in all of them. */
template <class T, int Width> __device__ T segment_sum(T value) {
  for (unsigned delta = Width / 2; delta > 0; delta /= 2) {
    value += __shfl_down_sync(full, value, delta, Width);
  }
  return __shfl_sync(full, value, 0, Width);
}

/* One block of 96 threads in three dimensions. */
template <class T, int Width> __global__ void mixture(T *results, int *least, double *total) {
  GPU_DYN_SHARED(T, sums);
  GPU_SHARED_VAR(int, n_warps);
  int thread = (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));

  if (thread == 0) {
    n_warps = 0;
  }
  __syncthreads();
  sums[thread] = segment_sum<T, Width>((T)thread);
  if (__any_sync(full, thread == 5) && thread % 32 == 0) {
    atomicAdd(&n_warps, 1);
  }
  int warp_least = __reduce_min_sync(full, -thread);
  int n_even = __syncthreads_count(thread % 2 == 0);
  int some = __syncthreads_or(thread == 95);
  int all = __syncthreads_and(thread < 95);
  if (thread % 32 == 0) {
    atomicMin(least, warp_least);
  }
  atomicAdd(total, 0.5);
  results[thread] = sums[thread] + (T)(n_warps * 1000 + n_even * 10000 + some * 7 + all * 13);
}

/* As many blocks as values, 32 threads each. */
__global__ void last_block_sum(const int *values, int *parts, unsigned *n_done, int *sum) {
  GPU_SHARED_VAR(unsigned, place);

  if (threadIdx.x == 0) {
    parts[blockIdx.x] = values[blockIdx.x];
    __threadfence();
    place = atomicInc(n_done, gridDim.x - 1);
  }
  __syncthreads();
  if (threadIdx.x == 0 && place == gridDim.x - 1) {
    int total = 0;
    __threadfence();
    for (unsigned i = 0; i < gridDim.x; i++) {
      total += parts[i];
    }
    *sum = total;
  }
}

/* Any grid that covers n threads. */
__global__ void scale_add(int *values, int n, int factor, int term) {
  int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

  if (i < n) {
    values[i] = values[i] * factor + term;
  }
}

dim3 blocks_for(int n, int threads) {
  return dim3((unsigned)((n + threads - 1) / threads));
}

} // namespace

int run_argmax(const float *values, int n, float *greatest, unsigned *place) {
  constexpr int n_blocks = 3;
  constexpr int threads = 128;
  float block_values[n_blocks];
  unsigned block_places[n_blocks];
  device_array<float> d_values;
  device_array<float> d_block_values;
  device_array<unsigned> d_block_places;

  TRY(d_values.create(n, values));
  TRY(d_block_values.create(n_blocks));
  TRY(d_block_places.create(n_blocks));
  TRY(LAUNCH(argmax<threads>, dim3(n_blocks), dim3(threads), 0, nullptr, d_values.data, n,
             d_block_values.data, d_block_places.data));
  TRY(d_block_values.read(block_values));
  TRY(d_block_places.read(block_places));
  *greatest = block_values[0];
  *place = block_places[0];
  for (int b = 1; b < n_blocks; b++) {
    if (block_values[b] > *greatest || (block_values[b] == *greatest && block_places[b] < *place)) {
      *greatest = block_values[b];
      *place = block_places[b];
    }
  }
  return 0;
}

int run_sort(uint32_t *keys, int n, int n_rows) {
  device_array<uint32_t> d_keys;

  TRY(d_keys.create(n * n_rows, keys));
  TRY(LAUNCH(bitonic_sort, dim3((unsigned)n_rows), dim3(96), (size_t)n * sizeof *keys, nullptr,
             d_keys.data, n));
  TRY(d_keys.read(keys));
  return 0;
}

int run_histogram(const uint32_t *values, int n, uint32_t counts[64], uint64_t *sum,
                  uint32_t *n_even) {
  unsigned long long wide_sum = 0;
  device_array<uint32_t> d_values;
  device_array<unsigned> d_counts;
  device_array<unsigned long long> d_sum;
  device_array<unsigned> d_n_even;

  TRY(d_values.create(n, values));
  TRY(d_counts.create(64));
  TRY(d_sum.create(1));
  TRY(d_n_even.create(1));
  TRY(LAUNCH(histogram, blocks_for(n, 64), dim3(64), 0, nullptr, d_values.data, n, d_counts.data,
             d_sum.data, d_n_even.data));
  TRY(d_counts.read(counts));
  TRY(d_sum.read(&wide_sum));
  TRY(d_n_even.read(n_even));
  *sum = wide_sum;
  return 0;
}

int run_scan(const double *values, int n, double *sums) {
  device_array<double> d_values;
  device_array<double> d_sums;

  TRY(d_values.create(n, values));
  TRY(d_sums.create(n));
  TRY(LAUNCH(scan, dim3(1), dim3((unsigned)n), 0, nullptr, d_values.data, d_sums.data));
  TRY(d_sums.read(sums));
  return 0;
}

int run_mixture(long long results[96], int *least, double *total) {
  device_array<long long> d_results;
  device_array<int> d_least;
  device_array<double> d_total;

  TRY(d_results.create(96));
  TRY(d_least.create(1));
  TRY(d_total.create(1));
  TRY(LAUNCH((mixture<long long, 8>), dim3(1), dim3(4, 3, 8), 96 * sizeof *results, nullptr,
             d_results.data, d_least.data, d_total.data));
  TRY(d_results.read(results));
  TRY(d_least.read(least));
  TRY(d_total.read(total));
  return 0;
}

int run_last_block(const int *values, int n, int *sum) {
  device_array<int> d_values;
  device_array<int> d_parts;
  device_array<unsigned> d_n_done;
  device_array<int> d_sum;

  TRY(d_values.create(n, values));
  TRY(d_parts.create(n));
  TRY(d_n_done.create(1));
  TRY(d_sum.create(1));
  TRY(LAUNCH(last_block_sum, dim3((unsigned)n), dim3(32), 0, nullptr, d_values.data, d_parts.data,
             d_n_done.data, d_sum.data));
  TRY(d_sum.read(sum));
  return 0;
}

int run_streams(int *values, int n) {
  cudaStream_t first;
  cudaStream_t second;
  cudaEvent_t added;
  device_array<int> d_values;

  TRY(d_values.create(n, values));
  TRY(cudaStreamCreate(&first));
  TRY(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  TRY(cudaEventCreateWithFlags(&added, cudaEventDisableTiming));
  TRY(LAUNCH(scale_add, blocks_for(n, 32), dim3(32), 0, first, d_values.data, n, 1, 1));
  TRY(cudaEventRecord(added, first));
  TRY(cudaStreamWaitEvent(second, added, 0));
  TRY(LAUNCH(scale_add, blocks_for(n, 32), dim3(32), 0, second, d_values.data, n, 2, 0));
  TRY(cudaMemcpyAsync(values, d_values.data, d_values.bytes, cudaMemcpyDeviceToHost, second));
  TRY(cudaStreamSynchronize(second));
  TRY(cudaEventSynchronize(added));
  TRY(cudaEventDestroy(added));
  TRY(cudaStreamDestroy(second));
  TRY(cudaStreamDestroy(first));
  return 0;
}

int run_graph(int *values, int n, int n_launches) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  device_array<int> d_values;

  TRY(d_values.create(n, values));
  TRY(cudaStreamCreate(&stream));
  TRY(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  TRY(LAUNCH(scale_add, blocks_for(n, 32), dim3(32), 0, stream, d_values.data, n, 1, 1));
  TRY(cudaStreamEndCapture(stream, &graph));
  TRY(cudaGraphInstantiate(&exec, graph, 0));
  TRY(cudaGraphDestroy(graph));
  for (int i = 0; i < n_launches; i++) {
    TRY(cudaGraphLaunch(exec, stream));
  }
  TRY(cudaStreamSynchronize(stream));
  TRY(d_values.read(values));
  TRY(cudaGraphExecDestroy(exec));
  TRY(cudaStreamDestroy(stream));
  return 0;
}
