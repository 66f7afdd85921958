/* balancer/hungarian.c */
#include "balancer/hungarian.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The problem that is solved: the smallest sum of costs, a cost being minus a gain. Invariant, with
   prices u of rows and v of columns: cost - u - v >= 0 everywhere, and 0 where a row is assigned.
   Column n is where the row that enters starts from. */

bool mb_hungarian_init(mb_hungarian *hungarian, size_t n_max) {
  size_t n = n_max + 1;

  *hungarian = (mb_hungarian){.n_max = n_max,
                              .row_price = calloc(n, sizeof *hungarian->row_price),
                              .column_price = calloc(n, sizeof *hungarian->column_price),
                              .slack = calloc(n, sizeof *hungarian->slack),
                              .row_of = calloc(n, sizeof *hungarian->row_of),
                              .came_from = calloc(n, sizeof *hungarian->came_from),
                              .visited = calloc(n, sizeof *hungarian->visited)};
  return hungarian->row_price != NULL && hungarian->column_price != NULL &&
         hungarian->slack != NULL && hungarian->row_of != NULL && hungarian->came_from != NULL &&
         hungarian->visited != NULL;
}

void mb_hungarian_fini(mb_hungarian *hungarian) {
  free(hungarian->row_price);
  free(hungarian->column_price);
  free(hungarian->slack);
  free(hungarian->row_of);
  free(hungarian->came_from);
  free(hungarian->visited);
  *hungarian = (mb_hungarian){0};
}

/* Prices at which every cost is at least 0: a row's is its smallest. Then whoever finds a free
   column at that price takes it, so that few rows are left to enter by a search. */
static void start(mb_hungarian *h, size_t n, size_t stride, const int32_t *gain) {
  memset(h->column_price, 0, (n + 1) * sizeof *h->column_price);
  for (size_t j = 0; j <= n; j++) {
    h->row_of[j] = -1;
  }
  for (size_t i = 0; i < n; i++) {
    const int32_t *row = gain + i * stride;
    size_t best = 0;
    for (size_t j = 1; j < n; j++) {
      bool better =
          row[j] > row[best] || (row[j] == row[best] && h->row_of[best] >= 0 && h->row_of[j] < 0);
      best = better ? j : best;
    }
    h->row_price[i] = -row[best];
    if (h->row_of[best] < 0) {
      h->row_of[best] = (int32_t)i;
    }
  }
}

/* Lowers the slack of what is left to visit from the row of column `at`. @return the column with
   the least slack, the lowest on a tie. */
static size_t relax(mb_hungarian *h, size_t n, size_t stride, const int32_t *gain, size_t at) {
  size_t i = (size_t)h->row_of[at];
  const int32_t *row = gain + i * stride;
  int32_t price = h->row_price[i];
  int32_t least = INT32_MAX;
  size_t next = n;

  for (size_t j = 0; j < n; j++) {
    if (h->visited[j]) {
      continue;
    }
    int32_t slack = -row[j] - price - h->column_price[j];
    if (slack < h->slack[j]) {
      h->slack[j] = slack;
      h->came_from[j] = (int32_t)at;
    }
    if (h->slack[j] < least) {
      least = h->slack[j];
      next = j;
    }
  }
  return next;
}

/* Moves the prices so that the column with slack `by` costs nothing more to reach. */
static void shift_prices(mb_hungarian *h, size_t n, int32_t by) {
  for (size_t j = 0; j <= n; j++) {
    if (h->visited[j]) {
      h->row_price[h->row_of[j]] += by;
      h->column_price[j] -= by;
    } else {
      h->slack[j] -= by;
    }
  }
}

/* Row i enters: along the shortest path from it to a free column, every row moves on by one. */
static void enter(mb_hungarian *h, size_t n, size_t stride, const int32_t *gain, size_t i) {
  size_t at = n;

  for (size_t j = 0; j < n; j++) {
    h->slack[j] = INT32_MAX;
    h->visited[j] = false;
  }
  h->slack[n] = 0;
  h->column_price[n] = 0;
  h->row_of[n] = (int32_t)i;
  while (h->row_of[at] >= 0) {
    h->visited[at] = true;
    size_t next = relax(h, n, stride, gain, at);
    if (h->slack[next] > 0) {
      shift_prices(h, n, h->slack[next]);
    }
    at = next;
  }
  while (at != n) {
    size_t before = (size_t)h->came_from[at];
    h->row_of[at] = h->row_of[before];
    at = before;
  }
}

int64_t mb_hungarian_solve(mb_hungarian *hungarian, size_t n, size_t stride, const int32_t *gain,
                           int32_t *column_of) {
  int64_t sum = 0;

  assert(n <= hungarian->n_max);
  start(hungarian, n, stride, gain);
  for (size_t i = 0; i < n; i++) {
    column_of[i] = -1;
  }
  for (size_t j = 0; j < n; j++) {
    if (hungarian->row_of[j] >= 0) {
      column_of[hungarian->row_of[j]] = (int32_t)j;
    }
  }
  for (size_t i = 0; i < n; i++) {
    if (column_of[i] < 0) {
      enter(hungarian, n, stride, gain, i);
    }
  }
  for (size_t j = 0; j < n; j++) {
    column_of[hungarian->row_of[j]] = (int32_t)j;
    sum += gain[(size_t)hungarian->row_of[j] * stride + j];
  }
  return sum;
}
