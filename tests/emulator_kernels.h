/* tests/emulator_kernels.h - kernels of every kind that the project uses, and what runs them. Each
 * call copies its arguments to the device and the results back, and returns a cudaError_t's value.
 */
#ifndef MB_TESTS_EMULATOR_KERNELS_H
#define MB_TESTS_EMULATOR_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The greatest of n values and the first place of it, by 3 blocks; shuffles and shared memory. */
int run_argmax(const float *values, int n, float *greatest, unsigned *place);

/** Sorts each of n_rows rows of n keys, n a power of 2; dynamic shared memory. */
int run_sort(uint32_t *keys, int n, int n_rows);

/** Counts values by their lowest 6 bits; sums them; counts the even ones; atomics and ballots. */
int run_histogram(const uint32_t *values, int n, uint32_t counts[64], uint64_t *sum,
                  uint32_t *n_even);

/** Sums up to and with each value; n at most 1024 and a multiple of 32; upward shuffles. */
int run_scan(const double *values, int n, double *sums);

/** What each of 96 threads of a (4,3,8) block makes of widths, reductions and block-wide votes. */
int run_mixture(long long results[96], int *least, double *total);

/** The sum of n values by as many blocks, the last of which adds up; fences. */
int run_last_block(const int *values, int n, int *sum);

/** Adds 1 to n values on one stream, doubles them on another, in this order by an event. */
int run_streams(int *values, int n);

/** Adds 1 to n values n_launches times, by one captured graph. */
int run_graph(int *values, int n, int n_launches);

#ifdef __cplusplus
}
#endif

#endif
