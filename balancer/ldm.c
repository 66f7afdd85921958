/* balancer/ldm.c - EPLB's replicas, packed by balanced largest differencing, then polished.
 *
 * Sorted, the n items make k = n/m rows of m. A row is a partial partition: m subsets, of one item
 * each at first. The two partial partitions with the largest spread (largest subset less smallest)
 * are merged in reverse order, the largest subset of the one with the smallest of the other and so
 * on, until one is left, whose subsets are the packs. Every merge joins rows, so all packs get k
 * items.
 *
 * The differences cancel where many items are of a size, far better than LPT's; a heavy tail, where
 * one row has most of the spread, stays, since every pack must take an item of every row. Hence the
 * polish: the swaps of l2 or maxmin, from this packing instead of LPT's.
 *
 * Ties: equal spreads by the row, of which the merged keeps the one with the larger spread; equal
 * subsets keep their order.
 *
 * Sources: N. Karmarkar and R. M. Karp, "The differencing method of set partitioning", UCB/CSD
 * 82/113 (1982); B. Yakir, Math. Oper. Res. 21 (1996), 85-99; W. Michiels, J. Korst, E. Aarts and
 * J. van Leeuwen, "Performance ratios for the differencing method applied to the balanced number
 * partitioning problem", STACS 2003 (BLDM). Complexity: O(n log n) and that of the polish.
 */
#include <math.h>
#include <string.h>

#include "balancer/anew.h"
#include "balancer/options.h"
#include "balancer/packing.h"
#include "balancer/tournament.h"

/* A subset's items hang together from head to tail. */
typedef struct subset {
  double sum;
  int32_t head, tail;
} subset;

typedef struct rows {
  size_t n_packs;
  subset *subset;    /* [k,m] the subsets of each partial partition, descending */
  subset *other;     /* [m] while sorting */
  mb_player *widest; /* [2k] tournament by negated spread */
  int32_t *next;     /* [n] the item after each in its subset, -1 at the end */
} rows;

static size_t ldm_scratch_size(size_t n_items, size_t n_packs) {
  return n_items * sizeof(subset) + n_packs * sizeof(subset) +
         2 * (n_items / n_packs) * sizeof(mb_player) + n_items * sizeof(int32_t);
}

static void rows_init(rows *r, const mb_packing *packing, void *scratch) {
  const size_t n = packing->n_items;

  r->n_packs = packing->n_packs;
  r->subset = scratch;
  r->other = r->subset + n;
  r->widest = (mb_player *)(r->other + r->n_packs);
  r->next = (int32_t *)(r->widest + 2 * (n / r->n_packs));
  for (size_t t = 0; t < n; t++) {
    r->subset[t] = (subset){packing->weight[t], (int32_t)t, (int32_t)t};
    r->next[t] = -1;
  }
}

static double spread(const rows *r, size_t row) {
  const subset *s = r->subset + row * r->n_packs;

  return s[0].sum - s[r->n_packs - 1].sum;
}

/* Merges two stretches of `from`, both descending, into `to`; equals of the first stand before. */
static void merge_runs(const subset *from, size_t n_first, size_t n, subset *to) {
  size_t a = 0;
  size_t b = n_first;

  for (size_t x = 0; x < n; x++) {
    bool first = a < n_first && (b >= n || from[a].sum >= from[b].sum);
    to[x] = from[first ? a++ : b++];
  }
}

/* Merge sort, bottom up: stable. */
static void sort_subsets(size_t m, subset *s, subset *other) {
  for (size_t run = 1; run < m; run *= 2) {
    for (size_t at = 0; at < m; at += 2 * run) {
      size_t n = m - at < 2 * run ? m - at : 2 * run;
      merge_runs(s + at, n < run ? n : run, n, other + at);
    }
    memcpy(s, other, m * sizeof *s);
  }
}

/* Row `into` takes the subsets of row `from`, the largest with the smallest. */
static void merge_rows(rows *r, size_t into, size_t from) {
  const size_t m = r->n_packs;
  subset *a = r->subset + into * m;
  const subset *b = r->subset + from * m;

  for (size_t x = 0; x < m; x++) {
    const subset *with = &b[m - 1 - x];
    a[x].sum += with->sum;
    r->next[a[x].tail] = with->head;
    a[x].tail = with->tail;
  }
  sort_subsets(m, a, r->other);
}

