/* balancer/split.c - experts that are on one GPU only are added up; the others are a flow network.
 */
#include "balancer/split.h"

#include <stdlib.h>
#include <string.h>

#include "balancer/load.h"
#include "balancer/split_flow.h"

/* How often the shared experts are poured before the flow sees to the rest. A third time moves
   little. */
enum { N_POURS = 2 };

/* A GPU this much above its cap, relatively, has but rounding too much. */
static const double slack_relative = 1e-13;

struct mb_split {
  mb_shape shape; /* of one layer */
  mb_split_flow flow;
  int32_t *n_holders;   /* [E] GPUs that hold an expert */
  int32_t *number;      /* [E] of a shared expert */
  int32_t *shared_id;   /* [n_shared] expert */
  int32_t *arc_slot;    /* [n_arcs] first slot of that expert on that GPU */
  int32_t *single_slot; /* [E] likewise, where an expert is on one GPU only; -1: it's shared */
  double *speed;        /* [D] */
  double speed_total;
  double *fixed;    /* [D] load that a GPU has in any split */
  bool *critical;   /* [D] the set that proves the optimum */
  int32_t *open;    /* [P] arcs still to be poured into */
  double *height;   /* [P] of their GPUs */
  int32_t *on_slot; /* [E] the slot on the GPU now looked at, or -1 */
  void *memory;
};

/* Hands out parts of one allocation; with memory NULL it only adds up. */
typedef struct arena {
  char *memory;
  size_t used;
} arena;

static void *take(arena *a, size_t n, size_t size) {
  size_t begin = a->used;

  a->used = (begin + n * size + 15) / 16 * 16;
  return a->memory == NULL ? NULL : a->memory + begin;
}

static void lay_out(mb_split *s, arena *a) {
  size_t n_experts = s->shape.n_experts;
  size_t n_slots = s->shape.n_slots;
  size_t n_gpus = s->shape.n_gpus;
  mb_split_flow *f = &s->flow;

  f->flow = take(a, n_slots, sizeof *f->flow);
  f->load = take(a, n_gpus, sizeof *f->load);
  f->cap = take(a, n_gpus, sizeof *f->cap);
  f->slack = take(a, n_gpus, sizeof *f->slack);
  s->speed = take(a, n_gpus, sizeof *s->speed);
  s->fixed = take(a, n_gpus, sizeof *s->fixed);
  s->height = take(a, n_slots, sizeof *s->height);
  f->shared_first = take(a, n_experts + 1, sizeof(int32_t));
  f->arc_gpu = take(a, n_slots, sizeof(int32_t));
  f->arc_shared = take(a, n_slots, sizeof(int32_t));
  f->gpu_first = take(a, n_gpus + 1, sizeof(int32_t));
  f->gpu_arc = take(a, n_slots, sizeof(int32_t));
  f->gpu_level = take(a, n_gpus, sizeof(int32_t));
  f->shared_level = take(a, n_experts, sizeof(int32_t));
  f->gpu_next = take(a, n_gpus, sizeof(int32_t));
  f->shared_next = take(a, n_experts, sizeof(int32_t));
  f->queue = take(a, n_gpus, sizeof(int32_t));
  f->way = take(a, 2 * n_gpus, sizeof(int32_t));
  s->n_holders = take(a, n_experts, sizeof(int32_t));
  s->number = take(a, n_experts, sizeof(int32_t));
  s->shared_id = take(a, n_experts, sizeof(int32_t));
  s->arc_slot = take(a, n_slots, sizeof(int32_t));
  s->single_slot = take(a, n_experts, sizeof(int32_t));
  s->open = take(a, n_slots, sizeof(int32_t));
  s->on_slot = take(a, n_experts, sizeof(int32_t));
  s->critical = take(a, n_gpus, sizeof *s->critical);
}

mb_status mb_split_create(const mb_shape *shape, mb_split **split) {
  MB_TRY(mb_shape_check(shape));
  mb_split *s = calloc(1, sizeof *s);
  if (s == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a split");
  }
  s->shape = *shape;
  s->shape.n_layers = 1;
  s->flow.n_gpus = shape->n_gpus;

  arena a = {NULL, 0};
  lay_out(s, &a);
  s->memory = calloc(1, a.used);
  if (s->memory == NULL) {
    free(s);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for a split of %zu experts over %zu slots",
                   shape->n_experts, shape->n_slots);
  }
  a = (arena){s->memory, 0};
  lay_out(s, &a);
  *split = s;
  return MB_OK;
}

