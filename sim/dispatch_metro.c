/* sim/dispatch_metro.c - all tokens of an expert go to one replica, so that as few experts' weights
 * as can be have to be read on the GPU that reads most: for decode, where that decides.
 *
 * After METRO (arXiv 2512.09277), which is greedy; this is the optimum for the largest number of
 * active slots of a GPU, then greedy for tokens:
 *   1. Experts that are on one GPU only; then the others with load, largest first: to the GPU with
 *      the fewest active slots, the fewest tokens of these, the first of these.
 *   2. As long as experts can change GPUs one after the other along a way from a GPU with the most
 *      active slots to one with two fewer, they do (semi-matchings, Harvey et al., 2006).
 *   3. Once more through the experts, largest first: to where the fewest tokens are, if that leaves
 *      the fuller of both GPUs with fewer tokens, and no GPU with more active slots than the most.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sim/dispatch.h"
#include "sim/keyed.h"
#include "sim/replicas.h"

typedef struct metro_model {
  mb_replicas replicas; /* one per GPU */
  mb_keyed *order;      /* [L,E] scratch: experts */
  int32_t *chosen;      /* [L,E] slot of each expert with load; or -1 */
  int32_t *active;      /* [L,D] slots with load */
  double *tokens;       /* [L,D] */
  int32_t *queue;       /* [L,D] GPUs reached */
  int32_t *reached_by;  /* [L,D] the slot there that an expert could change to; -1: not reached */
} metro_model;

/* A layer's rows. */
typedef struct metro_layer {
  const mb_replicas *replicas;
  size_t layer, n_gpus;
  const int32_t *map;
  const uint32_t *load;
  mb_keyed *order;
  int32_t *chosen, *active, *queue, *reached_by;
  double *tokens;
} metro_layer;

static void metro_destroy(void *state) {
  metro_model *model = state;

  mb_replicas_fini(&model->replicas);
  free(model->order);
  free(model->chosen);
  free(model->active);
  free(model->tokens);
  free(model->queue);
  free(model->reached_by);
  free(model);
}