/* Merges all rows into one, whose index is the answer. */
static size_t merge_all(rows *r, size_t k) {
  for (size_t row = 0; row < k; row++) {
    r->widest[k + row] = (mb_player){-spread(r, row), (int32_t)row};
  }
  mb_tournament_play(r->widest, k);
  for (size_t merges = 1; merges < k; merges++) {
    size_t into = (size_t)r->widest[1].id;
    mb_tournament_change(r->widest, k, into, INFINITY);
    size_t from = (size_t)r->widest[1].id;
    mb_tournament_change(r->widest, k, from, INFINITY);
    merge_rows(r, into, from);
    mb_tournament_change(r->widest, k, into, -spread(r, into));
  }
  return (size_t)r->widest[1].id;
}

static void ldm_pack(mb_packing *packing, void *scratch) {
  const size_t m = packing->n_packs;
  rows r;

  rows_init(&r, packing, scratch);
  size_t last = merge_all(&r, packing->n_items / m);
  for (size_t pack = 0; pack < m; pack++) {
    packing->pack_load[pack] = 0;
    for (int32_t t = r.subset[last * m + pack].head; t >= 0; t = r.next[t]) {
      packing->pack_of[t] = (int32_t)pack;
    }
  }
  for (size_t t = 0; t < packing->n_items; t++) {
    packing->pack_load[packing->pack_of[t]] += packing->weight[t];
  }
}

static void refine_none(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  (void)options;
  ldm_pack(packing, scratch);
}

static void refine_l2(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  ldm_pack(packing, scratch);
  mb_refinement_find("l2")->refine(packing, options, scratch);
}

static void refine_maxmin(mb_packing *packing, const mb_balance_options *options, void *scratch) {
  ldm_pack(packing, scratch);
  mb_refinement_find("maxmin")->refine(packing, options, scratch);
}

static size_t polished_size(const char *polish, size_t n_items, size_t n_packs) {
  size_t size = ldm_scratch_size(n_items, n_packs);
  size_t polish_size = mb_refinement_scratch_size(mb_refinement_find(polish), n_items, n_packs);

  return size > polish_size ? size : polish_size;
}

static size_t size_l2(size_t n_items, size_t n_packs) {
  return polished_size("l2", n_items, n_packs);
}

static size_t size_maxmin(size_t n_items, size_t n_packs) {
  return polished_size("maxmin", n_items, n_packs);
}

static const mb_refinement_type packings[] = {
    {.name = "none", .scratch_size = ldm_scratch_size, .refine = refine_none},
    {.name = "l2", .scratch_size = size_l2, .refine = refine_l2},
    {.name = "maxmin", .scratch_size = size_maxmin, .refine = refine_maxmin},
};
enum { N_PACKINGS = sizeof packings / sizeof packings[0] };

typedef struct ldm_params {
  mb_balance_options options;
  char polish[MB_PARAM_TEXT_SIZE];
} ldm_params;

static const char *const polishes[] = {"none", "l2", "maxmin", NULL};

static const mb_param ldm_table[] = {
    MB_OPTION_MAX_ROUNDS,
    MB_OPTION_MIN_GAIN("tokens (maxmin), tokens^2 (l2)"),
    MB_OPTION_REFERENCE_QUIRKS,
    {.key = "polish",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .initial = "l2",
     .choices = polishes,
     .help = "the swaps that follow the differencing",
     .offset = offsetof(ldm_params, polish)},
    {0},
};

static const mb_refinement_type *find_packing(const char *polish) {
  for (size_t x = 0; x < N_PACKINGS; x++) {
    if (strcmp(packings[x].name, polish) == 0) {
      return &packings[x];
    }
  }
  return NULL;
}

static mb_status ldm_init(void *state, const mb_shape *shape, const void *params,
                          const mb_backend *backend) {
  const ldm_params *ldm = params;
  const mb_refinement_type *packing = find_packing(ldm->polish);

  if (packing == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "polish is '%.64s', but has to be none, l2 or maxmin",
                   ldm->polish);
  }
  MB_TRY(mb_balance_options_check(&ldm->options));
  return mb_anew_init(state, shape, packing, backend);
}

static mb_status ldm_plan(void *state, const void *params, const mb_plan_input *input,
                          mb_plan_output *output) {
  const ldm_params *ldm = params;

  return mb_anew_plan(state, find_packing(ldm->polish), &ldm->options, input, output);
}

const mb_planner_type mb_planner_ldm = {
    .name = "ldm",
    .summary = "balanced largest differencing, then swaps",
    .params = ldm_table,
    .params_size = sizeof(ldm_params),
    .keeps_groups = true,
    .state_size = sizeof(mb_anew),
    .init = ldm_init,
    .plan = ldm_plan,
    .fini = mb_anew_fini,
};
