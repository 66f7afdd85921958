/* tests/test_trace_stats.c - statistics against numbers by hand, checks against planted faults. */
#include "workloads/trace_stats.h"

#include <math.h>

#include "tests/test.h"
#include "workloads/domains.h"

enum { T = 12, L = 5, E = 8, K = 2 };

/* A right trace: every token of a step goes to K different experts of every layer. */
typedef struct recording {
  mb_trace_info info;
  uint32_t load[T][L][E];
  uint64_t tokens[T];
} recording;

static void route(recording *made, size_t t, size_t l, uint64_t n_tokens) {
  for (uint64_t token = 0; token < n_tokens; token++) {
    uint64_t first = (token * token + 3 * l + t) % E;
    for (uint64_t k = 0; k < K; k++) {
      made->load[t][l][(first + 3 * k) % E]++;
    }
  }
}

static recording record(void) {
  recording made = {.info = {.n_steps = T, .n_layers = L, .n_experts = E, .top_k = K}};

  for (size_t t = 0; t < T; t++) {
    made.tokens[t] = 20 + 7 * t % 11;
    for (size_t l = 0; l < L; l++) {
      route(&made, t, l, made.tokens[t]);
    }
  }
  return made;
}

static mb_trace_stats *gather(const recording *taken, size_t window, bool tokens_known,
                              size_t chunk) {
  mb_trace_stats *stats = NULL;

  CHECK_OK(mb_trace_stats_create(&taken->info, window, tokens_known, &stats));
  for (size_t t = 0; t < T; t += chunk) {
    size_t n = T - t < chunk ? T - t : chunk;
    mb_trace_stats_add(stats, n, taken->load[t][0], tokens_known ? taken->tokens + t : NULL);
  }
  return stats;
}

/* What a recording should be found guilty of. n_faults 0: nothing. */
typedef struct verdict {
  size_t n_faults;
  mb_trace_fault_kind kind;
  size_t n_layers, n_layer_steps, first_step;
  double amount;
} verdict;

static void check(const recording *taken, bool tokens_known, verdict expected) {
  mb_trace_stats *stats = gather(taken, 4, tokens_known, 5);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  size_t n_marked = 0;

  CU_ASSERT_EQUAL(summary->n_faults, expected.n_faults);
  for (size_t i = 0; i < summary->n_faults && summary->n_faults != expected.n_faults; i++) {
    (void)printf("\n    found: %s\n", mb_trace_fault_title(summary->faults[i].kind));
  }
  if (summary->n_faults > 0 && expected.n_faults > 0) {
    const mb_trace_fault *found = &summary->faults[0];
    CU_ASSERT_EQUAL(found->kind, expected.kind);
    CU_ASSERT_EQUAL(found->n_layers, expected.n_layers);
    CU_ASSERT_EQUAL(found->n_layer_steps, expected.n_layer_steps);
    CU_ASSERT_EQUAL(found->first_step, expected.first_step);
    CU_ASSERT(found->amount == expected.amount ||
              fabs(found->amount - expected.amount) < 1e-12 * expected.amount);
    for (size_t l = 0; l < L; l++) {
      n_marked += (summary->layers[l].faults >> expected.kind) & 1U;
    }
    CU_ASSERT_EQUAL(n_marked, expected.n_layers);
  }
  mb_trace_stats_destroy(stats);
}

static void test_right(void) {
  recording taken = record();
  uint64_t sum = 0;

  check(&taken, false, (verdict){.n_faults = 0});
  check(&taken, true, (verdict){.n_faults = 0});

  /* An empty step is no fault. */
  memset(taken.load[4], 0, sizeof taken.load[4]);
  taken.tokens[4] = 0;
  check(&taken, false, (verdict){.n_faults = 0});
  check(&taken, true, (verdict){.n_faults = 0});
  for (size_t t = 0; t < T; t++) {
    sum += taken.tokens[t];
  }
  for (int known = 0; known < 2; known++) {
    mb_trace_stats *stats = gather(&taken, 4, known != 0, 1);
    const mb_trace_summary *summary = mb_trace_stats_finish(stats);
    CU_ASSERT_EQUAL(summary->n_steps, T);
    CU_ASSERT_EQUAL(summary->n_empty_steps, 1);
    CU_ASSERT_EQUAL(summary->n_windows, 3);
    CU_ASSERT_EQUAL(summary->tokens_known, known != 0);
    CU_ASSERT_EQUAL(summary->tokens_min, 20.0);
    CU_ASSERT_EQUAL(summary->tokens_max, 30.0);
    CU_ASSERT_DOUBLE_EQUAL(summary->tokens_mean, (double)sum / (T - 1), 1e-12);
    mb_trace_stats_destroy(stats);
  }
}

