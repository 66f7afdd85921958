/* tests/test_conformance.c - what every refinement and every strategy has to keep to.
 *
 * Loops over the registries: a new one is tested by its line in strategies.def.
 */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <omp.h>

#include "balancer/planner.h"
#include "tests/balance.h"

static const unsigned long SEED = 20240601;

/* L, E, P, G, N, D */
static const mb_shape shapes[] = {
    {1, 1, 1, 1, 1, 1},          /* one of everything */
    {2, 1, 4, 1, 1, 4},          /* one expert, a copy on every GPU */
    {2, 8, 8, 1, 1, 1},          /* one GPU */
    {3, 8, 12, 2, 1, 1},         /* one GPU, with replicas */
    {3, 16, 16, 4, 2, 4},        /* P == E */
    {2, 8, 8, 8, 8, 8},          /* one slot a GPU, one group a node */
    {2, 12, 16, 1, 1, 16},       /* one slot a GPU, with replicas */
    {5, 64, 72, 8, 4, 8},        /* hierarchical */
    {2, 60, 66, 1, 2, 6},        /* global: one group cannot be split over two nodes */
    {2, 12, 36, 6, 3, 6},        /* more replicas than experts */
    {2, 1024, 1152, 8, 4, 64},   /* many experts */
    {1, 1024, 1024, 1, 1, 1024}, /* as many GPUs */
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static void fill_zipf(gsl_rng *rng, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    load[e] = floor(1e6 / (double)(e + 1));
  }
  gsl_ran_shuffle(rng, load, n, sizeof *load);
}

static void fill_lognormal(gsl_rng *rng, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    load[e] = floor(gsl_ran_lognormal(rng, 6, 1));
  }
}

static void fill_ties(gsl_rng *rng, size_t n, double *load) {
  for (size_t e = 0; e < n; e++) {
    load[e] = (double)gsl_rng_uniform_int(rng, 4);
  }
}

static void fill_one_hot(gsl_rng *rng, size_t n, double *load) {
  memset(load, 0, n * sizeof *load);
  load[gsl_rng_uniform_int(rng, n)] = 0x1p53;
}

static void fill_zero(gsl_rng *rng, size_t n, double *load) {
  (void)rng;
  memset(load, 0, n * sizeof *load);
}

/* Whole numbers, so that sums of them are exact. */
typedef void fill_function(gsl_rng *rng, size_t n, double *load);
static fill_function *const fills[] = {fill_zipf, fill_lognormal, fill_ties, fill_one_hot,
                                       fill_zero};
enum { N_FILLS = sizeof fills / sizeof fills[0] };

/* Loads of all layers [L,E], times `scale`; the same for the same x and fill. To be freed. */
static double *make_load(const mb_shape *s, size_t fill, double scale) {
  gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
  CU_ASSERT_PTR_NOT_NULL_FATAL(rng);
  double *load = test_alloc(s->n_layers * s->n_experts, sizeof *load);

  gsl_rng_set(rng, SEED + fill);
  for (size_t l = 0; l < s->n_layers; l++) {
    fills[fill](rng, s->n_experts, load + l * s->n_experts);
  }
  for (size_t x = 0; x < s->n_layers * s->n_experts; x++) {
    load[x] *= scale;
  }
  gsl_rng_free(rng);
  return load;
}

static void report(bool good, const char *name, const mb_shape *s, size_t fill) {
  CU_ASSERT(good);
  if (!good) {
    (void)printf("\n    %s: L=%zu E=%zu P=%zu G=%zu N=%zu D=%zu, loads %zu, seed %lu\n", name,
                 s->n_layers, s->n_experts, s->n_slots, s->n_groups, s->n_nodes, s->n_gpus, fill,
                 SEED);
  }
}

