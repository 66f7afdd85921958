/* balancer/replicate.c */
#include "balancer/replicate.h"

/* One replica of each; whether any has load. The tournament is over negated quotients, and so has
   the first in the list win a tie. */
static bool give_first(size_t n, const double *restrict load, mb_player *restrict neediest,
                       int32_t *restrict count, int32_t *restrict item, int32_t *restrict replica) {
  bool any_load = false;

  for (size_t x = 0; x < n; x++) {
    count[x] = 1;
    item[x] = (int32_t)x;
    replica[x] = 0;
    neediest[n + x] = (mb_player){-load[x], (int32_t)x};
    any_load = any_load || load[x] > 0;
  }
  return any_load;
}

void mb_replicate(size_t n, size_t n_slots, const double *load, bool reference_quirks,
                  mb_player *neediest, int32_t *count, int32_t *item, int32_t *replica) {
  bool by_load = give_first(n, load, neediest, count, item, replica) || reference_quirks;

  if (n_slots > n) {
    mb_tournament_play(neediest, n);
  }
  for (size_t s = n; s < n_slots; s++) {
    int32_t x = by_load ? neediest[1].id : item[s - n];
    item[s] = x;
    replica[s] = count[x]++;
    if (by_load) {
      mb_tournament_change(neediest, n, (size_t)x, -(load[x] / count[x]));
    }
  }
}
