/* tests/test_bench.c - what `moebal bench` computes; how long anything takes is not looked at. */
#include <jansson.h>
#include <math.h>

#include "balancer/rebalance.h"
#include "experiments/bench_json.h"
#include "experiments/bench_measure.h"
#include "tests/results_file.h"
#include "workloads/new_file.h"

static const mb_bench_problem small = {"small", "models", {3, 12, 16, 4, 2, 8}, MB_BRUTE_ALL};

static const mb_bench_problem *find_problem(const char *name) {
  const mb_bench_problem *problem = mb_bench_problems();

  while (problem->name != NULL && strcmp(problem->name, name) != 0) {
    problem++;
  }
  return problem;
}

static const mb_bench_implementation *find_implementation(const char *name) {
  const mb_bench_implementation *implementation = mb_bench_implementations();

  while (implementation->name != NULL && strcmp(implementation->name, name) != 0) {
    implementation++;
  }
  CU_ASSERT_PTR_NOT_NULL_FATAL(implementation->name);
  return implementation;
}

/* All implementations that run everywhere, all strategies. */
static mb_bench_plan small_plan(void) {
  mb_bench_plan plan = {.n_implementations = 3, .repetitions = 3, .seed = 7, .must_run = true};

  plan.implementations[0] = find_implementation("naive");
  plan.implementations[1] = find_implementation("cpu-1");
  plan.implementations[2] = find_implementation("cpu");
  for (const mb_refinement_type *const *strategy = mb_refinements(); *strategy != NULL;
       strategy++) {
    plan.strategies[plan.n_strategies++] = *strategy;
  }
  return plan;
}

/* --- problems --- */

static void test_problems(void) {
  size_t count = 0;

  for (const mb_bench_problem *problem = mb_bench_problems(); problem->name != NULL; problem++) {
    CHECK_OK(mb_shape_check(&problem->shape));
    CU_ASSERT_PTR_EQUAL(find_problem(problem->name), problem); /* no name twice */
    if (mb_bench_problem_scales(problem)) {
      size_t k = problem->shape.n_slots / problem->shape.n_gpus;
      CU_ASSERT(strcmp(problem->family, "k8") == 0 ? k == 8 : problem->shape.n_gpus == 16);
      CU_ASSERT_EQUAL(problem->shape.n_experts, problem->shape.n_slots);
    }
    count++;
  }
  CU_ASSERT(count >= 23);
  CU_ASSERT(mb_shape_is_hierarchical(&find_problem("deepseek-v3")->shape));
  CU_ASSERT_FALSE(mb_shape_is_hierarchical(&find_problem("deepseek-v3-ep144")->shape));
}

/* Mean and spread of the logarithms: 0 and 1, give or take what 14848 of them leave to chance. */
static void check_lognormal(size_t n, const double *load) {
  double sum = 0;
  double squares = 0;

  for (size_t i = 0; i < n; i++) {
    double x = log(load[i] / 1000);
    sum += x;
    squares += x * x;
  }
  CU_ASSERT_DOUBLE_EQUAL(sum / (double)n, 0, 0.05);
  CU_ASSERT_DOUBLE_EQUAL(squares / (double)n, 1, 0.06);
}

static void test_loads(void) {
  const mb_bench_problem *problem = find_problem("deepseek-v3");
  enum { N = 58 * 256 };
  static double load[4][N];

  CU_ASSERT_EQUAL_FATAL(problem->shape.n_layers * problem->shape.n_experts, N);
  CHECK_OK(mb_bench_loads(problem, 1, 0, load[0]));
  CHECK_OK(mb_bench_loads(problem, 1, 0, load[1]));
  CHECK_OK(mb_bench_loads(problem, 1, 1, load[2]));
  CHECK_OK(mb_bench_loads(problem, 2, 0, load[3]));
  CU_ASSERT_EQUAL(memcmp(load[0], load[1], sizeof load[0]), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(load[0], load[2], sizeof load[0]), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(load[0], load[3], sizeof load[0]), 0);
  check_lognormal(N, load[0]);
}

