/* workloads/fit.c - simulated moments: D. McFadden, "A method of simulated moments", Econometrica
 * 57 (1989), with logarithms for its distances.
 */
#include "workloads/fit.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "workloads/model.h"
#include "workloads/stream.h"

enum { FAST, SLOW, N_DRIFTS };

/* N_ROUNDS: fits in turn of the layers and of the drift. */
enum { N_ROUNDS = 2, MAX_ITERATIONS = 30 };
static const double tried[] = {0.0, 0.5, 0.75, 1.0, 1.25, 1.5};

/* Samples of a layer: more where experts are few. Pairs are dearer, but all layers share them;
   their number is what the drift's parameters are known by. */
enum { SAMPLED_SHARES = 6144, SAMPLES_MIN = 24, SAMPLES_MAX = 192 };
enum { PAIRS_TO_CHOOSE = 256, PAIRS = 2048, PAIRS_MIN = 6, PAIRS_MAX = 1024 };

#define PULL 0.03      /* of the drift's parameters to the middle of their range */
#define FORM_PULL 0.02 /* of a layer's skew to 0 and its sigma to 1 */

/* Skew is wanted within 10 %, drift within 25 %. */
#define FORM_WEIGHT 6.25

/* What all layers share. */
typedef struct wandering {
  double ratio[N_DRIFTS]; /* c_j of drift.h */
  double steps[N_DRIFTS];
  double cold_drift;
} wandering;

enum { N_FORM = 2, N_WANDER = 2 * N_DRIFTS };
enum { N_FORM_RESIDUALS = 4 };

/* Rows of E doubles that each layer has: mean shares; how much the log popularity in a window
   varies by each process; of the windows a and b, some lags later, how far it is off, and the
   shares. */
enum { MEAN, VARIANCE, OFF_A = VARIANCE + N_DRIFTS, OFF_B, SHARE_A, SHARE_B, N_ROWS };

/* The random numbers of a layer, the same for every set of parameters. */
typedef struct streams {
  gsl_rng *seeded, *rng; /* the latter at work */
} streams;

typedef struct fit {
  size_t n_layers, n_experts, n_lags;
  size_t n_pairs;             /* sampled of each layer */
  double window, n_steps;     /* steps of a window and of the trace */
  mb_windows_layer *measured; /* [L] */
  mb_windows_layer measured_mean;
  double *load;             /* [L] of a window, on average */
  streams *streams;         /* [L] */
  double *rows;             /* [L,N_ROWS,E] scratch */
  double (*form)[N_FORM];   /* [L] unknowns, as form_of() takes them */
  double unknown[N_WANDER]; /* as wander_of() takes them */
  double cold_drift;
  mb_windows_layer *expected; /* [L] scratch */
  mb_status (*check)(void);   /* NULL: nobody wants to stop it */
  bool stopped;               /* by check() */
} fit;

static mb_status check_on(fit *self) {
  mb_status status = self->check != NULL ? self->check() : MB_OK;

  self->stopped = status != MB_OK;
  return status;
}

/* --- unknowns: any real numbers, so that a search needs no bounds; 0 is what they are pulled to */

static double between(double low, double high, double unknown) {
  return low + (high - low) / (1.0 + exp(-unknown));
}

static double between_logs(double low, double high, double unknown) {
  return exp(between(log(low), log(high), unknown));
}

static double sigma_of(const double form[N_FORM]) {
  return fmin(exp(form[0]), MB_DRIFT_SIGMA_MAX);
}

static double skew_of(const double form[N_FORM]) {
  return MB_DRIFT_SKEW_MAX * tanh(form[1] / MB_DRIFT_SKEW_MAX);
}

static wandering wander_of(const fit *self, const double unknown[N_WANDER]) {
  return (wandering){
      .ratio = {between_logs(1e-4, 20.0, unknown[0]), between_logs(1e-4, 20.0, unknown[1])},
      .steps = {between_logs(self->window / 4.0, self->n_steps / 4.0, unknown[2]),
                between_logs(self->window, self->n_steps / 2.0, unknown[3])},
      .cold_drift = self->cold_drift};
}

/* --- expected statistics */

