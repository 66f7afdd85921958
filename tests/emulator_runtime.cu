/* tests/emulator_runtime.cu - reference: the CUDA programming guide, and PTX for the shuffles. */
#include "tests/emulator_runtime.h"

#include <cmath>
#include <cstring>

#include "cuda/gpu.h"
#include "cuda/host/emulator_control.h"

#define TEXT_OF(token) #token
#define LINE_TEXT(line) TEXT_OF(line)
#define EXPECT(condition)                                 \
  do {                                                    \
    if (!(condition)) {                                   \
      return "line " LINE_TEXT(__LINE__) ": " #condition; \
    }                                                     \
  } while (0)
#define EXPECT_OK(call) EXPECT((call) == cudaSuccess)

namespace {

constexpr unsigned full = 0xffffffffU;

__global__ void store(int *place, int value) {
  if (threadIdx.x == 0) {
    *place = value;
  }
}

__global__ void fail_on_purpose(int *place) {
  if (threadIdx.x == 0) {
    __syncwarp(2);
    *place = 1;
  }
}

__global__ void shuffle_kind(int kind, int argument, int width, int *results) {
  int lane = (int)threadIdx.x;
  int result = -1;

  switch (kind) {
  case 0:
    result = __shfl_sync(full, lane, argument, width);
    break;
  case 1:
    result = __shfl_xor_sync(full, lane, argument, width);
    break;
  case 2:
    result = __shfl_up_sync(full, lane, (unsigned)argument, width);
    break;
  default:
    result = __shfl_down_sync(full, lane, (unsigned)argument, width);
    break;
  }
  results[lane] = result;
}

__global__ void reduce_halves(int *results) {
  int lane = (int)threadIdx.x;
  unsigned mask = lane < 16 ? 0xffffU : 0xffff0000U;
  unsigned bit = 1U << (lane % 16);

  results[0 * 32 + lane] = __reduce_min_sync(mask, -3 * lane);
  results[1 * 32 + lane] = __reduce_max_sync(mask, -3 * lane);
  results[2 * 32 + lane] = __reduce_add_sync(mask, -3 * lane);
  results[3 * 32 + lane] = (int)__reduce_and_sync(mask, bit);
  results[4 * 32 + lane] = (int)__reduce_or_sync(mask, bit);
  results[5 * 32 + lane] = (int)__reduce_xor_sync(mask, bit);
}

__global__ void note_order(int *first, int *second, int *n_first, int *n_second) {
  int thread = (int)(blockIdx.x * blockDim.x + threadIdx.x);

  first[atomicAdd(n_first, 1)] = thread;
  __syncthreads();
  second[atomicAdd(n_second, 1)] = thread;
}

/* One block of 64; half of the second warp ends before the first barrier, half after it. */
__global__ void end_early(int *n_left) {
  if (threadIdx.x >= 32 && threadIdx.x % 2 == 0) {
    return;
  }
  int n = __syncthreads_count(1);
  if (threadIdx.x >= 32) {
    return;
  }
  int late = __syncthreads_count(1);
  if (threadIdx.x == 0) {
    *n_left = 100 * n + late;
  }
}

struct atomic_cells {
  int sum, least, greatest, all, any, odd, last, swapped;
  unsigned wrapped, counted;
  unsigned long long wide;
  double half;
};

__global__ void use_atomics(atomic_cells *cells) {
  int thread = (int)threadIdx.x;

  atomicAdd(&cells->sum, thread);
  atomicSub(&cells->wrapped, 1U);
  atomicMin(&cells->least, -thread);
  atomicMax(&cells->greatest, thread);
  atomicAnd(&cells->all, ~(1 << (thread % 8)));
  atomicOr(&cells->any, 1 << (thread % 8));
  atomicXor(&cells->odd, 1 << (thread % 8));
  atomicExch(&cells->last, 7);
  atomicCAS(&cells->swapped, thread, thread + 1);
  atomicInc(&cells->counted, 9);
  atomicAdd(&cells->wide, 1ULL << 40);
  atomicAdd(&cells->half, 0.5);
}

} // namespace

