/* tests/test_golden.c - tests/golden/ by every implementation, each answer proved anew.
 *
 * README.md there describes the files. The searches here are written apart from balancer/: they
 * try every swap and every packing, and work out what a refinement lowers from scratch.
 */
#include <math.h>

#include "tests/balance.h"

enum { LINE_MAX_ = 512, TEXT_MAX = 256, ITEMS_MAX = 32, N_PACK_CASES = 25, N_REBALANCE_CASES = 18 };

/* All keys that a case may have. */
static const char *const keys[] = {
    "packs", "weight", "refinement", "max_rounds", "min_gain",         "proof", "pack",   "rank",
    "load",  "rounds", "swaps",      "lowest",     "reference_quirks", "slots", "groups", "nodes",
    "gpus",  "map",    "back"};
enum { N_KEYS = sizeof keys / sizeof keys[0] };

typedef struct golden_case {
  char name[TEXT_MAX];
  char value[N_KEYS][TEXT_MAX]; /* "": not there */
} golden_case;

static size_t find_key(const char *key) {
  size_t x = 0;

  while (x < N_KEYS && strcmp(keys[x], key) != 0) {
    x++;
  }
  if (x == N_KEYS) {
    (void)printf("\n    unknown key \"%s\"\n", key);
    CU_FAIL_FATAL("unknown key in a golden file");
  }
  return x;
}

static bool has(const golden_case *c, const char *key) {
  return c->value[find_key(key)][0] != '\0';
}

static const char *text(const golden_case *c, const char *key) {
  if (!has(c, key)) {
    (void)printf("\n    %s: no \"%s\"\n", c->name, key);
    CU_FAIL_FATAL("a golden case lacks a key");
  }
  return c->value[find_key(key)];
}

/* Numbers up to the end or a '|'; moves `from` behind them. */
static size_t read_numbers(const char **from, size_t max, double *values) {
  size_t n = 0;

  for (;;) {
    char *end = NULL;
    double value = strtod(*from, &end);
    if (end == *from) {
      break;
    }
    CU_ASSERT_FATAL(n < max);
    values[n++] = value;
    *from = end;
  }
  *from += strspn(*from, " |");
  return n;
}

static size_t numbers(const golden_case *c, const char *key, double *values) {
  const char *from = text(c, key);
  size_t n = read_numbers(&from, ITEMS_MAX, values);

  CU_ASSERT_FATAL(n > 0 && *from == '\0');
  return n;
}

static size_t number(const golden_case *c, const char *key) {
  double values[ITEMS_MAX];
  CU_ASSERT_FATAL(numbers(c, key, values) == 1);
  return (size_t)values[0];
}

/* One line of a file: a key of the case, or the name of the next one. */
static bool read_line(char *line, golden_case *c, golden_case *next) {
  line[strcspn(line, "\n")] = '\0';
  if (line[0] == '#' || line[0] == '\0') {
    return true;
  }
  char *value = strchr(line, ' ');
  CU_ASSERT_FATAL(value != NULL && strlen(value) < TEXT_MAX);
  *value++ = '\0';
  if (strcmp(line, "case") == 0) {
    (void)snprintf(next->name, sizeof next->name, "%s", value);
    return false;
  }
  (void)snprintf(c->value[find_key(line)], sizeof c->value[0], "%s", value);
  return true;
}

/* Calls `check` on every case of a file of tests/golden; how many there were. */
static size_t for_each_case(const char *name, void (*check)(const golden_case *)) {
  const char *root = getenv("MOEBAL_SOURCE");
  char path[4096];
  char line[LINE_MAX_];
  size_t n = 0;
  golden_case c = {.name = ""};

  (void)snprintf(path, sizeof path, "%s/tests/golden/%s", root != NULL ? root : ".", name);
  FILE *file = fopen(path, "r");
  if (file == NULL) {
    (void)printf("\n    %s is not there (MOEBAL_SOURCE says where the sources are)\n", path);
    CU_FAIL_FATAL("no golden file");
  }
  for (bool more = true; more;) {
    golden_case next = {.name = ""};
    more = fgets(line, sizeof line, file) != NULL;
    if (more && read_line(line, &c, &next)) {
      continue;
    }
    if (c.name[0] != '\0') {
      check(&c);
      n++;
    }
    c = next;
  }
  (void)fclose(file);
  return n;
}

