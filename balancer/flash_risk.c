/* balancer/flash_risk.c - FlashLB as vLLM-Ascend has it: GPUs by mean load and its deviation.
 *
 * Samples are the slices of the window. With mu_e, and cov_ef (of n - 1, var_e = cov_ee), of the
 * experts' loads over them and r_e replicas, a GPU that holds the experts H has
 *
 *   risk = sum_H mu_e / r_e + z sqrt(sum over e, f in H of cov_ef / (r_e r_f))
 *
 * which is the quantile of z of its load if that were normal; z = 0.6745: the third quartile.
 *
 * Places: experts by mu_e / r_e, copies one after the other, each on the GPU with room and without
 * the expert whose risk would be smallest, the first of equals.
 *
 * Replicas: experts sorted by mu_e + z sqrt(var_e) are cut into `depth` parts. For one part after
 * the other: with c copies it and the remaining copies all later parts are given replicas greedily,
 * to the largest of mu_e + z sqrt(var_e) a replica, and everything is placed; c is what greed would
 * give the part, or up to `width` copies less or more, whichever has the smallest mean over the
 * samples of largest / mean GPU load. The last part gets what is left. Which layers are planned:
 * balancer/flash.h.
 *
 * Source: vLLM-Ascend, vllm_ascend/eplb/core/policy/policy_flashlb.py, with the gate of its
 * predecessor in flash.h. There the samples are the last 1000 steps: `slices` of the window's steps
 * or more is that for windows as long. Readings of ours: samples without load are left out, and no
 * token is added to loads of 0; ties go to the first; copies of an expert that find no GPU without
 * it go to the best that has it; groups stay on their nodes where the shape is hierarchical, which
 * FlashLB does not know. Its relabelling of GPUs for fewer moves is assign.
 *
 * Complexity, a layer: O(S E^2) for the covariances, and 2 width + 1 times depth - 1 placements of
 * O(E P + S P). Memory a thread: E^2 doubles, of a node's experts.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/arena.h"
#include "balancer/flash.h"
#include "balancer/nodes.h"
#include "balancer/simd.h"
#include "balancer/tournament.h"

typedef struct flash_risk_params {
  mb_flash_params flash;
  double z;
  int64_t depth, width;
} flash_risk_params;

static const mb_param flash_risk_table[] = {
    MB_FLASH_SLICES("100"),
    MB_FLASH_THRESHOLD_RATIO,
    MB_FLASH_LAYERS,
    MB_FLASH_REPLICATION,
    {.key = "z",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.6745",
     .min = 0,
     .max = 100,
     .help = "deviations that a GPU's risk lies above its mean load",
     .offset = offsetof(flash_risk_params, z)},
    {.key = "depth",
     .type = MB_PARAM_INT,
     .unit = "1",
     .initial = "4",
     .min = 1,
     .max = 1000,
     .help = "parts of the experts whose copies are searched one after the other; 1: no search",
     .offset = offsetof(flash_risk_params, depth)},
    {.key = "width",
     .type = MB_PARAM_INT,
     .unit = "copies",
     .initial = "8",
     .min = 0,
     .max = 1e6,
     .help = "how many more or fewer copies of a part are tried",
     .offset = offsetof(flash_risk_params, width)},
    {0},
};

typedef struct work {
  const mb_node_task *task;
  size_t n, n_slots, n_gpus, gpu_slots, n_slices;
  double z;
  double *mu;          /* [n] */
  double *cov;         /* [n,n] */
  double *need;        /* [n] mu + z sqrt(var) */
  double *centred;     /* [n] a sample less the mean */
  int32_t *by_need;    /* [n] experts, the neediest first */
  int32_t *order;      /* [n] by mean a replica */
  int32_t *other;      /* [n] */
  double *unit;        /* [n] */
  double *part;        /* [n] one over the replicas */
  int32_t *count;      /* [n] */
  int32_t *given[2];   /* [n_slots - n] who gets each copy: of a part, and of those after it */
  mb_player *neediest; /* [2n] */
  double *gpu_mu;      /* [M] */
  double *gpu_var;     /* [M] */
  double *new_var;     /* [M] with one more replica */
  size_t *n_in;        /* [M] */
  bool *has;           /* [M] */
  int32_t *placed;     /* [n_slots] */
} work;

