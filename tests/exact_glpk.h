/* tests/exact_glpk.h - exact optima of small packings and placements, as mixed-integer programs.
 *
 * Only where GLPK was found (MB_TEST_GLPK); small: some 20 slots on some 4 GPUs. Programs of this
 * kind take time exponential in their size.
 */
#ifndef MB_TESTS_EXACT_GLPK_H
#define MB_TESTS_EXACT_GLPK_H

#include <stddef.h>

#include "balancer/placement.h"

/**
 * The least largest pack load over all packings of n items into m packs of n/m each, to 1e-9.
 * @return the optimum, or -1 where GLPK gave up.
 */
double exact_packing(size_t n_items, size_t n_packs, const double *weight);

/**
 * The least largest GPU load over all replica counts and placements (global mode; copies of an
 * expert may share a GPU), under even dispatch, to 1e-9.
 * @return the optimum, or -1 where GLPK gave up.
 */
double exact_placement(const mb_shape *shape, const double *load);

#endif
