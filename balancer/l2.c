/* balancer/l2.c - swaps that lower the sum of squared pack loads.
 *
 *   over all i, j in different packs A, B:  gain = 2 d ((S_A - S_B) - d),  d = w_i - w_j
 *
 * The best swap is made while it gains more than min_gain, at most max_rounds times.
 * The pairs of packs are in rows: a pair is in the row of whichever pack has changed last. A swap
 * makes two rows anew, and no other row's best grows by it; so of the others a round searches only
 * those that have lost their best and whose bound, the best that they had, comes up to the best of
 * all. Within a row only those pairs are searched whose own bounds do (balancer/swap.h).
 *
 * Complexity: a round searches some 3 to 10 rows, O(n) each at worst; the first bounds all m^2 / 2
 * pairs as well. Memory O(n), and for packs of up to 16 items m^2 bounds, of 8 MB at most.
 */
#include <math.h>

#include "balancer/gain.h"
#include "balancer/options.h"
#include "balancer/pack.h"
#include "balancer/swap.h"

static const mb_param l2_params[] = {
    MB_OPTION_MAX_ROUNDS, MB_OPTION_MIN_GAIN("tokens^2"), MB_OPTION_REFERENCE_QUIRKS, {0}};

/* So many packs' rows are kept from round to round, in 8 MB; those of more are bounded anew. */
enum { KEPT_PACKS_MAX = 1024 };

/* Row a holds what is known of the pairs (a, b) with a changed after b. In doubles, for SIMD. */
typedef struct search {
  mb_swap_lists lists;
  mb_packing *packing;
  double min_gain;
  double next_turn;
  double *turn;       /* [m] when the pack has last changed */
  double *bound;      /* [m] no swap of the row gains more, but for rounding */
  double *open;       /* [m] bound of a row that this round has yet to search, or -1 */
  double *pair_bound; /* [m,stride] the same of each pair; or [stride], of one row at a time */
  size_t row_stride;  /* of pair_bound: stride, or 0 */
  mb_swap *best;      /* [m] the row's best swap, where that is known */
  int32_t *partner;   /* [m] its b */
} search;

/* Pairs that are in rows of packs changed later than a gain nothing in a's. */
static inline void keep_row(const search *s, size_t a, double *bound, size_t from, size_t to) {
  for (size_t b = from; b < to; b++) {
    bound[b] = s->turn[b] < s->turn[a] ? bound[b] : 0;
  }
}

static bool is_preferred(mb_swap a, mb_swap b) {
  return mb_swap_found(a) && (!mb_swap_found(b) || mb_swap_better(a, b));
}

/* Small packs: all gains of the row, but where no bound comes up to the best. */
MB_SIMD_CLONES static void search_row_wide(search *s, size_t a, mb_swap *best) {
  const size_t m = s->lists.n_packs;
  const double *load = s->packing->pack_load;
  double *bound = s->pair_bound + a * s->row_stride;
  const double floor = mb_swap_floor(best->gain);

  if (s->bound[a] == INFINITY || s->row_stride == 0) { /* nothing is kept of an earlier search */
    mb_swap_bounds(&s->lists, load, a, bound, mb_gain_l2);
  }
  keep_row(s, a, bound, 0, m);
  for (size_t b = 0; b < m; b += MB_SWAP_LANES) {
    const size_t end = b + MB_SWAP_LANES < m ? b + MB_SWAP_LANES : m;
    bool reaches = false;
    for (size_t x = b; x < end; x++) {
      reaches |= bound[x] >= floor;
    }
    if (reaches) {
      mb_swap_gains(&s->lists, load, a, b, bound + b, mb_gain_l2);
      keep_row(s, a, bound, b, end);
    }
  }
  const size_t first = mb_argmax(bound, m);
  const double gain = bound[first];
  s->bound[a] = gain;
  if (gain <= s->min_gain || gain < best->gain) {
    return;
  }
  for (size_t b = first; b < m; b++) {
    if (bound[b] == gain) {
      mb_swap swap = mb_swap_of_gain(&s->lists, load, a, b, gain, mb_gain_l2);
      s->partner[a] = is_preferred(swap, s->best[a]) ? (int32_t)b : s->partner[a];
      s->best[a] = is_preferred(swap, s->best[a]) ? swap : s->best[a];
    }
  }
  *best = is_preferred(s->best[a], *best) ? s->best[a] : *best;
}

/* Large packs: the pairs whose bounds come up to the best, most promising first. */
static void search_row_deep(search *s, size_t a, mb_swap *best) {
  const size_t m = s->lists.n_packs;
  const double *load = s->packing->pack_load;
  double *bound = s->pair_bound;
  mb_swap found = {s->min_gain, 0, 0};
  double floor = mb_swap_floor(best->gain);
  double most = 0;

  mb_swap_bounds(&s->lists, load, a, bound, mb_gain_l2);
  keep_row(s, a, bound, 0, m);
  size_t b = mb_argmax(bound, m);
  for (; bound[b] >= floor; b = mb_argmax(bound, m)) {
    const mb_swap before = found;
    double top = mb_swap_search(&s->lists, load, a, b, s->min_gain, &found, mb_gain_l2);
    most = top > most ? top : most;
    if (found.i != before.i || found.j != before.j) {
      s->partner[a] = (int32_t)b;
      floor = mb_swap_floor(found.gain) > floor ? mb_swap_floor(found.gain) : floor;
    }
    bound[b] = -1;
  }
  s->bound[a] = bound[b] > most ? bound[b] : most;
  if (mb_swap_found(found) && bound[b] < mb_swap_floor(found.gain)) {
    s->best[a] = found;
    *best = is_preferred(found, *best) ? found : *best;
  }
}