/* An AR(1) process of variance 1 and time constant T, averaged over a window of x T steps. */
static double averaged_variance(double x) {
  /* Of a long process the difference below would be lost to rounding. */
  if (x < 1e-4) {
    return 1.0 - x / 3.0;
  }
  return 2.0 * (x - 1.0 + exp(-x)) / (x * x);
}

/* Its correlation with its average over the k-th window after that. */
static double averaged_correlation(double x, double k) {
  double rise = -expm1(-x) / x;

  return rise * rise * exp(-(k - 1.0) * x) / averaged_variance(x);
}

static double *row_of(const fit *self, size_t l, size_t row) {
  return self->rows + (l * N_ROWS + row) * self->n_experts;
}

static void set_layer(const fit *self, size_t l, const double form[N_FORM],
                      const wandering *wander) {
  double *mean = row_of(self, l, MEAN);
  double *spread = row_of(self, l, SHARE_A);

  mb_drift_mean_shares(self->n_experts, sigma_of(form), skew_of(form), mean);
  mb_drift_spread(self->n_experts, mean, wander->cold_drift, spread);
  for (size_t j = 0; j < N_DRIFTS; j++) {
    double averaged = averaged_variance(self->window / wander->steps[j]);
    double *variance = row_of(self, l, VARIANCE + j);
    for (size_t e = 0; e < self->n_experts; e++) {
      variance[e] = averaged * log1p(wander->ratio[j] * spread[e]);
    }
  }
}

static double variance_of(const fit *self, size_t l, size_t e) {
  return row_of(self, l, VARIANCE + FAST)[e] + row_of(self, l, VARIANCE + SLOW)[e];
}

static void begin(const fit *self, size_t l) {
  double *off = row_of(self, l, OFF_A);

  for (size_t e = 0; e < self->n_experts; e++) {
    off[e] = gsl_ran_gaussian_ziggurat(self->streams[l].rng, sqrt(variance_of(self, l, e)));
  }
}

/* From a to b, k windows later: what stays of both processes, and the rest anew. */
static void go_on(const fit *self, size_t l, const wandering *wander, double k) {
  const double *fast = row_of(self, l, VARIANCE + FAST);
  const double *slow = row_of(self, l, VARIANCE + SLOW);
  const double *a = row_of(self, l, OFF_A);
  double *b = row_of(self, l, OFF_B);
  double keep_fast = averaged_correlation(self->window / wander->steps[FAST], k);
  double keep_slow = averaged_correlation(self->window / wander->steps[SLOW], k);

  for (size_t e = 0; e < self->n_experts; e++) {
    double variance = fast[e] + slow[e];
    double keep = variance > 0.0 ? (fast[e] * keep_fast + slow[e] * keep_slow) / variance : 0.0;
    double fresh = sqrt(variance * (1.0 - keep * keep));
    b[e] = keep * a[e] + gsl_ran_gaussian_ziggurat(self->streams[l].rng, fresh);
  }
}

/* The shares counted in a window whose log popularity is that far off. */
static void count_window(const fit *self, size_t l, const double *off, double *share) {
  const double *mean = row_of(self, l, MEAN);
  double sum = 0.0;

  for (size_t e = 0; e < self->n_experts; e++) {
    share[e] = mean[e] * exp(off[e] - variance_of(self, l, e) / 2.0);
    sum += share[e];
  }
  for (size_t e = 0; e < self->n_experts; e++) {
    double p = share[e] / sum;
    double noise =
        gsl_ran_gaussian_ziggurat(self->streams[l].rng, sqrt(p * (1.0 - p) / self->load[l]));
    share[e] = fmax(0.0, p + noise);
  }
}

static size_t clamp(size_t n, size_t min, size_t max) {
  return n < min ? min : n > max ? max : n;
}

static void expect_skew(const fit *self, size_t l, const double form[N_FORM],
                        const wandering *wander, double *peak, double *gini) {
  size_t n = self->n_experts;
  size_t n_samples = clamp(SAMPLED_SHARES / n, SAMPLES_MIN, SAMPLES_MAX);
  double *share = row_of(self, l, SHARE_A);

  set_layer(self, l, form, wander);
  gsl_rng_memcpy(self->streams[l].rng, self->streams[l].seeded);
  *peak = 0.0;
  *gini = 0.0;
  for (size_t i = 0; i < n_samples; i++) {
    double sum = 0.0;
    begin(self, l);
    count_window(self, l, row_of(self, l, OFF_A), share);
    gsl_sort(share, 1, n);
    for (size_t e = 0; e < n; e++) {
      sum += share[e];
    }
    *peak += share[n - 1] / sum * (double)n / (double)n_samples;
    *gini += mb_gini(n, share) / (double)n_samples;
  }
}

