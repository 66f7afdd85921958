/* experiments/results_write.h - writes moebal-results files, version 1 (HDF5), as a replay goes. */
#ifndef MB_EXPERIMENTS_RESULTS_WRITE_H
#define MB_EXPERIMENTS_RESULTS_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/status.h"
#include "experiments/provenance.h"
#include "sim/replay.h"
#include "workloads/trace.h"

#define MB_RESULTS_VERSION 1

/** What a run says of itself that its replay does not know. Borrowed. */
typedef struct mb_results_origin {
  const char *run;         /* its name, one that HDF5 allows for a group */
  const char *trace;       /* the loads' name */
  int64_t seed;            /* that they were generated from; -1: they are a file's */
  size_t merge;            /* steps of the trace in one of the run, >= 1 */
  size_t request_lifetime; /* mean, in steps of the run; 0: unknown */
  double expert_bytes;     /* weights of one expert of one layer; 0: unknown */
  bool attributed;         /* mb_results_writer_put_attribution() will be called */
} mb_results_origin;

/** A results file with one run, being written: under a temporary name in the same folder. */
typedef struct mb_results_writer mb_results_writer;

/**
 * Whether results may be written there: the folder is there, and what has that name is an older
 * HDF5 file or nothing, and no trace. Cheap: to be asked before long work.
 *
 * @param trace_file NULL: the loads come from no file.
 * @return MB_OK; MB_ERR_IO naming the file and what would be right.
 */
MB_NODISCARD mb_status mb_results_check_path(const char *path, const char *trace_file);

/**
 * Starts the file with everything that is known before the replay.
 *
 * @param origin, replay, info borrowed for the call.
 * @param writer Transferred: finish or destroy it. Written only on MB_OK.
 * @return MB_OK; MB_ERR_IO naming the file and why it cannot be written; MB_ERR_MEMORY.
 *
 * Memory: a few MiB a strategy, for the chunks in the making.
 */
MB_NODISCARD mb_status mb_results_writer_create(const char *path, const mb_results_origin *origin,
                                                const mb_replay_config *replay,
                                                const mb_trace_info *info,
                                                mb_results_writer **writer);

/** Writes what a replay hands out; parameters as mb_replay_sink has them. */
MB_NODISCARD mb_status mb_results_writer_put_steps(mb_results_writer *writer, size_t strategy,
                                                   size_t first, size_t n,
                                                   const double *step_imbalance,
                                                   const float *imbalance,
                                                   const int32_t *active_experts);
MB_NODISCARD mb_status mb_results_writer_put_step_load(mb_results_writer *writer, size_t first,
                                                       size_t n, const double *step_load);
MB_NODISCARD mb_status mb_results_writer_put_costs(mb_results_writer *writer, size_t strategy,
                                                   size_t first, size_t n,
                                                   const mb_cost_rows *rows);
MB_NODISCARD mb_status mb_results_writer_put_plan(mb_results_writer *writer,
                                                  const mb_plan_record *record);

MB_NODISCARD mb_status mb_results_writer_put_attribution(mb_results_writer *writer,
                                                         const mb_attribution_record *record);

/** Notes how long a planner that is a program took to start: an attribute of its planner_seconds.
 */
MB_NODISCARD mb_status mb_results_writer_put_startup(mb_results_writer *writer, size_t strategy,
                                                     double seconds);

/** Writes the table /summary. @param summary [n_strategies] borrowed. */
MB_NODISCARD mb_status mb_results_writer_put_summary(mb_results_writer *writer,
                                                     const mb_replay_summary *summary);

/**
 * Adds the provenance, completes the file and gives it its name, replacing an older file. The
 * writer is gone afterwards, even on failure, and then nothing has changed.
 */
MB_NODISCARD mb_status mb_results_writer_finish(mb_results_writer *writer,
                                                const mb_provenance *provenance);

/** Gives up: leaves nothing behind. NULL is fine. */
void mb_results_writer_destroy(mb_results_writer *writer);

#endif
