/* sim/attribution.c */
#include "sim/attribution.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/bounds.h"
#include "balancer/split.h"
#include "sim/dispatch.h"
#include "sim/score.h"

/* What happened differs from the best replay in these ways; a set of them is a number of bits. */
enum { NOISE = 1, STALENESS = 2, DELAY = 4, DISPATCH = 8, N_SETS = 16, N_WAYS = 4 };

/* Whose placements, and which: at first, and once the interval's plan is in force. */
enum { OWN, HINDSIGHT, N_CHAINS };
enum { BEFORE, AFTER, N_PHASES };

/* All layers' placements of one chain and phase. */
typedef struct placements {
  mb_score_layer *layer; /* [L] its arrays are rows of these: */
  int32_t *physical_to_logical_map, *expert_count, *replicated;
  mb_dispatcher *dispatcher; /* for steps; NULL where dispatch is even */
} placements;

/* One thread's room. */
typedef struct scratch {
  mb_split *split;
  mb_dispatcher *whole; /* for an interval's sums; NULL where dispatch is even */
  double *load;         /* [E] */
  uint32_t *sum;        /* [E] */
  double *share;        /* [E] */
  double *slot_load;    /* [P] */
  mb_status status;     /* the first failure */
} scratch;

struct mb_attribution {
  mb_lane *lane;
  mb_shape shape;
  mb_planner *planner; /* of the hindsight */
  bool *replaced;      /* [L] by its last plan */
  placements placed[N_CHAINS][N_PHASES];
  double *since_max, *since_mean; /* [L] of the hindsight's last interval */
  double *imbalance;              /* [L] their ratio */
  double *own_max;                /* [L] load_max of the steps so far, as they were scored */
  double *value; /* [L,N_SETS] sums of the largest GPU load, for each set of ways */
  double *bound; /* [L,2] B and H in tokens */
  double *total; /* [L] tokens */
  size_t n_threads;
  scratch *scratch; /* [n_threads] */
  double parts[MB_N_PARTS], shapley[MB_N_PARTS];
};

const mb_attribution_part *mb_attribution_parts(void) {
  static const mb_attribution_part parts[] = {
#define MB_PART(name, text) {#name, text},
#include "sim/attribution.def"
#undef MB_PART
  };

  static_assert(sizeof parts / sizeof parts[0] == MB_N_PARTS, "as many as replay.h says");
  return parts;
}

/* --- making and freeing --- */

static void placements_fini(placements *p) {
  mb_dispatcher_destroy(p->dispatcher);
  free(p->layer);
  free(p->physical_to_logical_map);
  free(p->expert_count);
  free(p->replicated);
}

static mb_status placements_init(placements *p, const mb_shape *shape,
                                 const mb_dispatch_options *dispatch,
                                 const mb_dispatch_origin *origin) {
  size_t experts = shape->n_layers * shape->n_experts;

  p->layer = calloc(shape->n_layers, sizeof *p->layer);
  p->physical_to_logical_map =
      calloc(shape->n_layers * shape->n_slots, sizeof *p->physical_to_logical_map);
  p->expert_count = calloc(experts, sizeof *p->expert_count);
  p->replicated = calloc(experts, sizeof *p->replicated);
  if (p->layer == NULL || p->physical_to_logical_map == NULL || p->expert_count == NULL ||
      p->replicated == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers of %zu slots", shape->n_layers,
                   shape->n_slots);
  }
  for (size_t l = 0; l < shape->n_layers; l++) {
    p->layer[l] =
        (mb_score_layer){.physical_to_logical_map = p->physical_to_logical_map + l * shape->n_slots,
                         .expert_count = p->expert_count + l * shape->n_experts,
                         .replicated = p->replicated + l * shape->n_experts};
    mb_placement_linear(shape, p->layer[l].physical_to_logical_map);
  }
  return dispatch != NULL ? mb_dispatcher_create_for(shape, dispatch, origin, &p->dispatcher)
                          : MB_OK;
}

