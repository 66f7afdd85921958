/* balancer/slices_squares.c - the search for `squares`, balancer/slices_swap.h.
 *
 * Row i of the table is the best swap of item i with one of a later item j. After a swap between
 * packs A and B the rows of their items are searched anew, and so are those whose best was with one
 * of them; in the others only their items are looked at.
 */
#include <assert.h>
#include <string.h>

#include "balancer/simd.h"
#include "balancer/slices_gain.h"
#include "balancer/slices_swap.h"

enum { NONE = -1 };

typedef struct search {
  const mb_slices_items *items;
  size_t pack_size;
  int32_t *pack_of;
  double least, price;
  double *product;  /* [n_kinds,n_kinds] v_x . v_y */
  double *pack;     /* [m,n_kinds] P_a . v_x */
  double *rest;     /* [n] product of an item with the others of its pack */
  int32_t *member;  /* [m,k] a pack's items, in their order */
  int32_t *now;     /* [m,n_kinds] */
  double *score;    /* [n] of the row's best */
  int32_t *partner; /* [n] its j, or NONE */
} search;

static search search_take(mb_arena *arena, size_t n, size_t m, size_t n_kinds) {
  search s = {.pack_size = n / m};

  s.product = mb_arena_take(arena, n_kinds * n_kinds, sizeof *s.product);
  s.pack = mb_arena_take(arena, m * n_kinds, sizeof *s.pack);
  s.rest = mb_arena_take(arena, n, sizeof *s.rest);
  s.member = mb_arena_take(arena, n, sizeof *s.member);
  s.now = mb_arena_take(arena, m * n_kinds, sizeof *s.now);
  s.score = mb_arena_take(arena, n, sizeof *s.score);
  s.partner = mb_arena_take(arena, n, sizeof *s.partner);
  return s;
}

size_t mb_slices_squares_size(size_t n_items, size_t n_packs, size_t n_kinds) {
  mb_arena size = {NULL, 0};

  (void)search_take(&size, n_items, n_packs, n_kinds);
  return size.used;
}

static void add_row(size_t n, double factor, const double *from, double *to) {
  for (size_t y = 0; y < n; y++) {
    to[y] += factor * from[y];
  }
}

/* Slice after slice, so that every sum is in the order of the slices. */
MB_SIMD_CLONES static void multiply(const mb_slices_items *items, double *product) {
  const size_t n = items->n_kinds;

  assert(product != NULL);
  memset(product, 0, n * n * sizeof *product);
  for (size_t s = 0; s < items->n_slices; s++) {
    const double *load = items->load + s * n;
    for (size_t x = 0; x < n; x++) {
      add_row(n, load[x], load, product + x * n);
    }
  }
}

/* Its members, their products with all kinds, and what is left of those without themselves. */
static void renew_pack(search *s, size_t a) {
  const size_t n_kinds = s->items->n_kinds;
  int32_t *member = s->member + a * s->pack_size;
  double *pack = s->pack + a * n_kinds;
  size_t n_members = 0;

  assert(pack != NULL);
  memset(pack, 0, n_kinds * sizeof *pack);
  for (size_t i = 0; i < s->items->n_items; i++) {
    if ((size_t)s->pack_of[i] == a) {
      member[n_members++] = (int32_t)i;
      add_row(n_kinds, 1, s->product + (size_t)s->items->kind[i] * n_kinds, pack);
    }
  }
  for (size_t q = 0; q < n_members; q++) {
    size_t x = (size_t)s->items->kind[member[q]];
    s->rest[member[q]] = pack[x] - s->product[x * n_kinds + x];
  }
}

static double objective(const search *s) {
  double sum = 0;

  for (size_t a = 0; a < s->items->n_packs; a++) {
    for (size_t q = 0; q < s->pack_size; q++) {
      size_t i = (size_t)s->member[a * s->pack_size + q];
      sum += s->pack[a * s->items->n_kinds + (size_t)s->items->kind[i]];
    }
  }
  return sum;
}

static double floor_of(const mb_slices_items *items) {
  double sum = 0;

  for (size_t s = 0; s < items->n_slices; s++) {
    double total = 0;
    for (size_t i = 0; i < items->n_items; i++) {
      total += items->load[s * items->n_kinds + (size_t)items->kind[i]];
    }
    sum += total * total;
  }
  return sum / (double)items->n_packs;
}

