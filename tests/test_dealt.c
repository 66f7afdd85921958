/* tests/test_dealt.c - snake, ldm and vec: against twins written down here, by hand, against brute
 * force, and against figures of an independent program. */
#include "balancer/replicate_slices.h"
#include "tests/rivals.h"

enum { N_SEEDS = 300, ITEMS_MAX = 64 };

/* Items of one GPU each as experts without replicas: a packing. Ties on odd seeds. */
static void fill_items(uint64_t *state, bool ties, size_t n, double *load) {
  for (size_t i = 0; i < n; i++) {
    load[i] = ties ? dice(state) % 4 : dice(state) % 100000;
  }
}

static void sort_descending(size_t n, const double *weight, size_t *order) {
  for (size_t i = 0; i < n; i++) {
    size_t at = i;
    for (; at > 0 && weight[order[at - 1]] < weight[i]; at--) {
      order[at] = order[at - 1];
    }
    order[at] = i;
  }
}

/* --- snake --- */

/* Rows of m, every other one from the right: the row is the rank. */
static void naive_snake(size_t n, size_t m, const double *weight, int32_t *map) {
  size_t order[ITEMS_MAX];
  size_t k = n / m;

  sort_descending(n, weight, order);
  for (size_t row = 0; row < k; row++) {
    for (size_t column = 0; column < m; column++) {
      size_t gpu = row % 2 == 0 ? column : m - 1 - column;
      map[gpu * k + row] = (int32_t)order[row * m + column];
    }
  }
}

static void test_snake_twin(void) {
  for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
    uint64_t state = seed;
    size_t k = 2 + dice(&state) % 6;
    size_t m = 1 + dice(&state) % 8;
    mb_shape s = packing_shape(m * k, m);
    double load[ITEMS_MAX];
    int32_t map[ITEMS_MAX];
    int32_t expected[ITEMS_MAX];
    bool replaced[1];
    fill_items(&state, seed % 2 == 1, m * k, load);
    plan_from_linear("snake", &s, NULL, load, replaced, map);
    naive_snake(m * k, m, load, expected);
    CU_ASSERT(replaced[0]);
    CU_ASSERT(memcmp(map, expected, m * k * sizeof *map) == 0);
  }
}

/* Loads 9 8 7 6 5 4 on 2 GPUs: 9 and 8, then 7 under 8 and 6 under 9, then 5 under 9, 4 under 8. A
   copy more, and the largest is halved: 9 9 8 7 of the loads 18 8 7. */
static void test_snake_by_hand(void) {
  const mb_shape plain = packing_shape(6, 2);
  const mb_shape copied = {
      .n_layers = 1, .n_experts = 3, .n_slots = 4, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
  const int32_t plain_map[6] = {5, 2, 1, 4, 3, 0};
  const int32_t copied_map[4] = {1, 0, 1, 2};
  int32_t map[6];
  bool replaced[1];

  plan_from_linear("snake", &plain, NULL, (const double[]){4, 5, 6, 7, 8, 9}, replaced, map);
  CU_ASSERT(memcmp(map, plain_map, sizeof plain_map) == 0);
  plan_from_linear("snake", &copied, NULL, (const double[]){7, 18, 8}, replaced, map);
  CU_ASSERT(memcmp(map, copied_map, sizeof copied_map) == 0);
}

/* --- ldm --- */

typedef struct part {
  double sum;
  size_t n;
  size_t item[ITEMS_MAX];
} part;

/* The method with lists and plain loops: rows of parts, each descending. */
static void naive_ldm(size_t n, size_t m, const double *weight, int32_t *pack) {
  static part rows[ITEMS_MAX][ITEMS_MAX];
  size_t order[ITEMS_MAX];
  bool alive[ITEMS_MAX];
  size_t k = n / m;

  sort_descending(n, weight, order);
  for (size_t t = 0; t < n; t++) {
    alive[t / m] = true;
    rows[t / m][t % m] = (part){weight[order[t]], 1, {order[t]}};
  }
  for (size_t merges = 1; merges < k; merges++) {
    size_t widest[2] = {k, k};
    for (size_t x = 0; x < 2; x++) {
      for (size_t r = 0; r < k; r++) {
        double spread = rows[r][0].sum - rows[r][m - 1].sum;
        if (alive[r] && r != widest[0] &&
            (widest[x] == k || spread > rows[widest[x]][0].sum - rows[widest[x]][m - 1].sum)) {
          widest[x] = r;
        }
      }
    }
    part merged[ITEMS_MAX];
    for (size_t a = 0; a < m; a++) {
      part p = rows[widest[0]][a];
      const part *q = &rows[widest[1]][m - 1 - a];
      p.sum += q->sum;
      for (size_t i = 0; i < q->n; i++) {
        p.item[p.n++] = q->item[i];
      }
      size_t at = a;
      for (; at > 0 && merged[at - 1].sum < p.sum; at--) {
        merged[at] = merged[at - 1];
      }
      merged[at] = p;
    }
    memcpy(rows[widest[0]], merged, m * sizeof *merged);
    alive[widest[1]] = false;
  }
  for (size_t r = 0; r < k; r++) {
    for (size_t a = 0; alive[r] && a < m; a++) {
      for (size_t i = 0; i < rows[r][a].n; i++) {
        pack[rows[r][a].item[i]] = (int32_t)a;
      }
    }
  }
}

static void test_ldm_twin(void) {
  const char *const none[] = {"polish", "none", NULL};

  for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
    uint64_t state = seed;
    size_t k = 2 + dice(&state) % 6;
    size_t m = 1 + dice(&state) % 8;
    mb_shape s = packing_shape(m * k, m);
    double load[ITEMS_MAX];
    int32_t map[ITEMS_MAX];
    int32_t expected[ITEMS_MAX];
    bool replaced[1];
    fill_items(&state, seed % 2 == 1, m * k, load);
    plan_from_linear("ldm", &s, none, load, replaced, map);
    naive_ldm(m * k, m, load, expected);
    for (size_t p = 0; p < m * k; p++) {
      CU_ASSERT_EQUAL(expected[map[p]], (int32_t)(p / k));
    }
  }
}