/* One layer: every expert placed as often as counted, and the maps inverse of each other. */
static bool layer_is_sound(const mb_shape *s, const int32_t *map, const int32_t *back,
                           const int32_t *count) {
  size_t width = mb_shape_max_replicas(s);
  size_t total = 0;

  for (size_t p = 0; p < s->n_slots; p++) {
    if (map[p] < 0 || (size_t)map[p] >= s->n_experts) {
      return false;
    }
  }
  for (size_t e = 0; e < s->n_experts; e++) {
    if (count[e] < 1 || (size_t)count[e] > width) {
      return false;
    }
    for (size_t r = 0; r < width; r++) {
      int32_t slot = back[e * width + r];
      bool used = r < (size_t)count[e];
      if (used ? (slot < 0 || (size_t)slot >= s->n_slots || map[slot] != (int32_t)e) : slot != -1) {
        return false;
      }
      for (size_t q = 0; used && q < r; q++) {
        if (back[e * width + q] == slot) {
          return false;
        }
      }
    }
    total += (size_t)count[e];
  }
  return total == s->n_slots;
}

/* Every group's experts on one node, where hierarchical. */
static bool groups_stay_together(const mb_shape *s, const int32_t *map) {
  size_t node_slots = s->n_slots / s->n_nodes;
  size_t group_size = s->n_experts / s->n_groups;
  bool together = true;
  size_t *node_of = test_alloc(s->n_groups, sizeof *node_of);

  for (size_t p = 0; p < s->n_slots && mb_shape_is_hierarchical(s); p++) {
    size_t *node = &node_of[(size_t)map[p] / group_size];
    together = together && (*node == 0 || *node == p / node_slots + 1);
    *node = p / node_slots + 1;
  }
  free(node_of);
  return together;
}

static bool placement_is_sound(const mb_shape *s, const mb_placement *placement) {
  size_t back_size = s->n_experts * mb_shape_max_replicas(s);

  for (size_t l = 0; l < s->n_layers; l++) {
    const int32_t *map = placement->physical_to_logical_map + l * s->n_slots;
    if (!layer_is_sound(s, map, placement->logical_to_physical_map + l * back_size,
                        placement->expert_count + l * s->n_experts) ||
        !groups_stay_together(s, map)) {
      return false;
    }
  }
  return true;
}

/* Runs `check` for every refinement, shape and kind of load. */
static void for_each_instance(void (*check)(const mb_refinement_type *refinement,
                                            const mb_shape *shape, size_t fill)) {
  for (const mb_refinement_type *const *r = mb_refinements(); *r != NULL; r++) {
    for (size_t x = 0; x < N_SHAPES; x++) {
      for (size_t fill = 0; fill < N_FILLS; fill++) {
        check(*r, &shapes[x], fill);
      }
    }
  }
}

static void check_sound(const mb_refinement_type *refinement, const mb_shape *s, size_t fill) {
  double *load = make_load(s, fill, 1);
  mb_placement all = placement_alloc(s);
  mb_placement map_only = placement_alloc(s);
  int32_t *back = map_only.logical_to_physical_map;
  int32_t *count = map_only.expert_count;

  CHECK_OK(mb_rebalance(s, load, refinement, NULL, &all));
  report(placement_is_sound(s, &all), refinement->name, s, fill);
  map_only.logical_to_physical_map = NULL;
  map_only.expert_count = NULL;
  CHECK_OK(mb_rebalance(s, load, refinement, NULL, &map_only));
  report(memcmp(map_only.physical_to_logical_map, all.physical_to_logical_map,
                s->n_layers * s->n_slots * sizeof(int32_t)) == 0,
         refinement->name, s, fill);
  map_only.logical_to_physical_map = back;
  map_only.expert_count = count;
  placement_free(&all);
  placement_free(&map_only);
  free(load);
}

static void test_sound(void) {
  for_each_instance(check_sound);
}

