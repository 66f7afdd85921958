/* workloads/domains.c - what domains.h says. Every layer has streams of its own, so the loads
 * depend neither on the threads nor on how many steps a call asks for. Figures to resemble:
 * lognormal sigma .5 to 1.1 gives 128-256 experts a Gini index of .27 to .56, as recordings of
 * GLM-4.5-Air and Qwen3-235B have; real heads end near 6 to 9 times the mean, hence head_cap;
 * mathematics and code correlate with .3 to .55 in large models. Windows of 64 decode steps are
 * recorded to differ by .04 to .05 in total variation while a topic lasts, by .1 when it changes.
 */
#include "workloads/domains.h"

#include <assert.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_randist.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/model.h"
#include "workloads/stream.h"
#include "workloads/trace_info.h"

#define MB_MODEL(name, ...) name,
static const char *const model_names[] = {
#include "workloads/models.def"
    NULL};
#undef MB_MODEL

static const char *const phase_names[] = {"prefill", "decode", "mixed", "train", NULL};
static const char *const drift_names[] = {"none", "step", "ramp", "periodic", NULL};

#define AT(field) offsetof(mb_domains_params, field)

static const mb_param params_table[] = {
    {.key = "model",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "deepseek-v3",
     .choices = model_names,
     .help = "whose shape the loads have (`moebal list models`)",
     .offset = AT(model)},
    {.key = "phase",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "decode",
     .choices = phase_names,
     .help = "what the trace says it is a trace of",
     .offset = AT(phase)},
    {.key = "steps",
     .type = MB_PARAM_INT,
     .unit = "steps",
     .initial = "1000",
     .min = 1,
     .max = 1e9,
     .help = "length of the trace",
     .offset = AT(n_steps)},
    {.key = "tokens",
     .type = MB_PARAM_INT,
     .unit = "tokens",
     .initial = "4096",
     .min = 1,
     .max = 16777216,
     .help = "tokens of each step",
     .offset = AT(n_tokens)},
    {.key = "layers",
     .type = MB_PARAM_INT,
     .unit = "layers",
     .initial = "model",
     .min = 1,
     .max = 4096,
     .word = "model",
     .word_value = 0,
     .help = "MoE layers, if not the model's",
     .offset = AT(n_layers)},
    {.key = "experts",
     .type = MB_PARAM_INT,
     .unit = "experts",
     .initial = "model",
     .min = 1,
     .max = 65536,
     .word = "model",
     .word_value = 0,
     .help = "experts of a layer, if not the model's",
     .offset = AT(n_experts)},
    {.key = "top_k",
     .type = MB_PARAM_INT,
     .unit = "experts",
     .initial = "model",
     .min = 1,
     .max = 1024,
     .word = "model",
     .word_value = 0,
     .help = "different experts that a token goes to, if not the model's",
     .offset = AT(top_k)},
    {.key = "groups",
     .type = MB_PARAM_INT,
     .unit = "groups",
     .initial = "model",
     .min = 1,
     .max = 65536,
     .word = "model",
     .word_value = 0,
     .help = "groups of experts, if not the model's",
     .offset = AT(n_groups)},
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
     .choices = drift_names,
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
  const mb_model *model;
  mb_phase phase;
  size_t n_layers, n_experts;
  uint32_t top_k, n_groups, n_tokens;
  uint64_t step;     /* the next one */
  double noise_keep; /* a = noise_keep a + noise_fresh z */
  double noise_fresh;
  double *share[2];   /* [L,E] */
  double *noise;      /* [L,E] a of the last step */
  double *popularity; /* [L,E] scratch: p, not normalised */
  double *tail;       /* [L,E] scratch: its sums from each expert to the last */
  streams *streams;   /* [L] */
  int32_t *layer_ids; /* [L] */
  char model_text[128];
  char source[2048];
} domains;

double mb_domains_weight(const mb_domains_params *params, uint64_t step) {
  double period = (double)params->drift_period;

  if (strcmp(params->drift, "step") == 0) {
    return step >= (uint64_t)params->drift_period ? 1.0 : 0.0;
  }
  if (strcmp(params->drift, "ramp") == 0) {
    return fmin(1.0, (double)step / period);
  }
  if (strcmp(params->drift, "periodic") == 0) {
    /* The whole periods are taken off first: cos() of a large angle is slow. */
    uint64_t phase = step % (uint64_t)params->drift_period;
    return (1.0 - cos(2.0 * M_PI * (double)phase / period)) / 2.0;
  }
  return 0.0;
}

const double *mb_domains_share(const void *state, size_t domain) {
  return ((const domains *)state)->share[domain];
}

/* Makes the weights sum to 1 with none above `cap` (>= 1/n): what is cut off a head is spread over
   the others in proportion to their weight, which may lift some of them to the cap in turn. */
