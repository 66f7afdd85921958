/* tests/test_cuda_rebalance.c - the rebalance on a GPU against the twin that defines it, bit for
 * bit.
 *
 * Built twice: with the kernels in the emulator of cuda/host/, and for a real GPU. An instance is
 * made from its seed alone; a failure prints the seed, and `test_cuda_rebalance SEED` tries that
 * one alone. No library draws the numbers, so that MemorySanitizer sees all of it.
 */
#include <float.h>
#include <math.h>

#include "cuda/rebalance.h"
#include "tests/balance.h"
#include "tests/cuda_graph.h"

enum { N_INSTANCES = 600 };

static unsigned long only_seed; /* from the command line; 0: all */

/* Numbers from a seed: splitmix64 of S. Vigna. */
typedef struct dice {
  uint64_t state;
} dice;

static uint64_t dice_next(dice *d) {
  uint64_t z = d->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double uniform(dice *d) {
  return (double)(dice_next(d) >> 11) * 0x1p-53;
}

static size_t pick(dice *d, size_t low, size_t high) {
  return low + (size_t)(uniform(d) * (double)(high - low + 1));
}

static void fill_skewed(dice *d, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    load[e] = floor(exp(5 + 1.2 * (uniform(d) + uniform(d) + uniform(d) + uniform(d) - 2)));
  }
}

static void fill_small_integers(dice *d, size_t n, double *load) {
  size_t largest = pick(d, 1, 20);
  for (size_t e = 0; e < n; e++) {
    load[e] = (double)pick(d, 0, largest);
  }
}

/* A few values, each with an error in its last bits: many gains round to the same double. */
static void fill_ulps(dice *d, size_t n, double *load) {
  double base = (double)pick(d, 1, 12) + uniform(d);
  for (size_t e = 0; e < n; e++) {
    load[e] = base * (double)pick(d, 1, 3);
    for (size_t step = pick(d, 0, 5); step > 0; step--) {
      load[e] = nextafter(load[e], 1e9);
    }
  }
}

/* Zeros of both signs among the others, and whole stretches of them. */
static void fill_zeros(dice *d, size_t n, double *load) {
  double share = uniform(d);
  for (size_t e = 0; e < n; e++) {
    load[e] = uniform(d) < share ? (pick(d, 0, 1) == 1 ? -0.0 : 0.0) : (double)pick(d, 1, 1000);
  }
  if (pick(d, 0, 3) == 0) {
    memset(load, 0, (n + 1) / 2 * sizeof *load);
  }
}

static void fill_giant(dice *d, size_t n, double *load) {
  fill_small_integers(d, n, load);
  load[pick(d, 0, n - 1)] = 1e12;
}

/* A layer's sum up to 2^60, where neither a load nor a gain is exact. */
static void fill_huge(dice *d, size_t n, double *load) {
  double largest = fmin(0x1p53, 0.999 * 0x1p60 / (double)n);
  for (size_t e = 0; e < n; e++) {
    load[e] = largest * uniform(d);
  }
}

static void (*const fills[])(dice *, size_t, double *) = {
    fill_skewed, fill_small_integers, fill_ulps, fill_zeros, fill_giant, fill_huge};
enum { N_FILLS = sizeof fills / sizeof fills[0] };

/* Whatever has been refused is refused alike; what is placed is the same. */
static bool same_as_naive(const mb_shape *s, const double *load, const char *refinement,
                          const mb_balance_options *options) {
  mb_placement a = placement_alloc(s);
  mb_placement b = placement_alloc(s);
  mb_pack_stats taken[2] = {{-1, -1}, {-1, -1}};

  CHECK_OK(cuda_rebalance(s, load, refinement, options, &a, &taken[0]));
  CHECK_OK(mb_naive_rebalance(s, load, refinement, options, &b, &taken[1]));
  bool same = placement_equal(s, &a, &b) && taken[0].rounds == taken[1].rounds &&
              taken[0].swaps == taken[1].swaps;
  placement_free(&a);
  placement_free(&b);
  return same;
}

