/* tests/test_naive_twin.c - production against the twin that defines it, on random instances.
 *
 * An instance is made from its seed alone. A failure prints the seed; `test_naive_twin SEED` tries
 * that one alone.
 */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <inttypes.h>
#include <math.h>

#include "tests/balance.h"

enum { N_SMALL = 20000, N_LARGE = 60, N_REBALANCE = 3000 };
enum { ITEMS_MAX = 448, LARGE_SEED = 1000000, REBALANCE_SEED = 2000000 };

static unsigned long only_seed; /* from the command line; 0: all */

static size_t pick(gsl_rng *rng, size_t low, size_t high) {
  return low + gsl_rng_uniform_int(rng, high - low + 1);
}

static void fill_uniform(gsl_rng *rng, size_t n, double *weight) {
  for (size_t i = 0; i < n; i++) {
    weight[i] = 1000 * gsl_rng_uniform(rng);
  }
}

static void fill_lognormal(gsl_rng *rng, size_t n, double *weight) {
  for (size_t i = 0; i < n; i++) {
    weight[i] = gsl_ran_lognormal(rng, 5, 1.5);
  }
}

static void fill_zipf(gsl_rng *rng, size_t n, double *weight) {
  for (size_t i = 0; i < n; i++) {
    weight[i] = floor(100000.0 / (double)(i + 1));
  }
  gsl_ran_shuffle(rng, weight, n, sizeof *weight);
}

static void fill_small_integers(gsl_rng *rng, size_t n, double *weight) {
  size_t largest = pick(rng, 1, 20);
  for (size_t i = 0; i < n; i++) {
    weight[i] = (double)pick(rng, 0, largest);
  }
}

/* As replicas give them: thirds, sevenths, each several times. */
static void fill_duplicates(gsl_rng *rng, size_t n, double *weight) {
  for (size_t i = 0; i < n;) {
    size_t copies = pick(rng, 1, 7);
    double value = (double)pick(rng, 1, 5000) / (double)copies;
    for (; copies > 0 && i < n; copies--) {
      weight[i++] = value;
    }
  }
}

/* A few values, each with an error in its last bits: many gains round to the same double. */
static void fill_ulps(gsl_rng *rng, size_t n, double *weight) {
  double base[4];
  size_t n_bases = pick(rng, 1, 4);
  int exponent = (int)pick(rng, 0, 30);

  for (size_t b = 0; b < n_bases; b++) {
    base[b] = (double)pick(rng, 1, 12) + (double)pick(rng, 0, 1) * gsl_rng_uniform(rng);
  }
  for (size_t i = 0; i < n; i++) {
    double value = base[pick(rng, 0, n_bases - 1)];
    for (size_t step = pick(rng, 0, 5); step > 0; step--) {
      value = nextafter(value, 1e9);
    }
    weight[i] = ldexp(value, exponent);
  }
}

static void fill_zeros(gsl_rng *rng, size_t n, double *weight) {
  double share = gsl_rng_uniform(rng);
  for (size_t i = 0; i < n; i++) {
    weight[i] = gsl_rng_uniform(rng) < share ? 0 : (double)pick(rng, 1, 1000);
  }
}

static void fill_giant(gsl_rng *rng, size_t n, double *weight) {
  fill_small_integers(rng, n, weight);
  weight[pick(rng, 0, n - 1)] = 1e9;
}

/* Sums up to 2^60, where neither a load nor a gain is exact. */
static void fill_huge(gsl_rng *rng, size_t n, double *weight) {
  double largest = ldexp(0.999, 60) / (double)n;
  for (size_t i = 0; i < n; i++) {
    weight[i] = largest * gsl_rng_uniform(rng);
  }
}

typedef struct family {
  const char *name;
  void (*fill)(gsl_rng *rng, size_t n, double *weight);
} family;

static const family families[] = {
    {"uniform", fill_uniform},
    {"lognormal", fill_lognormal},
    {"zipf", fill_zipf},
    {"small integers", fill_small_integers},
    {"duplicates", fill_duplicates},
    {"ulps", fill_ulps},
    {"zeros", fill_zeros},
    {"giant", fill_giant},
    {"huge", fill_huge},
};
enum { N_FAMILIES = sizeof families / sizeof families[0] };

static mb_balance_options pick_options(gsl_rng *rng, bool unlimited) {
  const int64_t rounds[] = {0, 1, 50, MB_ROUNDS_UNLIMITED};
  const double gains[] = {1e-6, 1e-6, 0, 1, 100};

  return (mb_balance_options){.max_rounds = rounds[pick(rng, 0, unlimited ? 3 : 2)],
                              .min_gain = gains[pick(rng, 0, 4)],
                              .reference_quirks = pick(rng, 0, 1) == 1};
}

typedef struct packed {
  int32_t index[ITEMS_MAX], rank[ITEMS_MAX];
  double load[ITEMS_MAX];
  mb_pack_stats stats;
} packed;

static bool stats_equal(mb_pack_stats a, mb_pack_stats b) {
  return a.rounds == b.rounds && a.swaps == b.swaps;
}

static bool packed_equal(size_t n, size_t m, const packed *a, const packed *b) {
  return memcmp(a->index, b->index, n * sizeof *a->index) == 0 &&
         memcmp(a->rank, b->rank, n * sizeof *a->rank) == 0 &&
         memcmp(a->load, b->load, m * sizeof *a->load) == 0 && stats_equal(a->stats, b->stats);
}