static void scratch_fini(scratch *w) {
  mb_split_destroy(w->split);
  mb_dispatcher_destroy(w->whole);
  free(w->load);
  free(w->sum);
  free(w->share);
  free(w->slot_load);
}

/* Of sums it is not known where they come from. */
static mb_status scratch_init(scratch *w, const mb_shape *shape,
                              const mb_dispatch_options *dispatch, size_t top_k) {
  const mb_dispatch_origin origin = {.top_k = top_k};

  w->load = calloc(shape->n_experts, sizeof *w->load);
  w->sum = calloc(shape->n_experts, sizeof *w->sum);
  w->share = calloc(shape->n_experts, sizeof *w->share);
  w->slot_load = calloc(shape->n_slots, sizeof *w->slot_load);
  if (w->load == NULL || w->sum == NULL || w->share == NULL || w->slot_load == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to split %zu experts' loads", shape->n_experts);
  }
  MB_TRY(mb_split_create(shape, &w->split));
  return dispatch != NULL ? mb_dispatcher_create_for(shape, dispatch, &origin, &w->whole) : MB_OK;
}

void mb_attribution_destroy(mb_attribution *a) {
  if (a == NULL) {
    return;
  }
  mb_planner_destroy(a->planner);
  for (size_t x = 0; a->scratch != NULL && x < a->n_threads; x++) {
    scratch_fini(&a->scratch[x]);
  }
  for (size_t i = 0; i < (size_t)N_CHAINS * N_PHASES; i++) {
    placements_fini(&a->placed[i / N_PHASES][i % N_PHASES]);
  }
  free(a->scratch);
  free(a->replaced);
  free(a->since_max);
  free(a->since_mean);
  free(a->imbalance);
  free(a->own_max);
  free(a->value);
  free(a->bound);
  free(a->total);
  free(a);
}

static bool allocate(mb_attribution *a) {
  size_t n_layers = a->shape.n_layers;

  a->scratch = calloc(a->n_threads, sizeof *a->scratch);
  a->replaced = calloc(n_layers, sizeof *a->replaced);
  a->since_max = calloc(n_layers, sizeof *a->since_max);
  a->since_mean = calloc(n_layers, sizeof *a->since_mean);
  a->imbalance = calloc(n_layers, sizeof *a->imbalance);
  a->own_max = calloc(n_layers, sizeof *a->own_max);
  a->value = calloc(n_layers * N_SETS, sizeof *a->value);
  a->bound = calloc(2 * n_layers, sizeof *a->bound);
  a->total = calloc(n_layers, sizeof *a->total);
  return a->scratch != NULL && a->replaced != NULL && a->since_max != NULL &&
         a->since_mean != NULL && a->imbalance != NULL && a->own_max != NULL && a->value != NULL &&
         a->bound != NULL && a->total != NULL;
}

static mb_status start(mb_attribution *a, const mb_replay_config *config) {
  const mb_replay_strategy *strategy = &config->strategies[a->lane->index];
  const mb_dispatch_options *dispatch =
      mb_dispatcher_is_even(a->lane->dispatcher) ? NULL : &strategy->options->dispatch;

  if (!allocate(a)) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to attribute %s", strategy->label);
  }
  for (size_t i = 0; i < (size_t)N_CHAINS * N_PHASES; i++) {
    MB_TRY(placements_init(&a->placed[i / N_PHASES][i % N_PHASES], &a->shape, dispatch,
                           &a->lane->origin));
  }
  for (size_t x = 0; x < a->n_threads; x++) {
    MB_TRY(scratch_init(&a->scratch[x], &a->shape, dispatch, a->lane->origin.top_k));
  }
  return mb_planner_create(strategy->strategy, &a->shape, strategy->params, config->backend,
                           &a->planner);
}

