/* tests/test_drift.c - the generator `drift` against the moments that drift.h states. Seeds are
 * fixed, so a pass stays a pass; a bound is left by a right program with a chance near 1e-6. */
#include "workloads/drift.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <omp.h>

#include "tests/test.h"

enum { SEED = 20240607 };

/* The defaults, but for the "key=value;key=value" given. */
static mb_drift_params params_of(const char *settings) {
  mb_drift_params params;
  char text[1024];
  char *rest = text;

  mb_params_init(mb_generator_drift.params, &params);
  (void)snprintf(text, sizeof text, "%s", settings);
  for (char *key = strtok_r(text, ";", &rest); key != NULL; key = strtok_r(NULL, ";", &rest)) {
    char *value = strchr(key, '=');
    CU_ASSERT_PTR_NOT_NULL_FATAL(value);
    *value = '\0';
    CHECK_OK(mb_params_set(mb_generator_drift.params, key, value + 1, &params));
  }
  return params;
}

static void *start(const mb_drift_params *params, uint64_t seed, mb_trace_info *info) {
  void *state = calloc(1, mb_generator_drift.state_size);

  CU_ASSERT_PTR_NOT_NULL_FATAL(state);
  CHECK_OK(mb_generator_drift.init(state, params, seed, info));
  return state;
}

static void stop(void *state) {
  mb_generator_drift.fini(state);
  free(state);
}

/* A normal score, bent. */
static double y_of(size_t i, size_t n, double skew) {
  double z = gsl_cdf_ugaussian_Pinv(((double)i + 0.5) / (double)n);

  return skew != 0.0 ? (exp(skew * z) - 1.0) / skew : z;
}

static void test_mean_shares(void) {
  enum { N = 256 };
  double share[N];
  double logs[N];

  for (int i = -6; i <= 6; i++) {
    double skew = (double)i / 3.0;
    mb_drift_mean_shares(N, 1.3, skew, share);
    CU_ASSERT_DOUBLE_EQUAL(gsl_stats_mean(share, 1, N) * N, 1.0, 1e-12);
    for (size_t e = 0; e < N; e++) {
      logs[e] = log(share[e]);
      CU_ASSERT(e == 0 || logs[e] > logs[e - 1]);
    }
    double sd = gsl_stats_sd_with_fixed_mean(logs, 1, N, gsl_stats_mean(logs, 1, N));
    CU_ASSERT_DOUBLE_EQUAL(sd, 1.3, 1e-9);
    double skewness = gsl_stats_skew(logs, 1, N);
    CU_ASSERT(i == 0 ? fabs(skewness) < 1e-9 : skewness * skew > 0.0);
    for (size_t e = 1; e + 1 < N; e++) {
      double wanted =
          (y_of(e, N, skew) - y_of(0, N, skew)) / (y_of(N - 1, N, skew) - y_of(0, N, skew));
      CU_ASSERT_DOUBLE_EQUAL((logs[e] - logs[0]) / (logs[N - 1] - logs[0]), wanted, 1e-9);
    }
  }
  mb_drift_mean_shares(N, 0.0, -1.0, share);
  CU_ASSERT(share[0] == share[N - 1]);
  mb_drift_mean_shares(1, 2.0, 0.5, share);
  CU_ASSERT(share[0] == 1.0);
}

static void test_spread(void) {
  enum { N = 48 };
  double share[N];
  double spread[N];

  mb_drift_mean_shares(N, 1.1, -0.6, share);
  double v = -1.0;
  for (size_t e = 0; e < N; e++) {
    v += N * share[e] * share[e];
  }
  for (int i = 0; i <= 4; i++) {
    double h = (double)i / 4.0;
    double sum = 0.0;
    mb_drift_spread(N, share, h, spread);
    for (size_t e = 0; e < N; e++) {
      sum += share[e] * share[e] * spread[e];
      CU_ASSERT_DOUBLE_EQUAL(spread[e] / spread[0], pow(share[e] / share[0], -2.0 * h), 1e-9);
    }
    CU_ASSERT_DOUBLE_EQUAL(sum, v / N, 1e-12);
  }
}

/* The spread of a layer's mean shares, and of each expert's: V and r of drift.h. */
static void find_spread(size_t n, const double *share, double h, double *spread) {
  double v = -1.0;
  double mean = 0.0;

  for (size_t e = 0; e < n; e++) {
    double x = share[e] * (double)n;
    v += x * x / (double)n;
    mean += pow(x, 2.0 - 2.0 * h) / (double)n;
  }
  for (size_t e = 0; e < n; e++) {
    spread[e] = v * pow(share[e] * (double)n, -2.0 * h) / mean;
  }
}

