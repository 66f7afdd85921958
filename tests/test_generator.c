/* tests/test_generator.c - the generator `domains` against the model that it states, by exact
 * moments and chi-square bounds. Seeds are fixed, so a pass stays a pass; a bound is left by a
 * right program with a chance near 1e-6. */
#include "workloads/generator.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <omp.h>

#include "tests/test.h"
#include "workloads/domains.h"

#define TAIL 1e-6

enum { SEED = 20240607 };

/* The defaults, but for the "key=value key=value" given. */
static mb_domains_params params_of(const char *settings) {
  mb_domains_params params;
  char text[512];
  char *rest = text;

  mb_params_init(mb_generator_domains.params, &params);
  (void)snprintf(text, sizeof text, "%s", settings);
  for (char *key = strtok_r(text, " ", &rest); key != NULL; key = strtok_r(NULL, " ", &rest)) {
    char *value = strchr(key, '=');
    CU_ASSERT_PTR_NOT_NULL(value);
    if (value == NULL) {
      break;
    }
    *value = '\0';
    CHECK_OK(mb_params_set(mb_generator_domains.params, key, value + 1, &params));
  }
  return params;
}

/* A generator whose state can be looked into, with the loads of its first n_steps. */
typedef struct sample {
  void *state;
  mb_trace_info info;
  uint32_t *load; /* [T,L,E] */
} sample;

static sample take(const mb_domains_params *params, uint64_t seed) {
  sample made = {.state = calloc(1, mb_generator_domains.state_size)};

  CHECK_OK(mb_generator_domains.init(made.state, params, seed, &made.info));
  size_t n = made.info.n_steps * made.info.n_layers * made.info.n_experts;
  made.load = malloc(n * sizeof *made.load);
  CU_ASSERT_PTR_NOT_NULL_FATAL(made.load);
  CHECK_OK(mb_generator_domains.next(made.state, made.info.n_steps, made.load));
  return made;
}

static void drop(sample *taken) {
  mb_generator_domains.fini(taken->state);
  free(taken->state);
  free(taken->load);
}

static const uint32_t *row(const sample *taken, size_t t, size_t l) {
  return taken->load + (t * taken->info.n_layers + l) * taken->info.n_experts;
}

/* Both tails: too good a fit is as wrong as too bad a one. */
static void check_chi_square(double statistic, double dof) {
  double upper = gsl_cdf_chisq_Q(statistic, dof);

  CU_ASSERT(upper > TAIL && upper < 1.0 - TAIL);
  if (!(upper > TAIL && upper < 1.0 - TAIL)) {
    (void)printf("\n    chi-square %g with %g degrees of freedom: p = %g\n", statistic, dof, upper);
  }
}

/* Steps [first, last) of layer l are multinomial with shares p: by the mean (the pooled counts) and
   by the variance (the dispersion of the single steps). */
static void check_multinomial(const sample *taken, size_t l, size_t first, size_t last,
                              const double *p) {
  size_t n_experts = taken->info.n_experts;
  double n = 0.0;
  double pooled = 0.0;
  double dispersion = 0.0;

  for (size_t e = 0; e < n_experts; e++) {
    n += row(taken, first, l)[e];
  }
  for (size_t e = 0; e < n_experts; e++) {
    double expected = n * p[e];
    double total = 0.0;
    for (size_t t = first; t < last; t++) {
      double count = row(taken, t, l)[e];
      total += count;
      dispersion += (count - expected) * (count - expected) / expected;
    }
    double expected_total = expected * (double)(last - first);
    pooled += (total - expected_total) * (total - expected_total) / expected_total;
  }
  check_chi_square(pooled, (double)(n_experts - 1));
  check_chi_square(dispersion, (double)((last - first) * (n_experts - 1)));
}

static void test_registry(void) {
  CU_ASSERT_PTR_EQUAL(mb_generator_find("domains"), &mb_generator_domains);
  CU_ASSERT_PTR_NULL(mb_generator_find("domain"));
  for (const mb_generator_type *const *type = mb_generators(); *type != NULL; type++) {
    CU_ASSERT_PTR_EQUAL(mb_generator_find((*type)->name), *type);
    CU_ASSERT(strlen((*type)->summary) > 0);
    CU_ASSERT((*type)->params != NULL && (*type)->init != NULL && (*type)->next != NULL);
  }
}