static mb_balance_options case_options(const golden_case *c) {
  mb_balance_options options = MB_BALANCE_OPTIONS_DEFAULT;

  if (has(c, "max_rounds")) {
    bool unlimited = strcmp(text(c, "max_rounds"), "unlimited") == 0;
    options.max_rounds = unlimited ? MB_ROUNDS_UNLIMITED : (int64_t)number(c, "max_rounds");
  }
  if (has(c, "min_gain")) {
    options.min_gain = strtod(text(c, "min_gain"), NULL);
  }
  options.reference_quirks =
      has(c, "reference_quirks") && strcmp(text(c, "reference_quirks"), "true") == 0;
  return options;
}

static void report(bool good, const char *who, const char *name) {
  CU_ASSERT(good);
  if (!good) {
    (void)printf("\n    %s: %s differs\n", name, who);
  }
}

/* A packing, by positions in the sorted order. */
typedef struct trial {
  size_t n, m;
  size_t item[ITEMS_MAX]; /* index of the item at a position */
  double weight[ITEMS_MAX];
  size_t pack[ITEMS_MAX];
} trial;

/* By counting who stands before an item. */
static void trial_sort(trial *t, const double *weight) {
  for (size_t i = 0; i < t->n; i++) {
    size_t at = 0;
    for (size_t j = 0; j < t->n; j++) {
      at += weight[j] > weight[i] || (weight[j] == weight[i] && j < i);
    }
    t->item[at] = i;
    t->weight[at] = weight[i];
  }
}

/* Load of a pack over the first `n` positions, and how many items that is. */
static double trial_load(const trial *t, size_t n, size_t pack, size_t *count) {
  double sum = 0;

  *count = 0;
  for (size_t i = 0; i < n; i++) {
    if (t->pack[i] == pack) {
      sum += t->weight[i];
      ++*count;
    }
  }
  return sum;
}

static void trial_pack(trial *t) {
  for (size_t i = 0; i < t->n; i++) {
    double lightest = INFINITY;
    for (size_t a = t->m; a-- > 0;) {
      size_t count;
      double load = trial_load(t, i, a, &count);
      if (count < t->n / t->m && load <= lightest) {
        lightest = load;
        t->pack[i] = a;
      }
    }
  }
}

static void trial_swap(trial *t, size_t i, size_t j) {
  size_t pack = t->pack[i];
  t->pack[i] = t->pack[j];
  t->pack[j] = pack;
}

static size_t trial_heaviest(const trial *t) {
  size_t heaviest = 0;
  size_t count;

  for (size_t a = 0; a < t->m; a++) {
    if (trial_load(t, t->n, a, &count) > trial_load(t, t->n, heaviest, &count)) {
      heaviest = a;
    }
  }
  return heaviest;
}

static double trial_squares(const trial *t) {
  double sum = 0;

  for (size_t a = 0; a < t->m; a++) {
    size_t count;
    double load = trial_load(t, t->n, a, &count);
    sum += load * load;
  }
  return sum;
}

/* What swapping i and j gains, from the loads before and after; exact for whole weights. l2: the
   fall of the sum of squares. maxmin: i is in the heaviest pack; how much lower than its load the
   heavier of both packs is afterwards. */
static double true_gain(trial *t, bool l2, size_t i, size_t j) {
  size_t count;
  size_t a = t->pack[i];
  size_t b = t->pack[j];

  if (!l2 && (a != trial_heaviest(t) || t->weight[i] <= t->weight[j])) {
    return -INFINITY;
  }
  double before = l2 ? trial_squares(t) : trial_load(t, t->n, a, &count);
  trial_swap(t, i, j);
  double after =
      l2 ? trial_squares(t) : fmax(trial_load(t, t->n, a, &count), trial_load(t, t->n, b, &count));
  trial_swap(t, i, j);
  return before - after;
}

/* The formulas of balancer/naive/naive.h as they round, for weights a few ulps apart. */
static double rounded_gain(const trial *t, bool l2, size_t i, size_t j) {
  size_t count;
  double delta = trial_load(t, t->n, t->pack[i], &count) - trial_load(t, t->n, t->pack[j], &count);
  double d = t->weight[i] - t->weight[j];

  if (l2) {
    return 2 * d * (delta - d);
  }
  return t->pack[i] == trial_heaviest(t) && d > 0 ? fmin(d, delta - d) : -INFINITY;
}

