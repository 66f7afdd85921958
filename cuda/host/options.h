/* cuda/host/options.h - internal: what tests and the environment ask of the emulator. */
#ifndef MB_CUDA_HOST_OPTIONS_H
#define MB_CUDA_HOST_OPTIONS_H

#include <cstddef>
#include <cstdint>

#include "cuda/host/emulator_control.h"

namespace mb_emulator {

/** What a machine can lack. */
enum class device_presence { present, none, no_driver, old_driver, ill_said };

/** The options that hold now, all defaults filled in. */
const mb_emulator_options &options();

/** From MB_EMULATOR_DEVICES, asked each time, so that a test can change it. */
device_presence device_presence_now();

/** NULL, or the variable of the environment that says something unknown. */
const char *options_ill_said();

/** The next number below `n` of the schedule's own random sequence. */
uint32_t random_below(uint32_t n);

} // namespace mb_emulator

#endif