static void check_threads(const mb_refinement_type *refinement, const mb_shape *s, size_t fill) {
  const int n_threads[] = {1, 2, 5};
  double *load = make_load(s, fill, 1);
  mb_placement first = placement_alloc(s);
  int n_before = omp_get_max_threads();

  CHECK_OK(mb_rebalance(s, load, refinement, NULL, &first));
  for (size_t x = 0; x < sizeof n_threads / sizeof n_threads[0]; x++) {
    mb_placement again = placement_alloc(s);
    omp_set_num_threads(n_threads[x]);
    CHECK_OK(mb_rebalance(s, load, refinement, NULL, &again));
    report(placement_equal(s, &first, &again), refinement->name, s, fill);
    placement_free(&again);
  }
  omp_set_num_threads(n_before);
  placement_free(&first);
  free(load);
}

static void test_threads(void) {
  for_each_instance(check_threads);
}

/* The power of the load that the refinement's gain is in, by its unit; 0: it has no gain. */
static int gain_power(const mb_refinement_type *refinement) {
  const mb_param *param = mb_param_find(refinement->params, "min_gain");

  if (param == NULL) {
    return 0;
  }
  return strcmp(param->unit, "tokens^2") == 0 ? 2 : 1;
}

/* Doubles scale by powers of two exactly, so every decision has to stay the same. */
static void check_scaling(const mb_refinement_type *refinement, const mb_shape *s, size_t fill) {
  const int exponents[] = {-20, -1, 7};
  mb_placement first = placement_alloc(s);
  double *load = make_load(s, fill, 0x1p-7);
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  options.min_gain = 0.01;
  CHECK_OK(mb_rebalance(s, load, refinement, &options, &first));
  free(load);
  for (size_t x = 0; x < sizeof exponents / sizeof exponents[0]; x++) {
    mb_placement scaled = placement_alloc(s);
    load = make_load(s, fill, ldexp(0x1p-7, exponents[x]));
    options.min_gain = ldexp(0.01, exponents[x] * gain_power(refinement));
    CHECK_OK(mb_rebalance(s, load, refinement, &options, &scaled));
    report(placement_equal(s, &first, &scaled), refinement->name, s, fill);
    placement_free(&scaled);
    free(load);
  }
  placement_free(&first);
}

static void test_scaling(void) {
  for_each_instance(check_scaling);
}

/* What the refinement lowers, by the unit of its gain: the heaviest load, or the sum of squares. */
static double objective(int power, size_t m, const double *pack_load) {
  double largest = 0;
  double squares = 0;

  for (size_t a = 0; a < m; a++) {
    largest = pack_load[a] > largest ? pack_load[a] : largest;
    squares += pack_load[a] * pack_load[a];
  }
  return power == 2 ? squares : largest;
}

/* Whole numbers whose sum of squares is below 2^53: both objectives are exact. */
static void check_refined(const mb_refinement_type *refinement, size_t m, size_t k, size_t fill) {
  const int power = gain_power(refinement);
  mb_shape s = {1, m * k, m * k, 1, 1, m};
  double *weight = make_load(&s, fill, fills[fill] == fill_one_hot ? 0x1p-40 : 1);
  int32_t *index = test_alloc(2 * m * k, sizeof *index);
  double *lpt = test_alloc(2 * m, sizeof *lpt);
  double *refined = lpt + m;

  CHECK_OK(
      mb_pack(m * k, m, weight, mb_refinement_find("lpt"), NULL, index, index + m * k, lpt, NULL));
  CHECK_OK(mb_pack(m * k, m, weight, refinement, NULL, index, index + m * k, refined, NULL));
  report(objective(power, m, refined) <= objective(power, m, lpt), refinement->name, &s, fill);
  free(weight);
  free(index);
  free(lpt);
}

static void test_refined(void) {
  for (const mb_refinement_type *const *r = mb_refinements(); *r != NULL; r++) {
    for (size_t fill = 0; fill < N_FILLS && gain_power(*r) > 0; fill++) {
      for (size_t m = 1; m <= 32; m *= 2) {
        for (size_t k = 1; k <= 16; k += 3) {
          check_refined(*r, m, k, fill);
        }
      }
    }
  }
}

