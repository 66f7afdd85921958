/* balancer/maxmin.c - swaps that relieve the heaviest pack.
 *
 *   A = the heaviest pack; over i in A, j in another pack B with d = w_i - w_j > 0:
 *   gain = min(d, (S_A - S_B) - d): what A loses, or what it stays above B, whichever is less
 *
 * The best swap is made while it gains more than min_gain, at most max_rounds times.
 * Complexity: O(n) a round, by the search of balancer/swap.h over the pairs that A is in.
 */
#include "balancer/gain.h"
#include "balancer/options.h"
#include "balancer/pack.h"
#include "balancer/swap.h"

static const mb_param maxmin_params[] = {
    MB_OPTION_MAX_ROUNDS, MB_OPTION_MIN_GAIN("tokens"), MB_OPTION_REFERENCE_QUIRKS, {0}};

static size_t find_heaviest(size_t n_packs, const double *pack_load) {
  size_t heaviest = 0;

  for (size_t pack = 1; pack < n_packs; pack++) {
    if (pack_load[pack] > pack_load[heaviest]) {
      heaviest = pack;
    }
  }
  return heaviest;
}

static mb_swap find_swap(const mb_swap_lists *lists, const double *pack_load, double min_gain,
                         double *bound) {
  const size_t heaviest = find_heaviest(lists->n_packs, pack_load);
  mb_swap best = {min_gain, 0, 0};

  mb_swap_bounds(lists, pack_load, heaviest, bound, mb_gain_maxmin);
  for (size_t pack = 0; pack < lists->n_packs; pack++) {
    if (bound[pack] >= mb_swap_floor(best.gain)) {
      (void)mb_swap_search(lists, pack_load, heaviest, pack, min_gain, &best, mb_gain_maxmin);
    }
  }
  return best;
}

/* Makes the swap; with unlimited rounds only if the loads do become smaller. The packings then
   visited are all different, and they are finitely many: it ends. */
static bool make_swap(mb_swap_lists *lists, mb_packing *packing, mb_swap swap, bool unlimited) {
  const double *load = packing->pack_load;
  int32_t a = packing->pack_of[swap.i];
  int32_t b = packing->pack_of[swap.j];
  double before_a = load[a];
  double before_b = load[b];

  mb_swap_make(lists, packing, swap.i, swap.j);
  if (unlimited && !mb_loads_are_smaller(load[a], load[b], before_a, before_b)) {
    mb_swap_make(lists, packing, swap.i, swap.j);
    return false;
  }
  packing->swaps++;
  return true;
}

static size_t maxmin_scratch_size(size_t n_items, size_t n_packs) {
  return n_packs * sizeof(double) + mb_swap_lists_size(n_items, n_packs);
}

static void maxmin_refine(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  bool unlimited = options->max_rounds == MB_ROUNDS_UNLIMITED;
  double *bound = scratch;
  mb_swap_lists lists;

  mb_swap_lists_init(&lists, packing, bound + packing->n_packs);
  while (packing->rounds < options->max_rounds) {
    packing->rounds++;
    mb_swap swap = find_swap(&lists, packing->pack_load, options->min_gain, bound);
    if (!mb_swap_found(swap) || !make_swap(&lists, packing, swap, unlimited)) {
      return;
    }
  }
}

const mb_refinement_type mb_refinement_maxmin = {
    .name = "maxmin",
    .summary = "LPT, then swaps that relieve the heaviest GPU the most",
    .params = maxmin_params,
    .scratch_size = maxmin_scratch_size,
    .refine = maxmin_refine,
};