static void test_info(void) {
  mb_domains_params params = params_of("phase=prefill steps=3 sigma=0.25");
  mb_generator *generator = NULL;

  CHECK_OK(mb_generator_create(&mb_generator_domains, &params, 77, &generator));
  CU_ASSERT_PTR_NOT_NULL_FATAL(generator);
  const mb_trace_info *info = mb_generator_get_info(generator);
  CU_ASSERT_EQUAL(info->n_steps, 3);
  CU_ASSERT_EQUAL(info->n_layers, 58);
  CU_ASSERT_EQUAL(info->n_experts, 256);
  CU_ASSERT_EQUAL(info->top_k, 8);
  CU_ASSERT_EQUAL(info->n_groups, 8);
  CU_ASSERT_EQUAL(info->layer_ids[0], 3);
  CU_ASSERT_EQUAL(info->layer_ids[57], 60);
  CU_ASSERT_EQUAL(info->phase, MB_PHASE_PREFILL);
  CU_ASSERT_STRING_EQUAL(info->model, "deepseek-v3");
  CU_ASSERT_PTR_NOT_NULL(strstr(info->source, "synthetic"));
  CU_ASSERT_PTR_NOT_NULL(strstr(info->source, "model=deepseek-v3"));
  CU_ASSERT_PTR_NOT_NULL(strstr(info->source, "sigma=0.25"));
  CU_ASSERT_PTR_NOT_NULL(strstr(info->source, "seed=77"));
  mb_generator_destroy(generator);
  mb_generator_destroy(NULL);

  params = params_of("model=mixtral-8x7b layers=2");
  CHECK_OK(mb_generator_create(&mb_generator_domains, &params, 1, &generator));
  CU_ASSERT_STRING_EQUAL(mb_generator_get_info(generator)->model, "mixtral-8x7b, resized");
  mb_generator_destroy(generator);
}

/* The two invariants of counts of tokens that pick top_k different experts each. */
static void check_feasible(const mb_domains_params *params) {
  sample taken = take(params, SEED);

  for (size_t t = 0; t < taken.info.n_steps; t++) {
    for (size_t l = 0; l < taken.info.n_layers; l++) {
      uint64_t sum = 0;
      uint32_t highest = 0;
      for (size_t e = 0; e < taken.info.n_experts; e++) {
        uint32_t count = row(&taken, t, l)[e];
        sum += count;
        highest = count > highest ? count : highest;
      }
      CU_ASSERT_EQUAL(sum, (uint64_t)params->workload.n_tokens * (uint64_t)taken.info.top_k);
      CU_ASSERT(highest <= params->workload.n_tokens);
    }
  }
  drop(&taken);
}

static void test_feasible(void) {
  mb_domains_params usual = params_of("steps=20");
  mb_domains_params extreme =
      params_of("model=mixtral-8x7b steps=200 tokens=37 sigma=5 head_cap=1e6 "
                "noise_rms=2");
  mb_domains_params small = params_of("model=kimi-k2 steps=30 tokens=1");
  mb_domains_params full =
      params_of("layers=2 experts=6 top_k=6 groups=1 sigma=3 steps=50 tokens=11");
  mb_domains_params single = params_of("layers=1 experts=1 top_k=1 groups=1 steps=5");
  check_feasible(&usual);
  check_feasible(&extreme);
  check_feasible(&small);
  check_feasible(&full);
  check_feasible(&single);
}

static void test_multinomial(void) {
  mb_domains_params params = params_of("model=gpt-oss-20b layers=6 experts=64 steps=400 tokens=500 "
                                       "drift=none noise_rms=0");
  sample taken = take(&params, SEED);

  for (size_t l = 0; l < taken.info.n_layers; l++) {
    check_multinomial(&taken, l, 0, 400, mb_domains_share(taken.state, 0) + l * 64);
  }
  drop(&taken);
}