static work work_take(mb_arena *arena, size_t n, size_t n_slots, size_t m) {
  work w = {.n = n, .n_slots = n_slots, .n_gpus = m, .gpu_slots = n_slots / m};

  w.mu = mb_arena_take(arena, n, sizeof *w.mu);
  w.cov = mb_arena_take(arena, n * n, sizeof *w.cov);
  w.need = mb_arena_take(arena, n, sizeof *w.need);
  w.centred = mb_arena_take(arena, n, sizeof *w.centred);
  w.by_need = mb_arena_take(arena, n, sizeof *w.by_need);
  w.order = mb_arena_take(arena, n, sizeof *w.order);
  w.other = mb_arena_take(arena, n, sizeof *w.other);
  w.unit = mb_arena_take(arena, n, sizeof *w.unit);
  w.part = mb_arena_take(arena, n, sizeof *w.part);
  w.count = mb_arena_take(arena, n, sizeof *w.count);
  w.given[0] = mb_arena_take(arena, n_slots - n, sizeof *w.given[0]);
  w.given[1] = mb_arena_take(arena, n_slots - n, sizeof *w.given[1]);
  w.neediest = mb_arena_take(arena, 2 * n, sizeof *w.neediest);
  w.gpu_mu = mb_arena_take(arena, m, sizeof *w.gpu_mu);
  w.gpu_var = mb_arena_take(arena, m, sizeof *w.gpu_var);
  w.new_var = mb_arena_take(arena, m, sizeof *w.new_var);
  w.n_in = mb_arena_take(arena, m, sizeof *w.n_in);
  w.has = mb_arena_take(arena, m, sizeof *w.has);
  w.placed = mb_arena_take(arena, n_slots, sizeof *w.placed);
  return w;
}

/* --- statistics --- */

/* A sample's products, of the lower triangle. */
MB_SIMD_CLONES static void add_products(size_t n, const double *centred, double *cov) {
  for (size_t x = 0; x < n; x++) {
    for (size_t y = 0; y <= x; y++) {
      cov[x * n + y] += centred[x] * centred[y];
    }
  }
}

static void find_statistics(work *w) {
  const size_t n = w->n;
  const double samples = (double)w->n_slices;

  assert(w->cov != NULL);
  memset(w->cov, 0, n * n * sizeof *w->cov);
  for (size_t x = 0; x < n; x++) {
    w->mu[x] = w->task->total[x] / samples;
  }
  for (size_t s = 0; s < w->n_slices; s++) {
    for (size_t x = 0; x < n; x++) {
      w->centred[x] = w->task->load[s * n + x] - w->mu[x];
    }
    add_products(n, w->centred, w->cov);
  }
  for (size_t x = 0; x < n; x++) {
    for (size_t y = 0; y <= x; y++) {
      double cov = w->n_slices > 1 ? w->cov[x * n + y] / (samples - 1) : 0;
      w->cov[x * n + y] = cov;
      w->cov[y * n + x] = cov;
    }
    w->need[x] = w->mu[x] + w->z * sqrt(w->cov[x * n + x]);
  }
}

/* --- places --- */

/* The variance of GPU j with one more replica of x. */
static double variance_with(const work *w, size_t j, size_t x) {
  const double *cov = w->cov + x * w->n;
  double link = 0;

  for (size_t p = j * w->gpu_slots; p < j * w->gpu_slots + w->n_in[j]; p++) {
    link += cov[w->placed[p]] * w->part[w->placed[p]];
  }
  return w->gpu_var[j] + (cov[x] * w->part[x] + 2 * link) * w->part[x];
}

