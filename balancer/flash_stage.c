/* balancer/flash_stage.c - FlashLB: replicas and places together, over the window's stages.
 *
 * A stage s is a slice of the window; X_se is expert e's load in it, r_e its replicas, and
 *
 *   weight_s = sum_e X_se / the largest of these sums
 *
 * Replicas: each copy goes where it lowers the weighted sum of the stages' largest loads a replica
 * most (balancer/replicate_slices.h; a tie counts one token). Then a second choice of replicas, the
 * adaptive search: experts are taken in the order of their total load, a row of one slot a GPU at a
 * time. How many of a row's slots are copies is bisected: few enough that the spread that the row
 * leaves, when its slots meet the GPUs so far in reverse order, is no more than that of M slots in
 * a row of what the first choice has still to place. Within a row the first rule gives the copies.
 *
 * Places: experts by total load a replica, copies one after the other, each on the GPU with room
 * and without the expert for which the score is smallest, the first of equals:
 *
 *   score(j) = sum_s weight_s max(load_sj + X_se/r_e, max_j load_sj) / (mean_j load_sj + X_se/r_e)
 *
 * Both choices are placed; the second is kept unless its largest summed GPU load is the larger.
 * Which layers are planned: balancer/flash.h. Below the largest load all GPUs score alike, so that
 * they are filled by index up to it: what is light settles on the first GPUs.
 *
 * Source: vLLM pull request 37656, vllm/distributed/eplb/policy/flashlb.py, whose stages are the
 * last 32 windows, one a plan; here the window is cut, so 32 intervals of window with 32 slices are
 * the same. Readings of ours: no token is added to loads of 0, stages without load are left out
 * instead; ties go to the first, where sorts are unstable there; a copy that finds no GPU without
 * its expert goes to the best with one, where there a random expert fills the slot; a row keeps
 * enough experts for the rows to come; groups stay on their nodes where the shape is hierarchical,
 * which FlashLB does not know (`groups: 1` is its way). Which slot of its GPU an expert keeps is
 * left to keep_slots.
 *
 * Complexity, a layer: O(P D S) to place, O(k log D) choices of replicas for D slots in the search.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/flash.h"
#include "balancer/nodes.h"
#include "balancer/replicate.h"
#include "balancer/replicate_slices.h"
#include "balancer/simd.h"

static const mb_param flash_stage_table[] = {
    MB_FLASH_SLICES("32"), MB_FLASH_THRESHOLD_RATIO, MB_FLASH_LAYERS, MB_FLASH_REPLICATION, {0}};

/* A choice of replicas and where they went. */
typedef struct choice {
  int32_t *count;  /* [n] */
  int32_t *placed; /* [n_slots] */
  double max;      /* the largest summed GPU load */
} choice;

typedef struct work {
  const mb_node_task *task;
  size_t n, n_slots, n_gpus, gpu_slots, n_slices;
  mb_slice_memory slices;
  double *weight;                           /* [S] */
  double *row_load;                         /* [S,min(n,M)] loads of a row's experts */
  double *row_total;                        /* [min(n,M)] */
  int32_t *row_count, *row_item;            /* [min(n,M)], [M] */
  double *row_slot, *gpu_sum;               /* [M] */
  double *unit, *slope;                     /* [max(n,n_slots)] */
  int32_t *order, *other, *item, *by_total; /* [n_slots] */
  double *load;                             /* [S,M] */
  double *stage_max, *stage_sum, *share;    /* [S] */
  double *score;                            /* [M] */
  bool *has;                                /* [M] holds the expert at hand */
  size_t *n_in;                             /* [M] slots taken */
  int32_t *replica;                         /* [n_slots] as mb_replicate() has it */
  mb_player *neediest;                      /* [2n] */
  choice first, second;
} work;

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

static choice choice_take(mb_arena *arena, size_t n, size_t n_slots) {
  choice c = {.max = 0};

  c.count = mb_arena_take(arena, n, sizeof *c.count);
  c.placed = mb_arena_take(arena, n_slots, sizeof *c.placed);
  return c;
}

