/* balancer/slices.c - layer after layer: slices, groups to nodes, replicas, swaps. */
#include "balancer/slices.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/anew.h"
#include "balancer/flash.h"
#include "balancer/load.h"
#include "balancer/packing.h"
#include "balancer/replicate.h"

const char *const mb_slices_objectives[] = {"squares", "maxima", "both", NULL};
const char *const mb_slices_starts[] = {"lpt", "current", NULL};
const char *const mb_slices_replications[] = {"sum", "slices", "risk", NULL};

enum { EMPTY = -1 };

/* Deviations that `risk` lies above the mean: the third quartile of a normal load, as FlashLB. */
static const double RISK_Z = 0.6745;

/* A packing in the works, of groups or of a node's replicas, in the order of their sums. */
typedef struct packing {
  size_t n_items, n_packs, n_kinds;
  double *load;     /* [S,n_kinds] an item's in each slice */
  double *weight;   /* [n] their sums */
  int32_t *kind;    /* [n] */
  int32_t *pack_of; /* [n] */
  bool *held;       /* [m,n_kinds] */
} packing;

/* One thread's room to work in. */
typedef struct mb_slices_worker {
  mb_pack_scratch pack;
  void *memory;       /* of all that follows */
  size_t n_slices;    /* of the layer at hand, with load */
  double *raw;        /* [S,E] loads */
  double *load;       /* [S,E] with lambda, permuted */
  double *total;      /* [E] */
  double *share;      /* [S] of all tokens */
  double *group_load; /* [G] */
  int32_t *group_node, *group_rank;
  int32_t *expert;     /* [E/N] the node's list */
  int32_t *place;      /* [E] an expert's in the list, or EMPTY */
  double *node_raw;    /* [S,E/N] loads, for replicas by slices */
  double *node_risk;   /* [E/N] */
  double *node_total;  /* [E/N] */
  int32_t *count;      /* [E/N] */
  mb_player *neediest; /* [2E/N] */
  mb_slice_memory slices;
  int32_t *item, *replica;       /* [P/N] */
  double *item_weight;           /* [P/N] */
  int32_t *order, *other, *rank; /* [max(P/N,G)] */
  int32_t *slot, *have;          /* [P/N] in the works, place in the list or EMPTY; [E/N] */
  double *gpu_load;              /* [D/N] */
  packing groups, replicas;
  int32_t *alone; /* [max(P/N,G)] pack_of after one search of two */
  int32_t *now;   /* [packs,kinds] of either packing */
  void *search;
} worker;

/* How one call plans. */
typedef struct method {
  bool squares, maxima, current, by_slices, by_risk;
  mb_slices_rule rule;
  const mb_slices_params *params;
} method;

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static packing packing_take(mb_arena *arena, size_t n, size_t m, size_t n_kinds, size_t n_slices) {
  packing p = {n, m, n_kinds, NULL, NULL, NULL, NULL, NULL};

  p.load = mb_arena_take(arena, n_slices * n_kinds, sizeof *p.load);
  p.weight = mb_arena_take(arena, n, sizeof *p.weight);
  p.kind = mb_arena_take(arena, n, sizeof *p.kind);
  p.pack_of = mb_arena_take(arena, n, sizeof *p.pack_of);
  p.held = mb_arena_take(arena, m * n_kinds, sizeof *p.held);
  return p;
}

static size_t search_size(const packing *p, size_t n_slices) {
  return larger(mb_slices_squares_size(p->n_items, p->n_packs, p->n_kinds),
                mb_slices_maxima_size(p->n_items, p->n_packs, p->n_kinds, n_slices));
}