/* A strategy's plan over a window cut into the slices that it wants; false if it failed. */
static bool make_plan(const mb_strategy *strategy, const mb_shape *s, const double *load,
                      bool *replaced, int32_t *map) {
  size_t n = s->n_layers * s->n_experts;
  mb_planner *planner = NULL;

  CHECK_OK(mb_planner_create(strategy, s, NULL, NULL, &planner));
  if (planner == NULL) {
    return false;
  }
  size_t n_slices = mb_planner_n_slices(planner);
  double *slices = test_alloc(n_slices * n, sizeof *slices);
  int32_t *linear = test_alloc(s->n_layers * s->n_slots, sizeof *linear);
  double *imbalance = test_alloc(s->n_layers, sizeof *imbalance);
  memcpy(slices + (n_slices - 1) * n, load, n * sizeof *load);
  for (size_t l = 0; l < s->n_layers; l++) {
    mb_placement_linear(s, linear + l * s->n_slots);
    imbalance[l] = 2;
  }
  mb_plan_input input = {.shape = *s,
                         .step = 100,
                         .n_window_steps = 100,
                         .n_slices = n_slices,
                         .load = slices,
                         .physical_to_logical_map = linear,
                         .imbalance = imbalance};
  mb_plan_output output = {replaced, map};
  mb_status status = mb_planner_plan(planner, &input, &output);
  CHECK_OK(status);
  mb_planner_destroy(planner);
  free(slices);
  free(linear);
  free(imbalance);
  return status == MB_OK;
}

/* Every expert placed, and groups on one node where the planner says that it keeps them there. */
static bool plan_is_sound(const mb_strategy *strategy, const mb_shape *s, const bool *replaced,
                          const int32_t *map) {
  int32_t *count = test_alloc(s->n_experts, sizeof *count);
  bool sound = true;

  for (size_t l = 0; l < s->n_layers; l++) {
    const int32_t *row = map + l * s->n_slots;
    sound = sound &&
            (!replaced[l] || (mb_placement_count(s, row, count) == MB_OK &&
                              (!strategy->planner->keeps_groups || groups_stay_together(s, row))));
  }
  free(count);
  return sound;
}

/* Sound, and the same whatever the number of threads. */
static void check_strategy(const mb_strategy *strategy, const mb_shape *s, size_t fill) {
  size_t n_map = s->n_layers * s->n_slots;
  double *load = make_load(s, fill, 1);
  bool *replaced = test_alloc(2 * s->n_layers, sizeof *replaced);
  int32_t *map = test_alloc(2 * n_map, sizeof *map);
  int n_before = omp_get_max_threads();

  omp_set_num_threads(1);
  bool planned = make_plan(strategy, s, load, replaced, map);
  omp_set_num_threads(3);
  planned = planned && make_plan(strategy, s, load, replaced + s->n_layers, map + n_map);
  omp_set_num_threads(n_before);
  report(planned && plan_is_sound(strategy, s, replaced, map), strategy->name, s, fill);
  bool same = memcmp(replaced, replaced + s->n_layers, s->n_layers * sizeof *replaced) == 0;
  for (size_t l = 0; l < s->n_layers && same; l++) {
    size_t row = l * s->n_slots;
    same = !replaced[l] || memcmp(map + row, map + n_map + row, s->n_slots * sizeof *map) == 0;
  }
  report(same, strategy->name, s, fill);
  free(load);
  free(replaced);
  free(map);
}

static void test_strategies(void) {
  size_t n_strategies = 0;

  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    n_strategies++;
    CU_ASSERT_PTR_EQUAL(mb_strategy_find(strategy->name), strategy);
    for (size_t x = 0; x < N_SHAPES; x++) {
      for (size_t fill = 0; fill < N_FILLS; fill++) {
        check_strategy(strategy, &shapes[x], fill);
      }
    }
  }
  CU_ASSERT(n_strategies >= 4);
}