/* Every ordered pair, from the last to the first, so that >= leaves the smallest of the best. */
static double trial_search(trial *t, bool l2, bool exact, size_t *best_i, size_t *best_j) {
  double best = -INFINITY;

  for (size_t i = t->n; i-- > 0;) {
    for (size_t j = t->n; j-- > 0;) {
      if (t->pack[i] != t->pack[j]) {
        double gain = exact ? true_gain(t, l2, i, j) : rounded_gain(t, l2, i, j);
        if (gain >= best) {
          best = gain;
          *best_i = i;
          *best_j = j;
        }
      }
    }
  }
  return best;
}

static void trial_refine(trial *t, const char *refinement, const mb_balance_options *options,
                         bool exact, mb_pack_stats *stats) {
  while (strcmp(refinement, "lpt") != 0 && stats->rounds < options->max_rounds) {
    size_t i = 0;
    size_t j = 0;
    stats->rounds++;
    if (trial_search(t, strcmp(refinement, "l2") == 0, exact, &i, &j) <= options->min_gain) {
      return;
    }
    trial_swap(t, i, j);
    stats->swaps++;
  }
}

/* The least largest load over all packings, each pack filled to n/m: positions from `i` on. */
static double lowest_largest(trial *t, size_t i) {
  double lowest = INFINITY;

  if (i == t->n) {
    size_t count;
    return trial_load(t, t->n, trial_heaviest(t), &count);
  }
  for (size_t a = 0; a < t->m; a++) {
    size_t count;
    (void)trial_load(t, i, a, &count);
    if (count < t->n / t->m) {
      t->pack[i] = a;
      lowest = fmin(lowest, lowest_largest(t, i + 1));
    }
  }
  return lowest;
}

typedef struct pack_answer {
  int32_t index[ITEMS_MAX], rank[ITEMS_MAX];
  double load[ITEMS_MAX];
  mb_pack_stats stats;
} pack_answer;

static bool is_expected(const golden_case *c, size_t n, size_t m, const pack_answer *answer) {
  double index[ITEMS_MAX];
  double rank[ITEMS_MAX];
  double load[ITEMS_MAX];
  bool same = (size_t)answer->stats.rounds == number(c, "rounds") &&
              (size_t)answer->stats.swaps == number(c, "swaps");

  CU_ASSERT_FATAL(numbers(c, "pack", index) == n && numbers(c, "rank", rank) == n &&
                  numbers(c, "load", load) == m);
  for (size_t i = 0; i < n; i++) {
    same = same && answer->index[i] == (int32_t)index[i] && answer->rank[i] == (int32_t)rank[i];
  }
  for (size_t a = 0; a < m; a++) {
    same = same && answer->load[a] == load[a];
  }
  return same;
}

static pack_answer brute_force(const golden_case *c, size_t n, size_t m, const double *weight) {
  const mb_balance_options options = case_options(c);
  const bool exact = strcmp(text(c, "proof"), "rounded") != 0;
  pack_answer answer = {.stats = {0, 0}};
  size_t count[ITEMS_MAX] = {0};
  trial t = {.n = n, .m = m};

  trial_sort(&t, weight);
  trial_pack(&t);
  trial_refine(&t, text(c, "refinement"), &options, exact, &answer.stats);
  for (size_t i = 0; i < n; i++) {
    answer.index[t.item[i]] = (int32_t)t.pack[i];
    answer.rank[t.item[i]] = (int32_t)count[t.pack[i]]++;
  }
  for (size_t a = 0; a < m; a++) {
    size_t in_pack;
    answer.load[a] = trial_load(&t, n, a, &in_pack);
  }
  return answer;
}

static void check_lowest(const golden_case *c, size_t n, size_t m, const double *weight) {
  trial t = {.n = n, .m = m};

  trial_sort(&t, weight);
  report(lowest_largest(&t, 0) == (double)number(c, "lowest"), "the best packing", c->name);
}

