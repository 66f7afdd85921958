/* workloads/drift.c - what drift.h says. Every layer has streams of its own, so the loads depend
 * neither on the threads nor on how many steps a call asks for. The defaults are round numbers from
 * within what fits to recordings of gpt-oss-20b give (sigma .3 to 2.3, drift in all .05 to .65,
 * steps_slow 280 to 1130), and like none of them: a trace of one's own is fitted with `moebal trace
 * fit`.
 */
#include "workloads/drift.h"

#include <ctype.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/sampling.h"
#include "workloads/stream.h"

#define AT(field) offsetof(mb_drift_params, field)

static const mb_param params_table[] = {
#define MB_PARAMS mb_drift_params
#include "workloads/workload_params.def"
#undef MB_PARAMS
    {.key = "sigma",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "0.7",
     .help = "standard deviation of the experts' mean log popularity, 0 to 5; a number for all "
             "layers, or one for each: \"0.5 0.7 0.9\"",
     .offset = AT(sigma)},
    {.key = "skew",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "0",
     .help = "shape of the log popularity, -4 to 4, one number or one a layer: 0 normal, below 0 a "
             "flat head and a long cold tail",
     .offset = AT(skew)},
    {.key = "drift_fast",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.1",
     .min = 0,
     .max = 0.99,
     .help = "share of the spread of a layer's shares that comes and goes with requests",
     .offset = AT(drift_fast)},
    {.key = "steps_fast",
     .type = MB_PARAM_REAL,
     .unit = "steps",
     .initial = "100",
     .min = 1,
     .max = 1e9,
     .help = "after which the autocorrelation of the fast drift is 1/e",
     .offset = AT(steps_fast)},
    {.key = "drift_slow",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.2",
     .min = 0,
     .max = 0.99,
     .help = "share of that spread that comes and goes with topics",
     .offset = AT(drift_slow)},
    {.key = "steps_slow",
     .type = MB_PARAM_REAL,
     .unit = "steps",
     .initial = "2000",
     .min = 1,
     .max = 1e9,
     .help = "after which the autocorrelation of the slow drift is 1/e",
     .offset = AT(steps_slow)},
    {.key = "cold_drift",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.5",
     .min = 0,
     .max = 2,
     .help = "0: popular and unpopular experts drift by the same factor; 1: by the same amount; "
             "above: popular ones by less",
     .offset = AT(cold_drift)},
    {.key = NULL},
};

enum { FAST, SLOW, N_DRIFTS };

/* The random streams of a layer. */
typedef struct streams {
  gsl_rng *drift[N_DRIFTS], *count;
} streams;

typedef struct drift {
  mb_drift_params params;
  mb_workload workload;
  mb_ar1 process[N_DRIFTS]; /* of a / sd */
  double *share;            /* [L,E] m */
  double *level;            /* [L,E] ln m - ln(1 + v_fast) / 2 - ln(1 + v_slow) / 2 */
  double *deviation;        /* [L,2,E] standard deviations of a */
  double *wander;           /* [L,2,E] a / sd before the next step */
  double *popularity;       /* [L,E] scratch: p up to a factor */
  double *tail;             /* [L,E] scratch */
  streams *streams;         /* [L] */
} drift;

void mb_drift_mean_shares(size_t n, double sigma, double skew, double *share) {
  double mean = 0.0;
  double square = 0.0;
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    double z = gsl_cdf_ugaussian_Pinv(((double)i + 0.5) / (double)n);
    share[i] = fabs(skew) > 1e-9 ? expm1(skew * z) / skew : z;
    mean += share[i] / (double)n;
  }
  for (size_t i = 0; i < n; i++) {
    square += (share[i] - mean) * (share[i] - mean) / (double)n;
  }
  double scale = square > 0.0 ? sigma / sqrt(square) : 0.0; /* a single expert has no spread */
  double highest = (share[n - 1] - mean) * scale;
  for (size_t i = 0; i < n; i++) {
    share[i] = exp((share[i] - mean) * scale - highest);
    sum += share[i];
  }
  for (size_t i = 0; i < n; i++) {
    share[i] /= sum;
  }
}

void mb_drift_spread(size_t n, const double *share, double cold_drift, double *spread) {
  double square = 0.0;
  double mean = 0.0;

  for (size_t e = 0; e < n; e++) {
    double x = share[e] * (double)n;
    square += x * x;
    spread[e] = pow(x, -2.0 * cold_drift);
    mean += x * x * spread[e] / (double)n;
  }
  double factor = fmax(0.0, square / (double)n - 1.0) / mean;
  for (size_t e = 0; e < n; e++) {
    spread[e] *= factor;
  }
}

