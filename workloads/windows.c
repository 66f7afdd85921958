/* workloads/windows.c */
#include "workloads/windows.h"

#include <assert.h>
#include <gsl/gsl_randist.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "workloads/stream.h"

const size_t mb_windows_lag[MB_WINDOWS_LAGS] = {1, 2, 4, 8, 16};

struct mb_windows {
  size_t steps, capacity, n_layers, n_experts;
  size_t n_added; /* steps */
  uint64_t *load; /* [capacity,L,E] */
};

mb_status mb_windows_create(size_t n_steps, size_t n_layers, size_t n_experts, size_t steps,
                            mb_windows **windows) {
  if (steps == 0 || n_steps < steps) {
    return MB_FAIL(MB_ERR_SHAPE, "windows of %zu steps, but the trace has %zu", steps, n_steps);
  }
  mb_windows *made = calloc(1, sizeof *made);
  size_t size = n_layers * n_experts;
  size_t capacity = n_steps / steps;
  uint64_t *load =
      size <= SIZE_MAX / sizeof *load / capacity ? calloc(capacity * size, sizeof *load) : NULL;
  if (made == NULL || load == NULL) {
    free(made);
    free(load);
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu windows of %zu layers of %zu experts",
                   capacity, n_layers, n_experts);
  }
  *made = (mb_windows){.steps = steps,
                       .capacity = capacity,
                       .n_layers = n_layers,
                       .n_experts = n_experts,
                       .load = load};
  *windows = made;
  return MB_OK;
}

void mb_windows_destroy(mb_windows *windows) {
  if (windows != NULL) {
    free(windows->load);
    free(windows);
  }
}

void mb_windows_add(mb_windows *windows, size_t n, const uint32_t *load) {
  size_t size = windows->n_layers * windows->n_experts;

  for (size_t t = 0; t < n; t++, windows->n_added++) {
    size_t w = windows->n_added / windows->steps;
    for (size_t i = 0; w < windows->capacity && i < size; i++) {
      windows->load[w * size + i] += load[t * size + i];
    }
  }
}

size_t mb_windows_count(const mb_windows *windows) {
  size_t complete = windows->n_added / windows->steps;

  return complete < windows->capacity ? complete : windows->capacity;
}

size_t mb_windows_steps(const mb_windows *windows) {
  return windows->steps;
}

size_t mb_windows_layers(const mb_windows *windows) {
  return windows->n_layers;
}

size_t mb_windows_experts(const mb_windows *windows) {
  return windows->n_experts;
}

const uint64_t *mb_windows_load(const mb_windows *windows, size_t w, size_t l) {
  return windows->load + (w * windows->n_layers + l) * windows->n_experts;
}

static uint64_t sum_of(size_t n, const uint64_t *load) {
  uint64_t sum = 0;

  for (size_t e = 0; e < n; e++) {
    sum += load[e];
  }
  return sum;
}

/* The loads of a layer over all complete windows. */
static void pool_layer(const mb_windows *windows, size_t l, double *pooled) {
  memset(pooled, 0, windows->n_experts * sizeof *pooled);
  for (size_t w = 0; w < mb_windows_count(windows); w++) {
    const uint64_t *load = mb_windows_load(windows, w, l);
    for (size_t e = 0; e < windows->n_experts; e++) {
      pooled[e] += (double)load[e];
    }
  }
}

/* --- without drift */

/* gsl_ran_multinomial() counts in unsigned: more loads than that are drawn in parts. */
static void draw_window(gsl_rng *rng, size_t n_experts, uint64_t n, const double *share,
                        unsigned *part, uint64_t *load) {
  while (n > 0) {
    unsigned now = n < INT_MAX ? (unsigned)n : INT_MAX;
    gsl_ran_multinomial(rng, n_experts, now, share, part);
    for (size_t e = 0; e < n_experts; e++) {
      load[e] += part[e];
    }
    n -= now;
  }
}

