/* experiments/baseline.h - what a config's strategies scored, kept as text to compare with.
 *
 * Lines of tab-separated cells; those that begin with # say nothing:
 *
 *   moebal-baseline  1
 *   config           NAME
 *   margin           METRIC    PERCENT
 *   value            SETTING   STRATEGY  METRIC      SEED          VALUE
 *   value            SETTING   STRATEGY  placements  SEED          DIGEST
 *   where            SETTING   STRATEGY  METRIC      layer         LAYER       VALUE
 *   where            SETTING   STRATEGY  METRIC      steps         FIRST-LAST  VALUE
 *
 * SETTING is what a sweep sets but the seeds, "-" where that is nothing.
 */
#ifndef MB_EXPERIMENTS_BASELINE_H
#define MB_EXPERIMENTS_BASELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "balancer/status.h"
#include "workloads/trace.h"

/** The metrics of check_metrics.def, MB_BASELINE_run_imbalance and so on, and their number. */
enum {
#define MB_CHECK_METRIC(name, margin_percent) MB_BASELINE_##name,
#include "experiments/check_metrics.def"
#undef MB_CHECK_METRIC
  MB_BASELINE_METRICS
};

/** One run of one strategy. */
typedef struct mb_baseline_score {
  char *setting;                     /* "schedule.interval=50 cluster.slots=64", or "-" */
  char *strategy;                    /* label */
  char *seed;                        /* as text; "-" where no seed was swept */
  double value[MB_BASELINE_METRICS]; /* finite, or NaN: the run has no such number */
  char placements[MB_DIGEST_SIZE];   /* XXH3-128 of all plans: steps, effect steps and maps */
} mb_baseline_score;

/** A metric of a part of the runs of one strategy under one setting: mean over the seeds. */
typedef struct mb_baseline_part {
  char *setting, *strategy;
  size_t metric; /* MB_BASELINE_run_imbalance or MB_BASELINE_moved_experts */
  bool is_layer; /* else a range of steps */
  char *name;    /* the layer's number in the model; "100-149" */
  double value;
} mb_baseline_part;

typedef struct mb_baseline {
  char *config;                               /* the config's name */
  double margin_percent[MB_BASELINE_METRICS]; /* >= 0 */
  size_t n_scores, n_parts;
  mb_baseline_score *score; /* [n_scores] */
  mb_baseline_part *part;   /* [n_parts] */
} mb_baseline;

const char *mb_baseline_metric_name(size_t metric); /* static */

/** The metric of that name, or MB_BASELINE_METRICS. */
size_t mb_baseline_metric_find(const char *name);

/** Reads "0.5" or "0.5%". @param percent Written only on MB_OK. @return MB_OK; MB_ERR_PARAM. */
MB_NODISCARD mb_status mb_baseline_read_percent(const char *text, double *percent);

/** An empty baseline with the margins of check_metrics.def. @return MB_OK; MB_ERR_MEMORY. */
MB_NODISCARD mb_status mb_baseline_init(const char *config, mb_baseline *baseline);
void mb_baseline_fini(mb_baseline *baseline);

/** The score of that setting, strategy and seed; NULL: there is none. */
mb_baseline_score *mb_baseline_find(const mb_baseline *baseline, const char *setting,
                                    const char *strategy, const char *seed);

/** The part that says the same of where it is, whatever its value; NULL: there is none. */
mb_baseline_part *mb_baseline_find_part(const mb_baseline *baseline, const mb_baseline_part *like);

/**
 * Adds a score, all NaN, or a part; what is there already is found again, so that a part's values
 * can be added up. Whatever in a text would break a line becomes a space.
 * @param score Borrowed, until the next is added. Written only on MB_OK. So is `part`.
 */
MB_NODISCARD mb_status mb_baseline_add(mb_baseline *baseline, const char *setting,
                                       const char *strategy, const char *seed,
                                       mb_baseline_score **score);
MB_NODISCARD mb_status mb_baseline_add_part(mb_baseline *baseline, const char *setting,
                                            const char *strategy, size_t metric, bool is_layer,
                                            const char *name, mb_baseline_part **part);

/**
 * @param baseline mb_baseline_fini() it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO; MB_ERR_FORMAT with FILE:LINE and what would be right;
 *         MB_ERR_UNSUPPORTED for a higher version; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_baseline_read(const char *path, mb_baseline *baseline);

/**
 * Writes it under a temporary name, then renames. Values come back exactly; the same baseline gives
 * the same bytes.
 * @return MB_OK; MB_ERR_IO naming the file, which then is as it was; MB_ERR_MEMORY.
 */
MB_NODISCARD mb_status mb_baseline_write(const char *path, const mb_baseline *baseline);

#endif