const double *mb_drift_share(const void *state) {
  return ((const drift *)state)->share;
}

static void fill_popularity(const drift *self, size_t layer, double *popularity) {
  size_t n = self->workload.n_experts;
  const double *level = self->level + layer * n;
  const double *deviation = self->deviation + layer * N_DRIFTS * n;
  const double *wander = self->wander + layer * N_DRIFTS * n;

  for (size_t e = 0; e < n; e++) {
    popularity[e] = exp(level[e] + deviation[FAST * n + e] * wander[FAST * n + e] +
                        deviation[SLOW * n + e] * wander[SLOW * n + e]);
  }
}

void mb_drift_popularity(const void *state, double *popularity) {
  const drift *self = state;

  for (size_t layer = 0; layer < self->workload.n_layers; layer++) {
    fill_popularity(self, layer, popularity + layer * self->workload.n_experts);
  }
}

static void cut_popularity(const drift *self, double *popularity) {
  size_t n = self->workload.n_experts;
  double sum = 0.0;
  double highest = 0.0;

  for (size_t e = 0; e < n; e++) {
    sum += popularity[e];
    highest = fmax(highest, popularity[e]);
  }
  if (highest * self->workload.top_k > sum) {
    mb_shares_cap(n, 1.0 / self->workload.top_k, popularity);
  }
}

static void draw_layer(drift *self, size_t layer, uint32_t *count) {
  const mb_workload *workload = &self->workload;
  size_t n = workload->n_experts;
  double *popularity = self->popularity + layer * n;

  fill_popularity(self, layer, popularity);
  cut_popularity(self, popularity);
  mb_counts_draw_multinomial(self->streams[layer].count, workload->n_tokens, workload->top_k, n,
                             popularity, self->tail + layer * n, count);
  for (size_t j = 0; j < N_DRIFTS; j++) {
    mb_ar1_step(&self->process[j], self->streams[layer].drift[j], n,
                self->wander + (layer * N_DRIFTS + j) * n);
  }
}

static mb_status next(void *state, size_t n, uint32_t *load) {
  drift *self = state;
  size_t n_layers = self->workload.n_layers;

#pragma omp parallel for schedule(static)
  for (size_t layer = 0; layer < n_layers; layer++) {
    for (size_t t = 0; t < n; t++) {
      draw_layer(self, layer, load + (t * n_layers + layer) * self->workload.n_experts);
    }
  }
  return MB_OK;
}

static void free_stream(gsl_rng *rng) {
  if (rng != NULL) {
    gsl_rng_free(rng);
  }
}

static void fini(void *state) {
  drift *self = state;

  for (size_t layer = 0; self->streams != NULL && layer < self->workload.n_layers; layer++) {
    free_stream(self->streams[layer].drift[FAST]);
    free_stream(self->streams[layer].drift[SLOW]);
    free_stream(self->streams[layer].count);
  }
  free(self->streams);
  free(self->share);
  free(self->level);
  free(self->deviation);
  free(self->wander);
  free(self->popularity);
  free(self->tail);
  mb_workload_fini(&self->workload);
}

static mb_status allocate(drift *self) {
  size_t n = self->workload.n_layers * self->workload.n_experts;

  self->share = calloc(n, sizeof *self->share);
  self->level = calloc(n, sizeof *self->level);
  self->deviation = calloc(N_DRIFTS * n, sizeof *self->deviation);
  self->wander = calloc(N_DRIFTS * n, sizeof *self->wander);
  self->popularity = calloc(n, sizeof *self->popularity);
  self->tail = calloc(n, sizeof *self->tail);
  self->streams = calloc(self->workload.n_layers, sizeof *self->streams);
  if (self->share == NULL || self->level == NULL || self->deviation == NULL ||
      self->wander == NULL || self->popularity == NULL || self->tail == NULL ||
      self->streams == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts",
                   self->workload.n_layers, self->workload.n_experts);
  }
  return MB_OK;
}

/* A list of one number for all layers, or of one for each: that of `layer`. */
static mb_status find_in_list(const char *key, const char *list, double min, double max,
                              size_t layer, size_t n_layers, double *value) {
  size_t n = 0;
  double found = 0.0;

  for (const char *place = list; *(place += strspn(place, " ")) != '\0';) {
    char *end = NULL;
    double number = strtod(place, &end);
    if (end == place || (*end != ' ' && *end != '\0') || !(number >= min && number <= max)) {
      return MB_FAIL(MB_ERR_PARAM, "%s: '%.*s' is not a number from %g to %g", key,
                     (int)strcspn(place, " "), place, min, max);
    }
    found = n == 0 || n == layer ? number : found;
    place = end;
    n++;
  }
  if (n != 1 && n != n_layers) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: %zu numbers, but there are %zu layers: give one for all, or one for each",
                   key, n, n_layers);
  }
  *value = found;
  return MB_OK;
}