/* Two layers of 3 experts in 4 slots on 2 GPUs. Layer 0: GPUs carry 4/2 + 3 = 5 and 4/2 + 1 = 3, so
 * 5/4 and (25 + 9)/2 / 16; layer 1 carries nothing. */
static void test_objective(void) {
  const mb_shape shape = {2, 3, 4, 1, 1, 2};
  const double load[] = {4, 3, 1, 0, 0, 0};
  int32_t map[] = {0, 1, 0, 2, 0, 1, 0, 2};
  int32_t count[] = {2, 1, 1, 2, 1, 1};
  const mb_placement placement = {.physical_to_logical_map = map, .expert_count = count};
  double scratch[2];
  double imbalance = 0;
  double mean_square = 0;

  mb_bench_objective(&shape, load, &placement, scratch, &imbalance, &mean_square);
  CU_ASSERT_EQUAL(imbalance, (5.0 / 4 + 1) / 2);
  CU_ASSERT_EQUAL(mean_square, (17.0 / 16 + 1) / 2);
}

/* --- statistics --- */

static void test_spread(void) {
  const double values[] = {11, 1, NAN, 10, 2, 9, 3, 8, 4, 7, 5, 6};
  double scratch[12];
  mb_spread spread = mb_spread_of(12, values, scratch);

  CU_ASSERT_EQUAL(spread.min, 1);
  CU_ASSERT_EQUAL(spread.p10, 2);
  CU_ASSERT_EQUAL(spread.median, 6);
  CU_ASSERT_EQUAL(spread.p90, 10);
  CU_ASSERT_EQUAL(spread.max, 11);
  CU_ASSERT(isnan(mb_spread_of(1, values + 2, scratch).median));
  CU_ASSERT(isnan(mb_spread_of(0, values, scratch).p90));
}

/* Pair by pair: 1, 10, 4; the ratio of the medians would be 2. */
static void test_ratio(void) {
  const double other[] = {3, 10, 8};
  const double own[] = {3, 1, 2};
  double scratch[3];

  CU_ASSERT_EQUAL(mb_ratio_median(3, other, own, scratch), 4);
  CU_ASSERT(isnan(mb_ratio_median(0, other, own, scratch)));
}