/* The mean of x[n] is `expected` within 5 standard errors of the sample itself. */
static void check_mean(const char *what, size_t n, const double *x, double expected) {
  double error = gsl_stats_sd(x, 1, n) / sqrt((double)n);
  double mean = gsl_stats_mean(x, 1, n);

  CU_ASSERT(fabs(mean - expected) < 5.0 * error && error < 0.05);
  if (!(fabs(mean - expected) < 5.0 * error && error < 0.05)) {
    (void)printf("\n    %s: %g +- %g, expected %g\n", what, mean, error, expected);
  }
}

/* Many short traces, each stationary from its first step on: of every expert q / m - 1 at both
   ends. Over the deviation that it must have, its mean is 0, its square 1, and its product with
   itself LAG steps later what the two autocorrelations make of it. */
static void check_moments(const char *settings) {
  enum { N_SEEDS = 3000, L = 2, E = 8, LAG = 7, N = N_SEEDS * L * E };
  mb_drift_params params = params_of(settings);
  double still = 1.0 - params.drift_fast - params.drift_slow;
  double *x[3] = {calloc(N, sizeof **x), calloc(N, sizeof **x), calloc(N, sizeof **x)};
  uint32_t load[LAG * L * E];
  double before[L * E];
  double after[L * E];
  mb_trace_info info;

  for (size_t s = 0; s < N_SEEDS; s++) {
    void *state = start(&params, SEED + s, &info);
    CU_ASSERT_FATAL(info.n_layers == L && info.n_experts == E);
    mb_drift_popularity(state, before);
    CHECK_OK(mb_generator_drift.next(state, LAG, load));
    mb_drift_popularity(state, after);
    for (size_t i = 0; i < (size_t)L * E; i++) {
      double spread[E];
      const double *share = mb_drift_share(state) + i / E * E;
      find_spread(E, share, params.cold_drift, spread);
      double fast = 1.0 + params.drift_fast / still * spread[i % E];
      double slow = 1.0 + params.drift_slow / still * spread[i % E];
      double a = before[i] / share[i % E] - 1.0;
      double b = after[i] / share[i % E] - 1.0;
      double later =
          pow(fast, exp(-LAG / params.steps_fast)) * pow(slow, exp(-LAG / params.steps_slow)) - 1.0;
      x[0][s * L * E + i] = a;
      x[1][s * L * E + i] = a * a / (fast * slow - 1.0);
      x[2][s * L * E + i] = a * b / later;
    }
    stop(state);
  }
  check_mean("mean of q / m - 1", N, x[0], 0.0);
  check_mean("variance of q / m, over what it must be", N, x[1], 1.0);
  check_mean("covariance of q / m, over what it must be", N, x[2], 1.0);
  for (size_t i = 0; i < 3; i++) {
    free(x[i]);
  }
}

#define SMALL "layers=2;experts=8;top_k=2;groups=1;tokens=1;steps=7;"

static void test_moments(void) {
  check_moments(SMALL "sigma=0.5;cold_drift=0.5;drift_fast=0.3;drift_slow=0;steps_fast=5");
  check_moments(SMALL "sigma=0.5;cold_drift=0;drift_fast=0;drift_slow=0.4;steps_slow=30");
  check_moments(SMALL "sigma=0.6 0.4;skew=-0.3 0.2;cold_drift=1;drift_fast=0.2;drift_slow=0.2;"
                      "steps_fast=3;steps_slow=40");
}

/* Without drift the loads are multinomial with the mean shares: their mean, and their variance. */
static void test_multinomial(void) {
  enum { T = 400, L = 3, E = 32, N = 4 * 64 };
  mb_drift_params params = params_of("model=gpt-oss-20b;layers=3;steps=400;tokens=64;sigma=0.6;"
                                     "drift_fast=0;drift_slow=0");
  uint32_t *load = calloc((size_t)T * L * E, sizeof *load);
  mb_trace_info info;

  void *state = start(&params, SEED, &info);
  CU_ASSERT_FATAL(load != NULL && info.n_layers == L && info.n_experts == E);
  CHECK_OK(mb_generator_drift.next(state, T, load));
  for (size_t l = 0; l < L; l++) {
    double pooled = 0.0;
    double single = 0.0;
    for (size_t e = 0; e < E; e++) {
      double p = mb_drift_share(state)[l * E + e];
      double sum = 0.0;
      for (size_t t = 0; t < T; t++) {
        double count = load[(t * L + l) * E + e];
        single += (count - N * p) * (count - N * p) / (N * p);
        sum += count;
      }
      pooled += (sum - T * N * p) * (sum - T * N * p) / (T * N * p);
    }
    double of_pooled = gsl_cdf_chisq_Q(pooled, E - 1);
    double of_single = gsl_cdf_chisq_Q(single, T * (E - 1));
    CU_ASSERT(of_pooled > 1e-6 && of_pooled < 1.0 - 1e-6);
    CU_ASSERT(of_single > 1e-6 && of_single < 1.0 - 1e-6);
  }
  stop(state);
  free(load);
}