/* ln m and the deviations of a, for mean shares that are there already. */
static void set_moments(drift *self, size_t layer) {
  const mb_drift_params *params = &self->params;
  size_t n = self->workload.n_experts;
  double still = 1.0 - params->drift_fast - params->drift_slow;
  const double ratio[N_DRIFTS] = {params->drift_fast / still, params->drift_slow / still};
  double *level = self->level + layer * n;
  double *spread = self->popularity + layer * n;

  mb_drift_spread(n, self->share + layer * n, params->cold_drift, spread);
  for (size_t e = 0; e < n; e++) {
    level[e] = log(self->share[layer * n + e]);
    for (size_t j = 0; j < N_DRIFTS; j++) {
      double variance = log1p(ratio[j] * spread[e]);
      self->deviation[(layer * N_DRIFTS + j) * n + e] = sqrt(variance);
      level[e] -= variance / 2.0;
    }
  }
}

static mb_status open_streams(drift *self, size_t layer, uint64_t seed, gsl_rng **order) {
  streams *made = &self->streams[layer];

  made->drift[FAST] = mb_stream_create(seed, "drift/fast", layer);
  made->drift[SLOW] = mb_stream_create(seed, "drift/slow", layer);
  made->count = mb_stream_create(seed, "drift/count", layer);
  *order = mb_stream_create(seed, "drift/order", layer);
  if (made->drift[FAST] == NULL || made->drift[SLOW] == NULL || made->count == NULL ||
      *order == NULL) {
    free_stream(*order);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the random streams of layer %zu", layer);
  }
  return MB_OK;
}

static mb_status init_layer(drift *self, size_t layer, uint64_t seed) {
  size_t n = self->workload.n_experts;
  size_t n_layers = self->workload.n_layers;
  double sigma = 0.0;
  double skew = 0.0;
  gsl_rng *order = NULL;

  MB_TRY(
      find_in_list("sigma", self->params.sigma, 0.0, MB_DRIFT_SIGMA_MAX, layer, n_layers, &sigma));
  MB_TRY(find_in_list("skew", self->params.skew, -MB_DRIFT_SKEW_MAX, MB_DRIFT_SKEW_MAX, layer,
                      n_layers, &skew));
  MB_TRY(open_streams(self, layer, seed, &order));
  mb_drift_mean_shares(n, sigma, skew, self->share + layer * n);
  gsl_ran_shuffle(order, self->share + layer * n, n, sizeof *self->share);
  gsl_rng_free(order);
  set_moments(self, layer);
  for (size_t j = 0; j < N_DRIFTS; j++) {
    mb_ar1_start(&self->process[j], self->streams[layer].drift[j], n,
                 self->wander + (layer * N_DRIFTS + j) * n);
  }
  return MB_OK;
}

static mb_status set_processes(drift *self) {
  const mb_drift_params *params = &self->params;

  if (params->drift_fast + params->drift_slow > 0.99) {
    return MB_FAIL(MB_ERR_PARAM,
                   "drift_fast and drift_slow: %g and %g, but their sum is at most "
                   "0.99",
                   params->drift_fast, params->drift_slow);
  }
  /* A drift of none takes no random numbers. */
  self->process[FAST] =
      mb_ar1_make(params->drift_fast > 0.0 ? 1.0 : 0.0, exp(-1.0), params->steps_fast);
  self->process[SLOW] =
      mb_ar1_make(params->drift_slow > 0.0 ? 1.0 : 0.0, exp(-1.0), params->steps_slow);
  return MB_OK;
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  drift *self = state;

  self->params = *(const mb_drift_params *)params;
  MB_TRY(set_processes(self));
  mb_status status = mb_workload_init(&self->params.workload, &self->workload);
  status = status == MB_OK ? allocate(self) : status;
  for (size_t layer = 0; status == MB_OK && layer < self->workload.n_layers; layer++) {
    status = init_layer(self, layer, seed);
  }
  if (status != MB_OK) {
    fini(self);
    return status;
  }
  mb_workload_describe(&self->workload, &mb_generator_drift, params, seed, info);
  return MB_OK;
}

const mb_generator_type mb_generator_drift = {
    .name = "drift",
    .summary = "experts of given skew whose log popularity wanders, quickly and slowly: AR(1)",
    .params = params_table,
    .params_size = sizeof(mb_drift_params),
    .state_size = sizeof(drift),
    .init = init,
    .next = next,
    .fini = fini,
};
