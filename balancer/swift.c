/* balancer/swift.c - SwiftBalancer: few changes to the placement in force.
 *
 * A layer whose imbalance, of the window's sum under the placement in force, is below
 * imbalance_threshold keeps its placement. Otherwise:
 *
 * 1. Slots are gone through by their place on the GPU, GPU by GPU in each place; the first with an
 *    expert is its home and stays, the others are redundant and are emptied.
 * 2. As many copies are given by load, as EPLB does. By load a replica, the heaviest first, each
 * goes to the GPU with an empty slot and without the expert whose load is smallest, the first of
 *    equals, into its last empty slot.
 * 3. A slot still empty gets the expert with the largest load a replica that may come to its GPU.
 *    If none may, it keeps what it had.
 * 4. At most max_swap_times: the hottest GPU (the last of equals) swaps a replica with the coldest
 *    GPU with which a swap lowers the larger of both loads below the hottest's by at least
 *    increment x the mean GPU load: the swap that lowers it most, the first in slot order. An
 * expert that came to its GPU in this plan is not moved on, nor is one that the other GPU has too.
 *
 * From a GPU to another at most num_max_com experts go in a plan; copies come from their expert's
 * home. The result is taken if the largest GPU load falls.
 *
 * Source: vLLM pull request 37656, vllm/distributed/eplb/policy/swift_balancer.py; live in
 * vLLM-Ascend. It knows neither groups nor nodes, and so doesn't this. Readings of ours: the least
 * gain is of the layer's own mean (there layer 0's,
 * for all); ties in giving copies go to the first expert; and step 3's last sentence, where a slot
 * is left without an expert there. A copy that goes back to where one was is counted as a transfer,
 * as there.
 *
 * Complexity, a layer: O(R (D + log E)) for R copies and O(max_swap_times P k) for k slots a GPU;
 * layers one after the other. Memory: D^2 counts.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/load.h"
#include "balancer/planner.h"
#include "balancer/replicate.h"

typedef struct swift_params {
  int64_t num_max_com;
  double imbalance_threshold, increment;
  int64_t max_swap_times;
} swift_params;

static const mb_param swift_table[] = {
    {.key = "num_max_com",
     .type = MB_PARAM_INT,
     .unit = "experts",
     .initial = "1",
     .min = 0,
     .max = 1e6,
     .word = "unlimited",
     .word_value = INT64_MAX,
     .help = "experts that go from one GPU to another at most in a layer's plan",
     .offset = offsetof(swift_params, num_max_com)},
    {.key = "imbalance_threshold",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "1.01",
     .min = 0,
     .max = 1e6,
     .help = "a layer below this max/mean GPU load keeps its placement",
     .offset = offsetof(swift_params, imbalance_threshold)},
    {.key = "increment",
     .type = MB_PARAM_REAL,
     .unit = "1",
     .initial = "0.01",
     .min = 0,
     .max = 1e6,
     .help = "share of the mean GPU load that a swap must take off the hottest GPU",
     .offset = offsetof(swift_params, increment)},
    {.key = "max_swap_times",
     .type = MB_PARAM_INT,
     .unit = "swaps",
     .initial = "100",
     .min = 0,
     .max = 1e9,
     .word = "unlimited",
     .word_value = INT64_MAX,
     .help = "swaps at most in a layer's plan",
     .offset = offsetof(swift_params, max_swap_times)},
    {0},
};

enum { EMPTY = -1 };

/* One layer in the works. */
typedef struct swift_state {
  size_t n, n_slots, n_gpus, gpu_slots;
  int32_t *slot;       /* [P] expert, or EMPTY */
  bool *fresh;         /* [P] came in this plan */
  int32_t *count;      /* [E] replicas */
  int32_t *home;       /* [E] GPU that it stays on, -1 while unknown */
  double *unit;        /* [E] load a replica */
  double *gpu_load;    /* [D] */
  size_t *by_load;     /* [D] GPUs, the coldest first, equals by index */
  int32_t *sent;       /* [D,D] experts from GPU to GPU */
  int32_t *item;       /* [P] as mb_replicate() gives them */
  int32_t *replica;    /* [P] likewise */
  size_t *copies;      /* [P - E] their items, the heaviest first */
  mb_player *neediest; /* [2E] */
} swift_state;

