/* workloads/trace_stats.h - what a trace looks like, and whether its counts can be right. */
#ifndef MB_WORKLOADS_TRACE_STATS_H
#define MB_WORKLOADS_TRACE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "workloads/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Every token goes to top_k different experts of every layer. So the loads of a step add up to the
 * same number in all layers, top_k x tokens, and no expert has more loads than there are tokens.
 * What breaks that, with a short name and what it means:
 */
#define MB_TRACE_FAULT_LIST(X)                                                                    \
  X(MB_TRACE_ZERO_LAYER, "all-zero layer",                                                        \
    "no load in any step: a dense layer, or one not recorded")                                    \
  X(MB_TRACE_COUNTED_TWICE, "ranks counted twice",                                                \
    "a whole multiple of top_k x tokens in every step")                                           \
  X(MB_TRACE_WRONG_TOP_K, "wrong top_k", "every token counts another number of times than top_k") \
  X(MB_TRACE_PADDING, "padding",                                                                  \
    "more loads than top_k x tokens: padding or dummy tokens counted")                            \
  X(MB_TRACE_DROPPED, "dropped tokens", "fewer loads than top_k x tokens")                        \
  X(MB_TRACE_NO_MULTIPLE, "no multiple of top_k",                                                 \
    "all layers agree on sums that are no multiple of top_k: a wrong top_k, or pairs dropped")    \
  X(MB_TRACE_HOT_EXPERT, "more loads than tokens",                                                \
    "an expert has more loads than the step has tokens: a wrong top_k, or counted twice")

#define MB_TRACE_FAULT_ENUM(name, title, meaning) name,
typedef enum mb_trace_fault_kind {
  MB_TRACE_FAULT_LIST(MB_TRACE_FAULT_ENUM) MB_TRACE_N_FAULTS
} mb_trace_fault_kind;
#undef MB_TRACE_FAULT_ENUM

/** "padding", and what it means, half a sentence. Static. */
const char *mb_trace_fault_title(mb_trace_fault_kind kind);
const char *mb_trace_fault_meaning(mb_trace_fault_kind kind);

/** One kind of fault, over all the layers that have it. */
typedef struct mb_trace_fault {
  mb_trace_fault_kind kind;
  size_t n_layers;
  size_t n_layer_steps; /* of those layers */
  size_t first_step;
  /* COUNTED_TWICE: how many times (2, 3, ...) in the first such layer. WRONG_TOP_K: how often a
     token counts there. PADDING, DROPPED: what is too much or missing, as a share of the right sum
     of those layer-steps. Else 0. */
  double amount;
} mb_trace_fault;

/** One layer. Means are over pairs of successive windows, NaN where there is none. */
typedef struct mb_layer_stats {
  uint64_t load;      /* of the whole trace */
  double peak;        /* load of the hottest expert / mean load of an expert; NaN without load */
  double gini;        /* of the experts' loads, 0 even to (E-1)/E all on one; NaN without load */
  size_t hottest;     /* the first expert with the largest load */
  size_t n_idle;      /* experts without any load */
  double drift;       /* total variation between the experts' shares in a window and in the next */
  double drift_max;   /* its largest value */
  double drift_noise; /* its mean if nothing drifted: what multinomial sampling alone would make */
  double similarity;  /* Pearson correlation of those shares */
  double tokens_per_active; /* loads of a step / experts with load in it, as a ratio of sums */
  unsigned faults;          /* set of 1 << mb_trace_fault_kind */
} mb_layer_stats;

/** What mb_trace_stats_finish() found. Arrays belong to the statistics. */
typedef struct mb_trace_summary {
  size_t n_steps;
  size_t n_empty_steps; /* without load in any layer */
  size_t window;        /* steps of a window; an unfinished last one is left out */
  size_t n_windows;
  bool tokens_known;  /* from /tokens; else a step's sum / top_k, the one of most layers */
  double tokens_min;  /* tokens of a step that has load */
  double tokens_mean; /* NaN where all steps are empty; so are the two others */
  double tokens_max;
  double tokens_per_active;     /* over all layers */
  const mb_layer_stats *layers; /* [L] */
  const mb_trace_fault *faults; /* [n_faults], at most one a kind, in the order of the list */
  size_t n_faults;
} mb_trace_summary;

/** Statistics being gathered: memory is O(L E). Not for use by two threads at once. */
typedef struct mb_trace_stats mb_trace_stats;

/**
 * @param info         n_layers, n_experts and top_k are heeded. Borrowed for the call.
 * @param window       steps of a window, >= 1.
 * @param tokens_known whether each mb_trace_stats_add() brings the tokens.
 * @return MB_OK; MB_ERR_RANGE for a window of 0; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_trace_stats_create(const mb_trace_info *info, size_t window,
                                             bool tokens_known, mb_trace_stats **stats);
void mb_trace_stats_destroy(mb_trace_stats *stats); /* NULL is fine */

/**
 * The next n steps. O(n L E).
 * @param load [n,L,E] borrowed. @param tokens [n] tokens of each step, over all ranks; NULL unless
 * tokens_known. Borrowed.
 */
void mb_trace_stats_add(mb_trace_stats *stats, size_t n, const uint32_t *load,
                        const uint64_t *tokens);

/** After the last step. Borrowed from the statistics, and valid until they are destroyed. */
const mb_trace_summary *mb_trace_stats_finish(mb_trace_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
