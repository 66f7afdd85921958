/* balancer/replicate.c */
#include "balancer/replicate.h"

static void give(size_t slot, size_t x, int32_t *count, int32_t *item, int32_t *replica) {
  item[slot] = (int32_t)x;
  if (replica != NULL) {
    replica[slot] = count[x];
  }
  count[x]++;
}

/* The tournament is over negated quotients, and so has the first in the list win a tie. */
void mb_replicate(size_t n, size_t n_slots, const double *load, bool reference_quirks,
                  mb_player *neediest, int32_t *count, int32_t *item, int32_t *replica) {
  bool any_load = false;

  for (size_t x = 0; x < n; x++) {
    count[x] = 0;
    give(x, x, count, item, replica);
    neediest[n + x] = (mb_player){-load[x], (int32_t)x};
    any_load = any_load || load[x] > 0;
  }
  if (n_slots > n) {
    mb_tournament_play(neediest, n);
  }
  for (size_t s = n; s < n_slots; s++) {
    if (!any_load && !reference_quirks) {
      give(s, (size_t)item[s - n], count, item, replica);
      continue;
    }
    size_t x = (size_t)neediest[1].id;
    give(s, x, count, item, replica);
    mb_tournament_change(neediest, n, x, -(load[x] / count[x]));
  }
}
