/* workloads/trace_stats.c */
#include "workloads/trace_stats.h"

#include <assert.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/windows.h"

const char *mb_trace_fault_title(mb_trace_fault_kind kind) {
#define TITLE(name, title, meaning) title,
  static const char *const titles[] = {MB_TRACE_FAULT_LIST(TITLE)};
#undef TITLE
  return titles[kind];
}

const char *mb_trace_fault_meaning(mb_trace_fault_kind kind) {
#define MEANING(name, title, meaning) meaning,
  static const char *const meanings[] = {MB_TRACE_FAULT_LIST(MEANING)};
#undef MEANING
  return meanings[kind];
}

/* Layer-steps of one kind of deviation. */
typedef struct deviation {
  size_t n_steps;
  size_t first_step;
  uint64_t amount;   /* loads too many or too few */
  uint64_t expected; /* loads that there should be in these steps */
} deviation;

/* A whole number that may be the same in every step; else UNSTEADY. */
typedef uint64_t steady;
#define UNSEEN UINT64_C(0)
#define UNSTEADY UINT64_MAX

/* Step by step: n times d, where that is a whole number above 0. */
static void follow(steady *seen, uint64_t n, uint64_t d) {
  uint64_t value = d > 0 && n > 0 && n % d == 0 ? n / d : UNSTEADY;

  *seen = *seen == UNSEEN || *seen == value ? value : UNSTEADY;
}

typedef struct layer_state {
  uint64_t sum; /* of the step at hand */
  uint32_t highest;
  uint64_t n_active;
  uint64_t n_active_total;
  steady per_token; /* how often a token counts */
  steady multiple;  /* of the smallest sum of a layer in the same step */
  deviation low, high, hot;
  size_t n_pairs, n_correlations;
  double drift_sum, noise_sum, similarity_sum, drift_max;
} layer_state;

struct mb_trace_stats {
  size_t n_layers, n_experts, top_k;
  bool tokens_known;
  size_t n_in_window;
  uint64_t *total;  /* [L,E] */
  uint64_t *window; /* [L,E] the window being filled */
  uint64_t *before; /* [L,E] the window before it */
  double *share[2]; /* [E] scratch */
  layer_state *state;
  uint64_t tokens_sum, tokens_min,
      tokens_max; /* as loads of a layer where top_k x tokens is meant */
  deviation no_multiple;
  mb_layer_stats *layers;
  mb_trace_fault faults[MB_TRACE_N_FAULTS];
  mb_trace_summary summary;
};

mb_status mb_trace_stats_create(const mb_trace_info *info, size_t window, bool tokens_known,
                                mb_trace_stats **stats) {
  if (window == 0) {
    return MB_FAIL(MB_ERR_RANGE, "a window of 0 steps; it has at least 1");
  }
  size_t n = info->n_layers * info->n_experts;
  mb_trace_stats *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the statistics of a trace");
  }
  made->n_layers = info->n_layers;
  made->n_experts = info->n_experts;
  made->top_k = (size_t)info->top_k;
  made->tokens_known = tokens_known;
  made->tokens_min = UINT64_MAX;
  made->summary = (mb_trace_summary){.window = window, .tokens_known = tokens_known};
  made->total = calloc(n, sizeof *made->total);
  made->window = calloc(n, sizeof *made->window);
  made->before = calloc(n, sizeof *made->before);
  made->share[0] = calloc(info->n_experts, sizeof *made->share[0]);
  made->share[1] = calloc(info->n_experts, sizeof *made->share[1]);
  made->state = calloc(info->n_layers, sizeof *made->state);
  made->layers = calloc(info->n_layers, sizeof *made->layers);
  if (made->total == NULL || made->window == NULL || made->before == NULL ||
      made->share[0] == NULL || made->share[1] == NULL || made->state == NULL ||
      made->layers == NULL) {
    mb_trace_stats_destroy(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the statistics of %zu layers of %zu experts",
                   info->n_layers, info->n_experts);
  }
  *stats = made;
  return MB_OK;
}

void mb_trace_stats_destroy(mb_trace_stats *stats) {
  if (stats == NULL) {
    return;
  }
  free(stats->total);
  free(stats->window);
  free(stats->before);
  free(stats->share[0]);
  free(stats->share[1]);
  free(stats->state);
  free(stats->layers);
  free(stats);
}

/* --- the sums of a step */

static void note(deviation *seen, size_t step, uint64_t amount, uint64_t expected) {
  seen->first_step = seen->n_steps == 0 ? step : seen->first_step;
  seen->n_steps++;
  seen->amount += amount;
  seen->expected += expected;
}