/* A hand-made formula of each kind, then the loads themselves at both ends and half-way. */
static void test_drift(void) {
  mb_domains_params step = params_of("drift=step drift_period=10");
  mb_domains_params ramp = params_of("drift=ramp drift_period=10");
  mb_domains_params wave = params_of("drift=periodic drift_period=12");
  mb_domains_params none = params_of("drift=none");
  CU_ASSERT(mb_domains_weight(&step, 9) == 0.0 && mb_domains_weight(&step, 10) == 1.0);
  CU_ASSERT(mb_domains_weight(&ramp, 0) == 0.0 && mb_domains_weight(&ramp, 11) == 1.0);
  CU_ASSERT_DOUBLE_EQUAL(mb_domains_weight(&ramp, 3), 0.3, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mb_domains_weight(&wave, 2), 0.25, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mb_domains_weight(&wave, 6), 1.0, 1e-15);
  CU_ASSERT_DOUBLE_EQUAL(mb_domains_weight(&wave, 27), 0.5, 1e-15);
  CU_ASSERT(mb_domains_weight(&none, 500) == 0.0);

  mb_domains_params params =
      params_of("layers=2 experts=64 top_k=2 steps=300 tokens=1000 drift=step "
                "drift_period=120 noise_rms=0");
  sample taken = take(&params, SEED);
  check_multinomial(&taken, 1, 0, 120, mb_domains_share(taken.state, 0) + 64);
  check_multinomial(&taken, 1, 120, 300, mb_domains_share(taken.state, 1) + 64);
  drop(&taken);

  params = params_of("layers=1 experts=64 top_k=2 steps=3 tokens=1000000 drift=ramp "
                     "drift_period=2 noise_rms=0");
  taken = take(&params, SEED);
  double middle[64];
  for (size_t e = 0; e < 64; e++) {
    middle[e] = (mb_domains_share(taken.state, 0)[e] + mb_domains_share(taken.state, 1)[e]) / 2.0;
  }
  check_multinomial(&taken, 0, 1, 2, middle);
  drop(&taken);
}

static double gini(const double *sorted, size_t n) {
  double weighted = 0.0;
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    weighted += (2.0 * (double)i + 1.0 - (double)n) * sorted[i];
    sum += sorted[i];
  }
  return weighted / ((double)n * sum);
}

/* Lognormal: sd of the logs is sigma, their correlation is the given one, Gini is erf(sigma / 2).
 */
static void test_popularity(void) {
  enum { N = 16384 };
  mb_domains_params params =
      params_of("layers=1 experts=16384 groups=1 steps=1 sigma=0.7 sigma_spread=0 "
                "head_cap=1e6 correlation=0.4");
  sample taken = take(&params, SEED);
  static double logs[2][N];
  static double share[N];

  for (size_t domain = 0; domain < 2; domain++) {
    memcpy(share, mb_domains_share(taken.state, domain), sizeof share);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(share, 1, N) * N, 1.0, 1e-9);
    for (size_t e = 0; e < N; e++) {
      logs[domain][e] = log(share[e]);
    }
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_sd(logs[domain], 1, N), 0.7, 5.0 * 0.7 / sqrt(2.0 * N));
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_skew(logs[domain], 1, N), 0.0, 5.0 * sqrt(6.0 / N));
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_kurtosis(logs[domain], 1, N), 0.0, 5.0 * sqrt(24.0 / N));
    gsl_sort(share, 1, N);
    CU_ASSERT_DOUBLE_EQUAL(gini(share, N), erf(0.7 / 2.0), 0.02);
  }
  CU_ASSERT_DOUBLE_EQUAL(gsl_stats_correlation(logs[0], 1, logs[1], 1, N), 0.4,
                         5.0 * (1.0 - 0.4 * 0.4) / sqrt(N));
  drop(&taken);
}

