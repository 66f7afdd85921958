/* workloads/serving.c */
#include "workloads/serving.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/stream.h"

/* A request that has been let in. */
typedef struct running {
  size_t request, position, rank; /* position: tokens that it has had */
} running;

typedef struct server {
  const mb_routed_view *view;
  mb_import_serving how;
  size_t *order;    /* [n] requests as they come */
  double *arrivals; /* [n] in steps, by order; NULL: all at 0 */
  running *active;  /* [concurrency] in the order of coming in */
  size_t n_active, n_in;
  uint64_t *load;   /* [L,R,E] */
  uint32_t *tokens; /* [R] */
} server;

static mb_status check(const mb_routed_view *view, const mb_import_serving *how,
                       const mb_input *input) {
  if (how->concurrency < 1 || how->concurrency > 1000000) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s has requests that were recorded one by one: --concurrency says how many "
                   "are served at once; it is %" PRId64 ", and should be 1 to 1000000",
                   input->path, how->concurrency);
  }
  if (how->tokens_per_step != 0 && how->tokens_per_step < how->concurrency) {
    return MB_FAIL(MB_ERR_PARAM,
                   "a step of %" PRId64 " tokens has no room for %" PRId64
                   " requests that decode one each: --tokens-per-step should be at least that",
                   how->tokens_per_step, how->concurrency);
  }
  if (how->dp_ranks < 1 || how->dp_ranks > how->concurrency) {
    return MB_FAIL(MB_ERR_PARAM,
                   "--dp-ranks is %" PRId64 ", and should be 1 to %" PRId64 ", the concurrency",
                   how->dp_ranks, how->concurrency);
  }
  if (!(how->arrival_rate >= 0.0 && how->arrival_rate <= 1e9) || how->warm_up < -1) {
    return MB_FAIL(MB_ERR_PARAM,
                   "--arrival-rate is %g, and should be 0 or more; --warm-up is %" PRId64
                   ", and should be -1 or more",
                   how->arrival_rate, how->warm_up);
  }
  for (size_t i = 0; i < view->n_requests; i++) {
    if (mb_routed_length(view, i) == 0) {
      return MB_FAIL(MB_ERR_FORMAT, "%s: request %s has no token, and should have some",
                     input->path, mb_routed_name(view, i));
    }
  }
  return MB_OK;
}

/* --- who comes when */

static mb_status shuffle(server *s) {
  gsl_rng *rng = mb_stream_create(s->how.seed, "serving-order", 0);

  if (rng == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a random stream");
  }
  gsl_ran_shuffle(rng, s->order, s->view->n_requests, sizeof *s->order);
  gsl_rng_free(rng);
  return MB_OK;
}

static mb_status draw_arrivals(server *s) {
  gsl_rng *rng = mb_stream_create(s->how.seed, "serving-arrivals", 0);
  double at = 0.0;

  s->arrivals = malloc(s->view->n_requests * sizeof *s->arrivals);
  if (rng == NULL || s->arrivals == NULL) {
    gsl_rng_free(rng);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu arrivals", s->view->n_requests);
  }
  for (size_t i = 0; i < s->view->n_requests; i++) {
    at += gsl_ran_exponential(rng, 1.0 / s->how.arrival_rate);
    s->arrivals[i] = at;
  }
  gsl_rng_free(rng);
  return MB_OK;
}

static mb_status prepare(server *s) {
  const mb_routed_view *view = s->view;
  size_t n_ranks = (size_t)s->how.dp_ranks;

  s->order = malloc(view->n_requests * sizeof *s->order);
  s->active = calloc((size_t)s->how.concurrency, sizeof *s->active);
  s->load = malloc(view->n_layers * n_ranks * view->n_experts * sizeof *s->load);
  s->tokens = malloc(n_ranks * sizeof *s->tokens);
  if (s->order == NULL || s->active == NULL || s->load == NULL || s->tokens == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for steps of %zu layers, %zu ranks and %zu experts",
                   view->n_layers, n_ranks, view->n_experts);
  }
  for (size_t i = 0; i < view->n_requests; i++) {
    s->order[i] = i;
  }
  if (s->how.shuffle) {
    MB_TRY(shuffle(s));
  }
  return s->how.arrival_rate > 0.0 ? draw_arrivals(s) : MB_OK;
}