/* Takes the swap of i with j into row i, where it is better. */
static inline void consider(search *s, size_t i, size_t j) {
  const size_t n_kinds = s->items->n_kinds;
  const size_t x = (size_t)s->items->kind[i];
  const size_t y = (size_t)s->items->kind[j];
  const size_t a = (size_t)s->pack_of[i];
  const size_t b = (size_t)s->pack_of[j];
  double score = mb_slices_gain(s->rest[i], s->rest[j], s->pack[a * n_kinds + y],
                                s->pack[b * n_kinds + x], s->product[x * n_kinds + y]);

  if (x == y || score + 2 * s->price < s->score[i]) {
    return;
  }
  if (s->price > 0) {
    score -= s->price * mb_slices_moved(s->items, s->now, a, b, i, j);
  }
  if (score > s->score[i] ||
      (score == s->score[i] && s->partner[i] != NONE && (size_t)s->partner[i] > j)) {
    s->score[i] = score;
    s->partner[i] = (int32_t)j;
  }
}

static void search_row(search *s, size_t i) {
  s->score[i] = s->least;
  s->partner[i] = NONE;
  for (size_t j = i + 1; j < s->items->n_items; j++) {
    if (s->pack_of[j] != s->pack_of[i]) {
      consider(s, i, j);
    }
  }
}

/* Row i of a pack that is neither a nor b, which have changed. */
static void renew_row(search *s, size_t i, size_t a, size_t b) {
  const size_t changed[2] = {a, b};

  if (s->partner[i] != NONE) {
    size_t with = (size_t)s->pack_of[s->partner[i]];
    if (with == a || with == b) {
      search_row(s, i);
      return;
    }
  }
  for (size_t x = 0; x < 2; x++) {
    const int32_t *member = s->member + changed[x] * s->pack_size;
    for (size_t q = 0; q < s->pack_size; q++) {
      if ((size_t)member[q] > i) {
        consider(s, i, (size_t)member[q]);
      }
    }
  }
}

static void make_swap(search *s, size_t i, size_t j) {
  const size_t a = (size_t)s->pack_of[i];
  const size_t b = (size_t)s->pack_of[j];

  mb_slices_exchange(s->items, i, j, s->pack_of, s->now);
  renew_pack(s, a);
  renew_pack(s, b);
  for (size_t x = 0; x < s->items->n_items; x++) {
    if ((size_t)s->pack_of[x] == a || (size_t)s->pack_of[x] == b) {
      search_row(s, x);
    } else {
      renew_row(s, x, a, b);
    }
  }
}

/* One phase, from the table anew. @return whether it has made swaps. */
static bool run_phase(search *s, int64_t max_rounds, mb_pack_stats *stats) {
  const size_t n = s->items->n_items;
  const int64_t before = stats->swaps;

  for (size_t i = 0; i < n; i++) {
    search_row(s, i);
  }
  while (stats->rounds < max_rounds) {
    size_t best = 0;
    stats->rounds++;
    for (size_t i = 1; i < n; i++) {
      best = s->score[i] > s->score[best] ? i : best;
    }
    if (s->partner[best] == NONE) {
      break;
    }
    make_swap(s, best, (size_t)s->partner[best]);
    stats->swaps++;
  }
  return stats->swaps > before;
}

mb_pack_stats mb_slices_squares(const mb_slices_items *items, const mb_slices_rule *rule,
                                int32_t *pack_of, void *scratch) {
  mb_arena arena = {scratch, 0};
  search s = search_take(&arena, items->n_items, items->n_packs, items->n_kinds);
  mb_pack_stats stats = {0};
  const double floor = floor_of(items);
  double above = 0;
  bool more = true;

  s.items = items;
  s.pack_of = pack_of;
  multiply(items, s.product);
  mb_slices_count(items, pack_of, s.now);
  for (size_t a = 0; a < items->n_packs; a++) {
    renew_pack(&s, a);
  }
  for (double before = 0; more && stats.rounds < rule->max_rounds; before = above) {
    double total = objective(&s);
    above = total > floor ? total - floor : 0;
    if (stats.swaps > 0 && !(above < MB_SLICES_PHASE * before)) {
      break;
    }
    s.least = mb_slices_least(rule->min_gain, above, total);
    s.price = rule->move_cost * above;
    more = run_phase(&s, rule->max_rounds, &stats);
  }
  return stats;
}