static void add_pair(const fit *self, size_t l, size_t k, mb_windows_layer *sum) {
  const double *a = row_of(self, l, SHARE_A);
  const double *b = row_of(self, l, SHARE_B);
  double moved = 0.0;
  double chi2 = 0.0;

  for (size_t e = 0; e < self->n_experts; e++) {
    double difference = b[e] - a[e];
    moved += fabs(difference) / 2.0;
    chi2 += a[e] + b[e] > 0.0 ? difference * difference / (a[e] + b[e]) : 0.0;
  }
  sum->moved[k] += moved;
  sum->r[k] += gsl_stats_correlation(a, 1, b, 1, self->n_experts);
  if (mb_windows_lag[k] == 1) {
    sum->chi2 += chi2 * self->load[l] / ((double)self->n_experts - 1.0);
  }
}

static void expect_drift(const fit *self, size_t l, const wandering *wander,
                         mb_windows_layer *mean) {
  size_t n_samples = self->n_pairs;

  *mean = (mb_windows_layer){.peak = 0.0};
  set_layer(self, l, self->form[l], wander);
  gsl_rng_memcpy(self->streams[l].rng, self->streams[l].seeded);
  for (size_t i = 0; i < n_samples; i++) {
    begin(self, l);
    count_window(self, l, row_of(self, l, OFF_A), row_of(self, l, SHARE_A));
    for (size_t k = 0; k < self->n_lags; k++) {
      go_on(self, l, wander, (double)mb_windows_lag[k]);
      count_window(self, l, row_of(self, l, OFF_B), row_of(self, l, SHARE_B));
      add_pair(self, l, k, mean);
    }
  }
  for (size_t k = 0; k < self->n_lags; k++) {
    mean->r[k] /= (double)n_samples;
    mean->moved[k] /= (double)n_samples;
  }
  mean->chi2 /= (double)n_samples;
}

/* --- least squares */

typedef int residuals(const gsl_vector *unknown, void *context, gsl_vector *residual);

/* From `unknown` to the nearest minimum of the sum of squares, which is returned as `cost`. */
static mb_status minimise(residuals *function, void *context, size_t n, size_t p, double *unknown,
                          double *cost) {
  gsl_multifit_nlinear_parameters how = gsl_multifit_nlinear_default_parameters();
  gsl_multifit_nlinear_fdf problem = {.f = function, .n = n, .p = p, .params = context};
  gsl_multifit_nlinear_workspace *work =
      gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &how, n, p);
  gsl_vector_view start = gsl_vector_view_array(unknown, p);
  int info = 0;

  if (work == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for least squares of %zu residuals", n);
  }
  int status = gsl_multifit_nlinear_init(&start.vector, &problem, work);
  if (status == GSL_SUCCESS) {
    status = gsl_multifit_nlinear_driver(MAX_ITERATIONS, 1e-3, 1e-6, 1e-6, NULL, NULL, &info, work);
  }
  /* Where a search ends early, or can't go on from sampled values, it still is at its best. */
  bool usable = status == GSL_SUCCESS || status == GSL_EMAXITER || status == GSL_ENOPROG;
  if (usable) {
    const gsl_vector *best = gsl_multifit_nlinear_position(work);
    const gsl_vector *residual = gsl_multifit_nlinear_residual(work);
    *cost = 0.0;
    for (size_t i = 0; i < n; i++) {
      *cost += gsl_vector_get(residual, i) * gsl_vector_get(residual, i);
    }
    for (size_t i = 0; i < p; i++) {
      unknown[i] = gsl_vector_get(best, i);
    }
  }
  gsl_multifit_nlinear_free(work);
  return usable ? MB_OK
                : MB_FAIL(MB_ERR_RANGE, "the fit does not converge: %s", gsl_strerror(status));
}

typedef struct layer_context {
  const fit *self;
  const wandering *wander;
  size_t layer;
} layer_context;

