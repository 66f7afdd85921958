/* workloads/batching.c - a request takes a free slot and keeps it: first its prompt is read, oldest
 * request first, as far as the rank's share of the step's chunk goes; from the next step on it
 * writes one token a step. */
#include "workloads/batching.h"

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>

#include "workloads/mixture.h"

typedef struct slot {
  uint32_t kind;
  uint32_t prompt_left, output_left;
  bool busy, begun;
} slot;

/* The slots of a rank whose prompts are being read, oldest first: a ring. */
typedef struct queue {
  size_t first, n;
} queue;

struct mb_batching {
  mb_batching_params params;
  gsl_rng *rng;
  uint64_t step;
  uint64_t waiting; /* requests that have come and found no slot */
  double arrivals;  /* a step, in the mean; where utilisation is below 1 */
  slot *slots;      /* [concurrency] */
  queue *queues;    /* [n_ranks] */
  size_t queue_size;
  uint32_t *queued; /* [n_ranks,queue_size] slots */
};

static uint32_t draw_length(gsl_rng *rng, double mean, double spread) {
  double length = mean * exp(gsl_ran_gaussian_ziggurat(rng, spread) - spread * spread / 2.0);

  return (uint32_t)fmin(1e7, fmax(1.0, round(length)));
}

static void begin_request(mb_batching *self, uint32_t i) {
  const mb_batching_params *params = &self->params;
  double weight = mb_mixture_weight(params->drift, params->drift_period, self->step);
  uint32_t domain = gsl_rng_uniform(self->rng) < weight ? 1 : 0;
  slot *own = &self->slots[i];

  *own = (slot){.busy = true};
  own->kind = domain * params->n_kinds + (uint32_t)gsl_rng_uniform_int(self->rng, params->n_kinds);
  if (params->prefills) {
    size_t rank = i % params->n_ranks;
    queue *line = &self->queues[rank];
    own->prompt_left = draw_length(self->rng, params->prompt_mean, params->prompt_spread);
    size_t last = (line->first + line->n++) % self->queue_size;
    self->queued[rank * self->queue_size + last] = i;
  }
  if (params->decodes) {
    own->output_left = draw_length(self->rng, params->output_mean, params->output_spread);
  }
}

/* Fills free slots, in the order of the slots, from who waits. */
static void admit(mb_batching *self) {
  bool always = self->params.utilisation >= 1.0;
  uint32_t n_busy = 0;

  if (!always) {
    self->waiting += gsl_ran_poisson(self->rng, self->arrivals);
  }
  for (uint32_t i = 0; i < self->params.concurrency; i++) {
    if (!self->slots[i].busy && (always || self->waiting > 0)) {
      begin_request(self, i);
      self->waiting -= always ? 0 : 1;
    }
    n_busy += self->slots[i].busy ? 1 : 0;
  }
  if (n_busy == 0) {
    begin_request(self, (uint32_t)gsl_rng_uniform_int(self->rng, self->params.concurrency));
  }
}

/* Prompt tokens of each slot in this step: what is left of the rank's chunk, oldest first. They are
   noted in `items` by slot; n_tokens 0: none. */
static void share_chunk(mb_batching *self, mb_batching_item *items) {
  const mb_batching_params *params = &self->params;

  for (uint32_t rank = 0; rank < params->n_ranks; rank++) {
    queue *line = &self->queues[rank];
    uint32_t left = params->chunk / params->n_ranks + (rank < params->chunk % params->n_ranks);
    while (left > 0 && line->n > 0) {
      uint32_t i = self->queued[rank * self->queue_size + line->first];
      uint32_t n = self->slots[i].prompt_left < left ? self->slots[i].prompt_left : left;
      items[i].n_tokens = n;
      left -= n;
      if (n == self->slots[i].prompt_left) {
        line->first = (line->first + 1) % self->queue_size;
        line->n--;
      }
    }
  }
}

/* The slot's item, if it has one: then the request gets on by its tokens, or ends. */
static bool take_item(slot *own, uint32_t i, uint32_t n_ranks, mb_batching_item *item) {
  bool prompt = own->prompt_left > 0;
  uint32_t n_tokens = prompt ? item->n_tokens : own->output_left > 0 ? 1 : 0;

  if (!own->busy || n_tokens == 0) {
    return false;
  }
  *item = (mb_batching_item){.slot = i,
                             .rank = i % n_ranks,
                             .kind = own->kind,
                             .n_tokens = n_tokens,
                             .prompt = prompt,
                             .first = !own->begun};
  own->begun = true;
  own->prompt_left -= prompt ? n_tokens : 0;
  own->output_left -= prompt ? 0 : 1;
  own->busy = own->prompt_left > 0 || own->output_left > 0;
  return true;
}

