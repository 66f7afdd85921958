/* balancer/naive/slices.c */
#include "balancer/naive/slices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/slices_gain.h"

typedef struct twin {
  const mb_slices_items *items;
  mb_naive_objective objective;
  int32_t *pack_of;
  double *load;    /* [m,S] of the packs */
  double *product; /* [n,n] v_i . v_j */
  double *pack;    /* [m,n] P_a . v_i */
} twin;

static double item_load(const twin *t, size_t i, size_t s) {
  return t->items->load[s * t->items->n_kinds + (size_t)t->items->kind[i]];
}

static void sum_packs(twin *t) {
  const size_t n = t->items->n_items;
  const size_t n_slices = t->items->n_slices;

  memset(t->load, 0, t->items->n_packs * n_slices * sizeof *t->load);
  memset(t->pack, 0, t->items->n_packs * n * sizeof *t->pack);
  for (size_t i = 0; i < n; i++) {
    for (size_t s = 0; s < n_slices; s++) {
      t->load[(size_t)t->pack_of[i] * n_slices + s] += item_load(t, i, s);
    }
    for (size_t j = 0; j < n; j++) {
      t->pack[(size_t)t->pack_of[i] * n + j] += t->product[i * n + j];
    }
  }
}

static void multiply_items(twin *t) {
  const size_t n = t->items->n_items;

  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < n; j++) {
      t->product[i * n + j] = 0;
      for (size_t s = 0; s < t->items->n_slices; s++) {
        t->product[i * n + j] += item_load(t, i, s) * item_load(t, j, s);
      }
    }
  }
}

/* Over the packs but a and b. */
static double largest_of_others(const twin *t, size_t s, size_t a, size_t b) {
  double largest = -INFINITY;

  for (size_t c = 0; c < t->items->n_packs; c++) {
    double load = t->load[c * t->items->n_slices + s];
    largest = c != a && c != b && load > largest ? load : largest;
  }
  return largest;
}

static double sum_of_maxima(const twin *t) {
  double lane[MB_SLICES_LANES] = {0};

  for (size_t s = 0; s < t->items->n_slices; s++) {
    lane[s % MB_SLICES_LANES] += largest_of_others(t, s, t->items->n_packs, t->items->n_packs);
  }
  return mb_slices_sum(lane);
}

static double maxima_gain(const twin *t, size_t i, size_t j) {
  const size_t a = (size_t)t->pack_of[i];
  const size_t b = (size_t)t->pack_of[j];
  double lane[MB_SLICES_LANES] = {0};

  for (size_t s = 0; s < t->items->n_slices; s++) {
    lane[s % MB_SLICES_LANES] +=
        mb_slices_max(largest_of_others(t, s, a, b), t->load[a * t->items->n_slices + s],
                      t->load[b * t->items->n_slices + s], item_load(t, i, s), item_load(t, j, s));
  }
  return sum_of_maxima(t) - mb_slices_sum(lane);
}

static double squares_gain(const twin *t, size_t i, size_t j) {
  const size_t n = t->items->n_items;
  const double *pack_a = t->pack + (size_t)t->pack_of[i] * n;
  const double *pack_b = t->pack + (size_t)t->pack_of[j] * n;

  return mb_slices_gain(pack_a[i] - t->product[i * n + i], pack_b[j] - t->product[j * n + j],
                        pack_a[j], pack_b[i], t->product[i * n + j]);
}

static double objective_of(const twin *t) {
  double sum = 0;

  if (t->objective == MB_NAIVE_MAXIMA) {
    return sum_of_maxima(t);
  }
  for (size_t a = 0; a < t->items->n_packs; a++) {
    for (size_t i = 0; i < t->items->n_items; i++) {
      if ((size_t)t->pack_of[i] == a) {
        sum += t->pack[a * t->items->n_items + i];
      }
    }
  }
  return sum;
}

/* Squares: the slices' totals squared, over the packs. Maxima: what is summed up, over the packs.
 */