static int form_residuals(const gsl_vector *unknown, void *context, gsl_vector *residual) {
  const layer_context *given = context;
  const mb_windows_layer *measured = &given->self->measured[given->layer];
  const double form[N_FORM] = {gsl_vector_get(unknown, 0), gsl_vector_get(unknown, 1)};
  double peak = 0.0;
  double gini = 0.0;

  expect_skew(given->self, given->layer, form, given->wander, &peak, &gini);
  gsl_vector_set(residual, 0, log(peak / measured->peak));
  gsl_vector_set(residual, 1, log(gini / measured->gini));
  gsl_vector_set(residual, 2, FORM_PULL * form[1]);
  gsl_vector_set(residual, 3, FORM_PULL * form[0]);
  return GSL_SUCCESS;
}

/* `cost` is the mean square of what the layers' statistics are off. */
static mb_status fit_forms(fit *self, double *cost) {
  wandering wander = wander_of(self, self->unknown);
  mb_status failure = MB_OK;

  MB_TRY(check_on(self));
  double *costs = calloc(self->n_layers, sizeof *costs);

  if (costs == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", self->n_layers);
  }
#pragma omp parallel for schedule(dynamic)
  for (size_t l = 0; l < self->n_layers; l++) {
    layer_context context = {.self = self, .wander = &wander, .layer = l};
    mb_status status =
        minimise(form_residuals, &context, N_FORM_RESIDUALS, N_FORM, self->form[l], &costs[l]);
    if (status != MB_OK) {
#pragma omp critical
      failure = status;
    }
  }
  *cost = 0.0;
  for (size_t l = 0; l < self->n_layers; l++) {
    *cost += costs[l] / (double)(2 * self->n_layers);
  }
  free(costs);
  /* A message of another thread is lost: say it here. */
  return failure == MB_OK ? MB_OK : MB_FAIL(failure, "the fit of a layer's skew fails");
}

static int wander_residuals(const gsl_vector *unknown, void *context, gsl_vector *residual) {
  fit *self = context;
  const mb_windows_layer *measured = &self->measured_mean;
  double given[N_WANDER];
  size_t n = 0;

  if (check_on(self) != MB_OK) {
    return GSL_EFAILED;
  }

  for (size_t i = 0; i < N_WANDER; i++) {
    given[i] = gsl_vector_get(unknown, i);
    gsl_vector_set(residual, n++, PULL * given[i]);
  }
  wandering wander = wander_of(self, given);
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < self->n_layers; l++) {
    expect_drift(self, l, &wander, &self->expected[l]);
  }
  mb_windows_layer expected = mb_windows_mean(self->n_layers, self->expected);
  for (size_t k = 0; k < self->n_lags; k++) {
    gsl_vector_set(residual, n++, log((1.0 - expected.r[k]) / (1.0 - measured->r[k])));
    gsl_vector_set(residual, n++, log(expected.moved[k] / measured->moved[k]));
  }
  gsl_vector_set(residual, n, log(expected.chi2 / measured->chi2));
  return GSL_SUCCESS;
}

/* The drift for the layers as they are, then the layers for that drift. */
static mb_status fit_round(fit *self, double *cost) {
  size_t n = N_WANDER + 2 * self->n_lags + 1;
  double of_forms = 0.0;
  double of_wander = 0.0;

  mb_status status = minimise(wander_residuals, self, n, N_WANDER, self->unknown, &of_wander);
  if (self->stopped) {
    return self->check(); /* its message, not that of the search */
  }
  MB_TRY(status);
  MB_TRY(fit_forms(self, &of_forms));
  *cost = FORM_WEIGHT * of_forms + of_wander / (double)(n - N_WANDER);
  return MB_OK;
}

/* Everything fitted anew with that exponent, which no search can find: it changes little by little
   what all other parameters mean. */
static mb_status fit_with(fit *self, double cold_drift, double *cost) {
  self->cold_drift = cold_drift;
  self->n_pairs = clamp(PAIRS_TO_CHOOSE / self->n_layers, PAIRS_MIN, PAIRS_MAX);
  for (size_t l = 0; l < self->n_layers; l++) {
    self->form[l][0] = log(0.7);
    self->form[l][1] = -0.3;
  }
  memset(self->unknown, 0, sizeof self->unknown);
  MB_TRY(fit_forms(self, cost));
  for (int round = 0; round < N_ROUNDS; round++) {
    MB_TRY(fit_round(self, cost));
  }
  return MB_OK;
}

