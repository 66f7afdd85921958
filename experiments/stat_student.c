/* experiments/stat_student.c */
#include "experiments/stat_student.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

mb_stat_interval mb_stat_student(const mb_stat_units *units, double confidence) {
  mb_stat_estimate estimate = mb_stat_units_estimate(units);
  mb_stat_interval interval = {NAN, NAN, "Student's t"};

  if (!isnan(estimate.error)) {
    double t = gsl_cdf_tdist_Qinv((1 - confidence) / 2, estimate.freedom);
    interval.low = estimate.mean - t * estimate.error;
    interval.high = estimate.mean + t * estimate.error;
  }
  return interval;
}
