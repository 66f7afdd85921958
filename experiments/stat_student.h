/* experiments/stat_student.h - Student's interval, for units too few to resample. */
#ifndef MB_EXPERIMENTS_STAT_STUDENT_H
#define MB_EXPERIMENTS_STAT_STUDENT_H

#include "experiments/stat_units.h"

/**
 * mean +- t error, with t of the estimate's degrees of freedom, which are Satterthwaite's where
 * there are several relabellings. Exact for normal differences with R = 1.
 * @param confidence in (0, 1). @return NaN bounds for a single unit. Method: "Student's t".
 */
mb_stat_interval mb_stat_student(const mb_stat_units *units, double confidence);

#endif