static work work_take(mb_arena *arena, size_t n, size_t n_slots, size_t m, size_t n_slices) {
  work w = {.n = n, .n_slots = n_slots, .n_gpus = m, .n_slices = n_slices};
  const size_t row = smaller(n, m);

  w.gpu_slots = n_slots / m;
  w.slices = mb_slice_memory_take(arena, n_slices, n);
  w.weight = mb_arena_take(arena, n_slices, sizeof *w.weight);
  w.row_load = mb_arena_take(arena, n_slices * row, sizeof *w.row_load);
  w.row_total = mb_arena_take(arena, row, sizeof *w.row_total);
  w.row_count = mb_arena_take(arena, row, sizeof *w.row_count);
  w.row_item = mb_arena_take(arena, m, sizeof *w.row_item);
  w.row_slot = mb_arena_take(arena, m, sizeof *w.row_slot);
  w.gpu_sum = mb_arena_take(arena, m, sizeof *w.gpu_sum);
  w.unit = mb_arena_take(arena, n_slots, sizeof *w.unit);
  w.slope = mb_arena_take(arena, n_slots, sizeof *w.slope);
  w.order = mb_arena_take(arena, n_slots, sizeof *w.order);
  w.other = mb_arena_take(arena, n_slots, sizeof *w.other);
  w.item = mb_arena_take(arena, n_slots, sizeof *w.item);
  w.by_total = mb_arena_take(arena, n, sizeof *w.by_total);
  w.load = mb_arena_take(arena, n_slices * m, sizeof *w.load);
  w.stage_max = mb_arena_take(arena, n_slices, sizeof *w.stage_max);
  w.stage_sum = mb_arena_take(arena, n_slices, sizeof *w.stage_sum);
  w.share = mb_arena_take(arena, n_slices, sizeof *w.share);
  w.score = mb_arena_take(arena, m, sizeof *w.score);
  w.has = mb_arena_take(arena, m, sizeof *w.has);
  w.n_in = mb_arena_take(arena, m, sizeof *w.n_in);
  w.replica = mb_arena_take(arena, n_slots, sizeof *w.replica);
  w.neediest = mb_arena_take(arena, 2 * n, sizeof *w.neediest);
  w.first = choice_take(arena, n, n_slots);
  w.second = choice_take(arena, n, n_slots);
  return w;
}

static void weigh_stages(work *w) {
  double most = 0;

  for (size_t s = 0; s < w->n_slices; s++) {
    w->weight[s] = 0;
    for (size_t x = 0; x < w->n; x++) {
      w->weight[s] += w->task->load[s * w->n + x];
    }
    most = w->weight[s] > most ? w->weight[s] : most;
  }
  for (size_t s = 0; s < w->n_slices; s++) {
    w->weight[s] /= most;
  }
}

/* --- places --- */

/* The score of every GPU for one more replica of shares `share`, before who may take it. */
MB_SIMD_CLONES static void score_gpus(const work *w) {
  const size_t m = w->n_gpus;
  double *restrict score = w->score;

  memset(score, 0, m * sizeof *score);
  for (size_t s = 0; s < w->n_slices; s++) {
    const double *restrict load = w->load + s * m;
    double mean = w->stage_sum[s] / (double)m + w->share[s];
    double factor = mean > 0 ? w->weight[s] / mean : 0;
    double most = w->stage_max[s];
    double share = w->share[s];
    for (size_t j = 0; j < m; j++) {
      double with = load[j] + share;
      score[j] += factor * (with > most ? with : most);
    }
  }
}

/* The best GPU with room; of those without the expert if there is one. */
static size_t best_gpu(const work *w) {
  size_t best[2] = {w->n_gpus, w->n_gpus};

  for (size_t j = 0; j < w->n_gpus; j++) {
    size_t *of = &best[w->has[j]];
    if (w->n_in[j] < w->gpu_slots && (*of == w->n_gpus || w->score[j] < w->score[*of])) {
      *of = j;
    }
  }
  return best[0] < w->n_gpus ? best[0] : best[1];
}

static void put(work *w, size_t j, int32_t x, int32_t *placed) {
  placed[j * w->gpu_slots + w->n_in[j]++] = x;
  w->has[j] = true;
  for (size_t s = 0; s < w->n_slices; s++) {
    double *load = &w->load[s * w->n_gpus + j];
    *load += w->share[s];
    w->stage_sum[s] += w->share[s];
    w->stage_max[s] = *load > w->stage_max[s] ? *load : w->stage_max[s];
  }
}

