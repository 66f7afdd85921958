/* tests/test_post_pass.c - fewest experts moved, and fewest copied, against every permutation; and
 * that no GPU's work changes, for every strategy. */
#include "balancer/post_pass.h"

#include <math.h>
#include <omp.h>

#include "balancer/hungarian.h"
#include "balancer/planner.h"
#include "tests/test.h"

enum { MOST_SLOTS = 64, MOST_LAYERS = 4 };

static uint64_t random_state;

/* xorshift64*; seeded by each test. */
static size_t draw(size_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (size_t)((random_state * 2685821657736338717U) >> 33) % n;
}

/* A placement of one layer: every expert, and copies of some, anywhere. */
static void draw_placement(const mb_shape *s, int32_t *map) {
  for (size_t p = 0; p < s->n_slots; p++) {
    map[p] = (int32_t)(p < s->n_experts ? p : draw(s->n_experts));
  }
  for (size_t p = s->n_slots - 1; p > 0; p--) {
    size_t q = draw(p + 1);
    int32_t held = map[p];
    map[p] = map[q];
    map[q] = held;
  }
}

/* --- the Hungarian algorithm --- */

/* The largest sum over all permutations of the rows from `row` on, to columns not yet taken. */
static int64_t best_sum(size_t n, size_t stride, const int32_t *gain, size_t row, unsigned taken) {
  int64_t best = row == n ? 0 : -1;

  for (size_t j = 0; j < n && row < n; j++) {
    if ((taken >> j & 1) == 0) {
      int64_t sum = gain[row * stride + j] + best_sum(n, stride, gain, row + 1, taken | 1U << j);
      best = sum > best ? sum : best;
    }
  }
  return best;
}

static void check_solution(mb_hungarian *h, size_t n, size_t stride, const int32_t *gain) {
  int32_t column_of[8];
  unsigned taken = 0;
  int64_t sum = 0;
  int64_t said = mb_hungarian_solve(h, n, stride, gain, column_of);

  for (size_t i = 0; i < n; i++) {
    CU_ASSERT_FATAL(column_of[i] >= 0 && (size_t)column_of[i] < n);
    taken |= 1U << column_of[i];
    sum += gain[i * stride + (size_t)column_of[i]];
  }
  CU_ASSERT_EQUAL(taken, (1U << n) - 1);
  CU_ASSERT_EQUAL(sum, said);
  CU_ASSERT_EQUAL(sum, best_sum(n, stride, gain, 0, 0));
}

static void all_permutations(void) {
  mb_hungarian h;
  int32_t gain[8 * 9] = {0};

  random_state = 20250701;
  CU_ASSERT_FATAL(mb_hungarian_init(&h, 8));
  for (size_t round = 0; round < 2000; round++) {
    size_t n = 1 + draw(6);
    size_t stride = n + draw(2);
    size_t most = (size_t[]){1, 2, 3, 10, 100000}[draw(5)];
    for (size_t i = 0; i < n * stride; i++) {
      gain[i] = (int32_t)draw(most);
    }
    check_solution(&h, n, stride, gain);
  }
  mb_hungarian_fini(&h);
}

/* --- fewest moved, fewest copied --- */

static mb_post_pass_options options_of(const char *assign, bool keep_slots) {
  mb_post_pass_options options = {.keep_slots = keep_slots};

  (void)snprintf(options.assign, sizeof options.assign, "%s", assign);
  return options;
}

static mb_post_pass *make(const mb_shape *s, const char *assign, bool keep_slots) {
  mb_post_pass_options options = options_of(assign, keep_slots);
  mb_post_pass *made = NULL;

  CHECK_OK(mb_post_pass_create(s, &options, &made));
  CU_ASSERT_PTR_NOT_NULL_FATAL(made);
  return made;
}

static int32_t moved_of(const mb_shape *s, const int32_t *before, const int32_t *after) {
  int32_t scratch[MOST_SLOTS];

  return mb_placement_moved_experts(s, before, after, scratch);
}

/* The sets that the GPUs from `gpu` on take; GPUs of a node take those of one node. */
typedef struct search {
  const mb_shape *shape;
  size_t node_gpus;
  const int32_t *before, *after;
  size_t set_of[8];
  int32_t least;
} search;

