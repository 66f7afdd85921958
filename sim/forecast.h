/* sim/forecast.h - what a planner is given in place of the window's loads: what is expected to
 * come.
 */
#ifndef MB_SIM_FORECAST_H
#define MB_SIM_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "balancer/placement.h"
#include "balancer/status.h"
#include "sim/history.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The parameters of all forecasts together; one heeds its own. sim/lane_options.c declares them.
 */
typedef struct mb_forecast_options {
  char forecast[MB_PARAM_TEXT_SIZE]; /* one of mb_forecast_words */
  double forecast_decay;             /* in [0, 1) */
  int64_t forecast_parts;            /* >= 2 */
} mb_forecast_options;

/** What is known of one layer when a plan falls due at step t. Borrowed. */
typedef struct mb_forecast_layer {
  const mb_forecast_options *options;
  size_t n_experts;
  const double *window; /* [E] tokens, summed over the window */
  const double *past;   /* [E] what absorb() made of all steps before t; NULL without absorb() */
  /* The window in parts as equal as possible, oldest first; none unless the forecast wants them. */
  size_t n_parts;            /* B: forecast_parts, or the steps of a shorter window */
  const double *const *part; /* [B] of [E] tokens */
  const double *part_total;  /* [B] tokens, over the experts */
  const double *part_steps;  /* [B] steps of a part, >= 1 */
  const double *part_middle; /* [B] its middle, in steps from t: below 0 */
  double ahead;              /* the middle of the steps that are planned for, in steps from t */
} mb_forecast_layer;

/**
 * A forecast: one file, sim/forecast_<name>.c, ending in `const mb_forecast_type
 * mb_forecast_<name>`, and one line in forecasts.def.
 */
typedef struct mb_forecast_type {
  const char *name;
  const char *summary; /* required; half a sentence */
  bool wants_parts;
  /* Optional, NULL: it looks at the window alone. Takes one layer's next step into past [E]. */
  void (*absorb)(const mb_forecast_options *options, size_t n_experts, const uint32_t *load,
                 double *past);
  /* Required but of `window`. Fills forecast [E]: each finite and >= 0, on any scale. */
  void (*predict)(const mb_forecast_layer *layer, double *forecast);
} mb_forecast_type;

/** All forecasts in the order of forecasts.def, NULL-terminated. Static. */
const mb_forecast_type *const *mb_forecast_types(void);

/** Their names, NULL-terminated: the choices of the parameter. */
extern const char *const mb_forecast_words[];

/** A forecast at work for one strategy. */
typedef struct mb_forecast mb_forecast;

/**
 * @param forecast Transferred: mb_forecast_destroy() it. Written only on MB_OK: NULL where the
 *                 window's own loads are what is planned from.
 * @return MB_OK; MB_ERR_PARAM; MB_ERR_MEMORY.
 *
 * Memory: O(L E), and O(forecast_parts L E) where parts are wanted.
 */
MB_NODISCARD mb_status mb_forecast_create(const mb_shape *shape, const mb_forecast_options *options,
                                          mb_forecast **forecast);
void mb_forecast_destroy(mb_forecast *forecast); /* NULL is fine */

/** Takes in the steps before `end` that it has not had yet, all of which are in the history. */
void mb_forecast_absorb(mb_forecast *forecast, const mb_history *history, size_t end);

/**
 * Puts the forecast in place of the loads of steps [first, end), which are in the history; what
 * mb_forecast_absorb() was given last is `end`.
 *
 * Each layer's forecast is scaled to the total of its window. An expert's slices keep their
 * proportions to each other; one without load in the window has its forecast evenly in all of them.
 * A layer stays as it is where there is nothing to scale: without load in the window or without any
 * forecast; and where its window has more than 2^52 tokens, beyond which doubles could not keep to
 * what mb_rebalance() takes.
 *
 * @param ahead the middle of the steps that are planned for, in steps from `end`.
 * @param load  [S,L,E] the slices of the window, whole numbers; changed in place.
 *
 * Layers run in parallel (OpenMP); the numbers do not depend on the number of threads.
 */
void mb_forecast_apply(mb_forecast *forecast, const mb_history *history, size_t first, size_t end,
                       double ahead, size_t n_slices, double *load);

#ifdef __cplusplus
}
#endif

#endif
