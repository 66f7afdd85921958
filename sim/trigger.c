/* sim/trigger.c */
#include "sim/trigger.h"

#include <string.h>

#include "balancer/bounds.h"

static const char PERIODIC[] = "periodic";
static const char THRESHOLD[] = "threshold";
static const char COST_AWARE[] = "cost_aware";
static const char LAYER[] = "layer";
static const char ALL[] = "all";

static const char MEAN[] = "mean";
static const char BOUND[] = "bound";

const char *const mb_trigger_reference_words[] = {MEAN, BOUND, NULL};
const char *const mb_trigger_words[] = {PERIODIC, THRESHOLD, COST_AWARE, NULL};
const char *const mb_trigger_scope_words[] = {LAYER, ALL, NULL};

bool mb_trigger_is_periodic(const mb_trigger_options *options) {
  return strcmp(options->trigger, PERIODIC) == 0;
}

static bool is_for_all(const mb_trigger_options *options) {
  return strcmp(options->trigger_scope, ALL) == 0;
}

static double sum_of(size_t n, const double *value) {
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    sum += value[i];
  }
  return sum;
}

static double floor_of(const mb_shape *shape, const double *load) {
  double mean = sum_of(shape->n_experts, load) / (double)shape->n_gpus;
  double bound = mb_bound_hierarchy(shape, load);

  return bound > mean ? bound / mean : 1.0;
}

void mb_trigger_floors(const mb_trigger_options *options, const mb_shape *shape, size_t n_slices,
                       const double *load, double *floor, double *sum) {
  bool bound = strcmp(options->trigger_reference, BOUND) == 0;

  for (size_t l = 0; l < shape->n_layers; l++) {
    for (size_t e = 0; e < shape->n_experts && bound; e++) {
      sum[e] = 0.0;
      for (size_t s = 0; s < n_slices; s++) {
        sum[e] += load[(s * shape->n_layers + l) * shape->n_experts + e];
      }
    }
    floor[l] = bound ? floor_of(shape, sum) : 1.0;
  }
}

bool mb_trigger_ask(const mb_trigger_options *options, size_t n_layers, const double *since_max,
                    const double *since_mean, const double *floor, bool *due) {
  bool threshold = strcmp(options->trigger, THRESHOLD) == 0;
  bool all = is_for_all(options);
  double max = 0.0;
  double least = 0.0;
  bool any = false;

  for (size_t l = 0; l < n_layers; l++) {
    max += since_max[l];
    least += since_mean[l] * floor[l];
  }
  for (size_t l = 0; l < n_layers; l++) {
    due[l] = !threshold ||
             (all ? max > options->trigger_imbalance * least
                  : since_max[l] > options->trigger_imbalance * (since_mean[l] * floor[l]));
    any = any || due[l];
  }
  return any;
}

/* The peak of one layer under a placement [P]. @param share, count [E] scratch. */
static double peak_of(const mb_trigger_plan *plan, size_t l, const int32_t *map, double *share,
                      int32_t *count) {
  const mb_shape *shape = plan->shape;
  size_t n_slots = shape->n_slots / shape->n_gpus;
  double peak = 0.0;

  memset(count, 0, shape->n_experts * sizeof *count);
  for (size_t p = 0; p < shape->n_slots; p++) {
    count[map[p]]++;
  }
  for (size_t s = 0; s < plan->n_slices; s++) {
    const double *load = plan->load + (s * shape->n_layers + l) * shape->n_experts;
    double max = 0.0;
    for (size_t e = 0; e < shape->n_experts; e++) {
      share[e] = load[e] / (double)count[e];
    }
    for (size_t d = 0; d < shape->n_gpus; d++) {
      double sum = 0.0;
      for (size_t p = d * n_slots; p < (d + 1) * n_slots; p++) {
        sum += share[map[p]];
      }
      max = sum > max ? sum : max;
    }
    peak += max;
  }
  return peak;
}

/* The mean GPU load of one layer, summed over the slices. */
static double mean_of(const mb_trigger_plan *plan, size_t l) {
  const mb_shape *shape = plan->shape;
  double sum = 0.0;

  for (size_t s = 0; s < plan->n_slices; s++) {
    sum += sum_of(shape->n_experts, plan->load + (s * shape->n_layers + l) * shape->n_experts);
  }
  return sum / (double)shape->n_gpus;
}

/* What moving one expert costs. Seconds of a move, divided by the seconds that a token costs the
   GPU that all wait for, would be said here too. @param mean GPU load over the horizon. */
static double price_of(const mb_trigger_options *options, const mb_shape *shape, double mean) {
  return options->trigger_move_cost + options->trigger_move_gain * mean / (double)shape->n_slots;
}

/* Gain minus price of one layer, in tokens. */
static double profit_of(const mb_trigger_options *options, const mb_trigger_plan *plan, size_t l,
                        double *share, int32_t *count) {
  const mb_shape *shape = plan->shape;
  const int32_t *before = plan->before + l * shape->n_slots;
  const int32_t *after = plan->after + l * shape->n_slots;
  double horizon =
      (double)(options->trigger_horizon > 0 ? (size_t)options->trigger_horizon : plan->interval);
  double windows = horizon / (double)plan->n_window_steps;
  double gain = peak_of(plan, l, before, share, count) - peak_of(plan, l, after, share, count);
  int32_t n_moved = mb_placement_moved_experts(shape, before, after, count);

  return gain * windows - (double)n_moved * price_of(options, shape, mean_of(plan, l) * windows);
}

bool mb_trigger_weigh(const mb_trigger_options *options, const mb_trigger_plan *plan,
                      bool *replaced, double *share, int32_t *count) {
  size_t n_layers = plan->shape->n_layers;
  bool all = is_for_all(options);
  double profit = 0.0;
  size_t n_before = 0;
  size_t n_left = 0;

  if (strcmp(options->trigger, COST_AWARE) != 0) {
    return true;
  }
  for (size_t l = 0; l < n_layers; l++) {
    if (replaced[l]) {
      double of_layer = profit_of(options, plan, l, share, count);
      n_before++;
      profit += of_layer;
      replaced[l] = all || of_layer > 0.0;
      n_left += replaced[l];
    }
  }
  if (all && !(profit > 0.0)) {
    memset(replaced, 0, n_layers * sizeof *replaced);
    n_left = 0;
  }
  return n_left > 0 || n_before == 0;
}