static double largest_sum(work *w, const choice *c) {
  double largest = 0;

  for (size_t j = 0; j < w->n_gpus; j++) {
    double sum = 0;
    for (size_t p = j * w->gpu_slots; p < (j + 1) * w->gpu_slots; p++) {
      sum += w->task->total[c->placed[p]] / c->count[c->placed[p]];
    }
    largest = sum > largest ? sum : largest;
  }
  return largest;
}

static void place(work *w, choice *c) {
  memset(w->load, 0, w->n_slices * w->n_gpus * sizeof *w->load);
  memset(w->stage_max, 0, w->n_slices * sizeof *w->stage_max);
  memset(w->stage_sum, 0, w->n_slices * sizeof *w->stage_sum);
  memset(w->n_in, 0, w->n_gpus * sizeof *w->n_in);
  for (size_t x = 0; x < w->n; x++) {
    w->unit[x] = w->task->total[x] / c->count[x];
  }
  mb_sort_positions(w->n, w->unit, w->order, w->other);
  for (size_t t = 0; t < w->n; t++) {
    size_t x = (size_t)w->order[t];
    memset(w->has, 0, w->n_gpus * sizeof *w->has);
    for (size_t s = 0; s < w->n_slices; s++) {
      w->share[s] = w->task->load[s * w->n + x] / c->count[x];
    }
    for (int32_t r = 0; r < c->count[x]; r++) {
      score_gpus(w);
      put(w, best_gpu(w), (int32_t)x, c->placed);
    }
  }
  c->max = largest_sum(w, c);
}

/* --- the search for replicas --- */

/* The replicas of a row that takes `keep` experts from `at` on in the order of total load, and its
   slots' summed loads, the smallest first. */
static void fill_row(work *w, size_t at, size_t keep) {
  const mb_slice_rule rule = {w->weight, 1};
  const size_t m = w->n_gpus;

  for (size_t x = 0; x < keep; x++) {
    size_t e = (size_t)w->by_total[at + x];
    w->row_total[x] = w->task->total[e];
    for (size_t s = 0; s < w->n_slices; s++) {
      w->row_load[s * keep + x] = w->task->load[s * w->n + e];
    }
  }
  mb_replicate_slices(keep, m, w->n_slices, w->row_load, w->row_total, &rule, &w->slices,
                      w->row_count, w->row_item);
  for (size_t j = 0; j < m; j++) {
    size_t x = (size_t)w->row_item[j];
    w->unit[j] = w->row_total[x] / w->row_count[x];
  }
  mb_sort_positions(m, w->unit, w->order, w->other);
  for (size_t j = 0; j < m; j++) {
    w->row_slot[j] = w->unit[w->order[m - 1 - j]];
  }
}

/* How far the GPUs are apart once the row's slots meet them, the lightest the heaviest. */
static double row_spread(const work *w) {
  double least = INFINITY;
  double most = 0;

  for (size_t j = 0; j < w->n_gpus; j++) {
    double sum = w->gpu_sum[j] + w->row_slot[j];
    least = sum < least ? sum : least;
    most = sum > most ? sum : most;
  }
  return most - least;
}

/* slope[i]: the largest difference, from slot i on, across M slots in a row of the first choice's
   slots, by summed load. */
static void find_slopes(work *w) {
  const size_t m = w->n_gpus;

  for (size_t p = 0; p < w->n_slots; p++) {
    size_t x = (size_t)w->first.placed[p];
    w->unit[p] = w->task->total[x] / w->first.count[x];
  }
  mb_sort_positions(w->n_slots, w->unit, w->order, w->other);
  double most = 0;
  for (size_t i = w->n_slots - m + 1; i-- > 0;) {
    double slope = w->unit[w->order[i]] - w->unit[w->order[i + m - 1]];
    most = slope > most ? slope : most;
    w->slope[i] = most;
  }
}

