/* tests/test_refusals.c - every input that the balancer refuses, with its message; outputs stay. */
#include <math.h>
#include <omp.h>
#include <stdint.h>

#include "tests/balance.h"

static const double TWO_53 = 9007199254740992.0;

/* mb_pack() of at most 8 items, refused: status, message, and no output written. */
static void check_pack(size_t n_items, size_t n_packs, const double *weight,
                       const mb_refinement_type *refinement, const mb_balance_options *options,
                       mb_status status, const char *message) {
  int32_t index[8];
  int32_t rank[8];
  double load[8];
  mb_pack_stats stats = {-7, -7};

  for (size_t i = 0; i < 8; i++) {
    index[i] = rank[i] = -7;
    load[i] = -7;
  }
  CHECK_FAILS(mb_pack(n_items, n_packs, weight, refinement, options, index, rank, load, &stats),
              status, message);
  for (size_t i = 0; i < 8; i++) {
    CU_ASSERT(index[i] == -7 && rank[i] == -7 && load[i] == -7);
  }
  CU_ASSERT(stats.rounds == -7 && stats.swaps == -7);
}

static void test_pack_shape(void) {
  const double weight[8] = {0};
  const mb_refinement_type *l2 = mb_refinement_find("l2");

  check_pack(0, 1, weight, l2, NULL, MB_ERR_SHAPE,
             "0 items into 1 packs, but both have to be at least 1");
  check_pack(4, 0, weight, l2, NULL, MB_ERR_SHAPE,
             "4 items into 0 packs, but both have to be at least 1");
  check_pack((size_t)INT32_MAX + 1, 2, weight, l2, NULL, MB_ERR_SHAPE, "at most 2147483647");
  check_pack(8, 3, weight, l2, NULL, MB_ERR_SHAPE, "8 items do not divide evenly over 3 packs");
  check_pack(4, 8, weight, l2, NULL, MB_ERR_SHAPE, "4 items do not divide evenly over 8 packs");
}

static void check_weight(double wrong, const char *message) {
  const double weight[4] = {1, 2, wrong, 4};

  for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
    check_pack(4, 2, weight, *type, NULL, MB_ERR_RANGE, message);
    check_pack(4, 4, weight, *type, NULL, MB_ERR_RANGE, message);
  }
}

static void test_pack_weight(void) {
  const double most[4] = {0x1p59, 0x1p58, 0x1p57, 0x1p57};
  const double more[4] = {0x1p59, 0x1p58, 0x1p58, 1024};
  int32_t index[4];
  int32_t rank[4];

  check_weight(-1, "item 2 weighs -1, but weights have to be finite and 0 or more");
  check_weight(-0x1p-1074, "item 2 weighs -4.94066e-324, but");
  check_weight(NAN, "item 2 weighs nan, but weights have to be finite and 0 or more");
  check_weight(INFINITY, "item 2 weighs inf, but weights have to be finite and 0 or more");
  check_weight(-INFINITY, "item 2 weighs -inf, but weights have to be finite and 0 or more");
  CHECK_OK(mb_pack(4, 2, most, mb_refinement_find("l2"), NULL, index, rank, NULL, NULL));
  check_pack(4, 2, more, mb_refinement_find("l2"), NULL, MB_ERR_RANGE,
             "items 0 to 3 weigh 1.15292e+18 together, but 2^60 is the most");
}

/* Options that mb_pack() and mb_rebalance() refuse alike. */
typedef struct wrong_options {
  mb_balance_options options;
  const char *message;
} wrong_options;

static const wrong_options options_refused[] = {
    {{-1, 1e-6, false}, "max_rounds is -1, but has to be 0 or more"},
    {{INT64_MIN, 1e-6, false}, "max_rounds is -9223372036854775808, but has to be 0 or more"},
    {{50, -1e-9, false}, "min_gain is -1e-09, but has to be finite and 0 or more"},
    {{50, NAN, false}, "min_gain is nan, but has to be finite and 0 or more"},
    {{50, INFINITY, false}, "min_gain is inf, but has to be finite and 0 or more"},
};
enum { N_OPTIONS_REFUSED = sizeof options_refused / sizeof options_refused[0] };

static void test_pack_options(void) {
  const double weight[4] = {1, 2, 3, 4};

  for (size_t x = 0; x < N_OPTIONS_REFUSED; x++) {
    for (const mb_refinement_type *const *type = mb_refinements(); *type != NULL; type++) {
      check_pack(4, 2, weight, *type, &options_refused[x].options, MB_ERR_PARAM,
                 options_refused[x].message);
    }
  }
}

static const mb_shape good_shape = {
    .n_layers = 2, .n_experts = 6, .n_slots = 8, .n_groups = 2, .n_nodes = 2, .n_gpus = 4};

static void check_shape(mb_shape shape, const char *message) {
  const double load[12] = {0};
  int32_t untouched[2 * 8 + 12 * 3];
  mb_placement placement = {untouched, untouched + 16, untouched + 16 + 12};

  memset(untouched, 0x55, sizeof untouched);
  CHECK_FAILS(mb_shape_check(&shape), MB_ERR_SHAPE, message);
  CHECK_FAILS(mb_rebalance(&shape, load, mb_refinement_find("l2"), NULL, &placement), MB_ERR_SHAPE,
              message);
  for (size_t x = 0; x < sizeof untouched / sizeof untouched[0]; x++) {
    CU_ASSERT_EQUAL(untouched[x], 0x55555555);
  }
}