static void check_same(const mb_shape *s, const double *load, const mb_balance_options *options,
                       unsigned long seed) {
  for (const mb_refinement_type *const *r = mb_refinements(); *r != NULL; r++) {
    bool same = same_as_naive(s, load, (*r)->name, options);
    CU_ASSERT(same);
    if (!same) {
      (void)printf("\n    seed %lu: %s, L=%zu E=%zu P=%zu G=%zu N=%zu D=%zu, max_rounds %lld\n",
                   seed, (*r)->name, s->n_layers, s->n_experts, s->n_slots, s->n_groups, s->n_nodes,
                   s->n_gpus, (long long)options->max_rounds);
    }
  }
}

/* Groups and nodes that now and then don't fit each other, so that global mode has its share. */
static mb_shape pick_shape(dice *d) {
  size_t n_nodes = pick(d, 1, 3);
  size_t n_groups = pick(d, 0, 3) == 0 ? pick(d, 1, 8) : n_nodes * pick(d, 1, 4);
  size_t n_gpus = n_nodes * pick(d, 1, pick(d, 0, 3) == 0 ? 36 : 5);
  size_t n_experts = n_groups * pick(d, 1, 6);
  size_t least = (n_experts + n_gpus - 1) / n_gpus;

  return (mb_shape){.n_layers = pick(d, 1, 2),
                    .n_experts = n_experts,
                    .n_slots = n_gpus * pick(d, least, least + (n_gpus > 20 ? 1 : 4)),
                    .n_groups = n_groups,
                    .n_nodes = n_nodes,
                    .n_gpus = n_gpus};
}

static void try_instance(unsigned long seed) {
  dice d = {.state = seed};
  const int64_t rounds[] = {50, MB_ROUNDS_UNLIMITED, 1, 0};
  const double gains[] = {1e-6, 0, 100};
  mb_shape s = pick_shape(&d);
  mb_balance_options options = {.max_rounds = rounds[pick(&d, 0, 3)],
                                .min_gain = gains[pick(&d, 0, 2)],
                                .reference_quirks = pick(&d, 0, 1) == 1};
  double *load = test_alloc(s.n_layers * s.n_experts, sizeof *load);

  for (size_t l = 0; l < s.n_layers; l++) {
    fills[pick(&d, 0, N_FILLS - 1)](&d, s.n_experts, load + l * s.n_experts);
  }
  check_same(&s, load, &options, seed);
  free(load);
}

static void test_instances(void) {
  for (unsigned long seed = 1; seed <= N_INSTANCES; seed++) {
    if (only_seed == 0 || only_seed == seed) {
      try_instance(seed);
    }
  }
}

/* Rows of n items for m packs, nothing replicated: sizes about a warp's and a block's. */
static void test_sizes(void) {
  const size_t sizes[][2] = {{1, 1},   {31, 1},  {31, 31}, {32, 2},   {33, 3},   {33, 11},
                             {64, 64}, {66, 33}, {97, 1},  {128, 64}, {130, 65}, {514, 2}};

  for (size_t x = 0; x < sizeof sizes / sizeof sizes[0]; x++) {
    dice d = {.state = 1000 + x};
    size_t n = sizes[x][0];
    mb_shape s = packing_shape(n, sizes[x][1]);
    mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
    double *load = test_alloc(n, sizeof *load);
    options.max_rounds = n > 200 ? 4 : 50;
    fills[x % N_FILLS](&d, n, load);
    check_same(&s, load, &options, 1000 + x);
    free(load);
  }
}

/* So many GPUs that the table of swaps has no room: every round searches all pairs anew. */
static void test_without_table(void) {
  enum { GPUS = 240, ITEMS = 2 * GPUS };
  const mb_shape s = packing_shape(ITEMS, GPUS);
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  double load[ITEMS];
  dice d = {.state = 7};

  fill_skewed(&d, ITEMS, load);
  options.max_rounds = 3;
  CU_ASSERT(same_as_naive(&s, load, "l2", &options));
}

/* 48,640 bytes: more than a kernel has unasked, by its own 528 alone. */
static void test_near_48_kib(void) {
  enum { ITEMS = 1536 };
  const mb_shape s = packing_shape(ITEMS, ITEMS / 2);
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;
  double load[ITEMS];
  dice d = {.state = 9};

  fill_skewed(&d, ITEMS, load);
  options.max_rounds = 3;
  CU_ASSERT(same_as_naive(&s, load, "maxmin", &options));
}

