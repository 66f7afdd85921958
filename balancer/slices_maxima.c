/* balancer/slices_maxima.c - the search for `maxima`, balancer/slices_swap.h.
 *
 * No swap between packs A and B brings a slice's largest load below that of the other packs, nor
 * below the mean of A and B. So the pairs of packs are bounded first, and searched from the best
 * bound on until none can beat the best swap found. Only the three largest packs of a slice are
 * needed to know the largest of all but two.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "balancer/simd.h"
#include "balancer/slices_gain.h"
#include "balancer/slices_swap.h"

enum { L = MB_SLICES_LANES, TOP = 3, NO_PACK = -1 };

/* Bounds are real numbers; what is computed may differ by rounding, of that share. */
static const double SLACK = 1e-11;

/* Rows of slices are padded with zeros to whole lanes: W of them. */
typedef struct search {
  const mb_slices_items *items;
  size_t pack_size, width;
  int32_t *pack_of;
  double least, price;
  double objective;
  double *vector;    /* [n_kinds,W] */
  double *pack;      /* [m,W] P_a */
  double *top;       /* [TOP,W] the largest loads of each slice */
  int32_t *top_pack; /* [2,W] the packs of the first two */
  double *others;    /* [W] the largest of all but two packs */
  double *bound;     /* [m,m] no swap of packs a < b gains more */
  int32_t *member;   /* [m,k] */
  int32_t *now;      /* [m,n_kinds] */
} search;

typedef struct swap {
  double score;
  size_t i, j; /* i == j: none */
} swap;

static search search_take(mb_arena *arena, size_t n, size_t m, size_t n_kinds, size_t n_slices) {
  search s = {.pack_size = n / m, .width = (n_slices + L - 1) / L * L};

  s.vector = mb_arena_take(arena, n_kinds * s.width, sizeof *s.vector);
  s.pack = mb_arena_take(arena, m * s.width, sizeof *s.pack);
  s.top = mb_arena_take(arena, TOP * s.width, sizeof *s.top);
  s.top_pack = mb_arena_take(arena, 2 * s.width, sizeof *s.top_pack);
  s.others = mb_arena_take(arena, s.width, sizeof *s.others);
  s.bound = mb_arena_take(arena, m * m, sizeof *s.bound);
  s.member = mb_arena_take(arena, n, sizeof *s.member);
  s.now = mb_arena_take(arena, m * n_kinds, sizeof *s.now);
  return s;
}

size_t mb_slices_maxima_size(size_t n_items, size_t n_packs, size_t n_kinds, size_t n_slices) {
  mb_arena size = {NULL, 0};

  (void)search_take(&size, n_items, n_packs, n_kinds, n_slices);
  return size.used;
}

static void renew_pack(search *s, size_t a) {
  int32_t *member = s->member + a * s->pack_size;
  double *pack = s->pack + a * s->width;
  size_t n_members = 0;

  memset(pack, 0, s->width * sizeof *pack);
  for (size_t i = 0; i < s->items->n_items; i++) {
    if ((size_t)s->pack_of[i] == a) {
      const double *vector = s->vector + (size_t)s->items->kind[i] * s->width;
      member[n_members++] = (int32_t)i;
      for (size_t x = 0; x < s->width; x++) {
        pack[x] += vector[x];
      }
    }
  }
}

static double sum_row(size_t width, const double *row) {
  double lane[L] = {0};

  for (size_t x = 0; x < width; x += L) {
    for (size_t y = 0; y < L; y++) {
      lane[y] += row[x + y];
    }
  }
  return mb_slices_sum(lane);
}

/* The three largest loads of every slice, and the objective, the sum of the first. */
static void find_tops(search *s) {
  double *first = s->top;
  double *second = first + s->width;
  double *third = second + s->width;
  int32_t *first_pack = s->top_pack;
  int32_t *second_pack = first_pack + s->width;

  for (size_t x = 0; x < s->width; x++) {
    first[x] = second[x] = third[x] = -INFINITY;
    first_pack[x] = second_pack[x] = NO_PACK;
  }
  for (size_t a = 0; a < s->items->n_packs; a++) {
    const double *pack = s->pack + a * s->width;
    for (size_t x = 0; x < s->width; x++) {
      if (pack[x] > first[x]) {
        third[x] = second[x];
        second[x] = first[x];
        second_pack[x] = first_pack[x];
        first[x] = pack[x];
        first_pack[x] = (int32_t)a;
      } else if (pack[x] > second[x]) {
        third[x] = second[x];
        second[x] = pack[x];
        second_pack[x] = (int32_t)a;
      } else if (pack[x] > third[x]) {
        third[x] = pack[x];
      }
    }
  }
  s->objective = sum_row(s->width, first);
}

MB_SIMD_CLONES static void find_others(search *s, size_t a, size_t b) {
  const double *top = s->top;
  const int32_t *first = s->top_pack;
  const int32_t *second = first + s->width;
  const int32_t a32 = (int32_t)a;
  const int32_t b32 = (int32_t)b;

  for (size_t x = 0; x < s->width; x++) {
    double second_else =
        second[x] == a32 || second[x] == b32 ? top[2 * s->width + x] : top[s->width + x];
    s->others[x] = first[x] == a32 || first[x] == b32 ? second_else : top[x];
  }
}

/* What the slices' largest loads cannot fall below. Needs find_others(). */
MB_SIMD_CLONES static double bound_pair(const search *s, size_t a, size_t b) {
  const double *load_a = s->pack + a * s->width;
  const double *load_b = s->pack + b * s->width;
  double lane[L] = {0};

  for (size_t x = 0; x < s->width; x += L) {
    for (size_t y = 0; y < L; y++) {
      double mean = 0.5 * (load_a[x + y] + load_b[x + y]);
      double others = s->others[x + y];
      lane[y] += others > mean ? others : mean;
    }
  }
  return mb_slices_sum(lane);
}