static void cap_shares(size_t n, double cap, double *weight) {
  double limit = INFINITY;
  double scale = 0.0;
  size_t n_capped = 0;

  for (;;) {
    size_t n_above = 0;
    double below = 0.0;
    for (size_t e = 0; e < n; e++) {
      n_above += weight[e] > limit ? 1 : 0;
      below += weight[e] > limit ? 0.0 : weight[e];
    }
    double rest = 1.0 - (double)n_above * cap;
    scale = below > 0.0 && rest > 0.0 ? rest / below : 0.0;
    if (scale == 0.0 || (limit < INFINITY && n_above == n_capped)) {
      break;
    }
    n_capped = n_above;
    limit = cap / scale;
  }
  for (size_t e = 0; e < n; e++) {
    weight[e] = weight[e] > limit || scale == 0.0 ? cap : weight[e] * scale;
  }
}

/* Adds a multinomial sample of n to count[n_experts]: one binomial an expert, given those before.
   The sums from the back make the last quotient exactly 1, so that nothing is ever left over. */
static void draw_multinomial(gsl_rng *rng, uint32_t n, size_t n_experts, const double *weight,
                             double *tail, uint32_t *count) {
  double sum = 0.0;

  for (size_t e = n_experts; e-- > 0;) {
    sum += weight[e];
    tail[e] = sum;
  }
  for (size_t e = 0; e < n_experts && n > 0; e++) {
    if (weight[e] > 0.0) {
      uint32_t drawn = weight[e] < tail[e] ? gsl_ran_binomial(rng, weight[e] / tail[e], n) : n;
      count[e] += drawn;
      n -= drawn;
    }
  }
  assert(n == 0);
}

/* Cuts the counts at n_tokens, takes the full experts out of the draw, and returns what was cut. */
static uint32_t take_excess(uint32_t n_tokens, size_t n_experts, double *weight, uint32_t *count) {
  uint32_t excess = 0;

  for (size_t e = 0; e < n_experts; e++) {
    if (count[e] >= n_tokens) {
      excess += count[e] - n_tokens;
      count[e] = n_tokens;
      weight[e] = 0.0;
    }
  }
  return excess;
}

/* top_k x tokens <= E x tokens, so while there is an excess some expert isn't full. Each further
   round fills at least one expert or ends. */
static void draw_counts(domains *self, size_t layer, uint32_t *count) {
  double *weight = self->popularity + layer * self->n_experts;
  double *tail = self->tail + layer * self->n_experts;
  uint32_t left = self->top_k * self->n_tokens;

  memset(count, 0, self->n_experts * sizeof *count);
  while (left > 0) {
    draw_multinomial(self->streams[layer].count, left, self->n_experts, weight, tail, count);
    left = take_excess(self->n_tokens, self->n_experts, weight, count);
  }
}

/* p[t,l,:] up to a factor, into the layer's scratch. */
static void mix_popularity(domains *self, size_t layer, double weight) {
  size_t first = layer * self->n_experts;
  const double *share0 = self->share[0] + first;
  const double *share1 = self->share[1] + first;
  const double *noise = self->noise + first;
  double *popularity = self->popularity + first;
  double sum = 0.0;
  double highest = 0.0;

  for (size_t e = 0; e < self->n_experts; e++) {
    popularity[e] = ((1.0 - weight) * share0[e] + weight * share1[e]) * exp(noise[e]);
    sum += popularity[e];
    highest = fmax(highest, popularity[e]);
  }
  if (highest * self->top_k > sum) {
    cap_shares(self->n_experts, 1.0 / self->top_k, popularity);
  }
}

static void advance_noise(domains *self, size_t layer) {
  double *noise = self->noise + layer * self->n_experts;

  if (self->noise_fresh > 0.0) {
    for (size_t e = 0; e < self->n_experts; e++) {
      noise[e] = self->noise_keep * noise[e] +
                 gsl_ran_gaussian_ziggurat(self->streams[layer].noise, self->noise_fresh);
    }
  }
}

static mb_status next(void *state, size_t n, uint32_t *load) {
  domains *self = state;

#pragma omp parallel for schedule(static)
  for (size_t layer = 0; layer < self->n_layers; layer++) {
    for (size_t t = 0; t < n; t++) {
      mix_popularity(self, layer, mb_domains_weight(&self->params, self->step + t));
      draw_counts(self, layer, load + (t * self->n_layers + layer) * self->n_experts);
      advance_noise(self, layer);
    }
  }
  self->step += n;
  return MB_OK;
}

