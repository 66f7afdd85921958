/* workloads/domains.c - what domains.h says. Every layer has streams of its own, so the loads
 * depend neither on the threads nor on how many steps a call asks for. Figures to resemble:
 * lognormal sigma .5 to 1.1 gives 128-256 experts a Gini index of .27 to .56, as recordings of
 * GLM-4.5-Air and Qwen3-235B have; real heads end near 6 to 9 times the mean, hence head_cap;
 * mathematics and code correlate with .3 to .55 in large models. Windows of 64 decode steps are
 * recorded to differ by .04 to .05 in total variation while a topic lasts, by .1 when it changes.
 */
#include "workloads/domains.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>

#include "workloads/mixture.h"
#include "workloads/sampling.h"
#include "workloads/stream.h"
#include "workloads/workload.h"

#define AT(field) offsetof(mb_domains_params, field)

static const mb_param params_table[] = {
#define MB_PARAMS mb_domains_params
#include "workloads/workload_params.def"
#undef MB_PARAMS
    {.key = "sigma",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.7",
     .min = 0,
     .max = 5,
     .help = "standard deviation of the experts' log popularity: 0.2 near balance, 1.1 strong skew",
     .offset = AT(sigma)},
    {.key = "sigma_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = 0,
     .max = 1,
     .help = "a layer's own sigma is within this share of sigma, uniformly",
     .offset = AT(sigma_spread)},
    {.key = "head_cap",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "8",
     .min = 1,
     .max = 1e6,
     .help = "no expert is more popular in a domain than this many times the mean",
     .offset = AT(head_cap)},
    {.key = "correlation",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = -1,
     .max = 1,
     .help = "of the log popularity in the two domains",
     .offset = AT(correlation)},
    {.key = "drift",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "periodic",
     .choices = mb_mixture_drifts,
     .help = "how the traffic moves from the first domain to the second",
     .offset = AT(drift)},
    {.key = "drift_period",
     .type = MB_PARAM_INT,
     .unit = "steps",
     .initial = "1000",
     .min = 1,
     .max = 1e9,
     .help = "step: when it changes; ramp: how long it takes; periodic: there and back",
     .offset = AT(drift_period)},
    {.key = "noise_rms",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.2",
     .min = 0,
     .max = 5,
     .help = "standard deviation of the AR(1) noise on the log popularity",
     .offset = AT(noise_rms)},
    {.key = "noise_autocorrelation",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.65",
     .min = 0,
     .max = 1,
     .help = "of that noise with itself noise_lag steps later",
     .offset = AT(noise_autocorrelation)},
    {.key = "noise_lag",
     .type = MB_PARAM_INT,
     .unit = "steps",
     .initial = "64",
     .min = 1,
     .max = 1e9,
     .help = "the distance that noise_autocorrelation is given for",
     .offset = AT(noise_lag)},
    {.key = NULL},
};

/* The random streams of a layer. */
typedef struct streams {
  gsl_rng *noise, *count;
} streams;

typedef struct domains {
  mb_domains_params params;
  mb_workload workload;
  uint64_t step; /* the next one */
  mb_ar1 process;
  double *share[2];   /* [L,E] */
  double *noise;      /* [L,E] a of the last step */
  double *popularity; /* [L,E] scratch: p, not normalised */
  double *tail;       /* [L,E] scratch */
  streams *streams;   /* [L] */
} domains;

double mb_domains_weight(const mb_domains_params *params, uint64_t step) {
  return mb_mixture_weight(params->drift, (uint64_t)params->drift_period, step);
}

const double *mb_domains_share(const void *state, size_t domain) {
  return ((const domains *)state)->share[domain];
}

/* p[t,l,:] up to a factor, into the layer's scratch. */
static void mix_popularity(domains *self, size_t layer, double weight) {
  size_t first = layer * self->workload.n_experts;
  const double *share0 = self->share[0] + first;
  const double *share1 = self->share[1] + first;
  const double *noise = self->noise + first;
  double *popularity = self->popularity + first;
  double sum = 0.0;
  double highest = 0.0;

  for (size_t e = 0; e < self->workload.n_experts; e++) {
    popularity[e] = ((1.0 - weight) * share0[e] + weight * share1[e]) * exp(noise[e]);
    sum += popularity[e];
    highest = fmax(highest, popularity[e]);
  }
  if (highest * self->workload.top_k > sum) {
    mb_shares_cap(self->workload.n_experts, 1.0 / self->workload.top_k, popularity);
  }
}

static void draw_layer(domains *self, size_t layer, uint64_t step, uint32_t *count) {
  const mb_workload *workload = &self->workload;
  size_t first = layer * workload->n_experts;

  mix_popularity(self, layer, mb_domains_weight(&self->params, step));
  mb_counts_draw_multinomial(self->streams[layer].count, workload->n_tokens, workload->top_k,
                             workload->n_experts, self->popularity + first, self->tail + first,
                             count);
  mb_ar1_step(&self->process, self->streams[layer].noise, workload->n_experts, self->noise + first);
}

