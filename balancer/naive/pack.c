/* balancer/naive/pack.c */
#include "balancer/naive/naive.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One packing. Items go by their position in the sorted order, heaviest first. */
typedef struct packing {
  size_t n, m;
  size_t *order;  /* [n] index of the item at each position */
  double *weight; /* [n] its weight */
  size_t *pack;   /* [n] its pack */
  size_t *count;  /* [m] items in each pack */
  double *load;   /* [m] sum of each pack's weights, added in sorted order */
  double *before; /* [m] the loads before a swap */
  double *sorted; /* [2m] scratch to compare loads in */
} packing;

typedef struct swap {
  bool found;
  size_t i, j; /* positions, i < j */
  double gain;
} swap;

/* How a refinement looks for swaps, and whether one has made the loads better. */
typedef struct objective {
  const char *name;
  swap (*best_swap)(const packing *p, double min_gain);
  bool (*is_better)(const packing *p); /* load against before */
} objective;

/* Insertion sort: stable. */
static void sort_descending(size_t n, const double *weight, size_t *order) {
  for (size_t i = 0; i < n; i++) {
    size_t at = i;
    while (at > 0 && weight[order[at - 1]] < weight[i]) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = i;
  }
}

/* Longest processing time first: the heaviest item to the lightest pack with room. */
static void pack_lpt(packing *p) {
  const size_t k = p->n / p->m;

  for (size_t i = 0; i < p->n; i++) {
    size_t lightest = p->m;
    for (size_t a = 0; a < p->m; a++) {
      if (p->count[a] < k && (lightest == p->m || p->load[a] < p->load[lightest])) {
        lightest = a;
      }
    }
    p->pack[i] = lightest;
    p->count[lightest]++;
    p->load[lightest] += p->weight[i];
  }
}

/* Only a strictly larger gain replaces the best, so the smallest (i, j) wins a tie. */
static void offer(swap *best, double min_gain, size_t i, size_t j, double gain) {
  if (gain > min_gain && (!best->found || gain > best->gain)) {
    *best = (swap){true, i, j, gain};
  }
}

static swap best_swap_maxmin(const packing *p, double min_gain) {
  swap best = {.found = false};
  size_t heaviest = 0;

  for (size_t a = 1; a < p->m; a++) {
    if (p->load[a] > p->load[heaviest]) {
      heaviest = a;
    }
  }
  for (size_t i = 0; i < p->n; i++) {
    if (p->pack[i] != heaviest) {
      continue;
    }
    /* Items before i are at least as heavy: d > 0 only where i < j. */
    for (size_t j = i + 1; j < p->n; j++) {
      double d = p->weight[i] - p->weight[j];
      if (p->pack[j] != heaviest && d > 0) {
        double rest = (p->load[heaviest] - p->load[p->pack[j]]) - d;
        offer(&best, min_gain, i, j, d < rest ? d : rest);
      }
    }
  }
  return best;
}

/* The gain is the same for (i, j) and (j, i), in floating point too: looking at i < j is enough. */
static swap best_swap_l2(const packing *p, double min_gain) {
  swap best = {.found = false};

  for (size_t i = 0; i < p->n; i++) {
    for (size_t j = i + 1; j < p->n; j++) {
      if (p->pack[i] != p->pack[j]) {
        double d = p->weight[i] - p->weight[j];
        double gain = 2 * d * ((p->load[p->pack[i]] - p->load[p->pack[j]]) - d);
        offer(&best, min_gain, i, j, gain);
      }
    }
  }
  return best;
}

static bool is_better_maxmin(const packing *p) {
  double *after = p->sorted;
  double *before = p->sorted + p->m;
  const double *from[2] = {p->load, p->before};

  for (size_t x = 0; x < 2; x++) {
    double *to = p->sorted + x * p->m;
    for (size_t a = 0; a < p->m; a++) {
      size_t at = a;
      while (at > 0 && to[at - 1] < from[x][a]) {
        to[at] = to[at - 1];
        at--;
      }
      to[at] = from[x][a];
    }
  }
  for (size_t a = 0; a < p->m; a++) {
    if (after[a] != before[a]) {
      return after[a] < before[a];
    }
  }
  return false;
}

static double sum_of_squares(size_t m, const double *load) {
  double sum = 0;

  for (size_t a = 0; a < m; a++) {
    sum += load[a] * load[a];
  }
  return sum;
}

static bool is_better_l2(const packing *p) {
  return sum_of_squares(p->m, p->load) < sum_of_squares(p->m, p->before);
}

static double sum_pack(const packing *p, size_t pack) {
  double sum = 0;

  for (size_t i = 0; i < p->n; i++) {
    if (p->pack[i] == pack) {
      sum += p->weight[i];
    }
  }
  return sum;
}