size_t mb_batching_next(mb_batching *self, mb_batching_item *items) {
  size_t n = 0;

  admit(self);
  for (uint32_t i = 0; i < self->params.concurrency; i++) {
    items[i].n_tokens = 0;
  }
  share_chunk(self, items);
  for (uint32_t i = 0; i < self->params.concurrency; i++) {
    mb_batching_item item = items[i];
    if (take_item(&self->slots[i], i, self->params.n_ranks, &item)) {
      items[n++] = item;
    }
  }
  self->step++;
  return n;
}

/* Steps that a request is in work, in the mean: its prompt waits for those before it. */
static double find_life(const mb_batching_params *params) {
  double reading = ceil(params->prompt_mean / params->chunk);

  return (params->prefills ? reading : 0.0) + (params->decodes ? params->output_mean : 0.0);
}

double mb_batching_lifetime(const mb_batching_params *params) {
  double waves = params->prefills ? params->concurrency * params->prompt_mean / params->chunk : 0.0;

  return fmax(find_life(params), waves);
}

/* Requests per step that keep `utilisation` of what the bottleneck can take. */
static double find_arrivals(const mb_batching_params *params) {
  double by_slots = params->concurrency / find_life(params);
  double by_chunk = params->prefills ? params->chunk / params->prompt_mean : INFINITY;

  return params->utilisation * fmin(by_slots, by_chunk);
}

/* All slots begin at once, each somewhere in its request; a life later they have forgotten that. */
static void warm_up(mb_batching *self, mb_batching_item *items) {
  double waves = self->params.prefills
                     ? self->params.concurrency * self->params.prompt_mean / self->params.chunk
                     : 0.0;
  uint64_t n_steps = (uint64_t)ceil(find_life(&self->params) + fmin(waves, 1e6));

  for (uint32_t i = 0; i < self->params.concurrency; i++) {
    double part = gsl_rng_uniform_pos(self->rng);
    bool runs = gsl_rng_uniform(self->rng) < self->params.utilisation;
    if (runs) {
      begin_request(self, i);
      slot *own = &self->slots[i];
      own->prompt_left = (uint32_t)ceil(own->prompt_left * part);
      own->output_left = (uint32_t)ceil(own->output_left * part);
    }
  }
  for (uint64_t i = 0; i < n_steps; i++) {
    (void)mb_batching_next(self, items);
    self->step = 0; /* the mixture stays where it begins */
  }
  for (uint32_t i = 0; i < self->params.concurrency; i++) {
    self->slots[i].begun = false;
  }
}

static mb_status allocate(mb_batching *self) {
  const mb_batching_params *params = &self->params;

  /* As many as the rank has slots, rounded up. */
  self->queue_size = params->concurrency / params->n_ranks + 1;
  self->slots = calloc(params->concurrency, sizeof *self->slots);
  self->queues = calloc(params->n_ranks, sizeof *self->queues);
  self->queued = calloc(params->n_ranks * self->queue_size, sizeof *self->queued);
  return self->slots != NULL && self->queues != NULL && self->queued != NULL
             ? MB_OK
             : MB_FAIL(MB_ERR_MEMORY, "no memory for %u requests at a time", params->concurrency);
}

mb_status mb_batching_create(const mb_batching_params *params, gsl_rng *rng,
                             mb_batching **batching) {
  mb_batching *made = calloc(1, sizeof *made);
  mb_batching_item *items = calloc(params->concurrency, sizeof *items);

  if (made == NULL || items == NULL) {
    free(made);
    free(items);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %u requests at a time", params->concurrency);
  }
  *made = (mb_batching){.params = *params, .rng = rng, .arrivals = find_arrivals(params)};
  mb_status status = allocate(made);
  if (status == MB_OK) {
    warm_up(made, items);
    *batching = made;
  } else {
    mb_batching_destroy(made);
  }
  free(items);
  return status;
}

void mb_batching_destroy(mb_batching *batching) {
  if (batching == NULL) {
    return;
  }
  free(batching->queued);
  free(batching->queues);
  free(batching->slots);
  free(batching);
}