static void try_sets(search *s, size_t gpu, unsigned taken) {
  size_t n_slots = s->shape->n_slots / s->shape->n_gpus;
  int32_t map[MOST_SLOTS];

  for (size_t set = 0; set < s->shape->n_gpus && gpu < s->shape->n_gpus; set++) {
    bool first = gpu % s->node_gpus == 0;
    if ((taken >> set & 1) == 0 &&
        (first || set / s->node_gpus == s->set_of[gpu - 1] / s->node_gpus)) {
      s->set_of[gpu] = set;
      try_sets(s, gpu + 1, taken | 1U << set);
    }
  }
  if (gpu < s->shape->n_gpus) {
    return;
  }
  for (size_t d = 0; d < s->shape->n_gpus; d++) {
    memcpy(map + d * n_slots, s->after + s->set_of[d] * n_slots, n_slots * sizeof *map);
  }
  int32_t moved = moved_of(s->shape, s->before, map);
  s->least = moved < s->least ? moved : s->least;
}

static int32_t least_moved(const mb_shape *shape, const int32_t *before, const int32_t *after) {
  bool hierarchical = mb_shape_is_hierarchical(shape);
  search s = {.shape = shape,
              .node_gpus = hierarchical ? shape->n_gpus / shape->n_nodes : shape->n_gpus,
              .before = before,
              .after = after,
              .least = INT32_MAX};

  try_sets(&s, 0, 0);
  return s.least;
}

static void fewest_moved(void) {
  static const mb_shape shapes[] = {{1, 6, 8, 1, 1, 4},   {1, 8, 12, 4, 2, 6}, {1, 4, 12, 1, 1, 6},
                                    {1, 12, 12, 6, 3, 6}, {1, 3, 6, 1, 2, 6},  {1, 9, 9, 1, 1, 1},
                                    {1, 16, 24, 4, 4, 4}, {1, 2, 18, 2, 1, 6}};
  static const bool all[] = {true};

  random_state = 77;
  for (size_t round = 0; round < 400; round++) {
    const mb_shape *s = &shapes[round % (sizeof shapes / sizeof *shapes)];
    int32_t before[MOST_SLOTS];
    int32_t planned[MOST_SLOTS];
    int32_t after[MOST_SLOTS];
    mb_post_pass *pass = make(s, "gpus", round % 16 >= 8);
    draw_placement(s, before);
    draw_placement(s, planned);
    memcpy(after, planned, sizeof after);
    mb_post_pass_run(pass, before, all, after);
    CU_ASSERT_EQUAL(moved_of(s, before, after), least_moved(s, before, planned));
    mb_post_pass_destroy(pass);
  }
}

static size_t n_kept(size_t n, const int32_t *before, const int32_t *after) {
  size_t kept = 0;

  for (size_t p = 0; p < n; p++) {
    kept += before[p] == after[p];
  }
  return kept;
}

/* The most slots that any order of what is left [n] can keep. */
static size_t most_kept(size_t n, const int32_t *before, const int32_t *after, unsigned taken,
                        size_t at) {
  size_t most = 0;

  for (size_t i = 0; i < n && at < n; i++) {
    if ((taken >> i & 1) == 0) {
      size_t kept = (after[i] == before[at]) + most_kept(n, before, after, taken | 1U << i, at + 1);
      most = kept > most ? kept : most;
    }
  }
  return most;
}

static void fewest_copied(void) {
  static const mb_shape shapes[] = {
      {1, 5, 10, 1, 1, 2}, {1, 10, 10, 1, 1, 2}, {1, 2, 15, 1, 1, 3}, {1, 4, 4, 1, 1, 4}};
  static const bool all[] = {true};

  random_state = 78;
  for (size_t round = 0; round < 400; round++) {
    const mb_shape *s = &shapes[round % (sizeof shapes / sizeof *shapes)];
    size_t n = s->n_slots / s->n_gpus;
    int32_t before[MOST_SLOTS];
    int32_t planned[MOST_SLOTS];
    int32_t after[MOST_SLOTS];
    mb_post_pass *pass = make(s, "none", true);
    draw_placement(s, before);
    draw_placement(s, planned);
    memcpy(after, planned, sizeof after);
    mb_post_pass_run(pass, before, all, after);
    for (size_t p = 0; p < s->n_slots; p += n) {
      CU_ASSERT_EQUAL(n_kept(n, before + p, after + p),
                      most_kept(n, before + p, planned + p, 0, 0));
    }
    CU_ASSERT_EQUAL(moved_of(s, before, after), moved_of(s, before, planned));
    mb_post_pass_destroy(pass);
  }
}

