/* cuda/host/memory.cpp - device memory, pinned host memory, and copies that know which is which. */
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/host/device_state.h"
#include "cuda/host/launch.h"
#include "cuda/host/sanitizers.h"
#include "cuda/host/stream.h"

namespace mb_emulator {
namespace {

constexpr size_t device_bytes = size_t{4} << 30;
constexpr size_t alignment = 256;
constexpr int garbage = 0xC3;

enum class memory_kind { device, pinned };

struct allocation {
  char *base;
  size_t bytes;
  memory_kind kind;

  bool holds(const void *place) const {
    auto address = reinterpret_cast<uintptr_t>(place);
    auto start = reinterpret_cast<uintptr_t>(base);
    return address >= start && address < start + bytes;
  }
  /* Bytes from there to the end. */
  size_t bytes_from(const void *place) const {
    return bytes - static_cast<size_t>(static_cast<const char *>(place) - base);
  }
};
std::vector<allocation> allocations;

/* NULL: ordinary memory of the host. */
const allocation *find(const void *place) {
  for (const allocation &entry : allocations) {
    if (entry.holds(place)) {
      return &entry;
    }
  }
  return nullptr;
}

bool on_device(const void *place) {
  const allocation *entry = find(place);

  return entry != nullptr && entry->kind == memory_kind::device;
}

size_t device_bytes_used() {
  size_t used = 0;

  for (const allocation &entry : allocations) {
    used += entry.kind == memory_kind::device ? entry.bytes : 0;
  }
  return used;
}

cudaError_t allocate(void **memory, size_t bytes, memory_kind kind) {
  void *fresh = nullptr;

  if (bytes == 0) {
    *memory = nullptr;
    return cudaSuccess;
  }
  if (bytes > device_bytes - device_bytes_used() || posix_memalign(&fresh, alignment, bytes) != 0) {
    return device_refuse(cudaErrorMemoryAllocation, "%zu bytes, of %zu on the device", bytes,
                         device_bytes);
  }
  memset(fresh, garbage, bytes);
  msan_forget(fresh, bytes);
  allocations.push_back({static_cast<char *>(fresh), bytes, kind});
  *memory = fresh;
  return cudaSuccess;
}

/* Frees even on a broken device, so that what cleans up after a failure leaks nothing. */
cudaError_t release(void *memory, memory_kind kind, const char *call) {
  cudaError_t error = device_check_outside_capture(call);

  if (memory == nullptr || error == cudaErrorStreamCaptureUnsupported) {
    return error;
  }
  stream_run_all();
  for (size_t i = 0; i < allocations.size(); i++) {
    if (allocations[i].base == memory && allocations[i].kind == kind) {
      allocations[i] = allocations.back();
      allocations.pop_back();
      free(memory);
      return error != cudaSuccess ? error : device_check();
    }
  }
  return error != cudaSuccess
             ? error
             : device_refuse(cudaErrorInvalidValue, "%s(%p), which it did not give", call, memory);
}

/* One end of a copy: is it where the direction says, and does its allocation hold so much? */
cudaError_t check_end(const void *place, size_t bytes, bool want_device, const char *what) {
  const allocation *entry = find(place);

  if (on_device(place) != want_device) {
    return device_refuse(cudaErrorInvalidValue, "%s %p is %s the device, against its direction",
                         what, place, want_device ? "not on" : "on");
  }
  if (entry != nullptr && bytes > entry->bytes_from(place)) {
    return device_refuse(cudaErrorInvalidValue,
                         "%s %p: %zu bytes, past an allocation with %zu bytes left there", what,
                         place, bytes, entry->bytes_from(place));
  }
  return cudaSuccess;
}

cudaError_t check_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;

  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) {
    return device_refuse(cudaErrorInvalidMemcpyDirection, "copy direction %d", kind);
  }
  if (kind == cudaMemcpyDefault) {
    to_device = on_device(to);
    from_device = on_device(from);
  }
  cudaError_t error = check_end(to, bytes, to_device, "copy to");
  return error != cudaSuccess ? error : check_end(from, bytes, from_device, "copy from");
}

} // namespace

void memory_release_all() {
  for (const allocation &entry : allocations) {
    free(entry.base);
  }
  allocations.clear();
}

cudaError_t launch_check_pointer(const char *kernel, int position, const void *pointer) {
  cudaError_t error = device_check();

  if (error != cudaSuccess || pointer == nullptr || find(pointer) != nullptr) {
    return error;
  }
  (void)device_refuse(cudaErrorIllegalAddress, "kernel %s: argument %d is no memory of the device",
                      kernel, position);
  return device_break(cudaErrorIllegalAddress);
}

} // namespace mb_emulator

using namespace mb_emulator;

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  cudaError_t error = device_check();

  if (error == cudaSuccess) {
    *free_bytes = device_bytes - device_bytes_used();
    *total_bytes = device_bytes;
  }
  return error;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
  cudaError_t error = device_check_outside_capture("cudaMalloc");

  return error != cudaSuccess ? error : allocate(memory, bytes, memory_kind::device);
}

cudaError_t cudaFree(void *memory) {
  return release(memory, memory_kind::device, "cudaFree");
}

cudaError_t cudaMallocHost(void **memory, size_t bytes) {
  cudaError_t error = device_check_outside_capture("cudaMallocHost");

  return error != cudaSuccess ? error : allocate(memory, bytes, memory_kind::pinned);
}

cudaError_t cudaFreeHost(void *memory) {
  return release(memory, memory_kind::pinned, "cudaFreeHost");
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  cudaError_t error = device_check();

  if (error != cudaSuccess || bytes == 0) {
    return error;
  }
  error = check_copy(to, from, bytes, kind);
  return error != cudaSuccess ? error : stream_submit(stream, [=] { memmove(to, from, bytes); });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  cudaError_t error = device_check_outside_capture("cudaMemcpy");

  return error != cudaSuccess ? error : cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
  cudaError_t error = device_check();

  if (error != cudaSuccess || bytes == 0) {
    return error;
  }
  error = check_end(to, bytes, true, "fill of");
  return error != cudaSuccess ? error : stream_submit(stream, [=] { memset(to, value, bytes); });
}

cudaError_t cudaMemset(void *to, int value, size_t bytes) {
  cudaError_t error = device_check_outside_capture("cudaMemset");

  return error != cudaSuccess ? error : cudaMemsetAsync(to, value, bytes, nullptr);
}
