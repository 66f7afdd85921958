/* tests/split_instance.h - random placements and loads to split, of every awkward kind. */
#ifndef MB_TESTS_SPLIT_INSTANCE_H
#define MB_TESTS_SPLIT_INSTANCE_H

#include <math.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

#include "balancer/placement.h"

enum { SPLIT_MAX_GPUS = 9, SPLIT_MAX_SLOTS = 72 };

typedef struct split_instance {
  mb_shape shape;
  size_t slots_per_gpu;
  int32_t map[SPLIT_MAX_SLOTS];
  double load[SPLIT_MAX_SLOTS];
  double speed[SPLIT_MAX_GPUS], base[SPLIT_MAX_GPUS];
  bool has_speed, has_base;
} split_instance;

static inline size_t split_uniform(gsl_rng *random, size_t from, size_t to) {
  return from + gsl_rng_uniform_int(random, (unsigned long)(to - from + 1));
}

/* Slots in any order: replicas of experts at random, few experts with many, all on all GPUs, and
 * duplicates on a GPU. */
static inline void split_random_map(gsl_rng *random, split_instance *s) {
  size_t n_hot = split_uniform(random, 1, s->shape.n_experts);

  for (size_t p = 0; p < s->shape.n_slots; p++) {
    s->map[p] = (int32_t)(p < s->shape.n_experts ? p : gsl_rng_uniform_int(random, n_hot));
  }
  if (split_uniform(random, 0, 3) > 0) {
    gsl_ran_shuffle(random, s->map, s->shape.n_slots, sizeof *s->map);
  }
}

/* One expert's load, by kind: equal, small and often 0, skewed, integers up to 2^53, fractions, and
 * very different magnitudes. */
static inline double split_random_load(gsl_rng *random, size_t kind) {
  switch (kind) {
  case 0:
    return 7;
  case 1:
    return floor(2 * gsl_rng_uniform(random));
  case 2:
    return floor(gsl_ran_lognormal(random, 4, 2));
  case 3:
    return floor(gsl_rng_uniform(random) * 9007199254740992.0);
  case 4:
    return gsl_ran_exponential(random, 1);
  case 5:
    return exp2((double)split_uniform(random, 0, 53));
  default:
    return 0;
  }
}

static inline void split_random(gsl_rng *random, split_instance *s) {
  size_t n_gpus = split_uniform(random, 1, SPLIT_MAX_GPUS);
  size_t slots_per_gpu = split_uniform(random, 1, SPLIT_MAX_SLOTS / SPLIT_MAX_GPUS);
  size_t n_slots = n_gpus * slots_per_gpu;
  size_t n_experts = split_uniform(random, 1, n_slots);
  size_t kind = split_uniform(random, 0, 30);
  bool everywhere = split_uniform(random, 0, 9) == 0; /* every expert on every GPU */

  s->shape = (mb_shape){1, everywhere ? slots_per_gpu : n_experts, n_slots, 1, 1, n_gpus};
  s->slots_per_gpu = slots_per_gpu;
  split_random_map(random, s);
  for (size_t p = 0; everywhere && p < n_slots; p++) {
    s->map[p] = (int32_t)(p % slots_per_gpu);
  }
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    s->load[e] = split_random_load(random, kind < 30 ? kind % 6 : 6);
  }
  s->has_speed = split_uniform(random, 0, 3) == 0;
  s->has_base = split_uniform(random, 0, 3) == 0;
  for (size_t g = 0; g < n_gpus; g++) {
    s->speed[g] = 0.25 + gsl_rng_uniform(random);
    s->base[g] = split_random_load(random, kind < 30 ? kind % 6 : 6);
  }
}

#endif