static double floor_of(const twin *t) {
  double sum = 0;

  if (t->objective == MB_NAIVE_SQUARES) {
    for (size_t s = 0; s < t->items->n_slices; s++) {
      double total = 0;
      for (size_t i = 0; i < t->items->n_items; i++) {
        total += item_load(t, i, s);
      }
      sum += total * total;
    }
    return sum / (double)t->items->n_packs;
  }
  for (size_t i = 0; i < t->items->n_items; i++) {
    double lane[MB_SLICES_LANES] = {0};
    for (size_t s = 0; s < t->items->n_slices; s++) {
      lane[s % MB_SLICES_LANES] += item_load(t, i, s);
    }
    sum += mb_slices_sum(lane);
  }
  return sum / (double)t->items->n_packs;
}

/* Experts that packs hold and held not before. */
static int count_moved(const twin *t) {
  const mb_slices_items *items = t->items;
  int moved = 0;

  for (size_t a = 0; items->held != NULL && a < items->n_packs; a++) {
    for (size_t x = 0; x < items->n_kinds; x++) {
      bool holds = false;
      for (size_t i = 0; i < items->n_items; i++) {
        holds = holds || ((size_t)t->pack_of[i] == a && (size_t)items->kind[i] == x);
      }
      moved += holds && !items->held[a * items->n_kinds + x];
    }
  }
  return moved;
}

static void exchange(twin *t, size_t i, size_t j) {
  int32_t pack = t->pack_of[i];

  t->pack_of[i] = t->pack_of[j];
  t->pack_of[j] = pack;
}

static int moved_by(twin *t, size_t i, size_t j) {
  int before = count_moved(t);

  exchange(t, i, j);
  int after = count_moved(t);
  exchange(t, i, j);
  return after - before;
}

/* Makes the best swap, if one scores more than `least`. */
static bool run_round(twin *t, double price, double least) {
  size_t best_i = 0;
  size_t best_j = 0;

  sum_packs(t);
  for (size_t i = 0; i < t->items->n_items; i++) {
    for (size_t j = i + 1; j < t->items->n_items; j++) {
      if (t->pack_of[i] == t->pack_of[j] || t->items->kind[i] == t->items->kind[j]) {
        continue;
      }
      double score = t->objective == MB_NAIVE_MAXIMA ? maxima_gain(t, i, j) : squares_gain(t, i, j);
      if (price > 0) {
        score -= price * moved_by(t, i, j);
      }
      if (score > least) {
        least = score;
        best_i = i;
        best_j = j;
      }
    }
  }
  exchange(t, best_i, best_j);
  return best_i != best_j;
}

static mb_pack_stats run(twin *t, const mb_slices_rule *rule) {
  mb_pack_stats stats = {0};
  const double floor = floor_of(t);
  double before = INFINITY;
  bool found = true;

  while (found && stats.rounds < rule->max_rounds) {
    sum_packs(t);
    double objective = objective_of(t);
    double above = objective > floor ? objective - floor : 0;
    if (!(above < MB_SLICES_PHASE * before)) {
      break;
    }
    before = above;
    int64_t swaps = stats.swaps;
    do {
      stats.rounds++;
      found =
          run_round(t, rule->move_cost * above, mb_slices_least(rule->min_gain, above, objective));
      stats.swaps += found;
    } while (found && stats.rounds < rule->max_rounds);
    found = stats.swaps > swaps;
  }
  return stats;
}

mb_status mb_naive_slices(const mb_slices_items *items, const mb_slices_rule *rule,
                          mb_naive_objective objective, int32_t *pack_of, mb_pack_stats *stats) {
  const size_t n = items->n_items;
  const size_t m = items->n_packs;
  twin t = {.items = items, .objective = objective, .pack_of = pack_of};

  t.load = calloc(m * items->n_slices, sizeof *t.load);
  t.product = calloc(n * n, sizeof *t.product);
  t.pack = calloc(m * n, sizeof *t.pack);
  bool made = t.load != NULL && t.product != NULL && t.pack != NULL;
  if (made) {
    multiply_items(&t);
    *stats = run(&t, rule);
  }
  free(t.load);
  free(t.product);
  free(t.pack);
  return made ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for a twin of %zu items", n);
}