/* The objective after the swap of items of kinds i and j. Needs find_others(). */
MB_SIMD_CLONES static double after_swap(const search *s, size_t a, size_t b, size_t i, size_t j) {
  const double *load_a = s->pack + a * s->width;
  const double *load_b = s->pack + b * s->width;
  const double *v_i = s->vector + i * s->width;
  const double *v_j = s->vector + j * s->width;
  double lane[L] = {0};

  for (size_t x = 0; x < s->width; x += L) {
    for (size_t y = 0; y < L; y++) {
      lane[y] +=
          mb_slices_max(s->others[x + y], load_a[x + y], load_b[x + y], v_i[x + y], v_j[x + y]);
    }
  }
  return mb_slices_sum(lane);
}

static void consider(const search *s, size_t a, size_t b, size_t i, size_t j, swap *best) {
  const size_t x = (size_t)s->items->kind[i];
  const size_t y = (size_t)s->items->kind[j];

  if (x == y) {
    return;
  }
  double score = s->objective - after_swap(s, a, b, x, y);
  if (s->price > 0) {
    score -= s->price * mb_slices_moved(s->items, s->now, a, b, i, j);
  }
  swap one = {score, i < j ? i : j, i < j ? j : i};
  bool first = one.i < best->i || (one.i == best->i && one.j < best->j);
  if (score > best->score || (score == best->score && best->i != best->j && first)) {
    *best = one;
  }
}

static void search_pair(search *s, size_t a, size_t b, swap *best) {
  find_others(s, a, b);
  for (size_t p = 0; p < s->pack_size; p++) {
    for (size_t q = 0; q < s->pack_size; q++) {
      consider(s, a, b, (size_t)s->member[a * s->pack_size + p],
               (size_t)s->member[b * s->pack_size + q], best);
    }
  }
}

static void bound_pairs(search *s) {
  const size_t m = s->items->n_packs;

  for (size_t a = 0; a < m; a++) {
    for (size_t b = 0; b < m; b++) {
      s->bound[a * m + b] = -INFINITY;
      if (a < b) {
        find_others(s, a, b);
        s->bound[a * m + b] = s->objective - bound_pair(s, a, b) + 2 * s->price;
      }
    }
  }
}

static swap find_swap(search *s) {
  const size_t m = s->items->n_packs;
  swap best = {s->least, 0, 0};

  bound_pairs(s);
  for (;;) {
    size_t next = 0;
    for (size_t p = 1; p < m * m; p++) {
      next = s->bound[p] > s->bound[next] ? p : next;
    }
    if (s->bound[next] < best.score - SLACK * s->objective) {
      return best;
    }
    s->bound[next] = -INFINITY;
    search_pair(s, next / m, next % m, &best);
  }
}

static bool run_phase(search *s, int64_t max_rounds, mb_pack_stats *stats) {
  const int64_t before = stats->swaps;

  while (stats->rounds < max_rounds) {
    stats->rounds++;
    swap best = find_swap(s);
    if (best.i == best.j) {
      break;
    }
    const size_t a = (size_t)s->pack_of[best.i];
    const size_t b = (size_t)s->pack_of[best.j];
    mb_slices_exchange(s->items, best.i, best.j, s->pack_of, s->now);
    renew_pack(s, a);
    renew_pack(s, b);
    find_tops(s);
    stats->swaps++;
  }
  return stats->swaps > before;
}

static void fill_vectors(search *s) {
  const size_t n_kinds = s->items->n_kinds;

  assert(s->vector != NULL);
  memset(s->vector, 0, n_kinds * s->width * sizeof *s->vector);
  for (size_t x = 0; x < s->items->n_slices; x++) {
    for (size_t kind = 0; kind < n_kinds; kind++) {
      s->vector[kind * s->width + x] = s->items->load[x * n_kinds + kind];
    }
  }
}

static double floor_of(const search *s) {
  double sum = 0;

  for (size_t i = 0; i < s->items->n_items; i++) {
    sum += sum_row(s->width, s->vector + (size_t)s->items->kind[i] * s->width);
  }
  return sum / (double)s->items->n_packs;
}

static search search_of(const mb_slices_items *items, int32_t *pack_of, void *scratch) {
  mb_arena arena = {scratch, 0};
  search s = search_take(&arena, items->n_items, items->n_packs, items->n_kinds, items->n_slices);

  s.items = items;
  s.pack_of = pack_of;
  fill_vectors(&s);
  mb_slices_count(items, pack_of, s.now);
  for (size_t a = 0; a < items->n_packs; a++) {
    renew_pack(&s, a);
  }
  find_tops(&s);
  return s;
}

double mb_slices_maxima_above(const mb_slices_items *items, int32_t *pack_of, void *scratch) {
  const search s = search_of(items, pack_of, scratch);
  const double floor = floor_of(&s);

  return s.objective > floor ? s.objective - floor : 0;
}

mb_pack_stats mb_slices_maxima(const mb_slices_items *items, const mb_slices_rule *rule,
                               int32_t *pack_of, void *scratch) {
  search s = search_of(items, pack_of, scratch);
  const double floor = floor_of(&s);
  mb_pack_stats stats = {0};
  double above = 0;
  bool more = true;

  for (double before = 0; more && stats.rounds < rule->max_rounds; before = above) {
    above = s.objective > floor ? s.objective - floor : 0;
    if (stats.swaps > 0 && !(above < MB_SLICES_PHASE * before)) {
      break;
    }
    s.least = mb_slices_least(rule->min_gain, above, s.objective);
    s.price = rule->move_cost * above;
    more = run_phase(&s, rule->max_rounds, &stats);
  }
  return stats;
}