static void test_zero_layer(void) {
  recording taken = record();

  for (size_t t = 0; t < T; t++) {
    memset(taken.load[t][2], 0, sizeof taken.load[t][2]);
  }
  verdict expected = {1, MB_TRACE_ZERO_LAYER, 1, T, 0, 0.0};
  check(&taken, false, expected);
  check(&taken, true, expected);

  /* A trace without any load accuses no layer. */
  memset(taken.load, 0, sizeof taken.load);
  check(&taken, false, (verdict){.n_faults = 0});
}

static void multiply(recording *taken, size_t first_layer, size_t n_layers, uint32_t factor) {
  for (size_t t = 0; t < T; t++) {
    for (size_t l = first_layer; l < first_layer + n_layers; l++) {
      for (size_t e = 0; e < E; e++) {
        taken->load[t][l][e] *= factor;
      }
    }
  }
}

static void test_counted_twice(void) {
  recording taken = record();
  multiply(&taken, 1, 1, 2);
  verdict one = {1, MB_TRACE_COUNTED_TWICE, 1, T, 0, 2.0};
  check(&taken, false, one);
  check(&taken, true, one);

  /* Most layers: the smallest sums are right, not those of the majority. */
  taken = record();
  multiply(&taken, 0, 4, 3);
  verdict most = {1, MB_TRACE_COUNTED_TWICE, 4, (size_t)4 * T, 0, 3.0};
  check(&taken, false, most);
  check(&taken, true, most);

  /* All layers: without the tokens nothing shows it. */
  taken = record();
  multiply(&taken, 0, L, 2);
  check(&taken, true, (verdict){1, MB_TRACE_COUNTED_TWICE, L, (size_t)L * T, 0, 2.0});
  check(&taken, false, (verdict){.n_faults = 0});
}

static void test_wrong_top_k(void) {
  recording taken = record();

  /* One expert too many in every layer, as where a shared expert is counted. */
  taken.info.top_k = K + 1;
  verdict all = {1, MB_TRACE_WRONG_TOP_K, L, (size_t)L * T, 0, 2.0};
  check(&taken, true, all);

  /* Fewer than the tokens say; but then experts seem to have more loads than tokens, too. */
  taken = record();
  taken.info.top_k = K - 1;
  check(&taken, true, (verdict){1, MB_TRACE_COUNTED_TWICE, L, (size_t)L * T, 0, 2.0});

  /* In one layer only, every third pair of a token. */
  taken = record();
  for (size_t t = 0; t < T; t++) {
    for (uint32_t i = 0; i < taken.tokens[t]; i++) {
      taken.load[t][3][i % E]++;
    }
  }
  verdict one = {1, MB_TRACE_WRONG_TOP_K, 1, T, 0, 3.0};
  check(&taken, true, one);
  check(&taken, false, one);
}

/* Batches padded to 32 tokens: the padding goes where the first token goes. */
static void test_padding(void) {
  recording taken = record();
  uint64_t right = 0;
  uint64_t padded = 0;
  size_t n_padded = 0;

  for (size_t t = 3; t < T; t++) {
    for (size_t l = 0; l < L; l++) {
      taken.load[t][l][0] += (uint32_t)(32 - taken.tokens[t]);
      taken.load[t][l][1] += (uint32_t)(32 - taken.tokens[t]);
      n_padded++;
    }
    padded += 2 * (32 - taken.tokens[t]);
    right += 2 * taken.tokens[t];
  }
  check(&taken, true,
        (verdict){1, MB_TRACE_PADDING, L, n_padded, 3, (double)padded / (double)right});
  /* The sums agree in all layers: only the tokens can tell. */
  check(&taken, false, (verdict){.n_faults = 0});

  /* In one layer, and one step, it shows against the others. */
  taken = record();
  taken.load[7][2][5] += 4;
  verdict one = {1, MB_TRACE_PADDING, 1, 1, 7, 4.0 / (2.0 * (double)taken.tokens[7])};
  check(&taken, false, one);
  check(&taken, true, one);

  /* Dummy tokens in a step that has none. */
  taken = record();
  taken.tokens[5] = 0;
  check(&taken, true, (verdict){1, MB_TRACE_PADDING, L, L, 5, INFINITY});
}

static size_t hottest(const uint32_t *load) {
  size_t found = 0;

  for (size_t e = 1; e < E; e++) {
    found = load[e] > load[found] ? e : found;
  }
  return found;
}

