/* workloads/requests.c - what requests.h says. Which requests are in work is found step by step,
 * then each layer routes their tokens with a stream of its own, so the loads depend neither on the
 * threads nor on how many steps a call asks for. Figures to resemble: gpt-oss-20b, 64 requests
 * decoding at a time, whose windows of 64 steps correlate with .989 from one to the next and have a
 * chi-square of 8 a degree of freedom, because a request stays for some 300 steps; its tokens reuse
 * .44 of the last one's experts, DeepSeek-V2-Lite's .29.
 */
#include "workloads/requests.h"

#include <gsl/gsl_randist.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/batching.h"
#include "workloads/mixture.h"
#include "workloads/sampling.h"
#include "workloads/stream.h"
#include "workloads/token_chain.h"
#include "workloads/top_k.h"
#include "workloads/trace_info.h"

/* Steps whose requests are found at a time. */
enum { BLOCK = 32 };

/* No expert is in more of a request's tokens than this. */
#define INCLUSION_MAX 0.9

#define AT(field) offsetof(mb_requests_params, field)

static const mb_param params_table[] = {
#define MB_PARAMS mb_requests_params
#include "workloads/workload_shape.def"
#undef MB_PARAMS
    {.key = "concurrency",
     .type = MB_PARAM_INT,
     .unit = "requests",
     .initial = "64",
     .min = 1,
     .max = 65536,
     .help = "requests in work at a time",
     .offset = AT(concurrency)},
    {.key = "utilisation",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "1",
     .min = 0.01,
     .max = 1,
     .help = "share of its capacity that arrives, as a Poisson process; 1: there is always a next "
             "request",
     .offset = AT(utilisation)},
    {.key = "dp_ranks",
     .type = MB_PARAM_INT,
     .unit = "ranks",
     .initial = "1",
     .min = 1,
     .max = 1024,
     .help = "data-parallel ranks that the requests are dealt to, the sources of the loads",
     .offset = AT(dp_ranks)},
    {.key = "prompt_tokens",
     .type = MB_PARAM_REAL,
     .unit = "tokens",
     .initial = "1024",
     .min = 1,
     .max = 1e6,
     .help = "mean length of a prompt",
     .offset = AT(prompt_tokens)},
    {.key = "prompt_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.5",
     .min = 0,
     .max = 3,
     .help = "standard deviation of the prompt lengths' logarithm",
     .offset = AT(prompt_spread)},
    {.key = "chunk",
     .type = MB_PARAM_INT,
     .unit = "tokens",
     .initial = "4096",
     .min = 1,
     .max = 1048576,
     .help = "prompt tokens of a step, of as many requests as fit",
     .offset = AT(chunk)},
    {.key = "output_tokens",
     .type = MB_PARAM_REAL,
     .unit = "tokens",
     .initial = "300",
     .min = 1,
     .max = 1e6,
     .help = "mean length of what is written",
     .offset = AT(output_tokens)},
    {.key = "output_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.5",
     .min = 0,
     .max = 3,
     .help = "standard deviation of those lengths' logarithm",
     .offset = AT(output_spread)},
    {.key = "reuse",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.25",
     .min = 0,
     .max = 1,
     .help = "share of a token's experts that the next one keeps, besides those it picks again",
     .offset = AT(reuse)},
    {.key = "sigma",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.8",
     .min = 0,
     .max = 5,
     .help = "standard deviation of the experts' log popularity in a domain",
     .offset = AT(sigma)},
    {.key = "correlation",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = -1,
     .max = 1,
     .help = "of the log popularity in the two domains",
     .offset = AT(correlation)},
    {.key = "request_sigma",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "1",
     .min = 0,
     .max = 5,
     .help = "standard deviation of what a kind of request adds to the log popularity",
     .offset = AT(request_sigma)},
    {.key = "sigma_spread",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.4",
     .min = 0,
     .max = 1,
     .help = "a layer's own sigmas are within this share of them, uniformly",
     .offset = AT(sigma_spread)},
    {.key = "head_cap",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "8",
     .min = 1,
     .max = 1e6,
     .help = "no expert is more popular in a request than this many times the mean",
     .offset = AT(head_cap)},
    {.key = "kinds",
     .type = MB_PARAM_INT,
     .unit = "kinds",
     .initial = "32",
     .min = 1,
     .max = 1024,
     .help = "kinds of requests in a domain",
     .offset = AT(kinds)},
    {.key = "drift",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "none",
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
    {.key = "sampling",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "auto",
     .choices = mb_top_k_samplings,
     .help = "a prompt's chunk token by token (exact) or in one go (fast); auto: exact up to 128 "
             "tokens",
     .offset = AT(sampling)},
    {.key = NULL},
};

/* What a layer needs to route tokens. */
typedef struct router {
  gsl_rng *rng;
  mb_token_chain *chains; /* [kinds] */
  uint16_t *experts;      /* [slots,k] of each request's last token */
  mb_top_k picks;         /* scratch for the fast way */
  uint32_t *count;        /* [E] scratch */
} router;

typedef struct requests {
  mb_requests_params params;
  mb_workload workload;
  size_t n_kinds, n_ranks; /* kinds of both domains */
  gsl_rng *arrivals;
  mb_batching *batching;
  bool *fresh;             /* [slots] whether the next token has none before it */
  mb_batching_item *items; /* [BLOCK,slots] */
  size_t n_items[BLOCK];
  double *inclusion; /* [L,kinds,E] */
  double *spread;    /* [L,kinds,E] of mb_top_k */
  router *routers;   /* [L] */
} requests;

const double *mb_requests_inclusion(const void *state, size_t kind, size_t layer) {
  const requests *self = state;

  return self->inclusion + (layer * self->n_kinds + kind) * self->workload.n_experts;
}

/* --- routing */

static bool is_fast(const requests *self, const mb_batching_item *item) {
  return item->prompt && !mb_top_k_is_exact(self->params.sampling, item->n_tokens);
}

/* Tokens drawn in one go leave none to go on from. */
static void mark_fresh(requests *self, mb_batching_item *items, size_t n) {
  for (size_t i = 0; i < n; i++) {
    bool *fresh = &self->fresh[items[i].slot];
    *fresh = *fresh || items[i].first;
    items[i].first = *fresh;
    *fresh = is_fast(self, &items[i]);
  }
}

static void route_fast(const requests *self, size_t layer, const mb_batching_item *item,
                       uint32_t *load) {
  router *own = &self->routers[layer];
  size_t at = (layer * self->n_kinds + item->kind) * self->workload.n_experts;
  mb_top_k picks = own->picks; /* its scratch, and the kind's figures */

  picks.inclusion = self->inclusion + at;
  picks.spread = self->spread + at;
  mb_top_k_draw_fast(&picks, own->rng, item->n_tokens, own->count);
  for (size_t e = 0; e < self->workload.n_experts; e++) {
    load[e] += own->count[e];
  }
}

static void route_exact(const requests *self, size_t layer, const mb_batching_item *item,
                        uint32_t *load) {
  router *own = &self->routers[layer];
  uint32_t top_k = self->workload.top_k;
  const mb_token_chain *chain = &own->chains[item->kind];
  uint16_t *expert = own->experts + (size_t)item->slot * top_k;

  for (uint32_t t = 0; t < item->n_tokens; t++) {
    if (t == 0 && item->first) {
      mb_token_chain_start(chain, own->rng, expert);
    } else {
      mb_token_chain_step(chain, own->rng, self->params.reuse, expert);
    }
    for (uint32_t i = 0; i < top_k; i++) {
      load[expert[i]]++;
    }
  }
}

/* A layer's loads of a step; by_source [R,E] or NULL. */
static void route(const requests *self, size_t layer, const mb_batching_item *items, size_t n_items,
                  uint32_t *load, uint32_t *by_source) {
  size_t n_experts = self->workload.n_experts;

  memset(load, 0, n_experts * sizeof *load);
  if (by_source != NULL) {
    memset(by_source, 0, self->n_ranks * n_experts * sizeof *by_source);
  }
  for (size_t i = 0; i < n_items; i++) {
    uint32_t *target = by_source != NULL ? by_source + items[i].rank * n_experts : load;
    if (is_fast(self, &items[i])) {
      route_fast(self, layer, &items[i], target);
    } else {
      route_exact(self, layer, &items[i], target);
    }
  }
  for (size_t i = 0; by_source != NULL && i < self->n_ranks * n_experts; i++) {
    load[i % n_experts] += by_source[i];
  }
}

/* --- steps */

static void count_tokens(const requests *self, const mb_batching_item *items, size_t n,
                         uint32_t *tokens, uint8_t *phase) {
  bool prompts = false;
  bool outputs = false;

  if (tokens != NULL) {
    memset(tokens, 0, self->n_ranks * sizeof *tokens);
  }
  for (size_t i = 0; i < n; i++) {
    prompts = prompts || items[i].prompt;
    outputs = outputs || !items[i].prompt;
    if (tokens != NULL) {
      tokens[items[i].rank] += items[i].n_tokens;
    }
  }
  if (phase != NULL) {
    *phase = prompts && outputs ? MB_PHASE_MIXED : prompts ? MB_PHASE_PREFILL : MB_PHASE_DECODE;
  }
}

static void next_block(requests *self, size_t n, const mb_generator_steps *steps) {
  size_t n_slots = (size_t)self->params.concurrency;
  size_t n_layers = self->workload.n_layers;
  size_t n_experts = self->workload.n_experts;

  for (size_t t = 0; t < n; t++) {
    mb_batching_item *items = self->items + t * n_slots;
    self->n_items[t] = mb_batching_next(self->batching, items);
    mark_fresh(self, items, self->n_items[t]);
    count_tokens(self, items, self->n_items[t],
                 steps->tokens != NULL ? steps->tokens + t * self->n_ranks : NULL,
                 steps->step_phase != NULL ? steps->step_phase + t : NULL);
  }
#pragma omp parallel for schedule(dynamic)
  for (size_t layer = 0; layer < n_layers; layer++) {
    for (size_t t = 0; t < n; t++) {
      size_t at = t * n_layers + layer;
      uint32_t *by_source = steps->load_by_source != NULL
                                ? steps->load_by_source + at * self->n_ranks * n_experts
                                : NULL;
      route(self, layer, self->items + t * n_slots, self->n_items[t], steps->load + at * n_experts,
            by_source);
    }
  }
}

static mb_status next_steps(void *state, size_t n, const mb_generator_steps *steps) {
  requests *self = state;
  size_t step_size = self->workload.n_layers * self->workload.n_experts;
  mb_generator_steps at = *steps;

  for (size_t done = 0; done < n;) {
    size_t some = n - done < BLOCK ? n - done : BLOCK;
    next_block(self, some, &at);
    done += some;
    at.load += some * step_size;
    at.load_by_source += at.load_by_source != NULL ? some * step_size * self->n_ranks : 0;
    at.tokens += at.tokens != NULL ? some * self->n_ranks : 0;
    at.step_phase += at.step_phase != NULL ? some : 0;
  }
  return MB_OK;
}

static mb_status next(void *state, size_t n, uint32_t *load) {
  mb_generator_steps steps = {.load = load};

  return next_steps(state, n, &steps);
}

/* --- setting up */

static void fini(void *state) {
  requests *self = state;

  for (size_t layer = 0; self->routers != NULL && layer < self->workload.n_layers; layer++) {
    router *own = &self->routers[layer];
    for (size_t kind = 0; own->chains != NULL && kind < self->n_kinds; kind++) {
      mb_token_chain_fini(&own->chains[kind]);
    }
    if (own->rng != NULL) {
      gsl_rng_free(own->rng);
    }
    mb_top_k_fini(&own->picks);
    free(own->chains);
    free(own->experts);
    free(own->count);
  }
  mb_batching_destroy(self->batching);
  if (self->arrivals != NULL) {
    gsl_rng_free(self->arrivals);
  }
  free(self->routers);
  free(self->fresh);
  free(self->items);
  free(self->inclusion);
  free(self->spread);
  mb_workload_fini(&self->workload);
}

static mb_status allocate(requests *self) {
  size_t n_slots = (size_t)self->params.concurrency;
  const mb_workload *workload = &self->workload;
  bool ok = true;

  self->fresh = calloc(n_slots, sizeof *self->fresh);
  self->items = calloc(BLOCK * n_slots, sizeof *self->items);
  self->inclusion =
      calloc(workload->n_layers * self->n_kinds * workload->n_experts, sizeof *self->inclusion);
  self->spread =
      calloc(workload->n_layers * self->n_kinds * workload->n_experts, sizeof *self->spread);
  self->routers = calloc(workload->n_layers, sizeof *self->routers);
  ok = self->fresh != NULL && self->items != NULL && self->inclusion != NULL &&
       self->spread != NULL && self->routers != NULL;
  for (size_t layer = 0; ok && layer < workload->n_layers; layer++) {
    router *own = &self->routers[layer];
    own->chains = calloc(self->n_kinds, sizeof *own->chains);
    own->experts = calloc(n_slots * workload->top_k, sizeof *own->experts);
    own->count = calloc(workload->n_experts, sizeof *own->count);
    ok = own->chains != NULL && own->experts != NULL && own->count != NULL &&
         mb_top_k_init(&own->picks, workload->n_experts, workload->top_k, false) == MB_OK;
  }
  return ok ? MB_OK
            : MB_FAIL(MB_ERR_MEMORY, "no memory for %zu kinds of requests in %zu layers of %zu",
                      self->n_kinds, workload->n_layers, workload->n_experts);
}

/* pi of all kinds; `domain` [2,E] is scratch. */
static void draw_inclusion(const requests *self, gsl_rng *rng, double *domain, double *inclusion) {
  const mb_requests_params *params = &self->params;
  size_t n_experts = self->workload.n_experts;
  double top_k = self->workload.top_k;
  double scale = 1.0 + params->sigma_spread * (2.0 * gsl_rng_uniform(rng) - 1.0);
  double apart = sqrt(1.0 - params->correlation * params->correlation);
  /* Between INCLUSION_MAX and 1 where top_k is nearly all of the experts. */
  double most = fmax(INCLUSION_MAX, (1.0 + top_k / (double)n_experts) / 2.0);
  double cap = fmin(most / top_k, params->head_cap / (double)n_experts);

  for (size_t e = 0; e < n_experts; e++) {
    double z = gsl_ran_gaussian_ziggurat(rng, 1.0);
    domain[e] = params->sigma * scale * z;
    domain[n_experts + e] = params->sigma * scale *
                            (params->correlation * z + apart * gsl_ran_gaussian_ziggurat(rng, 1.0));
  }
  for (size_t kind = 0; kind < self->n_kinds; kind++) {
    const double *popularity = domain + (kind < self->n_kinds / 2 ? 0 : n_experts);
    double *own = inclusion + kind * n_experts;
    for (size_t e = 0; e < n_experts; e++) {
      own[e] =
          exp(popularity[e] + params->request_sigma * scale * gsl_ran_gaussian_ziggurat(rng, 1.0));
    }
    mb_shares_cap(n_experts, cap, own);
    for (size_t e = 0; e < n_experts; e++) {
      own[e] *= top_k;
    }
  }
}

static mb_status init_layer(requests *self, size_t layer, uint64_t seed) {
  size_t n_experts = self->workload.n_experts;
  router *own = &self->routers[layer];
  double *inclusion = self->inclusion + layer * self->n_kinds * n_experts;
  double *scratch = calloc(2 * n_experts, sizeof *scratch);
  gsl_rng *rng = mb_stream_create(seed, "requests/popularity", layer);
  mb_status status = MB_OK;

  own->rng = mb_stream_create(seed, "requests/tokens", layer);
  if (scratch == NULL || rng == NULL || own->rng == NULL) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory for the random streams of layer %zu", layer);
  } else {
    draw_inclusion(self, rng, scratch, inclusion);
  }
  for (size_t kind = 0; status == MB_OK && kind < self->n_kinds; kind++) {
    status = mb_token_chain_init(&own->chains[kind], n_experts, self->workload.top_k,
                                 inclusion + kind * n_experts, scratch);
    mb_top_k_find_spread(n_experts, inclusion + kind * n_experts,
                         self->spread + (layer * self->n_kinds + kind) * n_experts);
  }
  if (rng != NULL) {
    gsl_rng_free(rng);
  }
  free(scratch);
  return status;
}

