/* workloads/fit.h - the parameters of a generator that makes traces like a given one. */
#ifndef MB_WORKLOADS_FIT_H
#define MB_WORKLOADS_FIT_H

#include <stddef.h>

#include "balancer/status.h"
#include "workloads/drift.h"
#include "workloads/trace.h"
#include "workloads/windows.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Fewer windows say too little of drift. */
enum { MB_FIT_WINDOWS_MIN = 8 };

/**
 * Estimates the parameters of `drift` from the windows of a trace by simulated moments: what
 * windows.h measures is what the generator has to show on average.
 *
 *   sigma, skew of each layer   from its peak and gini
 *   drift_fast, drift_slow,     from 1 - r and `moved` at all lags up to half the windows, and
 *   steps_fast, steps_slow      chi2, each as a mean over the layers
 *   cold_drift                  of 0, .5, .75, 1, 1.25 and 1.5 the one with which these fit best
 *
 * The first two lines are nonlinear least squares of the logarithms (GSL's gsl_multifit_nlinear),
 * in turn. Expected values are means over samples of pairs of windows, drawn with random numbers
 * that are the same in every round, so they are smooth in the parameters: a window has the mean
 * share times a lognormal of the variance and the autocorrelation that an AR(1) process has when it
 * is averaged over the window, and normal noise of multinomial variance. Where the data say little,
 * a weak pull (of 2 to 3 % of a residual's weight) holds the slow drift's time near a tenth of the
 * trace and the fast one's near two windows; no more than half the trace can be told from a
 * difference that lasts.
 *
 * What a small set of numbers cannot say is not fitted: which expert is popular, which experts
 * drift together, when topics change. AR(1) has no sudden changes and no way back: where tasks
 * follow one another, r falls below what it can show, even below 0.
 *
 * Cost: 15 s of one core for 24 layers of 32 experts, a minute for 58 of 256, whatever the trace's
 * length.
 *
 * @param windows all of the trace, MB_FIT_WINDOWS_MIN or more. Borrowed.
 * @param info    of the trace: shape, model and phase of what is to be generated. Borrowed.
 * @param check   NULL, or called now and then by the caller's thread: any status but MB_OK ends the
 *                fit with it.
 * @param params  written only on MB_OK. Deterministic, whatever the number of threads.
 * @return MB_OK; what check() returns; MB_ERR_SHAPE for too few windows, a single expert, or more
 * layers than a list holds; MB_ERR_RANGE for a layer without load in some window, or with no skew
 * at all; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_fit_drift(const mb_windows *windows, const mb_trace_info *info,
                                    mb_status (*check)(void), mb_drift_params *params);

#ifdef __cplusplus
}
#endif

#endif