static void count_layer(mb_trace_stats *stats, size_t l, const uint32_t *load) {
  layer_state *layer = &stats->state[l];
  uint64_t *window = stats->window + l * stats->n_experts;

  layer->sum = 0;
  layer->highest = 0;
  layer->n_active = 0;
  for (size_t e = 0; e < stats->n_experts; e++) {
    layer->sum += load[e];
    layer->highest = load[e] > layer->highest ? load[e] : layer->highest;
    layer->n_active += load[e] > 0 ? 1 : 0;
    window[e] += load[e];
  }
  layer->n_active_total += layer->n_active;
}

/* The sum that most layers agree on. Where no majority does, the largest: tokens dropped for lack
   of capacity differ from layer to layer, whereas padding is the same in all. (Boyer and Moore's
   vote finds the only candidate for a majority in one pass.) */
static uint64_t agreed_sum(const mb_trace_stats *stats) {
  uint64_t candidate = 0;
  uint64_t highest = 0;
  size_t votes = 0;
  size_t n_with_load = 0;
  size_t n_agree = 0;

  for (size_t l = 0; l < stats->n_layers; l++) {
    uint64_t sum = stats->state[l].sum;
    if (sum == 0) {
      continue;
    }
    n_with_load++;
    highest = sum > highest ? sum : highest;
    candidate = votes == 0 ? sum : candidate;
    votes = sum == candidate ? votes + 1 : votes - 1;
  }
  for (size_t l = 0; l < stats->n_layers; l++) {
    n_agree += stats->state[l].sum == candidate ? 1 : 0;
  }
  return 2 * n_agree > n_with_load ? candidate : highest;
}

/* Of the layers with load; 0 unless it is that of whole tokens. */
static uint64_t smallest_sum(const mb_trace_stats *stats) {
  uint64_t smallest = UINT64_MAX;

  for (size_t l = 0; l < stats->n_layers; l++) {
    uint64_t sum = stats->state[l].sum;
    smallest = sum > 0 && sum < smallest ? sum : smallest;
  }
  return smallest % stats->top_k == 0 ? smallest : 0;
}

/* Whether all layers with load have that sum. */
static bool all_have(const mb_trace_stats *stats, uint64_t sum) {
  for (size_t l = 0; l < stats->n_layers; l++) {
    if (stats->state[l].sum != sum && stats->state[l].sum != 0) {
      return false;
    }
  }
  return true;
}

static void check_layer(mb_trace_stats *stats, layer_state *layer, uint64_t expected,
                        uint64_t smallest) {
  size_t step = stats->summary.n_steps;

  if (layer->sum < expected) {
    note(&layer->low, step, expected - layer->sum, expected);
  }
  if (layer->sum > expected) {
    note(&layer->high, step, layer->sum - expected, expected);
  }
  uint64_t most = layer->sum > expected ? layer->sum : expected;
  if (layer->highest * (uint64_t)stats->top_k > most) {
    note(&layer->hot, step, 0, 0);
  }
  if (expected > 0 || layer->sum > 0) {
    follow(&layer->per_token, layer->sum * stats->top_k, expected);
    follow(&layer->multiple, layer->sum, smallest);
  }
}

static void check_step(mb_trace_stats *stats, const uint64_t *tokens) {
  uint64_t smallest = smallest_sum(stats);
  uint64_t agreed = agreed_sum(stats);
  uint64_t expected = tokens != NULL ? *tokens * stats->top_k : agreed;

  for (size_t l = 0; l < stats->n_layers; l++) {
    check_layer(stats, &stats->state[l], expected, smallest);
  }
  if (tokens == NULL && agreed % stats->top_k != 0 && all_have(stats, agreed)) {
    note(&stats->no_multiple, stats->summary.n_steps, 0, 0);
  }
  if (agreed == 0) {
    stats->summary.n_empty_steps++;
    return;
  }
  stats->tokens_sum += expected;
  stats->tokens_min = expected < stats->tokens_min ? expected : stats->tokens_min;
  stats->tokens_max = expected > stats->tokens_max ? expected : stats->tokens_max;
}

/* --- from window to window */

static double fill_share(const uint64_t *load, size_t n, double *share) {
  uint64_t sum = 0;

  for (size_t e = 0; e < n; e++) {
    sum += load[e];
  }
  for (size_t e = 0; e < n && sum > 0; e++) {
    share[e] = (double)load[e] / (double)sum;
  }
  return (double)sum;
}

/* Two samples of n0 and n1 loads with the same shares p differ in an expert's share by about a
   normal number of variance p (1 - p) (1/n0 + 1/n1), whose mean magnitude is sqrt(2/pi) sd. */