/* Every seed has the same mean shares in a layer, in another order. */
static void test_seeds(void) {
  enum { E = 64 };
  mb_drift_params params = params_of("layers=2;experts=64;groups=1;sigma=0.9 0.4;skew=-1 0.5");
  mb_trace_info info;
  void *state[2] = {start(&params, 1, &info), start(&params, 2, &info)};

  for (size_t l = 0; l < 2; l++) {
    double expected[E];
    bool same_order = true;
    mb_drift_mean_shares(E, l == 0 ? 0.9 : 0.4, l == 0 ? -1.0 : 0.5, expected);
    for (size_t s = 0; s < 2; s++) {
      double sorted[E];
      memcpy(sorted, mb_drift_share(state[s]) + l * E, sizeof sorted);
      gsl_sort(sorted, 1, E);
      CU_ASSERT(memcmp(sorted, expected, sizeof sorted) == 0);
    }
    same_order = memcmp(mb_drift_share(state[0]) + l * E, mb_drift_share(state[1]) + l * E,
                        sizeof expected) == 0;
    CU_ASSERT(!same_order);
  }
  stop(state[0]);
  stop(state[1]);
}

static uint32_t *in_chunks(const mb_drift_params *params, size_t chunk, int n_threads) {
  mb_trace_info info;
  int before = omp_get_max_threads();

  void *state = start(params, SEED, &info);
  size_t size = info.n_layers * info.n_experts;
  uint32_t *load = calloc(info.n_steps * size, sizeof *load);
  CU_ASSERT_PTR_NOT_NULL_FATAL(load);
  omp_set_num_threads(n_threads);
  for (size_t t = 0; t < info.n_steps; t += chunk) {
    size_t left = info.n_steps - t;
    CHECK_OK(mb_generator_drift.next(state, left < chunk ? left : chunk, load + t * size));
  }
  omp_set_num_threads(before);
  stop(state);
  return load;
}

/* Neither threads nor chunks change a load. Popular experts end at one load a token. */
static void test_same_loads(void) {
  enum { T = 50, L = 5, E = 16, TOKENS = 33, K = 4 };
  mb_drift_params params = params_of("layers=5;experts=16;top_k=4;groups=1;steps=50;tokens=33;"
                                     "sigma=2;drift_fast=0.4;drift_slow=0.5;steps_slow=10");
  uint32_t *whole = in_chunks(&params, T, 1);
  uint32_t *parts = in_chunks(&params, 7, 3);

  CU_ASSERT(memcmp(whole, parts, sizeof *whole * T * L * E) == 0);
  for (size_t row = 0; row < (size_t)T * L; row++) {
    uint32_t sum = 0;
    for (size_t e = 0; e < E; e++) {
      sum += whole[row * E + e];
      CU_ASSERT(whole[row * E + e] <= TOKENS);
    }
    CU_ASSERT_EQUAL(sum, TOKENS * K);
  }
  free(whole);
  free(parts);
}

static void check_refused(const char *settings, mb_status status, const char *text) {
  mb_drift_params params = params_of(settings);
  void *state = calloc(1, mb_generator_drift.state_size);
  mb_trace_info info;

  CU_ASSERT_PTR_NOT_NULL_FATAL(state);
  CHECK_FAILS(mb_generator_drift.init(state, &params, 1, &info), status, text);
  free(state);
}

static void test_refused(void) {
  check_refused("layers=3;sigma=0.5 0.6", MB_ERR_PARAM,
                "sigma: 2 numbers, but there are 3 layers: give one for all, or one for each");
  check_refused("layers=3;skew=0 0 0 0", MB_ERR_PARAM, "skew: 4 numbers, but there are 3 layers");
  check_refused("sigma=", MB_ERR_PARAM, "sigma: 0 numbers");
  check_refused("layers=2;sigma=0.5 x", MB_ERR_PARAM, "sigma: 'x' is not a number from 0 to 5");
  check_refused("sigma=0.5,0.6", MB_ERR_PARAM, "sigma: '0.5,0.6' is not a number");
  check_refused("sigma=-1", MB_ERR_PARAM, "sigma: '-1' is not");
  check_refused("sigma=nan", MB_ERR_PARAM, "sigma: 'nan' is not");
  check_refused("skew=4.5", MB_ERR_PARAM, "skew: '4.5' is not a number from -4 to 4");
  check_refused("drift_fast=0.6;drift_slow=0.5", MB_ERR_PARAM, "their sum is at most 0.99");
  check_refused("experts=2;top_k=3", MB_ERR_SHAPE, "top_k");
}

int main(void) {
  CU_TestInfo tests[] = {{"mean shares", test_mean_shares},
                         {"how much each expert drifts", test_spread},
                         {"moments of popularity", test_moments},
                         {"loads without drift", test_multinomial},
                         {"seeds", test_seeds},
                         {"the same loads in parts and threads", test_same_loads},
                         {"what is refused", test_refused},
                         CU_TEST_INFO_NULL};

  gsl_set_error_handler_off();
  return run_suite("drift", tests);
}