void mb_split_destroy(mb_split *split) {
  if (split != NULL) {
    free(split->memory);
    free(split);
  }
}

static mb_status take_speeds(mb_split *s, const double *speed) {
  s->speed_total = 0;
  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    double value = speed == NULL ? 1.0 : speed[g];
    if (!(value >= MB_SPLIT_SPEED_MIN && value <= MB_SPLIT_SPEED_MAX)) { /* NaN is neither */
      return MB_FAIL(MB_ERR_RANGE, "the speed of GPU %zu is %g, but has to be in [%g, %g]", g,
                     value, MB_SPLIT_SPEED_MIN, MB_SPLIT_SPEED_MAX);
    }
    s->speed[g] = value;
    s->speed_total += value;
  }
  return MB_OK;
}

/* Counts the GPUs that hold each expert; single_slot becomes its first slot anywhere. */
static void count_gpus(mb_split *s, const int32_t *map) {
  size_t slots_per_gpu = s->shape.n_slots / s->shape.n_gpus;

  for (size_t e = 0; e < s->shape.n_experts; e++) {
    s->n_holders[e] = 0;
    s->on_slot[e] = -1;
  }
  for (size_t p = 0; p < s->shape.n_slots; p++) {
    int32_t e = map[p];
    int32_t seen = s->on_slot[e];
    if (seen < 0 || (size_t)seen / slots_per_gpu != p / slots_per_gpu) {
      s->single_slot[e] = s->n_holders[e] == 0 ? (int32_t)p : s->single_slot[e];
      s->n_holders[e]++;
      s->on_slot[e] = (int32_t)p;
    }
  }
}

/* Numbers the shared experts and makes room for their arcs. */
static void number_shared(mb_split *s) {
  mb_split_flow *f = &s->flow;

  f->n_shared = 0;
  f->n_arcs = 0;
  f->shared_first[0] = 0;
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    s->on_slot[e] = -1;
    if (s->n_holders[e] > 1) {
      s->shared_id[f->n_shared] = (int32_t)e;
      s->single_slot[e] = -1;
      f->shared_next[f->n_shared] = (int32_t)f->n_arcs;
      f->n_arcs += (size_t)s->n_holders[e];
      s->number[e] = (int32_t)f->n_shared;
      f->shared_first[++f->n_shared] = (int32_t)f->n_arcs;
    }
  }
}

/* Slots are GPU by GPU, so a GPU's arcs are found one after the other. */
static void make_arcs(mb_split *s, const int32_t *map) {
  mb_split_flow *f = &s->flow;
  size_t slots_per_gpu = s->shape.n_slots / s->shape.n_gpus;
  int32_t n = 0;

  for (size_t p = 0; p < s->shape.n_slots; p++) {
    int32_t e = map[p];
    size_t gpu = p / slots_per_gpu;
    if (p % slots_per_gpu == 0) {
      f->gpu_first[gpu] = n;
    }
    if (s->single_slot[e] >= 0 ||
        (s->on_slot[e] >= 0 && (size_t)s->on_slot[e] / slots_per_gpu == gpu)) {
      continue;
    }
    int32_t a = f->shared_next[s->number[e]]++;
    f->arc_gpu[a] = (int32_t)gpu;
    f->arc_shared[a] = s->number[e];
    s->arc_slot[a] = (int32_t)p;
    s->on_slot[e] = (int32_t)p;
    f->gpu_arc[n++] = a;
  }
  f->gpu_first[s->shape.n_gpus] = n;
}

mb_status mb_split_prepare(mb_split *split, const int32_t *physical_to_logical_map,
                           const double *speed) {
  MB_TRY(mb_placement_count(&split->shape, physical_to_logical_map, split->n_holders));
  MB_TRY(take_speeds(split, speed));
  count_gpus(split, physical_to_logical_map);
  number_shared(split);
  make_arcs(split, physical_to_logical_map);
  return MB_OK;
}