mb_status mb_attribution_create(const mb_replay_config *config, mb_lane *lane,
                                mb_attribution **attribution) {
  mb_attribution *a = calloc(1, sizeof *a);

  assert(lane->role == MB_REPLAY_ONLINE);
  if (a == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to attribute %s", lane->label);
  }
  a->lane = lane;
  a->shape = config->shape;
  a->n_threads = (size_t)omp_get_max_threads();
  mb_status status = start(a, config);
  if (status != MB_OK) {
    mb_attribution_destroy(a);
    return status;
  }
  *attribution = a;
  return MB_OK;
}

/* --- as the replay goes on --- */

static void copy_map(const mb_attribution *a, placements *to, const int32_t *from) {
  memcpy(to->physical_to_logical_map, from,
         a->shape.n_layers * a->shape.n_slots * sizeof *to->physical_to_logical_map);
}

void mb_attribution_begin(mb_attribution *a) {
  copy_map(a, &a->placed[OWN][BEFORE], a->lane->physical_to_logical_map);
  memset(a->own_max, 0, a->shape.n_layers * sizeof *a->own_max);
}

void mb_attribution_step(mb_attribution *a, const mb_layer_score *score) {
  for (size_t l = 0; l < a->shape.n_layers; l++) {
    a->own_max[l] += score[l].load_max;
  }
}

/* The plan that the strategy would make for the interval; layers that it keeps stay as they were.
 */
static mb_status plan_in_hindsight(mb_attribution *a, size_t first, size_t end,
                                   const double *load) {
  placements *before = &a->placed[HINDSIGHT][BEFORE];
  placements *after = &a->placed[HINDSIGHT][AFTER];
  size_t n_slots = a->shape.n_slots;

  copy_map(a, before, after->physical_to_logical_map);
  for (size_t l = 0; l < a->shape.n_layers; l++) {
    a->imbalance[l] = a->since_mean[l] > 0.0 ? a->since_max[l] / a->since_mean[l] : NAN;
  }
  const mb_plan_input input = {.shape = a->shape,
                               .step = first,
                               .n_window_steps = end - first,
                               .n_slices = mb_planner_n_slices(a->planner),
                               .load = load,
                               .physical_to_logical_map = before->physical_to_logical_map,
                               .imbalance = a->imbalance};
  mb_plan_output output = {a->replaced, after->physical_to_logical_map};
  mb_status status = mb_lane_ask(a->lane, a->planner, &input, &output, NULL);
  if (status != MB_OK) {
    return MB_FAIL(status, "strategy %s, in hindsight of step %zu: %s", a->lane->label, first,
                   mb_error_message());
  }
  for (size_t l = 0; l < a->shape.n_layers; l++) {
    if (!a->replaced[l]) {
      memcpy(after->physical_to_logical_map + l * n_slots,
             before->physical_to_logical_map + l * n_slots,
             n_slots * sizeof *before->physical_to_logical_map);
    }
  }
  return MB_OK;
}

static mb_status prepare_placements(mb_attribution *a) {
  copy_map(a, &a->placed[OWN][AFTER], a->lane->physical_to_logical_map);
  for (size_t i = 0; i < (size_t)N_CHAINS * N_PHASES; i++) {
    placements *p = &a->placed[i / N_PHASES][i % N_PHASES];
    for (size_t l = 0; l < a->shape.n_layers; l++) {
      mb_score_layer *layer = &p->layer[l];
      MB_TRY(mb_score_prepare(&a->shape, layer));
      if (p->dispatcher != NULL) {
        mb_dispatcher_place(
            p->dispatcher, l,
            &(mb_dispatch_placement){layer->physical_to_logical_map, layer->expert_count});
      }
    }
  }
  return MB_OK;
}

/* --- one layer, replayed --- */

/* A layer's steps, and its sums. */
typedef struct interval {
  const mb_history *history;
  size_t layer, first, end;
  size_t effect; /* the step from which the strategy's plan is in force; first..end */
  double scale;  /* sums are in units of so many tokens, to fit 32 bits; a power of 2 */
} interval;