static void worker_take(worker *w, mb_arena *arena, const mb_nodes *p, size_t n_slices) {
  const size_t n = larger(p->node_slots, p->n_groups);

  w->raw = mb_arena_take(arena, n_slices * p->n_experts, sizeof *w->raw);
  w->load = mb_arena_take(arena, n_slices * p->n_experts, sizeof *w->load);
  w->total = mb_arena_take(arena, p->n_experts, sizeof *w->total);
  w->share = mb_arena_take(arena, n_slices, sizeof *w->share);
  w->group_load = mb_arena_take(arena, p->n_groups, sizeof *w->group_load);
  w->group_node = mb_arena_take(arena, p->n_groups, sizeof *w->group_node);
  w->group_rank = mb_arena_take(arena, p->n_groups, sizeof *w->group_rank);
  w->expert = mb_arena_take(arena, p->node_experts, sizeof *w->expert);
  w->place = mb_arena_take(arena, p->n_experts, sizeof *w->place);
  w->node_raw = mb_arena_take(arena, n_slices * p->node_experts, sizeof *w->node_raw);
  w->node_risk = mb_arena_take(arena, p->node_experts, sizeof *w->node_risk);
  w->node_total = mb_arena_take(arena, p->node_experts, sizeof *w->node_total);
  w->count = mb_arena_take(arena, p->node_experts, sizeof *w->count);
  w->neediest = mb_arena_take(arena, 2 * p->node_experts, sizeof *w->neediest);
  w->slices = mb_slice_memory_take(arena, n_slices, p->node_experts);
  w->item = mb_arena_take(arena, p->node_slots, sizeof *w->item);
  w->replica = mb_arena_take(arena, p->node_slots, sizeof *w->replica);
  w->item_weight = mb_arena_take(arena, p->node_slots, sizeof *w->item_weight);
  w->order = mb_arena_take(arena, n, sizeof *w->order);
  w->other = mb_arena_take(arena, n, sizeof *w->other);
  w->rank = mb_arena_take(arena, n, sizeof *w->rank);
  w->alone = mb_arena_take(arena, n, sizeof *w->alone);
  w->now = mb_arena_take(arena, larger(p->n_nodes * p->n_groups, p->node_gpus * p->node_experts),
                         sizeof *w->now);
  w->slot = mb_arena_take(arena, p->node_slots, sizeof *w->slot);
  w->have = mb_arena_take(arena, p->node_experts, sizeof *w->have);
  w->gpu_load = mb_arena_take(arena, p->node_gpus, sizeof *w->gpu_load);
  w->groups = packing_take(arena, p->n_groups, p->n_nodes, p->n_groups, n_slices);
  w->replicas = packing_take(arena, p->node_slots, p->node_gpus, p->node_experts, n_slices);
  w->search = mb_arena_take(
      arena, larger(search_size(&w->groups, n_slices), search_size(&w->replicas, n_slices)), 1);
}

static bool worker_init(worker *w, const mb_nodes *p, size_t n_slices) {
  const mb_refinement_type *l2 = mb_refinement_find("l2");
  size_t refine_size = larger(mb_refinement_scratch_size(l2, p->n_groups, p->n_nodes),
                              mb_refinement_scratch_size(l2, p->node_slots, p->node_gpus));
  mb_arena arena = {NULL, 0};

  worker_take(w, &arena, p, n_slices);
  arena = (mb_arena){malloc(arena.used), 0};
  w->memory = arena.base;
  if (w->memory == NULL) {
    return false;
  }
  worker_take(w, &arena, p, n_slices);
  return mb_pack_scratch_init(&w->pack, larger(p->n_groups, p->node_slots),
                              larger(p->n_nodes, p->node_gpus), refine_size) == MB_OK;
}

size_t mb_slices_n_slices(const void *params) {
  const mb_slices_params *p = params;

  return p->lambda > 0 ? (size_t)p->slices : 1;
}

void mb_slices_fini(void *state) {
  mb_slices *s = state;

  for (size_t x = 0; s->worker != NULL && x < s->n_threads; x++) {
    mb_pack_scratch_fini(&s->worker[x].pack);
    free(s->worker[x].memory);
  }
  free(s->worker);
}

/* Whether an arena of so many slices can be counted in bytes. */
static bool is_countable(const mb_nodes *p, size_t n_slices) {
  return n_slices <= SIZE_MAX / 1024 / (p->n_experts + p->node_gpus);
}