static mb_status check_base(const mb_split *s, const double *base) {
  double sum = 0;

  for (size_t g = 0; base != NULL && g < s->shape.n_gpus; g++) {
    if (!(base[g] >= 0 && base[g] <= MB_LOAD_MAX)) {
      return MB_FAIL(MB_ERR_RANGE,
                     "the base load of GPU %zu is %g, but has to be finite and in [0, 2^53]", g,
                     base[g]);
    }
    sum += base[g];
  }
  if (sum > MB_LAYER_LOAD_MAX) {
    return MB_FAIL(MB_ERR_RANGE, "base loads sum to %g, but 2^60 is the most", sum);
  }
  return MB_OK;
}

/* What every split has: base loads, and the experts of one GPU. */
static void add_fixed(mb_split *s, const double *load, const double *base) {
  size_t slots_per_gpu = s->shape.n_slots / s->shape.n_gpus;

  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    s->fixed[g] = base == NULL ? 0.0 : base[g];
  }
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    if (s->single_slot[e] >= 0) {
      s->fixed[(size_t)s->single_slot[e] / slots_per_gpu] += load[e];
    }
  }
}

/* The largest of all GPUs together and each alone: where Newton's method begins. */
static double first_bound(mb_split *s, const double *load, mb_split_result *result) {
  double total = 0;
  double bound = 0;
  size_t worst = 0;

  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    double alone = s->fixed[g] / s->speed[g];
    total += s->fixed[g];
    worst = alone > bound ? g : worst;
    bound = alone > bound ? alone : bound;
  }
  for (size_t i = 0; i < s->flow.n_shared; i++) {
    total += load[s->shared_id[i]];
  }
  bool all = total / s->speed_total >= bound;
  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    s->critical[g] = total > 0 && (all || g == worst);
  }
  result->n_gpus = total > 0 ? (all ? s->shape.n_gpus : 1) : 0;
  return all ? total / s->speed_total : bound;
}

/* How high the GPUs of an expert, which have none of it yet, stand: load / speed, from the lowest,
 * so that a small load keeps its digits beside large ones. */
static void measure(mb_split *s, size_t shared) {
  mb_split_flow *f = &s->flow;
  int32_t begin = f->shared_first[shared];
  size_t n = (size_t)(f->shared_first[shared + 1] - begin);
  size_t lowest = 0;

  for (size_t i = 0; i < n; i++) {
    int32_t g = f->arc_gpu[(size_t)begin + i];
    s->open[i] = begin + (int32_t)i;
    s->height[i] = f->load[g] / s->speed[g];
    lowest = s->height[i] < s->height[lowest] ? i : lowest;
    f->flow[(size_t)begin + i] = 0;
  }
  double ground = s->height[lowest];
  for (size_t i = 0; i < n; i++) {
    s->height[i] -= ground;
  }
}

/* The height to which the amount fills the n open GPUs, from which those that stand higher are
 * dropped. Each that is dropped lowers it; the lowest stays. */
static double fill_level(mb_split *s, double amount, size_t *n) {
  for (;;) {
    double volume = amount;
    double width = 0;
    size_t n_open = 0;
    for (size_t i = 0; i < *n; i++) {
      double speed = s->speed[s->flow.arc_gpu[s->open[i]]];
      volume += speed * s->height[i];
      width += speed;
    }
    double level = volume / width;
    for (size_t i = 0; i < *n; i++) {
      if (s->height[i] < level || s->height[i] <= 0) {
        s->height[n_open] = s->height[i];
        s->open[n_open++] = s->open[i];
      }
    }
    if (n_open == *n) {
      return level;
    }
    *n = n_open;
  }
}

/* Pours an expert's load onto the lowest of its GPUs: all that get some end at one height. */
static void pour(mb_split *s, size_t shared, double amount) {
  mb_split_flow *f = &s->flow;
  size_t n = (size_t)(f->shared_first[shared + 1] - f->shared_first[shared]);

  measure(s, shared);
  if (!(amount > 0)) {
    return;
  }
  double level = fill_level(s, amount, &n);
  for (size_t i = 0; i < n; i++) {
    int32_t g = f->arc_gpu[s->open[i]];
    double share = s->speed[g] * (level - s->height[i]);
    f->flow[s->open[i]] = share;
    f->load[g] += share;
  }
}

static void add_up(mb_split *s) {
  mb_split_flow *f = &s->flow;

  memcpy(f->load, s->fixed, f->n_gpus * sizeof *f->load);
  for (size_t a = 0; a < f->n_arcs; a++) {
    f->load[f->arc_gpu[a]] += f->flow[a];
  }
}