/* What has no slot of its own yet goes into the slots that are free, in its order. */
static void by_hand(void) {
  const mb_shape s = {2, 8, 8, 1, 1, 2};
  static const int32_t before[] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7};
  static const bool second[] = {false, true};
  int32_t after[] = {4, 5, 6, 7, 0, 1, 2, 3, 6, 5, 7, 0, 2, 1, 3, 4};
  static const int32_t moved[] = {4, 5, 6, 7, 0, 1, 2, 3, 2, 1, 3, 4, 6, 5, 7, 0};
  static const int32_t kept[] = {4, 5, 6, 7, 0, 1, 2, 3, 4, 1, 2, 3, 0, 5, 6, 7};
  mb_post_pass *pass = make(&s, "gpus", false);

  mb_post_pass_run(pass, before, second, after);
  CU_ASSERT(memcmp(after, moved, sizeof after) == 0);
  mb_post_pass_destroy(pass);
  pass = make(&s, "gpus", true);
  mb_post_pass_run(pass, before, second, after);
  CU_ASSERT(memcmp(after, kept, sizeof after) == 0);
  mb_post_pass_destroy(pass);
  mb_post_pass_options none = options_of("none", false);
  pass = NULL;
  CHECK_OK(mb_post_pass_create(&s, &none, &pass));
  CU_ASSERT_PTR_NULL(pass);
}

/* --- every strategy --- */

static int compare_experts(const void *a, const void *b) {
  return *(const int32_t *)a - *(const int32_t *)b;
}

static size_t part_slots; /* of the parts that are being sorted */

static int compare_parts(const void *a, const void *b) {
  return memcmp(a, b, part_slots * sizeof(int32_t));
}

/* One layer's GPUs, each with its experts sorted, sorted themselves within nodes, and the nodes. */
static void normalise(const mb_shape *s, const int32_t *map, int32_t *sorted) {
  size_t n_nodes = mb_shape_is_hierarchical(s) ? s->n_nodes : 1;
  size_t gpu = s->n_slots / s->n_gpus;
  size_t node = s->n_slots / n_nodes;

  memcpy(sorted, map, s->n_slots * sizeof *sorted);
  for (size_t p = 0; p < s->n_slots; p += gpu) {
    qsort(sorted + p, gpu, sizeof *sorted, compare_experts);
  }
  part_slots = gpu;
  for (size_t p = 0; p < s->n_slots; p += node) {
    qsort(sorted + p, node / gpu, gpu * sizeof *sorted, compare_parts);
  }
  part_slots = node;
  qsort(sorted, n_nodes, node * sizeof *sorted, compare_parts);
}

static void check_answer(const mb_shape *s, const int32_t *before, const bool *replaced,
                         const int32_t *planned, const char *assign, bool keep_slots) {
  int32_t after[MOST_LAYERS * MOST_SLOTS];
  int32_t sorted[2][MOST_SLOTS];
  size_t size = s->n_slots * sizeof(int32_t);
  mb_post_pass *pass = make(s, assign, keep_slots);

  memcpy(after, planned, s->n_layers * size);
  mb_post_pass_run(pass, before, replaced, after);
  for (size_t l = 0; l < s->n_layers; l++) {
    const int32_t *held = before + l * s->n_slots;
    const int32_t *from = planned + l * s->n_slots;
    const int32_t *to = after + l * s->n_slots;
    if (!replaced[l]) {
      CU_ASSERT(memcmp(from, to, size) == 0);
      continue;
    }
    normalise(s, from, sorted[0]);
    normalise(s, to, sorted[1]);
    CU_ASSERT(memcmp(sorted[0], sorted[1], size) == 0);
    CU_ASSERT_EQUAL(mb_placement_duplicate_slots(s, from), mb_placement_duplicate_slots(s, to));
    CU_ASSERT(moved_of(s, held, to) <= moved_of(s, held, from));
    CU_ASSERT(!keep_slots || n_kept(s->n_slots, held, to) >= n_kept(s->n_slots, held, from));
  }
  mb_post_pass_destroy(pass);
}

