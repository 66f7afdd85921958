/* experiments/stat_holm.c */
#include "experiments/stat_holm.h"

#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>

mb_status mb_stat_holm(size_t n, const double *p, double *adjusted) {
  double *tested = calloc(n + 1, sizeof *tested);
  size_t *index = calloc(n + 1, sizeof *index);
  size_t *order = calloc(n + 1, sizeof *order);
  size_t count = 0;
  double largest = 0;

  if (tested == NULL || index == NULL || order == NULL) {
    free(tested);
    free(index);
    free(order);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to adjust %zu p values", n);
  }
  for (size_t i = 0; i < n; i++) {
    adjusted[i] = p[i];
    if (!isnan(p[i])) {
      tested[count] = p[i];
      index[count++] = i;
    }
  }
  gsl_sort_index(order, tested, 1, count);
  for (size_t k = 0; k < count; k++) {
    largest = fmax(largest, (double)(count - k) * tested[order[k]]);
    adjusted[index[order[k]]] = fmin(largest, 1);
  }
  free(tested);
  free(index);
  free(order);
  return MB_OK;
}