static mb_swap find_swap(search *s) {
  const size_t m = s->lists.n_packs;
  mb_swap best = {s->min_gain, 0, 0};

  for (size_t a = 0; a < m; a++) {
    s->open[a] = s->bound[a];
    if (mb_swap_found(s->best[a])) {
      s->open[a] = -1;
      best = is_preferred(s->best[a], best) ? s->best[a] : best;
    }
  }
  for (size_t a = mb_argmax(s->open, m); s->open[a] >= mb_swap_floor(best.gain);
       a = mb_argmax(s->open, m)) {
    if (s->lists.pack_size <= MB_SWAP_SIZE_WIDE) {
      search_row_wide(s, a, &best);
    } else {
      search_row_deep(s, a, &best);
    }
    s->open[a] = -1;
  }
  return best;
}

static double sum_of_squares(const mb_packing *packing) {
  double sum = 0;

  for (size_t pack = 0; pack < packing->n_packs; pack++) {
    sum += packing->pack_load[pack] * packing->pack_load[pack];
  }
  return sum;
}

/* Makes the swap; with unlimited rounds only if the sum of squares falls in floating point too. It
   takes finitely many values, so this ends. */
static bool make_swap(mb_swap_lists *lists, mb_packing *packing, mb_swap swap, bool unlimited) {
  double before = unlimited ? sum_of_squares(packing) : 0;

  mb_swap_make(lists, packing, swap.i, swap.j);
  if (unlimited && !(sum_of_squares(packing) < before)) {
    mb_swap_make(lists, packing, swap.i, swap.j);
    return false;
  }
  packing->swaps++;
  return true;
}

static void forget_row(search *s, size_t a) {
  s->turn[a] = s->next_turn++;
  s->bound[a] = INFINITY;
  s->best[a] = (mb_swap){s->min_gain, 0, 0};
  s->partner[a] = (int32_t)a;
}

static void forget_packs(search *s, size_t a, size_t b) {
  for (size_t x = 0; x < s->lists.n_packs; x++) {
    if ((size_t)s->partner[x] == a || (size_t)s->partner[x] == b) {
      s->best[x].i = s->best[x].j = 0;
    }
  }
  forget_row(s, a);
  forget_row(s, b);
}

/* Large packs' rows are not: their searches leave bounds no tighter than they found them. */
static bool keeps_rows(size_t n_items, size_t n_packs) {
  return n_packs <= KEPT_PACKS_MAX && n_items / n_packs <= MB_SWAP_SIZE_WIDE;
}

static size_t pair_bound_size(size_t n_items, size_t n_packs) {
  return (keeps_rows(n_items, n_packs) ? n_packs : 1) * mb_swap_stride(n_packs);
}

static size_t l2_scratch_size(size_t n_items, size_t n_packs) {
  return (3 * n_packs + pair_bound_size(n_items, n_packs)) * sizeof(double) +
         n_packs * (sizeof(mb_swap) + sizeof(int32_t)) + mb_swap_lists_size(n_items, n_packs);
}

MB_SIMD_CLONES static void search_init(search *s, mb_packing *packing, double min_gain,
                                       void *scratch) {
  const size_t m = packing->n_packs;
  double *real = scratch;
  mb_swap *swaps = (mb_swap *)(real + 3 * m + pair_bound_size(packing->n_items, m));
  char *lists = (char *)(swaps + m);

  *s = (search){.packing = packing,
                .min_gain = min_gain,
                .turn = real,
                .bound = real + m,
                .open = real + 2 * m,
                .pair_bound = real + 3 * m,
                .row_stride = keeps_rows(packing->n_items, m) ? mb_swap_stride(m) : 0,
                .best = swaps,
                .partner = (int32_t *)(lists + mb_swap_lists_size(packing->n_items, m))};
  mb_swap_lists_init(&s->lists, packing, lists);
  /* Turns taken backward give the initial pairs to heavy packs, and few rows then hold the best. */
  for (size_t a = m; a-- > 0;) {
    forget_row(s, a);
  }
  for (size_t a = 0; a < m; a++) {
    double *bound = s->pair_bound + a * s->row_stride;
    mb_swap_bounds(&s->lists, packing->pack_load, a, bound, mb_gain_l2);
    keep_row(s, a, bound, 0, m);
    s->bound[a] = bound[mb_argmax(bound, m)];
  }
}

static void l2_refine(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  const bool unlimited = options->max_rounds == MB_ROUNDS_UNLIMITED;
  search s;

  if (options->max_rounds == 0) {
    return;
  }
  search_init(&s, packing, options->min_gain, scratch);
  while (packing->rounds < options->max_rounds) {
    packing->rounds++;
    mb_swap swap = find_swap(&s);
    if (!mb_swap_found(swap)) {
      return;
    }
    size_t pack_i = (size_t)packing->pack_of[swap.i];
    size_t pack_j = (size_t)packing->pack_of[swap.j];
    if (!make_swap(&s.lists, packing, swap, unlimited)) {
      return;
    }
    forget_packs(&s, pack_i, pack_j);
  }
}

const mb_refinement_type mb_refinement_l2 = {
    .name = "l2",
    .summary = "LPT, then swaps that lower the sum of squared GPU loads the most",
    .params = l2_params,
    .scratch_size = l2_scratch_size,
    .refine = l2_refine,
};