static mb_status draw_layer(const mb_windows *windows, size_t l, uint64_t seed, double *share,
                            unsigned *part, mb_windows *made) {
  gsl_rng *rng = mb_stream_create(seed, "windows/stationary", l);

  if (rng == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the random stream of layer %zu", l);
  }
  pool_layer(windows, l, share);
  for (size_t w = 0; w < mb_windows_count(windows); w++) {
    size_t first = (w * windows->n_layers + l) * windows->n_experts;
    draw_window(rng, windows->n_experts, sum_of(windows->n_experts, windows->load + first), share,
                part, made->load + first);
  }
  gsl_rng_free(rng);
  return MB_OK;
}

mb_status mb_windows_draw_stationary(const mb_windows *windows, uint64_t seed, mb_windows **made) {
  mb_windows *drawn = NULL;
  size_t n_steps = mb_windows_count(windows) * windows->steps;

  MB_TRY(mb_windows_create(n_steps, windows->n_layers, windows->n_experts, windows->steps, &drawn));
  double *share = calloc(windows->n_experts, sizeof *share);
  unsigned *part = calloc(windows->n_experts, sizeof *part);
  mb_status status = share != NULL && part != NULL
                         ? MB_OK
                         : MB_FAIL(MB_ERR_MEMORY, "no memory for the shares of a layer");
  for (size_t l = 0; status == MB_OK && l < windows->n_layers; l++) {
    status = draw_layer(windows, l, seed, share, part, drawn);
  }
  free(share);
  free(part);
  if (status != MB_OK) {
    mb_windows_destroy(drawn);
    return status;
  }
  drawn->n_added = n_steps;
  *made = drawn;
  return MB_OK;
}

/* --- statistics */

double mb_gini(size_t n, const double *ascending) {
  double weighted = 0.0;
  double sum = 0.0;

  for (size_t i = 0; i < n; i++) {
    weighted += (2.0 * (double)i - (double)n + 1.0) * ascending[i];
    sum += ascending[i];
  }
  return sum > 0.0 ? weighted / ((double)n * sum) : NAN;
}

/* A sum, and of how many. */
typedef struct average {
  double sum, n;
} average;

static void count_in(average *mean, double value) {
  mean->sum += value;
  mean->n += 1.0;
}

static double mean_of(average mean) {
  return mean.n > 0.0 ? mean.sum / mean.n : NAN;
}

/* The shares of a window's layer; returns its load. */
static double fill_share(const mb_windows *windows, size_t w, size_t l, double *share) {
  const uint64_t *load = mb_windows_load(windows, w, l);
  double sum = (double)sum_of(windows->n_experts, load);

  for (size_t e = 0; e < windows->n_experts; e++) {
    share[e] = sum > 0.0 ? (double)load[e] / sum : 0.0;
  }
  return sum;
}

static void measure_skew(const mb_windows *windows, size_t l, double *share,
                         mb_windows_layer *out) {
  size_t n = windows->n_experts;
  average peak = {0};
  average gini = {0};

  for (size_t w = 0; w < mb_windows_count(windows); w++) {
    if (fill_share(windows, w, l, share) > 0.0) {
      gsl_sort(share, 1, n);
      count_in(&peak, share[n - 1] * (double)n);
      count_in(&gini, mb_gini(n, share));
    }
  }
  out->peak = mean_of(peak);
  out->gini = mean_of(gini);
}

static double total_variation(size_t n, const double *a, const double *b) {
  double sum = 0.0;

  for (size_t e = 0; e < n; e++) {
    sum += fabs(b[e] - a[e]);
  }
  return sum / 2.0;
}

/* Adds the pair's chi-square, as a sum over its degrees of freedom. */
static void compare_counts(size_t n, double load_a, const double *a, double load_b, const double *b,
                           average *chi2) {
  double per_share = 1.0 / load_a + 1.0 / load_b;

  for (size_t e = 0; e < n; e++) {
    double pooled = (load_a * a[e] + load_b * b[e]) / (load_a + load_b);
    if (pooled > 0.0) {
      chi2->sum += (b[e] - a[e]) * (b[e] - a[e]) / (pooled * per_share);
      chi2->n += 1.0;
    }
  }
  chi2->n -= 1.0;
}