static const mb_shape small = {
    .n_layers = 3, .n_experts = 4, .n_slots = 6, .n_groups = 2, .n_nodes = 2, .n_gpus = 2};
enum { SMALL_L = 3, SMALL_E = 4, SMALL_P = 6 };
enum { SMALL_LOADS = SMALL_L * SMALL_E, SMALL_SLOTS = SMALL_L * SMALL_P };

/* Of the maps, a caller may want the first alone. */
static void test_one_map(void) {
  const double load[SMALL_LOADS] = {4, 3, 2, 1, 0, 0, 0, 0, 9, 9, 9, 9};
  int32_t map[SMALL_SLOTS];
  mb_placement one = {.physical_to_logical_map = map};
  mb_placement all = placement_alloc(&small);

  CHECK_OK(mb_rebalance_cuda(&small, load, mb_refinement_find("l2"), NULL, &one));
  CHECK_OK(mb_naive_rebalance(&small, load, "l2", NULL, &all, NULL));
  CU_ASSERT_EQUAL(memcmp(map, all.physical_to_logical_map, sizeof map), 0);
  placement_free(&all);
}

/* The same words as on the CPU, and no output. */
static void check_refused(const double *load, const char *message) {
  int32_t map[SMALL_SLOTS];
  mb_placement one = {.physical_to_logical_map = map};

  memset(map, 0x77, sizeof map);
  CHECK_FAILS(mb_rebalance_cuda(&small, load, mb_refinement_find("l2"), NULL, &one), MB_ERR_RANGE,
              message);
  for (size_t x = 0; x < SMALL_SLOTS; x++) {
    CU_ASSERT_EQUAL(map[x], 0x77777777);
  }
}

static void test_bad_loads(void) {
  const double bad[] = {NAN, INFINITY, -INFINITY, -1, -DBL_TRUE_MIN, 0x1p53 + 2};

  for (size_t x = 0; x < sizeof bad / sizeof bad[0]; x++) {
    double load[SMALL_LOADS] = {0};
    load[7] = bad[x];
    load[9] = bad[x];
    check_refused(load, "load of layer 1, expert 3 is ");
  }
}

/* The sum's bound needs more experts than the bound of one load: 2^60 is fine, a bit more is not.
 */
static void test_sum(void) {
  enum { EXPERTS = 160 };
  const mb_shape s = packing_shape(EXPERTS, 8);
  double load[EXPERTS] = {0};
  int32_t map[EXPERTS];
  mb_placement one = {.physical_to_logical_map = map};

  for (size_t e = 0; e < 128; e++) {
    load[e] = 0x1p53;
  }
  CHECK_OK(mb_rebalance_cuda(&s, load, mb_refinement_find("lpt"), NULL, &one));
  load[150] = 1024;
  CHECK_FAILS(mb_rebalance_cuda(&s, load, mb_refinement_find("lpt"), NULL, &one), MB_ERR_RANGE,
              "loads of layer 0 sum to 1.15292e+18, but 2^60 is the most");
}

static void test_refusals(void) {
  const mb_refinement_type other = {.name = "other"};
  const mb_balance_options negative = {.max_rounds = -1};
  const double load[SMALL_LOADS] = {0};
  int32_t map[SMALL_SLOTS];
  mb_placement one = {.physical_to_logical_map = map};
  mb_shape wrong = small;
  mb_shape large = small;
  void *rebalancer = NULL;

  wrong.n_slots = 5;
  CHECK_FAILS(mb_backend_cuda.create(&wrong, &rebalancer), MB_ERR_SHAPE, "5");
  large.n_slots = 40000;
  CHECK_FAILS(mb_backend_cuda.create(&large, &rebalancer), MB_ERR_UNSUPPORTED,
              "20000 slots a node take ");
  large.n_experts = 70000;
  large.n_slots = 70000;
  CHECK_FAILS(mb_backend_cuda.create(&large, &rebalancer), MB_ERR_UNSUPPORTED,
              "70000 experts in 70000 slots are too many for the GPU");
  CU_ASSERT_PTR_NULL(rebalancer);
  CHECK_FAILS(mb_rebalance_cuda(&small, load, &other, NULL, &one), MB_ERR_UNSUPPORTED,
              "the GPU has no refinement 'other'; it has lpt, maxmin, l2; use backend cpu");
  CHECK_FAILS(mb_rebalance_cuda(&small, load, mb_refinement_find("l2"), &negative, &one),
              MB_ERR_PARAM, "max_rounds is -1");
}