/* The GPU with room whose risk would be smallest; of those without the expert if there is one. */
static size_t best_gpu(const work *w, double mu) {
  size_t best[2] = {w->n_gpus, w->n_gpus};
  double least[2] = {INFINITY, INFINITY};

  for (size_t j = 0; j < w->n_gpus; j++) {
    if (w->n_in[j] == w->gpu_slots) {
      continue;
    }
    double var = w->new_var[j] > 0 ? w->new_var[j] : 0; /* rounding */
    double risk = w->gpu_mu[j] + mu + w->z * sqrt(var);
    if (risk < least[w->has[j]]) {
      least[w->has[j]] = risk;
      best[w->has[j]] = j;
    }
  }
  return best[0] < w->n_gpus ? best[0] : best[1];
}

static void place_expert(work *w, size_t x) {
  const double mu = w->mu[x] / w->count[x];

  memset(w->has, 0, w->n_gpus * sizeof *w->has);
  for (size_t j = 0; j < w->n_gpus; j++) {
    w->new_var[j] = variance_with(w, j, x);
  }
  for (int32_t r = 0; r < w->count[x]; r++) {
    size_t j = best_gpu(w, mu);
    w->placed[j * w->gpu_slots + w->n_in[j]++] = (int32_t)x;
    w->gpu_mu[j] += mu;
    w->gpu_var[j] = w->new_var[j];
    w->has[j] = true;
    w->new_var[j] = variance_with(w, j, x); /* another replica may have to join it */
  }
}

/* Places everything by the counts. */
static void place(work *w) {
  memset(w->gpu_mu, 0, w->n_gpus * sizeof *w->gpu_mu);
  memset(w->gpu_var, 0, w->n_gpus * sizeof *w->gpu_var);
  memset(w->n_in, 0, w->n_gpus * sizeof *w->n_in);
  for (size_t x = 0; x < w->n; x++) {
    w->unit[x] = w->mu[x] / w->count[x];
    w->part[x] = 1.0 / w->count[x];
  }
  mb_sort_positions(w->n, w->unit, w->order, w->other);
  for (size_t t = 0; t < w->n; t++) {
    place_expert(w, (size_t)w->order[t]);
  }
}

/* Mean over the samples of the largest GPU load / the mean. */
static double score(work *w) {
  double sum = 0;

  for (size_t s = 0; s < w->n_slices; s++) {
    const double *load = w->task->load + s * w->n;
    double largest = 0;
    double total = 0;
    for (size_t x = 0; x < w->n; x++) {
      w->unit[x] = load[x] / w->count[x];
    }
    for (size_t j = 0; j < w->n_gpus; j++) {
      double of_gpu = 0;
      for (size_t p = j * w->gpu_slots; p < (j + 1) * w->gpu_slots; p++) {
        of_gpu += w->unit[w->placed[p]];
      }
      largest = of_gpu > largest ? of_gpu : largest;
      total += of_gpu;
    }
    sum += largest * (double)w->n_gpus / total;
  }
  return sum / (double)w->n_slices;
}

/* --- replicas --- */

/* Who, of by_need[first, end), gets each of n_copies: the largest need a replica, the first of
   equals. */
static void give_greedily(work *w, size_t first, size_t end, size_t n_copies, int32_t *given) {
  const size_t n = end - first;

  for (size_t x = 0; x < n; x++) {
    w->neediest[n + x] = (mb_player){-w->need[w->by_need[first + x]], (int32_t)x};
    w->count[w->by_need[first + x]] = 1;
  }
  mb_tournament_play(w->neediest, n);
  for (size_t c = 0; c < n_copies; c++) {
    size_t x = (size_t)w->neediest[1].id;
    int32_t expert = w->by_need[first + x];
    given[c] = expert;
    w->count[expert]++;
    mb_tournament_change(w->neediest, n, x, -(w->need[expert] / w->count[expert]));
  }
}

static void count_given(work *w, size_t first, size_t end, size_t n_copies, const int32_t *given) {
  for (size_t x = first; x < end; x++) {
    w->count[w->by_need[x]] = 1;
  }
  for (size_t c = 0; c < n_copies; c++) {
    w->count[given[c]]++;
  }
}