mb_status mb_slices_init(void *state, const mb_shape *shape, const void *params,
                         const mb_backend *backend) {
  mb_slices *s = state;
  size_t wanted = mb_threads_of(backend);

  wanted = wanted > 0 ? wanted : (size_t)omp_get_max_threads();
  *s = (mb_slices){.shape = *shape,
                   .nodes = mb_nodes_of(shape),
                   .n_slices = mb_slices_n_slices(params),
                   .n_threads = wanted < shape->n_layers ? wanted : shape->n_layers};
  bool made = is_countable(&s->nodes, s->n_slices);
  s->worker = made ? calloc(s->n_threads, sizeof *s->worker) : NULL;
  made = s->worker != NULL;
  for (size_t x = 0; made && x < s->n_threads; x++) {
    made = worker_init(&s->worker[x], &s->nodes, s->n_slices);
  }
  if (!made) {
    mb_slices_fini(s);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to place %zu experts in %zu slots from %zu slices",
                   shape->n_experts, shape->n_slots, s->n_slices);
  }
  return MB_OK;
}

/* --- slices --- */

/* The layer's slices that have load, their shares and sums. Without any, one slice of zeros. */
static void gather(const mb_slices *s, const mb_plan_input *input, size_t l, worker *w) {
  const size_t n = s->nodes.n_experts;
  double all = 0;

  memset(w->total, 0, n * sizeof *w->total);
  w->n_slices = 0;
  for (size_t x = 0; x < input->n_slices; x++) {
    const double *slice = input->load + (x * s->shape.n_layers + l) * n;
    double sum = 0;
    for (size_t e = 0; e < n; e++) {
      sum += slice[e];
      w->total[e] += slice[e];
    }
    if (sum > 0) {
      memcpy(w->raw + w->n_slices * n, slice, n * sizeof *slice);
      w->share[w->n_slices++] = sum;
      all += sum;
    }
  }
  if (w->n_slices == 0) {
    memset(w->raw, 0, n * sizeof *w->raw);
    w->share[w->n_slices++] = all = 1;
  }
  for (size_t x = 0; x < w->n_slices; x++) {
    w->share[x] /= all;
  }
}

static void weigh(const mb_slices *s, double lambda, worker *w) {
  const size_t n = s->nodes.n_experts;
  const double root = sqrt(lambda);

  if (lambda == 1) { /* as they are, to the bit */
    memcpy(w->load, w->raw, w->n_slices * n * sizeof *w->load);
    return;
  }
  for (size_t x = 0; x < w->n_slices; x++) {
    for (size_t e = 0; e < n; e++) {
      double expected = w->total[e] * w->share[x];
      w->load[x * n + e] = expected + root * (w->raw[x * n + e] - expected);
    }
  }
}

/* splitmix64, by Steele, Lea and Flood 2014. */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* Every expert's slices in an order of their own, from seed, step, layer and expert. */
static void permute(const mb_slices *s, int64_t seed, size_t step, size_t l, worker *w) {
  const size_t n = s->nodes.n_experts;

  for (size_t e = 0; e < n; e++) {
    uint64_t state = (uint64_t)seed;
    state = next_random(&state) + step;
    state = next_random(&state) + l;
    state = next_random(&state) + e;
    for (size_t x = w->n_slices; x-- > 1;) {
      size_t y = (size_t)(next_random(&state) % (x + 1));
      double kept = w->load[x * n + e];
      w->load[x * n + e] = w->load[y * n + e];
      w->load[y * n + e] = kept;
    }
  }
}

/* --- packing --- */

/* Whether one scalar load an item is all there is to it: then l2's search is exact. */
static bool is_l2(const method *how, const worker *w) {
  return w->n_slices == 1 && !how->maxima && !how->current && how->rule.move_cost == 0;
}

