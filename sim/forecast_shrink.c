/* sim/forecast_shrink.c - the window's shares, as far as they are more than noise, on top of those
 * of all past steps.
 *
 * p[e]: the expert's share of the window's tokens; q[e]: of all past tokens, the window's among
 * them. What p differs from q is partly drift, partly noise. Noise shows in how the shares x_b[e]
 * of the window's B parts differ from each other: the mean of B parts has the variance
 *
 *   noise  = sum_e sum_b (x_b[e] - mean_b x_b[e])^2 / (B (B - 1))
 *   weight = max(0, 1 - noise / sum_e (p[e] - q[e])^2)
 *   f[e]   = q[e] + weight (p[e] - q[e])
 *
 * which is the positive-part James-Stein estimator, with a variance that is estimated too: Efron
 * and Morris, "Stein's estimation rule and its competitors - an empirical Bayes approach", JASA 68
 * (1973). Parts that follow on each other are alike, so that the noise is rather underestimated;
 * parts longer than what lasts (requests) make that small. Fewer than two parts with load say
 * nothing of noise: weight 1.
 */
#include "sim/forecast.h"

/* The variance of the mean share of expert e. @param n parts with load, at least 2. */
static double variance(const mb_forecast_layer *layer, size_t e, size_t n) {
  double mean = 0.0;
  double sum = 0.0;

  for (size_t b = 0; b < layer->n_parts; b++) {
    mean += layer->part_total[b] > 0.0 ? layer->part[b][e] / layer->part_total[b] : 0.0;
  }
  mean /= (double)n;
  for (size_t b = 0; b < layer->n_parts; b++) {
    if (layer->part_total[b] > 0.0) {
      double distance = layer->part[b][e] / layer->part_total[b] - mean;
      sum += distance * distance;
    }
  }
  return sum / ((double)n * (double)(n - 1));
}

/* @param window, past tokens over the experts. */
static double weight_of(const mb_forecast_layer *layer, double window, double past) {
  double noise = 0.0;
  double distance = 0.0;
  size_t n = 0;

  for (size_t b = 0; b < layer->n_parts; b++) {
    n += layer->part_total[b] > 0.0;
  }
  for (size_t e = 0; e < layer->n_experts && n >= 2; e++) {
    double drift = layer->window[e] / window - layer->past[e] / past;
    noise += variance(layer, e, n);
    distance += drift * drift;
  }
  if (n < 2) {
    return 1.0;
  }
  return noise < distance ? 1.0 - noise / distance : 0.0;
}

static double total_of(size_t n, const double *load) {
  double total = 0.0;

  for (size_t e = 0; e < n; e++) {
    total += load[e];
  }
  return total;
}

static void absorb(const mb_forecast_options *options, size_t n_experts, const uint32_t *load,
                   double *past) {
  (void)options;
  for (size_t e = 0; e < n_experts; e++) {
    past[e] += (double)load[e];
  }
}

static void predict(const mb_forecast_layer *layer, double *forecast) {
  double window = total_of(layer->n_experts, layer->window);
  double past = total_of(layer->n_experts, layer->past);
  double weight = weight_of(layer, window, past);

  for (size_t e = 0; e < layer->n_experts; e++) {
    forecast[e] = (1.0 - weight) * (layer->past[e] / past) + weight * (layer->window[e] / window);
  }
}

const mb_forecast_type mb_forecast_shrink = {
    .name = "shrink",
    .summary =
        "the window's shares, shrunk towards those of all past steps as far as they are noise",
    .wants_parts = true,
    .absorb = absorb,
    .predict = predict};