static void pour_all(mb_split *s, const double *load) {
  mb_split_flow *f = &s->flow;

  memcpy(f->load, s->fixed, f->n_gpus * sizeof *f->load);
  for (int round = 0; round < N_POURS; round++) {
    for (size_t i = 0; i < f->n_shared; i++) {
      for (int32_t a = f->shared_first[i]; round > 0 && a < f->shared_first[i + 1]; a++) {
        f->load[f->arc_gpu[a]] -= f->flow[a];
      }
      pour(s, i, load[s->shared_id[i]]);
    }
  }
}

/* The ratio (*) of the GPUs that the search has reached. */
static double reached_ratio(const mb_split *s, const double *load) {
  double tokens = 0;
  double speed = 0;

  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    if (s->flow.gpu_level[g] >= 0) {
      tokens += s->fixed[g];
      speed += s->speed[g];
    }
  }
  for (size_t i = 0; i < s->flow.n_shared; i++) {
    if (s->flow.shared_level[i] >= 0) {
      tokens += load[s->shared_id[i]];
    }
  }
  return tokens / speed;
}

static void keep_reached(mb_split *s, mb_split_result *result) {
  result->n_gpus = 0;
  for (size_t g = 0; g < s->shape.n_gpus; g++) {
    s->critical[g] = s->flow.gpu_level[g] >= 0;
    result->n_gpus += s->critical[g];
  }
}

/* Newton's method: a bound that cannot be met shows GPUs that prove a larger one. Each set is
 * smaller than the one before, in exact arithmetic; where rounding has the last word, what is still
 * above the bound is rounding too. */
static void raise_bound(mb_split *s, const double *load, mb_split_result *result) {
  mb_split_flow *f = &s->flow;

  for (;;) {
    add_up(s);
    for (size_t g = 0; g < f->n_gpus; g++) {
      f->cap[g] = result->load_max * s->speed[g];
      f->slack[g] = f->cap[g] * slack_relative;
    }
    if (mb_split_flow_push(f)) {
      return;
    }
    double ratio = reached_ratio(s, load);
    if (!(ratio > result->load_max)) {
      return;
    }
    result->load_max = ratio;
    keep_reached(s, result);
  }
}

/* What the arcs of an expert lack of its load, or have too much, is rounding: the largest, which is
 * not small, makes up for it. */
static void settle(mb_split *s, size_t shared, double amount) {
  mb_split_flow *f = &s->flow;
  int32_t largest = f->shared_first[shared];
  double sum = 0;

  for (int32_t a = f->shared_first[shared]; a < f->shared_first[shared + 1]; a++) {
    largest = f->flow[a] > f->flow[largest] ? a : largest;
  }
  for (int32_t a = f->shared_first[shared]; a < f->shared_first[shared + 1]; a++) {
    sum += a == largest ? 0.0 : f->flow[a];
  }
  f->flow[largest] = amount > sum ? amount - sum : 0.0;
}

static void write_slots(mb_split *s, const double *load, double *slot_load) {
  memset(slot_load, 0, s->shape.n_slots * sizeof *slot_load);
  for (size_t e = 0; e < s->shape.n_experts; e++) {
    if (s->single_slot[e] >= 0) {
      slot_load[s->single_slot[e]] = load[e];
    }
  }
  for (size_t i = 0; i < s->flow.n_shared; i++) {
    settle(s, i, load[s->shared_id[i]]);
  }
  for (size_t a = 0; a < s->flow.n_arcs; a++) {
    slot_load[s->arc_slot[a]] = s->flow.flow[a];
  }
}

mb_status mb_split_solve(mb_split *split, const double *load, const double *base, double *slot_load,
                         mb_split_result *result) {
  MB_TRY(mb_load_check(&split->shape, load));
  MB_TRY(check_base(split, base));

  result->gpus = split->critical;
  add_fixed(split, load, base);
  result->load_max = first_bound(split, load, result);
  if (result->n_gpus > 0) {
    pour_all(split, load);
    raise_bound(split, load, result);
  } else {
    memset(split->flow.flow, 0, split->flow.n_arcs * sizeof *split->flow.flow);
  }
  write_slots(split, load, slot_load);
  return MB_OK;
}