static void test_spread_and_cap(void) {
  mb_domains_params params = params_of("layers=40 experts=4096 groups=1 steps=1 tokens=1 sigma=1 "
                                       "sigma_spread=0.4 head_cap=5");
  sample taken = take(&params, SEED);
  double sigma[40];

  for (size_t l = 0; l < 40; l++) {
    const double *share = mb_domains_share(taken.state, 1) + l * 4096;
    double logs[4096];
    for (size_t e = 0; e < 4096; e++) {
      logs[e] = log(share[e]);
    }
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(share, 1, 4096) * 4096.0, 1.0, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_max(share, 1, 4096), 5.0 / 4096.0, 1e-15);
    /* The cap leaves the lower half as it was, so its quartile still tells the layer's sigma. */
    gsl_sort(logs, 1, 4096);
    sigma[l] = (logs[2048] - logs[1024]) / gsl_cdf_ugaussian_Pinv(0.75);
    CU_ASSERT(sigma[l] > 0.5 && sigma[l] < 1.5);
  }
  /* Uniform in 1 +- 0.4. */
  CU_ASSERT_DOUBLE_EQUAL(gsl_stats_sd(sigma, 1, 40), 0.4 / sqrt(3.0), 0.06);
  drop(&taken);
}

/* With equal popularity and huge counts, the logs of the counts are the noise itself. */
static void test_noise(void) {
  enum { N = 4096, LAG = 8 };
  mb_domains_params params =
      params_of("layers=1 experts=4096 groups=1 top_k=8 tokens=16777216 steps=17 "
                "sigma=0 noise_rms=0.3 noise_autocorrelation=0.65 noise_lag=8");
  sample taken = take(&params, SEED);
  static double logs[3][N];

  for (size_t i = 0; i < 3; i++) {
    for (size_t e = 0; e < N; e++) {
      logs[i][e] = log((double)row(&taken, i * LAG, 0)[e]);
    }
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_sd(logs[i], 1, N), 0.3, 5.0 * 0.3 / sqrt(2.0 * N));
  }
  double once = gsl_stats_correlation(logs[0], 1, logs[1], 1, N);
  double twice = gsl_stats_correlation(logs[0], 1, logs[2], 1, N);
  CU_ASSERT_DOUBLE_EQUAL(once, 0.65, 5.0 * (1.0 - 0.65 * 0.65) / sqrt(N));
  CU_ASSERT_DOUBLE_EQUAL(twice, 0.65 * 0.65, 5.0 * (1.0 - 0.4225 * 0.4225) / sqrt(N));
  drop(&taken);
}

/* The cut at 1 / top_k: an expert with a larger share is one that nearly every token picks. */
static void test_hot_expert(void) {
  mb_domains_params params =
      params_of("layers=8 experts=8 top_k=4 groups=1 tokens=100000 sigma=5 "
                "sigma_spread=0 head_cap=1e6 drift=none noise_rms=0 steps=1");
  sample taken = take(&params, SEED);
  size_t n_hot = 0;

  for (size_t i = 0; i < (size_t)8 * 8; i++) {
    if (mb_domains_share(taken.state, 0)[i] > 0.25) {
      CU_ASSERT(taken.load[i] > 99000 && taken.load[i] <= 100000);
      n_hot++;
    }
  }
  CU_ASSERT(n_hot >= 8);
  drop(&taken);
}

static uint32_t *in_chunks(const mb_domains_params *params, uint64_t seed, size_t chunk,
                           int n_threads) {
  mb_generator *generator = NULL;

  omp_set_num_threads(n_threads);
  CHECK_OK(mb_generator_create(&mb_generator_domains, params, seed, &generator));
  const mb_trace_info *info = mb_generator_get_info(generator);
  size_t n = info->n_layers * info->n_experts;
  uint32_t *load = malloc(info->n_steps * n * sizeof *load);
  CU_ASSERT_PTR_NOT_NULL_FATAL(load);
  for (size_t t = 0; t < info->n_steps; t += chunk) {
    size_t left = info->n_steps - t;
    CHECK_OK(mb_generator_next(generator, left < chunk ? left : chunk, load + t * n));
  }
  mb_generator_destroy(generator);
  return load;
}