/* LPT, and all of l2 where that is what is wanted. Items are in the order of their weights. */
static void pack_anew(const method *how, worker *w, packing *p) {
  const mb_balance_options options = {how->rule.max_rounds, 1e-6, false};
  const char *refinement = is_l2(how, w) ? "l2" : "lpt";

  (void)mb_pack_checked(p->n_items, p->n_packs, p->weight, mb_refinement_find(refinement), &options,
                        &w->pack, p->pack_of, w->rank);
}

/* What a packing costs: how far `maxima` is above its floor, and what moves for a price each. */
static double cost_of(const mb_slices_items *items, double price, int32_t *pack_of, worker *w) {
  mb_slices_count(items, pack_of, w->now);

  return mb_slices_maxima_above(items, pack_of, w->search) +
         price * (double)mb_slices_moved_all(items, w->now);
}

/* `both` from the placement in force: squares would leave an optimum of maxima that is there, and
   maxima not come far from a bad one. So maxima alone and after squares; what costs less. */
static void search_twice(const mb_slices_items *items, const mb_slices_rule *rule, int32_t *pack_of,
                         worker *w) {
  const double price = rule->move_cost * mb_slices_maxima_above(items, pack_of, w->search);

  memcpy(w->alone, pack_of, items->n_items * sizeof *pack_of);
  (void)mb_slices_squares(items, rule, pack_of, w->search);
  (void)mb_slices_maxima(items, rule, pack_of, w->search);
  (void)mb_slices_maxima(items, rule, w->alone, w->search);
  if (cost_of(items, price, w->alone, w) <= cost_of(items, price, pack_of, w)) {
    memcpy(pack_of, w->alone, items->n_items * sizeof *pack_of);
  }
}

static void search(const method *how, worker *w, packing *p, double cost_factor) {
  const mb_slices_items items = {p->n_items, p->n_packs, p->n_kinds, w->n_slices,
                                 p->load,    p->kind,    p->held};
  mb_slices_rule rule = how->rule;

  if (p->n_packs < 2 || p->n_items == p->n_packs || is_l2(how, w)) {
    return;
  }
  rule.move_cost *= cost_factor;
  if (how->squares && how->maxima && how->current) {
    search_twice(&items, &rule, p->pack_of, w);
    return;
  }
  if (how->squares) {
    (void)mb_slices_squares(&items, &rule, p->pack_of, w->search);
  }
  if (how->maxima) {
    (void)mb_slices_maxima(&items, &rule, p->pack_of, w->search);
  }
}

/* --- groups --- */

/* Whether each group of the placement in force is on one node, and fills group_node. */
static bool find_groups(const mb_nodes *p, const int32_t *now, worker *w) {
  for (size_t g = 0; g < p->n_groups; g++) {
    w->group_node[g] = EMPTY;
  }
  for (size_t slot = 0; slot < p->n_slots; slot++) {
    size_t g = (size_t)now[slot] / p->group_size;
    int32_t node = (int32_t)(slot / p->node_slots);
    if (w->group_node[g] != EMPTY && w->group_node[g] != node) {
      return false;
    }
    w->group_node[g] = node;
  }
  for (size_t node = 0; node < p->n_nodes; node++) {
    size_t n_in = 0;
    for (size_t g = 0; g < p->n_groups; g++) {
      n_in += (size_t)w->group_node[g] == node;
    }
    if (n_in != p->n_groups / p->n_nodes) {
      return false;
    }
  }
  return true;
}

/* What the nodes held: a group that is on several counts for each. */
static void hold_groups(const mb_nodes *p, const int32_t *now, packing *groups) {
  memset(groups->held, 0, p->n_nodes * p->n_groups * sizeof *groups->held);
  for (size_t slot = 0; slot < p->n_slots; slot++) {
    groups->held[slot / p->node_slots * p->n_groups + (size_t)now[slot] / p->group_size] = true;
  }
}