static const uint32_t *load_of_step(const interval *in, size_t t) {
  return mb_history_step(in->history, t) + in->layer * in->history->n_experts;
}

/* The exact sum of the interval's loads into w->load, and as whole numbers into w->sum. */
static void sum_loads(scratch *w, interval *in) {
  size_t n_experts = in->history->n_experts;
  double most = 0.0;

  memset(w->load, 0, n_experts * sizeof *w->load);
  for (size_t t = in->first; t < in->end; t++) {
    const uint32_t *load = load_of_step(in, t);
    for (size_t e = 0; e < n_experts; e++) {
      w->load[e] += (double)load[e];
    }
  }
  for (size_t e = 0; e < n_experts; e++) {
    most = w->load[e] > most ? w->load[e] : most;
  }
  in->scale = 1.0;
  while (most / in->scale > (double)UINT32_MAX) {
    in->scale *= 2.0;
  }
  for (size_t e = 0; e < n_experts; e++) {
    w->sum[e] = (uint32_t)(w->load[e] / in->scale);
  }
}

static double largest_gpu_load(const mb_shape *shape, const double *slot_load) {
  mb_layer_score score;

  mb_metrics_layer(shape, slot_load, &score);
  return score.load_max;
}

/* Sum over steps [from, to) of the largest GPU load, dispatched as the strategy does. */
static double dispatch_steps(const mb_attribution *a, scratch *w, const interval *in,
                             const placements *p, size_t from, size_t to) {
  double sum = 0.0;

  for (size_t t = from; t < to; t++) {
    const mb_dispatch_load one = {.step = t,
                                  .load = load_of_step(in, t),
                                  .by_source = mb_history_by_source(in->history, t, in->layer)};
    if (p->dispatcher != NULL) {
      mb_dispatcher_split(p->dispatcher, in->layer, &one, w->slot_load);
      sum += largest_gpu_load(&a->shape, w->slot_load);
    } else {
      mb_layer_score score;
      mb_score_even(&a->shape, &p->layer[in->layer], one.load, w->share, &score);
      sum += score.load_max;
    }
  }
  return sum;
}

/* The largest GPU load of the interval's sum, dispatched as the strategy does. */
static double dispatch_sum(const mb_attribution *a, scratch *w, const interval *in,
                           const placements *p) {
  const mb_score_layer *layer = &p->layer[in->layer];
  const mb_dispatch_load sum = {.step = in->first, .load = w->sum};

  if (w->whole == NULL) {
    mb_layer_score score;
    mb_score_even(&a->shape, layer, w->sum, w->share, &score);
    return score.load_max * in->scale;
  }
  mb_dispatcher_place(
      w->whole, in->layer,
      &(mb_dispatch_placement){layer->physical_to_logical_map, layer->expert_count});
  /* Twice: a dispatch that goes by the step before sees the same loads in all steps. */
  mb_dispatcher_split(w->whole, in->layer, &sum, w->slot_load);
  mb_dispatcher_split(w->whole, in->layer, &sum, w->slot_load);
  return largest_gpu_load(&a->shape, w->slot_load) * in->scale;
}

static double solve(scratch *w, const double *load) {
  mb_split_result result = {.load_max = 0.0};
  mb_status status = mb_split_solve(w->split, load, NULL, w->slot_load, &result);

  w->status = w->status == MB_OK ? status : w->status;
  return result.load_max;
}

static double split_steps(const mb_attribution *a, scratch *w, const interval *in, double *load,
                          size_t from, size_t to) {
  double sum = 0.0;

  for (size_t t = from; t < to; t++) {
    const uint32_t *whole = load_of_step(in, t);
    for (size_t e = 0; e < a->shape.n_experts; e++) {
      load[e] = (double)whole[e];
    }
    sum += solve(w, load);
  }
  return sum;
}

/* The sums of one placement: of the steps before the effect and from it on, and of the interval's
   sum; dispatched as the strategy does, and split in the best way. */
typedef struct sums {
  double early[2], late[2], whole[2]; /* [0] best, [1] dispatched */
} sums;