static void check_pack(const golden_case *c) {
  const mb_balance_options options = case_options(c);
  double weight[ITEMS_MAX];
  size_t n = numbers(c, "weight", weight);
  size_t m = number(c, "packs");

  for (const balancer *how = balancers; how->name != NULL; how++) {
    pack_answer answer;
    CHECK_OK(how->pack(n, m, weight, text(c, "refinement"), &options, answer.index, answer.rank,
                       answer.load, &answer.stats));
    report(is_expected(c, n, m, &answer), how->name, c->name);
  }
  if (strcmp(text(c, "proof"), "hand") != 0) {
    pack_answer answer = brute_force(c, n, m, weight);
    report(is_expected(c, n, m, &answer), "brute force", c->name);
  }
  if (has(c, "lowest")) {
    check_lowest(c, n, m, weight);
  }
}

static void test_pack(void) {
  CU_ASSERT_EQUAL(for_each_case("pack.txt", check_pack), N_PACK_CASES);
}

static mb_placement expected_placement(const golden_case *c, const mb_shape *s) {
  mb_placement placement = placement_alloc(s);
  double values[ITEMS_MAX] = {0};
  const char *from = text(c, "back");
  size_t width = mb_shape_max_replicas(s);

  CU_ASSERT_FATAL(numbers(c, "map", values) == s->n_slots);
  for (size_t p = 0; p < s->n_slots; p++) {
    placement.physical_to_logical_map[p] = (int32_t)values[p];
  }
  for (size_t e = 0; e < s->n_experts; e++) {
    size_t n = read_numbers(&from, width, values);
    placement.expert_count[e] = (int32_t)n;
    for (size_t r = 0; r < width; r++) {
      placement.logical_to_physical_map[e * width + r] = r < n ? (int32_t)values[r] : -1;
    }
  }
  CU_ASSERT_FATAL(*from == '\0');
  return placement;
}

/* The least largest load a replica over all ways to share out `spare` replicas to places x on. */
static double lowest_share(size_t n, const double *load, size_t x, size_t spare) {
  if (x == n) {
    return spare == 0 ? 0 : INFINITY;
  }
  double lowest = INFINITY;
  for (size_t extra = 0; extra <= spare; extra++) {
    double share = load[x] / (double)(1 + extra);
    lowest = fmin(lowest, fmax(share, lowest_share(n, load, x + 1, spare - extra)));
  }
  return lowest;
}

/* On each node of the expected placement, no other replica counts make the largest share lower. */
static void prove_replicas(const golden_case *c, const mb_shape *s, const double *load,
                           const mb_placement *expected) {
  size_t n_nodes = mb_shape_is_hierarchical(s) ? s->n_nodes : 1;
  size_t node_slots = s->n_slots / n_nodes;

  for (size_t node = 0; node < n_nodes; node++) {
    double loads[ITEMS_MAX];
    double largest = 0;
    size_t n = 0;
    for (size_t e = 0; e < s->n_experts; e++) {
      size_t slot = (size_t)expected->logical_to_physical_map[e * mb_shape_max_replicas(s)];
      if (slot / node_slots == node) {
        loads[n++] = load[e];
        largest = fmax(largest, load[e] / expected->expert_count[e]);
      }
    }
    report(lowest_share(n, loads, 0, node_slots - n) == largest, "the best replication", c->name);
  }
}

static void check_rebalance(const golden_case *c) {
  const mb_balance_options options = case_options(c);
  double load[ITEMS_MAX];
  mb_shape s = {.n_layers = 1,
                .n_experts = numbers(c, "load", load),
                .n_slots = number(c, "slots"),
                .n_groups = number(c, "groups"),
                .n_nodes = number(c, "nodes"),
                .n_gpus = number(c, "gpus")};
  mb_placement expected = expected_placement(c, &s);

  for (const balancer *how = balancers; how->name != NULL; how++) {
    mb_placement ours = placement_alloc(&s);
    CHECK_OK(how->rebalance(&s, load, text(c, "refinement"), &options, &ours, NULL));
    report(placement_equal(&s, &ours, &expected), how->name, c->name);
    placement_free(&ours);
  }
  prove_replicas(c, &s, load, &expected);
  placement_free(&expected);
}

static void test_rebalance(void) {
  CU_ASSERT_EQUAL(for_each_case("rebalance.txt", check_rebalance), N_REBALANCE_CASES);
}

int main(void) {
  CU_TestInfo tests[] = {{"packings", test_pack},
                         {"rebalances, the published example among them", test_rebalance},
                         CU_TEST_INFO_NULL};
  return run_suite("golden", tests);
}