/* The groups as items, in the order of their sums; a kind is a group. */
static void list_groups(const mb_nodes *p, worker *w) {
  packing *groups = &w->groups;

  mb_nodes_group_load(p, w->total, w->group_load);
  for (size_t x = 0; x < w->n_slices; x++) {
    mb_nodes_group_load(p, w->load + x * p->n_experts, groups->load + x * p->n_groups);
  }
  mb_sort_positions(p->n_groups, w->group_load, w->order, w->other);
  for (size_t i = 0; i < p->n_groups; i++) {
    groups->kind[i] = w->order[i];
    groups->weight[i] = w->group_load[w->order[i]];
  }
}

/* A node's groups in the order of their sums, as packing has them. */
static void rank_groups(const mb_nodes *p, worker *w) {
  memset(w->rank, 0, p->n_nodes * sizeof *w->rank);
  for (size_t i = 0; i < p->n_groups; i++) {
    size_t g = (size_t)w->groups.kind[i];
    w->group_node[g] = w->groups.pack_of[i];
    w->group_rank[g] = w->rank[w->group_node[g]]++;
  }
}

/* mb_pack() of one item a pack keeps the items' order, not that of their weights. */
static void place_single_groups(const mb_nodes *p, worker *w) {
  for (size_t g = 0; g < p->n_groups; g++) {
    w->group_node[g] = (int32_t)g;
    w->group_rank[g] = 0;
  }
}

static void place_groups(const mb_nodes *p, const method *how, const int32_t *now, worker *w) {
  packing *groups = &w->groups;
  const bool stays = how->current && find_groups(p, now, w);

  if (p->n_groups == p->n_nodes) {
    if (!stays) {
      place_single_groups(p, w);
    }
    memset(w->group_rank, 0, p->n_groups * sizeof *w->group_rank);
    return;
  }
  list_groups(p, w);
  hold_groups(p, now, groups);
  if (stays) {
    for (size_t i = 0; i < p->n_groups; i++) {
      groups->pack_of[i] = w->group_node[groups->kind[i]];
    }
  } else {
    pack_anew(how, w, groups);
  }
  search(how, w, groups, (double)p->n_slots / (double)p->n_groups);
  rank_groups(p, w);
}

/* --- a node's replicas --- */

static void list_experts(const mb_nodes *p, size_t node, worker *w) {
  mb_nodes_list_experts(p, node, w->group_node, w->group_rank, w->expert);
  for (size_t e = 0; e < p->n_experts; e++) {
    w->place[e] = EMPTY;
  }
  for (size_t x = 0; x < p->node_experts; x++) {
    w->place[w->expert[x]] = (int32_t)x;
    w->node_total[x] = w->total[w->expert[x]];
  }
}

static void gather_node(const mb_nodes *p, worker *w) {
  const size_t n = p->node_experts;

  for (size_t s = 0; s < w->n_slices; s++) {
    for (size_t x = 0; x < n; x++) {
      w->node_raw[s * n + x] = w->raw[s * p->n_experts + (size_t)w->expert[x]];
    }
  }
}

/* Mean and deviation over the slices; whichever of the variances, for so many slices. */
static void find_risks(const mb_nodes *p, worker *w) {
  const size_t n = p->node_experts;

  for (size_t x = 0; x < n; x++) {
    double mean = w->node_total[x] / (double)w->n_slices;
    double squares = 0;
    for (size_t s = 0; s < w->n_slices; s++) {
      double off = w->node_raw[s * n + x] - mean;
      squares += off * off;
    }
    w->node_risk[x] = mean + RISK_Z * sqrt(squares / (double)w->n_slices);
  }
}

static void replicate(const mb_nodes *p, const method *how, worker *w) {
  const mb_slice_rule rule = {.weight = NULL, .tie_gain = 0};
  const size_t n = p->node_experts;

  gather_node(p, w);
  if (how->by_slices) {
    mb_replicate_slices(n, p->node_slots, w->n_slices, w->node_raw, w->node_total, &rule,
                        &w->slices, w->count, w->item);
    return;
  }
  find_risks(p, w);
  mb_replicate(n, p->node_slots, how->by_risk ? w->node_risk : w->node_total, false, w->neediest,
               w->count, w->item, w->replica);
}