static void make_swap(packing *p, size_t i, size_t j) {
  size_t pack_i = p->pack[i];
  size_t pack_j = p->pack[j];

  memcpy(p->before, p->load, p->m * sizeof *p->load);
  p->pack[i] = pack_j;
  p->pack[j] = pack_i;
  p->load[pack_i] = sum_pack(p, pack_i);
  p->load[pack_j] = sum_pack(p, pack_j);
}

static void refine(packing *p, const objective *goal, const mb_balance_options *options,
                   mb_pack_stats *stats) {
  const bool unlimited = options->max_rounds == MB_ROUNDS_UNLIMITED;

  while (stats->rounds < options->max_rounds) {
    stats->rounds++;
    swap best = goal->best_swap(p, options->min_gain);
    if (!best.found) {
      return;
    }
    make_swap(p, best.i, best.j);
    if (unlimited && !goal->is_better(p)) {
      make_swap(p, best.i, best.j);
      return;
    }
    stats->swaps++;
  }
}

static bool packing_init(packing *p, size_t n, size_t m) {
  *p = (packing){.n = n, .m = m};
  p->order = calloc(n, sizeof *p->order);
  p->weight = calloc(n, sizeof *p->weight);
  p->pack = calloc(n, sizeof *p->pack);
  p->count = calloc(m, sizeof *p->count);
  p->load = calloc(m, sizeof *p->load);
  p->before = calloc(m, sizeof *p->before);
  p->sorted = calloc(2 * m, sizeof *p->sorted);
  return p->order != NULL && p->weight != NULL && p->pack != NULL && p->count != NULL &&
         p->load != NULL && p->before != NULL && p->sorted != NULL;
}

static void packing_fini(packing *p) {
  free(p->order);
  free(p->weight);
  free(p->pack);
  free(p->count);
  free(p->load);
  free(p->before);
  free(p->sorted);
}

/* The rank is the order of a pack's items in the sorted order. */
static void write_packing(packing *p, int32_t *pack_index, int32_t *rank_in_pack,
                          double *pack_load) {
  memset(p->count, 0, p->m * sizeof *p->count);
  for (size_t i = 0; i < p->n; i++) {
    pack_index[p->order[i]] = (int32_t)p->pack[i];
    rank_in_pack[p->order[i]] = (int32_t)p->count[p->pack[i]]++;
  }
  if (pack_load != NULL) {
    memcpy(pack_load, p->load, p->m * sizeof *p->load);
  }
}

static void pack_identity(size_t n, const double *weight, int32_t *pack_index,
                          int32_t *rank_in_pack, double *pack_load) {
  for (size_t i = 0; i < n; i++) {
    pack_index[i] = (int32_t)i;
    rank_in_pack[i] = 0;
    if (pack_load != NULL) {
      pack_load[i] = weight[i];
    }
  }
}

static const objective objectives[] = {
    {"lpt", NULL, NULL},
    {"maxmin", best_swap_maxmin, is_better_maxmin},
    {"l2", best_swap_l2, is_better_l2},
};

static const objective *find_objective(const char *name) {
  for (size_t x = 0; x < sizeof objectives / sizeof objectives[0]; x++) {
    if (strcmp(objectives[x].name, name) == 0) {
      return &objectives[x];
    }
  }
  return NULL;
}

mb_status mb_naive_pack(size_t n_items, size_t n_packs, const double *weight,
                        const char *refinement, const mb_balance_options *options,
                        int32_t *pack_index, int32_t *rank_in_pack, double *pack_load,
                        mb_pack_stats *stats) {
  const objective *goal = find_objective(refinement);
  const mb_balance_options defaults = MB_BALANCE_OPTIONS_DEFAULT;
  mb_pack_stats done = {0, 0};

  if (n_items == 0 || n_packs == 0 || n_items % n_packs != 0) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu items do not make %zu equal packs", n_items, n_packs);
  }
  if (goal == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "refinement is \"%s\", not lpt, maxmin or l2", refinement);
  }
  if (n_items == n_packs) {
    pack_identity(n_items, weight, pack_index, rank_in_pack, pack_load);
  } else {
    packing p;
    if (!packing_init(&p, n_items, n_packs)) {
      packing_fini(&p);
      return MB_FAIL(MB_ERR_MEMORY, "no memory to pack %zu items", n_items);
    }
    sort_descending(n_items, weight, p.order);
    for (size_t i = 0; i < n_items; i++) {
      p.weight[i] = weight[p.order[i]];
    }
    pack_lpt(&p);
    if (goal->best_swap != NULL) {
      refine(&p, goal, options != NULL ? options : &defaults, &done);
    }
    write_packing(&p, pack_index, rank_in_pack, pack_load);
    packing_fini(&p);
  }
  if (stats != NULL) {
    *stats = done;
  }
  return MB_OK;
}