const char *check_device_there(void) {
  int value = -1;
  cudaDeviceProp properties;

  EXPECT_OK(cudaGetDeviceCount(&value));
  EXPECT(value == 1);
  EXPECT_OK(cudaSetDevice(0));
  EXPECT(cudaSetDevice(1) == cudaErrorInvalidDevice);
  EXPECT(cudaGetLastError() == cudaErrorInvalidDevice);
  EXPECT_OK(cudaGetLastError());
  EXPECT_OK(cudaGetDevice(&value));
  EXPECT(value == 0);
  EXPECT_OK(cudaGetDeviceProperties(&properties, 0));
  EXPECT(strstr(properties.name, "emulator") != nullptr && strstr(properties.name, "no GPU"));
  EXPECT(properties.sharedMemPerBlock == 49152);
  EXPECT_OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  EXPECT(value == (int)properties.sharedMemPerBlockOptin);
  EXPECT_OK(cudaDriverGetVersion(&value));
  EXPECT(value >= 13000);
  EXPECT(strcmp(cudaGetErrorName(cudaErrorNoDevice), "cudaErrorNoDevice") == 0);
  EXPECT_OK(cudaFuncSetAttribute(store, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)properties.sharedMemPerBlockOptin));
  EXPECT(cudaFuncSetAttribute(store, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              (int)properties.sharedMemPerBlockOptin + 1) == cudaErrorInvalidValue);
  return nullptr;
}

const char *check_device_missing(int error, int has_driver) {
  int version = -1;
  int count = -1;
  void *memory = nullptr;
  cudaStream_t stream = nullptr;

  EXPECT_OK(cudaDriverGetVersion(&version));
  EXPECT((version > 0) == (has_driver != 0));
  EXPECT((int)cudaGetDeviceCount(&count) == error);
  EXPECT(count == -1);
  EXPECT((int)cudaGetLastError() == error);
  EXPECT((int)cudaMalloc(&memory, 4) == error);
  EXPECT((int)cudaStreamCreate(&stream) == error);
  EXPECT((int)LAUNCH(store, dim3(1), dim3(32), 0, nullptr, nullptr, 0) == error);
  return nullptr;
}

