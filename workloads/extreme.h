/* workloads/extreme.h - the generator `extreme`: its parameters. */
#ifndef MB_WORKLOADS_EXTREME_H
#define MB_WORKLOADS_EXTREME_H

#include "workloads/stationary.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A few experts that take most of the load, as in models with one expert a token.
 *
 *   s[l]       = exponent (1 + exponent_spread u),  u uniform in [-1, 1]
 *   share[l,e] ~ rank^-s[l], the ranks 1..E in random order, cut at head_cap times their mean,
 *                summing to 1
 *
 * Without the cut the hottest expert has E / (1^-s + ... + E^-s) times the mean. By default layers
 * of 128 to 256 experts have Gini indices of .5 to .65. Loads and their moments:
 * workloads/stationary.h.
 */
typedef struct mb_extreme_params {
  mb_stationary_params stationary;
  double exponent, exponent_spread, head_cap;
} mb_extreme_params;

extern const mb_generator_type mb_generator_extreme;

#ifdef __cplusplus
}
#endif

#endif