/* One rebalancer, used again and again with other loads and refinements. */
static void test_reuse(void) {
  void *rebalancer = NULL;

  CHECK_OK(mb_backend_cuda.create(&small, &rebalancer));
  for (unsigned long seed = 1; seed <= 6; seed++) {
    dice d = {.state = seed};
    double load[SMALL_LOADS];
    const mb_refinement_type *refinement = mb_refinements()[seed % 3];
    mb_placement a = placement_alloc(&small);
    mb_placement b = placement_alloc(&small);
    fill_skewed(&d, SMALL_LOADS, load);
    CHECK_OK(mb_backend_cuda.rebalance(rebalancer, load, refinement, NULL, &a, NULL));
    CHECK_OK(mb_naive_rebalance(&small, load, refinement->name, NULL, &b, NULL));
    CU_ASSERT(placement_equal(&small, &a, &b));
    placement_free(&a);
    placement_free(&b);
  }
  mb_backend_cuda.destroy(rebalancer);
}

/* Captured once, the launch works on whatever loads are there; a layer out of range is reported. */
static void test_graph(void) {
  enum { RUNS = 3, BAD = 5 };
  double load[RUNS * SMALL_LOADS];
  int32_t map[RUNS * SMALL_SLOTS];
  mb_cuda_report report[RUNS * SMALL_L * 2];
  dice d = {.state = 11};

  fill_skewed(&d, (size_t)RUNS * SMALL_LOADS, load);
  load[2 * SMALL_LOADS + BAD] = NAN; /* in the last run, layer 1 */
  CU_ASSERT_EQUAL(cuda_graph_rebalance(&small, RUNS, load, map, report), 0);
  for (size_t x = 0; x < (size_t)RUNS * SMALL_L; x++) {
    mb_shape layer = small;
    mb_placement one = placement_alloc(&small);
    mb_pack_stats stats;
    bool is_bad = x == (size_t)(RUNS - 1) * SMALL_L + BAD / SMALL_E;
    layer.n_layers = 1;
    CHECK_OK(mb_naive_rebalance(&layer, load + x * SMALL_E, "l2", NULL, &one, &stats));
    for (size_t s = 0; s < SMALL_P; s++) {
      CU_ASSERT_EQUAL(map[x * SMALL_P + s], is_bad ? -1 : one.physical_to_logical_map[s]);
    }
    for (size_t node = 0; node < 2; node++) {
      CU_ASSERT_EQUAL(report[2 * x + node].bad_expert, is_bad ? BAD % SMALL_E : -1);
    }
    if (!is_bad) {
      CU_ASSERT_EQUAL(report[2 * x].rounds + report[2 * x + 1].rounds, stats.rounds);
      CU_ASSERT_EQUAL(report[2 * x].swaps + report[2 * x + 1].swaps, stats.swaps);
    }
    placement_free(&one);
  }
}

int main(int argc, char **argv) {
  CU_TestInfo tests[] = {{"instances", test_instances},
                         {"sizes", test_sizes},
                         {"without a table", test_without_table},
                         {"near 48 KiB", test_near_48_kib},
                         {"one map", test_one_map},
                         {"bad loads", test_bad_loads},
                         {"sums", test_sum},
                         {"refusals", test_refusals},
                         {"reuse", test_reuse},
                         {"graph", test_graph},
                         CU_TEST_INFO_NULL};
  mb_cuda_device device;

  if (mb_cuda_device_find(&device) != MB_OK) {
    (void)printf("%s\n", mb_error_message());
    return EXIT_FAILURE;
  }
  (void)printf("on %s\n", device.name);
  only_seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
  return run_suite("cuda_rebalance", tests);
}
