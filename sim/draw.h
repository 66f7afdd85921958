/* sim/draw.h - random whole numbers that depend on nothing but what they are for: the key says of
 * which seed, layer, step and expert they are, so that neither threads nor order matter. */
#ifndef MB_SIM_DRAW_H
#define MB_SIM_DRAW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A stream of random numbers: SplitMix64, started from a key. */
typedef struct mb_draw {
  uint64_t state;
} mb_draw;

/** The stream of that key; streams of different keys have nothing to do with each other. */
mb_draw mb_draw_start(size_t n, const uint64_t *key);

/** In [0, 1), of 53 bits. */
double mb_draw_uniform(mb_draw *draw);

/** In 0..n-1, each as likely but for 2^-64 n; n >= 1. */
uint64_t mb_draw_below(mb_draw *draw, uint64_t n);

/**
 * Successes among n independent trials of probability p in [0, 1], n < 2^52.
 *
 * One uniform number, inverted from the mode outwards: O(1 + standard deviation). The
 * probabilities are right to 1e-9 relative up to n = 2^16, and to 1e-4 at 2^40.
 */
uint64_t mb_draw_binomial(mb_draw *draw, uint64_t n, double p);

/**
 * How many of `picked` things, drawn without replacement out of `total`, are among a given `part`;
 * picked, part <= total < 2^53. Likewise.
 */
uint64_t mb_draw_hypergeometric(mb_draw *draw, uint64_t part, uint64_t total, uint64_t picked);

/**
 * The same for a partition into cells: picked things fall into cells [n] of that many things.
 * @param count [n] written: count[i] <= size[i], adding up to `picked`.
 */
void mb_draw_cells(mb_draw *draw, size_t n, const uint64_t *size, uint64_t picked, uint64_t *count);

#ifdef __cplusplus
}
#endif

#endif