static void test_dropped(void) {
  recording taken = record();
  uint64_t missing = 0;
  uint64_t right = 0;
  size_t n_dropped = 0;
  bool layer_dropped[L] = {false};

  /* A capacity for each expert drops what exceeds it, differently in every layer. */
  for (size_t t = 2; t < T; t++) {
    for (size_t l = 0; l < L; l++) {
      uint64_t lost = 0;
      for (size_t e = 0; e < E; e++) {
        uint32_t capacity = (uint32_t)(9 + (l + e + t) % 4);
        uint32_t kept = taken.load[t][l][e] < capacity ? taken.load[t][l][e] : capacity;
        lost += taken.load[t][l][e] - kept;
        taken.load[t][l][e] = kept;
      }
      n_dropped += lost > 0 ? 1 : 0;
      layer_dropped[l] = layer_dropped[l] || lost > 0;
      right += lost > 0 ? 2 * taken.tokens[t] : 0;
      missing += lost;
    }
  }
  CU_ASSERT(n_dropped > 2 * (size_t)L && layer_dropped[0] && layer_dropped[L - 1]);
  check(&taken, true,
        (verdict){1, MB_TRACE_DROPPED, L, n_dropped, 2, (double)missing / (double)right});

  /* Without the tokens: one layer against the others, down to nothing at all. */
  taken = record();
  taken.load[9][4][hottest(taken.load[9][4])] -= 1;
  memset(taken.load[10][4], 0, sizeof taken.load[10][4]);
  double expected = 2.0 * (double)taken.tokens[9] + 2.0 * (double)taken.tokens[10];
  double amount = (1.0 + 2.0 * (double)taken.tokens[10]) / expected;
  check(&taken, false, (verdict){1, MB_TRACE_DROPPED, 1, 2, 9, amount});

  /* One layer-step without load, and nothing else. */
  taken = record();
  memset(taken.load[10][4], 0, sizeof taken.load[10][4]);
  check(&taken, false, (verdict){1, MB_TRACE_DROPPED, 1, 1, 10, 1.0});
  check(&taken, true, (verdict){1, MB_TRACE_DROPPED, 1, 1, 10, 1.0});

  /* A layer with a single load a step doesn't make multiples of the others. */
  taken = record();
  missing = 0;
  right = 0;
  for (size_t t = 0; t < T; t++) {
    memset(taken.load[t][2], 0, sizeof taken.load[t][2]);
    taken.load[t][2][1] = 1;
    missing += 2 * taken.tokens[t] - 1;
    right += 2 * taken.tokens[t];
  }
  amount = (double)missing / (double)right;
  check(&taken, false, (verdict){1, MB_TRACE_DROPPED, 1, T, 0, amount});

  /* No two layers agree: the largest sum is taken for right. */
  taken = record();
  for (uint32_t l = 1; l < L; l++) {
    taken.load[6][l][hottest(taken.load[6][l])] -= l;
  }
  mb_trace_stats *stats = gather(&taken, 4, false, 1);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  CU_ASSERT_EQUAL(summary->n_faults, 1);
  CU_ASSERT_EQUAL(summary->faults[0].kind, MB_TRACE_DROPPED);
  CU_ASSERT_EQUAL(summary->layers[0].faults, 0);
  mb_trace_stats_destroy(stats);
}

static void test_no_multiple(void) {
  recording taken = record();

  for (size_t l = 0; l < L; l++) {
    taken.load[8][l][l] += 1;
  }
  check(&taken, false, (verdict){1, MB_TRACE_NO_MULTIPLE, L, L, 8, 0.0});
}

/* The sum is right, yet one expert has more of it than there are tokens. */
static void test_hot_expert(void) {
  recording taken = record();
  uint32_t *load = taken.load[11][0];

  memset(load, 0, sizeof taken.load[11][0]);
  load[6] = (uint32_t)taken.tokens[11] + 1;
  load[2] = (uint32_t)taken.tokens[11] - 1;
  verdict expected = {1, MB_TRACE_HOT_EXPERT, 1, 1, 11, 0.0};
  check(&taken, false, expected);
  check(&taken, true, expected);
  load[6]--;
  load[2]++;
  check(&taken, true, (verdict){.n_faults = 0});
}

