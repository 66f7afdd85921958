/* cuda/host/emulator_control.h - how tests steer the emulator: the order in which threads run, the
 * device's limits, and what went wrong. For C and C++.
 *
 * The environment can say the same for a whole program:
 *
 *   MB_EMULATOR_ORDER=ascending | descending | random | random:SEED
 *   MB_EMULATOR_SHARED_KIB=163         shared memory that a block may have
 *   MB_EMULATOR_DEVICES=0              no device (error 100)
 *   MB_EMULATOR_DEVICES=no-driver      no driver (error 35, driver version 0)
 *   MB_EMULATOR_DEVICES=old-driver     a driver older than the runtime (error 35)
 *
 * Anything else in these variables makes every call fail and say so.
 *
 * The emulator belongs to one host thread at a time. Nothing it measures says anything of a GPU.
 */
#ifndef MB_CUDA_HOST_EMULATOR_CONTROL_H
#define MB_CUDA_HOST_EMULATOR_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The order of blocks, and of the threads of a block wherever more than one could go on. */
typedef enum mb_emulator_order {
  MB_EMULATOR_ASCENDING,
  MB_EMULATOR_DESCENDING,
  MB_EMULATOR_RANDOM
} mb_emulator_order;

/** All zero: ascending order, and defaults for the rest. */
typedef struct mb_emulator_options {
  mb_emulator_order order;
  uint64_t seed;           /**< of the random order */
  int preempt_percent;     /**< 0..100: how often an atomic operation lets another thread run */
  size_t stack_bytes;      /**< of a thread; 0: 64 KiB, and 256 KiB under a sanitizer */
  size_t shared_bytes_max; /**< of a block; 0: the environment's, or 227 KiB as an H100 */
} mb_emulator_options;

/** What has been run since the program began. */
typedef struct mb_emulator_stats {
  uint64_t launches;
  uint64_t blocks;
  uint64_t threads;
  uint64_t barriers; /**< threads that came to a barrier */
  uint64_t warp_ops; /**< lanes that came to a warp operation */
  uint64_t switches; /**< from one thread to another */
} mb_emulator_stats;

/** Sets what all later launches obey; NULL: what the environment says. */
void mb_emulator_configure(const mb_emulator_options *options);

/** What the last refusal was about, one line: kernel, source lines, threads. Static; "" if none. */
const char *mb_emulator_last_report(void);

/** A fresh device after a failure: no errors, no memory, no streams, events or graphs. */
void mb_emulator_reset_device(void);

mb_emulator_stats mb_emulator_stats_get(void);

#ifdef __cplusplus
}
#endif

#endif