static void add_row(work *w) {
  const size_t m = w->n_gpus;

  for (size_t j = 0; j < m; j++) {
    w->unit[j] = w->gpu_sum[j] + w->row_slot[j];
  }
  mb_sort_positions(m, w->unit, w->order, w->other);
  for (size_t j = 0; j < m; j++) {
    w->gpu_sum[j] = w->unit[w->order[j]];
  }
}

/* Experts that the row takes: what is left are `n_left` experts for `n_rows` rows, this one too. */
static size_t row_experts(work *w, size_t at, size_t n_left, size_t n_rows) {
  const size_t m = w->n_gpus;
  size_t most = smaller(m, n_left - (n_rows - 1)); /* experts that it may take */
  size_t low = m - most;                           /* copies */
  size_t high = smaller(n_rows * m - n_left, m - 1);

  while (high - low > 1) {
    size_t copies = (high + low) / 2;
    fill_row(w, at, m - copies);
    if (row_spread(w) > w->slope[at + m - copies]) {
      low = copies;
    } else {
      high = copies;
    }
  }
  return m - high;
}

static void search(work *w) {
  size_t at = 0;

  mb_sort_positions(w->n, w->task->total, w->by_total, w->other);
  find_slopes(w);
  memset(w->gpu_sum, 0, w->n_gpus * sizeof *w->gpu_sum);
  for (size_t row = 0; row < w->gpu_slots; row++) {
    size_t keep = row_experts(w, at, w->n - at, w->gpu_slots - row);
    fill_row(w, at, keep);
    for (size_t x = 0; x < keep; x++) {
      w->second.count[w->by_total[at + x]] = w->row_count[x];
    }
    add_row(w);
    at += keep;
  }
}

static void place_node(const mb_node_task *task, const void *context, void *scratch,
                       int32_t *placed) {
  const size_t n = task->n_experts;
  mb_arena arena = {scratch, 0};
  work w = work_take(&arena, n, task->n_slots, task->n_gpus, task->n_slices);
  const mb_slice_rule rule = {w.weight, 1};
  const choice *best = &w.first;

  const bool by_sum = mb_flash_by_sum(context);

  assert(w.weight != NULL);
  w.task = task;
  weigh_stages(&w);
  if (by_sum) {
    mb_replicate(n, task->n_slots, task->total, false, w.neediest, w.first.count, w.item,
                 w.replica);
  } else {
    mb_replicate_slices(n, task->n_slots, task->n_slices, task->load, task->total, &rule, &w.slices,
                        w.first.count, w.item);
  }
  if (task->n_slots == task->n_gpus || task->n_gpus == 1 || task->n_slices == 0) {
    memcpy(placed, w.item, task->n_slots * sizeof *placed);
    return;
  }
  place(&w, &w.first);
  if (!by_sum && n >= w.gpu_slots && n < task->n_slots) {
    search(&w);
    place(&w, &w.second);
    best = w.second.max > w.first.max ? &w.first : &w.second;
  }
  memcpy(placed, best->placed, task->n_slots * sizeof *placed);
}

static size_t n_slices_of(const void *params) {
  return (size_t)((const mb_flash_params *)params)->slices;
}

static mb_status flash_stage_init(void *state, const mb_shape *shape, const void *params,
                                  const mb_backend *backend) {
  const mb_nodes nodes = mb_nodes_of(shape);
  mb_arena size = {NULL, 0};

  (void)work_take(&size, nodes.node_experts, nodes.node_slots, nodes.node_gpus,
                  n_slices_of(params));
  return mb_flash_init(state, shape, params, backend, size.used);
}

static mb_status flash_stage_plan(void *state, const void *params, const mb_plan_input *input,
                                  mb_plan_output *output) {
  return mb_flash_plan(state, params, place_node, input, output);
}

const mb_planner_type mb_planner_flash_stage = {
    .name = "flash_stage",
    .summary = "FlashLB: replicas and places by the sum of max/mean over slices of the window",
    .params = flash_stage_table,
    .params_size = sizeof(mb_flash_params),
    .keeps_groups = true,
    .state_size = sizeof(mb_flash),
    .n_slices = n_slices_of,
    .init = flash_stage_init,
    .plan = flash_stage_plan,
    .fini = mb_flash_fini,
};