static void compare_layer(mb_trace_stats *stats, size_t l) {
  size_t n_experts = stats->n_experts;
  layer_state *layer = &stats->state[l];
  double n0 = fill_share(stats->before + l * n_experts, n_experts, stats->share[0]);
  double n1 = fill_share(stats->window + l * n_experts, n_experts, stats->share[1]);
  double moved = 0.0;
  double noise = 0.0;

  if (n0 == 0.0 || n1 == 0.0) {
    return;
  }
  for (size_t e = 0; e < n_experts; e++) {
    double pooled = (n0 * stats->share[0][e] + n1 * stats->share[1][e]) / (n0 + n1);
    moved += fabs(stats->share[1][e] - stats->share[0][e]) / 2.0;
    noise += sqrt(fmax(0.0, pooled * (1.0 - pooled))) / 2.0;
  }
  layer->n_pairs++;
  layer->drift_sum += moved;
  layer->drift_max = fmax(layer->drift_max, moved);
  layer->noise_sum += noise * sqrt(2.0 / M_PI * (1.0 / n0 + 1.0 / n1));
  double similarity = gsl_stats_correlation(stats->share[0], 1, stats->share[1], 1, n_experts);
  if (isfinite(similarity)) { /* equal shares have no correlation */
    layer->n_correlations++;
    layer->similarity_sum += similarity;
  }
}

static void add_to_total(mb_trace_stats *stats) {
  for (size_t i = 0; i < stats->n_layers * stats->n_experts; i++) {
    stats->total[i] += stats->window[i];
  }
}

static void end_window(mb_trace_stats *stats) {
  size_t n = stats->n_layers * stats->n_experts;

  for (size_t l = 0; stats->summary.n_windows > 0 && l < stats->n_layers; l++) {
    compare_layer(stats, l);
  }
  add_to_total(stats);
  uint64_t *filled = stats->window;
  stats->window = stats->before;
  stats->before = filled;
  memset(stats->window, 0, n * sizeof *stats->window);
  stats->n_in_window = 0;
  stats->summary.n_windows++;
}

void mb_trace_stats_add(mb_trace_stats *stats, size_t n, const uint32_t *load,
                        const uint64_t *tokens) {
  assert((tokens != NULL) == stats->tokens_known);
  for (size_t t = 0; t < n; t++) {
    for (size_t l = 0; l < stats->n_layers; l++) {
      count_layer(stats, l, load + (t * stats->n_layers + l) * stats->n_experts);
    }
    check_step(stats, tokens != NULL ? tokens + t : NULL);
    stats->summary.n_steps++;
    stats->n_in_window++;
    if (stats->n_in_window == stats->summary.window) {
      end_window(stats);
    }
  }
}

/* --- the end */

/* Without /tokens the sum that most layers agree on may itself be the one counted twice: where
   every layer is a steady multiple of the smallest, the smallest is what the others are measured
   by. */
static void measure_by_smallest(mb_trace_stats *stats) {
  for (size_t l = 0; l < stats->n_layers; l++) {
    if (stats->state[l].n_active_total > 0 && stats->state[l].multiple == UNSTEADY) {
      return;
    }
  }
  for (size_t l = 0; l < stats->n_layers; l++) {
    stats->state[l].per_token = stats->state[l].multiple * stats->top_k;
  }
}

static void blame(mb_trace_stats *stats, size_t l, mb_trace_fault_kind kind, const deviation *seen,
                  double amount) {
  mb_trace_fault *fault = &stats->faults[kind];

  fault->first_step = fault->n_layers == 0 || seen->first_step < fault->first_step
                          ? seen->first_step
                          : fault->first_step;
  fault->amount = fault->n_layers == 0 ? amount : fault->amount;
  fault->n_layers++;
  fault->n_layer_steps += seen->n_steps;
  stats->layers[l].faults |= 1U << kind;
}

static void blame_layer(mb_trace_stats *stats, size_t l) {
  const layer_state *layer = &stats->state[l];
  size_t n_with_load = stats->summary.n_steps - stats->summary.n_empty_steps;
  deviation whole = {.n_steps = n_with_load};
  bool same = layer->per_token != UNSTEADY;

  if (n_with_load == 0) {
    return;
  }
  if (layer->n_active_total == 0) {
    blame(stats, l, MB_TRACE_ZERO_LAYER, &whole, 0.0);
  } else if (same && layer->per_token % stats->top_k == 0 && layer->per_token > stats->top_k) {
    blame(stats, l, MB_TRACE_COUNTED_TWICE, &whole,
          (double)layer->per_token / (double)stats->top_k);
  } else if (same && layer->per_token != stats->top_k) {
    blame(stats, l, MB_TRACE_WRONG_TOP_K, &whole, (double)layer->per_token);
  } else if (!same) {
    if (layer->high.n_steps > 0) {
      blame(stats, l, MB_TRACE_PADDING, &layer->high, 0.0);
    }
    if (layer->low.n_steps > 0) {
      blame(stats, l, MB_TRACE_DROPPED, &layer->low, 0.0);
    }
  }
  if (stats->no_multiple.n_steps > 0) {
    blame(stats, l, MB_TRACE_NO_MULTIPLE, &stats->no_multiple, 0.0);
  }
  if (layer->hot.n_steps > 0) {
    blame(stats, l, MB_TRACE_HOT_EXPERT, &layer->hot, 0.0);
  }
}