/* --- a step */

static void let_out(server *s) {
  size_t n = 0;

  for (size_t i = 0; i < s->n_active; i++) {
    if (s->active[i].position < mb_routed_length(s->view, s->active[i].request)) {
      s->active[n++] = s->active[i];
    }
  }
  s->n_active = n;
}

static void let_in(server *s, double now) {
  while (s->n_active < (size_t)s->how.concurrency && s->n_in < s->view->n_requests &&
         (s->arrivals == NULL || s->arrivals[s->n_in] <= now)) {
    s->active[s->n_active++] =
        (running){.request = s->order[s->n_in], .rank = s->n_in % (size_t)s->how.dp_ranks};
    s->n_in++;
  }
}

static void advance(server *s, running *a, size_t n) {
  mb_routed_count(s->view, a->request, a->position, n, (size_t)s->how.dp_ranks, a->rank, s->load);
  s->tokens[a->rank] += (uint32_t)n;
  a->position += n;
}

static bool is_decoding(const server *s, const running *a) {
  return a->position >= mb_routed_prompt(s->view, a->request);
}

/* Decoding comes first, so that no prompt holds it up; and a request doesn't decode in the step
   that reads the end of its prompt. */
static void run_step(server *s) {
  const mb_routed_view *view = s->view;
  size_t n_ranks = (size_t)s->how.dp_ranks;
  size_t room = s->how.tokens_per_step == 0 ? SIZE_MAX : (size_t)s->how.tokens_per_step;

  memset(s->load, 0, view->n_layers * n_ranks * view->n_experts * sizeof *s->load);
  memset(s->tokens, 0, n_ranks * sizeof *s->tokens);
  for (size_t i = 0; i < s->n_active; i++) {
    room -= is_decoding(s, &s->active[i]);
  }
  for (size_t i = 0; i < s->n_active; i++) {
    running *a = &s->active[i];
    if (is_decoding(s, a)) {
      advance(s, a, 1);
      continue;
    }
    size_t left = mb_routed_prompt(view, a->request) - a->position;
    size_t n = left < room ? left : room;
    advance(s, a, n);
    room -= n;
  }
}

/* --- the whole */

/* Steps that a request runs on average, with its prompt alone in its steps. */
static uint64_t mean_lifetime(const mb_routed_view *view, const mb_import_serving *how) {
  uint64_t sum = 0;

  if (view->n_requests == 0) {
    return 0;
  }
  for (size_t i = 0; i < view->n_requests; i++) {
    uint64_t prompt = mb_routed_prompt(view, i);
    uint64_t at_once = how->tokens_per_step == 0 ? UINT64_MAX : (uint64_t)how->tokens_per_step;
    sum += mb_routed_length(view, i) - prompt;
    sum += prompt == 0 ? 0 : (prompt - 1) / at_once + 1;
  }
  return (sum + view->n_requests / 2) / view->n_requests;
}

/* @param n_steps that came out, with the warm-up. */
static mb_status serve(server *s, mb_import *import, uint64_t warm_up, uint64_t *n_steps) {
  double now = 0.0;

  for (uint64_t t = 0;; t++) {
    size_t n_before = s->n_active;
    let_out(s);
    if (s->n_active == 0 && s->arrivals != NULL && s->n_in < s->view->n_requests) {
      now = fmax(now, ceil(s->arrivals[s->n_in]));
    }
    let_in(s, now);
    if (s->n_in == s->view->n_requests && s->n_active < n_before) {
      *n_steps = t;
      return MB_OK;
    }
    run_step(s);
    if (t >= warm_up) {
      MB_TRY(mb_import_step(import, s->load, s->tokens));
    }
    now += 1.0;
  }
}

