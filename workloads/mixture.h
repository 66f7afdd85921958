/* workloads/mixture.h - internal: traffic that moves between two domains. */
#ifndef MB_WORKLOADS_MIXTURE_H
#define MB_WORKLOADS_MIXTURE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** "none", "step", "ramp", "periodic", NULL. Static. */
extern const char *const mb_mixture_drifts[];

/**
 * The weight of the second domain, in [0, 1]:
 *   none: 0;  step: 0 before `period`, 1 from there on;  ramp: t / period, at most 1;
 *   periodic: (1 - cos(2 pi t / period)) / 2.
 */
double mb_mixture_weight(const char *drift, uint64_t period, uint64_t step);

#ifdef __cplusplus
}
#endif

#endif