/* A thread's message is its own, so a failure is told again by the caller's. */
static mb_status init_layers(requests *self, uint64_t seed) {
  bool failed = false;

#pragma omp parallel for schedule(dynamic) reduction(|| : failed)
  for (size_t layer = 0; layer < self->workload.n_layers; layer++) {
    failed = failed || init_layer(self, layer, seed) != MB_OK;
  }
  return failed ? MB_FAIL(MB_ERR_MEMORY, "no memory for the odds of %zu kinds of requests",
                          self->n_kinds)
                : MB_OK;
}

static mb_batching_params batching_params(const mb_requests_params *params, mb_phase phase) {
  return (mb_batching_params){
      .concurrency = (uint32_t)params->concurrency,
      .n_ranks = (uint32_t)params->dp_ranks,
      .prefills = phase != MB_PHASE_DECODE,
      .decodes = phase != MB_PHASE_PREFILL,
      .chunk = (uint32_t)params->chunk,
      .prompt_mean = params->prompt_tokens,
      .prompt_spread = params->prompt_spread,
      .output_mean = params->output_tokens,
      .output_spread = params->output_spread,
      .utilisation = params->utilisation,
      .n_kinds = (uint32_t)params->kinds,
      .drift = params->drift,
      .drift_period = (uint64_t)params->drift_period,
  };
}