/* The replicas as items, in the order of their sums; a kind is a place in the node's list. */
static void list_replicas(const mb_nodes *p, worker *w) {
  packing *replicas = &w->replicas;
  const size_t n = p->node_experts;

  for (size_t i = 0; i < p->node_slots; i++) {
    w->item_weight[i] = w->node_total[w->item[i]] / w->count[w->item[i]];
  }
  if (p->node_slots > p->node_gpus) {
    mb_sort_positions(p->node_slots, w->item_weight, w->order, w->other);
  } else { /* mb_pack() sorts nothing where a pack has one item */
    for (size_t i = 0; i < p->node_slots; i++) {
      w->order[i] = (int32_t)i;
    }
  }
  for (size_t i = 0; i < p->node_slots; i++) {
    replicas->kind[i] = w->item[w->order[i]];
    replicas->weight[i] = w->item_weight[w->order[i]];
  }
  for (size_t s = 0; s < w->n_slices; s++) {
    for (size_t x = 0; x < n; x++) {
      replicas->load[s * n + x] = w->load[s * p->n_experts + (size_t)w->expert[x]] / w->count[x];
    }
  }
}

/* @param now [P/N] experts of the node's slots in force. */
static void hold_replicas(const mb_nodes *p, const int32_t *now, worker *w) {
  packing *replicas = &w->replicas;

  memset(replicas->held, 0, p->node_gpus * p->node_experts * sizeof *replicas->held);
  for (size_t slot = 0; slot < p->node_slots; slot++) {
    int32_t x = w->place[now[slot]];
    w->slot[slot] = x;
    if (x != EMPTY) {
      replicas->held[slot / p->gpu_slots * p->node_experts + (size_t)x] = true;
    }
  }
}

static double unit_load(const worker *w, size_t x) {
  return w->node_total[x] / w->count[x];
}

/* Takes a replica of expert x away: of its GPUs' slots the one with the largest sum, the first of
   equals. */
static void take_away(const mb_nodes *p, size_t x, worker *w) {
  size_t most = p->node_slots;

  for (size_t slot = 0; slot < p->node_slots; slot++) {
    if (w->slot[slot] == (int32_t)x &&
        (most == p->node_slots ||
         w->gpu_load[slot / p->gpu_slots] > w->gpu_load[most / p->gpu_slots])) {
      most = slot;
    }
  }
  w->slot[most] = EMPTY;
  w->gpu_load[most / p->gpu_slots] -= unit_load(w, x);
  w->have[x]--;
}

/* Whether the GPU of a slot has a replica of expert x. */
static bool has(const mb_nodes *p, const worker *w, size_t slot, size_t x) {
  const size_t first = slot / p->gpu_slots * p->gpu_slots;

  for (size_t s = first; s < first + p->gpu_slots; s++) {
    if (w->slot[s] == (int32_t)x) {
      return true;
    }
  }
  return false;
}

/* Gives expert x a slot: on a GPU without it if there is one, with the smallest sum. */
static void give(const mb_nodes *p, size_t x, worker *w) {
  size_t best[2] = {p->node_slots, p->node_slots};

  for (size_t slot = 0; slot < p->node_slots; slot++) {
    if (w->slot[slot] == EMPTY) {
      size_t *of = &best[has(p, w, slot, x)];
      if (*of == p->node_slots ||
          w->gpu_load[slot / p->gpu_slots] < w->gpu_load[*of / p->gpu_slots]) {
        *of = slot;
      }
    }
  }
  const size_t slot = best[0] < p->node_slots ? best[0] : best[1];
  w->slot[slot] = (int32_t)x;
  w->gpu_load[slot / p->gpu_slots] += unit_load(w, x);
  w->have[x]++;
}

/* The placement in force with the replicas as they shall be; each item then gets one of its
   expert's slots, in their order. */