static void test_deterministic(void) {
  mb_domains_params params = params_of("model=gpt-oss-20b steps=50 tokens=64 drift_period=20");
  size_t size = (size_t)50 * 24 * 32 * sizeof(uint32_t);
  uint32_t *expected = in_chunks(&params, SEED, 50, 1);
  uint32_t *singly = in_chunks(&params, SEED, 1, 2);
  uint32_t *sevens = in_chunks(&params, SEED, 7, 5);
  uint32_t *other = in_chunks(&params, SEED + 1, 50, 1);

  CU_ASSERT_EQUAL(memcmp(expected, singly, size), 0);
  CU_ASSERT_EQUAL(memcmp(expected, sevens, size), 0);
  CU_ASSERT_NOT_EQUAL(memcmp(expected, other, size), 0);

  /* A longer trace begins with the shorter one. */
  params.workload.n_steps = 60;
  uint32_t *longer = in_chunks(&params, SEED, 9, 2);
  CU_ASSERT_EQUAL(memcmp(expected, longer, size), 0);
  free(expected);
  free(singly);
  free(sevens);
  free(other);
  free(longer);
}

/* Layers differ from each other, or a stream would be shared. */
static void test_layers_differ(void) {
  mb_domains_params params = params_of("model=gpt-oss-20b steps=1 sigma=0 noise_rms=0");
  sample taken = take(&params, SEED);

  for (size_t l = 1; l < taken.info.n_layers; l++) {
    CU_ASSERT_NOT_EQUAL(memcmp(row(&taken, 0, 0), row(&taken, 0, l), 32 * sizeof(uint32_t)), 0);
  }
  drop(&taken);
}

static void check_refused(mb_domains_params params, mb_status status, const char *text) {
  mb_generator *generator = NULL;

  CHECK_FAILS(mb_generator_create(&mb_generator_domains, &params, 1, &generator), status, text);
  CU_ASSERT_PTR_NULL(generator);
}

static void test_refusals(void) {
  check_refused(params_of("top_k=9 experts=8"), MB_ERR_SHAPE,
                "top_k: 9 different experts, but experts is 8");
  check_refused(params_of("groups=3"), MB_ERR_SHAPE, "groups: 3 does not divide experts, 256");
  check_refused(params_of("layers=1025 experts=65536"), MB_ERR_SHAPE,
                "layers: 1025 of 65536 experts, but their product is at most 67108864");
  check_refused(params_of("tokens=16777216 top_k=200"), MB_ERR_SHAPE, "more than 2147483647 loads");
  mb_domains_params params = params_of("");
  (void)strcpy(params.workload.model, "gpt-5");
  check_refused(params, MB_ERR_PARAM, "no model 'gpt-5'");

  const mb_param *table = mb_generator_domains.params;
  CHECK_FAILS(mb_params_set(table, "model", "gpt-5", &params), MB_ERR_PARAM, "deepseek-v3");
  CHECK_FAILS(mb_params_set(table, "steps", "0", &params), MB_ERR_PARAM, "steps");
  CHECK_FAILS(mb_params_set(table, "drift", "sideways", &params), MB_ERR_PARAM, "periodic");
  CHECK_FAILS(mb_params_set(table, "corelation", "0", &params), MB_ERR_PARAM, "correlation");
}

int main(void) {
  CU_TestInfo tests[] = {
      {"registry", test_registry},
      {"the trace's attributes", test_info},
      {"sums and the most an expert can get", test_feasible},
      {"multinomial mean and variance", test_multinomial},
      {"drift", test_drift},
      {"lognormal popularity in two domains", test_popularity},
      {"the layers' sigmas and the cap", test_spread_and_cap},
      {"AR(1) noise", test_noise},
      {"an expert that every token wants", test_hot_expert},
      {"same loads for any chunks and threads", test_deterministic},
      {"a stream for each layer", test_layers_differ},
      {"refusals", test_refusals},
      CU_TEST_INFO_NULL,
  };
  (void)gsl_set_error_handler_off();
  (void)printf("seed %d\n", SEED);
  return run_suite("generator", tests);
}
