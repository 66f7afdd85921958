/* balancer/l2.c - swaps that lower the sum of squared pack loads.
 *
 *   over all i, j in different packs A, B:  gain = 2 d ((S_A - S_B) - d),  d = w_i - w_j
 *
 * The best swap is made while it gains more than min_gain, at most max_rounds times.
 * Complexity: the first round O(m n), every other O(n), and O(m^2) at worst: a table keeps the best
 * swap of every pair of packs, and only the pairs of the two changed packs are searched again.
 */
#include <stdlib.h>

#include "balancer/options.h"
#include "balancer/pack.h"
#include "balancer/swap.h"

static const mb_param l2_params[] = {
    MB_OPTION_MAX_ROUNDS, MB_OPTION_MIN_GAIN("tokens^2"), MB_OPTION_REFERENCE_QUIRKS, {0}};

static double l2_gain(double d, double delta) {
  return 2 * d * (delta - d);
}

/* The best swap of each pair a < b of packs, at pair[a * m + b], and the b of each row's best. */
typedef struct swap_table {
  size_t n_packs;
  double min_gain;
  mb_swap *pair;    /* [m,m] */
  size_t *row_best; /* [m]; of a row without a swap any b > a */
} swap_table;

static mb_status table_init(swap_table *table, size_t n_packs, double min_gain) {
  bool fits = n_packs <= SIZE_MAX / sizeof *table->pair / n_packs;

  *table = (swap_table){.n_packs = n_packs,
                        .min_gain = min_gain,
                        .pair = fits ? malloc(n_packs * n_packs * sizeof *table->pair) : NULL,
                        .row_best = calloc(n_packs, sizeof *table->row_best)};
  if (table->pair == NULL || table->row_best == NULL) {
    free(table->pair);
    free(table->row_best);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the swaps between %zu packs", n_packs);
  }
  return MB_OK;
}

static void table_fini(swap_table *table) {
  free(table->pair);
  free(table->row_best);
}

static bool is_preferred(mb_swap a, mb_swap b) {
  return mb_swap_found(a) && (!mb_swap_found(b) || mb_swap_better(a, b));
}

static void search_pair(swap_table *table, const mb_swap_lists *lists, const double *pack_load,
                        size_t a, size_t b) {
  size_t heavy = pack_load[a] > pack_load[b] ? a : b;
  size_t light = heavy == a ? b : a;

  table->pair[a * table->n_packs + b] =
      mb_swap_search(lists, pack_load, heavy, light, table->min_gain, l2_gain);
}

static void find_row_best(swap_table *table, size_t a) {
  const mb_swap *row = table->pair + a * table->n_packs;
  size_t best = a + 1;

  for (size_t b = a + 2; b < table->n_packs; b++) {
    best = is_preferred(row[b], row[best]) ? b : best;
  }
  table->row_best[a] = best;
}

static void search_row(swap_table *table, const mb_swap_lists *lists, const double *pack_load,
                       size_t a) {
  for (size_t b = a + 1; b < table->n_packs; b++) {
    search_pair(table, lists, pack_load, a, b);
  }
  find_row_best(table, a);
}

/* Pack b > a has changed: row a is looked through only where its best stood there. */
static void update_row(swap_table *table, const mb_swap_lists *lists, const double *pack_load,
                       size_t a, size_t b) {
  const mb_swap *row = table->pair + a * table->n_packs;

  search_pair(table, lists, pack_load, a, b);
  if (table->row_best[a] == b) {
    find_row_best(table, a);
  } else if (is_preferred(row[b], row[table->row_best[a]])) {
    table->row_best[a] = b;
  }
}

static void update_pack(swap_table *table, const mb_swap_lists *lists, const double *pack_load,
                        size_t pack) {
  for (size_t a = 0; a < pack; a++) {
    update_row(table, lists, pack_load, a, pack);
  }
  if (pack + 1 < table->n_packs) {
    search_row(table, lists, pack_load, pack);
  }
}

static mb_swap table_best(const swap_table *table) {
  mb_swap best = {table->min_gain, 0, 0};

  for (size_t a = 0; a + 1 < table->n_packs; a++) {
    mb_swap swap = table->pair[a * table->n_packs + table->row_best[a]];
    best = is_preferred(swap, best) ? swap : best;
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

static void refine(swap_table *table, mb_swap_lists *lists, mb_packing *packing,
                   const mb_balance_options *options) {
  bool unlimited = options->max_rounds == MB_ROUNDS_UNLIMITED;

  for (size_t a = 0; a + 1 < packing->n_packs; a++) {
    search_row(table, lists, packing->pack_load, a);
  }
  while (packing->rounds < options->max_rounds) {
    packing->rounds++;
    mb_swap swap = table_best(table);
    if (!mb_swap_found(swap)) {
      return;
    }
    size_t pack_i = (size_t)packing->pack_of[swap.i];
    size_t pack_j = (size_t)packing->pack_of[swap.j];
    if (!make_swap(lists, packing, swap, unlimited)) {
      return;
    }
    update_pack(table, lists, packing->pack_load, pack_i);
    update_pack(table, lists, packing->pack_load, pack_j);
  }
}

static mb_status l2_refine(mb_packing *packing, const mb_balance_options *options) {
  mb_swap_lists lists;
  swap_table table;

  if (options->max_rounds == 0) {
    return MB_OK;
  }
  MB_TRY(mb_swap_lists_init(&lists, packing));
  mb_status status = table_init(&table, packing->n_packs, options->min_gain);
  if (status == MB_OK) {
    refine(&table, &lists, packing, options);
    table_fini(&table);
  }
  mb_swap_lists_fini(&lists);
  return status;
}

const mb_refinement_type mb_refinement_l2 = {
    .name = "l2",
    .summary = "LPT, then swaps that lower the sum of squared GPU loads the most",
    .params = l2_params,
    .refine = l2_refine,
};