static void test_fit(void) {
  const double x[] = {64, 128, 256, 512};
  double y[4];
  mb_power_fit fit = {0, 0};

  for (size_t i = 0; i < 4; i++) {
    y[i] = 3e-6 * pow(x[i], 1.5);
  }
  CHECK_OK(mb_power_fit_of(4, x, y, &fit));
  CU_ASSERT_DOUBLE_EQUAL(fit.slope, 1.5, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(fit.error, 0, 1e-6);
  /* In octaves x is 0, 1, 2, 3 and y 0, 1, -1, 0: Sxx = 5, Sxy = -1, Syy = 2. So the slope is
     -1/5, and its error sqrt((2 - 1/5) / 2 / 5). */
  const double steps[] = {1, 2, 0.5, 1};
  CHECK_OK(mb_power_fit_of(4, x, steps, &fit));
  CU_ASSERT_DOUBLE_EQUAL(fit.slope, -0.2, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(fit.error, sqrt(0.18), 1e-9);
  y[2] = 0;
  CHECK_FAILS(mb_power_fit_of(4, x, y, &fit), MB_ERR_RANGE, "point 2");
  y[2] = NAN;
  CHECK_FAILS(mb_power_fit_of(4, x, y, &fit), MB_ERR_RANGE, "point 2");
  CHECK_FAILS(mb_power_fit_of(2, x, y, &fit), MB_ERR_RANGE, "three points");
  CU_ASSERT_DOUBLE_EQUAL(fit.slope, -0.2, 1e-9);
}

/* --- measuring --- */

static void check_row(const mb_bench_row *row) {
  bool refines = strcmp(row->strategy, "lpt") != 0;

  CU_ASSERT_EQUAL(row->n, 3);
  for (size_t r = 0; r < row->n; r++) {
    CU_ASSERT(row->seconds[r] > 0);
    CU_ASSERT(row->imbalance[r] >= 1);
    CU_ASSERT(row->mean_square[r] >= 1);
    CU_ASSERT(row->rounds[r] >= row->swaps[r]);
    CU_ASSERT_EQUAL(row->rounds[r] > 0, refines);
    CU_ASSERT_EQUAL(isnan(row->round_seconds[r]) == 0, refines);
  }
  CU_ASSERT(row->seconds_spread.min <= row->seconds_spread.median);
  CU_ASSERT(isnan(row->ratio_to_torch));
}

static void test_same_placement(void) {
  const mb_bench_plan plan = small_plan();
  mb_bench_result result = {.repetitions = plan.repetitions};

  CHECK_OK(mb_bench_measure(&plan, &small, &result));
  CU_ASSERT_EQUAL_FATAL(result.n_rows, plan.n_implementations * plan.n_strategies);
  CU_ASSERT_EQUAL(result.n_notes, 0);
  for (size_t i = 0; i < result.n_rows; i++) {
    const mb_bench_row *naive = &result.rows[i - i % plan.n_implementations];
    check_row(&result.rows[i]);
    CU_ASSERT_STRING_EQUAL(naive->implementation, "naive");
    CU_ASSERT_EQUAL(naive->ratio_to_naive, 1);
    CU_ASSERT_EQUAL(result.rows[i].rounds_median, naive->rounds_median);
    CU_ASSERT_EQUAL(result.rows[i].swaps_median, naive->swaps_median);
    CU_ASSERT_EQUAL(result.rows[i].imbalance_median, naive->imbalance_median);
    CU_ASSERT_EQUAL(result.rows[i].mean_square_median, naive->mean_square_median);
  }
  mb_bench_result_fini(&result);
}

static void test_left_out(void) {
  mb_bench_plan plan = small_plan();
  mb_bench_problem large = small;
  mb_bench_result result = {.repetitions = plan.repetitions};

  large.brute = MB_BRUTE_NONE;
  CHECK_OK(mb_bench_measure(&plan, &large, &result));
  CU_ASSERT_EQUAL(result.n_rows, 2 * plan.n_strategies);
  CU_ASSERT_EQUAL_FATAL(result.n_notes, 1);
  CU_ASSERT_PTR_NOT_NULL(strstr(result.notes[0], "naive is left out"));
  mb_bench_result_fini(&result);
}

static mb_status create_none(const mb_shape *shape, void **rebalancer) {
  (void)shape;
  (void)rebalancer;
  return MB_FAIL(MB_ERR_UNSUPPORTED, "there is no such device");
}

static void test_unsupported(void) {
  static const mb_backend none = {.name = "none", .create = create_none};
  static const mb_bench_implementation missing = {"none", &none, false};
  mb_bench_plan plan = small_plan();
  mb_bench_result result = {.repetitions = plan.repetitions};

  plan.implementations[plan.n_implementations++] = &missing;
  CHECK_FAILS(mb_bench_measure(&plan, &small, &result), MB_ERR_UNSUPPORTED, "no such device");
  CU_ASSERT_EQUAL(result.n_rows, 0);
  plan.must_run = false;
  CHECK_OK(mb_bench_measure(&plan, &small, &result));
  CHECK_OK(mb_bench_measure(&plan, &small, &result));
  CU_ASSERT_EQUAL_FATAL(result.n_notes, 1);
  CU_ASSERT_STRING_EQUAL(result.notes[0], "none is left out: there is no such device");
  mb_bench_result_fini(&result);
}

/* A backend that is right until its map is spoilt in one place. */
static mb_status spoil(int which, void *workspace, const double *load,
                       const mb_refinement_type *refinement, const mb_balance_options *options,
                       mb_placement *placement, mb_pack_stats *stats) {
  MB_TRY(mb_workspace_rebalance(workspace, load, refinement, options, placement, stats));
  int32_t *map[] = {placement->physical_to_logical_map, placement->logical_to_physical_map,
                    placement->expert_count};
  map[which][23] += 1;
  return MB_OK;
}

#define SPOILT(which)                                                                     \
  static mb_status spoilt_##which(                                                        \
      void *workspace, const double *load, const mb_refinement_type *refinement,          \
      const mb_balance_options *options, mb_placement *placement, mb_pack_stats *stats) { \
    return spoil(which, workspace, load, refinement, options, placement, stats);          \
  }
SPOILT(0)
SPOILT(1)
SPOILT(2)

static mb_status create_workspace(const mb_shape *shape, void **rebalancer) {
  mb_workspace *workspace = NULL;

  MB_TRY(mb_workspace_create(shape, 1, &workspace));
  *rebalancer = workspace;
  return MB_OK;
}

static void destroy_workspace(void *rebalancer) {
  mb_workspace_destroy(rebalancer);
}

/* Place 23 is slot 7 of layer 1, replica 3 of expert 4 in layer 0, expert 11 of layer 1. */
static void test_disagreement(void) {
  static const mb_backend spoilt[] = {{"spoilt", create_workspace, spoilt_0, destroy_workspace},
                                      {"spoilt", create_workspace, spoilt_1, destroy_workspace},
                                      {"spoilt", create_workspace, spoilt_2, destroy_workspace}};
  static const char *const places[] = {"physical_to_logical_map differs in layer 1 at 7: naive has",
                                       "logical_to_physical_map differs in layer 0 at 23",
                                       "expert_count differs in layer 1 at 11"};

  for (size_t i = 0; i < 3; i++) {
    const mb_bench_implementation implementation = {"spoilt", &spoilt[i], false};
    mb_bench_plan plan = small_plan();
    mb_bench_result result = {.repetitions = plan.repetitions};
    plan.implementations[plan.n_implementations++] = &implementation;
    CHECK_FAILS(mb_bench_measure(&plan, &small, &result), MB_ERR_RANGE, places[i]);
    CHECK_FAILS(mb_bench_measure(&plan, &small, &result), MB_ERR_RANGE,
                "small, lpt, warm-up: placements are not the same: ");
    mb_bench_result_fini(&result);
  }
}

/* --- the fits of a result --- */

static void add_scaling(mb_bench_result *result, const char *name, double seconds) {
  const size_t first = result->n_rows;
  mb_bench_row *row = mb_bench_result_add(result, find_problem(name), "l2", "cpu-1", 1);

  CU_ASSERT_PTR_NOT_NULL_FATAL(row);
  row->seconds[0] = seconds;
  row->round_seconds[0] = 2 * seconds * seconds;
  row->further_seconds[0] = NAN;
  CHECK_OK(mb_bench_result_summarize(result, first));
}

static void test_result_fit(void) {
  mb_bench_result result = {.n_rows = 0};

  add_scaling(&result, "k8-64", 0.64);
  add_scaling(&result, "k8-128", 1.28);
  add_scaling(&result, "m16-64", 0.64);
  add_scaling(&result, "k8-8192", 81.92);
  add_scaling(&result, "m16-128", 1.28);
  add_scaling(&result, "qwen3-235b", 1.28);
  CHECK_OK(mb_bench_result_fit(&result));
  CU_ASSERT_EQUAL_FATAL(result.n_fits, 1); /* two points of m16 are too few */
  CU_ASSERT_STRING_EQUAL(result.fits[0].family, "k8");
  CU_ASSERT_EQUAL(result.fits[0].n_points, 3);
  CU_ASSERT_DOUBLE_EQUAL(result.fits[0].seconds.slope, 1, 1e-9);
  CU_ASSERT_DOUBLE_EQUAL(result.fits[0].round_seconds.slope, 2, 1e-9);
  CU_ASSERT(isnan(result.fits[0].further_seconds.slope));
  mb_bench_result_fini(&result);
}

/* --- JSON --- */

static void check_keys(const json_t *object, const char *const *keys) {
  void *at = json_object_iter((json_t *)object);

  for (size_t i = 0; keys[i] != NULL; i++) {
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    CU_ASSERT_STRING_EQUAL(json_object_iter_key(at), keys[i]);
    at = json_object_iter_next((json_t *)object, at);
  }
  CU_ASSERT_PTR_NULL(at);
}

static void check_json_row(const json_t *row) {
  static const char *const keys[] = {"problem",
                                     "family",
                                     "shape",
                                     "strategy",
                                     "implementation",
                                     "seconds",
                                     "rounds",
                                     "swaps",
                                     "further_round_seconds",
                                     "imbalance",
                                     "mean_square",
                                     "seconds_median",
                                     "seconds_p10",
                                     "seconds_p90",
                                     "seconds_per_round_median",
                                     "further_round_seconds_median",
                                     "imbalance_median",
                                     "mean_square_median",
                                     "ratio_to_naive",
                                     "ratio_to_torch",
                                     NULL};

  check_keys(row, keys);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(row, "problem")), "k8-64");
  CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(row, "shape"), "gpus")), 8);
  CU_ASSERT_EQUAL(json_array_size(json_object_get(row, "seconds")), 1);
  CU_ASSERT_EQUAL(json_real_value(json_array_get(json_object_get(row, "seconds"), 0)), 0.640625);
  CU_ASSERT(json_is_null(json_object_get(row, "further_round_seconds_median")));
  CU_ASSERT(json_is_null(json_object_get(row, "ratio_to_naive")));
}