double mb_requests_lifetime(const mb_requests_params *params) {
  mb_phase phase = MB_PHASE_DECODE;

  (void)mb_phase_find(params->workload.phase, &phase); /* it is one of the choices */
  mb_batching_params batching = batching_params(params, phase);
  return mb_batching_lifetime(&batching);
}

static mb_status start_batching(requests *self, uint64_t seed) {
  mb_batching_params batching = batching_params(&self->params, self->workload.phase);

  self->arrivals = mb_stream_create(seed, "requests/arrivals", 0);
  if (self->arrivals == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the arrivals' random stream");
  }
  return mb_batching_create(&batching, self->arrivals, &self->batching);
}

static mb_status check(const requests *self) {
  const mb_requests_params *params = &self->params;

  if (self->workload.phase == MB_PHASE_TRAIN) {
    return MB_FAIL(MB_ERR_PARAM, "phase: requests are served (prefill, decode, mixed), not train");
  }
  if (params->dp_ranks > params->concurrency) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "dp_ranks: %" PRId64 ", but concurrency is only %" PRId64 " requests",
                   params->dp_ranks, params->concurrency);
  }
  if (self->workload.phase != MB_PHASE_DECODE && params->chunk < params->dp_ranks) {
    return MB_FAIL(MB_ERR_SHAPE,
                   "chunk: %" PRId64 " tokens for %" PRId64 " dp_ranks, less than one each",
                   params->chunk, params->dp_ranks);
  }
  return MB_OK;
}

