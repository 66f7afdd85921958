/* sim/forecast_trend.c - each expert's tokens a step on a straight line through the window's parts.
 *
 * Part b has y_b tokens a step, n_b steps, and its middle at m_b. Least squares with weights n_b:
 *
 *   slope = sum_b n_b (m_b - m) y_b / sum_b n_b (m_b - m)^2,   m, y: the means, weighted by n_b
 *   f[e]  = max(0, y + slope (ahead - m))
 */
#include "sim/forecast.h"

/* @param middle the mean of the parts' middles. @param spread sum_b n_b (m_b - middle)^2. */
static double extrapolate(const mb_forecast_layer *layer, size_t e, double n_steps, double middle,
                          double spread) {
  double sum = 0.0;
  double moment = 0.0;

  for (size_t b = 0; b < layer->n_parts; b++) {
    sum += layer->part[b][e];
    moment += (layer->part_middle[b] - middle) * layer->part[b][e];
  }
  double slope = spread > 0.0 ? moment / spread : 0.0;
  double expected = sum / n_steps + slope * (layer->ahead - middle);
  return expected > 0.0 ? expected : 0.0;
}

static void predict(const mb_forecast_layer *layer, double *forecast) {
  double n_steps = 0.0;
  double middle = 0.0;
  double spread = 0.0;

  for (size_t b = 0; b < layer->n_parts; b++) {
    n_steps += layer->part_steps[b];
    middle += layer->part_steps[b] * layer->part_middle[b];
  }
  middle /= n_steps;
  for (size_t b = 0; b < layer->n_parts; b++) {
    double distance = layer->part_middle[b] - middle;
    spread += layer->part_steps[b] * distance * distance;
  }
  for (size_t e = 0; e < layer->n_experts; e++) {
    forecast[e] = extrapolate(layer, e, n_steps, middle, spread);
  }
}

const mb_forecast_type mb_forecast_trend = {
    .name = "trend",
    .summary = "a straight line through the window's parts, as far as the steps planned for",
    .wants_parts = true,
    .predict = predict};