static mb_status search(fit *self) {
  double lowest = INFINITY;
  double best = 0.0;
  double cost = 0.0;

  for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
    MB_TRY(fit_with(self, tried[i], &cost));
    if (cost < lowest) {
      lowest = cost;
      best = tried[i];
    }
  }
  MB_TRY(fit_with(self, best, &cost));
  self->n_pairs = clamp(PAIRS / self->n_layers, PAIRS_MIN, PAIRS_MAX);
  return fit_round(self, &cost);
}

/* --- the trace */

static mb_status check_windows(const mb_windows *windows) {
  size_t n_windows = mb_windows_count(windows);

  if (n_windows < MB_FIT_WINDOWS_MIN) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu windows of %zu steps, but a fit needs %d: take shorter ones",
                   n_windows, mb_windows_steps(windows), MB_FIT_WINDOWS_MIN);
  }
  if (mb_windows_experts(windows) < 2) {
    return MB_FAIL(MB_ERR_SHAPE, "1 expert, but a fit needs at least 2: one has all the load");
  }
  return MB_OK;
}

static mb_status weigh_layer(const mb_windows *windows, size_t l, double *load) {
  size_t n_windows = mb_windows_count(windows);

  *load = 0.0;
  for (size_t w = 0; w < n_windows; w++) {
    const uint64_t *counts = mb_windows_load(windows, w, l);
    double sum = 0.0;
    for (size_t e = 0; e < mb_windows_experts(windows); e++) {
      sum += (double)counts[e];
    }
    if (sum == 0.0) {
      return MB_FAIL(
          MB_ERR_RANGE,
          "layer %zu (from 0) has no load in steps %zu to %zu; a fit needs load in every "
          "window: slice the trace, or take longer windows",
          l, w * mb_windows_steps(windows), (w + 1) * mb_windows_steps(windows) - 1);
    }
    *load += sum / (double)n_windows;
  }
  return MB_OK;
}

static mb_status measure(const mb_windows *windows, fit *self) {
  for (size_t l = 0; l < self->n_layers; l++) {
    MB_TRY(weigh_layer(windows, l, &self->load[l]));
  }
  MB_TRY(mb_windows_measure(windows, self->measured));
  for (size_t l = 0; l < self->n_layers; l++) {
    if (!(self->measured[l].gini > 0.0) || !isfinite(self->measured[l].r[0])) {
      return MB_FAIL(MB_ERR_RANGE,
                     "layer %zu (from 0): all experts have equal loads, there is nothing to fit",
                     l);
    }
  }
  self->measured_mean = mb_windows_mean(self->n_layers, self->measured);
  for (size_t k = 0; k < MB_WINDOWS_LAGS; k++) {
    bool known = 2 * mb_windows_lag[k] <= mb_windows_count(windows);
    self->n_lags += known ? 1 : 0;
    if (known && !(self->measured_mean.r[k] < 1.0 && self->measured_mean.moved[k] > 0.0)) {
      return MB_FAIL(MB_ERR_RANGE, "all windows have the same shares, there is no drift to fit");
    }
  }
  return MB_OK;
}

static mb_status allocate(fit *self) {
  size_t n_layers = self->n_layers;

  self->measured = calloc(n_layers, sizeof *self->measured);
  self->expected = calloc(n_layers, sizeof *self->expected);
  self->load = calloc(n_layers, sizeof *self->load);
  self->form = calloc(n_layers, sizeof *self->form);
  self->rows = calloc(n_layers * N_ROWS * self->n_experts, sizeof *self->rows);
  self->streams = calloc(n_layers, sizeof *self->streams);
  bool complete = self->measured != NULL && self->expected != NULL && self->load != NULL &&
                  self->form != NULL && self->rows != NULL && self->streams != NULL;
  for (size_t l = 0; complete && l < n_layers; l++) {
    self->streams[l].seeded = mb_stream_create(0, "fit", l);
    self->streams[l].rng = mb_stream_create(0, "fit", l);
    complete = self->streams[l].seeded != NULL && self->streams[l].rng != NULL;
  }
  return complete ? MB_OK
                  : MB_FAIL(MB_ERR_MEMORY, "no memory to fit %zu layers of %zu experts", n_layers,
                            self->n_experts);
}