static void swift_fini(void *state) {
  swift_state *w = state;

  free(w->slot);
  free(w->fresh);
  free(w->count);
  free(w->home);
  free(w->unit);
  free(w->gpu_load);
  free(w->by_load);
  free(w->sent);
  free(w->item);
  free(w->replica);
  free(w->copies);
  free(w->neediest);
}

static mb_status swift_init(void *state, const mb_shape *shape, const void *params,
                            const mb_backend *backend) {
  swift_state *w = state;
  const size_t n = shape->n_experts;
  const size_t p = shape->n_slots;
  const size_t d = shape->n_gpus;

  (void)params;
  (void)backend;
  *w = (swift_state){.n = n,
                     .n_slots = p,
                     .n_gpus = d,
                     .gpu_slots = p / d,
                     .slot = calloc(p, sizeof *w->slot),
                     .fresh = calloc(p, sizeof *w->fresh),
                     .count = calloc(n, sizeof *w->count),
                     .home = calloc(n, sizeof *w->home),
                     .unit = calloc(n, sizeof *w->unit),
                     .gpu_load = calloc(d, sizeof *w->gpu_load),
                     .by_load = calloc(d, sizeof *w->by_load),
                     .sent = calloc(d * d, sizeof *w->sent),
                     .item = calloc(p, sizeof *w->item),
                     .replica = calloc(p, sizeof *w->replica),
                     .copies = calloc(p - n + 1, sizeof *w->copies),
                     .neediest = calloc(2 * n, sizeof *w->neediest)};
  if (w->slot == NULL || w->fresh == NULL || w->count == NULL || w->home == NULL ||
      w->unit == NULL || w->gpu_load == NULL || w->by_load == NULL || w->sent == NULL ||
      w->item == NULL || w->replica == NULL || w->copies == NULL || w->neediest == NULL) {
    swift_fini(w);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to change %zu slots on %zu GPUs", p, d);
  }
  return MB_OK;
}

/* --- loads --- */

static void sum_gpu(swift_state *w, size_t gpu) {
  w->gpu_load[gpu] = 0;
  for (size_t p = gpu * w->gpu_slots; p < (gpu + 1) * w->gpu_slots; p++) {
    w->gpu_load[gpu] += w->slot[p] != EMPTY ? w->unit[w->slot[p]] : 0;
  }
}

/* Loads a replica and of the GPUs, for the slots as they are: the largest. */
static double sum_loads(swift_state *w, const double *load) {
  double largest = 0;

  memset(w->count, 0, w->n * sizeof *w->count);
  for (size_t p = 0; p < w->n_slots; p++) {
    if (w->slot[p] != EMPTY) {
      w->count[w->slot[p]]++;
    }
  }
  for (size_t e = 0; e < w->n; e++) {
    w->unit[e] = load[e] / w->count[e];
  }
  for (size_t gpu = 0; gpu < w->n_gpus; gpu++) {
    sum_gpu(w, gpu);
    largest = w->gpu_load[gpu] > largest ? w->gpu_load[gpu] : largest;
  }
  return largest;
}

static bool holds(const swift_state *w, size_t gpu, int32_t expert) {
  for (size_t p = gpu * w->gpu_slots; p < (gpu + 1) * w->gpu_slots; p++) {
    if (w->slot[p] == expert) {
      return true;
    }
  }
  return false;
}

static bool may_send(const swift_state *w, const swift_params *params, size_t from, size_t to) {
  return w->sent[from * w->n_gpus + to] < params->num_max_com;
}

/* --- redundant slots --- */

static void empty_redundant(swift_state *w) {
  for (size_t e = 0; e < w->n; e++) {
    w->home[e] = -1;
  }
  for (size_t place = 0; place < w->gpu_slots; place++) {
    for (size_t gpu = 0; gpu < w->n_gpus; gpu++) {
      int32_t *slot = &w->slot[gpu * w->gpu_slots + place];
      if (w->home[*slot] >= 0) {
        *slot = EMPTY;
      } else {
        w->home[*slot] = (int32_t)gpu;
      }
    }
  }
}

