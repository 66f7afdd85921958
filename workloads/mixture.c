/* workloads/mixture.c */
#include "workloads/mixture.h"

#include <gsl/gsl_math.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

const char *const mb_mixture_drifts[] = {"none", "step", "ramp", "periodic", NULL};

double mb_mixture_weight(const char *drift, uint64_t period, uint64_t step) {
  if (strcmp(drift, "step") == 0) {
    return step >= period ? 1.0 : 0.0;
  }
  if (strcmp(drift, "ramp") == 0) {
    return fmin(1.0, (double)step / (double)period);
  }
  if (strcmp(drift, "periodic") == 0) {
    /* The whole periods are taken off first: cos() of a large angle is slow. */
    return (1.0 - cos(2.0 * M_PI * (double)(step % period) / (double)period)) / 2.0;
  }
  return 0.0;
}