static void free_stream(gsl_rng *rng) {
  if (rng != NULL) {
    gsl_rng_free(rng);
  }
}

static void fini(fit *self) {
  for (size_t l = 0; self->streams != NULL && l < self->n_layers; l++) {
    free_stream(self->streams[l].seeded);
    free_stream(self->streams[l].rng);
  }
  free(self->streams);
  free(self->measured);
  free(self->expected);
  free(self->load);
  free(self->form);
  free(self->rows);
}

/* --- the parameters */

/* The model that the trace gives by either name, which "resized" may follow. */
static const mb_model *find_model(const char *name) {
  size_t length = strcspn(name, ",");

  for (const mb_model *model = mb_models(); model->name != NULL; model++) {
    if ((strlen(model->name) == length && strncasecmp(model->name, name, length) == 0) ||
        (strlen(model->title) == length && strncasecmp(model->title, name, length) == 0)) {
      return model;
    }
  }
  return NULL;
}

static mb_status append(const char *key, double number, char list[MB_PARAM_TEXT_SIZE]) {
  size_t used = strlen(list);
  size_t room = MB_PARAM_TEXT_SIZE - used;
  int length = snprintf(list + used, room, "%s%.3g", used > 0 ? " " : "", number);

  return length >= 0 && (size_t)length < room
             ? MB_OK
             : MB_FAIL(MB_ERR_SHAPE, "%s: the layers are more than a list of %d bytes holds", key,
                       MB_PARAM_TEXT_SIZE - 1);
}

/* Four digits: more are not known. */
static double round_off(double number) {
  char text[32];

  (void)snprintf(text, sizeof text, "%.4g", number);
  return strtod(text, NULL);
}

static void set_workload(const fit *self, const mb_trace_info *info, mb_workload_params *workload) {
  const mb_model *model = find_model(info->model);
  double load = 0.0;

  for (size_t l = 0; l < self->n_layers; l++) {
    load += self->load[l] / (double)self->n_layers;
  }
  if (model != NULL) {
    (void)snprintf(workload->model, sizeof workload->model, "%s", model->name);
  }
  (void)snprintf(workload->phase, sizeof workload->phase, "%s", mb_phase_name(info->phase));
  workload->n_steps = (int64_t)info->n_steps;
  workload->n_tokens = (int64_t)fmax(1.0, round(load / self->window / (double)info->top_k));
  workload->n_layers = (int64_t)self->n_layers;
  workload->n_experts = (int64_t)self->n_experts;
  workload->top_k = info->top_k;
  workload->n_groups = info->n_groups;
}

static mb_status set_params(const fit *self, const mb_trace_info *info, mb_drift_params *params) {
  wandering wander = wander_of(self, self->unknown);
  double whole = 1.0 + wander.ratio[FAST] + wander.ratio[SLOW];
  mb_drift_params made;

  mb_params_init(mb_generator_drift.params, &made);
  set_workload(self, info, &made.workload);
  made.sigma[0] = '\0';
  made.skew[0] = '\0';
  for (size_t l = 0; l < self->n_layers; l++) {
    MB_TRY(append("sigma", sigma_of(self->form[l]), made.sigma));
    MB_TRY(append("skew", skew_of(self->form[l]), made.skew));
  }
  made.drift_fast = round_off(wander.ratio[FAST] / whole);
  made.drift_slow = round_off(wander.ratio[SLOW] / whole);
  made.steps_fast = round_off(fmax(1.0, wander.steps[FAST]));
  made.steps_slow = round_off(fmax(1.0, wander.steps[SLOW]));
  made.cold_drift = self->cold_drift;
  *params = made;
  return MB_OK;
}

mb_status mb_fit_drift(const mb_windows *windows, const mb_trace_info *info,
                       mb_status (*check)(void), mb_drift_params *params) {
  MB_TRY(check_windows(windows));
  fit self = {.n_layers = mb_windows_layers(windows),
              .n_experts = mb_windows_experts(windows),
              .window = (double)mb_windows_steps(windows),
              .n_steps = (double)info->n_steps,
              .check = check};

  mb_status status = allocate(&self);
  status = status == MB_OK ? measure(windows, &self) : status;
  status = status == MB_OK ? search(&self) : status;
  status = status == MB_OK ? set_params(&self, info, params) : status;
  fini(&self);
  return status;
}