/* Three plans of one strategy, one after the other, each from other loads. */
static void check_strategy(const mb_strategy *strategy, const mb_shape *s) {
  mb_planner *planner = NULL;
  int32_t before[MOST_LAYERS * MOST_SLOTS];
  int32_t planned[MOST_LAYERS * MOST_SLOTS];
  bool replaced[MOST_LAYERS];
  double imbalance[MOST_LAYERS];

  CHECK_OK(mb_planner_create(strategy, s, NULL, NULL, &planner));
  CU_ASSERT_PTR_NOT_NULL_FATAL(planner);
  size_t n_slices = mb_planner_n_slices(planner);
  size_t n = n_slices * s->n_layers * s->n_experts;
  double *load = calloc(n, sizeof *load);
  CU_ASSERT_PTR_NOT_NULL_FATAL(load);
  for (size_t l = 0; l < s->n_layers; l++) {
    mb_placement_linear(s, before + l * s->n_slots);
    imbalance[l] = 2.0;
  }
  for (size_t round = 1; round <= 3; round++) {
    for (size_t i = 0; i < n; i++) {
      load[i] = floor((double)draw(1000) / (double)(1 + draw(20)));
    }
    mb_plan_input input = {.shape = *s,
                           .step = 64 * round,
                           .n_window_steps = 64,
                           .n_slices = n_slices,
                           .load = load,
                           .physical_to_logical_map = before,
                           .imbalance = imbalance};
    mb_plan_output output = {replaced, planned};
    CHECK_OK(mb_planner_plan(planner, &input, &output));
    check_answer(s, before, replaced, planned, "gpus", false);
    check_answer(s, before, replaced, planned, "none", true);
    check_answer(s, before, replaced, planned, "gpus", true);
    for (size_t l = 0; l < s->n_layers; l++) {
      size_t row = l * s->n_slots;
      memcpy(before + row, replaced[l] ? planned + row : before + row, s->n_slots * sizeof *before);
    }
  }
  free(load);
  mb_planner_destroy(planner);
}

static void every_strategy(void) {
  static const mb_shape shapes[] = {{4, 16, 24, 4, 2, 4}, {3, 32, 40, 1, 1, 8},
                                    {2, 24, 36, 1, 2, 6}, {2, 8, 8, 8, 8, 8},
                                    {2, 4, 16, 1, 1, 4},  {3, 48, 64, 8, 4, 16}};

  random_state = 5;
  for (const mb_strategy *strategy = mb_strategies(); strategy->name != NULL; strategy++) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
      check_strategy(strategy, &shapes[i]);
    }
  }
}

static void threads(void) {
  const mb_shape s = {MOST_LAYERS, 48, 64, 8, 4, 16};
  static const bool all[MOST_LAYERS] = {true, true, true, true};
  int32_t before[MOST_LAYERS * MOST_SLOTS];
  int32_t planned[MOST_LAYERS * MOST_SLOTS];
  int32_t after[2][MOST_LAYERS * MOST_SLOTS];
  int n_threads = omp_get_max_threads();

  random_state = 9;
  for (size_t l = 0; l < s.n_layers; l++) {
    draw_placement(&s, before + l * s.n_slots);
    draw_placement(&s, planned + l * s.n_slots);
  }
  for (size_t i = 0; i < 2; i++) {
    omp_set_num_threads(i == 0 ? 1 : 3);
    mb_post_pass *pass = make(&s, "gpus", true);
    memcpy(after[i], planned, sizeof planned);
    mb_post_pass_run(pass, before, all, after[i]);
    mb_post_pass_destroy(pass);
  }
  omp_set_num_threads(n_threads);
  CU_ASSERT(memcmp(after[0], after[1], sizeof after[0]) == 0);
}

int main(void) {
  CU_TestInfo tests[] = {{"Hungarian: all permutations", all_permutations},
                         {"fewest experts moved", fewest_moved},
                         {"fewest slots copied", fewest_copied},
                         {"by hand", by_hand},
                         {"every strategy", every_strategy},
                         {"threads", threads},
                         CU_TEST_INFO_NULL};
  return run_suite("post passes", tests);
}