/* The last empty slot of a GPU, or P. */
static size_t empty_slot(const swift_state *w, size_t gpu) {
  for (size_t p = (gpu + 1) * w->gpu_slots; p-- > gpu * w->gpu_slots;) {
    if (w->slot[p] == EMPTY) {
      return p;
    }
  }
  return w->n_slots;
}

static void bring(swift_state *w, size_t p, int32_t expert) {
  size_t gpu = p / w->gpu_slots;

  w->slot[p] = expert;
  w->fresh[p] = true;
  w->sent[(size_t)w->home[expert] * w->n_gpus + gpu]++;
}

/* Copies by load a replica, the heaviest first, equals by expert: by insertion. */
static void order_copies(swift_state *w) {
  for (size_t c = 0; c < w->n_slots - w->n; c++) {
    size_t at = c;
    int32_t expert = w->item[w->n + c];
    for (; at > 0; at--) {
      int32_t other = w->item[w->copies[at - 1]];
      if (w->unit[other] > w->unit[expert] ||
          (w->unit[other] == w->unit[expert] && other <= expert)) {
        break;
      }
      w->copies[at] = w->copies[at - 1];
    }
    w->copies[at] = w->n + c;
  }
}

static void distribute(swift_state *w, const swift_params *params, const double *load) {
  mb_replicate(w->n, w->n_slots, load, false, w->neediest, w->count, w->item, w->replica);
  for (size_t e = 0; e < w->n; e++) {
    w->unit[e] = load[e] / w->count[e];
  }
  for (size_t gpu = 0; gpu < w->n_gpus; gpu++) {
    sum_gpu(w, gpu);
  }
  order_copies(w);
  for (size_t c = 0; c < w->n_slots - w->n; c++) {
    int32_t expert = w->item[w->copies[c]];
    size_t best = w->n_gpus;
    for (size_t gpu = 0; gpu < w->n_gpus; gpu++) {
      if ((best == w->n_gpus || w->gpu_load[gpu] < w->gpu_load[best]) &&
          may_send(w, params, (size_t)w->home[expert], gpu) && empty_slot(w, gpu) < w->n_slots &&
          !holds(w, gpu, expert)) {
        best = gpu;
      }
    }
    if (best < w->n_gpus) {
      bring(w, empty_slot(w, best), expert);
      w->gpu_load[best] += w->unit[expert];
    }
  }
}

/* The expert with the largest load a replica that may come to the GPU, the first of equals. */
static int32_t choose_expert(const swift_state *w, const swift_params *params, size_t gpu) {
  int32_t best = EMPTY;

  for (size_t e = 0; e < w->n; e++) {
    if ((best == EMPTY || w->unit[e] > w->unit[best]) &&
        may_send(w, params, (size_t)w->home[e], gpu) && !holds(w, gpu, (int32_t)e)) {
      best = (int32_t)e;
    }
  }
  return best;
}

static void fill_the_rest(swift_state *w, const swift_params *params, const double *load,
                          const int32_t *before) {
  (void)sum_loads(w, load);
  for (size_t p = 0; p < w->n_slots; p++) {
    if (w->slot[p] != EMPTY) {
      continue;
    }
    int32_t expert = choose_expert(w, params, p / w->gpu_slots);
    if (expert != EMPTY) {
      bring(w, p, expert);
    } else {
      expert = before[p];
      w->slot[p] = expert;
    }
    w->count[expert]++;
    w->unit[expert] = load[expert] / w->count[expert];
  }
}

/* --- swaps --- */

/* Coldest first; after a swap they are nearly in order. */
static void order_gpus(swift_state *w) {
  for (size_t x = 1; x < w->n_gpus; x++) {
    size_t gpu = w->by_load[x];
    double load = w->gpu_load[gpu];
    size_t at = x;
    for (; at > 0; at--) {
      size_t other = w->by_load[at - 1];
      if (w->gpu_load[other] < load || (w->gpu_load[other] == load && other < gpu)) {
        break;
      }
      w->by_load[at] = other;
    }
    w->by_load[at] = gpu;
  }
}

typedef struct swap {
  size_t p, q; /* slots */
  double max;  /* the larger load after it */
} swap;