/* Each precondition is refused, both numbers named, and the maps stay as they were. */
static void test_refused(void) {
  const struct {
    mb_shape shape;
    double load; /* of every expert */
    mb_status status;
    const char *first, *second;
  } wrong[] = {
      {{1, 8, 6, 1, 1, 2}, 1, MB_ERR_SHAPE, "6", "8"},
      {{1, 8, 10, 1, 1, 4}, 1, MB_ERR_SHAPE, "10", "4"},
      {{1, 8, 12, 1, 4, 6}, 1, MB_ERR_SHAPE, "6", "4"},
      {{1, 8, 8, 3, 1, 2}, 1, MB_ERR_SHAPE, "8", "3"},
      {{1, 8, 8, 1, 1, 2}, -1, MB_ERR_RANGE, "layer 0", "-1"},
      {{1, 8, 8, 1, 1, 2}, NAN, MB_ERR_RANGE, "expert 0", "nan"},
      {{1, 8, 8, 1, 1, 2}, INFINITY, MB_ERR_RANGE, "expert 0", "inf"},
      {{1, 8, 8, 1, 1, 2}, 0x1.8p53, MB_ERR_RANGE, "expert 0", "2^53"},
      {{1, 256, 256, 1, 1, 2}, 0x1p53, MB_ERR_RANGE, "layer 0", "2^60"},
  };

  for (size_t x = 0; x < sizeof wrong / sizeof wrong[0]; x++) {
    int32_t map[256];
    double load[256];
    mb_placement placement = {map, NULL, NULL};
    for (size_t e = 0; e < 256; e++) {
      map[e] = -7;
      load[e] = wrong[x].load;
    }
    CHECK_FAILS(mb_rebalance(&wrong[x].shape, load, mb_refinement_find("l2"), NULL, &placement),
                wrong[x].status, wrong[x].first);
    CU_ASSERT_PTR_NOT_NULL(strstr(mb_error_message(), wrong[x].second));
    for (size_t p = 0; p < 256; p++) {
      CU_ASSERT_EQUAL(map[p], -7);
    }
  }
}

static void test_pack_refused(void) {
  const mb_refinement_type *l2 = mb_refinement_find("l2");
  double weight[4] = {1, 2, 3, 4};
  int32_t index[4];
  int32_t rank[4];
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  CHECK_FAILS(mb_pack(4, 3, weight, l2, NULL, index, rank, NULL, NULL), MB_ERR_SHAPE, "4 items");
  CHECK_FAILS(mb_pack(0, 1, weight, l2, NULL, index, rank, NULL, NULL), MB_ERR_SHAPE, "0 items");
  CHECK_FAILS(mb_pack(4, 0, weight, l2, NULL, index, rank, NULL, NULL), MB_ERR_SHAPE, "0 packs");
  options.max_rounds = -1;
  CHECK_FAILS(mb_pack(4, 2, weight, l2, &options, index, rank, NULL, NULL), MB_ERR_PARAM, "-1");
  options = (mb_balance_options){50, -0.5, false};
  CHECK_FAILS(mb_pack(4, 2, weight, l2, &options, index, rank, NULL, NULL), MB_ERR_PARAM, "-0.5");
  weight[2] = -3;
  CHECK_FAILS(mb_pack(4, 2, weight, l2, NULL, index, rank, NULL, NULL), MB_ERR_RANGE, "item 2");
  weight[2] = 0x1.1p60;
  CHECK_FAILS(mb_pack(4, 2, weight, l2, NULL, index, rank, NULL, NULL), MB_ERR_RANGE, "2^60");
  CU_ASSERT_PTR_NULL(mb_refinement_find("no such"));
  CU_ASSERT_PTR_NULL(mb_strategy_find("no such"));
}

int main(void) {
  CU_TestInfo tests[] = {
      {"every expert placed, maps inverse, groups together", test_sound},
      {"the same for any number of threads", test_threads},
      {"scaling loads and min_gain by powers of two changes nothing", test_scaling},
      {"a refinement never worsens what it refines", test_refined},
      {"every strategy's plan is sound and deterministic", test_strategies},
      {"bad shapes and loads are refused", test_refused},
      {"bad items and options are refused", test_pack_refused},
      CU_TEST_INFO_NULL};

  (void)gsl_set_error_handler_off();
  return run_suite("conformance", tests);
}
