/* balancer/slices_swap.c - what both searches share. */
#include "balancer/slices_swap.h"

#include <string.h>

void mb_slices_count(const mb_slices_items *items, const int32_t *pack_of, int32_t *now) {
  memset(now, 0, items->n_packs * items->n_kinds * sizeof *now);
  for (size_t i = 0; i < items->n_items; i++) {
    now[(size_t)pack_of[i] * items->n_kinds + (size_t)items->kind[i]]++;
  }
}

int64_t mb_slices_moved_all(const mb_slices_items *items, const int32_t *now) {
  int64_t moved = 0;

  for (size_t x = 0; items->held != NULL && x < items->n_packs * items->n_kinds; x++) {
    moved += now[x] > 0 && !items->held[x];
  }
  return moved;
}

/* What an item of kind x that leaves pack a for b changes. */
static int moved_by(const mb_slices_items *items, const int32_t *now, size_t a, size_t b,
                    size_t x) {
  const size_t leaves = a * items->n_kinds + x;
  const size_t enters = b * items->n_kinds + x;

  return (!items->held[enters] && now[enters] == 0) - (!items->held[leaves] && now[leaves] == 1);
}

int mb_slices_moved(const mb_slices_items *items, const int32_t *now, size_t a, size_t b, size_t i,
                    size_t j) {
  if (items->held == NULL) {
    return 0;
  }
  return moved_by(items, now, a, b, (size_t)items->kind[i]) +
         moved_by(items, now, b, a, (size_t)items->kind[j]);
}

void mb_slices_exchange(const mb_slices_items *items, size_t i, size_t j, int32_t *pack_of,
                        int32_t *now) {
  const size_t a = (size_t)pack_of[i] * items->n_kinds;
  const size_t b = (size_t)pack_of[j] * items->n_kinds;
  const size_t x = (size_t)items->kind[i];
  const size_t y = (size_t)items->kind[j];
  const int32_t pack = pack_of[i];

  now[a + x]--;
  now[b + x]++;
  now[b + y]--;
  now[a + y]++;
  pack_of[i] = pack_of[j];
  pack_of[j] = pack;
}