static swap best_swap(const swift_state *w, size_t hot, size_t cold) {
  const size_t k = w->gpu_slots;
  swap best = {.max = w->gpu_load[hot]};

  for (size_t p = hot * k; p < (hot + 1) * k; p++) {
    if (w->fresh[p] || holds(w, cold, w->slot[p])) {
      continue;
    }
    for (size_t q = cold * k; q < (cold + 1) * k; q++) {
      double d = w->unit[w->slot[p]] - w->unit[w->slot[q]];
      double hot_after = w->gpu_load[hot] - d;
      double cold_after = w->gpu_load[cold] + d;
      double max = hot_after > cold_after ? hot_after : cold_after;
      if (max < best.max && !w->fresh[q] && !holds(w, hot, w->slot[q])) {
        best = (swap){p, q, max};
      }
    }
  }
  return best;
}

static void make_swap(swift_state *w, swap made) {
  size_t a = made.p / w->gpu_slots;
  size_t b = made.q / w->gpu_slots;
  int32_t expert = w->slot[made.p];

  w->slot[made.p] = w->slot[made.q];
  w->slot[made.q] = expert;
  w->fresh[made.p] = true;
  w->fresh[made.q] = true;
  w->sent[a * w->n_gpus + b]++;
  w->sent[b * w->n_gpus + a]++;
  sum_gpu(w, a);
  sum_gpu(w, b);
}

/* Relieves the hottest GPU once; false: no other GPU can. */
static bool relieve(swift_state *w, const swift_params *params, double least_gain) {
  order_gpus(w);
  size_t hot = w->by_load[w->n_gpus - 1];
  for (size_t x = 0; x + 1 < w->n_gpus; x++) {
    size_t cold = w->by_load[x];
    if (!may_send(w, params, hot, cold) || !may_send(w, params, cold, hot)) {
      continue;
    }
    swap found = best_swap(w, hot, cold);
    if (found.max < w->gpu_load[hot] && w->gpu_load[hot] - found.max >= least_gain) {
      make_swap(w, found);
      return true;
    }
  }
  return false;
}

/* Whether the layer has a better placement now, in w->slot. */
static bool plan_layer(swift_state *w, const swift_params *params, const double *load,
                       const int32_t *before) {
  double mean = 0;

  for (size_t e = 0; e < w->n; e++) {
    mean += load[e] / (double)w->n_gpus;
  }
  memcpy(w->slot, before, w->n_slots * sizeof *w->slot);
  double max_before = sum_loads(w, load);
  if (mean == 0 || max_before < params->imbalance_threshold * mean) {
    return false;
  }
  memset(w->sent, 0, w->n_gpus * w->n_gpus * sizeof *w->sent);
  memset(w->fresh, 0, w->n_slots * sizeof *w->fresh);
  empty_redundant(w);
  distribute(w, params, load);
  fill_the_rest(w, params, load, before);
  (void)sum_loads(w, load);
  for (size_t gpu = 0; gpu < w->n_gpus; gpu++) {
    w->by_load[gpu] = gpu;
  }
  for (int64_t n = 0; n < params->max_swap_times; n++) {
    if (!relieve(w, params, params->increment * mean)) {
      break;
    }
  }
  return sum_loads(w, load) < max_before;
}

static mb_status swift_plan(void *state, const void *params, const mb_plan_input *input,
                            mb_plan_output *output) {
  swift_state *w = state;

  MB_TRY(mb_load_check(&input->shape, input->load));
  for (size_t l = 0; l < input->shape.n_layers; l++) {
    output->replaced[l] = plan_layer(w, params, input->load + l * w->n,
                                     input->physical_to_logical_map + l * w->n_slots);
    if (output->replaced[l]) {
      memcpy(output->physical_to_logical_map + l * w->n_slots, w->slot,
             w->n_slots * sizeof *w->slot);
    }
  }
  return MB_OK;
}

const mb_planner_type mb_planner_swift = {
    .name = "swift",
    .summary = "SwiftBalancer: redundant slots chosen anew, then swaps, few transfers a GPU pair",
    .params = swift_table,
    .params_size = sizeof(swift_params),
    .state_size = sizeof(swift_state),
    .init = swift_init,
    .plan = swift_plan,
    .fini = swift_fini,
};