static void test_sizes(void) {
  const struct {
    size_t offset;
    const char *what;
  } sizes[] = {{offsetof(mb_shape, n_layers), "layers"}, {offsetof(mb_shape, n_experts), "experts"},
               {offsetof(mb_shape, n_slots), "slots"},   {offsetof(mb_shape, n_groups), "groups"},
               {offsetof(mb_shape, n_nodes), "nodes"},   {offsetof(mb_shape, n_gpus), "GPUs"}};
  const size_t wrong[] = {0, ((size_t)1 << 20) + 1, SIZE_MAX};

  CHECK_OK(mb_shape_check(&good_shape));
  for (size_t x = 0; x < sizeof sizes / sizeof sizes[0]; x++) {
    for (size_t y = 0; y < sizeof wrong / sizeof wrong[0]; y++) {
      mb_shape shape = good_shape;
      char message[128];
      memcpy((char *)&shape + sizes[x].offset, &wrong[y], sizeof wrong[y]);
      (void)snprintf(message, sizeof message,
                     "the number of %s is %zu, but has to be from 1 to 1048576", sizes[x].what,
                     wrong[y]);
      check_shape(shape, message);
    }
  }
}

static void test_shapes(void) {
  mb_shape s = good_shape;

  s.n_slots = 4;
  check_shape(s, "4 slots cannot hold 6 experts: every expert needs a slot");
  s = good_shape;
  s.n_slots = 10;
  check_shape(s, "10 slots do not divide evenly over 4 GPUs");
  s = good_shape;
  s.n_nodes = 3;
  check_shape(s, "4 GPUs do not divide evenly over 3 nodes");
  /* In global mode too, where the nodes play no part in the answer. */
  s.n_groups = 1;
  CU_ASSERT(!mb_shape_is_hierarchical(&s));
  check_shape(s, "4 GPUs do not divide evenly over 3 nodes");
  s = good_shape;
  s.n_groups = 4;
  check_shape(s, "6 experts do not divide evenly over 4 groups");
}

/* mb_rebalance() refused, for any number of threads: the same status and message, no output. */
static void check_rebalance(const mb_shape *s, const double *load,
                            const mb_refinement_type *refinement, const mb_balance_options *options,
                            mb_status status, const char *message) {
  int n_threads = omp_get_max_threads();

  for (int n = 1; n <= 4; n++) {
    mb_placement placement = placement_alloc(s);
    mb_placement untouched = placement_alloc(s);
    omp_set_num_threads(n);
    CHECK_FAILS(mb_rebalance(s, load, refinement, options, &placement), status, message);
    CU_ASSERT(placement_equal(s, &placement, &untouched));
    placement_free(&placement);
    placement_free(&untouched);
  }
  omp_set_num_threads(n_threads);
}

static void test_rebalance_load(void) {
  const struct {
    double value;
    const char *text;
  } wrong[] = {{-1, "-1"}, {NAN, "nan"}, {INFINITY, "inf"}, {TWO_53 + 2, "9.0072e+15"}};

  for (size_t x = 0; x < sizeof wrong / sizeof wrong[0]; x++) {
    double load[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    char message[128];
    load[9] = wrong[x].value;
    (void)snprintf(message, sizeof message,
                   "load of layer 1, expert 3 is %s, but has to be finite and in [0, 2^53]",
                   wrong[x].text);
    check_rebalance(&good_shape, load, mb_refinement_find("maxmin"), NULL, MB_ERR_RANGE, message);
    load[11] = -3;
    check_rebalance(&good_shape, load, mb_refinement_find("maxmin"), NULL, MB_ERR_RANGE, message);
  }
}

static void test_rebalance_sum(void) {
  mb_shape s = {
      .n_layers = 2, .n_experts = 129, .n_slots = 129, .n_groups = 1, .n_nodes = 1, .n_gpus = 3};
  double *load = test_alloc(s.n_layers * s.n_experts, sizeof *load);
  mb_placement placement = placement_alloc(&s);

  for (size_t e = 0; e < 128; e++) {
    load[129 + e] = TWO_53;
  }
  CHECK_OK(mb_rebalance(&s, load, mb_refinement_find("l2"), NULL, &placement));
  load[129 + 128] = 1024;
  check_rebalance(&s, load, mb_refinement_find("l2"), NULL, MB_ERR_RANGE,
                  "loads of layer 1 sum to 1.15292e+18, but 2^60 is the most");
  placement_free(&placement);
  free(load);
}

static void test_rebalance_options(void) {
  const double load[12] = {0};

  for (size_t x = 0; x < N_OPTIONS_REFUSED; x++) {
    check_rebalance(&good_shape, load, mb_refinement_find("lpt"), &options_refused[x].options,
                    MB_ERR_PARAM, options_refused[x].message);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"mb_pack: shapes", test_pack_shape},
                         {"mb_pack: weights", test_pack_weight},
                         {"mb_pack: options", test_pack_options},
                         {"shapes: sizes", test_sizes},
                         {"shapes: sizes that do not fit each other", test_shapes},
                         {"mb_rebalance: loads", test_rebalance_load},
                         {"mb_rebalance: a layer's sum", test_rebalance_sum},
                         {"mb_rebalance: options", test_rebalance_options},
                         CU_TEST_INFO_NULL};
  return run_suite("refusals", tests);
}