static sums replay_placement(const mb_attribution *a, scratch *w, const interval *in,
                             const placements *p, bool late) {
  sums s;
  mb_status status = mb_split_prepare(w->split, p->layer[in->layer].physical_to_logical_map, NULL);

  w->status = w->status == MB_OK ? status : w->status;
  s.early[1] = dispatch_steps(a, w, in, p, in->first, in->effect);
  s.late[1] = late ? dispatch_steps(a, w, in, p, in->effect, in->end) : 0.0;
  s.whole[1] = dispatch_sum(a, w, in, p);
  s.early[0] = split_steps(a, w, in, w->share, in->first, in->effect);
  s.late[0] = late ? split_steps(a, w, in, w->share, in->effect, in->end) : 0.0;
  s.whole[0] = solve(w, w->load);
  return s;
}

/* The values of all sets of ways, of one chain of placements. */
static void replay_chain(const mb_attribution *a, scratch *w, const interval *in, size_t chain,
                         double value[N_SETS]) {
  const sums after = replay_placement(a, w, in, &a->placed[chain][AFTER], true);
  const bool delayed = in->effect > in->first;
  const sums before =
      delayed ? replay_placement(a, w, in, &a->placed[chain][BEFORE], false) : after;
  const double share = (double)(in->effect - in->first) / (double)(in->end - in->first);
  const size_t stale = chain == OWN ? STALENESS : 0;

  for (size_t d = 0; d < 2; d++) {
    const size_t set = stale + (d > 0 ? DISPATCH : 0);
    value[set] = after.whole[d];
    value[set + DELAY] =
        delayed ? share * before.whole[d] + (1.0 - share) * after.whole[d] : after.whole[d];
    value[set + NOISE] = after.early[d] + after.late[d];
    value[set + NOISE + DELAY] = before.early[d] + after.late[d];
  }
}

static double sum_of(size_t n, const double *load) {
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += load[i];
  }
  return sum;
}

static void replay_layer(mb_attribution *a, scratch *w, interval in) {
  double *value = a->value + in.layer * N_SETS;

  sum_loads(w, &in);
  a->total[in.layer] = sum_of(a->shape.n_experts, w->load);
  a->bound[2 * in.layer] = mb_bound_replication(&a->shape, w->load);
  a->bound[2 * in.layer + 1] = mb_bound_hierarchy(&a->shape, w->load);
  for (size_t chain = 0; chain < N_CHAINS; chain++) {
    replay_chain(a, w, &in, chain, value);
  }
  value[N_SETS - 1] = a->own_max[in.layer]; /* what happened */
  a->since_max[in.layer] = value[NOISE | DELAY | DISPATCH];
  a->since_mean[in.layer] = a->total[in.layer] / (double)a->shape.n_gpus;
}

static size_t effect_of(const mb_attribution *a, size_t l, size_t first, size_t end) {
  int64_t effect = a->lane->flight.effect_step[l];

  return effect >= (int64_t)first && effect < (int64_t)end ? (size_t)effect : first;
}

static mb_status replay_layers(mb_attribution *a, const mb_history *history, size_t first,
                               size_t end) {
  for (size_t x = 0; x < a->n_threads; x++) {
    a->scratch[x].status = MB_OK;
  }
#pragma omp parallel for schedule(dynamic) num_threads((int)a->n_threads)
  for (size_t l = 0; l < a->shape.n_layers; l++) {
    replay_layer(a, &a->scratch[omp_get_thread_num()],
                 (interval){.history = history,
                            .layer = l,
                            .first = first,
                            .end = end,
                            .effect = effect_of(a, l, first, end)});
  }
  for (size_t x = 0; x < a->n_threads; x++) {
    if (a->scratch[x].status != MB_OK) {
      return MB_FAIL(a->scratch[x].status, "strategy %s: the loads from step %zu cannot be split",
                     a->lane->label, first);
    }
  }
  return MB_OK;
}