/* The classic: 8 7 6 5 4 on 2 with a 0 to fill up. Rows (8,7) (6,5) (4,0) have spreads 1, 1, 4: the
   last and the first merge, 4 with 7 and 0 with 8, to (11,8); with (6,5) that makes 11 + 5 = 16 and
   8 + 6 = 14. */
static void test_ldm_by_hand(void) {
  const mb_shape s = packing_shape(6, 2);
  const double load[6] = {8, 7, 6, 5, 4, 0};
  const char *const none[] = {"polish", "none", NULL};
  int32_t map[6];
  bool replaced[1];

  plan_from_linear("ldm", &s, none, load, replaced, map);
  CU_ASSERT_DOUBLE_EQUAL(gpu_load_max(&s, load, map, NULL), 16, 0);
  CU_ASSERT(map[0] == 1 && map[1] == 3 && map[2] == 4);
}

static double squares(const mb_shape *s, const double *load, const int32_t *map) {
  size_t k = s->n_slots / s->n_gpus;
  double sum = 0;

  for (size_t gpu = 0; gpu < s->n_gpus; gpu++) {
    double of_gpu = 0;
    for (size_t p = gpu * k; p < (gpu + 1) * k; p++) {
      of_gpu += load[map[p]];
    }
    sum += of_gpu * of_gpu;
  }
  return sum;
}

/* Each polish lowers what it is for, and now and then it does so. */
static void test_polish(void) {
  size_t n_better[2] = {0, 0};

  for (uint64_t seed = 1; seed <= 60; seed++) {
    const char *const settings[3][3] = {
        {"polish", "none", NULL}, {"polish", "l2", NULL}, {"polish", "maxmin", NULL}};
    uint64_t state = seed;
    mb_shape s = packing_shape(48, 8);
    double load[48];
    int32_t map[3][48];
    bool replaced[1];
    fill_lognormal_dice(&state, 1, 48, load);
    for (size_t x = 0; x < 3; x++) {
      plan_from_linear("ldm", &s, settings[x], load, replaced, map[x]);
    }
    double before[2] = {squares(&s, load, map[0]), gpu_load_max(&s, load, map[0], NULL)};
    double after[2] = {squares(&s, load, map[1]), gpu_load_max(&s, load, map[2], NULL)};
    for (size_t x = 0; x < 2; x++) {
      CU_ASSERT(after[x] <= before[x]);
      n_better[x] += after[x] < before[x];
    }
  }
  CU_ASSERT(n_better[0] > 30 && n_better[1] > 10);
}

/* --- vec --- */

