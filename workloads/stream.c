/* workloads/stream.c */
#include "workloads/stream.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

gsl_rng *mb_stream_create(uint64_t seed, const char *name, size_t index) {
  char text[128];

  (void)snprintf(text, sizeof text, "%s/%zu", name, index);
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_taus2);
  if (rng != NULL) {
    gsl_rng_set(rng, (unsigned long)XXH3_64bits_withSeed(text, strlen(text), seed));
  }
  return rng;
}
