/* cuda/host/device_state.cpp - the emulated device: whether there is one, its limits, its errors.
 */
#include "cuda/host/device_state.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "cuda/host/device.h"
#include "cuda/host/options.h"
#include "cuda/host/report.h"
#include "cuda/host/stream.h"

namespace mb_emulator {
namespace {

constexpr int runtime_version = 13000;
constexpr int driver_version_old = 11000;
constexpr size_t shared_bytes_unasked = size_t{48} * 1024;

struct error_state {
  cudaError_t broken;   /* set for good by a kernel that went wrong */
  cudaError_t last;     /* for cudaGetLastError */
  cudaError_t reported; /* the error that the report is about */
};
error_state errors;

cudaError_t check_device_number(int device) {
  return device == 0 ? cudaSuccess
                     : device_refuse(cudaErrorInvalidDevice, "device %d; there is only 0", device);
}

int shared_bytes_max() {
  return static_cast<int>(options().shared_bytes_max);
}

} // namespace

cudaError_t device_error(cudaError_t error) {
  errors.last = error;
  return error;
}

cudaError_t device_refuse(cudaError_t error, const char *format, ...) {
  va_list arguments;

  report_clear();
  va_start(arguments, format);
  report_add_list(format, arguments);
  va_end(arguments);
  errors.reported = error;
  return device_error(error);
}

cudaError_t device_break(cudaError_t error) {
  errors.broken = error;
  errors.reported = error;
  return device_error(error);
}

bool device_is_broken() {
  return errors.broken != cudaSuccess;
}

cudaError_t device_check() {
  if (options_ill_said() != nullptr) {
    return device_refuse(cudaErrorInitializationError, "%s has a value that is unknown",
                         options_ill_said());
  }
  switch (device_presence_now()) {
  case device_presence::none:
    return device_refuse(cudaErrorNoDevice, "MB_EMULATOR_DEVICES says so");
  case device_presence::no_driver:
  case device_presence::old_driver:
    return device_refuse(cudaErrorInsufficientDriver, "MB_EMULATOR_DEVICES says so");
  default:
    return errors.broken != cudaSuccess ? device_error(errors.broken) : cudaSuccess;
  }
}

cudaError_t device_check_outside_capture(const char *call) {
  cudaError_t error = device_check();

  if (error == cudaSuccess && stream_capture_spoil()) {
    error = device_refuse(cudaErrorStreamCaptureUnsupported, "%s while a stream is captured", call);
  }
  return error;
}

} // namespace mb_emulator

using namespace mb_emulator;

void mb_emulator_reset_device(void) {
  stream_release_all();
  memory_release_all();
  report_clear();
  errors = {};
}

/* As a machine without a driver answers: success and 0. */
cudaError_t cudaDriverGetVersion(int *version) {
  switch (device_presence_now()) {
  case device_presence::no_driver:
    *version = 0;
    break;
  case device_presence::old_driver:
    *version = driver_version_old;
    break;
  default:
    *version = runtime_version;
    break;
  }
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = runtime_version;
  return cudaSuccess;
}

/* On failure the count stays as it was, as with the real runtime. */
cudaError_t cudaGetDeviceCount(int *count) {
  cudaError_t error = device_check();

  if (error == cudaSuccess) {
    *count = 1;
  }
  return error;
}

cudaError_t cudaSetDevice(int device) {
  cudaError_t error = device_check();

  return error != cudaSuccess ? error : check_device_number(device);
}

cudaError_t cudaGetDevice(int *device) {
  cudaError_t error = device_check();

  if (error == cudaSuccess) {
    *device = 0;
  }
  return error;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  const struct {
    cudaDeviceAttr attribute;
    int value;
  } known[] = {
      {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrMaxSharedMemoryPerBlock, static_cast<int>(shared_bytes_unasked)},
      {cudaDevAttrWarpSize, warpSize},
      {cudaDevAttrMultiProcessorCount, 1},
      {cudaDevAttrComputeCapabilityMajor, 9},
      {cudaDevAttrComputeCapabilityMinor, 0},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, shared_bytes_max() + 1024},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, shared_bytes_max()},
  };
  cudaError_t error = cudaSetDevice(device);

  if (error != cudaSuccess) {
    return error;
  }
  for (const auto &entry : known) {
    if (entry.attribute == attribute) {
      *value = entry.value;
      return cudaSuccess;
    }
  }
  return device_refuse(cudaErrorInvalidValue, "device attribute %d is not emulated", attribute);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  cudaError_t error = cudaSetDevice(device);
  size_t free_bytes;

  if (error != cudaSuccess) {
    return error;
  }
  memset(properties, 0, sizeof *properties);
  (void)snprintf(properties->name, sizeof properties->name, "CUDA emulator (CPU, no GPU)");
  properties->sharedMemPerBlock = shared_bytes_unasked;
  properties->warpSize = warpSize;
  properties->maxThreadsPerBlock = 1024;
  properties->major = 9;
  properties->multiProcessorCount = 1;
  properties->sharedMemPerMultiprocessor = options().shared_bytes_max + 1024;
  properties->sharedMemPerBlockOptin = options().shared_bytes_max;
  return cudaMemGetInfo(&free_bytes, &properties->totalGlobalMem);
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
  cudaError_t error = device_check();

  if (error != cudaSuccess) {
    return error;
  }
  if (kernel == nullptr || attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
      value > shared_bytes_max()) {
    return device_refuse(cudaErrorInvalidValue,
                         "cudaFuncSetAttribute(%d) to %d; shared memory is at most %d bytes",
                         attribute, value, shared_bytes_max());
  }
  return cudaSuccess;
}

cudaError_t cudaPeekAtLastError(void) {
  return errors.last;
}

cudaError_t cudaGetLastError(void) {
  cudaError_t error = errors.last;

  errors.last = errors.broken;
  return error;
}

const char *cudaGetErrorName(cudaError_t error) {
#define MB_EMULATOR_ERROR_NAME(name, value, text) \
  case name:                                      \
    return #name;
  switch (error) { MB_EMULATOR_ERRORS(MB_EMULATOR_ERROR_NAME) }
#undef MB_EMULATOR_ERROR_NAME
  return "unrecognized error code";
}

static const char *error_text(cudaError_t error) {
#define MB_EMULATOR_ERROR_TEXT(name, value, text) \
  case name:                                      \
    return text;
  switch (error) { MB_EMULATOR_ERRORS(MB_EMULATOR_ERROR_TEXT) }
#undef MB_EMULATOR_ERROR_TEXT
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
  static char text[2304];

  if (error == cudaSuccess || error != errors.reported) {
    return error_text(error);
  }
  (void)snprintf(text, sizeof text, "%s (CUDA emulator: %s)", error_text(error),
                 mb_emulator_last_report());
  return text;
}