static void fini(void *state) {
  domains *self = state;

  for (size_t layer = 0; self->streams != NULL && layer < self->n_layers; layer++) {
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
  free(self->layer_ids);
}

static size_t given_or(int64_t given, size_t of_model) {
  return given != 0 ? (size_t)given : of_model;
}

static mb_status set_shape(domains *self) {
  const mb_domains_params *params = &self->params;

  self->model = mb_model_find(params->model);
  if (self->model == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "model: there is no model '%s'", params->model);
  }
  if (!mb_phase_find(params->phase, &self->phase)) {
    return MB_FAIL(MB_ERR_PARAM, "phase: there is no phase '%s'", params->phase);
  }
  self->n_layers = given_or(params->n_layers, self->model->n_layers);
  self->n_experts = given_or(params->n_experts, self->model->n_experts);
  self->top_k = (uint32_t)given_or(params->top_k, self->model->top_k);
  self->n_groups = (uint32_t)given_or(params->n_groups, self->model->n_groups);
  self->n_tokens = (uint32_t)params->n_tokens;
  if (self->n_layers > MB_TRACE_STEP_SIZE_MAX / self->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "layers: %zu of %zu experts, but their product is at most %zu",
                   self->n_layers, self->n_experts, MB_TRACE_STEP_SIZE_MAX);
  }
  if (self->top_k > self->n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "top_k: %" PRIu32 " different experts, but experts is %zu",
                   self->top_k, self->n_experts);
  }
  if (self->n_experts % self->n_groups != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "groups: %" PRIu32 " does not divide experts, %zu", self->n_groups,
                   self->n_experts);
  }
  /* gsl_ran_binomial() counts in int. */
  if (params->n_tokens > INT_MAX / (int64_t)self->top_k) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "tokens: %" PRId64 " with top_k %" PRIu32 " make more than %d loads a layer",
                   params->n_tokens, self->top_k, INT_MAX);
  }
  return MB_OK;
}

static mb_status allocate(domains *self) {
  size_t n = self->n_layers * self->n_experts;

  self->share[0] = calloc(n, sizeof *self->share[0]);
  self->share[1] = calloc(n, sizeof *self->share[1]);
  self->noise = calloc(n, sizeof *self->noise);
  self->popularity = calloc(n, sizeof *self->popularity);
  self->tail = calloc(n, sizeof *self->tail);
  self->streams = calloc(self->n_layers, sizeof *self->streams);
  self->layer_ids = calloc(self->n_layers, sizeof *self->layer_ids);
  if (self->share[0] == NULL || self->share[1] == NULL || self->noise == NULL ||
      self->popularity == NULL || self->tail == NULL || self->streams == NULL ||
      self->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu experts", self->n_layers,
                   self->n_experts);
  }
  return MB_OK;
}

/* The layer's shares in both domains. */
static void draw_shares(domains *self, size_t layer, gsl_rng *rng) {
  const mb_domains_params *params = &self->params;
  double *share0 = self->share[0] + layer * self->n_experts;
  double *share1 = self->share[1] + layer * self->n_experts;
  double sigma = params->sigma * (1.0 + params->sigma_spread * (2.0 * gsl_rng_uniform(rng) - 1.0));
  double apart = sqrt(1.0 - params->correlation * params->correlation);
  double cap = fmin(1.0, params->head_cap / (double)self->n_experts);

  for (size_t e = 0; e < self->n_experts; e++) {
    double z0 = gsl_ran_gaussian_ziggurat(rng, 1.0);
    double z1 = params->correlation * z0 + apart * gsl_ran_gaussian_ziggurat(rng, 1.0);
    share0[e] = exp(sigma * z0);
    share1[e] = exp(sigma * z1);
  }
  cap_shares(self->n_experts, cap, share0);
  cap_shares(self->n_experts, cap, share1);
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
  /* The noise starts in its stationary state. */
  for (size_t e = 0; self->params.noise_rms > 0.0 && e < self->n_experts; e++) {
    self->noise[layer * self->n_experts + e] =
        gsl_ran_gaussian_ziggurat(self->streams[layer].noise, self->params.noise_rms);
  }
  self->layer_ids[layer] = (int32_t)(self->model->first_layer + layer);
  return MB_OK;
}

static void fill_info(domains *self, uint64_t seed, mb_trace_info *info) {
  bool as_model = self->n_layers == self->model->n_layers &&
                  self->n_experts == self->model->n_experts && self->top_k == self->model->top_k;

  (void)snprintf(self->model_text, sizeof self->model_text, as_model ? "%s" : "%s, resized",
                 self->model->name);
  (void)mb_generator_describe(&mb_generator_domains, &self->params, seed, self->source,
                              sizeof self->source);
  *info = (mb_trace_info){
      .n_steps = (size_t)self->params.n_steps,
      .n_layers = self->n_layers,
      .n_experts = self->n_experts,
      .top_k = (int32_t)self->top_k,
      .n_groups = (int32_t)self->n_groups,
      .layer_ids = self->layer_ids,
      .model = self->model_text,
      .source = self->source,
      .created_by = "moebal",
      .phase = self->phase,
      .padding = "excluded",
      .counts = "logical",
      .source_semantics = "",
      .steps_per_record = 1,
  };
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  domains *self = state;

  self->params = *(const mb_domains_params *)params;
  MB_TRY(set_shape(self));
  double keep = pow(self->params.noise_autocorrelation, 1.0 / (double)self->params.noise_lag);
  self->noise_keep = keep;
  self->noise_fresh = self->params.noise_rms * sqrt(1.0 - keep * keep);

  mb_status status = allocate(self);
  for (size_t layer = 0; status == MB_OK && layer < self->n_layers; layer++) {
    status = init_layer(self, layer, seed);
  }
  if (status != MB_OK) {
    fini(self);
    return status;
  }
  fill_info(self, seed, info);
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