/* How good it is that the part [first, end) has `copies` of n_copies. */
static double try_copies(work *w, size_t first, size_t end, size_t copies, size_t n_copies) {
  count_given(w, first, end, copies, w->given[0]);
  count_given(w, end, w->n, n_copies - copies, w->given[1]);
  place(w);
  return score(w);
}

/* The copies that the part [first, end) gets of n_copies; its counts are set. */
static size_t search_part(work *w, size_t first, size_t end, size_t n_copies, size_t width) {
  size_t start = 0;

  give_greedily(w, first, w->n, n_copies, w->given[0]);
  for (size_t x = first; x < end; x++) {
    start += (size_t)w->count[w->by_need[x]] - 1;
  }
  give_greedily(w, first, end, n_copies, w->given[0]);
  give_greedily(w, end, w->n, n_copies, w->given[1]);
  size_t best = start;
  double best_score = try_copies(w, first, end, start, n_copies);
  for (size_t d = 1; d <= width && (d <= start || d <= n_copies - start); d++) {
    const size_t tried[2] = {start - d, start + d};
    for (size_t x = 0; x < 2; x++) {
      if (x == 0 ? d > start : tried[1] > n_copies) {
        continue;
      }
      double found = try_copies(w, first, end, tried[x], n_copies);
      if (found < best_score) {
        best_score = found;
        best = tried[x];
      }
    }
  }
  count_given(w, first, end, best, w->given[0]);
  return best;
}

static void choose_replicas(work *w, const flash_risk_params *params) {
  const bool by_sum = mb_flash_by_sum(&params->flash);
  const size_t depth = by_sum ? 1 : (size_t)params->depth;
  const size_t part = (w->n + depth - 1) / depth;
  size_t n_copies = w->n_slots - w->n;
  size_t first = 0;

  if (by_sum) {
    memcpy(w->need, w->mu, w->n * sizeof *w->need);
  }
  mb_sort_positions(w->n, w->need, w->by_need, w->other);
  for (size_t d = 1; d < depth && first + part < w->n && n_copies > 0; d++) {
    n_copies -= search_part(w, first, first + part, n_copies, (size_t)params->width);
    first += part;
  }
  give_greedily(w, first, w->n, n_copies, w->given[0]);
}

static void place_node(const mb_node_task *task, const void *context, void *scratch,
                       int32_t *placed) {
  const flash_risk_params *params = context;
  mb_arena arena = {scratch, 0};
  work w = work_take(&arena, task->n_experts, task->n_slots, task->n_gpus);

  if (task->n_slices == 0) { /* nothing to choose by: down the list */
    for (size_t s = 0; s < task->n_slots; s++) {
      placed[s] = (int32_t)(s % task->n_experts);
    }
    return;
  }
  w.task = task;
  w.n_slices = task->n_slices;
  w.z = params->z;
  find_statistics(&w);
  choose_replicas(&w, params);
  place(&w);
  memcpy(placed, w.placed, task->n_slots * sizeof *placed);
}

static size_t n_slices_of(const void *params) {
  return (size_t)((const mb_flash_params *)params)->slices;
}

static mb_status flash_risk_init(void *state, const mb_shape *shape, const void *params,
                                 const mb_backend *backend) {
  const mb_nodes nodes = mb_nodes_of(shape);
  mb_arena size = {NULL, 0};

  (void)work_take(&size, nodes.node_experts, nodes.node_slots, nodes.node_gpus);
  return mb_flash_init(state, shape, params, backend, size.used);
}

static mb_status flash_risk_plan(void *state, const void *params, const mb_plan_input *input,
                                 mb_plan_output *output) {
  return mb_flash_plan(state, params, place_node, input, output);
}

const mb_planner_type mb_planner_flash_risk = {
    .name = "flash_risk",
    .summary = "FlashLB of vLLM-Ascend: GPUs by mean load and deviation over slices of the window",
    .params = flash_risk_table,
    .params_size = sizeof(flash_risk_params),
    .keeps_groups = true,
    .state_size = sizeof(mb_flash),
    .n_slices = n_slices_of,
    .init = flash_risk_init,
    .plan = flash_risk_plan,
    .fini = mb_flash_fini,
};