static mb_status next(void *state, size_t n, uint32_t *load) {
  domains *self = state;
  size_t n_layers = self->workload.n_layers;

#pragma omp parallel for schedule(static)
  for (size_t layer = 0; layer < n_layers; layer++) {
    for (size_t t = 0; t < n; t++) {
      draw_layer(self, layer, self->step + t,
                 load + (t * n_layers + layer) * self->workload.n_experts);
    }
  }
  self->step += n;
  return MB_OK;
}

static void fini(void *state) {
  domains *self = state;

  for (size_t layer = 0; self->streams != NULL && layer < self->workload.n_layers; layer++) {
    if (self->streams[layer].noise != NULL) {
      gsl_rng_free(self->streams[layer].noise);
    }
    if (self->streams[layer].count != NULL) {
      gsl_rng_free(self->streams[layer].count);
    }
  }
  free(self->streams);
  free(self->share[0]);
  free(self->share[1]);
  free(self->noise);
  free(self->popularity);
  free(self->tail);
  mb_workload_fini(&self->workload);
}

static mb_status allocate(domains *self) {
  size_t n = self->workload.n_layers * self->workload.n_experts;

  self->share[0] = calloc(n, sizeof *self->share[0]);
  self->share[1] = calloc(n, sizeof *self->share[1]);
  self->noise = calloc(n, sizeof *self->noise);
  self->popularity = calloc(n, sizeof *self->popularity);
  self->tail = calloc(n, sizeof *self->tail);
  self->streams = calloc(self->workload.n_layers, sizeof *self->streams);
  if (self->share[0] == NULL || self->share[1] == NULL || self->noise == NULL ||
      self->popularity == NULL || self->tail == NULL || self->streams == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts",
                   self->workload.n_layers, self->workload.n_experts);
  }
  return MB_OK;
}

/* The layer's shares in both domains. */
static void draw_shares(domains *self, size_t layer, gsl_rng *rng) {
  const mb_domains_params *params = &self->params;
  double *share0 = self->share[0] + layer * self->workload.n_experts;
  double *share1 = self->share[1] + layer * self->workload.n_experts;
  double sigma = params->sigma * (1.0 + params->sigma_spread * (2.0 * gsl_rng_uniform(rng) - 1.0));
  double apart = sqrt(1.0 - params->correlation * params->correlation);
  double cap = fmin(1.0, params->head_cap / (double)self->workload.n_experts);

  for (size_t e = 0; e < self->workload.n_experts; e++) {
    double z0 = gsl_ran_gaussian_ziggurat(rng, 1.0);
    double z1 = params->correlation * z0 + apart * gsl_ran_gaussian_ziggurat(rng, 1.0);
    share0[e] = exp(sigma * z0);
    share1[e] = exp(sigma * z1);
  }
  mb_shares_cap(self->workload.n_experts, cap, share0);
  mb_shares_cap(self->workload.n_experts, cap, share1);
}

static mb_status init_layer(domains *self, size_t layer, uint64_t seed) {
  gsl_rng *rng = mb_stream_create(seed, "domains/popularity", layer);

  self->streams[layer].noise = mb_stream_create(seed, "domains/noise", layer);
  self->streams[layer].count = mb_stream_create(seed, "domains/count", layer);
  if (rng == NULL || self->streams[layer].noise == NULL || self->streams[layer].count == NULL) {
    if (rng != NULL) {
      gsl_rng_free(rng);
    }
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the random streams of layer %zu", layer);
  }
  draw_shares(self, layer, rng);
  gsl_rng_free(rng);
  mb_ar1_start(&self->process, self->streams[layer].noise, self->workload.n_experts,
               self->noise + layer * self->workload.n_experts);
  return MB_OK;
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  domains *self = state;

  self->params = *(const mb_domains_params *)params;
  self->process = mb_ar1_make(self->params.noise_rms, self->params.noise_autocorrelation,
                              (double)self->params.noise_lag);
  mb_status status = mb_workload_init(&self->params.workload, &self->workload);
  status = status == MB_OK ? allocate(self) : status;
  for (size_t layer = 0; status == MB_OK && layer < self->workload.n_layers; layer++) {
    status = init_layer(self, layer, seed);
  }
  if (status != MB_OK) {
    fini(self);
    return status;
  }
  mb_workload_describe(&self->workload, &mb_generator_domains, params, seed, info);
  return MB_OK;
}

const mb_generator_type mb_generator_domains = {
    .name = "domains",
    .summary = "two domains of lognormal expert popularity, a drifting mixture, AR(1) noise",
    .params = params_table,
    .params_size = sizeof(mb_domains_params),
    .state_size = sizeof(domains),
    .init = init,
    .next = next,
    .fini = fini,
};