static mb_status init(void *state, const void *params, uint64_t seed, mb_trace_info *info) {
  requests *self = state;

  self->params = *(const mb_requests_params *)params;
  self->params.workload.n_tokens = 0; /* there is no such parameter: steps differ */
  self->n_kinds = 2 * (size_t)self->params.kinds;
  self->n_ranks = (size_t)self->params.dp_ranks;
  mb_status status = mb_workload_init(&self->params.workload, &self->workload);
  status = status == MB_OK ? check(self) : status;
  status = status == MB_OK ? allocate(self) : status;
  status = status == MB_OK ? init_layers(self, seed) : status;
  status = status == MB_OK ? start_batching(self, seed) : status;
  if (status != MB_OK) {
    fini(self);
    return status;
  }
  mb_workload_describe(&self->workload, &mb_generator_requests, params, seed, info);
  info->objects = MB_TRACE_TOKENS;
  info->objects |= self->n_ranks > 1 ? MB_TRACE_LOAD_BY_SOURCE : 0;
  info->objects |= self->workload.phase == MB_PHASE_MIXED ? MB_TRACE_STEP_PHASE : 0;
  info->n_sources = self->n_ranks;
  info->source_semantics = "attention_dp";
  return MB_OK;
}

const mb_generator_type mb_generator_requests = {
    .name = "requests",
    .summary = "serving: continuous batching of requests with favourite experts of their own",
    .params = params_table,
    .params_size = sizeof(mb_requests_params),
    .state_size = sizeof(requests),
    .init = init,
    .next = next,
    .next_steps = next_steps,
    .fini = fini,
};
