/* cuda/host/device_state.h - internal: the errors and the memory of the emulated device. */
#ifndef MB_CUDA_HOST_DEVICE_STATE_H
#define MB_CUDA_HOST_DEVICE_STATE_H

#include "cuda/host/runtime.h"

namespace mb_emulator {

/** Whether the device can be used at all: it is there, and nothing has broken it. */
cudaError_t device_check();

/** As device_check, for calls that a capture forbids: those that allocate or synchronise. */
cudaError_t device_check_outside_capture(const char *call);

/** Remembers the error for cudaGetLastError, and why for the report. Returns the error. */
cudaError_t device_refuse(cudaError_t error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** As device_refuse, without a new report: what has failed has made one. */
cudaError_t device_error(cudaError_t error);

/** From now on every call fails with this error, as after a kernel that went wrong. */
cudaError_t device_break(cudaError_t error);
bool device_is_broken();

void memory_release_all();

} // namespace mb_emulator

#endif