static void pack_current(const mb_nodes *p, worker *w) {
  packing *replicas = &w->replicas;

  memset(w->have, 0, p->node_experts * sizeof *w->have);
  memset(w->gpu_load, 0, p->node_gpus * sizeof *w->gpu_load);
  for (size_t slot = 0; slot < p->node_slots; slot++) {
    if (w->slot[slot] != EMPTY) {
      w->have[w->slot[slot]]++;
      w->gpu_load[slot / p->gpu_slots] += unit_load(w, (size_t)w->slot[slot]);
    }
  }
  for (size_t x = 0; x < p->node_experts; x++) {
    while (w->have[x] > w->count[x]) {
      take_away(p, x, w);
    }
  }
  for (size_t i = 0; i < p->node_slots; i++) {
    size_t x = (size_t)replicas->kind[i];
    if (w->have[x] < w->count[x]) {
      give(p, x, w);
    }
  }
  for (size_t i = 0; i < p->node_slots; i++) {
    size_t slot = 0;
    while (w->slot[slot] != replicas->kind[i]) {
      slot++;
    }
    replicas->pack_of[i] = (int32_t)(slot / p->gpu_slots);
    w->slot[slot] = EMPTY;
  }
}

/* @param to [P/N] experts of the node's slots: each GPU's in the order of their sums. */
static void write_node(const mb_nodes *p, worker *w, int32_t *to) {
  const packing *replicas = &w->replicas;

  memset(w->rank, 0, p->node_gpus * sizeof *w->rank);
  for (size_t i = 0; i < p->node_slots; i++) {
    size_t gpu = (size_t)replicas->pack_of[i];
    to[gpu * p->gpu_slots + (size_t)w->rank[gpu]++] = w->expert[replicas->kind[i]];
  }
}

static void place_node(const mb_nodes *p, const method *how, size_t node, const int32_t *now,
                       worker *w, int32_t *to) {
  list_experts(p, node, w);
  replicate(p, how, w);
  list_replicas(p, w);
  hold_replicas(p, now, w);
  if (how->current) {
    pack_current(p, w);
  } else {
    pack_anew(how, w, &w->replicas);
  }
  search(how, w, &w->replicas, 1);
  write_node(p, w, to);
}

static void place_layer(const mb_slices *s, const method *how, const mb_plan_input *input, size_t l,
                        worker *w, int32_t *map) {
  const mb_nodes *p = &s->nodes;
  const int32_t *now = input->physical_to_logical_map + l * p->n_slots;

  gather(s, input, l, w);
  weigh(s, how->params->lambda > 0 ? how->params->lambda : 1, w);
  if (how->params->permute) {
    permute(s, how->params->seed, input->step, l, w);
  }
  place_groups(p, how, now, w);
  for (size_t node = 0; node < p->n_nodes; node++) {
    place_node(p, how, node, now + node * p->node_slots, w, map + node * p->node_slots);
  }
}

static method method_of(const mb_slices_params *params) {
  return (method){.squares = strcmp(params->objective, "maxima") != 0,
                  .maxima = strcmp(params->objective, "squares") != 0,
                  .current = strcmp(params->start, "current") == 0,
                  .by_slices = strcmp(params->replication, "slices") == 0,
                  .by_risk = strcmp(params->replication, "risk") == 0,
                  .rule = {params->move_cost, params->min_gain, params->max_rounds},
                  .params = params};
}

mb_status mb_slices_plan(void *state, const void *params, const mb_plan_input *input,
                         mb_plan_output *output) {
  const mb_slices *s = state;
  const method how = method_of(params);
  const size_t n_layers = s->shape.n_layers;

  for (size_t x = 0; x < input->n_slices; x++) {
    MB_TRY(mb_load_check(&s->shape, input->load + x * n_layers * s->shape.n_experts));
  }
#pragma omp parallel for schedule(dynamic) num_threads((int)s->n_threads)
  for (size_t l = 0; l < n_layers; l++) {
    output->replaced[l] = true;
    place_layer(s, &how, input, l, &s->worker[omp_get_thread_num()],
                output->physical_to_logical_map + l * s->shape.n_slots);
  }
  return MB_OK;
}
