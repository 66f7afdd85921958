/* balancer/slices.h - internal: planners that swap replicas by their loads in slices of time
 * (balancer/slices_swap.h), which differ in their defaults alone: l2slices and stay.
 *
 * Each layer by itself, hierarchical where the shape is:
 *
 * 1. The window's slices x_e(s), without empty ones. X_e is an expert's sum, w_s a slice's share of
 *    all tokens. lambda weighs how far an expert departs from its share:
 *
 *      v_e(s) = X_e w_s + sqrt(lambda) (x_e(s) - X_e w_s)
 *
 *    which weighs the covariance part of the sum of squares by lambda; 1 leaves the loads as they
 *    are, and 0 is one slice, the window's sum. With `permute` an expert's slices change places at
 *    random, each expert's by itself: what is left of them knows how much a load varies, not with
 *    which others.
 * 2. Groups to nodes: LPT, or as they are (start: current, where every group is on one node);
 *    then swaps of groups.
 * 3. A node's replicas: by their sums, as all of EPLB's (balancer/replicate.h); by the hottest
 * expert of every slice (balancer/replicate_slices.h); or the first rule on mean + 0.6745
 * deviations over the slices, as FlashLB's last version has it.
 * 4. Their packs: LPT, or the placement in force (start: current), in which experts that have too
 *    many replicas give up those on the GPUs with the largest sums, and those that lack some,
 *    heaviest replica first, fill the emptied slots, on the GPU with the smallest sum; of GPUs
 *    with room those without the expert come first. Then swaps.
 *
 * Items are in the order of their sums, the largest first. What a GPU held is what the placement in
 * force has there. With one slice, `start: lpt`, `objective: squares` and no move_cost all this is
 * l2, and l2's own search does it: the same placement, bit for bit.
 */
#ifndef MB_BALANCER_SLICES_H
#define MB_BALANCER_SLICES_H

#include <stdbool.h>
#include <stdint.h>

#include "balancer/nodes.h"
#include "balancer/planner.h"
#include "balancer/replicate_slices.h"
#include "balancer/slices_swap.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mb_slices_params {
  int64_t slices;
  double lambda;
  char objective[MB_PARAM_TEXT_SIZE];
  char start[MB_PARAM_TEXT_SIZE];
  char replication[MB_PARAM_TEXT_SIZE];
  double move_cost, min_gain;
  int64_t max_rounds;
  bool permute;
  int64_t seed;
} mb_slices_params;

extern const char *const mb_slices_objectives[];   /* squares, maxima, both */
extern const char *const mb_slices_starts[];       /* lpt, current */
extern const char *const mb_slices_replications[]; /* sum, slices, risk */

/* Lines of a parameter table. */
#define MB_SLICES_WORDS(key_, field_, initial_, choices_, help_)                         \
  {                                                                                      \
    .key = (key_), .type = MB_PARAM_TEXT, .unit = "", .initial = (initial_),             \
    .choices = (choices_), .help = (help_), .offset = offsetof(mb_slices_params, field_) \
  }

#define MB_SLICES_REAL(key_, field_, initial_, max_, help_)                             \
  {                                                                                     \
    .key = (key_), .type = MB_PARAM_REAL, .unit = "1", .initial = (initial_), .min = 0, \
    .max = (max_), .help = (help_), .offset = offsetof(mb_slices_params, field_)        \
  }

/** All parameters, with what the planners' defaults differ in. */
#define MB_SLICES_TABLE(slices_, objective_, start_, move_cost_)                                  \
  {.key = "slices",                                                                               \
   .type = MB_PARAM_INT,                                                                          \
   .unit = "1",                                                                                   \
   .initial = (slices_),                                                                          \
   .min = 1,                                                                                      \
   .max = 1e6,                                                                                    \
   .help = "parts that the window is cut into; its steps or more: one a step",                    \
   .offset = offsetof(mb_slices_params, slices)},                                                 \
      MB_SLICES_REAL("lambda", lambda, "1", 1e6, "weight of the covariance part; 0: sums alone"), \
      MB_SLICES_WORDS("objective", objective, objective_, mb_slices_objectives,                   \
                      "what swaps lower: squared loads, largest loads, or one after the other"),  \
      MB_SLICES_WORDS("start", start, start_, mb_slices_starts,                                   \
                      "where swaps start from; current: the placement in force"),                 \
      MB_SLICES_WORDS(                                                                            \
          "replication", replication, "sum", mb_slices_replications,                              \
          "replicas by sum, by the hottest expert of every slice, or by mean and deviation"),     \
      MB_SLICES_REAL("move_cost", move_cost, move_cost_, 1e6,                                     \
                     "of an expert that moves, as a share of the objective above its floor"),     \
      MB_SLICES_REAL("min_gain", min_gain, "1e-6", 1e6,                                           \
                     "likewise, what a swap must gain more than"),                                \
      {.key = "max_rounds",                                                                       \
       .type = MB_PARAM_INT,                                                                      \
       .unit = "rounds",                                                                          \
       .initial = "unlimited",                                                                    \
       .min = 0,                                                                                  \
       .max = 1e9,                                                                                \
       .word = "unlimited",                                                                       \
       .word_value = MB_ROUNDS_UNLIMITED,                                                         \
       .help = "swaps at most in one packing; unlimited: until none gains",                       \
       .offset = offsetof(mb_slices_params, max_rounds)},                                         \
      {.key = "permute",                                                                          \
       .type = MB_PARAM_BOOL,                                                                     \
       .unit = "1",                                                                               \
       .initial = "false",                                                                        \
       .help = "an ablation: every expert's slices change places at random",                      \
       .offset = offsetof(mb_slices_params, permute)},                                            \
  {                                                                                               \
    .key = "seed", .type = MB_PARAM_INT, .unit = "1", .initial = "1", .min = 0, .max = 1e15,      \
    .help = "of that", .offset = offsetof(mb_slices_params, seed)                                 \
  }

/** The state of such a planner. */
typedef struct mb_slices {
  mb_shape shape;
  mb_nodes nodes;
  size_t n_slices, n_threads;
  struct mb_slices_worker *worker; /* [n_threads] */
} mb_slices;

size_t mb_slices_n_slices(const void *params);
mb_status mb_slices_init(void *state, const mb_shape *shape, const void *params,
                         const mb_backend *backend);
mb_status mb_slices_plan(void *state, const void *params, const mb_plan_input *input,
                         mb_plan_output *output);
void mb_slices_fini(void *state);

#ifdef __cplusplus
}
#endif

#endif