static bool compare_packings(size_t n, size_t m, const double *weight, const char *refinement,
                             const mb_balance_options *options) {
  static packed results[2]; /* in the order of balancers */

  for (size_t x = 0; x < 2; x++) {
    packed *r = &results[x];
    if (balancers[x].pack(n, m, weight, refinement, options, r->index, r->rank, r->load,
                          &r->stats) != MB_OK) {
      (void)printf("\n    %s: %s", balancers[x].name, mb_error_message());
      return false;
    }
  }
  return packed_equal(n, m, &results[0], &results[1]);
}

/* The instance of that seed, by every refinement. */
static void try_packing(unsigned long seed) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  double weight[ITEMS_MAX];

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  gsl_rng_set(rng, seed);
  bool large = seed > LARGE_SEED;
  size_t m = large ? pick(rng, 8, 64) : pick(rng, 1, 9);
  size_t k = large ? pick(rng, 2, ITEMS_MAX / m) : pick(rng, m == 1 ? 2 : 1, 6);
  const family *kind = &families[pick(rng, 0, N_FAMILIES - 1)];
  kind->fill(rng, m * k, weight);
  mb_balance_options options = pick_options(rng, !large || m * k < 200);
  for (const mb_refinement_type *const *r = mb_refinements(); *r != NULL; r++) {
    bool same = compare_packings(m * k, m, weight, (*r)->name, &options);
    CU_ASSERT(same);
    if (!same) {
      (void)printf("\n    seed %lu: %s, %zu items (%s), %zu packs, max_rounds %" PRId64
                   ", min_gain %g\n",
                   seed, (*r)->name, m * k, kind->name, m, options.max_rounds, options.min_gain);
    }
  }
  gsl_rng_free(rng);
}

static void try_seeds(unsigned long first, unsigned long count, void (*try_one)(unsigned long)) {
  for (unsigned long seed = first; seed < first + count; seed++) {
    if (only_seed == 0 || only_seed == seed) {
      try_one(seed);
    }
  }
}

static void test_small_packings(void) {
  try_seeds(1, N_SMALL, try_packing);
}

static void test_large_packings(void) {
  try_seeds(LARGE_SEED + 1, N_LARGE, try_packing);
}

/* Groups and nodes that now and then don't fit each other, so that global mode has its share. */
static mb_shape pick_shape(gsl_rng *rng) {
  size_t n_nodes = pick(rng, 1, 4);
  size_t n_groups = pick(rng, 0, 3) == 0 ? pick(rng, 1, 8) : n_nodes * pick(rng, 1, 4);
  size_t n_gpus = n_nodes * pick(rng, 1, 4);
  size_t n_experts = n_groups * pick(rng, 1, 6);
  size_t least = (n_experts + n_gpus - 1) / n_gpus;

  return (mb_shape){.n_layers = pick(rng, 1, 3),
                    .n_experts = n_experts,
                    .n_slots = n_gpus * pick(rng, least, least + 4),
                    .n_groups = n_groups,
                    .n_nodes = n_nodes,
                    .n_gpus = n_gpus};
}

/* Half of the layers lose all load of a stretch of experts: lists without load, on some nodes. */
static void fill_layer(gsl_rng *rng, const family *kind, size_t n, double *load) {
  kind->fill(rng, n, load);
  for (size_t e = 0; e < n; e++) {
    load[e] = load[e] < 0x1p53 ? load[e] : 0x1p53;
  }
  if (pick(rng, 0, 1) == 1) {
    size_t first = pick(rng, 0, n - 1);
    memset(load + first, 0, pick(rng, 0, n - first) * sizeof *load);
  }
}

static void try_rebalance(unsigned long seed) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);

  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  gsl_rng_set(rng, seed);
  mb_shape s = pick_shape(rng);
  mb_balance_options options = pick_options(rng, true);
  const family *kind = &families[pick(rng, 0, N_FAMILIES - 1)];
  double *load = test_alloc(s.n_layers * s.n_experts, sizeof *load);
  for (size_t l = 0; l < s.n_layers; l++) {
    fill_layer(rng, kind, s.n_experts, load + l * s.n_experts);
  }
  for (const mb_refinement_type *const *r = mb_refinements(); *r != NULL; r++) {
    mb_placement a = placement_alloc(&s);
    mb_placement b = placement_alloc(&s);
    mb_pack_stats stats[2];
    CHECK_OK(production_rebalance(&s, load, (*r)->name, &options, &a, &stats[0]));
    CHECK_OK(mb_naive_rebalance(&s, load, (*r)->name, &options, &b, &stats[1]));
    bool same = placement_equal(&s, &a, &b) && stats_equal(stats[0], stats[1]);
    CU_ASSERT(same);
    if (!same) {
      (void)printf("\n    seed %lu: %s, L=%zu E=%zu P=%zu G=%zu N=%zu D=%zu (%s)\n", seed,
                   (*r)->name, s.n_layers, s.n_experts, s.n_slots, s.n_groups, s.n_nodes, s.n_gpus,
                   kind->name);
    }
    placement_free(&a);
    placement_free(&b);
  }
  free(load);
  gsl_rng_free(rng);
}

static void test_rebalance(void) {
  try_seeds(REBALANCE_SEED + 1, N_REBALANCE, try_rebalance);
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"small packings", test_small_packings},
                         {"large packings", test_large_packings},
                         {"rebalance", test_rebalance},
                         CU_TEST_INFO_NULL};

  (void)gsl_set_error_handler_off();
  only_seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  return run_suite("naive_twin", tests);
}
