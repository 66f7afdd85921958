/* balancer/swap.c - the packs' sorted lists, and a swap made in them. */
#include "balancer/swap.h"

#include <math.h>
#include <string.h>

/* Where each run of equal weights begins: all that a search has to look at. */
static void list_distinct(mb_swap_lists *lists, const double *weight, size_t pack) {
  const int32_t *member = lists->member + pack * lists->pack_size;
  int32_t *first = lists->first + pack * lists->pack_size;
  double *distinct = lists->weight + pack * lists->pack_size;
  size_t n = 0;

  for (size_t x = 0; x < lists->pack_size; x++) {
    double w = weight[member[x]];
    if (n == 0 || w < distinct[n - 1]) {
      first[n] = member[x];
      distinct[n] = w;
      n++;
    }
  }
  for (size_t x = 0; x < lists->pack_size && lists->pack_size <= MB_SWAP_SIZE_WIDE; x++) {
    lists->across[x * lists->stride + pack] = x < n ? distinct[x] : INFINITY;
  }
  lists->n_distinct[pack] = (int32_t)n;
  lists->heaviest[pack] = distinct[0];
  lists->second[pack] = n > 1 ? distinct[1] : -INFINITY;
  lists->lightest[pack] = distinct[n - 1];
}

static void list_members(mb_swap_lists *lists, const mb_packing *packing) {
  int32_t *filled = lists->n_distinct; /* counts members until the runs are known */

  memset(filled, 0, lists->n_packs * sizeof *filled);
  for (size_t t = 0; t < packing->n_items; t++) {
    size_t pack = (size_t)packing->pack_of[t];
    lists->member[pack * lists->pack_size + (size_t)filled[pack]++] = (int32_t)t;
  }
  for (size_t pack = 0; pack < lists->n_packs; pack++) {
    list_distinct(lists, packing->weight, pack);
  }
}

size_t mb_swap_stride(size_t n_packs) {
  return (n_packs + MB_SWAP_LANES - 1) / MB_SWAP_LANES * MB_SWAP_LANES;
}

static size_t across_size(size_t n_items, size_t n_packs) {
  const size_t k = n_items / n_packs;

  return k <= MB_SWAP_SIZE_WIDE ? (k + 1) / 2 * 2 * mb_swap_stride(n_packs) : 0;
}

size_t mb_swap_lists_size(size_t n_items, size_t n_packs) {
  return (n_items + 3 * n_packs + across_size(n_items, n_packs)) * sizeof(double) +
         (2 * n_items + n_packs) * sizeof(int32_t);
}

void mb_swap_lists_init(mb_swap_lists *lists, const mb_packing *packing, void *memory) {
  size_t n = packing->n_items;
  size_t m = packing->n_packs;
  double *real = memory;
  int32_t *integer = (int32_t *)(real + n + 3 * m + across_size(n, m));

  *lists = (mb_swap_lists){.n_packs = m,
                           .pack_size = n / m,
                           .weight = real,
                           .heaviest = real + n,
                           .second = real + n + m,
                           .lightest = real + n + 2 * m,
                           .across = real + n + 3 * m,
                           .stride = mb_swap_stride(m),
                           .member = integer,
                           .first = integer + n,
                           .n_distinct = integer + 2 * n};
  for (size_t x = 0; x < across_size(n, m); x++) {
    lists->across[x] = INFINITY;
  }
  list_members(lists, packing);
}

/* Item `out` leaves a pack, `in` takes its place; the list stays in order. */
static void replace_member(int32_t *member, size_t n, int32_t out, int32_t in) {
  size_t at = 0;

  while (member[at] != out) {
    at++;
  }
  for (; at > 0 && member[at - 1] > in; at--) {
    member[at] = member[at - 1];
  }
  for (; at + 1 < n && member[at + 1] < in; at++) {
    member[at] = member[at + 1];
  }
  member[at] = in;
}

static double sum_pack(const mb_swap_lists *lists, const double *weight, size_t pack) {
  const int32_t *member = lists->member + pack * lists->pack_size;
  double sum = 0;

  for (size_t x = 0; x < lists->pack_size; x++) {
    sum += weight[member[x]];
  }
  return sum;
}

static void change_pack(mb_swap_lists *lists, mb_packing *packing, size_t pack, int32_t out,
                        int32_t in) {
  replace_member(lists->member + pack * lists->pack_size, lists->pack_size, out, in);
  list_distinct(lists, packing->weight, pack);
  packing->pack_of[in] = (int32_t)pack;
  packing->pack_load[pack] = sum_pack(lists, packing->weight, pack);
}

void mb_swap_make(mb_swap_lists *lists, mb_packing *packing, int32_t i, int32_t j) {
  size_t pack_i = (size_t)packing->pack_of[i];
  size_t pack_j = (size_t)packing->pack_of[j];

  change_pack(lists, packing, pack_i, i, j);
  change_pack(lists, packing, pack_j, j, i);
}