/* By the definition, everything anew for every replica: the gain of each expert in each slice. */
static void naive_replicas(size_t n, size_t n_slots, size_t n_slices, const double *load,
                           int32_t *count) {
  for (size_t x = 0; x < n; x++) {
    count[x] = 1;
  }
  for (size_t slot = n; slot < n_slots; slot++) {
    size_t best = n;
    double best_gain = 0;
    double best_rate = 0;
    for (size_t x = 0; x < n; x++) {
      double gain = 0;
      double total = 0;
      for (size_t s = 0; s < n_slices; s++) {
        double before = 0;
        double after = 0;
        for (size_t y = 0; y < n; y++) {
          before = fmax(before, load[s * n + y] / count[y]);
          after = fmax(after, load[s * n + y] / (count[y] + (x == y)));
        }
        gain += before - after;
        total += load[s * n + x];
      }
      double rate = total / count[x];
      if (best == n || gain > best_gain || (best_gain == 0 && gain == 0 && rate > best_rate)) {
        best = x;
        best_gain = gain;
        best_rate = rate;
      }
    }
    count[best]++;
  }
}

static void test_vec_twin(void) {
  for (uint64_t seed = 1; seed <= N_SEEDS; seed++) {
    uint64_t state = seed;
    size_t n_slices = 1 + dice(&state) % 5;
    mb_shape s = {.n_layers = 1, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
    double load[5 * 16];
    int32_t map[32];
    int32_t count[16];
    int32_t expected[16];
    bool replaced[1];
    char text[8];
    s.n_experts = 1 + dice(&state) % 16;
    s.n_slots = s.n_experts + s.n_experts % 2 + 2 * (size_t)(dice(&state) % 8);
    (void)snprintf(text, sizeof text, "%zu", n_slices);
    fill_items(&state, seed % 2 == 1, n_slices * s.n_experts, load);
    load[0] += 1; /* some load */
    plan_from_linear("vec", &s, (const char *const[]){"slices", text, NULL}, load, replaced, map);
    naive_replicas(s.n_experts, s.n_slots, n_slices, load, expected);
    CHECK_OK(mb_placement_count(&s, map, count));
    bool same = memcmp(count, expected, s.n_experts * sizeof *count) == 0;
    CU_ASSERT(same);
    if (!same) {
      (void)printf("\n    seed %llu: %zu experts, %zu slots, %zu slices\n",
                   (unsigned long long)seed, s.n_experts, s.n_slots, n_slices);
    }
  }
}

/* Expert 0 always has 6; 1 and 2 have 10 in turn, 5 on average. By the sum expert 0 gets the copy;
   by slices it would lower no maximum, and expert 1 gets it. */
static void test_vec_by_hand(void) {
  const mb_shape s = {
      .n_layers = 1, .n_experts = 3, .n_slots = 4, .n_groups = 1, .n_nodes = 1, .n_gpus = 2};
  const double slices[2 * 3] = {6, 10, 0, 6, 0, 10};
  const double sum[3] = {12, 10, 10};
  int32_t map[4];
  int32_t count[3];
  bool replaced[1];

  plan_from_linear("vec", &s, (const char *const[]){"slices", "2", NULL}, slices, replaced, map);
  CHECK_OK(mb_placement_count(&s, map, count));
  CU_ASSERT(count[0] == 1 && count[1] == 2 && count[2] == 1);
  plan_from_linear("vec", &s, (const char *const[]){"slices", "1", NULL}, sum, replaced, map);
  CHECK_OK(mb_placement_count(&s, map, count));
  CU_ASSERT(count[0] == 2 && count[1] == 1 && count[2] == 1);
}

/* With one slice there is but the sum: EPLB's replicas, and so snake; a group a node, global, with
   layers and experts without load. */
static void test_vec_is_snake(void) {
  const mb_shape shapes[] = {{3, 64, 72, 4, 4, 8}, {2, 60, 66, 1, 2, 6}, {2, 12, 36, 3, 3, 6}};

  for (size_t x = 0; x < sizeof shapes / sizeof shapes[0]; x++) {
    const mb_shape *s = &shapes[x];
    double load[3 * 64];
    int32_t map[2][3 * 72];
    bool replaced[3];
    uint64_t state = x;
    fill_items(&state, x == 1, s->n_layers * s->n_experts, load);
    memset(load, 0, (s->n_experts + s->n_experts / 2) * sizeof *load);
    plan_from_linear("vec", s, (const char *const[]){"slices", "1", NULL}, load, replaced, map[0]);
    plan_from_linear("snake", s, NULL, load, replaced, map[1]);
    CU_ASSERT(memcmp(map[0], map[1], s->n_layers * s->n_slots * sizeof(int32_t)) == 0);
  }
}

/* What a slice's ties count, and weights: two slices, of which one ties. */
static void test_rule(void) {
  const double load[2 * 3] = {8, 8, 0, 1, 0, 2};
  const double total[3] = {9, 8, 2};
  const double weight[2] = {1, 20};
  const mb_slice_rule rules[3] = {{NULL, 0}, {NULL, 2}, {weight, 2}};
  const int32_t expected[3] = {2, 0, 2};
  double memory[80];

  for (size_t x = 0; x < 3; x++) {
    mb_arena arena = {(char *)memory, 0};
    mb_slice_memory taken = mb_slice_memory_take(&arena, 2, 3);
    int32_t count[3];
    int32_t item[4];
    CU_ASSERT_FATAL(arena.used <= sizeof memory);
    mb_replicate_slices(3, 4, 2, load, total, &rules[x], &taken, count, item);
    CU_ASSERT_EQUAL(item[3], expected[x]);
  }
}

/* --- figures --- */

/* Mean of max/mean over 40 draws, beside the figures of an independent Python program for 6 seeds
   of the same kind of loads: 256 experts on 32 GPUs, lognormal. */
static double mean_imbalance(const char *name, const char *const *settings, size_t n_slots,
                             double sigma) {
  mb_shape s = {.n_layers = 40, .n_experts = 256, .n_groups = 1, .n_nodes = 1, .n_gpus = 32};
  uint64_t state = 12345;
  double sum = 0;

  s.n_slots = n_slots;
  double *load = test_alloc(s.n_layers * s.n_experts, sizeof *load);
  int32_t *map = test_alloc(s.n_layers * n_slots, sizeof *map);
  bool replaced[40];
  fill_lognormal_dice(&state, sigma, s.n_layers * s.n_experts, load);
  plan_from_linear(name, &s, settings, load, replaced, map);
  for (size_t l = 0; l < s.n_layers; l++) {
    sum += imbalance_of(&s, load + l * s.n_experts, map + l * n_slots);
  }
  free(load);
  free(map);
  return sum / (double)s.n_layers;
}

static void test_figures(void) {
  const char *const none[] = {"polish", "none", NULL};
  const char *const one[] = {"slices", "1", NULL};
  const struct {
    const char *name;
    const char *const *settings;
    size_t n_slots;
    double sigma, figure, within;
  } rows[] = {{"lpt", NULL, 256, 0.5, 1.045, 0.02},   {"snake", NULL, 256, 0.5, 1.193, 0.05},
              {"ldm", none, 256, 0.5, 1.140, 0.05},   {"ldm", NULL, 256, 0.5, 1.0003, 0.01},
              {"lpt", NULL, 288, 1, 1.0057, 0.002},   {"snake", NULL, 288, 1, 1.033, 0.01},
              {"vec", one, 288, 1, 1.033, 0.01},      {"ldm", none, 288, 1, 1.0014, 0.0015},
              {"maxmin", NULL, 288, 1, 1.0003, 0.001}};

  for (size_t x = 0; x < sizeof rows / sizeof rows[0]; x++) {
    double mean = mean_imbalance(rows[x].name, rows[x].settings, rows[x].n_slots, rows[x].sigma);
    bool near = fabs(mean - rows[x].figure) <= rows[x].within;
    CU_ASSERT(near);
    if (!near) {
      (void)printf("\n    %s, %zu slots, sigma %g: %.5f, not %.5f\n", rows[x].name, rows[x].n_slots,
                   rows[x].sigma, mean, rows[x].figure);
    }
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"snake as its twin", test_snake_twin},
                         {"snake by hand", test_snake_by_hand},
                         {"ldm as its twin", test_ldm_twin},
                         {"ldm by hand", test_ldm_by_hand},
                         {"a polish lowers what it is for", test_polish},
                         {"vec's replicas as its twin", test_vec_twin},
                         {"vec by hand", test_vec_by_hand},
                         {"vec of one slice is snake", test_vec_is_snake},
                         {"ties and weights of slices", test_rule},
                         {"figures of an independent program", test_figures},
                         CU_TEST_INFO_NULL};

  return run_suite("dealt", tests);
}