/* --- the parts --- */

/* Shapley's weight of a set of so many ways, out of N_WAYS, that another one joins. */
static double weight_of(size_t n) {
  static const double weight[N_WAYS] = {6.0 / 24, 2.0 / 24, 2.0 / 24, 6.0 / 24};

  return weight[n];
}

static size_t count_ways(size_t set) {
  size_t n = 0;

  for (; set > 0; set >>= 1) {
    n += set & 1;
  }
  return n;
}

static double shapley_value(const double v[N_SETS], size_t way) {
  double sum = 0.0;

  for (size_t set = 0; set < N_SETS; set++) {
    if ((set & way) == 0) {
      sum += weight_of(count_ways(set)) * (v[set | way] - v[set]);
    }
  }
  return sum;
}

/* @param v excess of each set of ways. @param bound [2] B - 1 and H - 1. */
static void fill_parts(mb_attribution *a, const double v[N_SETS], const double bound[2]) {
  double *parts = a->parts;
  size_t set = 0;

  parts[MB_PART_GRANULARITY] = bound[0];
  parts[MB_PART_HIERARCHY] = bound[1] - bound[0];
  parts[MB_PART_PACKING] = v[0] - bound[1];
  memcpy(a->shapley, parts, sizeof a->shapley);
  for (size_t i = 0; i < N_WAYS; i++) {
    size_t way = (size_t)1 << i;
    parts[MB_PART_NOISE + i] = v[set | way] - v[set];
    a->shapley[MB_PART_NOISE + i] = shapley_value(v, way);
    set |= way;
  }
}

static bool add_up(mb_attribution *a, mb_attribution_record *record) {
  double v[N_SETS] = {0};
  double bound[2] = {0};
  double total = 0.0;

  for (size_t l = 0; l < a->shape.n_layers; l++) {
    total += a->total[l];
    bound[0] += a->bound[2 * l];
    bound[1] += a->bound[2 * l + 1];
    for (size_t set = 0; set < N_SETS; set++) {
      v[set] += a->value[l * N_SETS + set];
    }
  }
  if (total == 0.0) {
    return false;
  }
  const double mean = total / (double)a->shape.n_gpus;
  for (size_t set = 0; set < N_SETS; set++) {
    v[set] = v[set] / mean - 1.0;
  }
  bound[0] = bound[0] / mean - 1.0;
  bound[1] = bound[1] / mean - 1.0;
  fill_parts(a, v, bound);
  record->load = total;
  record->excess = v[N_SETS - 1];
  record->parts = a->parts;
  record->shapley = a->shapley;
  return true;
}

mb_status mb_attribution_end(mb_attribution *a, const mb_history *history, size_t first, size_t end,
                             const double *load, mb_attribution_record *record, bool *found) {
  *found = false;
  MB_TRY(plan_in_hindsight(a, first, end, load));
  MB_TRY(prepare_placements(a));
  MB_TRY(replay_layers(a, history, first, end));
  *record = (mb_attribution_record){
      .strategy = a->lane->index, .step = (int64_t)first, .n_steps = (int64_t)(end - first)};
  *found = first > 0 && add_up(a, record);
  return MB_OK;
}

/* --- intervals together --- */

void mb_attribution_add(mb_attribution_mean *sum, const mb_attribution_record *record) {
  sum->n_intervals++;
  sum->n_steps += (size_t)record->n_steps;
  sum->load += record->load;
  sum->excess += record->load * record->excess;
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    sum->parts[k] += record->load * record->parts[k];
    sum->shapley[k] += record->load * record->shapley[k];
  }
}

mb_attribution_mean mb_attribution_divide(const mb_attribution_mean *sum) {
  mb_attribution_mean mean = *sum;

  assert(sum->load > 0.0);
  mean.excess /= sum->load;
  for (size_t k = 0; k < MB_N_PARTS; k++) {
    mean.parts[k] /= sum->load;
    mean.shapley[k] /= sum->load;
  }
  return mean;
}