static void test_json(void) {
  static const char *const keys[] = {"format", "version", "machine", "seed", "repetitions",
                                     "rows",   "fits",    "notes",   NULL};
  mb_bench_result result = {.machine = mb_bench_machine_find(), .seed = 7, .repetitions = 1};

  add_scaling(&result, "k8-64", 0.640625);
  add_scaling(&result, "k8-128", 1.28);
  add_scaling(&result, "k8-256", 2.56);
  CHECK_OK(mb_bench_result_fit(&result));
  CHECK_OK(mb_bench_result_note(&result, "a \"note\""));
  mb_new_file file = {NULL, NULL};
  CHECK_OK(mb_new_file_open(results_path("bench.json"), &file));
  CHECK_OK(mb_bench_json_write(&result, &file));
  CHECK_OK(mb_new_file_commit(&file));
  json_error_t error;
  json_t *read = json_load_file(results_path("bench.json"), JSON_REJECT_DUPLICATES, &error);
  CU_ASSERT_PTR_NOT_NULL_FATAL(read);
  check_keys(read, keys);
  CU_ASSERT_EQUAL(json_array_size(json_object_get(read, "rows")), 3);
  check_json_row(json_array_get(json_object_get(read, "rows"), 0));
  CU_ASSERT_EQUAL(json_array_size(json_object_get(read, "fits")), 1);
  CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(read, "notes"), 0)),
                         "a \"note\"");
  json_decref(read);
  mb_new_file_close(&file);
  mb_new_file nowhere = {(char *)"bench.json", (char *)"/nowhere/bench.json.part"};
  CHECK_FAILS(mb_bench_json_write(&result, &nowhere), MB_ERR_IO,
              "bench.json: cannot be written: No such file");
  mb_bench_result_fini(&result);
}

int main(void) {
  CU_TestInfo tests[] = {{"the problems are possible", test_problems},
                         {"the same seed, the same loads", test_loads},
                         {"what a placement reaches", test_objective},
                         {"quantiles by hand", test_spread},
                         {"ratios in pairs", test_ratio},
                         {"slopes by hand", test_fit},
                         {"all place alike", test_same_placement},
                         {"what would take too long is left out", test_left_out},
                         {"what cannot run is left out, or refused", test_unsupported},
                         {"a different placement is found", test_disagreement},
                         {"families are fitted", test_result_fit},
                         {"JSON", test_json},
                         CU_TEST_INFO_NULL};

  return run_suite("bench", tests);
}