/* Several at once are all named, in the order of the list. */
static void test_together(void) {
  recording taken = record();

  multiply(&taken, 0, 1, 2);
  multiply(&taken, 4, 1, 0);
  taken.load[1][1][0] += 1;
  taken.load[2][2][hottest(taken.load[2][2])] -= 1;
  mb_trace_stats *stats = gather(&taken, 4, true, 3);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  CU_ASSERT_EQUAL(summary->n_faults, 4);
  CU_ASSERT_EQUAL(summary->layers[0].faults, 1U << MB_TRACE_COUNTED_TWICE);
  CU_ASSERT_EQUAL(summary->layers[1].faults, 1U << MB_TRACE_PADDING);
  CU_ASSERT_EQUAL(summary->layers[2].faults, 1U << MB_TRACE_DROPPED);
  CU_ASSERT_EQUAL(summary->layers[3].faults, 0);
  CU_ASSERT_EQUAL(summary->layers[4].faults, 1U << MB_TRACE_ZERO_LAYER);
  for (size_t i = 1; i < summary->n_faults; i++) {
    CU_ASSERT(summary->faults[i - 1].kind < summary->faults[i].kind);
  }
  mb_trace_stats_destroy(stats);
}

static void test_skew_by_hand(void) {
  const mb_trace_info info = {.n_layers = 2, .n_experts = 4, .top_k = 1};
  const uint32_t load[2][2][4] = {{{1, 0, 3, 4}, {2, 2, 2, 2}}, {{0, 2, 0, 6}, {0, 4, 4, 0}}};
  mb_trace_stats *stats = NULL;

  CHECK_OK(mb_trace_stats_create(&info, 1, false, &stats));
  mb_trace_stats_add(stats, 2, load[0][0], NULL);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  /* Layer 0 in all: 1, 2, 3, 10. */
  CU_ASSERT_EQUAL(summary->layers[0].load, 16);
  CU_ASSERT_EQUAL(summary->layers[0].peak, 2.5);
  CU_ASSERT_EQUAL(summary->layers[0].gini, 28.0 / 64.0);
  CU_ASSERT_EQUAL(summary->layers[0].hottest, 3);
  CU_ASSERT_EQUAL(summary->layers[0].n_idle, 0);
  CU_ASSERT_DOUBLE_EQUAL(summary->layers[0].tokens_per_active, 16.0 / 5.0, 1e-15);
  /* Layer 1: 2, 6, 6, 2; the first of equals is the hottest. */
  CU_ASSERT_EQUAL(summary->layers[1].gini, 16.0 / 64.0);
  CU_ASSERT_EQUAL(summary->layers[1].hottest, 1);
  CU_ASSERT_DOUBLE_EQUAL(summary->layers[1].tokens_per_active, 16.0 / 6.0, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(summary->tokens_per_active, 32.0 / 11.0, 1e-15);
  CU_ASSERT_EQUAL(summary->tokens_mean, 8.0);
  CU_ASSERT_EQUAL(summary->n_faults, 0);
  mb_trace_stats_destroy(stats);
}

/* Windows of two steps: (4,0), (0,4), (2,2), and an unfinished (9,0) that only the totals see. */
static void test_drift_by_hand(void) {
  const mb_trace_info info = {.n_layers = 1, .n_experts = 2, .top_k = 1};
  const uint32_t load[7][2] = {{1, 0}, {3, 0}, {0, 2}, {0, 2}, {2, 0}, {0, 2}, {9, 0}};
  mb_trace_stats *stats = NULL;

  CHECK_OK(mb_trace_stats_create(&info, 2, false, &stats));
  mb_trace_stats_add(stats, 7, load[0], NULL);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  const mb_layer_stats *layer = &summary->layers[0];
  CU_ASSERT_EQUAL(summary->n_windows, 3);
  CU_ASSERT_EQUAL(layer->load, 21);
  CU_ASSERT_DOUBLE_EQUAL(layer->drift, 0.75, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(layer->drift_max, 1.0, 1e-15);
  /* The second pair has none: shares of one half each don't vary. */
  CU_ASSERT_DOUBLE_EQUAL(layer->similarity, -1.0, 1e-12);
  /* Half the mean magnitude of a normal difference, twice: 2/2 sqrt(2/pi p(1-p)(1/4 + 1/4)). */
  double first = sqrt(2.0 / acos(-1.0) * 0.25 * 0.5);
  double second = sqrt(2.0 / acos(-1.0) * 0.1875 * 0.5);
  CU_ASSERT_DOUBLE_EQUAL(layer->drift_noise, (first + second) / 2.0, 1e-12);
  mb_trace_stats_destroy(stats);

  CHECK_OK(mb_trace_stats_create(&info, 7, false, &stats));
  mb_trace_stats_add(stats, 7, load[0], NULL);
  layer = &mb_trace_stats_finish(stats)->layers[0];
  CU_ASSERT(isnan(layer->drift) && isnan(layer->drift_max) && isnan(layer->similarity));
  mb_trace_stats_destroy(stats);
}

/* Loads that do not drift differ from window to window by just as much as drift_noise says; those
   that do, by more. A generated trace is free of faults. */
static mb_layer_stats of_generated(const char *drift, const char *period) {
  mb_domains_params params;
  mb_generator *generator = NULL;
  mb_trace_stats *stats = NULL;
  enum { STEPS = 400, EXPERTS = 256 };
  static uint32_t load[STEPS][EXPERTS];

  const mb_param *table = mb_generator_domains.params;
  mb_params_init(table, &params);
  params.workload.n_layers = 1;
  params.workload.n_steps = STEPS;
  params.workload.n_tokens = 512;
  params.noise_rms = 0.0;
  CHECK_OK(mb_params_set(table, "drift", drift, &params));
  CHECK_OK(mb_params_set(table, "drift_period", period, &params));
  CHECK_OK(mb_generator_create(&mb_generator_domains, &params, 5, &generator));
  CHECK_OK(mb_generator_next(generator, STEPS, load[0]));
  CHECK_OK(mb_trace_stats_create(mb_generator_get_info(generator), 10, false, &stats));
  mb_trace_stats_add(stats, STEPS, load[0], NULL);
  const mb_trace_summary *summary = mb_trace_stats_finish(stats);
  CU_ASSERT_EQUAL(summary->n_faults, 0);
  CU_ASSERT_EQUAL(summary->tokens_mean, 512.0);
  mb_layer_stats layer = summary->layers[0];
  mb_trace_stats_destroy(stats);
  mb_generator_destroy(generator);
  return layer;
}

static void test_noise_floor(void) {
  mb_layer_stats still = of_generated("none", "100");
  mb_layer_stats step = of_generated("step", "401");
  mb_layer_stats wave = of_generated("periodic", "100");

  CU_ASSERT_DOUBLE_EQUAL(still.drift / still.drift_noise, 1.0, 0.02);
  CU_ASSERT(wave.drift > 1.5 * wave.drift_noise);
  CU_ASSERT(still.similarity > 0.95 && wave.similarity < still.similarity);
  /* The change is past the end. */
  CU_ASSERT_EQUAL(step.drift, still.drift);
}

static void test_chunks(void) {
  recording taken = record();
  mb_trace_stats *once = gather(&taken, 5, true, T);
  const mb_trace_summary *expected = mb_trace_stats_finish(once);

  for (size_t chunk = 1; chunk < T; chunk++) {
    mb_trace_stats *stats = gather(&taken, 5, true, chunk);
    const mb_trace_summary *summary = mb_trace_stats_finish(stats);
    CU_ASSERT_EQUAL(summary->tokens_mean, expected->tokens_mean);
    CU_ASSERT_EQUAL(summary->n_windows, 2);
    for (size_t l = 0; l < L; l++) {
      CU_ASSERT_EQUAL(summary->layers[l].drift, expected->layers[l].drift);
      CU_ASSERT_EQUAL(summary->layers[l].gini, expected->layers[l].gini);
    }
    mb_trace_stats_destroy(stats);
  }
  mb_trace_stats_destroy(once);
}

static void test_refused(void) {
  recording taken = record();
  mb_trace_stats *stats = NULL;

  CHECK_FAILS(mb_trace_stats_create(&taken.info, 0, false, &stats), MB_ERR_RANGE, "window");
  CU_ASSERT_PTR_NULL(stats);
  mb_trace_stats_destroy(NULL);
  for (mb_trace_fault_kind kind = 0; kind < MB_TRACE_N_FAULTS; kind++) {
    CU_ASSERT(strlen(mb_trace_fault_title(kind)) > 0);
    CU_ASSERT(strlen(mb_trace_fault_meaning(kind)) > 0);
  }
}

int main(void) {
  CU_TestInfo tests[] = {
      {"a right trace", test_right},
      {"an all-zero layer", test_zero_layer},
      {"ranks counted twice", test_counted_twice},
      {"a wrong top_k", test_wrong_top_k},
      {"padding", test_padding},
      {"dropped tokens", test_dropped},
      {"sums that are no multiple of top_k", test_no_multiple},
      {"an expert with more loads than tokens", test_hot_expert},
      {"several faults together", test_together},
      {"skew, by hand", test_skew_by_hand},
      {"drift, by hand", test_drift_by_hand},
      {"drift that is only noise", test_noise_floor},
      {"same for any chunks", test_chunks},
      {"what is refused, and the texts", test_refused},
      CU_TEST_INFO_NULL,
  };
  return run_suite("trace_stats", tests);
}
