/* balancer/load.c */
#include "balancer/load.h"

mb_status mb_load_check(const mb_shape *shape, const double *load) {
  for (size_t l = 0; l < shape->n_layers; l++) {
    double sum = 0;
    for (size_t e = 0; e < shape->n_experts; e++) {
      double value = load[l * shape->n_experts + e];
      if (!(value >= 0 && value <= MB_LOAD_MAX)) { /* NaN is neither */
        return MB_FAIL(MB_ERR_RANGE,
                       "load of layer %zu, expert %zu is %g, but has to be finite and in [0, 2^53]",
                       l, e, value);
      }
      sum += value;
    }
    if (sum > MB_LAYER_LOAD_MAX) {
      return MB_FAIL(MB_ERR_RANGE, "loads of layer %zu sum to %g, but 2^60 is the most", l, sum);
    }
  }
  return MB_OK;
}
