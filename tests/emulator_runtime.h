/* tests/emulator_runtime.h - what the emulated runtime answers, and what a warp's operations give.
 * Each returns NULL, or the line and the condition that did not hold. Static. */
#ifndef MB_TESTS_EMULATOR_RUNTIME_H
#define MB_TESTS_EMULATOR_RUNTIME_H

#ifdef __cplusplus
extern "C" {
#endif

const char *check_device_there(void);
/** Every call fails with that error, and the driver's version is 0 or not. */
const char *check_device_missing(int error, int has_driver);
const char *check_memory(void);
const char *check_broken_device(void);
const char *check_early_ends(void);
const char *check_events(void);
const char *check_captures(void);
const char *check_handles(void);
const char *check_atomics(void);
const char *check_intrinsics(void);

/** The kind of shuffle: 0 by index, 1 exclusive or, 2 up, 3 down; results of the 32 lanes, each of
 * which brings its own number. Returns a cudaError_t's value. */
int run_shuffle(int kind, int argument, int width, int results[32]);

/** Reductions of -3 * lane over the lanes of each half warp: least, greatest, sum, and what `and`,
 * `or` and `xor` make of 1 << lane % 16. */
int run_reductions(int results[6][32]);

/** The order in which 3 blocks of 32 threads come to an atomic operation, and again after a barrier
 * of each block. */
int run_order(int first[96], int second[96]);

#ifdef __cplusplus
}
#endif

#endif