static bool has_prompts(const mb_routed_view *view) {
  for (size_t i = 0; i < view->n_requests; i++) {
    if (mb_routed_prompt(view, i) > 0) {
      return true;
    }
  }
  return false;
}

static mb_status begin(const server *s, const char *model, const mb_input *input,
                       mb_import *import) {
  const mb_routed_view *view = s->view;
  mb_import_facts facts = {
      .n_layers = view->n_layers,
      .n_experts = view->n_experts,
      .n_sources = (size_t)s->how.dp_ranks,
      .layer_ids = view->layer_ids,
      .top_k = (int64_t)view->top_k,
      .model = model,
      .phase = has_prompts(view) ? "mixed" : "decode",
      .counts = "logical",
      .semantics = MB_SEMANTICS_ATTENTION_DP,
      .steps_per_record = 1,
      .has_tokens = true,
  };
  return mb_import_begin(import, input, &facts);
}

/* What was made of the recording, for people. */
static void tell(const server *s, mb_import *import, uint64_t warm_up, uint64_t n_steps) {
  const mb_import_serving *how = &s->how;
  char room[64] = "prompts read at once";

  if (!has_prompts(s->view)) {
    (void)snprintf(room, sizeof room, "each token in a step of its own");
    mb_import_note(import, "which tokens are a prompt was not recorded: all are taken for decoded "
                           "ones, so no step has prefill");
  } else if (how->tokens_per_step > 0) {
    (void)snprintf(room, sizeof room, "%" PRId64 " tokens a step", how->tokens_per_step);
  }
  mb_import_note(import,
                 "%zu requests of %" PRIu64 " tokens were served together: %" PRId64
                 " at once, %s, %" PRId64 " ranks in turn, in %s order",
                 s->view->n_requests, s->view->n_tokens, how->concurrency, room, how->dp_ranks,
                 how->shuffle ? "random" : "the recording's");
  uint64_t n_left = 0;
  for (size_t i = 0; i < s->n_active; i++) {
    n_left += mb_routed_length(s->view, s->active[i].request) - s->active[i].position;
  }
  mb_import_note(import,
                 "left out: the first %" PRIu64 " of %" PRIu64
                 " steps, while requests still begin together, and the last %" PRIu64
                 " tokens, while requests run out",
                 warm_up, n_steps, n_left);
}

static mb_status run(server *s, const char *model, const mb_input *input, mb_import *import) {
  uint64_t warm_up =
      s->how.warm_up < 0 ? mean_lifetime(s->view, &s->how) : (uint64_t)s->how.warm_up;
  uint64_t n_steps = 0;

  MB_TRY(prepare(s));
  MB_TRY(begin(s, model, input, import));
  MB_TRY(serve(s, import, warm_up, &n_steps));
  if (n_steps <= warm_up) {
    return MB_FAIL(MB_ERR_PARAM,
                   "%s: its %zu requests, %" PRId64 " at once, make %" PRIu64
                   " steps until they run out, and the warm-up is %" PRIu64
                   ": no step is left; ask for a lower --concurrency or a shorter --warm-up",
                   input->path, s->view->n_requests, s->how.concurrency, n_steps, warm_up);
  }
  mb_routed_note_experts(s->view, import);
  tell(s, import, warm_up, n_steps);
  return MB_OK;
}

mb_status mb_serving_replay(const mb_routed_view *view, const mb_import_options *options,
                            const char *model, const mb_input *input, mb_import *import) {
  server s = {.view = view, .how = options->serving};

  MB_TRY(check(view, &s.how, input));
  mb_status status = run(&s, model, input, import);
  free(s.order);
  free(s.arrivals);
  free(s.active);
  free(s.load);
  free(s.tokens);
  return status;
}
