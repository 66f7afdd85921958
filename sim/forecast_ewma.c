/* sim/forecast_ewma.c - all past steps, the older the less they weigh:
 *
 *   f[e] after a step = forecast_decay * f[e] before it + load[e]
 *
 * Source: TensorRT-LLM, whose load factor it is, with 0.9.
 */
#include <string.h>

#include "sim/forecast.h"

static void absorb(const mb_forecast_options *options, size_t n_experts, const uint32_t *load,
                   double *past) {
  double decay = options->forecast_decay;

  for (size_t e = 0; e < n_experts; e++) {
    past[e] = decay * past[e] + (double)load[e];
  }
}

static void predict(const mb_forecast_layer *layer, double *forecast) {
  memcpy(forecast, layer->past, layer->n_experts * sizeof *forecast);
}

const mb_forecast_type mb_forecast_ewma = {
    .name = "ewma",
    .summary = "all past steps, each weighing forecast_decay as much as the next",
    .absorb = absorb,
    .predict = predict};