const char *check_memory(void) {
  size_t free_before = 0;
  size_t free_after = 0;
  size_t total = 0;
  char *device = nullptr;
  char *pinned = nullptr;
  char bytes[8] = "1234567";
  char back[8] = "";

  EXPECT_OK(cudaMemGetInfo(&free_before, &total));
  EXPECT_OK(cudaMalloc(&device, 1000));
  EXPECT_OK(cudaMallocHost(&pinned, 8));
  EXPECT_OK(cudaMemGetInfo(&free_after, &total));
  EXPECT(free_after == free_before - 1000 && total >= free_before);
  EXPECT_OK(cudaMemcpy(device, bytes, 8, cudaMemcpyHostToDevice));
  EXPECT_OK(cudaMemcpy(device + 992, device, 8, cudaMemcpyDeviceToDevice));
  EXPECT_OK(cudaMemcpy(pinned, device + 992, 8, cudaMemcpyDefault));
  EXPECT_OK(cudaMemcpy(back, pinned, 8, cudaMemcpyHostToHost));
  EXPECT(strcmp(back, bytes) == 0);
  EXPECT_OK(cudaMemset(device, 'x', 3));
  EXPECT_OK(cudaMemcpy(back, device, 8, cudaMemcpyDeviceToHost));
  EXPECT(strcmp(back, "xxx4567") == 0);
  EXPECT(cudaMemcpy(device + 993, bytes, 8, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  EXPECT(cudaMemcpy(device, back, 8, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
  EXPECT(cudaMemset(device, 0, 1001) == cudaErrorInvalidValue);
  EXPECT(cudaMemset(back, 0, 8) == cudaErrorInvalidValue);
  EXPECT(cudaFree(device + 1) == cudaErrorInvalidValue);
  EXPECT(cudaFree(pinned) == cudaErrorInvalidValue);
  void *too_much = nullptr;
  EXPECT(cudaMalloc(&too_much, total + 1) == cudaErrorMemoryAllocation);
  EXPECT(too_much == nullptr);
  EXPECT_OK(cudaFreeHost(pinned));
  EXPECT_OK(cudaFree(device));
  EXPECT_OK(cudaFree(nullptr));
  EXPECT_OK(cudaMemGetInfo(&free_after, &total));
  EXPECT(free_after == free_before);
  return nullptr;
}

const char *check_broken_device(void) {
  int *place = nullptr;
  int *more = nullptr;

  EXPECT_OK(cudaMalloc(&place, sizeof *place));
  EXPECT(LAUNCH(fail_on_purpose, dim3(1), dim3(32), 0, nullptr, place) == cudaErrorLaunchFailure);
  EXPECT(strstr(mb_emulator_last_report(), "lane 0 is not in its own mask 00000002") != nullptr);
  EXPECT(strstr(cudaGetErrorString(cudaErrorLaunchFailure), "fail_on_purpose") != nullptr);
  /* For good: nothing works any more, and the error doesn't go away. */
  EXPECT(cudaGetLastError() == cudaErrorLaunchFailure);
  EXPECT(cudaGetLastError() == cudaErrorLaunchFailure);
  EXPECT(cudaMalloc(&more, 4) == cudaErrorLaunchFailure);
  EXPECT(cudaDeviceSynchronize() == cudaErrorLaunchFailure);
  EXPECT(cudaFree(place) == cudaErrorLaunchFailure);
  mb_emulator_reset_device();
  EXPECT_OK(cudaGetLastError());
  EXPECT_OK(cudaMalloc(&place, sizeof *place));
  EXPECT_OK(LAUNCH(store, dim3(1), dim3(32), 0, nullptr, place, 3));
  EXPECT_OK(cudaFree(place));
  return nullptr;
}

const char *check_early_ends(void) {
  int *device = nullptr;
  int n_left = 0;

  EXPECT_OK(cudaMalloc(&device, sizeof *device));
  EXPECT_OK(LAUNCH(end_early, dim3(1), dim3(64), 0, nullptr, device));
  EXPECT_OK(cudaMemcpy(&n_left, device, sizeof n_left, cudaMemcpyDeviceToHost));
  EXPECT(n_left == 100 * 48 + 32);
  EXPECT_OK(cudaFree(device));
  return nullptr;
}

const char *check_events(void) {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  int *place = nullptr;
  int seen = 0;
  float milliseconds = -1;

  EXPECT_OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  EXPECT_OK(cudaEventCreate(&event));
  EXPECT_OK(cudaEventQuery(event));
  EXPECT_OK(cudaMalloc(&place, sizeof *place));
  EXPECT_OK(LAUNCH(store, dim3(1), dim3(32), 0, stream, place, 5));
  EXPECT_OK(cudaMemcpyAsync(&seen, place, sizeof seen, cudaMemcpyDeviceToHost, stream));
  EXPECT_OK(cudaEventRecord(event, stream));
  EXPECT_OK(LAUNCH(store, dim3(1), dim3(32), 0, stream, place, 6));
  EXPECT(seen == 0);
  EXPECT(cudaEventQuery(event) == cudaErrorNotReady);
  EXPECT_OK(cudaEventSynchronize(event));
  EXPECT_OK(cudaEventQuery(event));
  EXPECT(seen == 5);
  EXPECT(cudaStreamQuery(stream) == cudaErrorNotReady);
  EXPECT_OK(cudaStreamQuery(stream));
  EXPECT(cudaEventElapsedTime(&milliseconds, event, event) == cudaErrorNotSupported);
  EXPECT(milliseconds < 0);
  EXPECT_OK(cudaEventDestroy(event));
  EXPECT_OK(cudaStreamDestroy(stream));
  EXPECT_OK(cudaFree(place));
  return nullptr;
}

const char *check_captures(void) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusInvalidated;
  int *place = nullptr;
  int seen = 0;

  EXPECT_OK(cudaStreamCreate(&stream));
  EXPECT_OK(cudaMalloc(&place, sizeof *place));
  EXPECT_OK(cudaMemset(place, 0, sizeof *place));
  EXPECT_OK(cudaStreamIsCapturing(stream, &status));
  EXPECT(status == cudaStreamCaptureStatusNone);
  EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);

  /* The null stream would wait for what is only written down. */
  EXPECT_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  EXPECT_OK(LAUNCH(store, dim3(1), dim3(32), 0, stream, place, 5));
  EXPECT(LAUNCH(store, dim3(1), dim3(32), 0, nullptr, place, 6) == cudaErrorStreamCaptureImplicit);
  EXPECT_OK(cudaStreamIsCapturing(stream, &status));
  EXPECT(status == cudaStreamCaptureStatusInvalidated);
  EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);

  /* Each of these ends a strict capture; a relaxed one lets memory be had. */
  EXPECT_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  EXPECT(cudaFree(place) == cudaErrorStreamCaptureUnsupported);
  EXPECT(cudaDeviceSynchronize() == cudaErrorStreamCaptureUnsupported);
  EXPECT(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
  EXPECT_OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  int *more = nullptr;
  EXPECT_OK(cudaMalloc(&more, 4));
  EXPECT_OK(LAUNCH(store, dim3(1), dim3(32), 0, stream, place, 7));
  EXPECT_OK(cudaStreamEndCapture(stream, &graph));
  EXPECT_OK(cudaFree(more));

  /* Nothing of it has run. */
  EXPECT_OK(cudaDeviceSynchronize());
  EXPECT_OK(cudaMemcpy(&seen, place, sizeof seen, cudaMemcpyDeviceToHost));
  EXPECT(seen == 0);
  EXPECT_OK(cudaGraphDestroy(graph));
  EXPECT_OK(cudaStreamDestroy(stream));
  EXPECT_OK(cudaFree(place));
  return nullptr;
}

const char *check_handles(void) {
  cudaStream_t stream = nullptr;
  cudaEvent_t event = nullptr;
  cudaGraphExec_t exec = nullptr;

  EXPECT_OK(cudaStreamCreate(&stream));
  EXPECT_OK(cudaStreamDestroy(stream));
  EXPECT(cudaStreamSynchronize(stream) == cudaErrorInvalidResourceHandle);
  EXPECT(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
  EXPECT(cudaEventRecord(event, nullptr) == cudaErrorInvalidResourceHandle);
  EXPECT(cudaEventDestroy(event) == cudaErrorInvalidResourceHandle);
  EXPECT(cudaGraphLaunch(exec, nullptr) == cudaErrorInvalidResourceHandle);
  EXPECT(cudaStreamCreateWithFlags(&stream, 8) == cudaErrorInvalidValue);
  return nullptr;
}

const char *check_atomics(void) {
  atomic_cells cells = {};
  atomic_cells *device = nullptr;

  cells.all = 0xfff;
  EXPECT_OK(cudaMalloc(&device, sizeof cells));
  EXPECT_OK(cudaMemcpy(device, &cells, sizeof cells, cudaMemcpyHostToDevice));
  EXPECT_OK(LAUNCH(use_atomics, dim3(1), dim3(32), 0, nullptr, device));
  EXPECT_OK(cudaMemcpy(&cells, device, sizeof cells, cudaMemcpyDeviceToHost));
  EXPECT_OK(cudaFree(device));
  EXPECT(cells.sum == 31 * 32 / 2);
  EXPECT(cells.wrapped == 0U - 32U);
  EXPECT(cells.least == -31 && cells.greatest == 31);
  EXPECT(cells.all == 0xf00 && cells.any == 0xff && cells.odd == 0);
  EXPECT(cells.last == 7);
  EXPECT(cells.swapped >= 1 && cells.swapped <= 32);
  EXPECT(cells.counted == 32 % 10);
  EXPECT(cells.wide == 32ULL << 40);
  EXPECT(cells.half == 16.0);
  return nullptr;
}

const char *check_intrinsics(void) {
  EXPECT(__popc(0xf0f0U) == 8 && __popcll(~0ULL) == 64);
  EXPECT(__clz(0) == 32 && __clz(1) == 31 && __clz(-1) == 0);
  EXPECT(__clzll(0) == 64 && __clzll(1LL << 40) == 23);
  EXPECT(__ffs(0) == 0 && __ffs(8) == 4 && __ffsll(1LL << 40) == 41);
  EXPECT(__umulhi(1U << 31, 6) == 3);
  EXPECT(__float_as_uint(1.0F) == 0x3f800000U && __uint_as_float(0x40000000U) == 2.0F);
  EXPECT(__double_as_longlong(1.0) == 0x3ff0000000000000LL);
  EXPECT(__longlong_as_double(__double_as_longlong(-0.1)) == -0.1);
  EXPECT(min(3, 4U) == 3 && max(-1LL, 7) == 7 && min(2.5, 2) == 2.0);
  EXPECT(min(NAN, 1.0F) == 1.0F && max(1.0, (double)NAN) == 1.0);
  return nullptr;
}

int run_shuffle(int kind, int argument, int width, int results[32]) {
  int *device = nullptr;
  cudaError_t error = cudaMalloc(&device, 32 * sizeof *device);

  if (error == cudaSuccess) {
    error = LAUNCH(shuffle_kind, dim3(1), dim3(32), 0, nullptr, kind, argument, width, device);
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(results, device, 32 * sizeof *device, cudaMemcpyDeviceToHost);
  }
  (void)cudaFree(device);
  return (int)error;
}

int run_reductions(int results[6][32]) {
  int *device = nullptr;
  size_t bytes = sizeof(int[6][32]);
  cudaError_t error = cudaMalloc(&device, bytes);

  if (error == cudaSuccess) {
    error = LAUNCH(reduce_halves, dim3(1), dim3(32), 0, nullptr, device);
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(results, device, bytes, cudaMemcpyDeviceToHost);
  }
  (void)cudaFree(device);
  return (int)error;
}

int run_order(int first[96], int second[96]) {
  int *device = nullptr;
  size_t bytes = sizeof(int[96]);
  cudaError_t error = cudaMalloc(&device, 2 * bytes + 2 * sizeof(int));

  if (error == cudaSuccess) {
    error = cudaMemset(device, 0, 2 * bytes + 2 * sizeof(int));
  }
  if (error == cudaSuccess) {
    error = LAUNCH(note_order, dim3(3), dim3(32), 0, nullptr, device, device + 96, device + 192,
                   device + 193);
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(first, device, bytes, cudaMemcpyDeviceToHost);
  }
  if (error == cudaSuccess) {
    error = cudaMemcpy(second, device + 96, bytes, cudaMemcpyDeviceToHost);
  }
  (void)cudaFree(device);
  return (int)error;
}