/* The share of loads too many or too few, over all layers of the kind. */
static double deviation_share(const mb_trace_stats *stats, mb_trace_fault_kind kind) {
  uint64_t amount = 0;
  uint64_t expected = 0;

  for (size_t l = 0; l < stats->n_layers; l++) {
    if ((stats->layers[l].faults & 1U << kind) != 0) {
      const layer_state *layer = &stats->state[l];
      const deviation *seen = kind == MB_TRACE_PADDING ? &layer->high : &layer->low;
      amount += seen->amount;
      expected += seen->expected;
    }
  }
  /* Loads in steps without a token are infinitely too many. */
  return (double)amount / (double)expected;
}

static void gather_faults(mb_trace_stats *stats) {
  if (!stats->tokens_known) {
    measure_by_smallest(stats);
  }
  for (size_t l = 0; l < stats->n_layers; l++) {
    blame_layer(stats, l);
  }
  size_t n = 0;
  for (mb_trace_fault_kind kind = 0; kind < MB_TRACE_N_FAULTS; kind++) {
    mb_trace_fault fault = stats->faults[kind];
    fault.kind = kind;
    if (kind == MB_TRACE_PADDING || kind == MB_TRACE_DROPPED) {
      fault.amount = deviation_share(stats, kind);
    }
    if (fault.n_layers > 0) {
      stats->faults[n++] = fault;
    }
  }
  stats->summary.faults = stats->faults;
  stats->summary.n_faults = n;
}

static void finish_skew(mb_trace_stats *stats, size_t l) {
  mb_layer_stats *out = &stats->layers[l];
  const uint64_t *total = stats->total + l * stats->n_experts;
  double *sorted = stats->share[0];
  size_t n = stats->n_experts;

  for (size_t e = 0; e < n; e++) {
    sorted[e] = (double)total[e];
    out->load += total[e];
    out->n_idle += total[e] == 0 ? 1 : 0;
    out->hottest = total[e] > total[out->hottest] ? e : out->hottest;
  }
  gsl_sort(sorted, 1, n);
  bool loaded = out->load > 0;
  out->peak = loaded ? sorted[n - 1] * (double)n / (double)out->load : NAN;
  out->gini = mb_gini(n, sorted);
}

static double ratio(double sum, double n) {
  return n > 0.0 ? sum / n : NAN;
}

static void finish_layer(mb_trace_stats *stats, size_t l) {
  const layer_state *layer = &stats->state[l];
  mb_layer_stats *out = &stats->layers[l];
  double n_pairs = (double)layer->n_pairs;

  finish_skew(stats, l);
  out->drift = ratio(layer->drift_sum, n_pairs);
  out->drift_noise = ratio(layer->noise_sum, n_pairs);
  out->drift_max = layer->n_pairs > 0 ? layer->drift_max : NAN;
  out->similarity = ratio(layer->similarity_sum, (double)layer->n_correlations);
  out->tokens_per_active = ratio((double)out->load, (double)layer->n_active_total);
}

const mb_trace_summary *mb_trace_stats_finish(mb_trace_stats *stats) {
  mb_trace_summary *summary = &stats->summary;
  double top_k = (double)stats->top_k;
  double load = 0.0;
  double n_active = 0.0;

  add_to_total(stats); /* the unfinished window */
  for (size_t l = 0; l < stats->n_layers; l++) {
    finish_layer(stats, l);
    load += (double)stats->layers[l].load;
    n_active += (double)stats->state[l].n_active_total;
  }
  double n_with_load = (double)(summary->n_steps - summary->n_empty_steps);
  summary->tokens_per_active = ratio(load, n_active);
  summary->tokens_mean = ratio((double)stats->tokens_sum / top_k, n_with_load);
  summary->tokens_min = n_with_load > 0.0 ? (double)stats->tokens_min / top_k : NAN;
  summary->tokens_max = n_with_load > 0.0 ? (double)stats->tokens_max / top_k : NAN;
  summary->layers = stats->layers;
  gather_faults(stats);
  return summary;
}
