/* workloads/windows.h - a trace as windows: their loads, and how skewed, restless and noisy they
 * are. */
#ifndef MB_WORKLOADS_WINDOWS_H
#define MB_WORKLOADS_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Loads summed over windows of `steps` steps; an unfinished last window is left out. */
typedef struct mb_windows mb_windows;

/**
 * @param n_steps of the whole trace: memory is O(n_steps / steps x L E).
 * @return MB_OK; MB_ERR_SHAPE if n_steps < steps or steps is 0; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_windows_create(size_t n_steps, size_t n_layers, size_t n_experts,
                                         size_t steps, mb_windows **windows);
void mb_windows_destroy(mb_windows *windows); /* NULL is fine */

/** The next n steps, load [n,L,E] (borrowed), n_steps in all. */
void mb_windows_add(mb_windows *windows, size_t n, const uint32_t *load);

/** Another trace of the same shape without any drift: the loads of each window and layer, dealt out
 * anew by a multinomial with the layer's shares of the whole trace. @param made Transferred. */
MB_NODISCARD mb_status mb_windows_draw_stationary(const mb_windows *windows, uint64_t seed,
                                                  mb_windows **made);

size_t mb_windows_count(const mb_windows *windows);  /* W: those complete so far */
size_t mb_windows_steps(const mb_windows *windows);  /* of a window */
size_t mb_windows_layers(const mb_windows *windows); /* L */
size_t mb_windows_experts(const mb_windows *windows);
/** [E] loads of window w, layer l. Borrowed. */
const uint64_t *mb_windows_load(const mb_windows *windows, size_t w, size_t l);

/** The distances, in windows, that drift is measured at: 1, 2, 4, 8 and 16. Static. */
enum { MB_WINDOWS_LAGS = 5 };
extern const size_t mb_windows_lag[MB_WINDOWS_LAGS];

/**
 * One layer. With s[w,e] = share of expert e in the layer's load of window w, n[w] = that load:
 *
 *   peak      mean over w of E max_e s[w,e]
 *   gini      mean over w of sum_i (2i - E + 1) x_i / (E sum x), x = s[w] ascending, i from 0
 *   r[k]      mean over the pairs (w, w + k) of Pearson's correlation of s[w] and s[w + k]
 *   moved[k]  mean over these pairs of the total variation, sum_e |s[w + k,e] - s[w,e]| / 2
 *   chi2      over the pairs (w, w + 1), with p = both windows' loads pooled:
 *             sum of (s[w + 1,e] - s[w,e])^2 / (p[e] (1/n[w] + 1/n[w + 1])) over e with p > 0,
 *             summed over the pairs, / the sum of their degrees of freedom, (number of p > 0) - 1
 *   chi2_all  sum over w, e of (n[w] s[w,e] - n[w] p[e])^2 / (n[w] p[e]), p pooled over the whole
 *             trace, / ((W - 1) ((number of p > 0) - 1))
 *
 * Both chi2 are 1 for multinomial loads that do not drift. Windows without load are left out, NaN
 * where nothing is left; r leaves out pairs where one window's shares are all equal.
 */
typedef struct mb_windows_layer {
  double peak, gini;
  double r[MB_WINDOWS_LAGS], moved[MB_WINDOWS_LAGS];
  double chi2, chi2_all;
} mb_windows_layer;

/** @param layers [L] caller-owned. @return MB_OK; MB_ERR_MEMORY. O(W L E (lags + log E)). */
MB_NODISCARD mb_status mb_windows_measure(const mb_windows *windows, mb_windows_layer *layers);

/** The mean of each over the layers that have it. */
mb_windows_layer mb_windows_mean(size_t n_layers, const mb_windows_layer *layers);

/** Gini index of x[n], ascending and none below 0; NaN if all are 0. */
double mb_gini(size_t n, const double *ascending);

#ifdef __cplusplus
}
#endif

#endif