static mb_status metro_create(const mb_shape *shape, const mb_dispatch_options *options,
                              const mb_dispatch_origin *origin, void **state) {
  metro_model *model = calloc(1, sizeof *model);
  size_t n_layers = shape->n_layers;

  (void)options;
  (void)origin;
  if (model == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  model->order = calloc(n_layers, shape->n_experts * sizeof *model->order);
  model->chosen = calloc(n_layers, shape->n_experts * sizeof *model->chosen);
  model->active = calloc(n_layers, shape->n_gpus * sizeof *model->active);
  model->tokens = calloc(n_layers, shape->n_gpus * sizeof *model->tokens);
  model->queue = calloc(n_layers, shape->n_gpus * sizeof *model->queue);
  model->reached_by = calloc(n_layers, shape->n_gpus * sizeof *model->reached_by);
  mb_status status = mb_replicas_init(&model->replicas, shape, true);
  if (status == MB_OK &&
      (model->order == NULL || model->chosen == NULL || model->active == NULL ||
       model->tokens == NULL || model->queue == NULL || model->reached_by == NULL)) {
    status = MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  if (status != MB_OK) {
    metro_destroy(model);
    return status;
  }
  *state = model;
  return MB_OK;
}

static void metro_place(void *state, size_t layer, const mb_dispatch_placement *placement) {
  metro_model *model = state;

  mb_replicas_place(&model->replicas, layer, placement->physical_to_logical_map);
}

static size_t gpu_of(const metro_layer *m, int32_t slot) {
  return (size_t)slot / m->replicas->slots_per_gpu;
}

/* An expert's tokens go to that slot from now on. */
static void choose(metro_layer *m, size_t e, int32_t slot) {
  if (m->chosen[e] >= 0) {
    m->active[gpu_of(m, m->chosen[e])]--;
    m->tokens[gpu_of(m, m->chosen[e])] -= (double)m->load[e];
  }
  m->chosen[e] = slot;
  m->active[gpu_of(m, slot)]++;
  m->tokens[gpu_of(m, slot)] += (double)m->load[e];
}

/* Experts on one GPU are chosen for; the others with load are put in order. Returns how many. */
static size_t start(metro_layer *m) {
  size_t n_shared = 0;

  memset(m->active, 0, m->n_gpus * sizeof *m->active);
  memset(m->tokens, 0, m->n_gpus * sizeof *m->tokens);
  for (size_t e = 0; e < m->replicas->n_experts; e++) {
    size_t n;
    const int32_t *slot = mb_replicas_of(m->replicas, m->layer, e, &n);
    m->chosen[e] = -1;
    if (m->load[e] > 0 && n == 1) {
      choose(m, e, slot[0]);
    } else if (m->load[e] > 0) {
      m->order[n_shared++] = (mb_keyed){-(double)m->load[e], (int32_t)e};
    }
  }
  mb_keyed_sort(n_shared, m->order);
  return n_shared;
}

static void choose_greedily(metro_layer *m, size_t e) {
  size_t n;
  const int32_t *slot = mb_replicas_of(m->replicas, m->layer, e, &n);
  size_t best = 0;

  for (size_t r = 1; r < n; r++) {
    size_t a = gpu_of(m, slot[r]);
    size_t b = gpu_of(m, slot[best]);
    if (m->active[a] < m->active[b] ||
        (m->active[a] == m->active[b] && m->tokens[a] < m->tokens[b])) {
      best = r;
    }
  }
  choose(m, e, slot[best]);
}

static size_t most_active(const metro_layer *m) {
  size_t most = 0;

  for (size_t d = 1; d < m->n_gpus; d++) {
    most = m->active[d] > m->active[most] ? d : most;
  }
  return most;
}

/* Looks at the other GPUs of the experts active on one. */
static size_t reach_from(metro_layer *m, size_t gpu, size_t n_queue) {
  size_t slots_per_gpu = m->replicas->slots_per_gpu;

  for (size_t p = gpu * slots_per_gpu; p < (gpu + 1) * slots_per_gpu; p++) {
    size_t e = (size_t)m->map[p];
    if (m->chosen[e] != (int32_t)p) {
      continue;
    }
    size_t n;
    const int32_t *slot = mb_replicas_of(m->replicas, m->layer, e, &n);
    for (size_t r = 0; r < n; r++) {
      size_t other = gpu_of(m, slot[r]);
      if (m->reached_by[other] < 0) {
        m->reached_by[other] = slot[r];
        m->queue[n_queue++] = (int32_t)other;
      }
    }
  }
  return n_queue;
}

/* Experts change GPUs along the way back from `gpu`. */
static void change_along(metro_layer *m, size_t from, size_t gpu) {
  while (gpu != from) {
    int32_t slot = m->reached_by[gpu];
    size_t e = (size_t)m->map[slot];
    size_t before = gpu_of(m, m->chosen[e]);
    choose(m, e, slot);
    gpu = before;
  }
}

/* Takes one active slot off a GPU, if that is possible. Breadth first, so the way is short. */
static bool relieve(metro_layer *m, size_t from) {
  size_t n_queue = 1;

  for (size_t d = 0; d < m->n_gpus; d++) {
    m->reached_by[d] = -1;
  }
  m->queue[0] = (int32_t)from;
  m->reached_by[from] = 0;
  for (size_t i = 0; i < n_queue; i++) {
    size_t gpu = (size_t)m->queue[i];
    if (m->active[gpu] <= m->active[from] - 2) {
      change_along(m, from, gpu);
      return true;
    }
    n_queue = reach_from(m, gpu, n_queue);
  }
  return false;
}

static void level_tokens(metro_layer *m, size_t e, int32_t most) {
  size_t n;
  const int32_t *slot = mb_replicas_of(m->replicas, m->layer, e, &n);
  size_t now = gpu_of(m, m->chosen[e]);
  double least = m->tokens[now] - (double)m->load[e];
  int32_t best = -1;

  for (size_t r = 0; r < n; r++) {
    size_t gpu = gpu_of(m, slot[r]);
    if (gpu != now && m->active[gpu] < most && m->tokens[gpu] < least) {
      least = m->tokens[gpu];
      best = slot[r];
    }
  }
  if (best >= 0) {
    choose(m, e, best);
  }
}

static void metro_split(void *state, const mb_shape *shape, size_t layer,
                        const mb_dispatch_placement *placement, const mb_dispatch_load *load,
                        double *slot_load) {
  metro_model *model = state;
  metro_layer m = {.replicas = &model->replicas,
                   .layer = layer,
                   .n_gpus = shape->n_gpus,
                   .map = placement->physical_to_logical_map,
                   .load = load->load,
                   .order = model->order + layer * shape->n_experts,
                   .chosen = model->chosen + layer * shape->n_experts,
                   .active = model->active + layer * shape->n_gpus,
                   .tokens = model->tokens + layer * shape->n_gpus,
                   .queue = model->queue + layer * shape->n_gpus,
                   .reached_by = model->reached_by + layer * shape->n_gpus};
  size_t n_shared = start(&m);

  for (size_t i = 0; i < n_shared; i++) {
    choose_greedily(&m, (size_t)m.order[i].index);
  }
  while (relieve(&m, most_active(&m))) {
  }
  int32_t most = m.active[most_active(&m)];
  for (size_t i = 0; i < n_shared; i++) {
    level_tokens(&m, (size_t)m.order[i].index, most);
  }
  memset(slot_load, 0, shape->n_slots * sizeof *slot_load);
  for (size_t e = 0; e < shape->n_experts; e++) {
    if (m.chosen[e] >= 0) {
      slot_load[m.chosen[e]] = (double)m.load[e];
    }
  }
}

const mb_dispatch_type mb_dispatch_metro = {
    .name = "metro",
    .summary = "one replica an expert, so that the GPUs' active slots are few (METRO)",
    .whole = true,
    .create = metro_create,
    .place = metro_place,
    .split = metro_split,
    .destroy = metro_destroy,
};