static void measure_lag(const mb_windows *windows, size_t l, size_t k, double *share[2],
                        mb_windows_layer *out) {
  size_t n = windows->n_experts;
  average r = {0};
  average moved = {0};
  average chi2 = {0};

  for (size_t w = 0; w + mb_windows_lag[k] < mb_windows_count(windows); w++) {
    double load_a = fill_share(windows, w, l, share[0]);
    double load_b = fill_share(windows, w + mb_windows_lag[k], l, share[1]);
    if (load_a == 0.0 || load_b == 0.0) {
      continue;
    }
    double pearson = gsl_stats_correlation(share[0], 1, share[1], 1, n);
    if (isfinite(pearson)) {
      count_in(&r, pearson);
    }
    count_in(&moved, total_variation(n, share[0], share[1]));
    compare_counts(n, load_a, share[0], load_b, share[1], &chi2);
  }
  out->r[k] = mean_of(r);
  out->moved[k] = mean_of(moved);
  if (mb_windows_lag[k] == 1) {
    out->chi2 = mean_of(chi2);
  }
}

static double measure_dispersion(const mb_windows *windows, size_t l, double *pooled) {
  double n_used = 0.0;
  double n_windows = 0.0;
  double sum = 0.0;
  double chi2 = 0.0;

  pool_layer(windows, l, pooled);
  for (size_t e = 0; e < windows->n_experts; e++) {
    n_used += pooled[e] > 0.0 ? 1.0 : 0.0;
    sum += pooled[e];
  }
  for (size_t w = 0; w < mb_windows_count(windows); w++) {
    const uint64_t *load = mb_windows_load(windows, w, l);
    double n = (double)sum_of(windows->n_experts, load);
    n_windows += n > 0.0 ? 1.0 : 0.0;
    for (size_t e = 0; n > 0.0 && e < windows->n_experts; e++) {
      double expected = n * pooled[e] / sum;
      double difference = (double)load[e] - expected;
      chi2 += expected > 0.0 ? difference * difference / expected : 0.0;
    }
  }
  double dof = (n_windows - 1.0) * (n_used - 1.0);
  return dof > 0.0 ? chi2 / dof : NAN;
}

static void measure_layer(const mb_windows *windows, size_t l, double *share[2],
                          mb_windows_layer *out) {
  measure_skew(windows, l, share[0], out);
  for (size_t k = 0; k < MB_WINDOWS_LAGS; k++) {
    measure_lag(windows, l, k, share, out);
  }
  out->chi2_all = measure_dispersion(windows, l, share[0]);
}

mb_status mb_windows_measure(const mb_windows *windows, mb_windows_layer *layers) {
  size_t n = windows->n_experts;
  double *scratch = calloc(2 * windows->n_layers * n, sizeof *scratch);

  if (scratch == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for the shares of %zu layers of %zu experts",
                   windows->n_layers, n);
  }
#pragma omp parallel for schedule(static)
  for (size_t l = 0; l < windows->n_layers; l++) {
    double *share[2] = {scratch + 2 * l * n, scratch + (2 * l + 1) * n};
    measure_layer(windows, l, share, &layers[l]);
  }
  free(scratch);
  return MB_OK;
}

/* A layer's statistics are all doubles, so that they can be gone through as an array. */
enum { N_STATISTICS = sizeof(mb_windows_layer) / sizeof(double) };

mb_windows_layer mb_windows_mean(size_t n_layers, const mb_windows_layer *layers) {
  double result[N_STATISTICS];
  double one[N_STATISTICS];
  mb_windows_layer out;

  for (size_t i = 0; i < N_STATISTICS; i++) {
    average over = {0};
    for (size_t l = 0; l < n_layers; l++) {
      memcpy(one, &layers[l], sizeof one);
      if (isfinite(one[i])) {
        count_in(&over, one[i]);
      }
    }
    result[i] = mean_of(over);
  }
  memcpy(&out, result, sizeof out);
  return out;
}
